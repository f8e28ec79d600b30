"""What a mining machine says of its own power on its API (TCP, 4028): a hint beside the meter, never legal energy.

The API is cgminer's: a JSON command, a JSON answer, a NUL, and the connection ends. Makers put their power elsewhere:
WhatsMiner in `summary`, Antminer in `stats` where its firmware tells it, Avalon in the text of `estats`. Nothing that
could change a machine is ever sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

COMMANDS = ("summary", "stats", "estats")
"""Those that are asked, in this order, until one tells a power; all of them only read."""
LONGEST = 1 << 17
"""Bytes of an answer; an Avalon's are about 12,000."""
SECONDS = 5.0
"""For one command, connecting included."""
AT_ONCE = 32
_HIGHEST_W = 100_000
_WATTS = re.compile(r"\s*(\d{1,6}(?:\.\d{1,9})?)\s*(?:W|watts?|\(AB\))?\s*", re.IGNORECASE)
_WALL_POWER = re.compile(r"\bWALLPOWER\[(\d{1,6})\]")


class AsicError(Exception):
    """A machine that gave no usable answer."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the machines of a site said together."""

    at: datetime
    asked: int
    answered: int
    telling: int
    """Of those that answered, how many told a power."""
    power_w: int
    """Of those, the sum."""


def parse_answer(content: bytes) -> dict[str, Any]:
    """The JSON object of an answer; two faults that firmware is known for are mended. Raises `AsicError`.

    Those are a missing comma between objects, and bytes that are no text.
    """
    text = content.split(b"\0", 1)[0].decode("utf-8", "replace")
    text = re.sub(r"[\x00-\x1f]", " ", text)
    for attempt in (text, re.sub(r"\}\s*\{", "},{", text)):
        with suppress(orjson.JSONDecodeError, RecursionError):
            told = orjson.loads(attempt)
            if isinstance(told, dict):
                return told
    raise AsicError("an answer that is no JSON object")


def claimed_power(told: dict[str, Any]) -> int | None:
    """Watts that an answer tells; None where it tells none. -1 and 0 are how firmware says that it does not know."""
    watts = 0
    for section in _sections(told, "SUMMARY"):
        watts = watts or _watts(section.get("Power"))
    for section in _sections(told, "STATS"):
        own = next(filter(None, (_watts(section.get(name)) for name in ("chain_power", "power", "watt"))), 0)
        walls = sum(
            int(found[1])
            for name, value in section.items()
            if name.startswith("MM ID") and isinstance(value, str) and (found := _WALL_POWER.search(value))
        )
        watts += own or walls
    return watts if 0 < watts <= _HIGHEST_W else None


def _sections(told: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    sections = told.get(name)
    for section in sections if isinstance(sections, list) else ():
        if isinstance(section, dict):
            yield section


def _watts(value: object) -> int:
    """A whole number of watts of what stands in an answer; 0 when it is none."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int | float):
        return int(value) if 0 < value <= _HIGHEST_W else 0
    found = _WATTS.fullmatch(value) if isinstance(value, str) else None
    return int(float(found[1])) if found else 0


async def ask(host: str, port: int, command: str) -> dict[str, Any]:
    """The answer to one of `COMMANDS`. Raises `AsicError`: also for one that is too long or takes too long."""
    if command not in COMMANDS:
        raise ValueError(f"{command} is not among the commands that only read")
    content = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            incoming, outgoing = await asyncio.open_connection(host, port)
            try:
                outgoing.write(orjson.dumps({"command": command}))
                while b"\0" not in content and (part := await incoming.read(1 << 14)):
                    content += part
                    if len(content) > LONGEST:
                        raise AsicError("an answer that is too long")
            finally:
                outgoing.close()
    except (OSError, TimeoutError) as error:
        raise AsicError(f"no answer: {error or type(error).__name__}") from None
    return parse_answer(bytes(content))


async def power_of(host: str, port: int) -> int | None:
    """Watts that a machine says it draws; None where it answers and tells none. Raises `AsicError`."""
    watts = claimed_power(await ask(host, port, COMMANDS[0]))
    for command in COMMANDS[1:]:
        if watts is None:
            with suppress(AsicError):
                watts = claimed_power(await ask(host, port, command))
    return watts


async def ask_all(machines: Sequence[tuple[str, int]], at: datetime) -> Claim:
    """Ask machines (host, port), some at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(host: str, port: int) -> tuple[bool, int | None]:
        async with turns:
            try:
                return True, await power_of(host, port)
            except AsicError:
                return False, None

    told = await asyncio.gather(*(one(host, port) for host, port in machines))
    powers = [watts for _, watts in told if watts is not None]
    return Claim(at, len(machines), sum(answered for answered, _ in told), len(powers), sum(powers))
