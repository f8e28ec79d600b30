"""The jobs a connection was sent, each with the difficulty, version mask and extranonce1 it was sent under."""

from __future__ import annotations

from tarazy.stratum.board import Board
from tarazy.stratum.codec import encode_set_difficulty
from tarazy.stratum.extranonces import Parked
from tarazy.stratum.share import Work
from tarazy.stratum.vardiff import Vardiff

JOBS_KEPT = 40
GENERATIONS_KEPT = 2
"""Changes of the previous block for which a job is kept: a late share may still be a block."""


class Assignments:
    """What is remembered of the work of one connection. Times are the reactor's, in seconds."""

    __slots__ = (
        "_announced",
        "_board",
        "_earlier_extranonces",
        "_earlier_masks",
        "_generation",
        "_mask",
        "_seen",
        "_works",
        "extranonce1",
        "vardiff",
    )

    def __init__(self, board: Board, now: float) -> None:
        self._board = board
        self.vardiff = Vardiff(board.limits, now)
        self.extranonce1 = b""
        """That of the jobs to come."""
        self._works: dict[str, Work] = {}
        self._seen: dict[str, set[bytes]] = {}
        self._mask = 0
        self._earlier_masks: dict[str, int] = {}
        self._earlier_extranonces: dict[str, bytes] = {}
        self._generation = 0
        self._announced: int | None = None

    def due(self) -> bool:
        """Whether the board has a job for this connection that it was not sent yet.

        One that an earlier connection of this extranonce1 was sent is made anew under another number: difficulty and
        shares of the old one stay what they are.
        """
        board = self._board
        if not board.handing_out or board.job_id is None:
            return False
        return board.job_id not in self._works or (self._announced is None and board.reissue())

    def next(self, now: float) -> bytes:
        """The board's job, which is due, as it goes to this connection: its difficulty directly before it if new."""
        work = self._board.work(self.vardiff.take(now))
        data = work.notify[work.generation != self._generation or self._announced is None]
        if work.exponent != self._announced:
            self._announced = work.exponent
            data = encode_set_difficulty(work.exponent) + data
        self._generation = work.generation
        self._works[work.wire_id] = work
        self._forget()
        return data

    def announce_again(self) -> None:
        """Say the difficulty with the next job even if it is the same: the miner seems not to know it."""
        self._announced = None

    def find(self, job_id: str) -> Work | None:
        """The work that was sent under a job id."""
        return self._works.get(job_id) or self._works.get(job_id.lower())

    def is_stale(self, work: Work, now: float) -> bool:
        """Whether a job on a newer block was sent to this connection, or the job is too old."""
        return work.generation != self._generation or now > work.expires

    def seen(self, work: Work) -> set[bytes]:
        """What was already judged of a work, for `judge`."""
        seen = self._seen.get(work.wire_id)
        if seen is None:
            seen = self._seen[work.wire_id] = set()
        return seen

    def roll(self, mask: int) -> bool:
        """Let the miner roll these version bits; jobs already sent keep their mask beside it (C-073).

        False if it could already.
        """
        if mask == self._mask:
            return False
        for job_id in self._works:
            self._earlier_masks.setdefault(job_id, self._mask)
        self._mask = mask
        return True

    def mask(self, work: Work, fields: bytes) -> int:
        """The mask to judge by: the present one, or where the bits do not fit it the job's own.

        A job whose version has bits inside the present mask, from before that mask, goes by its own alone: else one
        header would be two shares.
        """
        bits = int.from_bytes(fields[16:], "big")
        if not self._earlier_masks or not (bits & ~self._mask or work.job.version & self._mask):
            return self._mask
        return self._earlier_masks.get(work.wire_id, self._mask)

    def renumber(self, extranonce1: bytes) -> frozenset[bytes]:
        """Send the jobs to come under another extranonce1 (C-041); those that jobs already sent still go by."""
        for job_id in self._works:
            self._earlier_extranonces.setdefault(job_id, self.extranonce1)
        self.extranonce1 = extranonce1
        return frozenset(self._earlier_extranonces.values())

    def extranonce1_of(self, work: Work) -> bytes:
        """The extranonce1 that a work was sent under."""
        if not self._earlier_extranonces:
            return self.extranonce1
        return self._earlier_extranonces.get(work.wire_id, self.extranonce1)

    def park(self, now: float) -> Parked | None:
        """What is kept when the connection closes; None if no job was sent under its present extranonce1."""
        for job_id in self._earlier_extranonces:
            del self._works[job_id]
            self._seen.pop(job_id, None)
            self._earlier_masks.pop(job_id, None)
        if not self._works:
            return None
        masks = self._mask, self._earlier_masks
        return Parked(self.extranonce1, self._works, self._seen, *masks, self._generation, now)

    def resume(self, parked: Parked) -> None:
        """Go on where an earlier connection ended: its jobs keep their difficulty, mask and shares (C-091)."""
        self.extranonce1 = parked.extranonce1
        self._works, self._seen, self._earlier_masks = parked.works, parked.seen, parked.earlier_masks
        self._generation = parked.generation
        if parked.mask != self._mask:
            for job_id in self._works:
                self._earlier_masks.setdefault(job_id, parked.mask)

    def _forget(self) -> None:
        """Drop the jobs that neither a share nor a block can come from any more."""
        works = self._works
        eldest = self._generation - GENERATIONS_KEPT
        while True:
            job_id, work = next(iter(works.items()))
            if work.generation >= eldest and len(works) <= JOBS_KEPT:
                return
            del works[job_id]
            self._seen.pop(job_id, None)
            self._earlier_masks.pop(job_id, None)
            self._earlier_extranonces.pop(job_id, None)
