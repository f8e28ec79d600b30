"""A year of a national pool, written straight into an empty ledger: what reports of that size are built from.

Everything in it is invented. The days of meters are those of its last quarter, the longest span that a document asks
energy of; the tallies of workers are those of some rounds spread over the year, their sums by party and site, which
statements read, those of every interval of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert, literal, select

from tarazy.accounting.assets.tables import asset_sale, asset_value, value_file
from tarazy.accounting.assets.values import BITCOIN
from tarazy.accounting.energy.tables import allocation_day, meter_day, site_day
from tarazy.accounting.ledger import FEE, IMMATURE_FEE, REMAINDER, REWARD, immature, paid, payable
from tarazy.accounting.tables import (
    block,
    credit,
    distribution,
    ledger_account,
    ledger_entry,
    ledger_posting,
    round_,
    round_work,
    site_tally,
    tally,
)
from tarazy.accreditation.entries import EnergySource, Entry, Meter, MeterStatus, Wallet, WalletStatus
from tarazy.accreditation.tables import audit
from tarazy.config.law.calendar import Period, legal_day
from tarazy.pool.bench.admission import record, world

YEAR = Period.parse("2026")
_QUARTER = Period.parse("2026-Q4")
_AT_ONCE = 20_000
_REWARD = 312_500_000
_FEE = 3_125_000
_WORK = 1 << 60
_DAY = timedelta(days=1)
_INTERVAL = timedelta(minutes=15)
_MATURING = timedelta(hours=17)
_DAY_WH = 24_000


@dataclass(frozen=True, slots=True)
class Size:
    """How large the pool is, and how many blocks it finds in the year."""

    parties: int
    workers: int
    blocks: int
    meters: int
    tallied: int
    """Rounds whose tallies are written, one for each worker."""


def write_year(engine: Engine, size: Size, progress: Callable[[str], None]) -> None:
    """Fill an empty ledger, or what an earlier run of the same size left out: each step is one transaction."""
    names = [f"party-{number}" for number in range(size.parties)]
    steps: dict[str, tuple[Table, Callable[[Connection], None]]] = {
        "registers": (audit, lambda connection: record(connection, _registers(size))),
        "blocks and credits": (block, lambda connection: _write_blocks(connection, names, size.blocks)),
        "ledger": (ledger_entry, lambda connection: _write_ledger(connection, names, size.blocks)),
        "tallies": (tally, lambda connection: _insert(connection, tally, _tallies(size))),
        "sums of tallies": (site_tally, lambda connection: _insert(connection, site_tally, _sums(size))),
        "values and sales": (asset_sale, lambda connection: _write_sales(connection, names)),
        "days of meters": (meter_day, lambda connection: _write_energy(connection, size)),
    }
    for what, (table, write) in steps.items():
        with engine.begin() as connection:
            if connection.execute(select(table).limit(1)).first() is None:
                progress(f"writing {what}")
                write(connection)


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    rest = iter(rows)
    while some := list(islice(rest, _AT_ONCE)):
        connection.execute(insert(table), some)


def _registers(size: Size) -> Iterator[Entry]:
    yield from world(size.parties, 4 * size.parties, size.workers)
    for number in range(size.parties):
        yield Wallet(
            wallet=f"wallet-{number}",
            party=f"party-{number}",
            address=f"bc1qbench{number}",
            status=WalletStatus.APPROVED,
            valid_from=YEAR.start,
        )
    for number in range(size.meters):
        yield Meter(
            meter=_meter(number),
            site=f"site-{number % size.parties}",
            host="10.0.0.2",
            port=502,
            unit=1,
            profile="register-wh",
            source=(EnergySource.GRID, EnergySource.BILATERAL, EnergySource.OWN_RENEWABLE)[number % 3],
            price_tiyn_per_kwh=2_000 + number % 7,
            status=MeterStatus.OK,
            valid_from=YEAR.start,
        )


def _meter(number: int) -> str:
    return f"m-{number:06}"


def _found(number: int, blocks: int) -> datetime:
    """When a block was found; the last ones are final before the year ends."""
    return YEAR.start + _DAY + number * ((YEAR.end - YEAR.start - 3 * _DAY) / blocks)


def _hash(number: int) -> str:
    return sha256(b"bench %d" % number).hexdigest()


def _parts(names: list[str]) -> tuple[int, int]:
    """What each party is credited of a block, and what is left."""
    return divmod(_REWARD - _FEE, len(names))


def _write_blocks(connection: Connection, names: list[str], blocks: int) -> None:
    numbers = range(1, blocks + 1)
    amount, rest = _parts(names)
    found = {number: _found(number, blocks) for number in numbers}
    _insert(
        connection,
        round_,
        (
            {"round": n, "opened_at": found[n] - _DAY, "closed_at": found[n], "block_hash": _hash(n), "gateway": 1}
            | {"fee_ppm": 10_000, "scheme": "prop"}
            for n in numbers
        ),
    )
    _insert(
        connection,
        block,
        (
            {"block_hash": _hash(n), "height": 900_000 + 5 * n, "round": n, "gateway": 1, "sequence": n, "worker": "1"}
            | {"party": names[n % len(names)], "found_at": found[n], "state": "mature", "confirmations": 100}
            | {"reward": _REWARD, "state_at": found[n] + _MATURING}
            for n in numbers
        ),
    )
    _insert(
        connection,
        distribution,
        (
            {"distribution": n, "block_hash": _hash(n), "first_round": n, "last_round": n, "reward": _REWARD}
            | {"fee_ppm": 10_000, "fee": _FEE, "remainder": rest, "total_weight": _WORK * len(names)}
            | {"state": "final", "booked_at": found[n], "final_at": found[n] + _MATURING}
            for n in numbers
        ),
    )
    _insert(
        connection,
        credit,
        ({"distribution": n, "party": name, "weight": _WORK, "amount": amount} for n in numbers for name in names),
    )
    _insert(
        connection,
        round_work,
        (
            {"round": n, "target": "", "subsidy": _REWARD, "party": name, "weight": _WORK}
            for n in numbers
            for name in names
        ),
    )


def _write_ledger(connection: Connection, names: list[str], blocks: int) -> None:
    """Bookings of every distribution, what became final, and a payout of that each week, in the order of time."""
    amount, rest = _parts(names)
    events = [(_found(n, blocks), "distribution", str(n)) for n in range(1, blocks + 1)]
    events += [(at + _MATURING, "maturity", reference) for at, _, reference in events]
    events += [(YEAR.start + week * 7 * _DAY, "payout", str(week)) for week in range(1, 53)]
    events.sort()
    balances: Counter[str] = Counter()
    due = 0
    for number, (at, kind, reference) in enumerate(events, 1):
        match kind:
            case "distribution":
                moved = {immature(name): amount for name in names}
                moved |= {REWARD: -_REWARD, IMMATURE_FEE: _FEE, REMAINDER: rest}
            case "maturity":
                due += amount
                moved = {payable(name): amount for name in names} | {immature(name): -amount for name in names}
                moved |= {IMMATURE_FEE: -_FEE, FEE: _FEE}
            case _:
                moved = {paid(name): due for name in names} | {payable(name): -due for name in names}
                due = 0
        rows = [{"entry": number, "account": name, "amount": sum_} for name, sum_ in moved.items() if sum_]
        if not rows:
            continue
        connection.execute(insert(ledger_posting), rows)
        entry = {"entry": number, "at": at, "kind": kind, "reference": reference, "note": ""}
        connection.execute(insert(ledger_entry).values(**entry))
        balances.update(moved)
    _insert(connection, ledger_account, ({"account": name, "balance": sum_} for name, sum_ in balances.items()))


def _tallies(size: Size) -> Iterator[dict[str, Any]]:
    for place in range(size.tallied):
        number = 1 + place * size.blocks // size.tallied
        at = _found(number, size.blocks)
        for worker in range(size.workers):
            party = worker % size.parties
            yield {
                "round": number,
                "interval_start": at,
                "party": f"party-{party}",
                "account": f"account{party}",
                "worker": f"rig{worker}",
                "site": f"site-{party}",
                "weight": _WORK,
                "shares": 90,
                "stale_weight": 0,
                "stale_shares": 0,
            }


def _sums(size: Size) -> Iterator[dict[str, Any]]:
    opened = YEAR.start
    for number in range(1, size.blocks + 1):
        closed = _found(number, size.blocks)
        for interval in range((opened - YEAR.start) // _INTERVAL, (closed - YEAR.start) // _INTERVAL + 1):
            for party in range(size.parties):
                yield {
                    "round": number,
                    "interval_start": YEAR.start + interval * _INTERVAL,
                    "party": f"party-{party}",
                    "site": f"site-{party}",
                    "weight": _WORK,
                    "heaviest": _WORK // 67_500,
                    "shares": 67_500,
                    "stale_weight": 0,
                    "stale_shares": 0,
                }
        opened = closed


def _write_sales(connection: Connection, names: list[str]) -> None:
    recorded = {"recorded_at": YEAR.end - _DAY, "recorded_by": "bench"}
    file = {"file": 1, "name": "values.csv", "digest": "0" * 64, "source": "bench", "imported_at": YEAR.end - _DAY}
    connection.execute(insert(value_file).values(**file, imported_by="bench"))
    days = range(-7, (YEAR.end - YEAR.start).days)
    values = (
        {"file": 1, "asset": BITCOIN, "day": legal_day(YEAR.start) + day * _DAY, "value_kzt": f"{47_000_000 + day}.25"}
        for day in days
    )
    _insert(connection, asset_value, values)
    deals = (
        {"party": name, "exchange": "Exchange", "exchange_licence": "AFSA-1", "deal": f"{name}-{week}"}
        | {"asset": BITCOIN, "quantity": 50_000_000, "sold_at": YEAR.start + week * 7 * _DAY, "document": "0" * 64}
        | recorded
        for week in range(1, 52)
        for name in names
    )
    _insert(connection, asset_sale, deals)


def _write_energy(connection: Connection, size: Size) -> None:
    """The first day row by row, the others as its copies."""
    first, recorded = _QUARTER.start, YEAR.end - _DAY
    day = {"day_start": first, "version": 1, "day_end": first + _DAY, "intervals": 96}
    day |= {"first_at": recorded, "recorded_at": recorded}
    points = (
        {"meter": _meter(number), "site": f"site-{number % size.parties}", "party": "", "quality": "measured"}
        | {"energy_wh": _DAY_WH}
        | day
        for number in range(size.meters)
    )
    _insert(connection, meter_day, points)
    whole = Counter(number % size.parties for number in range(size.meters))
    shares = (
        {"site": f"site-{site}", "party": party, "energy_wh": energy_wh, "estimate_wh": energy_wh}
        | {"estimates": 96, "uncertain_wh": 0}
        | day
        for site, meters in whole.items()
        for party, energy_wh in (
            (f"party-{site}", meters * _DAY_WH - meters * _DAY_WH // 8),
            (f"party-{(site + 1) % size.parties}", meters * _DAY_WH // 8),
        )
    )
    _insert(connection, allocation_day, shares)
    folded = {name: day[name] for name in ("day_start", "day_end")} | {"state": "folded", "whole_at": recorded}
    _insert(connection, site_day, ({"site": f"site-{site}", **folded} for site in whole))
    for table in (meter_day, allocation_day, site_day):
        for number in range(1, (_QUARTER.end - first).days - 1):
            start = first + number * _DAY
            moved = {"day_start": start, "day_end": start + _DAY}
            columns = [literal(moved[c.name], c.type) if c.name in moved else c for c in table.c]
            copied = select(*columns).where(table.c.day_start == first)
            connection.execute(insert(table).from_select([c.name for c in table.c], copied))
