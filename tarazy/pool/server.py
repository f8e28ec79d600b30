"""One process of the pool: what it is made of, in which order it starts, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from tarazy.accreditation.geo_update import adopt_shipped
from tarazy.config.law import LawBook, load_law
from tarazy.config.settings import BitcoindChainSettings, Settings
from tarazy.database.engine import Database, open_engine
from tarazy.database.schema import require_schema
from tarazy.metrics.exporter import Exporter
from tarazy.metrics.facts import Sources, WorkFacts
from tarazy.pool import notify
from tarazy.pool.admissions import Admissions
from tarazy.pool.archives import Archives
from tarazy.pool.blocks import BlockStore
from tarazy.pool.certificates import Certificates
from tarazy.pool.chain.bitcoind.chain import BitcoindChain
from tarazy.pool.chain.embedded import EmbeddedChain
from tarazy.pool.chain.interface import Chain
from tarazy.pool.chain.peer import PeerEntrance
from tarazy.pool.folded import EnergyDays
from tarazy.pool.followed import FollowedBlocks
from tarazy.pool.gateway import Gateway
from tarazy.pool.inspection import Inspection
from tarazy.pool.launch import Role
from tarazy.pool.log import set_level
from tarazy.pool.office import Office
from tarazy.pool.payouts.desk import PayoutDesk
from tarazy.pool.proof import DailyProof
from tarazy.pool.rejections import RejectionKeeper
from tarazy.pool.reload import compare
from tarazy.pool.repeat import Repeat
from tarazy.pool.reporting.courier import Courier
from tarazy.pool.reporting.planner import Planner
from tarazy.pool.sockets import open_listeners
from tarazy.pool.telemetry import VERSION, GatewayTelemetry, OfficeTelemetry
from tarazy.pool.templates import address_script
from tarazy.pool.terms import schedule_of
from tarazy.pool.usable import require_usable
from tarazy.pool.watched import machinery
from tarazy.portal.app import Portal
from tarazy.portal.desk import Rules
from tarazy.portal.readings import Pushed
from tarazy.portal.second_factor import open_seal
from tarazy.portal.snapshot import Subject
from tarazy.portal.standing import Seat
from tarazy.reports.delivery.profile import load_profiles
from tarazy.reports.reconciled import FloorRule
from tarazy.stratum.difficulty import exponent_of

_log = structlog.get_logger()

_Endings = list[Callable[[], Awaitable[object]]]


class Server:
    """Chain, gateway, office, portal and metrics, as far as the process has the role.

    It starts in three steps: `prepare` may run beside the process that is to be replaced, `mine` when that one has
    let go of miners, journal and chain, `keep` when it is gone. `stop` undoes in reverse whatever got done.
    """

    def __init__(
        self,
        reactor: Any,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        role: Role,
        inherited: Sequence[socket.socket],
    ) -> None:
        """`inherited`: sockets to listen on."""
        self.settings = settings
        self.sockets: list[socket.socket] = []
        """Those that miners connect to."""
        self._reactor = reactor
        self._loop = loop
        self._mines = role is not Role.OFFICE
        self._keeps = role is not Role.GATEWAY
        self._inherited = inherited
        self._gateway: Gateway | None = None
        self._drain_seconds = 0.0
        self._mining: _Endings = []
        self._keeping: _Endings = []
        self._works: list[Repeat] = []

    async def prepare(self) -> None:
        """All that needs neither journal nor chain; what cannot be had raises its own error, with the cure in it."""
        settings, reactor = self.settings, self._reactor
        self._law = load_law(settings.law.assumptions, settings.law.directory)
        self._payout_script = address_script(settings.pool.payout_address, settings.chain.address_chain)
        if self._mines:
            self._certificates = Certificates(reactor, settings.stratum.listeners)
            self.sockets = open_listeners(settings.stratum.listeners, self._inherited)
        settings.data.mkdir(parents=True, exist_ok=True)
        self._database = Database(open_engine(settings.database_url), reactor)
        self._keeping.append(_later(self._database.close))
        await self._database.run(require_schema)
        if self._keeps:
            self._profiles = load_profiles(settings.reports.profiles)
            await self._database.run(_adopt, settings.accreditation.country)
        self._admissions = Admissions(reactor, self._database, settings.accreditation, settings.decisions_path)
        await self._admissions.start()
        self._keeping.append(self._admissions.stop)
        self._require_registration()

    async def mine(self) -> None:
        """Follow the chain, and serve miners. Raises `JournalError` or `FoldError` before the first of them."""
        settings, reactor = self.settings, self._reactor
        self._chain = await self._open_chain(self._mining if self._mines else self._keeping)
        if self._mines:
            self._gateway = Gateway(
                reactor,
                self._loop,
                settings,
                self._chain,
                self._admissions,
                self.sockets,
                self._certificates,
                self._payout_script,
            )
            self._mining.append(self._end_gateway)
        if self._keeps:
            blocks = FollowedBlocks(
                settings.blocks_path.parent,
                lambda path, hear: BlockStore(path, self._chain, reactor, self._payout_script, hear),
            )
            self._mining.append(blocks.stop)
            self._office = Office(reactor, settings, self._database, self._admissions, blocks, self._chain)
            self._keeping.append(self._office.stop)
            await self._office.check()
        if self._gateway:
            await self._gateway.start()
            _log.info("miners_served", ports=[each.getsockname()[1] for each in self.sockets])

    async def keep(self) -> None:
        """Keep the books and show them; serve the metrics."""
        sources = Sources(admission=self._admissions.facts, work=self._working)
        self._works += [self._admissions.follow, self._admissions.keep]
        if self._gateway:
            sources = self._watch_gateway(self._gateway, sources)
        portal_port = None
        if self._keeps:
            pushed = Pushed()
            told = self._keep_books(pushed)
            sources = replace(sources, accounting=told.accounting, payouts=told.payouts, energy=told.energy)
            sources = self._inspect(sources)
            paying = self._pay()
            sources = self._report(sources)
            portal_port = await self._show(told, paying, pushed)
        settings = self.settings.metrics
        exporter = Exporter(self._reactor, sources, VERSION, settings.host, settings.port)
        metrics_port = exporter.start()
        self._keeping.append(exporter.stop)
        _log.info("server_started", portal_port=portal_port, metrics_port=metrics_port)

    def reload(self, wanted: Settings) -> None:
        """Take over what can change while the server runs, and say what cannot.

        Raises `LawError` or `ReloadError`; then nothing is taken over.
        """
        law = load_law(wanted.law.assumptions, wanted.law.directory)
        reload = compare(self.settings, wanted)
        if self._gateway:
            self._gateway.reload(reload.settings.stratum)
        self.settings = reload.settings
        set_level(self.settings.log.level)
        for path, value in reload.changed.items():
            _log.info("setting_changed", setting=path, value=value)
        for path in reload.waiting:
            _log.warning("setting_needs_restart", setting=path)
        if self._keeps:
            if list(law) != list(self._law):
                _log.info("law_changed", rules=len(list(law)))
            self._law = law
        _log.info("settings_reloaded", changed=len(reload.changed), need_restart=len(reload.waiting))

    async def release(self, drain_seconds: float) -> None:
        """Let go of the miners, over so many seconds, then of journal and chain."""
        self._drain_seconds = drain_seconds
        await _unwind(self._mining)

    async def stop(self, drain_seconds: float) -> None:
        """Stop taking work, commit and fold what is there, close everything; a failing part holds up no other."""
        await self.release(drain_seconds)
        await _unwind(self._keeping)
        _log.info("server_stopped", at=datetime.now(UTC).isoformat(timespec="seconds"))

    def _watch_gateway(self, gateway: Gateway, sources: Sources) -> Sources:
        """Follow its certificates and keep what it rejects; `sources` with what it tells."""
        self._works.append(gateway.certificates.watch)
        rejections = RejectionKeeper(
            self._reactor,
            self._database,
            self.settings.gateway,
            self.settings.energy.interval_seconds,
            gateway.server.board.rejections.take,
        )
        self._begin(rejections.keep, rejections.stop)
        counted = GatewayTelemetry(gateway)
        return replace(sources, gateway=counted.gateway, journal=counted.journal, chain=counted.chain)

    def _keep_books(self, pushed: Pushed) -> OfficeTelemetry:
        """Start the office and what the ledger needs; what it tells."""
        reactor, settings, database = self._reactor, self.settings, self._database
        self._office.start()
        self._works += self._office.works
        told = OfficeTelemetry(
            reactor, settings, self._office, self._admissions, database, self._chain, self._gateway, pushed
        )
        told.start()
        self._works += told.works
        self._keeping.append(told.stop)
        archives = Archives(reactor, settings, database)
        self._begin(archives.repeat, archives.stop)
        days = EnergyDays(
            reactor, database, lambda: self._admissions.registers, self._book, settings.energy.keep_detail_days
        )
        self._begin(days.repeat, days.stop)
        proof = DailyProof(reactor, database, settings)
        self._begin(proof.repeat, proof.repeat.stop)
        return told

    def _inspect(self, sources: Sources) -> Sources:
        inspection = Inspection(self._reactor, self.settings, self._database, self._admissions, self._book)
        self._begin(inspection.repeat, inspection.repeat.stop)
        return replace(sources, attention=inspection.facts)

    def _pay(self) -> PayoutDesk | None:
        if self.settings.payouts is None:
            return None
        engine = self._database.engine
        paying = PayoutDesk(self._reactor, self.settings, self.settings.payouts, engine, self._admissions)
        self._begin(paying.repeat, paying.repeat.stop)
        return paying

    def _report(self, sources: Sources) -> Sources:
        """Build and deliver what is due."""
        courier = Courier(self._reactor, self._database, self._profiles)
        self._begin(courier.repeat, courier.stop)
        planner = Planner(self._reactor, lambda: self.settings, self._database, self._profiles, self._book)
        self._begin(planner.repeat, planner.stop)
        return replace(sources, reports=planner.facts)

    async def _show(self, told: OfficeTelemetry, paying: PayoutDesk | None, pushed: Pushed) -> int:
        """Start the portal; its port."""
        portal = self._make_portal(told, paying, pushed)
        self._keeping.append(portal.stop)
        await portal.warm()
        return portal.start()

    def _book(self) -> LawBook:
        """By the settings as they were read last."""
        return self._law

    def _begin(self, work: Repeat, end: Callable[[], Awaitable[object]]) -> None:
        work.start()
        self._works.append(work)
        self._keeping.append(end)

    def _working(self) -> WorkFacts:
        return WorkFacts({work.name: work.healthy for work in self._works})

    def _require_registration(self) -> None:
        """Say aloud that nobody will be admitted, where this server is in no register."""
        server = self.settings.accreditation.server
        if server in self._admissions.registers.servers:
            return
        cure = "register it, or name the registered one in accreditation.server"
        _log.error("server_not_registered", server=server, effect="nobody is admitted", cure=cure)
        notify.notify_status(f"server {server} is not in the register of servers: nobody is admitted; {cure}")

    async def _open_chain(self, endings: _Endings) -> Chain:
        settings, reactor = self.settings.chain, self._reactor
        if isinstance(settings, BitcoindChainSettings):
            nodes = BitcoindChain(reactor, settings)
            endings.append(nodes.close)
            await nodes.start()
            return nodes
        exponent = exponent_of(settings.block_difficulty)
        embedded = await EmbeddedChain.open(reactor, self.settings.data / "chain", exponent)
        endings.append(embedded.close)
        if settings.peer_port is not None:
            endings.append(PeerEntrance(embedded, reactor, settings.peer_port).stop)
        return embedded

    def _make_portal(self, told: OfficeTelemetry, paying: PayoutDesk | None, pushed: Pushed) -> Portal:
        settings, findings = self.settings, self.settings.accreditation.findings
        subject = Subject(
            live=told.live,
            seat=Seat(settings.accreditation.server, settings.accreditation.country),
            law=self._book,
            reports=settings.data / "reports",
            interval_seconds=settings.energy.interval_seconds,
            journals=settings.journal_path.parent,
            terms=schedule_of(settings.pool),
            floor=FloorRule(findings.best_machine_mj_per_th, timedelta(hours=findings.window_hours)),
            depths=lambda: paying.depths if paying else {},
            schedule=settings.reports.schedule,
            payments=paying,
            machinery=partial(machinery, settings),
        )
        usable = partial(require_usable, chain=settings.chain.address_chain)
        rules = Rules(self._book, settings.accreditation.wallet_cooling, usable)
        return Portal(
            self._reactor,
            subject,
            self._database,
            rules,
            settings=settings.portal,
            seal=open_seal(settings.portal_key_path),
            language=settings.language,
            pushed=pushed,
        )

    async def _end_gateway(self) -> None:
        assert self._gateway is not None
        await self._gateway.drain(self._drain_seconds)
        await self._gateway.stop()


def _adopt(connection: Connection, country: str) -> None:
    """Record the shipped address blocks that this program decides by, if they are newer than those recorded."""
    entry = adopt_shipped(connection, country, datetime.now(UTC), f"tarazy {VERSION}")
    if entry is not None:
        _log.info("address_blocks_adopted", dated_on=entry.dated_on.isoformat(), ranges=entry.ranges)


async def _unwind(endings: _Endings) -> None:
    while endings:
        try:
            await endings.pop()()
        except Exception as error:
            _log.error("stop_failed", error=str(error), exc_info=True)


def _later(close: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def ending() -> object:
        result = close()
        return await result if isinstance(result, Awaitable) else result

    return ending
