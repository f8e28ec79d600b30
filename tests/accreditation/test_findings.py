"""How findings come, change, and go."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from time import sleep

import pytest
from sqlalchemy import Connection, Engine

from tarazy.accreditation.entries import Finding, FindingKind, FindingState, Severity
from tarazy.accreditation.findings import (
    BY_ITSELF,
    MAXIMUM_CHANGES,
    Condition,
    FindingError,
    Patience,
    Watch,
    dismiss,
    record,
    resolve,
    take,
)
from tarazy.accreditation.registers import append_all, as_of, versions_of
from tests.accreditation.world import NOW, START, registers, world

TWICE = Condition(FindingKind.MACHINE_TWICE, Severity.WARNING, "party", "guest", "guest", evidence={"count": 2})
KEY = "machine-twice:party:guest"
MINUTE = timedelta(minutes=1)
PATIENCE = Patience(5 * MINUTE, 10 * MINUTE)


class Desk:
    """A watch over a ledger."""

    def __init__(self, engine: Engine, *blocking: FindingKind) -> None:
        self.engine = engine
        with engine.begin() as connection:
            if not as_of(connection, NOW).parties:
                append_all(connection, world(), START, "test")
        self.watch = Watch(PATIENCE, blocking)

    def look(self, at: datetime, *conditions: Condition) -> list[Finding]:
        """What is recorded when `conditions` hold at `at`."""
        with self.engine.begin() as connection:
            registers = as_of(connection, at)
            return record(connection, self.watch.look(registers, conditions), registers, at)

    def states(self) -> list[tuple[FindingState, str, str | None]]:
        """State, recorder and reason of each version, the first first."""
        with self.engine.begin() as connection:
            found = versions_of(connection, "finding", KEY)[::-1]
        return [(row.state, row.recorded_by, row.why) for row in found if isinstance(row, Finding)]


def test_it_opens_when_it_held_and_ends_when_it_is_gone(engine: Engine) -> None:
    """Neither a moment's condition nor a moment without one counts."""
    desk = Desk(engine)
    assert desk.look(NOW, TWICE) == []
    assert desk.look(NOW + MINUTE) == []
    assert desk.look(NOW + 2 * MINUTE, TWICE) == [], "it must hold for its time anew"
    (opened,) = desk.look(NOW + 7 * MINUTE, TWICE)
    assert (opened.finding, opened.state, opened.blocks) == (KEY, FindingState.OPEN, False)
    assert desk.look(NOW + 8 * MINUTE, TWICE) == []
    assert desk.look(NOW + 9 * MINUTE) == []
    assert desk.look(NOW + 18 * MINUTE) == []
    (closed,) = desk.look(NOW + 19 * MINUTE)
    assert (closed.state, closed.why) == (FindingState.RESOLVED, BY_ITSELF)


def test_people_settle_it(engine: Engine) -> None:
    """Taken, resolved, found again after a while, dismissed, and then left alone as long as it lasts."""
    desk = Desk(engine)
    desk.look(NOW, TWICE)
    desk.look(NOW + 5 * MINUTE, TWICE)
    with engine.begin() as connection:
        take(connection, KEY, "aida", NOW + 6 * MINUTE, "aida")
        resolve(connection, KEY, NOW + 7 * MINUTE, "aida", "withdrawn")
    assert desk.look(NOW + 8 * MINUTE, TWICE) == []
    assert desk.look(NOW + 21 * MINUTE, TWICE) == []
    (again,) = desk.look(NOW + 22 * MINUTE, TWICE)
    assert (again.state, again.owner) == (FindingState.OPEN, None)
    with engine.begin() as connection:
        dismiss(connection, KEY, NOW + 23 * MINUTE, "aida", "two halves of one rack")
        with pytest.raises(FindingError, match="dismissed already"):
            resolve(connection, KEY, NOW + 24 * MINUTE, "aida", "x")
        with pytest.raises(FindingError, match="there is no finding"):
            take(connection, "nothing", "aida", NOW, "aida")
    assert desk.look(NOW + 60 * MINUTE, TWICE) == []
    assert [state for state, _, _ in desk.states()] == ["open", "acknowledged", "resolved", "open", "dismissed"]
    assert desk.states()[1][1] == "aida"


def test_severity_only_rises_and_settings_reach_open_findings(engine: Engine) -> None:
    """A person's owner stays through it."""
    desk = Desk(engine)
    desk.look(NOW, TWICE)
    desk.look(NOW + 5 * MINUTE, TWICE)
    with engine.begin() as connection:
        take(connection, KEY, "aida", NOW + 6 * MINUTE, "aida")
    (risen,) = desk.look(NOW + 7 * MINUTE, replace(TWICE, severity=Severity.SERIOUS))
    assert (risen.severity, risen.owner, risen.state) == (Severity.SERIOUS, "aida", FindingState.ACKNOWLEDGED)
    assert desk.look(NOW + 8 * MINUTE, TWICE) == []
    strict = Desk(engine, FindingKind.MACHINE_TWICE)
    (blocking,) = strict.look(NOW + 9 * MINUTE, TWICE)
    assert (blocking.blocks, blocking.severity) == (True, Severity.SERIOUS)


