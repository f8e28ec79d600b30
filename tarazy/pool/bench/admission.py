"""`tarazy bench admission`: what a login costs, and what a change of the registers costs those who mine meanwhile."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Connection, insert
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tarazy.accreditation.admission import Question
from tarazy.accreditation.bin import check_digit
from tarazy.accreditation.entries import (
    Certificate,
    DocumentStatus,
    Entry,
    Equipment,
    Licence,
    LicenceKind,
    Party,
    PartyKind,
    Placement,
    Server,
    Site,
    SiteStatus,
    content_of,
)
from tarazy.accreditation.evidence import EvidenceRule
from tarazy.accreditation.geo import parse_address
from tarazy.accreditation.index import AdmissionIndex
from tarazy.accreditation.registers import append_all, as_of
from tarazy.accreditation.snapshot import Registers
from tarazy.accreditation.tables import REGISTERS
from tarazy.config.settings import AccreditationSettings
from tarazy.database.engine import Database, open_engine
from tarazy.database.schema import upgrade
from tarazy.pool.admissions import Admissions
from tarazy.pool.reactor import install_reactor
from tarazy.pool.run import GC_THRESHOLD

SERVER = "server-1"
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_FIRST_NETWORK = 2 << 24 | 72 << 16
"""2.72.0.0, of a block of Kazakhstan with room for 32,768 networks of 16 addresses."""
_LOOK_SECONDS = 0.001


def world(parties: int, networks: int, machines: int) -> Iterator[Entry]:
    """A pool's registers: each party owns a site, has machines there, and one more at its neighbour's."""
    yield Certificate(
        certificate="AC-1",
        issued_by="bench",
        issued_on=date(2026, 1, 1),
        status=DocumentStatus.IN_FORCE,
        valid_from=_SINCE,
    )
    yield Server(server=SERVER, host="127.0.0.1", address="bench", country="KZ", location="1", valid_from=_SINCE)
    for number in range(parties):
        yield _party(number)
        yield _licence(number)
        yield _site(number, range(number, networks, parties))
        yield _placement(number, parties)
    for number in range(machines):
        yield _machine(number, parties)


def _party(number: int) -> Party:
    return Party(
        party=f"party-{number}",
        bin=_bin(number),
        kind=PartyKind.LEGAL,
        account=f"account{number}",
        name_kk="Bench",
        name_ru="Bench",
        name_en="Bench",
        valid_from=_SINCE,
    )


def _bin(number: int) -> str:
    """One that can be issued, another for each number: some of any eleven digits belong to no check digit."""
    for spare in range(10):
        eleven = f"240140{number:04}{spare}"
        digit = check_digit(eleven)
        if digit is not None:
            return f"{eleven}{digit}"
    raise AssertionError(number)


def _licence(number: int) -> Licence:
    return Licence(
        licence=f"L-{number}",
        party=f"party-{number}",
        kind=LicenceKind.OWN_DATA_CENTRE,
        issued_on=date(2026, 1, 1),
        status=DocumentStatus.IN_FORCE,
        valid_from=_SINCE,
    )


def _address(network: int, host: int = 0) -> str:
    address = _FIRST_NETWORK + 16 * network + host
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def _site(number: int, networks: Sequence[int]) -> Site:
    return Site(
        site=f"site-{number}",
        party=f"party-{number}",
        name=f"Site {number}",
        country="KZ",
        region="bench",
        address="bench",
        networks=tuple(f"{_address(network)}/28" for network in networks),
        permitted_power_w=1_000_000,
        status=SiteStatus.ACCREDITED,
        valid_from=_SINCE,
    )


def _placement(number: int, parties: int) -> Placement:
    neighbour = f"site-{(number + 1) % parties}"
    key = f"placement-{number}"
    return Placement(placement=key, party=f"party-{number}", site=neighbour, contract="1", valid_from=_SINCE)


def _machine(number: int, parties: int) -> Equipment:
    party = number % parties
    site = (party + (number // parties % 10 == 0)) % parties
    return Equipment(
        equipment=f"SN-{number}",
        model="bench",
        party=f"party-{party}",
        site=f"site-{site}",
        nominal_hash_rate_hs=200 * 10**12,
        nominal_power_w=3_500,
        valid_from=_SINCE,
    )


def run_admission_bench(
    directory: Path,
    database: str | None,
    *,
    parties: int,
    networks: int,
    machines: int,
    rounds: int,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """All measurements, on an empty ledger: `database`, or an SQLite file in `directory`."""
    reactor, _ = install_reactor()
    engine = open_engine(database or f"sqlite:///{directory / 'bench.db'}")
    upgrade(engine)
    progress("recording the registers")
    with engine.begin() as connection:
        record(connection, world(parties, networks, machines))
    progress("reading them")
    began = time.perf_counter()
    with engine.begin() as connection:
        registers = as_of(connection, datetime.now(UTC))
    read = time.perf_counter() - began
    figures: dict[str, Any] = {
        "database": engine.dialect.name,
        "parties": parties,
        "networks": networks,
        "machines": machines,
        "read_all_s": round(read, 2),
        **_logins(registers, parties, networks, rounds, progress),
    }
    del registers
    ledger = Database(engine, reactor)
    admissions = Admissions(reactor, ledger, AccreditationSettings(server=SERVER), directory / "pending")
    changes = _Changes(reactor, ledger, admissions, progress)
    outcome: list[Any] = []

    async def measure() -> None:
        try:
            outcome.append(await changes.measure(parties, networks, machines, rounds))
        finally:
            await admissions.stop()
            ledger.close()
            reactor.stop()  # type: ignore[no-untyped-call]

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(measure()).addErrback(outcome.append))
    reactor.run()  # type: ignore[no-untyped-call]
    if not isinstance(outcome[0], list):
        outcome[0].raiseException()
    return {**figures, "changes": outcome[0]}


def record(connection: Connection, entries: Iterator[Entry]) -> None:
    """Straight into the tables: what is measured is not the import."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        rows.setdefault(entry.register, []).append({**content_of(entry), "recorded_at": _SINCE, "recorded_by": "bench"})
    for register, table in REGISTERS.items():
        if register in rows:
            connection.execute(insert(table), rows[register])


