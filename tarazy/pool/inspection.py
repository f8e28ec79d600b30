"""Looks, again and again, at what does not fit together, ends soon or falls due; the looking stays off the reactor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from datetime import UTC, date, datetime, timedelta

import structlog
from sqlalchemy import Connection
from twisted.internet.threads import deferToThread

from tarazy.accounting.energy.faults import FaultWatch
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.workload import intervals_before, shared_names
from tarazy.accreditation import server_evidence
from tarazy.accreditation.consistency import contradictions, disputed_networks
from tarazy.accreditation.entries import ENTRY_TYPES, Finding, FindingKind, Meter, Supply
from tarazy.accreditation.evidence import EvidenceRule
from tarazy.accreditation.expiry import THRESHOLDS, Ending, Expiry, expiries
from tarazy.accreditation.expiry_warnings import warn
from tarazy.accreditation.findings import Condition, Patience, Watch, record
from tarazy.accreditation.plausibility import SharedName, Work, implausibilities
from tarazy.accreditation.procedure.store import all_cases
from tarazy.accreditation.procedure.warnings import Severity as CaseSeverity
from tarazy.accreditation.procedure.warnings import open_warnings
from tarazy.accreditation.quotas import MonthUse, held_quotas, overuse, unpriced
from tarazy.accreditation.snapshot import Registers
from tarazy.accreditation.tables import lock_writers
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Period, legal_day
from tarazy.config.law.working_days import WorkingDays
from tarazy.config.settings import Settings
from tarazy.database.engine import Database, reader
from tarazy.metrics.facts import AttentionFacts
from tarazy.pool.admissions import Admissions
from tarazy.pool.clock import Clock
from tarazy.pool.metered import meters_of
from tarazy.pool.repeat import Repeat
from tarazy.portal.standing import Seat, admissions
from tarazy.portal.tokens import endings
from tarazy.reports.energy_use import month_use
from tarazy.reports.reconciled import below_floor, drifts, of_meter, site_days, site_work

_SECONDS = 60.0
_LATE = timedelta(seconds=30)
"""How long work may take to reach the ledger before its interval is judged."""

_log = structlog.get_logger()


class Inspection:
    """Opens and closes findings, warns of ends, counts what waits for somebody."""

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        database: Database,
        admissions: Admissions,
        law: Callable[[], LawBook],
    ) -> None:
        self._findings = settings.accreditation.findings
        self._rule = EvidenceRule.of(settings.accreditation)
        self._interval_seconds = settings.energy.interval_seconds
        self._database = database
        self._reader = reader(database.engine)
        self._admissions = admissions
        self._law = law
        patience = timedelta(seconds=self._findings.patience_seconds)
        self._watch = Watch(Patience(patience, patience), list(map(FindingKind, self._findings.blocking)))
        self._faults = FaultWatch()
        self._judged: Work | None = None
        self._used: tuple[Hashable, MonthUse] | None = None
        """By what it was found, and it."""
        self._drifts: tuple[date, list[Condition]] | None = None
        """By the legal day on which they were found."""
        self._basis: Hashable = None
        """What the three below were found by."""
        self._contradictions: list[Condition] = []
        self._expiries: list[Expiry] = []
        self._parties: Counter[str] = Counter()
        self._facts = AttentionFacts()
        self._seat = Seat(settings.accreditation.server, settings.accreditation.country)
        seconds = min(_SECONDS, max(1.0, self._findings.patience_seconds))
        self.repeat = Repeat(clock, "inspect", seconds, self.inspect)

    def facts(self) -> AttentionFacts:
        """What was there the last time."""
        return self._facts

    async def inspect(self) -> None:
        """Once."""
        now = datetime.now(UTC)
        registers = self._admissions.registers.at(now)
        changes, cases, evidence = await deferToThread(self._look, registers, self._law(), now)
        if changes:
            for row in await self._database.run(_record, changes, registers):
                _log.warning("finding", finding=row.finding, state=row.state, severity=row.severity, blocks=row.blocks)
        if self._expiries:
            for each in await self._database.run(warn, self._expiries, now):
                _log.warning("ends_soon", register=each.ending.register, key=each.ending.key, days_left=each.days_left)
        self._facts = self._counted(registers, changes, cases, evidence)

    def _work(self, connection: Connection, now: datetime) -> Work:
        """The work of the window that ended last; read once for each."""
        window = timedelta(hours=self._findings.window_hours)
        since, until = intervals_before(now - _LATE, window, self._interval_seconds)
        if self._judged is None or self._judged.until != until:
            interval = timedelta(seconds=self._interval_seconds)
            self._judged = work_between(connection, since, until, interval)
        return self._judged

    def _use(self, connection: Connection, registers: Registers, now: datetime) -> MonthUse:
        """Energy and power of the month that goes on; read once for each interval and what is registered."""
        newest = [registers.newest(kind.register) for kind in (Meter, Supply)]
        basis = floor_to(now - _LATE, self._interval_seconds), *(entry.entry if entry else 0 for entry in newest)
        if self._used is None or self._used[0] != basis:
            month = Period.parse(f"{legal_day(now):%Y-%m}")
            self._used = basis, month_use(connection, registers, month, now)
        return self._used[1]

    def _unreconciled(self, connection: Connection, registers: Registers, work: Work, now: datetime) -> list[Condition]:
        """Sites whose energy does not go with their work; drift is looked for once a day."""
        today = legal_day(now)
        if self._drifts is None or self._drifts[0] != today:
            self._drifts = today, drifts(site_days(connection, today, now))
        found = [
            *below_floor(connection, work.since, work.until, self._findings.best_machine_mj_per_th),
            *self._drifts[1],
        ]
        return [condition for condition in found if condition.site in registers.sites]

    def _look(
        self, registers: Registers, law: LawBook, now: datetime
    ) -> tuple[list[Finding], dict[str, int], dict[str, int]]:
        """Versions to record, warnings of cases by severity, and what is wanting in the server's evidence by code.

        Done beside the database's threads: with many machines it takes seconds, which a revoked licence must not wait.
        """
        with self._reader.begin() as connection:
            work, tokens, cases = self._work(connection, now), endings(connection), _case_warnings(connection, law, now)
            evidence = _wanting(connection, self._seat.server)
            working = {(row.site, whose) for row in work.sites if row.hashes for whose in (row.party, None)}
            meters = meters_of(registers)
            faults = self._faults.look(connection, meters, work.since, now, self._interval_seconds, working)
            use = self._use(connection, registers, now)
            energy = [*map(of_meter, faults), *self._unreconciled(connection, registers, work, now)]
        return self._changes(registers, law, work, use, tokens, energy), cases, evidence

    def _changes(
        self,
        registers: Registers,
        law: LawBook,
        work: Work,
        use: MonthUse,
        tokens: list[Ending],
        energy: list[Condition],
    ) -> list[Finding]:
        newest = {name: registers.newest(name) for name in ENTRY_TYPES if name != Finding.register}
        known = tuple((name, entry.entry if entry else 0) for name, entry in newest.items())
        basis = (known, registers.constant_from, legal_day(registers.valid_at), id(law), tuple(tokens))
        if basis != self._basis:
            self._contradictions = [*contradictions(registers, law), *disputed_networks(registers, self._rule)]
            self._expiries = expiries(registers, tokens)
            reasons = admissions(registers, self._seat).values()
            self._parties = Counter("refused" if each else "admitted" for each in reasons)
            self._basis = basis
        self._expiries = [each for each in self._expiries if each.ending.ends_at > registers.valid_at]
        tolerance = self._findings.hash_rate_tolerance_percent
        implausible = implausibilities(registers, work, tolerance)
        overused = [*overuse(registers, use), *unpriced(registers, use)]
        return self._watch.look(registers, [*self._contradictions, *implausible, *overused, *energy])

    def _counted(
        self, registers: Registers, changes: list[Finding], cases: dict[str, int], evidence: dict[str, int]
    ) -> AttentionFacts:
        current = {**registers.findings, **{row.finding: row for row in changes}}
        kinds = Counter(str(row.kind) for row in current.values() if row.is_open)
        ends = {str(days): sum(row.days_left <= days for row in self._expiries) for days in THRESHOLDS}
        quotas: dict[str, float] = {}
        for (site, _), held in (held_quotas(registers, self._used[1]) if self._used else {}).items():
            taken = held.taken / held.permitted if held.permitted else float(held.taken > 0)
            quotas[site] = max(taken, quotas.get(site, 0.0))
        return AttentionFacts(
            {**dict.fromkeys(map(str, FindingKind), 0), **kinds},
            ends,
            cases,
            quotas,
            {result: self._parties[result] for result in ("admitted", "refused")},
            evidence,
        )


def work_between(connection: Connection, since: datetime, until: datetime, interval: timedelta) -> Work:
    """What the ledger's tallies tell of the intervals in [since, until)."""
    shared = [
        SharedName(row.party, row.worker, row.sites, row.intervals) for row in shared_names(connection, since, until)
    ]
    return Work(since, until, interval, site_work(connection, since, until), shared)


def _record(connection: Connection, changes: list[Finding], registers: Registers) -> list[Finding]:
    """At the moment when it is recorded: others may have recorded something since the looking began."""
    lock_writers(connection)
    return record(connection, changes, registers, datetime.now(UTC))


def _wanting(connection: Connection, server: str) -> dict[str, int]:
    evidence = server_evidence.latest(connection, server)
    wanting = [each.code for each in server_evidence.findings(evidence[1]) if not each.fine] if evidence else []
    return {**dict.fromkeys(server_evidence.WANTING, 0), **Counter(wanting)}


def _case_warnings(connection: Connection, law: LawBook, now: datetime) -> dict[str, int]:
    found = open_warnings(all_cases(connection), law, WorkingDays(law), legal_day(now))
    counts = Counter(str(row.severity) for row in found)
    return {**dict.fromkeys(map(str, CaseSeverity), 0), **counts}
