"""Messages and figures in three languages."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from tarazy.accounting.blocks import BlockState
from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.energy.meter import Status
from tarazy.accounting.payouts.machine import _LEFT_OUT
from tarazy.accreditation.admission import Reason
from tarazy.accreditation.entries import (
    DocumentStatus,
    EnergySource,
    MeterStatus,
    PartyKind,
    SiteStatus,
)
from tarazy.accreditation.procedure.deadlines import Progress, Step
from tarazy.accreditation.procedure.events import Side
from tarazy.accreditation.procedure.machine import Appeal, Stage
from tarazy.config.law.services import Service
from tarazy.config.law.topics import TOPICS
from tarazy.config.law.working_days import Doubt
from tarazy.reports.build import KINDS
from tarazy.reports.delivery.outbox import DeliveryState
from tarazy.reports.gather.rewards import UNDISTRIBUTED
from tarazy.reports.language import (
    LANGUAGES,
    CatalogueError,
    bitcoin,
    day,
    energy,
    has,
    instant,
    messages,
    number,
    tenge,
    text,
)
from tarazy.reports.language.catalogue import read
from tarazy.reports.schedule import Standing
from tarazy.reports.typeset import printable


def test_every_reason_to_be_left_out_of_a_batch_has_words() -> None:
    """In each language, with the figures that the English text has."""
    for code, english in _LEFT_OUT.items():
        values = {name: f"<{name}>" for _, name, _, _ in Formatter().parse(english) if name}
        for lang in LANGUAGES:
            told = text(lang, f"portal.leftout.{code}", **values)
            assert all(value in told for value in values.values()), (code, lang)


def test_every_message_is_in_every_language() -> None:
    """No message of any catalogue lacks Kazakh, Russian or English, and none has a letter the fonts lack."""
    found = messages()
    assert {key.partition(".")[0] for key in found} >= {"accreditation", "words"}
    for key, message in found.items():
        assert set(message) == set(LANGUAGES), key
        for forms in message.values():
            assert all(form.strip() and printable(form) == form for form in forms.values()), key


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("reason", list(Reason)),
        ("party_kind", list(PartyKind)),
        ("licence_status", [*DocumentStatus, "expired", "not_begun"]),
        ("certificate_status", list(DocumentStatus)),
        ("site_status", list(SiteStatus)),
        ("meter_status", [*MeterStatus, *get_args(Status), "none"]),
        ("energy_source", list(EnergySource)),
        ("distribution_state", list(DistributionState)),
        ("block_state", [*BlockState, *DistributionState, UNDISTRIBUTED]),
        ("topic", list(TOPICS)),
        ("report", list(KINDS)),
        ("delivery_state", list(DeliveryState)),
        ("report_standing", list(Standing)),
    ],
)
def test_every_code_has_a_word(kind: str, codes: list[str]) -> None:
    """A code that a record may hold is never shown raw."""
    assert [code for code in codes if not has(f"words.{kind}.{code}")] == []


@pytest.mark.parametrize("codes", [Service, Stage, Appeal, Step, Side, Progress, Doubt])
def test_every_code_of_a_case_has_a_word(codes: type[StrEnum]) -> None:
    """Cases have a catalogue of their own."""
    assert [code for code in codes if not has(f"cases.{codes.__name__.lower()}.{code}")] == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("a: {kk: бір, ru: один}", "sample.a: has kk, ru; needs exactly kk, ru, en"),
        ("a: {kk: бір, ru: '', en: one}", "sample.a.ru: must be text"),
        ("a: {kk: '{x}', ru: '{y}', en: '{x}'}", "sample.a: the languages do not use the same placeholders"),
        ("a: {kk: x, ru: {one: x, other: x}, en: x}", "needs exactly the plural forms few, many, one, other"),
        ("a: бір", "sample.a: must be a mapping"),
        ("a: {kk: [", "not YAML"),
    ],
)
def test_faulty_catalogue_is_told(tmp_path: Path, content: str, fault: str) -> None:
    """A message without one of the languages, or with other values in one, does not get past loading."""
    file = tmp_path / "sample.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(CatalogueError) as error:
        read(file)
    assert fault in str(error.value)
    assert "sample.yaml" in str(error.value)


def test_plural_forms_follow_the_number() -> None:
    """Russian has three forms for whole numbers, English two."""
    key = "accreditation.admission.not_listed"
    starts = [text("ru", key, count=count).split(";")[0] for count in (1, 2, 5, 1021)]
    assert starts == [
        "Ещё 1 логин не приведён",
        "Ещё 2 логина не приведены",
        "Ещё 5 логинов не приведены",
        "Ещё 1\xa0021 логин не приведён",
    ]
    assert text("en", key, count=1).startswith("1 more login is")
    with pytest.raises(KeyError):
        text("de", key, count=1)


def test_figures_in_each_language() -> None:
    """kk and ru group with a no-break space and write a decimal comma; ₸ stands in all (ecosystem §10)."""
    assert [number(lang, 1_234_567) for lang in LANGUAGES] == ["1\xa0234\xa0567", "1\xa0234\xa0567", "1,234,567"]
    assert [bitcoin(lang, 312_500_001) for lang in ("kk", "en")] == ["3,12500001\xa0BTC", "3.12500001\xa0BTC"]
    assert [energy(lang, 1_234_005) for lang in LANGUAGES] == [
        "1\xa0234,005\xa0кВт·сағ",
        "1\xa0234,005\xa0кВт·ч",
        "1,234.005\xa0kWh",
    ]
    assert [tenge(lang, Decimal("7000.5")) for lang in ("ru", "en")] == ["7\xa0000,50\xa0₸", "7,000.50\xa0₸"]
    assert tenge("ru", Decimal("0.0005")) == "0,0005\xa0₸"


def test_figures_keep_every_digit() -> None:
    """Sums of work and money beyond a float's digits are shown exactly (invariant 9)."""
    assert number("en", 10**38 + 1).replace(",", "") == str(10**38 + 1)
    assert bitcoin("en", 2_099_999_999_999_999) == "20,999,999.99999999\xa0BTC"
    assert number("ru", Decimal("0.0000001234")) == "0,0000001234"


def test_instants_are_almaty_with_their_offset() -> None:
    """Kazakhstan moved from UTC+6 to UTC+5 on 2024-03-01."""
    assert instant("ru", datetime(2024, 2, 29, 17, tzinfo=UTC)) == "29.02.2024 23:00:00 (UTC+06:00)"
    assert instant("en", datetime(2024, 2, 29, 19, tzinfo=UTC)) == "1 Mar 2024 00:00:00 (UTC+05:00)"
    assert day("kk", date(2026, 11, 2)) == "02.11.2026"
    with pytest.raises(ValueError, match="naive"):
        instant("kk", datetime(2026, 1, 1))  # noqa: DTZ001
