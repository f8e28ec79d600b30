"""The forms of a state service, filled in from a case: the application, what was granted, a reasoned refusal.

Which fields a form has, and in which order, is the service's rule. What a form is not stands on its face: neither
official nor signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.events import Event, Granted, Kind, Refused, Registered, Value
from tarazy.accreditation.procedure.filing import SIGNATORY
from tarazy.accreditation.procedure.granting import issued_on, last_day
from tarazy.config.law.services import Form, FormField, FormKind, StateServiceRule
from tarazy.reports.build import write_all
from tarazy.reports.document import Block, Document, Facts, Notice, Paragraph
from tarazy.reports.language import day, instant, text
from tarazy.reports.pdf import render_pdf

FORM_LANGUAGES = ("kk", "ru")
"""Languages that forms are printed in."""

_EVENTS = {FormKind.APPLICATION: Kind.FILED, FormKind.GRANT: Kind.GRANTED, FormKind.REFUSAL: Kind.REFUSED}
_DETAILS = ("applicant_bin", "applicant_address", "applicant_telephone", "applicant_email")


class FormError(ValueError):
    """The form cannot be printed. The text says why and what to do."""


def lay_out_form(case: Case, kind: FormKind, rule: StateServiceRule, pool: str, lang: str) -> Document:
    """The form of `kind` in `lang`, filled in from `case`; `pool` is the name of who prints it.

    Raises `FormError` when the case has no such event yet, or the service's form is not known.
    """
    form = rule.form(kind)
    if form is None:
        act = rule.unread or rule.act
        raise FormError(
            f"the form of {kind} is not known: fill in forms of the rule {rule.id} when {act} has been read"
        )
    event = case.course.last(_EVENTS[kind])
    if event is None:
        raise FormError(f"case {case.key} has no event {_EVENTS[kind]}, which this form is filled in from")
    service = text(lang, f"cases.service.{case.service}")
    return Document(
        lang=lang,
        title=form.title.in_language(lang),
        author=pool,
        created=event.at,
        header=text(lang, "cases.form.header", case=case.key, service=service),
        footer=text(lang, "cases.form.footer", digest=case.digest),
        page=text(lang, "cases.form.page", page="{page}", pages="{pages}"),
        digest=case.digest,
        cover=tuple(_blocks(case, kind, form, event, rule, lang)),
        sections=(),
    )


def _blocks(case: Case, kind: FormKind, form: Form, event: Event, rule: StateServiceRule, lang: str) -> Iterator[Block]:
    yield Paragraph(
        text(lang, "cases.form.appendix", act=rule.act_name.in_language(lang), appendix=form.appendix), small=True
    )
    yield Notice(text(lang, "cases.form.not_official"))
    if kind is not FormKind.APPLICATION:
        yield Notice(text(lang, "cases.form.issued_elsewhere"))
    yield Notice(text(lang, "cases.form.signature"))
    if not rule.confirmed:
        word = "assumed" if rule.assumed else "unconfirmed"
        yield Notice(text(lang, f"cases.form.{word}", rule=rule.id))
    filler = _Filler(case, event, rule, lang)
    yield Facts(tuple(row for number, field in enumerate(form.fields, 1) for row in filler.rows(number, field)))
    yield Facts(tuple(_origin(case, kind, event, rule, lang)))


def _origin(case: Case, kind: FormKind, event: Event, rule: StateServiceRule, lang: str) -> Iterator[tuple[str, str]]:
    if kind is FormKind.GRANT and (last := last_day(event, rule)) is not None:
        yield text(lang, "cases.form.last_day"), day(lang, last)
    moment = instant(lang, event.at)
    yield (
        text(lang, "cases.form.recorded"),
        text(lang, "cases.form.printed_from", number=event.number, moment=moment),
    )
    yield text(lang, "cases.form.applied"), f"{rule.id} · {rule.act_name.in_language(lang)} · SHA-256 {rule.digest}"


class _Filler:
    """Gives each field of a form its value."""

    def __init__(self, case: Case, event: Event, rule: StateServiceRule, lang: str) -> None:
        self.case, self.event, self.rule, self.lang = case, event, rule, lang

    def rows(self, number: int, field: FormField) -> Iterator[tuple[str, str]]:
        """The field's row; one with parts has a row for each part of each group."""
        name = f"{number}. {field.name.in_language(self.lang)}"
        if field.parts is None:
            yield name, self._value(field) or text(self.lang, "cases.form.empty")
            return
        given = self.case.field(field.code, self.lang)
        groups = given if given and not isinstance(given, str) else ({},)
        for place, group in enumerate(groups, 1):
            several = len(groups) > 1
            yield text(self.lang, "cases.form.group", name=name, number=place) if several else name, ""
            for code, words in field.parts.items():
                empty = text(self.lang, "cases.form.empty")
                yield f"– {words.in_language(self.lang)}", group.get(code, empty)

    def _value(self, field: FormField) -> str:
        if field.text is not None:
            return field.text.in_language(self.lang)
        content = self.event.content
        if field.code == SIGNATORY and isinstance(content, Granted | Refused):
            return content.signatory_name or ""
        compute = getattr(self, f"_{field.code}", None)
        return compute() if compute else _flat(self.case.field(field.code, self.lang))

    def _application_number(self) -> str:
        registered = self.case.course.content(Kind.REGISTERED, Registered)
        return registered.number if registered else ""

    def _application_date(self) -> str:
        filed = self.case.course.first(Kind.FILED)
        return self._day(filed.day) if filed else ""

    def _applicant_details(self) -> str:
        details = (_flat(self.case.field(code, self.lang)) for code in _DETAILS)
        return ", ".join(value for value in details if value)

    def _attachments(self) -> str:
        return "; ".join(f"{number}) {file.title}" for number, file in enumerate(self.event.attachments, 1))

    def _document_number(self) -> str:
        return self.event.content.number if isinstance(self.event.content, Granted) else ""

    def _issue_date(self) -> str:
        return self._day(issued_on(self.event)) if isinstance(self.event.content, Granted) else ""

    def _issued_by(self) -> str:
        return self.event.content.issued_by if isinstance(self.event.content, Granted) else ""

    def _reasons(self) -> str:
        content = self.event.content
        if not isinstance(content, Refused):
            return ""
        names = self.rule.grounds or {}
        grounds = [f"{code}) {names[code].in_language(self.lang)}" for code in content.grounds if code in names]
        return ". ".join((*grounds, content.reasons))

    def _signatory_position(self) -> str:
        content = self.event.content
        return (content.signatory_position if isinstance(content, Granted | Refused) else None) or ""

    def _signature(self) -> str:
        return text(self.lang, "cases.form.no_signature")

    def _day(self, value: date) -> str:
        return day(self.lang, value)


def _flat(value: Value | None) -> str:
    return value if isinstance(value, str) else ""


def write_forms(case: Case, kind: FormKind, rule: StateServiceRule, pool: str, directory: Path) -> list[Path]:
    """Write the form as `<case>-<kind>.<lang>.pdf` in each of its languages. Raises `FormError` and OSError."""
    documents = {lang: lay_out_form(case, kind, rule, pool, lang) for lang in FORM_LANGUAGES}
    rendered = {lang: b"".join(render_pdf(document)) for lang, document in documents.items()}
    return write_all(directory, {f"{case.key}-{kind}.{lang}.pdf": pdf for lang, pdf in rendered.items()})
