"""What the pool's parts need of a reactor to wait. The reactor has it, and so has twisted's test clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that is still to come."""

    def active(self) -> bool:
        """Whether it still is."""

    def cancel(self) -> None:
        """Let it not come."""


class Clock(Protocol):
    """Seconds, and calls after some of them."""

    def seconds(self) -> float:
        """Now; only differences mean something."""

    def callLater(  # noqa: N802 - twisted's name
        self, delay: float, callable: Callable[..., object], /, *args: object
    ) -> Timer:
        """Call `callable(*args)` after `delay` seconds."""
