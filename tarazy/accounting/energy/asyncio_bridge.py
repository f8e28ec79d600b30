"""The one border between asyncio's libraries and the rest, which speaks Deferreds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Run an asyncio coroutine on the running loop; the Deferred gives its result or failure.

    Cancelling the Deferred cancels the coroutine.
    """
    return Deferred.fromFuture(asyncio.ensure_future(coroutine))
