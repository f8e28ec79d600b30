"""What the running server tells the portal and Prometheus about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from sqlalchemy import Connection

from tarazy.accounting.blocks import BlockState
from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.energy.figures import missing_intervals
from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.newest import last_seen
from tarazy.accounting.energy.steps import site_power_w
from tarazy.accounting.ledger import balances
from tarazy.accounting.payouts.batches import under_way
from tarazy.accounting.payouts.fence import standing
from tarazy.accounting.payouts.holds import holds
from tarazy.accounting.payouts.machine import OUTBOX, UNSIGNED
from tarazy.accounting.proof.record import unproven
from tarazy.accounting.queries import block_counts, distribution_counts, open_round, present_work, sums_by_kind
from tarazy.accounting.reserve import reserve
from tarazy.accreditation.admission import Reason
from tarazy.accreditation.entries import DocumentStatus
from tarazy.config.settings import Settings
from tarazy.database.engine import Database
from tarazy.metrics.facts import AccountingFacts, ChainFacts, EnergyFacts, GatewayFacts, JournalFacts, PayoutFacts
from tarazy.pool.admissions import Admissions
from tarazy.pool.chain.interface import Chain
from tarazy.pool.clock import Clock
from tarazy.pool.gateway import Gateway
from tarazy.pool.office import Office
from tarazy.pool.repeat import Repeat
from tarazy.pool.sockets import stratum_url
from tarazy.portal.facts import Live
from tarazy.portal.readings import Pushed
from tarazy.stratum.difficulty import hashes_of, weight_of

_READ_SECONDS = 5.0
_LONG_READ_REST = 20.0
"""With a country's meters and parties reading them takes seconds; then it comes less often."""
_MISSING_IN = timedelta(hours=1)
_WEIGHT_OF_ONE = weight_of(0)
VERSION = version("tarazy")


