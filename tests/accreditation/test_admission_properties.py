"""What holds of admission in every register world (invariants 4 and 7)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, insert
from sqlalchemy.pool import StaticPool

from tarazy.accreditation.admission import Decision, EntryReference, Question, decide
from tarazy.accreditation.entries import (
    Certificate,
    DocumentStatus,
    Entry,
    Licence,
    Site,
    SiteStatus,
    content_of,
)
from tarazy.accreditation.registers import as_of, follow
from tarazy.accreditation.snapshot import Registers
from tarazy.accreditation.tables import REGISTERS
from tarazy.database.types import metadata
from tests.accreditation.histories import DEMO, INSTANTS, QUESTIONS, by_register, histories, numbers, registers_of
from tests.accreditation.world import GEO, HOME, NOW, SERVER, world

GUEST = Question("guest", "rig", HOME, SERVER)


def said(history: list[Entry], question: Question = GUEST) -> Decision:
    """The decision at `NOW` after all of `history`."""
    return decide(registers_of(history), question, NOW, GEO, DEMO)


def withdrawn(entry: Entry) -> Entry:
    """A correction that takes it back."""
    return replace(entry, corrects=entry.entry, why="never was", valid_to=entry.valid_from)


def ended(entry: Entry) -> Entry:
    """A correction by which it ended before now."""
    assume(entry.valid_from < NOW)
    return replace(entry, corrects=entry.entry, why="it ended", valid_to=NOW)


def revoked(entry: Entry) -> Entry:
    """The version by which a document or a site counts no more from now on; of anything else its end."""
    match entry:
        case Licence() | Certificate():
            return replace(entry, status=DocumentStatus.REVOKED, valid_from=NOW, valid_to=None, corrects=None)
        case Site():
            return replace(entry, status=SiteStatus.WITHDRAWN, valid_from=NOW, valid_to=None, corrects=None)
    return ended(entry)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(histories(most=8), QUESTIONS, st.sampled_from([withdrawn, ended, revoked]), st.data())
def test_removing_whatever_an_admission_rests_on_refuses(
    history: list[Entry], question: Question, remove: object, data: st.DataObject
) -> None:
    """Or another entry of the same register stands in for it; once none is left to do so, it refuses."""
    assert callable(remove)
    question, decision = max(
        ((each, said(history, each)) for each in (GUEST, question)), key=lambda pair: pair[1].admitted
    )
    assume(decision.admitted)
    register = data.draw(st.sampled_from(sorted({entry.register for entry in decision.entries})))
    for _ in range(len(history) + 1):
        rested = next(entry for entry in decision.entries if entry.register == register)
        entry = next(row for row in history if EntryReference(row.register, row.key, row.entry) == rested)
        history = numbers([*history, remove(entry)])
        decision = said(history, question)
        assert rested not in decision.entries or not decision.admitted
        if not decision.admitted:
            return
    raise AssertionError("it is still admitted")


@settings(max_examples=200, deadline=None)
@given(histories(), QUESTIONS | st.just(GUEST), st.randoms(use_true_random=False))
def test_order_of_what_has_nothing_to_do_with_each_other_does_not_matter(
    history: list[Entry], question: Question, random: object
) -> None:
    """Registers are recorded each in its own order, however that of the others runs in between."""
    queues = [list(entries) for entries in by_register(history).values()]
    mixed = []
    while queues:
        queue = random.choice(queues)  # type: ignore[attr-defined]
        mixed.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    assert said(mixed, question) == said(history, question)


@contextmanager
def ledger() -> Iterator[Connection]:
    """An empty ledger in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def record(connection: Connection, entry: Entry) -> None:
    """As it is, also what the checks would not let in."""
    row = {**content_of(entry), "recorded_at": entry.recorded_at, "recorded_by": entry.recorded_by}
    connection.execute(insert(REGISTERS[entry.register]), row)


@settings(max_examples=60, deadline=None)
@given(histories(), QUESTIONS | st.just(GUEST), INSTANTS, st.data())
def test_nothing_recorded_later_changes_a_decision_as_it_was_known(
    history: list[Entry], question: Question, at: object, data: st.DataObject
) -> None:
    """Whatever is recorded, back-dated and corrected: what a decision was then can be had again, with its entries.

    Following the ledger step by step gives what reading all of it at once does.
    """
    cut = data.draw(st.integers(0, len(history) - 1))
    known_at = history[cut].recorded_at
    with ledger() as connection:
        held = Registers({}, NOW)
        for entry in history[: cut + 1]:
            record(connection, entry)
            if data.draw(st.booleans()):
                held = follow(connection, held, NOW)
        then = decide(as_of(connection, NOW), question, at, GEO, DEMO)  # type: ignore[arg-type]
        for entry in history[cut + 1 :]:
            record(connection, entry)
        again = as_of(connection, NOW, known_at)
        assert decide(again, question, at, GEO, DEMO) == then  # type: ignore[arg-type]
        held = follow(connection, held, NOW)
        assert follow(connection, held, NOW) is held
        whole = as_of(connection, NOW)
        for register in REGISTERS:
            assert held.histories(register) == whole.histories(register)
            assert list(held.histories(register)) == list(whole.histories(register))
            assert held._registers[register].in_force == whole._registers[register].in_force
            assert list(held._registers[register].in_force) == list(whole._registers[register].in_force)
        assert (held.constant_from, held.constant_until) == (whole.constant_from, whole.constant_until)


def test_another_ledger_in_its_place_is_read_anew() -> None:
    """A copy of an earlier day, gone on with: what is held of the rows that it lacks is forgotten."""
    history = numbers(world())
    with ledger() as connection:
        for entry in history:
            record(connection, entry)
        held = follow(connection, Registers({}, NOW), NOW)
    with ledger() as connection:
        for entry in history[:-1]:
            record(connection, entry)
        record(connection, replace(history[-1], equipment="SN-2", entry=1))  # type: ignore[call-arg]
        record(connection, replace(history[-1], equipment="SN-3", entry=2))  # type: ignore[call-arg]
        assert set(follow(connection, held, NOW).equipment) == {"SN-2", "SN-3"}
        assert not said([*history[:-1]]).admitted
        later = NOW + timedelta(seconds=1)
        assert decide(follow(connection, held, later), GUEST, later, GEO).admitted
