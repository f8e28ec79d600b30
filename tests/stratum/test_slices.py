"""Slices of a fan-out, by a reactor that is turned by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from tarazy.stratum.fanout import SLICE, Fanout


class Turns:
    """Calls that wait for the next turn of a reactor."""

    def __init__(self) -> None:
        self.calls: deque[Callable[[], None]] = deque()
        self.served: list[int] = []
        self.pauses = 0
        self.fanout = Fanout(self.calls.append, self.served.append, self.pause)

    def pause(self) -> None:
        """Other threads may run."""
        self.pauses += 1

    def turn(self) -> None:
        """Whatever waits now."""
        for _ in range(len(self.calls)):
            self.calls.popleft()()

    def finish(self) -> None:
        """Until nothing waits."""
        while self.calls:
            self.turn()


def test_everybody_is_served_once_in_slices() -> None:
    """Between two slices the reactor has a turn."""
    turns = Turns()
    turns.fanout.begin(range(3 * SLICE + 1))
    assert turns.served == list(range(SLICE))
    assert turns.fanout.busy
    turns.turn()
    assert len(turns.served) == 2 * SLICE
    turns.finish()
    assert turns.served == list(range(3 * SLICE + 1))
    assert turns.pauses == 3
    assert not turns.fanout.busy
    assert not turns.calls


def test_a_newer_job_goes_first_to_those_who_wait_for_one() -> None:
    """C-052: a refresh in the middle of a new block's fan-out delays nobody; nobody is served twice for it."""
    turns = Turns()
    everybody = range(3 * SLICE)
    turns.fanout.begin(everybody)
    turns.fanout.begin(everybody)
    turns.finish()
    assert turns.served == [*everybody, *range(SLICE)]


def test_nobody_there() -> None:
    """An empty pool is done at once, and the next job finds it idle."""
    turns = Turns()
    turns.fanout.begin([])
    assert not turns.fanout.busy
    turns.fanout.begin([1])
    assert turns.served == [1]
    turns.finish()
    assert not turns.fanout.busy


def test_an_error_holds_up_nobody_else() -> None:
    """Whoever comes in later slices is served, and so is the next job."""
    turns = Turns()

    def serve(number: int) -> None:
        turns.served.append(number)
        if number == 3:
            raise RuntimeError("a defect")

    turns.fanout = Fanout(turns.calls.append, serve, turns.pause)
    with pytest.raises(RuntimeError):
        turns.fanout.begin(range(2 * SLICE))
    turns.finish()
    assert turns.served == [0, 1, 2, 3, *range(SLICE, 2 * SLICE)]
    assert not turns.fanout.busy
