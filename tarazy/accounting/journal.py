"""Group commit: shares wait in a list, one thread writes all that wait as one commit, then each is answered.

No timer delays a share. While a commit is under way the next shares gather, so a slow disk makes larger batches by
itself. A share and the block it solves, given in one turn of the reactor, are in one commit. When nothing came for a
second, a mark is written, which tells whoever waits for this gateway's shares that there are none.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeAlias

import structlog
from twisted.internet.defer import Deferred

from tarazy.accounting.journal_file import FOREVER, SHARE, Batch, BlockRecord, JournalError, JournalFile
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import ShareRecord

CONNECTIONS = 1 << 24
"""Connection numbers have three bytes in extranonce1; behind the last one they begin again."""

LEASE = 1 << 16
"""Connection numbers put on disk at a time, so that giving one needs no commit: more than a storm takes."""

IDLE_SECONDS = 1.0
"""When nothing was written for so long a mark is; so a faulty journal is tried again too."""

_SETTLING_US = 1_000_000
"""A mark is of an instant so long ago: a share's arrival is taken when its packet is read, which may lie behind."""

_log = structlog.get_logger()
_pack = SHARE.pack
_Done: TypeAlias = Callable[[bool], None]


@dataclass(slots=True)
class JournalCounters:
    """What happened since the journal was opened."""

    commits: int = 0
    commit_seconds: float = 0.0
    shares: int = 0
    """On disk."""
    failures: int = 0
    """Commits that failed."""
    failed_shares: int = 0
    """Answered as not taken."""


class Journal:
    """The journal as the reactor's thread uses it. Every method is called there and returns at once."""

    def __init__(
        self,
        file: JournalFile,
        call_soon: Callable[[Callable[[], None]], object],
        on_health: Callable[[bool, str], None] = lambda healthy, reason: None,
    ) -> None:
        """Take over `file` and close it in the end. Raises `JournalError` when it cannot be written.

        `call_soon(f)`, called from any thread, runs `f` in the reactor's thread after its present turn: the
        loop's `call_soon_threadsafe`, or `reactor.callFromThread`. `on_health(healthy, reason)` is called in
        the reactor's thread when commits begin to fail and when they succeed again.
        """
        self.counters = JournalCounters()
        self.healthy = True
        self._file = file
        self._call_soon = call_soon
        self._on_health = on_health
        self._sequence = file.last_sequence()
        self._name = file.last_name()
        self._connection = file.connections()
        self._leased = self._connection + LEASE
        try:
            file.write(Batch(0, connections=self._leased, mark=_mark()))
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{file.path}: cannot be written: {error}") from error
        self._next = Batch(self._sequence + 1)
        self._waiting: list[_Done] = []
        self._idle = True
        self._closing = self._ended = False
        self._closed: Deferred[None] = Deferred()
        self._batches: SimpleQueue[tuple[Batch, list[_Done]] | None] = SimpleQueue()
        threading.Thread(target=self._write, name="journal", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Shares that wait for the commit after the present one."""
        return len(self._waiting)

    @property
    def last_sequence(self) -> int:
        """The last sequence number given to a share, on disk or not yet."""
        return self._sequence

    def open_connection(self) -> int:
        """A connection number of three bytes that comes back only after all the others.

        So it is across restarts too, however the process ended. Raises `JournalError` when the journal has
        been faulty for so long that the numbers leased on disk are used up.
        """
        if self._leased - self._connection <= LEASE // 2:
            self._next.connections = self._leased + LEASE
            self._wake()
            if self._leased == self._connection:
                raise JournalError(f"{self._file.path}: no connection numbers until the journal can be written")
        self._connection += 1
        return self._connection % CONNECTIONS

    def name(self, record: NameRecord) -> int:
        """Keep an admitted name; its number. It is on disk with its first share."""
        self._name += 1
        self._next.names.append((self._name, record))
        return self._name

    def job(self, job: Job) -> None:
        """Keep a job. It is on disk with its first share."""
        self._next.jobs.append(job)

    def share(self, record: ShareRecord, done: _Done) -> int:
        """Keep a share; its sequence number.

        `done` is called once, later, in the reactor's thread: True when the share is on disk (invariant 1),
        False when the commit failed. Raises `struct.error` for a field out of its range.
        """
        self._next.shares.append(_pack(*record))
        self._waiting.append(done)
        if self._idle:
            self._wake()
        self._sequence += 1
        return self._sequence

    def block(self, record: BlockRecord) -> None:
        """Keep a found block, which closes a round behind `record.sequence`. Tried until it is on disk."""
        self._next.blocks.append(record)
        self._wake()

    def close(self) -> Deferred[None]:
        """Commit what waits, then close the file. Shares given afterwards are answered False."""
        if not self._closing:
            self._closing = True
            self._leased = self._next.connections = self._connection
            self._next.mark = FOREVER
            self._wake()
        return self._closed

    def _wake(self) -> None:
        if self._idle:
            self._idle = False
            self._call_soon(self._take)

    def _take(self) -> None:
        """Hand all that waits to the thread."""
        batch, waiting = self._next, self._waiting
        self._next, self._waiting = Batch(self._sequence + 1), []
        if self._ended:
            self._idle = True
            _answer(waiting, False)
            return
        self._batches.put((batch, waiting))
        if self._closing:
            self._batches.put(None)
            self._ended = self._idle = True

    def _write(self) -> None:
        """The thread: one commit for each batch."""
        while True:
            try:
                item = self._batches.get(timeout=IDLE_SECONDS)
            except Empty:
                self._call_soon(self._probe)
                continue
            if item is None:
                break
            began = time.perf_counter()
            error: Exception | None = None
            try:
                self._file.write(item[0])
            except Exception as caught:  # whatever it is, the shares are not on disk and must be answered
                error = caught
            self._call_soon(partial(self._written, *item, time.perf_counter() - began, error))
        self._file.close()
        self._call_soon(partial(self._closed.callback, None))

    def _written(self, batch: Batch, waiting: list[_Done], seconds: float, error: Exception | None) -> None:
        """Back in the reactor's thread: start the next commit, then answer this one's shares."""
        if error is None:
            self.counters.commits += 1
            self.counters.commit_seconds += seconds
            self.counters.shares += len(waiting)
            if batch.connections and not self._closing:
                self._leased = batch.connections
        else:
            self.counters.failures += 1
            self.counters.failed_shares += len(waiting)
            self._keep(batch)
        if not self._ended:
            following = self._next
            urgent = error is None and (following.blocks or following.connections)
            if self._waiting or urgent or self._closing:
                self._take()
            else:
                self._idle = True
        changed = self.healthy != (error is None)
        self.healthy = error is None
        _answer(waiting, self.healthy)
        if changed:
            reason = "" if error is None else f"{self._file.path}: {error}"
            level = logging.INFO if self.healthy else logging.ERROR
            _log.log(level, "journal_health", healthy=self.healthy, reason=reason)
            self._on_health(self.healthy, reason)

    def _keep(self, batch: Batch) -> None:
        """Only shares are given up: what later ones refer to goes into the next commit."""
        self._next.names[:0] = batch.names
        self._next.jobs[:0] = batch.jobs
        self._next.blocks[:0] = batch.blocks

    def _probe(self) -> None:
        if self._idle and not self._ended:
            self._next.mark = _mark()
            self._wake()


def _mark() -> int:
    return time.time_ns() // 1000 - _SETTLING_US


def _answer(waiting: list[_Done], durable: bool) -> None:
    for done in waiting:
        try:
            done(durable)
        except Exception:
            _log.exception("journal_answer_failed")
