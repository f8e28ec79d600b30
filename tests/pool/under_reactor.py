"""Tests that run in the reactor, with their types kept."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, cast

import pytest_twisted

P = ParamSpec("P")
Test = Callable[P, Coroutine[Any, Any, None]]


def in_reactor(test: Test[P]) -> Test[P]:
    """Run an `async def` test in the reactor."""
    return cast("Test[P]", pytest_twisted.ensureDeferred(test))
