"""What an application must and may say, by the service's rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tarazy.accreditation.procedure.events import Value
from tarazy.config.law.services import FormField, StateServiceRule

OTHER = "other"
"""Code of a file that is none of the documents asked for."""

COMPUTED = frozenset(
    {
        "application_number",
        "application_date",
        "applicant_details",
        "attachments",
        "document_number",
        "issue_date",
        "issued_by",
        "reasons",
        "signature",
        "signatory_position",
    }
)
"""Fields that the record of the case fills in, not the application."""

SIGNATORY = "signatory_name"

_LANGUAGES = ("kk", "ru")
"""Languages that forms are printed in: a field may be given for each, such as `purpose_kk` and `purpose_ru`."""


class ApplicationError(ValueError):
    """An application or decision does not fit the service's rule. The text says where and what to do."""


def fields_to_fill(rule: StateServiceRule) -> tuple[FormField, ...]:
    """The fields of the service's forms that an application gives, each once, in order; none where they are unknown."""
    found: dict[str, FormField] = {}
    for form in (rule.forms or {}).values():
        for field in form.fields:
            if field.text is None and field.code not in COMPUTED:
                found.setdefault(field.code, field)
    named = set(found)
    return tuple(field for code, field in found.items() if not _of_language(code, named))


def _of_language(code: str, named: set[str]) -> bool:
    """Whether the field is another's in one language: `authority_name_kk` is `authority_name`'s."""
    stem, _, lang = code.rpartition("_")
    return lang in _LANGUAGES and stem in named


def check_application(application: Mapping[str, Value], rule: StateServiceRule) -> None:
    """Raises `ApplicationError` for a field that no form has, or whose parts are not the form's."""
    if rule.forms is None:
        return
    fields = {field.code: field for field in fields_to_fill(rule)}
    for code, value in application.items():
        stem, _, lang = code.rpartition("_")
        field = fields.get(code) or (fields.get(stem) if lang in _LANGUAGES else None)
        if field is None:
            raise ApplicationError(f"{code}: no form of {rule.id} has this field; its fields: {', '.join(fields)}")
        if (field.parts is None) != isinstance(value, str):
            wanted = "a text" if field.parts is None else f"a list of groups with {', '.join(field.parts)}"
            raise ApplicationError(f"{code}: must be {wanted}")
        if field.parts is not None and not isinstance(value, str):
            for part in (part for group in value for part in group if part not in field.parts):
                raise ApplicationError(f"{code}.{part}: no such part; its parts: {', '.join(field.parts)}")


def missing_fields(application: Mapping[str, Value], rule: StateServiceRule) -> list[str]:
    """Codes of the fields that an application leaves empty, in order."""
    return [field.code for field in fields_to_fill(rule) if not _given(field.code, application)]


def _given(code: str, application: Mapping[str, Value]) -> bool:
    return code in application or all(f"{code}_{lang}" in application for lang in _LANGUAGES)


def check_attachments(codes: Iterable[str], rule: StateServiceRule) -> None:
    """Raises `ApplicationError` for the code of a document that the service does not know."""
    if rule.documents is None:
        return
    known = [*rule.document_codes(), OTHER]
    for code in codes:
        if code not in known:
            raise ApplicationError(f"{code}: {rule.id} asks for no such document; choose one of: {', '.join(known)}")


def missing_documents(codes: Iterable[str], rule: StateServiceRule) -> list[str]:
    """Codes of the documents asked for of which no file is attached. The application is the form itself."""
    attached = set(codes)
    return [
        document.code
        for document in rule.documents or ()
        if document.code != "application" and not document.codes & attached
    ]


def check_grounds(grounds: Iterable[int], rule: StateServiceRule) -> None:
    """Raises `ApplicationError` for a ground of refusal that the service does not have."""
    for ground in grounds:
        if rule.grounds is not None and ground not in rule.grounds:
            known = ", ".join(f"{code} ({words.en})" for code, words in rule.grounds.items())
            raise ApplicationError(f"ground {ground}: {rule.id} knows only: {known}")
