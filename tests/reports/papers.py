"""What the distribution report, the statement of energy and the list of what ends tell of, beside what `world` has."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.energy.balance import store_intervals
from tarazy.accounting.energy.intervals import Interval
from tarazy.accounting.energy.meter import Meter as MeterPoint
from tarazy.accounting.payouts import batches
from tarazy.accounting.payouts.machine import Destination, Limits
from tarazy.accounting.proof.record import keep
from tarazy.accreditation import audit
from tarazy.accreditation.documents import store
from tarazy.accreditation.entries import (
    Certificate,
    Document,
    EnergyBy,
    EnergySource,
    Licence,
    Meter,
    Placement,
    Quota,
    Site,
    Supply,
)
from tarazy.accreditation.registers import append_all
from tests.reports import world

FINAL = datetime(2026, 11, 19, 6, 0, 2, tzinfo=UTC)
"""When the world's first distribution became final."""
ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TXID = "ab" * 32
ROOTS = {"share_root": "c1" * 32, "sum_root": "d2" * 32}


def put_on_record(connection: Connection, at: datetime = FINAL + timedelta(minutes=1)) -> int:
    """The record of the first round enters the audit log; its row."""
    row = audit.append(connection, [audit.AuditEvent("round_proof", {"round": 1})], at).size
    keep(connection, {"distribution": 1, "round": 1, "shares": 812_344, **ROOTS}, row)
    return row


def pay(connection: Connection, at: datetime = FINAL + timedelta(hours=1)) -> int:
    """What the first distribution gave altyn and sary is proposed, approved, signed and confirmed; the batch."""
    places = {party: Destination(ADDRESS, bytes.fromhex("0014" + "11" * 20)) for party in ("altyn", "sary")}
    limits = Limits(threshold=1, outputs=10, batch=10**9, day=10**9, first=None)
    number, _ = batches.propose(connection, at, "aigul", places, limits, (at, at + timedelta(days=1)), unproven=True)
    assert number is not None
    batches.approve(connection, number, at + timedelta(minutes=5), "berik")
    batches.sign(connection, number, at + timedelta(minutes=6), TXID, "00", 1_410)
    batches.confirm(connection, number, at + timedelta(hours=1), TXID)
    return number


def end_soon(connection: Connection) -> None:
    """A certificate, a licence, a placement, a supply's contract, a quota and a meter's calibration are to end."""
    entries = world.registers()
    certificate = next(row for row in entries if isinstance(row, Certificate))
    licence = next(row for row in entries if isinstance(row, Licence) and row.party == "tau")
    placement = next(row for row in entries if isinstance(row, Placement))
    calibration = Document(
        document="calibration-1",
        of_register="meter",
        of_key="ek-feeder-1",
        title="Салыстырып тексеру сертификаты",
        number="KZ-77",
        digest=store(connection, b"%PDF-1.4 calibration", world.BEGIN),
        media_type="application/pdf",
        size=20,
        valid_from=world.BEGIN,
        valid_to=datetime(2027, 1, 14, 19, tzinfo=UTC),
    )
    ends = [
        replace(certificate, **corrected(1), valid_to=datetime(2026, 11, 24, 19, tzinfo=UTC)),
        replace(licence, **corrected(3), valid_to=datetime(2026, 12, 31, 19, tzinfo=UTC)),
        replace(placement, **corrected(1), valid_to=datetime(2026, 12, 14, 19, tzinfo=UTC)),
        replace(supply(), supply="te-grid", site="temirtau", valid_to=datetime(2027, 1, 31, 19, tzinfo=UTC)),
        *(quota(month) for month in ("2026-11", "2026-12")),
        calibration,
    ]
    append_all(connection, ends, world.BEGIN + timedelta(days=5), "operator", timedelta(0))


def quota(month: str) -> Quota:
    """What Ekibastuz may take in a month."""
    return Quota(quota=f"q-{month}", site="ekibastuz-1", month=month, energy_kwh=90_000, valid_from=world.BEGIN)


def corrected(entry: int) -> dict[str, Any]:
    """What a version says that stands in place of another."""
    return {"corrects": entry, "why": "Мерзімі бар"}


def supply(price: int | None = 2_155) -> Supply:
    """The bilateral contract of Ekibastuz."""
    return Supply(
        supply="ek-bilateral",
        site="ekibastuz-1",
        source=EnergySource.BILATERAL,
        priority=1,
        price_tiyn_per_kwh=price,
        supplier="«Екібастұз ГРЭС-1» ЖШС",
        contract="77/26-Э",
        valid_from=world.BEGIN,
    )


def share_by_rule(connection: Connection, price: int | None = 2_155) -> None:
    """Ekibastuz shares its energy by agreed parts from November on, buys it by contract, and sary has a sub-meter."""
    at = datetime(2026, 10, 31, 19, tzinfo=UTC)
    site = next(row for row in world.registers() if isinstance(row, Site))
    own = Meter(
        meter="ek-sary",
        site="ekibastuz-1",
        host="10.0.0.3",
        port=502,
        unit=2,
        profile="tarazy-demo",
        source=EnergySource.GRID,
        price_tiyn_per_kwh=0,
        status=next(row for row in world.registers() if isinstance(row, Meter)).status,
        party="sary",
        valid_from=world.BEGIN,
    )
    ruled = replace(site, valid_from=at, energy_by=EnergyBy.FIXED, energy_parts="altyn=62.5 sary=37.5")
    append_all(connection, [ruled, own, supply(price)], world.BEGIN + timedelta(days=3), "operator", timedelta(0))
    start = datetime(2026, 11, 10, tzinfo=UTC)
    point = MeterPoint("ek-sary", "ekibastuz-1", "10.0.0.3", 502, 2, "tarazy-demo", "sary")
    intervals = [
        Interval(start + timedelta(hours=hour), 3600, 9_000, "measured" if hour else "estimated") for hour in range(6)
    ]
    store_intervals(connection, [(point, intervals)], start + timedelta(hours=7))
