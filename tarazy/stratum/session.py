"""One connection of a miner, without its socket.

`receive` takes what arrived, `output` gives what shall leave, `tick` lets time pass. Whoever holds the
socket closes it once `ended` is true and stops reading while `crowded` is. Answers leave in the order of the
requests, also when one of them waits for the disk; nothing but answers leaves before the connection is ready:
subscribed, with an admitted name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tarazy.stratum import codec
from tarazy.stratum.assignments import Assignments
from tarazy.stratum.board import Board
from tarazy.stratum.methods import METHODS, RefusalError
from tarazy.stratum.ports import Admission, NameRecord
from tarazy.stratum.submit import Commit, submit

LONGEST_LINE_BEFORE_READY = 4096
LONGEST_LINE = 8192
MESSAGES_BEFORE_READY = 20
SECONDS_BEFORE_READY = 30.0
SECONDS_AFTER_REFUSAL = 5.0
"""Long enough for the reason to be read, and to slow the next attempt."""
SECONDS_AFTER_WITHDRAWAL = 0.5
MALFORMED_LINES = 5
WAITING_ANSWERS = 64
"""Requests without an answer at which no more are read."""
OWN_JOB_PAUSE = 10.0
"""Seconds between jobs that a connection gets only because its difficulty changes."""
SILENCE = 900.0
PING_PATIENCE = 60.0
NOT_ASKED = "authorize a login first"

_ALWAYS_ANSWERED = frozenset({"mining.configure", "mining.subscribe", "mining.authorize"})


def _unheld() -> None:
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


class Session:
    """The state of one connection. Times are the reactor's, in seconds."""

    __slots__ = (
        "_begun",
        "_close_at",
        "_heard",
        "_lines",
        "_malformed",
        "_messages",
        "_number",
        "_out",
        "_own_job_at",
        "_pinged_at",
        "_unread",
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

    def __init__(self, board: Board, peer: str, now: float, flush: Callable[[], None] = _unheld) -> None:
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
        self._number = -1
        self.extranonce1 = b""
        self._lines = codec.Lines()
        self._unread: list[bytes] = []
        self._out: list[bytes] = []
        self.waiting: list[Commit | bytes] = []
        self._begun = False
        self._messages = 0
        self._malformed = 0
        self._heard = now
        self._pinged_at = -1.0
        self._own_job_at = now
        self._close_at: float | None = now + SECONDS_BEFORE_READY
        self.refusal = NOT_ASKED

    # What the holder of the socket calls.

    def receive(self, data: bytes, now: float) -> bool:
        """Take what arrived; with b"" go on with what was left while the session was crowded.

        True if the holder of the socket has something to do: send, close or stop reading.
        """
        if self.ended:
            return True
        self._heard = now
        if not self._begun and data:
            self._begun = True
            if data[:1] not in (b"{", b"["):
                self.ended = True
                return True
        lines = self._lines.feed(data)
        if self._unread:
            lines = self._unread + lines
            self._unread = []
        for line in lines:
            if self.ended:
                return True
            if len(self.waiting) >= WAITING_ANSWERS:
                self._unread.append(line)
            else:
                self._line(line, now)
        if len(self._lines.rest) > (LONGEST_LINE if self.ready else LONGEST_LINE_BEFORE_READY):
            self._too_long()
        return bool(self._out) or self.ended or len(self.waiting) >= WAITING_ANSWERS

    def output(self) -> bytes:
        """Everything that may leave now, once."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    @property
    def crowded(self) -> bool:
        """Whether so many answers are waiting that nothing more should be read."""
        return len(self.waiting) >= WAITING_ANSWERS

    def tick(self, now: float) -> None:
        """Let time pass: deadlines, vardiff, silence. Every 15 s, before ready every second."""
        if self._close_at is not None:
            self.ended |= now >= self._close_at
            return
        if not self.ready:
            return
        self.assignments.vardiff.check(now)
        self.hurry(now)
        if now - self._heard > SILENCE and self.assignments.vardiff.lowest:
            if self._pinged_at < self._heard:
                self._pinged_at = now
                self._out.append(codec.encode_request(1, "mining.ping", []))
            elif now - self._pinged_at >= PING_PATIENCE:
                self.ended = True

    def send_job(self, now: float) -> None:
        """Hand out the board's job."""
        if self.admitted:
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
                    self.board.refuse(admission, self.peer)
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
            self.board.remember(next(iter(self.names)), self.assignments.vardiff.exponent, now)
            self.board.counters.ready -= 1
        self.board.hurried.discard(self)

    # What methods and shares use.

    def open(self) -> bytes:
        """The connection's extranonce1; its number is taken when first needed."""
        if self._number < 0:
            self._number = self.board.journal.open_connection()
            counted = self._number & 0xFFFFFF
            self.extranonce1 = bytes([self.board.rules.gateway]) + counted.to_bytes(3, "big")
            self.subscription = os.urandom(16).hex()
        return self.extranonce1

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
        if self.ready:
            self._close_at = None

    def refused(self, text: str, now: float) -> RefusalError:
        """The answer to a name that is not admitted; ends the connection soon if it has no other."""
        if not self.ready and self.refusal == NOT_ASKED:
            self._close_at = now + SECONDS_AFTER_REFUSAL
        self.refusal = text
        return RefusalError(codec.UNAUTHORIZED, f"unauthorized: {text}")

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

    # From line to answer.

    def _line(self, line: bytes, now: float) -> None:
        if len(line) > (LONGEST_LINE if self.ready else LONGEST_LINE_BEFORE_READY):
            self._too_long()
            return
        if len(line) < 2 and line in (b"", b"\r"):
            return
        if not self.ready:
            self._messages += 1
            if self._messages > MESSAGES_BEFORE_READY:
                self._end(codec.OTHER, "rate-limited: subscribe and authorize first")
                return
        try:
            message = codec.decode(line)
            ident = message.get("id")
            if not codec.is_id(ident):
                ident = None
                raise RefusalError(codec.INVALID_REQUEST, "invalid-request: id is no number, string or null")
            method = message.get("method")
            if method == "mining.submit":
                submit(self, ident, message.get("params"), now)
            elif "method" in message:
                self._request(ident, method, message.get("params"), now)
            self._malformed = 0
        except codec.MalformedError as error:
            self._malformed += 1
            self.ended |= self._malformed >= MALFORMED_LINES
            self._reply(codec.encode_error(None, error.code, error.text))
        except RefusalError as error:
            self._malformed = 0
            self._reply(codec.encode_error(ident, error.code, error.text))

    def _request(self, ident: Any, method: object, params: object, now: float) -> None:
        if type(method) is not str:
            raise RefusalError(codec.INVALID_REQUEST, "invalid-request: method is a string")
        answered = ident is not None or method in _ALWAYS_ANSWERED
        handler = METHODS.get(method)
        try:
            if handler is None:
                if method == "pong":
                    return
                raise RefusalError(codec.UNKNOWN_METHOD, "unknown-method")
            if params is None:
                params = []
            if type(params) is not list:
                raise RefusalError(codec.OTHER, "bad-params: params is an array")
            result = handler(self, params, now)
        except RefusalError:
            if answered:
                raise
            return
        if answered:
            self._reply(codec.encode_result(ident, result))
        if not self.ready and self.subscribed and self.admitted:
            self._become_ready(now)

    def _become_ready(self, now: float) -> None:
        self.ready = True
        self._close_at = None
        self.board.counters.ready += 1
        self.assignments.vardiff.begin(self.board.recall(next(iter(self.names)), now), now)
        self.send_job(now)

    def _reply(self, answer: bytes) -> None:
        if self.waiting:
            self.waiting.append(answer)
        else:
            self._out.append(answer)

    def _too_long(self) -> None:
        self._end(codec.PARSE_ERROR, "parse-error: line too long")

    def _end(self, code: int, text: str) -> None:
        self._reply(codec.encode_error(None, code, text))
        self.ended = True
