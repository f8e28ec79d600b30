"""The portal alone, as a process: what `tarazy bench energy` pushes readings to. Ends with SIGTERM."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tarazy.accounting.schemes import Schedule, Terms
from tarazy.config.law import load_law
from tarazy.config.settings import PortalSettings
from tarazy.database.engine import Database, open_engine
from tarazy.pool.reactor import install_reactor
from tarazy.portal.desk import Rules
from tarazy.portal.facts import Live
from tarazy.portal.second_factor import open_seal
from tarazy.portal.snapshot import Subject
from tarazy.portal.standing import Seat
from tarazy.reports.reconciled import FloorRule

_INTERVAL_SECONDS = 900


def _live() -> Live:
    return Live(
        pool_name="bench",
        demo=False,
        demo_sign_in=False,
        test_chain=True,
        started_at=datetime.now(UTC),
        stratum_url="",
        connections=None,
        ready_connections=None,
        tip_height=None,
        template_height=None,
        template_at=None,
        health={},
    )


def main(url: str, port: int, directory: Path) -> None:
    """Serve the ledger at `url`."""
    reactor: Any
    reactor, _ = install_reactor()
    from tarazy.portal.app import Portal

    law = load_law(())
    terms = Schedule(Terms(0))
    floor = FloorRule(None, timedelta(hours=1))
    subject = Subject(_live, Seat("server-1", "KZ"), lambda: law, directory, _INTERVAL_SECONDS, directory, terms, floor)
    database = Database(open_engine(url), reactor)
    rules, settings = Rules(lambda: law, timedelta(days=3), lambda _: None), PortalSettings(port=port)
    portal = Portal(reactor, subject, database, rules, settings=settings, seal=open_seal(directory / "portal.key"))
    reactor.callWhenRunning(portal.start)
    reactor.addSystemEventTrigger("before", "shutdown", portal.stop)
    reactor.addSystemEventTrigger("after", "shutdown", database.close)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