class GatewayTelemetry:
    """A gateway's counters as they are."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def gateway(self) -> GatewayFacts:
        """The Stratum listener."""
        counters = self._gateway.server.counters
        return GatewayFacts(
            shares={"accepted": counters.accepted, **counters.rejected},
            difficulty={result: weight / _WEIGHT_OF_ONE for result, weight in counters.weight.items()},
            connections=counters.connections,
            ready_connections=counters.ready,
            interval_doublings=self._gateway.server.board.limits.doublings,
            certificate_ends=self._gateway.certificate_ends(),
            limit_hits={str(hit): count for hit, count in counters.hits.items()},
            devices=dict(counters.devices),
            refusals={**dict.fromkeys(map(str, Reason), 0), **counters.refused},
        )

    def journal(self) -> JournalFacts:
        """The share journal."""
        journal = self._gateway.journal
        counters = journal.counters
        return JournalFacts(
            commits=counters.commits,
            commit_seconds=counters.commit_seconds,
            shares=counters.shares,
            healthy=journal.healthy,
        )

    def chain(self) -> ChainFacts:
        """The work of the moment."""
        gateway = self._gateway
        height = gateway.job.height if gateway.job else 0
        age = (datetime.now(UTC) - gateway.job_at).total_seconds()
        return ChainFacts(
            tip_height=max(0, height - 1),
            template_height=height,
            template_age_seconds=age,
            nodes_up=gateway.chain.nodes_up(),
            failovers=gateway.chain.failovers,
            work_delay_seconds=gateway.follower.work_delay,
            template_refused=not gateway.proposals.healthy,
        )


class OfficeTelemetry:
    """The ledger's figures as last read, and what the portal tells of the running server."""

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        office: Office,
        admissions: Admissions,
        database: Database,
        chain: Chain,
        gateway: Gateway | None,
        pushed: Pushed,
    ) -> None:
        """`gateway`: the one in this process. Without one, what gateways alone know is theirs to tell."""
        self._settings = settings
        self._office = office
        self._admissions = admissions
        self._database = database
        self._chain = chain
        self._gateway = gateway
        self._pushed = pushed
        self._started_at = datetime.now(UTC)
        self._tip_height: int | None = None
        self._accounting = AccountingFacts()
        self._payouts = PayoutFacts()
        self._energy = EnergyFacts()
        self._watch = Repeat(clock, "watch_tip", _READ_SECONDS, self._read_tip)
        self._read = Repeat(clock, "read_telemetry", _READ_SECONDS, self._read_ledger)
        money = Repeat(clock, "read_money", _READ_SECONDS, self._read_money, rest=_LONG_READ_REST)
        metered = Repeat(clock, "read_meters", _READ_SECONDS, self._read_meters, rest=_LONG_READ_REST)
        self.works = [self._read, money, metered] if gateway else [self._watch, self._read, money, metered]
        """What it does again and again."""

    def start(self) -> None:
        """Begin to read."""
        for work in self.works:
            work.start()

    async def stop(self) -> None:
        """Read no more."""
        for work in self.works:
            await work.stop()

    def accounting(self) -> AccountingFacts:
        """The books."""
        return self._accounting

    def payouts(self) -> PayoutFacts:
        """What was divided and paid."""
        return self._payouts

    def energy(self) -> EnergyFacts:
        """The meters."""
        return replace(self._energy, readings=self._readings(), waiting=dict(self._pushed.waiting))

    def _readings(self) -> dict[str, int]:
        """Readings of the pool's own meters and pushed ones together."""
        counted = {**self._pushed.results, "failed": self._office.readings_failed}
        return {**counted, "recorded": counted["recorded"] + self._office.readings_taken}

    def live(self) -> Live:
        """What the portal shows besides the database."""
        settings, gateway, office = self._settings, self._gateway, self._office
        registers = self._admissions.registers.at(datetime.now(UTC))
        server = registers.servers.get(settings.accreditation.server)
        job = gateway.job if gateway else None
        health = {
            "database": all(part.healthy for part in (office.books, office.energy, self._admissions.follow)),
            "chain": gateway.follower.healthy and gateway.proposals.healthy if gateway else self._watch.healthy,
            "meters": office.meters_answer,
            "certificate": any(row.status is DocumentStatus.IN_FORCE for row in registers.certificates.values()),
        }
        if gateway:
            health["journal"] = gateway.journal.healthy
        listener = settings.stratum.listeners[0]
        port = gateway.port if gateway else listener.port
        return Live(
            pool_name=settings.pool.name,
            demo=bool(settings.accreditation.demo_addresses),
            demo_sign_in=settings.portal.demo_sign_in,
            test_chain=settings.test_chain,
            started_at=self._started_at,
            stratum_url=stratum_url(listener, server.host if server else None, port),
            connections=gateway.server.counters.connections if gateway else None,
            ready_connections=gateway.server.counters.ready if gateway else None,
            tip_height=job.height - 1 if job else self._tip_height,
            template_height=job.height if job else None,
            template_at=gateway.job_at if gateway else None,
            health=health,
        )

    async def _read_tip(self) -> None:
        self._tip_height = (await self._chain.tip()).height

    async def _read_ledger(self) -> None:
        self._accounting = await self._database.run(self._read_figures)

    async def _read_money(self) -> None:
        self._payouts = await self._database.read(_read_payouts, datetime.now(UTC))

    async def _read_meters(self) -> None:
        meters, seconds = self._office.meters, self._settings.energy.interval_seconds
        self._energy = await self._database.read(read_energy, meters, seconds, datetime.now(UTC))

    def _read_figures(self, connection: Connection) -> AccountingFacts:
        now = datetime.now(UTC)
        open_now = open_round(connection)
        states = {**dict.fromkeys(map(str, BlockState), 0), **block_counts(connection)}
        work, seconds = present_work(connection, now, self._settings.energy.interval_seconds)
        weight = int(sum(party.weight for party in work.values()))
        return AccountingFacts(
            blocks=states,
            rounds=open_now[0] - 1 if open_now else 0,
            unfolded_shares=self._office.unfolded_shares(),
            hashrate=hashes_of(weight) / max(1.0, seconds),
            round_age_seconds=(now - open_now[1]).total_seconds() if open_now else 0.0,
            awaited_gateways=self._office.awaited_gateways,
        )


def read_energy(connection: Connection, meters: Sequence[Meter], interval_seconds: int, now: datetime) -> EnergyFacts:
    """What the ledger tells of some meters; power is that of the last two intervals."""
    ages: dict[str, float] = {}
    seen = last_seen(connection, [meter.meter for meter in meters])
    for meter in meters:
        if at := seen[meter.meter]:
            ages[meter.site] = max((now - at).total_seconds(), ages.get(meter.site, 0.0))
    main = [meter for meter in meters if meter.party is None]
    power = site_power_w(connection, main, now, 2 * interval_seconds)
    missing = missing_intervals(connection, now - _MISSING_IN, now)
    return EnergyFacts(
        power_watts={site: float(watts) for site, watts in power.items() if watts is not None},
        reading_age_seconds=ages,
        missing_intervals={**dict.fromkeys((meter.site for meter in meters), 0), **missing},
    )


def _read_payouts(connection: Connection, now: datetime) -> PayoutFacts:
    going, batches = standing(connection), under_way(connection)
    states = sorted(UNSIGNED | OUTBOX)
    return PayoutFacts(
        satoshi={**sums_by_kind(balances(connection)), "reserve": reserve(connection).final},
        distributions={**dict.fromkeys(map(str, DistributionState), 0), **distribution_counts(connection)},
        unrecorded=len(unproven(connection)),
        stopped=going.stopped_why is not None,
        batches={state: batches[state].batches if state in batches else 0 for state in states},
        batch_age_seconds={
            state: (now - batches[state].since).total_seconds() if state in batches else 0.0 for state in states
        },
        troubled=sum(each.troubled for each in batches.values()),
        held=len(holds(connection)),
        difference=going.difference or 0,
    )
