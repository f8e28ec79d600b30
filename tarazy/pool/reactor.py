"""The reactor: Twisted's asyncio reactor over uvloop, installed once, before anything imports the global one."""

from __future__ import annotations

import asyncio

import uvloop
from twisted.internet import asyncioreactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor


def install_reactor() -> tuple[AsyncioSelectorReactor, asyncio.AbstractEventLoop]:
    """Install it and return it with its loop.

    The loop is made current first: `install` with an explicit loop does not do that, and asyncio code started
    later would wait on another loop for ever.
    """
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)  # type: ignore[no-untyped-call]
    from twisted.internet import reactor

    assert isinstance(reactor, AsyncioSelectorReactor)
    return reactor, loop
