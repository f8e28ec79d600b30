"""Long computing in a process of its own, so that neither miners nor the books wait for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class StoppedError(Exception):
    """The process was ended before it had the result."""


class Apart(Generic[T]):
    """One call under way in another process, which can be ended."""

    def __init__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
        """Begin. `work`, what it takes, gives back and raises must be picklable."""
        context = multiprocessing.get_context("spawn")
        self._inlet, outlet = context.Pipe(duplex=False)
        self._process = context.Process(target=_do, args=(outlet, work, args, kwargs), daemon=True)
        self._process.start()
        outlet.close()

    def result(self) -> T:
        """Wait for it; raises what the work raised, or `StoppedError`."""
        try:
            fine, given = self._inlet.recv()
        except EOFError:
            raise StoppedError("a computing process ended early") from None
        finally:
            self._process.join()
        if not fine:
            raise given
        result: T = given
        return result

    def stop(self) -> None:
        """End it."""
        self._process.kill()


def _do(outlet: Connection, work: Callable[P, T], args: P.args, kwargs: P.kwargs) -> None:  # type: ignore[valid-type]
    try:
        outlet.send((True, work(*args, **kwargs)))
    except Exception as error:
        outlet.send((False, error))
