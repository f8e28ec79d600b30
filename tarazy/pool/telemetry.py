"""What the running server tells the portal and Prometheus about itself."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

from sqlalchemy import Connection

from tarazy.accounting.blocks import BlockState
from tarazy.accounting.energy.readings import registers_since, site_power_w
from tarazy.accounting.queries import block_counts, open_round, present_work
from tarazy.accreditation.admission import Reason
from tarazy.accreditation.entries import DocumentStatus
from tarazy.config.settings import Settings
from tarazy.database.engine import Database
from tarazy.metrics.facts import AccountingFacts, ChainFacts, EnergyFacts, GatewayFacts, JournalFacts, Sources
from tarazy.pool.clock import Clock
from tarazy.pool.gateway import Gateway
from tarazy.pool.office import Office
from tarazy.pool.repeat import Repeat
from tarazy.pool.sockets import stratum_url
from tarazy.portal.facts import Live
from tarazy.stratum.difficulty import hashes_of, weight_of

_READ_SECONDS = 5.0
_JOULES_PER_WH = 3600
_WEIGHT_OF_ONE = weight_of(0)
VERSION = version("tarazy")


class Telemetry:
    """Plain figures: the gateway's counters as they are, the ledger's as last read."""

    def __init__(self, clock: Clock, settings: Settings, gateway: Gateway, office: Office, database: Database) -> None:
        self._settings = settings
        self._gateway = gateway
        self._office = office
        self._database = database
        self._started_at = datetime.now(UTC)
        self._accounting = AccountingFacts()
        self._energy = EnergyFacts()
        self._hashrate = 0.0
        self.read = Repeat(clock, "read_telemetry", _READ_SECONDS, self._read_ledger)

    def sources(self) -> Sources:
        """What the exporter asks at each scrape."""
        return Sources(
            gateway=self._gateway_facts,
            journal=self._journal_facts,
            chain=self._chain_facts,
            accounting=lambda: self._accounting,
            energy=lambda: self._energy,
        )

    def live(self) -> Live:
        """What the portal shows besides the database."""
        settings, gateway, office = self._settings, self._gateway, self._office
        counters, registers = gateway.server.counters, gateway.admissions.registers.at(datetime.now(UTC))
        server = registers.servers.get(settings.accreditation.server)
        height = None if gateway.job is None else gateway.job.height
        return Live(
            pool_name=settings.pool.name,
            demo=bool(settings.accreditation.demo_addresses),
            test_chain=settings.test_chain,
            started_at=self._started_at,
            stratum_url=stratum_url(settings.stratum.listeners[0], server.host if server else None, gateway.port),
            connections=counters.connections,
            ready_connections=counters.ready,
            tip_height=None if height is None else height - 1,
            template_height=height,
            template_at=gateway.job_at,
            health={
                "journal": gateway.journal.healthy,
                "database": all(part.healthy for part in (office.books, office.energy, gateway.admissions.follow)),
                "chain": gateway.follower.healthy and gateway.proposals.healthy,
                "meters": office.meters_answer,
                "certificate": any(row.status is DocumentStatus.IN_FORCE for row in registers.certificates.values()),
            },
        )

    def _gateway_facts(self) -> GatewayFacts:
        counters = self._gateway.server.counters
        return GatewayFacts(
            shares={"accepted": counters.accepted, **counters.rejected},
            difficulty={result: weight / _WEIGHT_OF_ONE for result, weight in counters.weight.items()},
            connections=counters.connections,
            ready_connections=counters.ready,
            limit_hits={str(hit): count for hit, count in counters.hits.items()},
            devices=dict(counters.devices),
            refusals={**dict.fromkeys(map(str, Reason), 0), **counters.refused},
            hashrate=self._hashrate,
        )

    def _journal_facts(self) -> JournalFacts:
        journal = self._gateway.journal
        counters = journal.counters
        return JournalFacts(
            commits=counters.commits,
            commit_seconds=counters.commit_seconds,
            shares=counters.shares,
            healthy=journal.healthy,
            unfolded_shares=max(0, journal.last_sequence - self._office.folded_sequence),
        )

    def _chain_facts(self) -> ChainFacts:
        gateway = self._gateway
        height = gateway.job.height if gateway.job else 0
        age = (datetime.now(UTC) - gateway.job_at).total_seconds()
        return ChainFacts(
            tip_height=max(0, height - 1),
            template_height=height,
            template_age_seconds=age,
            nodes_up=gateway.chain.nodes_up(),
            failovers=gateway.chain.failovers,
            template_refused=not gateway.proposals.healthy,
        )

    async def _read_ledger(self) -> None:
        self._accounting, self._energy, self._hashrate = await self._database.run(self._read)

    def _read(self, connection: Connection) -> tuple[AccountingFacts, EnergyFacts, float]:
        now = datetime.now(UTC)
        open_now = open_round(connection)
        states = {**dict.fromkeys(map(str, BlockState), 0), **block_counts(connection)}
        accounting = AccountingFacts(blocks=states, rounds=open_now[0] - 1 if open_now else 0)
        work, seconds = present_work(connection, now, self._settings.energy.interval_seconds)
        weight = int(sum(party.weight for party in work.values()))
        return accounting, self._read_energy(connection, now), hashes_of(weight) / max(1.0, seconds)

    def _read_energy(self, connection: Connection, now: datetime) -> EnergyFacts:
        meters = self._office.meters
        joules: dict[str, int] = {}
        for meter in meters:
            register = registers_since(connection, meter.meter, now)
            joules[meter.site] = joules.get(meter.site, 0) + (register[-1][1] * _JOULES_PER_WH if register else 0)
        window = 2 * self._settings.energy.interval_seconds
        power = site_power_w(connection, meters, now, window)
        watts = {site: float(value) for site, value in power.items() if value is not None}
        return EnergyFacts(joules=joules, power_watts=watts)
