"""What is known of one connection, and what methods and shares do to it; `session` adds the talking.

Answers leave in the order of the requests, also when one of them waits for the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tarazy.stratum import codec
from tarazy.stratum.assignments import Assignments
from tarazy.stratum.board import Board
from tarazy.stratum.codec import RefusalError
from tarazy.stratum.ports import Admission, NameRecord, NotReadyError

SECONDS_BEFORE_READY = 30.0
SECONDS_AFTER_REFUSAL = 5.0
"""Long enough for the reason to be read, and to slow the next attempt."""
SECONDS_AFTER_WITHDRAWAL = 0.5
REFUSALS = 20
"""Refused names in a row that end a connection, even one with an admitted name."""
NUMBERS_TRIED = 1024
"""Connection numbers passed over because a connection that lived through all of them still has the same one."""
OWN_JOB_PAUSE = 10.0
"""Seconds between jobs that a connection gets only because its difficulty changes."""
NOT_ASKED = "authorize a login first"

_NOT_DURABLE = codec.error_tail(codec.OTHER, "not-ready: the share could not be stored, send it again later")


def unheld() -> None:
    """There is no socket."""


class Name:
    """An admitted name of a connection; `refusal` is the reason once the admission was withdrawn."""

    __slots__ = ("number", "party", "password", "refusal", "site")

    def __init__(self, number: int, password: str, party: str, site: str) -> None:
        self.number = number
        self.password = password
        self.party = party
        self.site = site
        self.refusal: str | None = None


class State:
    """One connection. Times are the reactor's, in seconds."""

    __slots__ = (
        "_close_at",
        "_number",
        "_out",
        "_own_job_at",
        "_refusals",
        "admitted",
        "assignments",
        "board",
        "closed",
        "ended",
        "extranonce1",
        "flush",
        "names",
        "peer",
        "ready",
        "refusal",
        "subscribed",
        "subscription",
        "talking",
        "waiting",
    )

    def __init__(self, board: Board, peer: str, now: float, flush: Callable[[], None] = unheld) -> None:
        """`peer`: address for the gate. `flush` belongs to whoever holds the socket: it sends `output`."""
        self.board = board
        self.peer = peer
        self.flush = flush
        self.assignments = Assignments(board, now)
        self.names: dict[str, Name] = {}
        self.admitted = 0
        """How many of the names are admitted now."""
        self.subscribed = False
        self.subscription = ""
        self.ready = False
        self.ended = False
        """Send `output`, then close."""
        self.closed = False
        self.talking = False
        """On the board's list of those that have something to send."""
        self.extranonce1 = b""
        self.refusal = NOT_ASKED
        self.waiting: list[Commit | bytes] = []
        """Answers in order, from the first one on that waits for the disk."""
        self._number = -1
        self._out: list[bytes] = []
        self._own_job_at = now
        self._close_at: float | None = now + SECONDS_BEFORE_READY
        self._refusals = 0

    def output(self) -> bytes:
        """Everything that may leave now, once."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def send_job(self, now: float) -> None:
        """Hand out the board's job, to a ready connection."""
        if self.ready and self.admitted:
            job = self.assignments.next(now)
            if job:
                self._out.append(job)

    def reconsider(self, now: float) -> bool:
        """Ask the gate about every name again. True if none is left, and the connection will end."""
        for login, name in self.names.items():
            admission = self.board.gate.admit(login, name.password, self.peer)
            if not admission.admitted:
                if name.refusal is None:
                    self.admitted -= 1
                    self.board.count_refusal(admission)
                name.refusal = admission.text
            elif name.refusal is not None or (name.party, name.site) != (admission.party, admission.site):
                self.admit(login, name.password, admission, now)
        if not self.ready or self.admitted:
            return False
        self._close_at = now + SECONDS_AFTER_WITHDRAWAL
        return True

    def close(self, now: float) -> None:
        """The socket is gone. Shares that were handed to the journal stay valid."""
        self.closed = self.ended = True
        if self.ready:
            self.board.remember(next(iter(self.names)), self.assignments.vardiff.lasting, now)
            self.board.counters.ready -= 1
        self.board.hurried.discard(self)
        self.board.extranonces.discard(self.extranonce1)

    def open(self) -> bytes:
        """The connection's extranonce1; its number is taken when first needed. Raises NotReadyError."""
        if self._number < 0:
            self._number, self.extranonce1 = self._free_number()
            self.board.extranonces.add(self.extranonce1)
            self.subscription = os.urandom(16).hex()
        return self.extranonce1

    def _free_number(self) -> tuple[int, bytes]:
        """A number that no living connection has: they come round after 2**24 (C-038)."""
        board = self.board
        for _ in range(NUMBERS_TRIED):
            number = board.journal.open_connection()
            extranonce1 = bytes([board.rules.gateway]) + (number & 0xFFFFFF).to_bytes(3, "big")
            if extranonce1 not in board.extranonces:
                return number, extranonce1
        raise NotReadyError

    def admit(self, login: str, password: str, admission: Admission, now: float) -> None:
        """Enter an admitted name."""
        known = self.names.get(login)
        if known is None or known.refusal is not None:
            self.admitted += 1
        extranonce1 = self.open()
        party, site = admission.party, admission.site
        at_us = self.board.unix_us(now)
        account, worker = admission.account, admission.worker
        record = NameRecord(self._number, extranonce1, account, worker, party, site, at_us)
        self.names[login] = Name(self.board.journal.name(record), password, party, site)
        self._refusals = 0
        if self.ready:
            self._close_at = None

    def refused(self, admission: Admission, now: float) -> RefusalError:
        """The answer to a name that is not admitted; ends the connection soon if it has no other."""
        self.board.count_refusal(admission)
        if not self.ready and self.refusal == NOT_ASKED:
            self._close_at = now + SECONDS_AFTER_REFUSAL
        self._refusals += 1
        self.ended |= self._refusals >= REFUSALS
        self.refusal = admission.text
        return RefusalError(codec.UNAUTHORIZED, f"unauthorized: {admission.text}")

    @property
    def first_name(self) -> Name:
        """The name the connection became ready with."""
        return next(iter(self.names.values()))

    def count_share(self, exponent: int, now: float) -> None:
        """Tell vardiff of an accepted share."""
        vardiff = self.assignments.vardiff
        vardiff.share(exponent, now)
        if vardiff.wanted != vardiff.exponent:
            self.hurry(now)

    def hurry(self, now: float) -> None:
        """Ask for a job of our own if a change of difficulty is too large to wait for the next."""
        if self.ready and self.assignments.vardiff.hurried and now >= self._own_job_at:
            self._own_job_at = now + OWN_JOB_PAUSE
            self.board.hurried.add(self)

    def settle(self) -> None:
        """Release the answers whose turn has come."""
        waiting = self.waiting
        settled = 0
        for entry in waiting:
            reply = entry if isinstance(entry, bytes) else entry.reply
            if reply is None:
                break
            self._out.append(reply)
            settled += 1
        del waiting[:settled]
        if settled and not self.talking and not self.closed:
            self.board.speak(self)


class Commit:
    """An accepted share on its way to the disk: holds the place of its answer, is called with the outcome."""

    __slots__ = ("_head", "_keys", "_seen", "_session", "_weight", "reply")

    def __init__(self, session: State, head: bytes, weight: int, seen: set[bytes], keys: tuple[bytes, bytes]) -> None:
        """`keys`: what `seen` must forget if the share is lost."""
        self._session = session
        self._head = head
        self._weight = weight
        self._seen = seen
        self._keys = keys
        self.reply: bytes | None = None

    def __call__(self, committed: bool) -> None:
        """The journal's word: only now the miner gets its answer (invariant 1)."""
        session = self._session
        board = session.board
        if committed:
            counters = board.counters
            counters.accepted += 1
            counters.weight["accepted"] += self._weight
            self.reply = self._head + codec.TRUE
        else:
            board.handing_out = False
            board.count_rejection("not-ready", self._weight)
            self._seen.difference_update(self._keys)
            self.reply = self._head + _NOT_DURABLE
        session.settle()
