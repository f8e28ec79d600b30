"""What a portal under test shows besides its database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Engine
from twisted.internet.task import Clock

from tarazy.accounting.schemes import Schedule, Scheme, Terms
from tarazy.config.law import load_law
from tarazy.config.settings import PortalSettings, Settings
from tarazy.database.engine import Database
from tarazy.pool.admissions import Admissions
from tarazy.pool.demo.scenario import demo_settings
from tarazy.pool.payouts.desk import PayoutDesk
from tarazy.portal.app import Portal
from tarazy.portal.desk import Rules
from tarazy.portal.facts import Live
from tarazy.portal.second_factor import Seal
from tarazy.portal.snapshot import Subject
from tarazy.portal.standing import Seat
from tarazy.reports.reconciled import FloorRule
from tests.portal.pool import INTERVAL, TXIDS

LAW = load_law(("fee-2026-ladder-continued",))


TERMS = Schedule(
    Terms(10_000, {"dala": 5_000}),
    ((datetime(2030, 1, 1, tzinfo=UTC), Terms(8_000, {}, Scheme.PPLNS, 4)),),
)
"""With a fee of one party's own until another scheme, which is announced."""
FLOOR = FloorRule(8_500, timedelta(hours=6))
DEPTHS = {TXIDS[1]: 2}
MACHINERY = {
    "journal": {"ok": True, "unfolded_shares": 12},
    "nodes": [{"node": "1", "ok": True}, {"node": "2", "ok": False}],
    "gateways": [{"port": 9333, "ok": True, "connections": 34, "ready_connections": 31}],
}
SEAL = Seal(Fernet.generate_key(), Path("portal.key"))


def rules() -> Rules:
    """What recording goes by; every address and meter profile is usable here."""
    return Rules(lambda: LAW, timedelta(days=3), lambda lines: None)


def make_portal(reactor: Any, subject: Subject, database: Database, port: int = 0) -> Portal:
    """A portal on loopback."""
    return Portal(reactor, subject, database, rules(), settings=PortalSettings(port=port), seal=SEAL)


async def make_payments(engine: Engine, database: Database, directory: Path) -> PayoutDesk:
    """The server's own desk for payouts, whose node nobody needs who proposes, approves and holds."""
    settings = Settings.model_validate({**demo_settings(peer_port=1), "data": directory})
    assert settings.payouts is not None
    admissions = Admissions(Clock(), database, settings.accreditation, directory / "pending")
    await admissions.refresh()
    return PayoutDesk(Clock(), settings, settings.payouts, engine, admissions)


def make_subject(directory: Path, started: datetime) -> Subject:
    """A demo pool on a test chain with two reports."""
    reports = directory / "reports"
    reports.mkdir(exist_ok=True)
    (reports / "accreditation-2026-11-22.json").write_text(json.dumps({"kind": "accreditation"}) * 900)
    (reports / "accreditation-2026-11-22-kk.pdf").write_bytes(b"%PDF-1.7\n" + b"0" * 90_000)

    def live() -> Live:
        return Live(
            pool_name="Tarazy",
            demo=True,
            demo_sign_in=True,
            test_chain=True,
            started_at=started,
            stratum_url="stratum+tcp://127.0.0.1:3333",
            connections=1214,
            ready_connections=1209,
            tip_height=843_213,
            template_height=843_214,
            template_at=started,
            health={"journal": True, "chain": True, "meters": True},
        )

    return Subject(
        live,
        Seat("astana-1", "KZ"),
        lambda: LAW,
        reports,
        INTERVAL,
        directory,
        TERMS,
        FLOOR,
        lambda: DEPTHS,
        machinery=lambda: MACHINERY,
    )


def change(subject: Subject, **values: object) -> None:
    """Let a running portal have other values from now on, which a running server's has from its start."""
    for name, value in values.items():
        object.__setattr__(subject, name, value)
