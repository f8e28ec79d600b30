"""Coins that miners sold, and the share of them that must go through exchanges licensed in the AIFC.

The pool records sales; it sells nothing. A deal is known by its exchange and number. Rows are never changed; a
correction is a new row that names the old one, and one of quantity 0 takes the sale back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, tuple_

from tarazy.accounting.assets.tables import asset_sale
from tarazy.accounting.assets.values import AssetError, Counts
from tarazy.config.law import ObligatorySaleRule

BASES: tuple[Literal["sold", "mined"], ...] = ("sold", "mined")
_AT_ONCE = 400
"""Deals looked up in one query."""


@dataclass(frozen=True, slots=True)
class Sale:
    """One deal. `quantity` is in satoshi, `document` the SHA-256 of the deal's document."""

    party: str
    exchange: str
    exchange_licence: str | None
    """Number of the exchange's AIFC licence; None: it has none."""
    deal: str
    asset: str
    quantity: int
    sold_at: datetime
    document: str | None


@dataclass(frozen=True, slots=True)
class RecordedSale:
    """A sale as it stands recorded."""

    entry: int
    sale: Sale
    recorded_at: datetime
    corrects: int | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Obligation:
    """The obligation taken of one base, in satoshi."""

    base: str
    amount: int
    """All that was sold, or all that was mined."""
    required: int | None
    """The least to sell through AIFC exchanges, rounded up; None where no rule is entered."""
    through_aifc: int

    @property
    def missing(self) -> int | None:
        """What is still to be sold there; 0 when the obligation is met."""
        return None if self.required is None else max(0, self.required - self.through_aifc)


def obligations(rule: ObligatorySaleRule | None, mined: int, sales: Iterable[Sale]) -> tuple[Obligation, ...]:
    """The obligation on every base that the rule names; without a rule the amounts alone."""
    held = list(sales)
    amounts = {"sold": sum(sale.quantity for sale in held), "mined": mined}
    through = sum(sale.quantity for sale in held if sale.exchange_licence)
    if rule is None:
        return tuple(Obligation(base, amounts[base], None, through) for base in BASES)
    percent = rule.minimum_percent
    return tuple(Obligation(base, amounts[base], -(-amounts[base] * percent // 100), through) for base in rule.bases)


def standing_sales(
    connection: Connection, start: datetime, end: datetime, known_at: datetime, party: str | None = None
) -> list[RecordedSale]:
    """Sales made in [start, end) as they stood at `known_at`, in order of time; of one party if it is named."""
    later = asset_sale.alias()
    query = (
        select(asset_sale)
        .outerjoin(later, (later.c.corrects == asset_sale.c.entry) & (later.c.recorded_at <= known_at))
        .where(asset_sale.c.sold_at >= start, asset_sale.c.sold_at < end, asset_sale.c.recorded_at <= known_at)
        .where(later.c.entry.is_(None), asset_sale.c.quantity > 0)
        .order_by(asset_sale.c.sold_at, asset_sale.c.exchange, asset_sale.c.deal)
    )
    if party is not None:
        query = query.where(asset_sale.c.party == party)
    return [_recorded(row) for row in connection.execute(query)]


def record_sales(
    connection: Connection, sales: Sequence[Sale], at: datetime, by: str, why: str | None = None
) -> Counts:
    """Record sales, all or none; deals that stand already as told are left as they are.

    Raises `AssetError` where a deal is told twice, or differs from what is recorded and no reason `why` is given.
    """
    wanted = {(sale.exchange, sale.deal): sale for sale in sales}
    faults = (
        []
        if len(wanted) == len(sales)
        else [f"deal {sale.deal} of {sale.exchange} is told twice" for sale in _twice(sales)]
    )
    standing = _newest(connection, list(wanted))
    changed = [sale for key, sale in wanted.items() if key not in standing or standing[key].sale != sale]
    corrected = [sale for sale in changed if (sale.exchange, sale.deal) in standing]
    if not why:
        faults += [
            f"deal {sale.deal} of {sale.exchange} is recorded otherwise by entry "
            f"{standing[sale.exchange, sale.deal].entry}; give --why to correct it"
            for sale in corrected
        ]
    faults += [
        f"deal {sale.deal} of {sale.exchange}: nothing was sold; only a correction may have quantity 0"
        for sale in changed
        if not sale.quantity and sale not in corrected
    ]
    if faults:
        raise AssetError("\n".join(faults))
    rows = []
    for sale in changed:
        before = standing.get((sale.exchange, sale.deal))
        rows.append(
            {
                "party": sale.party,
                "exchange": sale.exchange,
                "exchange_licence": sale.exchange_licence,
                "deal": sale.deal,
                "asset": sale.asset,
                "quantity": sale.quantity,
                "sold_at": sale.sold_at,
                "document": sale.document,
                "corrects": before and before.entry,
                "why": why if before else None,
                "recorded_at": at,
                "recorded_by": by,
            }
        )
    if rows:
        connection.execute(insert(asset_sale), rows)
    return Counts(len(changed) - len(corrected), len(corrected), len(wanted) - len(changed))


def _twice(sales: Iterable[Sale]) -> list[Sale]:
    seen: set[tuple[str, str]] = set()
    found = []
    for sale in sales:
        if (sale.exchange, sale.deal) in seen:
            found.append(sale)
        seen.add((sale.exchange, sale.deal))
    return found


def _newest(connection: Connection, deals: Sequence[tuple[str, str]]) -> dict[tuple[str, str], RecordedSale]:
    """The row recorded last of each deal, those taken back too."""
    key = tuple_(asset_sale.c.exchange, asset_sale.c.deal)
    found = {}
    for first in range(0, len(deals), _AT_ONCE):
        query = select(asset_sale).where(key.in_(deals[first : first + _AT_ONCE])).order_by(asset_sale.c.entry)
        found.update({(row.exchange, row.deal): _recorded(row) for row in connection.execute(query)})
    return found


def _recorded(row: Any) -> RecordedSale:
    sale = Sale(
        row.party,
        row.exchange,
        row.exchange_licence,
        row.deal,
        row.asset,
        row.quantity,
        row.sold_at,
        row.document,
    )
    return RecordedSale(row.entry, sale, row.recorded_at, row.corrects, row.why)
