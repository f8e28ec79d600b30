"""Tests of the transport run on both loops: asyncio's own, and uvloop as in production."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Concatenate, ParamSpec

import pytest
import uvloop

P = ParamSpec("P")
LONGEST = 60.0
"""Seconds for one test, also on a machine that is busy with others."""


def on_both_loops(
    test: Callable[Concatenate[asyncio.AbstractEventLoop, P], Awaitable[None]],
) -> Callable[..., None]:
    """Run an asyncio test on each loop, in a thread of its own: the reactor's loop runs in this one."""

    @wraps(test)
    def run(kind: str, *args: P.args, **kwargs: P.kwargs) -> None:
        async def limited() -> None:
            await asyncio.wait_for(test(asyncio.get_running_loop(), *args, **kwargs), LONGEST)

        factory = uvloop.new_event_loop if kind == "uvloop" else asyncio.new_event_loop

        def in_thread() -> None:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(limited())

        with ThreadPoolExecutor(1) as thread:
            thread.submit(in_thread).result()

    parameters = list(signature(test).parameters.values())[1:]
    shown = [Parameter("kind", Parameter.POSITIONAL_OR_KEYWORD), *parameters]
    run.__signature__ = Signature(shown)  # type: ignore[attr-defined]  # what pytest must give it
    return pytest.mark.parametrize("kind", ["asyncio", "uvloop"])(run)
