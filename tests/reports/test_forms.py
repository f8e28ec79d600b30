"""The printed forms of a case: every field of the reference, in both languages, and what they are not."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.events import Kind
from tarazy.accreditation.procedure.warnings import WarningKind, warnings_of
from tarazy.config.law.services import SERVICES, FormKind, Service
from tarazy.reports.cases import warning_text
from tarazy.reports.forms import FORM_LANGUAGES, FormError, lay_out_form, write_forms
from tarazy.reports.language import LANGUAGES, text
from tarazy.reports.pdf import render_pdf
from tests.accreditation.procedure.world import APPLICATION, DAYS, LAW, PERMIT, REFUSAL, case, event, with_events
from tests.reports.pdf_text import pages

BASE = ((Kind.FILED, "2025-06-09 10:00"), (Kind.REGISTERED, "2025-06-09 11:00"))
GRANTED = case(*BASE, (Kind.GRANTED, "2025-06-12"))
REFUSED = case(*BASE, (Kind.REFUSED, "2025-06-16"))
CASES = {FormKind.APPLICATION: GRANTED, FormKind.GRANT: GRANTED, FormKind.REFUSAL: REFUSED}

each_form = pytest.mark.parametrize("kind", list(FormKind))
in_both = pytest.mark.parametrize("lang", FORM_LANGUAGES)


def printed(shown: Case, kind: FormKind, lang: str) -> str:
    """The form's text in one line."""
    return _flat("\n".join(pages(*render_pdf(lay_out_form(shown, kind, PERMIT, "Таразы", lang)))))


def _flat(words: str) -> str:
    return re.sub(r"(?<=[-/]) ", "", " ".join(words.split()))


@in_both
@each_form
def test_every_field_of_the_form_is_printed_in_order(kind: FormKind, lang: str) -> None:
    """Numbered, with its name; the parts of an address too."""
    found = printed(CASES[kind], kind, lang)
    form = PERMIT.form(kind)
    assert form
    assert form.title.in_language(lang) in found
    place = 0
    for number, field in enumerate(form.fields, 1):
        wanted = [f"{number}. {field.name.in_language(lang)}"]
        wanted += [f"– {part.in_language(lang)}" for part in (field.parts or {}).values()]
        for words in wanted:
            place = found.index(_flat(words), place)
        if field.text is not None:
            place = found.index(_flat(field.text.in_language(lang)), place)


@in_both
@each_form
def test_its_face_says_what_it_is_not(kind: FormKind, lang: str) -> None:
    """Not official, without an e-signature, by a rule nobody confirmed (law.md 3, item 12)."""
    found = printed(CASES[kind], kind, lang)
    for message in ("not_official", "signature"):
        assert _flat(text(lang, f"cases.form.{message}")) in found
    signed = kind is not FormKind.GRANT  # appendix 3 has no such field
    assert (_flat(text(lang, "cases.form.no_signature")) in found) is signed
    assert _flat(text(lang, "cases.form.unconfirmed", rule=PERMIT.id)) in found
    assert (_flat(text(lang, "cases.form.issued_elsewhere")) in found) is (kind is not FormKind.APPLICATION)
    assert PERMIT.digest in found
    assert CASES[kind].digest in found
    confirmed = PERMIT.model_copy(update={"confirmed": True})
    plain = "".join(pages(*render_pdf(lay_out_form(CASES[kind], kind, confirmed, "Таразы", lang))))
    assert PERMIT.id in plain
    assert _flat(text(lang, "cases.form.unconfirmed", rule=PERMIT.id)) not in _flat(plain)


@in_both
def test_values_come_from_the_record(lang: str) -> None:
    """Each in its language where the application gives it in both."""
    application = printed(GRANTED, FormKind.APPLICATION, lang)
    for code in ("applicant_name", "authority_head", "authority_name", "purpose"):
        assert _flat(APPLICATION[f"{code}_{lang}"]) in application
    for value in ("ЖТ-2025-17", "09.06.2025", "240140000001", "Дән", "Жаңаауыл", "1) Гарантийное письмо"):
        assert value in application
    grant = printed(GRANTED, FormKind.GRANT, lang)
    for value in ("KZ-130-0001", "12.06.2025", "11.06.2028", "Уәкілетті орган", "Уполномоченный орган"):
        assert value in grant
    refusal = printed(REFUSED, FormKind.REFUSAL, lang)
    grounds = PERMIT.grounds or {}
    for ground in (2, 5):
        assert _flat(f"{ground}) {grounds[ground].in_language(lang)}") in refusal
    assert str(REFUSAL["reasons"]) in refusal
    assert "Руководитель управления" in refusal


