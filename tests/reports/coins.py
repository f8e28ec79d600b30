"""Coins at work: wallets, values, sales and a payout beside what `world` has, and the reports on them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert

from tarazy.accounting import tables
from tarazy.accounting.assets.sales import Sale, record_sales
from tarazy.accounting.assets.values import BITCOIN, Value, ValueFile, import_values
from tarazy.accounting.ledger import post
from tarazy.accreditation.entries import Wallet, WalletStatus
from tarazy.accreditation.registers import append_all
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Period
from tarazy.reports.build import Asked, gather_report
from tarazy.reports.coins import DistributedRecord, Statement
from tests.reports import world

NOVEMBER = Period.parse("2026-11")
CREDIT = {"altyn": 154_687_500, "sary": 116_015_625, "tau": 38_671_875}
"""Of the one distribution that is final: 99 % of 3.125 BTC by 4, 3 and 1 parts of the work."""
ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
FINAL = datetime(2026, 11, 19, 6, 0, 2, tzinfo=UTC)
FILE = ValueFile("2026-11.csv", "cd" * 32, "kgd.gov.kz")


def happen(connection: Connection) -> None:
    """Work, wallets, a payout and values beside what the world has."""
    for round_ in (1, 2, 3):
        rows = [
            {"round": round_, "party": party, "account": party, "worker": "rig", "site": "ekibastuz-1"}
            | {
                "interval_start": world.MOMENT,
                "weight": 1 << 50,
                "shares": shares,
                "stale_weight": 1,
                "stale_shares": 2,
            }
            for party, shares in (("altyn", 40), ("sary", 30))
        ]
        connection.execute(insert(tables.tally), rows)
        of_sites = [{name: row.get(name, 1) for name in tables.site_tally.c.keys()} for row in rows]  # noqa: SIM118
        connection.execute(insert(tables.site_tally), of_sites)
    wallets = [
        Wallet(wallet=party, party=party, address=ADDRESS, status=WalletStatus.APPROVED, valid_from=world.BEGIN)
        for party in ("altyn", "sary")
    ]
    append_all(connection, wallets, world.BEGIN + timedelta(days=1), "operator", timedelta(0))
    pay(connection, "altyn", 50_000_000, FINAL + timedelta(hours=20))
    value(connection, date(2026, 11, 19), "47000000.50", FINAL + timedelta(hours=9))


def pay(connection: Connection, party: str, amount: int, at: datetime) -> None:
    """What is payable goes on its way and is paid."""
    post(connection, at, "payout-batch", "1", "", {f"payable:{party}": -amount, f"in-flight:{party}": amount})
    later = at + timedelta(minutes=10)
    post(connection, later, "payout", "1", "", {f"in-flight:{party}": -amount, f"paid:{party}": amount})


def value(connection: Connection, day: date, kzt: str, at: datetime, why: str | None = None) -> None:
    """A value is published."""
    import_values(connection, [Value(BITCOIN, day, Decimal(kzt))], FILE, at, "operator", why)


def asked(
    connection: Connection,
    kind: str,
    *,
    as_of: datetime = world.MOMENT,
    book: LawBook | None = None,
    period: Period = NOVEMBER,
    **more: Any,
) -> Any:
    """A report's content."""
    law = book or world.assumed_law()
    later = as_of + timedelta(days=1)
    return gather_report(connection, kind, as_of, world.SETTINGS, law, later, Asked(period=period, **more))


def statement(connection: Connection, party: str = "altyn", **more: Any) -> Statement:
    """A party's statement of November."""
    found = asked(connection, "statement", party=party, **more)
    assert isinstance(found, Statement)
    return found


def record(connection: Connection, **more: Any) -> DistributedRecord:
    """The record of November."""
    found = asked(connection, "distributed", **more)
    assert isinstance(found, DistributedRecord)
    return found


def sell(connection: Connection, *sales: Sale) -> None:
    """Sales are recorded."""
    record_sales(connection, sales, world.MOMENT - timedelta(days=1), "operator")


def sale(deal: str, quantity: int, licence: str | None, document: str | None = "ef" * 32) -> Sale:
    """A sale of altyn."""
    return Sale("altyn", "Exchange", licence, deal, BITCOIN, quantity, FINAL + timedelta(hours=1), document)
