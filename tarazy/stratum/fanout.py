"""What is done for everybody, a slice at a time: shares that come meanwhile are answered in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

SLICE = 128
"""Connections served between two looks at the sockets, about a millisecond's work."""

_C = TypeVar("_C")


class Fanout(Generic[_C]):
    """Serves connections in slices, each in a turn of its own."""

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        serve: Callable[[_C], object],
        give_way: Callable[[], object],
    ) -> None:
        """`call_soon(f)` runs `f` after the reactor has looked at its sockets; `give_way` lets other threads run."""
        self._call_soon = call_soon
        self._serve = serve
        self._give_way = give_way
        self._due: list[_C] = []
        self._at = 0

    @property
    def busy(self) -> bool:
        """Whether somebody is still to be served."""
        return self._at < len(self._due)

    def begin(self, connections: Iterable[_C]) -> None:
        """Serve `connections`; whoever is still owed the turn before comes first, once (C-052)."""
        owed = self._due[self._at :]
        earlier = set(owed)
        self._due = owed + [connection for connection in connections if connection not in earlier]
        self._at = 0
        if not owed:
            self._go_on()

    def _go_on(self) -> None:
        start, self._at = self._at, self._at + SLICE
        try:
            for connection in self._due[start : self._at]:
                self._serve(connection)
        finally:
            if self.busy:
                self._give_way()
                self._call_soon(self._go_on)
            else:
                self._due = []
                self._at = 0
