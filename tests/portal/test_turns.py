"""Work that only so many may ask for at a time, whoever hangs up."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from tarazy.portal.guard import Fault
from tarazy.portal.turns import Turns


class Works:
    """Works that end when they are told to."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.begun: dict[str, Deferred[str]] = {}

    def ask(self, name: str, of: str = "") -> Deferred[str]:
        """What a work of this name gives in the end."""

        async def work() -> str:
            self.begun[name] = Deferred()
            return await self.begun[name]

        return Deferred.fromCoroutine(self.turns.run(work, of))


async def refusal(asked: Deferred[Any]) -> str:
    """The code of the fault that it ends in."""
    with pytest.raises(Fault) as fault:
        await asked
    return fault.value.code


@pytest_twisted.ensureDeferred
async def test_hanging_up_makes_no_room() -> None:
    """Its thread goes on: the next comes when that has ended, and who left before its turn never has one."""
    works = Works(Turns(2))
    first, second, third, fourth = (works.ask(name) for name in ("first", "second", "third", "fourth"))
    for gone in (first, third):
        gone.cancel()
        with pytest.raises(CancelledError):
            await gone
    assert [*works.begun] == ["first", "second"]
    works.begun["first"].callback("nobody hears it")
    assert [*works.begun] == ["first", "second", "fourth"]
    works.begun["fourth"].callback("done")
    assert await fourth == "done"
    works.begun["second"].errback(ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        await second


@pytest_twisted.ensureDeferred
async def test_the_queue_is_bounded() -> None:
    """In all, and for each asker, so that one leaves room for others; an ended work makes room again."""
    works = Works(Turns(1, longest_queue=3, longest_of_one=2))
    kept = [works.ask("a1", "a"), works.ask("a2", "a")]
    assert await refusal(works.ask("a3", "a")) == "busy"
    kept += [works.ask("b1", "b"), works.ask("b2", "b")]
    assert await refusal(works.ask("c1", "c")) == "busy"
    works.begun["a1"].callback("")
    kept.append(works.ask("a3", "a"))
    for name in ("a2", "b1", "b2", "a3"):
        works.begun[name].callback(name)
    assert [await each for each in kept] == ["", "a2", "b1", "b2", "a3"]


@pytest_twisted.ensureDeferred
async def test_a_work_that_fails_after_its_asker_left_hurts_nobody() -> None:
    """The next has its turn."""
    works = Works(Turns(1))
    gone, stays = works.ask("gone"), works.ask("stays")
    gone.cancel()
    with pytest.raises(CancelledError):
        await gone
    works.begun["gone"].errback(ValueError("nobody is there"))
    works.begun["stays"].callback("told")
    assert await stays == "told"


@pytest_twisted.ensureDeferred
async def test_many_that_left_end_no_turns() -> None:
    """Hundreds wait and leave, and make room in the queue; the one behind them has its turn."""
    works = Works(Turns(1, longest_queue=500))
    first = works.ask("first")
    for _ in range(3):
        gone = [works.ask(f"gone {number}") for number in range(400)]
        for each in gone:
            each.cancel()
            with pytest.raises(CancelledError):
                await each
    last = works.ask("last")
    works.begun["first"].callback("")
    assert await first == ""
    works.begun["last"].callback("told")
    assert await last == "told"


@pytest_twisted.ensureDeferred
async def test_many_that_are_answered_at_once_end_no_turns() -> None:
    """Hundreds wait for what is told at once by then; each is told, and so is who comes afterwards."""
    turns = Turns(1)
    works = Works(turns)
    first = works.ask("first")

    async def quick() -> int:
        return 1

    rest = [Deferred.fromCoroutine(turns.run(quick)) for _ in range(900)]
    works.begun["first"].callback("")
    assert await first == ""
    assert [await each for each in rest] == [1] * 900
    assert await turns.run(quick) == 1
