"""The whole server in one process: what it is made of, in which order it starts, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from tarazy.config.law import load_law
from tarazy.config.settings import BitcoindChainSettings, Settings
from tarazy.database.engine import Database, open_engine
from tarazy.database.schema import require_schema
from tarazy.metrics.exporter import Exporter
from tarazy.pool.admissions import Admissions
from tarazy.pool.chain.bitcoind.chain import BitcoindChain
from tarazy.pool.chain.embedded import EmbeddedChain
from tarazy.pool.chain.interface import Chain
from tarazy.pool.chain.peer import PeerEntrance
from tarazy.pool.gateway import Gateway
from tarazy.pool.office import Office
from tarazy.pool.sockets import open_listeners
from tarazy.pool.telemetry import VERSION, Telemetry
from tarazy.portal.app import Portal
from tarazy.portal.snapshot import Subject
from tarazy.portal.standing import Seat
from tarazy.stratum.difficulty import exponent_of

_log = structlog.get_logger()


class Server:
    """Gateway, office, portal and metrics. `stop` undoes in reverse whatever `start` got done."""

    def __init__(self, reactor: Any, loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
        self._reactor = reactor
        self._loop = loop
        self._settings = settings
        self._endings: list[Callable[[], Awaitable[object]]] = []

    async def start(self) -> None:
        """Start everything; what cannot be had raises its own error, with the cure in the text."""
        settings, reactor = self._settings, self._reactor
        law = load_law(settings.law.assumptions, settings.law.directory)
        settings.data.mkdir(parents=True, exist_ok=True)
        database = Database(open_engine(settings.database_url), reactor)
        self._endings.append(_later(database.close))
        await database.run(require_schema)

        chain = await self._open_chain()
        admissions = Admissions(reactor, database, settings.accreditation, settings.data / "decisions.pending")
        await admissions.start()
        self._endings.append(admissions.stop)
        sockets = open_listeners(settings.stratum.listeners)
        gateway = Gateway(reactor, self._loop, settings, chain, admissions, sockets)
        office = Office(reactor, settings, database, admissions, gateway.blocks)
        self._endings.append(office.stop)
        self._endings.append(gateway.stop)
        await office.start()
        await gateway.start()

        telemetry = Telemetry(reactor, settings, gateway, office, database)
        telemetry.read.start()
        self._endings.append(telemetry.read.stop)
        exporter = Exporter(reactor, telemetry.sources(), VERSION, settings.metrics.host, settings.metrics.port)
        metrics_port = exporter.start()
        self._endings.append(exporter.stop)
        subject = Subject(
            live=telemetry.live,
            seat=Seat(settings.accreditation.server, settings.accreditation.country),
            law=law,
            reports=settings.data / "reports",
            interval_seconds=settings.energy.interval_seconds,
        )
        portal = Portal(
            reactor,
            database.engine,
            subject,
            host=settings.portal.host,
            port=settings.portal.port,
            language=settings.language,
        )
        portal_port = portal.start()
        self._endings.append(portal.stop)
        _log.info("server_started", stratum_port=gateway.port, portal_port=portal_port, metrics_port=metrics_port)

    async def _open_chain(self) -> Chain:
        settings, reactor = self._settings.chain, self._reactor
        if isinstance(settings, BitcoindChainSettings):
            nodes = BitcoindChain(reactor, settings)
            self._endings.append(nodes.close)
            nodes.start()
            return nodes
        directory = self._settings.data / "chain"
        embedded = await EmbeddedChain.open(reactor, directory, exponent_of(settings.block_difficulty))
        self._endings.append(embedded.close)
        if settings.peer_port is not None:
            peer = PeerEntrance(embedded, reactor, settings.peer_port)
            self._endings.append(peer.stop)
        return embedded

    async def stop(self) -> None:
        """Stop taking work, commit and fold what is there, close everything; a failing part holds up no other."""
        while self._endings:
            try:
                await self._endings.pop()()
            except Exception as error:
                _log.error("stop_failed", error=str(error), exc_info=True)
        _log.info("server_stopped", at=datetime.now(UTC).isoformat(timespec="seconds"))


def _later(close: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def ending() -> object:
        result = close()
        return await result if isinstance(result, Awaitable) else result

    return ending