def _logins(
    registers: Registers, parties: int, networks: int, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Microseconds a login, the median of some rounds: asked for the first time, asked again, and of strangers.

    The yardstick of the same rounds is what reading the address alone takes.
    """
    dice = random.Random(1)  # noqa: S311
    asked = []
    for network in range(networks):
        account = (network - dice.randrange(2)) % parties
        asked.append(Question(f"account{account}", f"rig{network}", _address(network, dice.randrange(16)), SERVER))
    dice.shuffle(asked)
    strangers = [question._replace(account=f"stranger{number}") for number, question in enumerate(asked)]
    index = AdmissionIndex(EvidenceRule())
    found: dict[str, list[float]] = {"address": [], "first": [], "again": [], "stranger": []}
    now = datetime.now(UTC)
    for number in range(rounds):
        progress(f"logins, round {number + 1} of {rounds}")
        index.install(index.compiled.with_registers(registers))
        began = time.perf_counter()
        for question in asked:
            parse_address(question.peer)
        found["address"].append((time.perf_counter() - began) / len(asked) * 1e6)
        for kind, questions in (("first", asked), ("again", asked), ("stranger", strangers)):
            began = time.perf_counter()
            for question in questions:
                index.decide(question, now)
            found[kind].append((time.perf_counter() - began) / len(questions) * 1e6)
        assert all(index.decide(question, now).admitted for question in asked)
    return {f"{kind}_us": round(median(each), 2) for kind, each in found.items()}


class _Changes:
    """Records changes while a clock watches how late the reactor is."""

    def __init__(self, reactor: Any, ledger: Database, admissions: Admissions, progress: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._ledger = ledger
        self._admissions = admissions
        self._progress = progress
        self._due = 0.0
        self._latest = 0.0
        self._changed: Deferred[float] = Deferred()

    async def measure(self, parties: int, networks: int, machines: int, rounds: int) -> list[dict[str, Any]]:
        """Each kind of change: from its commit until it is decided by, and the reactor's worst lateness meanwhile."""
        await self._admissions.start()
        self._admissions.on_change(self._took_effect)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        self._due = self._reactor.seconds()
        self._look()
        fresh = iter(range(machines, machines + 10_000))
        kinds: list[tuple[str, Callable[[], list[Entry]]]] = [
            ("nothing", list),
            ("one machine", lambda: [_machine(next(fresh), parties)]),
            ("1,000 machines", lambda: [_machine(next(fresh), parties) for _ in range(1_000)]),
            ("a licence revoked", lambda: [_now(_licence(next(fresh) % parties), status=DocumentStatus.REVOKED)]),
            ("a site's networks", lambda: [_now(_site(number := next(fresh) % parties, [networks + number]))]),
            ("a party's name", lambda: [_now(_party(next(fresh) % parties), name_en="Another")]),
            ("a machine's end a second later", lambda: [_soon(_machine(next(fresh), parties))]),
        ]
        found = []
        for name, make in kinds:
            effects, late = [], []
            for number in range(rounds):
                self._progress(f"{name}, {number + 1} of {rounds}")
                effect, lateness = await self._one(make())
                effects.append(effect)
                late.append(lateness)
            found.append(
                {
                    "change": name,
                    "effect_ms": [round(each * 1e3) for each in sorted(effects)],
                    "late_ms": [round(each * 1e3, 1) for each in sorted(late)],
                }
            )
        return found

    async def _one(self, entries: list[Entry]) -> tuple[float, float]:
        committed = await deferToThread(self._append, entries)
        self._latest, self._changed = 0.0, Deferred()
        effect = await self._changed.addTimeout(10, self._reactor) - committed if entries else 0.0
        rest: Deferred[None] = Deferred()
        self._reactor.callLater(1.5, rest.callback, None)
        await rest
        return max(effect, 0.0), self._latest

    def _append(self, entries: list[Entry]) -> float:
        with self._ledger.engine.begin() as connection:
            append_all(connection, entries, datetime.now(UTC), "bench")
        return time.monotonic()

    def _took_effect(self) -> None:
        if not self._changed.called:
            self._changed.callback(time.monotonic())

    def _look(self) -> None:
        now = self._reactor.seconds()
        self._latest = max(self._latest, now - self._due)
        self._due = now + _LOOK_SECONDS
        with suppress(RuntimeError):
            self._reactor.callLater(_LOOK_SECONDS, self._look)


def _now(entry: Entry, **changes: Any) -> Entry:
    return replace(entry, valid_from=datetime.now(UTC), **changes)


def _soon(entry: Entry) -> Entry:
    return replace(entry, valid_to=datetime.now(UTC) + timedelta(seconds=1.2))