@in_both
def test_what_is_empty_says_so_and_several_addresses_are_told_apart(lang: str) -> None:
    """A field nobody filled in stays in its place."""
    bare = with_events(
        case(), [event(1, Kind.FILED, "2025-06-09", application={"activity_addresses": [{"city": "А"}, {"city": "Б"}]})]
    )
    found = printed(bare, FormKind.APPLICATION, lang)
    empty = text(lang, "cases.form.empty")
    assert found.count(empty) > 20
    name = next(field.name for field in PERMIT.form(FormKind.APPLICATION).fields if field.parts)  # type: ignore[union-attr]
    for number in (1, 2):
        assert f"13. {_flat(name.in_language(lang))} ({number})" in found


def test_a_long_application_goes_on_to_further_pages() -> None:
    """Nothing is cut: every word of it is printed once."""
    words = [f"слово{number}" for number in range(200)]
    addresses = [{"street": f"көше{number}"} for number in range(50)]
    long = with_events(
        case(),
        [event(1, Kind.FILED, "2025-06-09", application={"purpose": " ".join(words), "activity_addresses": addresses})],
    )
    found = printed(long, FormKind.APPLICATION, "kk").split()
    assert [found.count(word) for word in words] == [1] * len(words)
    assert [found.count(address["street"]) for address in addresses] == [1] * len(addresses)


def test_same_case_same_bytes(tmp_path: Path) -> None:
    """A form can be printed again, and is another when the case went on."""
    first = write_forms(GRANTED, FormKind.GRANT, PERMIT, "Таразы", tmp_path / "1")
    again = write_forms(GRANTED, FormKind.GRANT, PERMIT, "Таразы", tmp_path / "2")
    assert [path.name for path in first] == ["acme-1-grant.kk.pdf", "acme-1-grant.ru.pdf"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


@pytest.mark.parametrize(
    ("shown", "kind", "fault"),
    [
        (case(*BASE), FormKind.GRANT, "no event granted"),
        (case(), FormKind.APPLICATION, "no event filed"),
        (GRANTED, FormKind.REFUSAL, "no event refused"),
    ],
)
def test_no_form_without_its_event(shown: Case, kind: FormKind, fault: str) -> None:
    """What did not happen is not printed."""
    with pytest.raises(FormError, match=fault):
        lay_out_form(shown, kind, PERMIT, "Таразы", "ru")


@each_form
def test_forms_of_pool_accreditation_are_not_invented(kind: FormKind) -> None:
    """law.md 3, item 1: the fault names the act to read."""
    rule = LAW.rule(SERVICES[Service.POOL_ACCREDITATION], date(2026, 1, 1))
    with pytest.raises(FormError, match="142/НҚ"):
        lay_out_form(GRANTED, kind, rule, "Таразы", "kk")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", list(WarningKind))
def test_every_warning_has_words(kind: WarningKind, lang: str) -> None:
    """With step and last day; an unknown term says what to enter."""
    (told, *_) = warnings_of(case(*BASE), LAW, DAYS, date(2025, 6, 13))
    words = warning_text(lang, replace(told, kind=kind))
    assert words
    assert "{" not in words
    pool = case(*BASE, service=Service.POOL_ACCREDITATION)
    unknown = [warning_text(lang, warning) for warning in warnings_of(pool, LAW, DAYS, date(2025, 6, 13))]
    assert unknown
    assert all("142/НҚ" in line and "service-pool-accreditation-2023" in line for line in unknown)


def test_a_hearing_that_no_longer_fits_in_words() -> None:
    """The line that an operator reads on Thursday."""
    found = warnings_of(case(*BASE), LAW, DAYS, date(2025, 6, 12))
    (warning,) = (item for item in found if item.kind is WarningKind.HEARING_NO_LONGER_FITS)
    assert warning_text("en", warning) == (
        "a lawful hearing no longer fits: it had to be called by 11 Jun 2025 (last day for a hearing notice)"
    )
