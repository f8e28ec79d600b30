"""What one process of a gateway leaves to the next, as plain values: connections that may be resumed, with their jobs.

Only jobs on the present previous block are handed over; the jobs themselves, and the shares that were judged already,
are in the journal. Instants are Unix seconds here, since the reactor's clock ends with the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tarazy.stratum.board import JOB_LIFE, Board
from tarazy.stratum.extranonces import PARKED_SECONDS, Parked
from tarazy.stratum.job import Job
from tarazy.stratum.share import Verdict, Work

LAYOUT = 1

REMEMBERED = (Verdict.ACCEPTED, Verdict.STALE)
"""Verdicts of shares that are duplicates when they come again."""


def pack(board: Board, now: float) -> dict[str, Any]:
    """What `unpack` takes: for JSON."""
    jobs: dict[int, float] = {}
    connections = []
    for parked in board.extranonces.parked():
        works = []
        for job_id, work in parked.works.items():
            if work.generation == board.generation and work.expires > now:
                jobs[work.job.number] = work.expires + board.utc_offset
                works.append([work.job.number, work.exponent, parked.earlier_masks.get(job_id, parked.mask)])
        connections.append([parked.extranonce1.hex(), parked.closed_at + board.utc_offset, works])
    previous = board.previous_block_hash
    return {
        "layout": LAYOUT,
        "previous_block_hash": previous.hex() if previous else None,
        "jobs": list(jobs.items()),
        "connections": connections,
    }


def job_numbers(plain: dict[str, Any]) -> list[int]:
    """The jobs that `unpack` needs."""
    return [number for number, _ in plain["jobs"]]


def unpack(
    board: Board,
    plain: dict[str, Any],
    jobs: Mapping[int, Job],
    judged: Mapping[tuple[bytes, int], set[bytes]],
    now: float,
) -> int:
    """Take over on a board that has published nothing yet; how many connections may be resumed.

    `jobs`: those of `job_numbers`, as far as they are known. `judged`: by extranonce1 and job number the shares that
    are duplicates from now on, by `fields_of` of all that is recorded with a verdict in `REMEMBERED` (C-090). Raises
    ValueError, TypeError or LookupError if `plain` is not what `pack` made.
    """
    if plain["layout"] != LAYOUT:
        raise ValueError(f"has layout {plain['layout']}, this program knows {LAYOUT}")
    unix_now = now + board.utc_offset
    expires = {
        number: now + min(float(until) - unix_now, JOB_LIFE) for number, until in plain["jobs"] if number in jobs
    }
    previous = bytes.fromhex(plain["previous_block_hash"]) if plain["previous_block_hash"] else None
    generation = board.generation + 1
    works: dict[tuple[int, int], Work] = {}
    returned = []
    for extranonce1_hex, closed_at, sent in plain["connections"]:
        parked = Parked(bytes.fromhex(extranonce1_hex), generation=generation)
        parked.closed_at = now - max(0.0, unix_now - float(closed_at))
        if parked.closed_at + PARKED_SECONDS <= now or len(parked.extranonce1) != 4:
            continue
        for number, exponent, mask in sent:
            if number in expires:
                work = works.get((number, exponent))
                if work is None:
                    work = Work(jobs[number], exponent, generation=generation, expires=expires[number])
                    works[number, exponent] = work
                parked.works[work.wire_id] = work
                parked.earlier_masks[work.wire_id] = int(mask)
                seen = judged.get((parked.extranonce1, number))
                if seen:
                    parked.seen[work.wire_id] = seen
                    parked.shares += len(seen)
        returned.append(parked)
    board.go_on(previous, generation)
    for parked in sorted(returned, key=lambda each: each.closed_at):
        board.extranonces.park(parked)
    return len(returned)


def fields_of(tails: Iterable[bytes], job: Job) -> set[bytes]:
    """Shares of a job as `judge` remembers them, of extranonce2, ntime, nonce and full version, 20 bytes each."""
    unrolled, no_bits = job.version.to_bytes(4, "big"), bytes(4)

    def rolled(version: bytes) -> bytes:
        # A job's version has no bit inside the mask, so what it has not was rolled.
        return (int.from_bytes(version, "big") & ~job.version).to_bytes(4, "big")

    return {tail[:16] + (no_bits if tail[16:] == unrolled else rolled(tail[16:])) for tail in tails}
