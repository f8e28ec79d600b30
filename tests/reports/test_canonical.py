"""The one text of a report that its digest is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tarazy.reports.canonical import canonical_json, digest

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001


@dataclass(frozen=True)
class _Sample:
    name: str
    amounts: tuple[int, ...]
    price: Decimal | None
    at: datetime
    on: date


def test_one_text_for_one_value() -> None:
    """Sorted keys, no spaces, UTF-8, whole integers, instants in UTC with Z."""
    at = datetime(2026, 1, 1, 5, tzinfo=timezone(timedelta(hours=5)))
    sample = _Sample("Ұяшық", (2**80, -1), Decimal("18.400"), at, date(2026, 1, 2))
    assert canonical_json(sample).decode() == (
        '{"amounts":[1208925819614629174706176,-1],"at":"2026-01-01T00:00:00Z","name":"Ұяшық",'
        '"on":"2026-01-02","price":"18.4"}\n'
    )


def test_digest_is_sha256() -> None:
    """What `sha256sum` prints."""
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    "value",
    [1.5, {1: "a"}, NAIVE, Decimal("NaN"), b"bytes", {"a"}],
    ids=repr,
)
def test_what_has_no_exact_form_is_refused(value: object) -> None:
    """Floats, naive instants and unordered sets would make two digests of one report (invariant 9)."""
    with pytest.raises(TypeError):
        canonical_json(value)


def test_decimals_do_not_show_how_they_were_computed() -> None:
    """Equal decimals give equal text, in plain notation."""
    values = [Decimal("1E+3"), Decimal("1000.00"), Decimal(1000)]
    assert {canonical_json(value) for value in values} == {b'"1000"\n'}
    assert canonical_json(datetime(2026, 1, 1, microsecond=5, tzinfo=UTC)) == b'"2026-01-01T00:00:00.000005Z"\n'
