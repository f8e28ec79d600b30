"""What one process of a gateway leaves to the next, in a file beside the journal: so that no work in flight is lost.

The file holds the length of a JSON text in 8 bytes, the text, and the transactions that it refers to, each once.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from struct import Struct
from typing import Any

from tarazy.accounting.durable import write_durably
from tarazy.accounting.journal_file import SHARE, JournalReader
from tarazy.pool.chain.interface import Template, TemplateTransaction
from tarazy.stratum import handover
from tarazy.stratum.job import Job
from tarazy.stratum.share import ShareRecord

TRANSACTION_BYTES = 64 << 20
"""Templates are handed over, the newest first, until their transactions would take more."""
JUDGED_SECONDS = 660
"""Shares so far back are looked at: no job is credited for longer than 600 s."""
SECRET_BYTES = 32

_JUDGED = Struct(">8x12s20sxB")
"""Of `SHARE`: name and job, all that follows up to the version, verdict."""
_NAME_AND_JOB = Struct(">IQ")


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier process left."""

    connections: dict[str, Any]
    """For `handover.unpack`."""
    jobs: dict[int, Job]
    judged: dict[tuple[bytes, int], set[bytes]]
    """The shares judged on these jobs, by extranonce1 and job."""
    kept: list[tuple[Job, Template]]
    """Templates with their jobs, the newest first."""


def session_secret(path: Path) -> bytes:
    """The key of the session ids, which is made once and kept in `path`. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        kept = path.read_bytes()
        if len(kept) == SECRET_BYTES:
            return kept
    secret = os.urandom(SECRET_BYTES)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret)
    return secret


def save(path: Path, connections: dict[str, Any], kept: Sequence[tuple[Job, Template]]) -> None:
    """Write what is left, durably. The jobs must be in the journal. Raises OSError."""
    places: dict[TemplateTransaction, int] = {}
    size = 0
    templates = []
    for job, template in kept:
        new = [each for each in template.transactions if each not in places]
        size += sum(len(each.data) for each in new)
        if size > TRANSACTION_BYTES:
            break
        for each in new:
            places[each] = len(places)
        plain = _plain(template, "transactions")
        templates.append([job.number, plain, [places[each] for each in template.transactions]])
    transactions = [[_plain(each, "data"), len(each.data)] for each in places]
    text = json.dumps({"connections": connections, "templates": templates, "transactions": transactions}).encode()
    write_durably(path, b"".join((len(text).to_bytes(8, "big"), text, *(each.data for each in places))))


def load(path: Path, journal: Path, gateway: int) -> Left | None:
    """Read what is left, with what belongs to it from the journal; None if there is nothing.

    Raises whatever comes of a file that is damaged, or of another version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    end = 8 + int.from_bytes(content[:8], "big")
    left = json.loads(content[8:end])
    transactions = []
    for plain, length in left["transactions"]:
        transactions.append(TemplateTransaction(**_unplain(plain), data=content[end : end + length]))
        end += length
    if end != len(content):
        raise ValueError(f"{path}: has {len(content)} bytes instead of {end}")
    kept = {
        number: Template(**_unplain(plain), transactions=tuple(transactions[place] for place in places))
        for number, plain, places in left["templates"]
    }
    numbers = {*handover.job_numbers(left["connections"]), *kept}
    reader = JournalReader(journal, gateway)
    try:
        jobs = {number: job for number in numbers if (job := reader.job(number)) is not None}
        judged = _judged(jobs, reader)
    finally:
        reader.close()
    return Left(
        left["connections"],
        jobs,
        judged,
        [(jobs[number], template) for number, template in kept.items() if number in jobs],
    )


def _judged(jobs: dict[int, Job], reader: JournalReader) -> dict[tuple[bytes, int], set[bytes]]:
    """What was judged of these jobs, as `handover.unpack` takes it. A million shares take about a second."""
    since_us = time.time_ns() // 1000 - JUDGED_SECONDS * 1_000_000
    tails: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for shares in reader.backwards():
        for key, tail, verdict in _JUDGED.iter_unpack(shares):
            if verdict in handover.REMEMBERED:
                tails[key].append(tail)
        first, last = (ShareRecord._make(SHARE.unpack_from(shares, at)) for at in (0, len(shares) - SHARE.size))
        if first.at_us < since_us and first.job not in jobs and last.job not in jobs:
            break
    names = reader.names({_NAME_AND_JOB.unpack(key)[0] for key in tails})
    judged: defaultdict[tuple[bytes, int], set[bytes]] = defaultdict(set)
    for key, found in tails.items():
        name, number = _NAME_AND_JOB.unpack(key)
        if number in jobs and name in names:
            judged[names[name].extranonce1, number] |= handover.fields_of(found, jobs[number])
    return judged


def _plain(value: Template | TemplateTransaction, without: str) -> dict[str, Any]:
    """The fields of a template or transaction for JSON, bytes as hex behind `0x`."""
    return {each.name: _packed(getattr(value, each.name)) for each in fields(value) if each.name != without}


def _unplain(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: _unpacked(value) for name, value in plain.items()}


def _packed(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return [_packed(each) for each in value] if isinstance(value, tuple) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    return tuple(_unpacked(each) for each in value) if isinstance(value, list) else value
