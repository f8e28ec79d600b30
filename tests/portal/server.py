"""The portal as a process of its own: prints its port, does as it is told by lines of standard input."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning

asyncio.set_event_loop(asyncio.new_event_loop())
asyncioreactor.install(asyncio.get_event_loop())  # type: ignore[no-untyped-call]

from twisted.internet import reactor as installed  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.protocols.basic import LineReceiver  # noqa: E402

from tarazy.accreditation.admission import Decision, Reason  # noqa: E402
from tarazy.accreditation.audit import append  # noqa: E402
from tarazy.accreditation.decisions import DecisionLog  # noqa: E402
from tarazy.database.engine import Database  # noqa: E402
from tarazy.portal.app import Portal  # noqa: E402
from tarazy.portal.rights import Role  # noqa: E402
from tarazy.portal.users import invite  # noqa: E402
from tests.portal.metered import metered  # noqa: E402
from tests.portal.pool import Pool  # noqa: E402
from tests.portal.sent import SCHEDULE, sent  # noqa: E402
from tests.portal.subject import change, make_payments, make_portal, make_subject  # noqa: E402


class Orders(LineReceiver):
    """A line `cut` from standard input ends the event streams, `invite NAME` invites, `refuse NAME` turns a login away;
    any other is a found block."""

    delimiter = b"\n"

    def __init__(self, pool: Pool, portal: Portal) -> None:
        self._pool = pool
        self._portal = portal

    def lineReceived(self, line: bytes) -> None:  # noqa: N802 - Twisted's name
        """Do it, and tell."""
        if line == b"cut":
            self._portal.hub.close()
            print("cut", flush=True)  # noqa: T201 - the test reads it
            return
        if line.startswith(b"refuse "):
            log, now = DecisionLog(), datetime.now(UTC)
            account, _, party = line.removeprefix(b"refuse ").decode().partition(" ")
            reason = Reason.SITE_UNKNOWN if party else Reason.UNKNOWN_ACCOUNT
            log.add(Decision(False, (reason,), "", party, "", ()), account, "rig", "2.72.0.9", now)
            with self._pool.engine.begin() as connection:
                append(connection, log.take(now, everything=True), now)
            print("refused", flush=True)  # noqa: T201 - the test reads it
            return
        if line.startswith(b"invite "):
            with self._pool.engine.begin() as connection:
                name, now = line.removeprefix(b"invite ").decode(), datetime.now(UTC)
                print(invite(connection, name, Role.INSPECTOR, None, now, "test"), flush=True)  # noqa: T201 - as above
            return
        print(self._pool.find_block(), flush=True)  # noqa: T201 - the test reads it

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802 - Twisted's name
        """The test is over."""
        with suppress(ReactorNotRunning):
            reactor.stop()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    reactor: Any = installed
    where = Path(sys.argv[1])
    pool = Pool(where)
    metered(pool)
    subject = replace(make_subject(where, datetime.now(UTC) - timedelta(hours=23)), schedule=SCHEDULE)
    with pool.engine.begin() as connection:
        sent(connection, subject.reports, datetime.now(UTC))
    database = Database(pool.engine, reactor)
    portal = make_portal(reactor, subject, database, int(sys.argv[2]) if len(sys.argv) > 2 else 0)

    async def begin() -> None:
        change(subject, payments=await make_payments(pool.engine, database, where))
        await portal.warm()
        port = portal.start()
        print(port, flush=True)  # noqa: T201 - the test reads it
        StandardIO(Orders(pool, portal), reactor=reactor)  # type: ignore[no-untyped-call]

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(begin()))
    reactor.addSystemEventTrigger("before", "shutdown", portal.stop)
    reactor.addSystemEventTrigger("after", "shutdown", database.close)
    reactor.run()