def test_figures_are_recorded_once_a_day(engine: Engine) -> None:
    """Evidence that moves all the time does not fill the register."""
    desk = Desk(engine)
    desk.look(NOW, TWICE)
    desk.look(NOW + 5 * MINUTE, TWICE)
    other = replace(TWICE, evidence={"count": 3})
    assert desk.look(NOW + 10 * MINUTE, other) == []
    (fresh,) = desk.look(NOW + timedelta(days=1, minutes=5), other)
    assert fresh.evidence == {"count": 3}


def test_one_that_a_person_changed_meanwhile_is_left(engine: Engine) -> None:
    """Between looking and recording somebody may have dismissed it."""
    desk = Desk(engine)
    desk.look(NOW, TWICE)
    desk.look(NOW + 5 * MINUTE, TWICE)
    with engine.begin() as connection:
        registers = as_of(connection, NOW + 6 * MINUTE)
    changes = desk.watch.look(registers, [replace(TWICE, severity=Severity.SERIOUS)])
    assert len(changes) == 1
    with engine.begin() as connection:
        dismiss(connection, KEY, NOW + 6 * MINUTE, "aida", "no fault")
        assert record(connection, changes, registers, NOW + 6 * MINUTE) == []


def test_a_flood_is_recorded_in_portions() -> None:
    """The most severe come first, the rest later."""
    watch = Watch(Patience(timedelta(0), timedelta(0)))
    many = [replace(TWICE, of_key=f"p-{number}") for number in range(MAXIMUM_CHANGES + 9)]
    worst = replace(TWICE, of_key="worst", severity=Severity.SERIOUS)
    changes = watch.look(registers(world()), [*many, worst])
    assert len(changes) == MAXIMUM_CHANGES
    assert changes[0].of_key == "worst"


def test_what_does_not_fit_the_register_keeps_nothing_else_out(engine: Engine) -> None:
    """Work of a party that the ledger does not know, after a copy was put back in its place."""
    desk = Desk(engine)
    stranger = Condition(FindingKind.NO_WALLET, Severity.SERIOUS, "party", "lost", "lost")
    desk.look(NOW, TWICE, stranger)
    assert [row.finding for row in desk.look(NOW + 5 * MINUTE, TWICE, stranger)] == [KEY]
    assert desk.look(NOW + 6 * MINUTE, TWICE, stranger) == []


def test_a_person_may_have_the_name_of_the_program(engine: Engine) -> None:
    """The user of the service's own account resolves a finding: it waits as anybody's does."""
    desk = Desk(engine)
    desk.look(NOW, TWICE)
    desk.look(NOW + 5 * MINUTE, TWICE)
    with engine.begin() as connection:
        resolve(connection, KEY, NOW + 6 * MINUTE, "tarazy", "withdrawn")
    assert desk.look(NOW + 7 * MINUTE, TWICE) == []
    assert len(desk.look(NOW + 21 * MINUTE, TWICE)) == 1


def test_what_people_say_is_text(engine: Engine) -> None:
    """Nothing, a formula, a line too long or a terminal's escape is refused with a reason; blanks around are cut."""
    desk = Desk(engine)
    desk.look(NOW, TWICE)
    desk.look(NOW + 5 * MINUTE, TWICE)
    for hostile in ("", "  ", "=1+1", "x" * 501, "\x1b[2J", "a\nb"):
        with engine.begin() as connection, pytest.raises(FindingError):
            dismiss(connection, KEY, NOW + 6 * MINUTE, "aida", hostile)
        with engine.begin() as connection, pytest.raises(FindingError):
            take(connection, KEY, hostile, NOW + 6 * MINUTE, "aida")
    with engine.begin() as connection, pytest.raises(FindingError):
        resolve(connection, KEY, NOW, "aida", "before it was opened")
    with engine.begin() as connection:
        assert take(connection, KEY, " aida ", NOW + 6 * MINUTE, "aida").owner == "aida"


def test_of_two_persons_at_once_one_settles_it(engine: Engine) -> None:
    """The other hears that it is settled, and so does the server."""
    desk = Desk(engine)
    desk.look(NOW, TWICE)
    desk.look(NOW + 5 * MINUTE, TWICE)
    with engine.begin() as connection:
        registers = as_of(connection, NOW + 6 * MINUTE)
    changes = desk.watch.look(registers, [replace(TWICE, severity=Severity.SERIOUS)])

    def late(work: Callable[[Connection], object]) -> object:
        with engine.begin() as connection:
            return work(connection)

    with ThreadPoolExecutor(2) as threads:
        with engine.begin() as connection:
            dismiss(connection, KEY, NOW + 7 * MINUTE, "aida", "no fault")
            person = threads.submit(late, lambda other: resolve(other, KEY, NOW + 8 * MINUTE, "bolat", "mended"))
            server = threads.submit(late, lambda other: record(other, changes, registers, NOW + 8 * MINUTE))
            sleep(0.5)
        with pytest.raises(FindingError, match="dismissed already"):
            person.result(20)
        assert server.result(20) == []
    assert [state for state, _, _ in desk.states()] == ["open", "dismissed"]
