"""The jobs a connection was sent, each with the difficulty and the version mask it was sent under."""

from __future__ import annotations

from tarazy.stratum.board import Board
from tarazy.stratum.codec import encode_set_difficulty
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
        "_earlier_masks",
        "_generation",
        "_mask",
        "_seen",
        "_works",
        "vardiff",
    )

    def __init__(self, board: Board, now: float) -> None:
        self._board = board
        self.vardiff = Vardiff(board.limits, now)
        self._works: dict[str, Work] = {}
        self._seen: dict[str, set[bytes]] = {}
        self._mask = 0
        self._earlier_masks: dict[str, int] = {}
        self._generation = 0
        self._announced: int | None = None

    def next(self, now: float) -> bytes:
        """The board's job as it goes to this connection, its difficulty directly before it if that is new.

        Empty if there is none to hand out, or if it was sent already.
        """
        board = self._board
        if not board.handing_out or board.job_id is None or board.job_id in self._works:
            return b""
        work = board.work(self.vardiff.take(now))
        data = work.notify[work.generation != self._generation]
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

    def roll(self, mask: int) -> None:
        """Let the miner roll these version bits; jobs already sent keep their mask beside it (C-073)."""
        if mask != self._mask:
            for job_id in self._works:
                self._earlier_masks.setdefault(job_id, self._mask)
            self._mask = mask

    def mask(self, work: Work, fields: bytes) -> int:
        """The mask to judge by: the present one, or where the bits do not fit it the job's own."""
        if not self._earlier_masks or not int.from_bytes(fields[16:], "big") & ~self._mask:
            return self._mask
        return self._earlier_masks.get(work.wire_id, self._mask)

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
