"""Values of digital assets in tenge, day by day, as an authority published them.

Which day's value counts is the rule's: on a day nobody works on, that of the working day before. Where none was
published for that day there is no figure. Rows are never changed; a correction is a new row that names the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import StrEnum

from sqlalchemy import Connection, insert, select

from tarazy.accounting.assets.tables import asset_value, value_file
from tarazy.config.law import AssetValuationRule, LawBook, NoRuleInForceError
from tarazy.config.law.working_days import Doubt, WorkingDays

BITCOIN = "Bitcoin"
"""What the pool distributes, as the authority's lists name it."""


@dataclass(frozen=True, slots=True)
class Value:
    """Tenge for one whole coin of an asset on a legal day, as a file states it."""

    asset: str
    day: date
    value_kzt: Decimal


@dataclass(frozen=True, slots=True)
class ValueFile:
    """A published file: its name, the SHA-256 of its content, and who published it where."""

    name: str
    digest: str
    source: str


@dataclass(frozen=True, slots=True)
class RecordedValue:
    """A value as it stands recorded, with the file it came from."""

    entry: int
    value: Value
    file: ValueFile
    imported_at: datetime
    corrects: int | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows were new, corrected what was recorded, or stood there already."""

    added: int
    corrected: int
    unchanged: int


class AssetError(ValueError):
    """Rows that are not recorded. One line of text for each fault, with its cure."""


class Absent(StrEnum):
    """Why there is no figure."""

    NO_RULE = "no_rule"
    """No rule on valuation is in force on the day."""
    NOT_LISTED = "not_listed"
    """The list of assets in the rule lacks this one."""
    NO_VALUE = "no_value"
    """No value was imported for the day that counts."""


@dataclass(frozen=True, slots=True)
class Valued:
    """What a coin was worth on `day`, by the value of `value_day`, or why there is no figure."""

    day: date
    value_day: date
    recorded: RecordedValue | None
    rule: AssetValuationRule | None
    absent: Absent | None
    doubts: frozenset[Doubt]
    """Why another day's value may have to be taken."""

    def tenge(self, satoshi: int) -> Decimal | None:
        """Satoshi in tenge, rounded once, to whole tiyn, half up; None where there is no figure."""
        if self.recorded is None:
            return None
        with localcontext(prec=60):
            exact = (Decimal(satoshi) * self.recorded.value.value_kzt).scaleb(-8)
            return exact.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def value_days(working: WorkingDays, days: Iterable[date]) -> dict[date, date]:
    """The working day whose value counts on each of `days`: the day itself, or the one before."""
    return {day: day if working.is_working(day) else working.before(day, 1) for day in sorted(set(days))}


def value_of(
    book: LawBook, working: WorkingDays, asset: str, day: date, value_day: date, recorded: Mapping[date, RecordedValue]
) -> Valued:
    """What one coin of `asset` was worth on `day`, given the values recorded by day."""
    doubts = working.doubts(value_day, day)
    try:
        rule = book.rule(AssetValuationRule, day)
    except NoRuleInForceError:
        return Valued(day, value_day, None, None, Absent.NO_RULE, doubts)
    if rule.assets is not None and asset not in rule.assets:
        return Valued(day, value_day, None, rule, Absent.NOT_LISTED, doubts)
    found = recorded.get(value_day)
    return Valued(day, value_day, found, rule, None if found else Absent.NO_VALUE, doubts)


def values_on(
    connection: Connection,
    book: LawBook,
    working: WorkingDays,
    days: Iterable[date],
    known_at: datetime,
    asset: str = BITCOIN,
) -> dict[date, Valued]:
    """What one coin was worth on each of `days`, by what was imported up to `known_at`."""
    counting = value_days(working, days)
    if not counting:
        return {}
    recorded = standing_values(connection, asset, min(counting.values()), max(counting.values()), known_at)
    return {day: value_of(book, working, asset, day, counts, recorded) for day, counts in counting.items()}


def standing_values(
    connection: Connection, asset: str, first: date, last: date, known_at: datetime
) -> dict[date, RecordedValue]:
    """Values of the days from `first` to `last` that stood at `known_at`: of each day the one recorded last."""
    query = (
        select(asset_value, value_file.c.name, value_file.c.digest, value_file.c.source, value_file.c.imported_at)
        .join(value_file)
        .where(asset_value.c.asset == asset, asset_value.c.day.between(first, last))
        .where(value_file.c.imported_at <= known_at)
        .order_by(asset_value.c.day, asset_value.c.entry)
    )
    return {
        row.day: RecordedValue(
            row.entry,
            Value(row.asset, row.day, Decimal(row.value_kzt)),
            ValueFile(row.name, row.digest, row.source),
            row.imported_at,
            row.corrects,
            row.why,
        )
        for row in connection.execute(query)
    }


def import_values(
    connection: Connection, values: Iterable[Value], file: ValueFile, at: datetime, by: str, why: str | None = None
) -> Counts:
    """Record the values of a file, all or none; those that stand already are left as they are.

    Raises `AssetError` where the file contradicts itself, or what is recorded and no reason `why` is given.
    """
    wanted: dict[tuple[str, date], Value] = {}
    faults = []
    for value in values:
        if wanted.setdefault((value.asset, value.day), value) != value:
            faults.append(f"{value.asset} on {value.day} stands in the file with two values; keep the one published")
    standing = {
        (asset, day): recorded
        for asset in sorted({asset for asset, _ in wanted})
        for day, recorded in standing_values(
            connection, asset, min(day for _, day in wanted), max(day for _, day in wanted), at
        ).items()
    }
    changed = {key: value for key, value in wanted.items() if key not in standing or standing[key].value != value}
    corrected = [key for key in changed if key in standing]
    if not why:
        faults += [
            f"{asset} on {day} is recorded as {standing[asset, day].value.value_kzt} by entry "
            f"{standing[asset, day].entry}; give --why to correct it"
            for asset, day in corrected
        ]
    if faults:
        raise AssetError("\n".join(faults))
    if changed:
        made = insert(value_file).values(
            name=file.name, digest=file.digest, source=file.source, imported_at=at, imported_by=by
        )
        number = connection.execute(made.returning(value_file.c.file)).scalar_one()
        rows = [
            {
                "file": number,
                "asset": asset,
                "day": day,
                "value_kzt": f"{value.value_kzt:f}",
                "corrects": standing[asset, day].entry if (asset, day) in standing else None,
                "why": why if (asset, day) in standing else None,
            }
            for (asset, day), value in changed.items()
        ]
        connection.execute(insert(asset_value), rows)
    return Counts(len(changed) - len(corrected), len(corrected), len(wanted) - len(changed))
