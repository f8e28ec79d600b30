"""Values of coins: which day's counts, when there is no figure, how they are corrected."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine, func, select

from tarazy.accounting.assets.tables import asset_value
from tarazy.accounting.assets.values import (
    BITCOIN,
    Absent,
    AssetError,
    Counts,
    Value,
    Valued,
    ValueFile,
    import_values,
    values_on,
)
from tarazy.config.law import load_law
from tarazy.config.law.working_days import Doubt, WorkingDays

AT = datetime(2025, 11, 10, tzinfo=UTC)
LATER = datetime(2025, 11, 12, tzinfo=UTC)
LAW = load_law()
FILE = ValueFile("november.csv", "ab" * 32, "kgd.gov.kz, November 2025")
FRIDAY, SUNDAY, MONDAY = date(2025, 11, 7), date(2025, 11, 9), date(2025, 11, 10)


def _record(connection: Connection, day: date, value: str, at: datetime = AT, why: str | None = None) -> Counts:
    return import_values(connection, [Value(BITCOIN, day, Decimal(value))], FILE, at, "operator", why)


def _on(connection: Connection, day: date, known_at: datetime = LATER, asset: str = BITCOIN) -> Valued:
    return values_on(connection, LAW, WorkingDays(LAW), [day], known_at, asset)[day]


def test_a_day_off_takes_the_working_day_before(engine: Engine) -> None:
    """Sunday takes Friday's value, also where a value was published for Sunday; Monday without a value has none."""
    with engine.begin() as connection:
        _record(connection, FRIDAY, "53000000.10")
        _record(connection, SUNDAY, "1")
        sunday = _on(connection, SUNDAY)
        assert (sunday.value_day, sunday.tenge(150_000_000), sunday.absent) == (FRIDAY, Decimal("79500000.15"), None)
        assert _on(connection, FRIDAY).value_day == FRIDAY
        monday = _on(connection, MONDAY)
        assert (monday.absent, monday.recorded, monday.tenge(1)) == (Absent.NO_VALUE, None, None)


@pytest.mark.parametrize(
    ("day", "asset", "absent"),
    [(date(2024, 4, 12), BITCOIN, Absent.NO_RULE), (date(2024, 4, 19), "Tether", Absent.NOT_LISTED)],
)
def test_no_figure_without_law(engine: Engine, day: date, asset: str, absent: Absent) -> None:
    """Before the first rule, and for an asset that the list lacks, a recorded value is not used."""
    with engine.begin() as connection:
        import_values(connection, [Value(asset, day, Decimal(5))], FILE, AT, "operator")
        valued = _on(connection, day, asset=asset)
        assert (valued.absent, valued.tenge(1)) == (absent, None)


@pytest.mark.parametrize(
    ("satoshi", "value", "amount"),
    [(1, "500000", "0.01"), (1, "499999.99", "0.00"), (2_100_000_000_000_000, "99999999.999", "2099999999979000.00")],
)
def test_tenge_are_rounded_once_half_up(engine: Engine, satoshi: int, value: str, amount: str) -> None:
    """To whole tiyn: half a tiyn counts whole, less does not, and a large product loses nothing."""
    with engine.begin() as connection:
        _record(connection, FRIDAY, value)
        assert _on(connection, FRIDAY).tenge(satoshi) == Decimal(amount)


def test_a_correction_is_another_row(engine: Engine) -> None:
    """It needs a reason, names the old row, and what was known before stays as it was."""
    with engine.begin() as connection:
        assert _record(connection, FRIDAY, "53000000") == Counts(1, 0, 0)
        assert _record(connection, FRIDAY, "53000000.00", LATER) == Counts(0, 0, 1)
        with pytest.raises(AssetError, match="is recorded as 53000000 by entry 1; give --why"):
            _record(connection, FRIDAY, "54000000", LATER)
        assert _record(connection, FRIDAY, "54000000", LATER, "published anew") == Counts(0, 1, 0)
        known = _on(connection, FRIDAY).recorded
        assert known is not None
        assert (known.value.value_kzt, known.corrects, known.why) == (Decimal(54_000_000), 1, "published anew")
        before = _on(connection, FRIDAY, AT).recorded
        assert before is not None
        assert (before.value.value_kzt, before.file) == (Decimal(53_000_000), FILE)
        assert connection.scalar(select(func.count()).select_from(asset_value)) == 2


def test_a_file_that_contradicts_itself_is_refused_whole(engine: Engine) -> None:
    """Nothing of it is recorded."""
    rows = [Value(BITCOIN, MONDAY, Decimal(3)), Value(BITCOIN, FRIDAY, Decimal(1)), Value(BITCOIN, FRIDAY, Decimal(2))]
    with engine.begin() as connection:
        with pytest.raises(AssetError, match="two values"):
            import_values(connection, rows, FILE, AT, "operator")
        assert _on(connection, MONDAY).absent is Absent.NO_VALUE


def test_moved_days_off_that_nobody_entered_are_told(engine: Engine) -> None:
    """In a year whose moved days are not known, another day's value may have to be taken."""
    with engine.begin() as connection:
        assert Doubt.MOVED_DAYS_UNKNOWN in _on(connection, date(2026, 11, 8)).doubts
        assert not _on(connection, date(2025, 11, 8)).doubts
