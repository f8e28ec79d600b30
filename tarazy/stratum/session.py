"""One connection of a miner, without its socket.

`receive` takes what arrived, `output` gives what shall leave, `tick` lets time pass. Whoever holds the
socket closes it once `ended` is true and stops reading while `crowded` is. Answers leave in the order of the
requests, also when one of them waits for the disk; nothing but answers leaves before the connection is ready:
subscribed, with an admitted name.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from tarazy.stratum import codec
from tarazy.stratum.agents import device_of
from tarazy.stratum.board import Board
from tarazy.stratum.codec import RefusalError
from tarazy.stratum.conduct import Step
from tarazy.stratum.limits import Hit
from tarazy.stratum.methods import METHODS
from tarazy.stratum.ports import Peer
from tarazy.stratum.proxy import SIGNATURE
from tarazy.stratum.state import NOT_ASKED, Delayed, LateRefusalError, State, unheld
from tarazy.stratum.submit import submit

SILENCE = 900.0
PING_PATIENCE = 60.0
QUIET = 40.0
"""Seconds without a job that bring a ping: cgminer leaves a pool that is silent for 90 s (C-007)."""

_ALWAYS_ANSWERED = frozenset({"mining.configure", "mining.subscribe", "mining.authorize"})


class Session(State):
    """One connection: what arrives and what leaves. Times are the reactor's, in seconds."""

    __slots__ = (
        "_begun",
        "_heard",
        "_limits",
        "_lines",
        "_longest",
        "_malformed",
        "_messages",
        "_pinged_at",
        "_unread",
    )

    def __init__(self, board: Board, peer: Peer, now: float, flush: Callable[[], None] = unheld) -> None:
        """`peer` is for the gate. `flush` belongs to whoever holds the socket: it sends `output`."""
        super().__init__(board, peer, now, flush)
        self._limits = board.rules.limits
        self._longest = self._limits.unready_line_bytes
        self._lines = codec.Lines()
        self._unread: list[bytes] = []
        self._begun = False
        self._messages = 0
        self._malformed = 0
        self._heard = now
        self._pinged_at = -1.0

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
                self.end(_stranger(data))
                return True
        most = self._limits.waiting_answers
        lines = self._lines.feed(data)
        if self._unread:
            lines = self._unread + lines
            self._unread = []
        for line in lines:
            if self.ended:
                return True
            if len(self.waiting) >= most:
                self._unread.append(line)
            else:
                self._line(line, now)
        if len(self._lines.rest) > self._longest:
            self._too_long()
        return bool(self._out) or self.ended or len(self.waiting) >= most

    @property
    def crowded(self) -> bool:
        """Whether so many answers are waiting that nothing more should be read."""
        return len(self.waiting) >= self._limits.waiting_answers

    @property
    def settled(self) -> bool:
        """Whether it is ready and its hash rate is known."""
        return self.ready and self.assignments.vardiff.settled

    def tick(self, now: float) -> None:
        """Let time pass: deadlines, vardiff, silence. Every 15 s, until it is settled every second."""
        if self.ended:
            return
        self._perhaps_ready(now)
        if self._close_at is not None:
            self._close(now, self._close_at)
            return
        self.assignments.vardiff.check(now)
        self.hurry(now)
        if now - self._heard > SILENCE and self.assignments.vardiff.lowest:
            if self._pinged_at < self._heard:
                self._ping(now)
                self._pinged_at = now
            elif now - self._pinged_at >= PING_PATIENCE:
                self.end(Hit.SILENCE)
        if now - self._job_at > QUIET:
            self._ping(now)

    def _ping(self, now: float) -> None:
        self._job_at = now
        self._out.append(codec.encode_request(1, "mining.ping", []))

    def _close(self, now: float, close_at: float) -> None:
        """Let time pass on a connection that is to be closed, unless something comes in between."""
        if now >= close_at and not self.ready and self.refusal == NOT_ASKED:
            self.end(Hit.UNREADY_SECONDS)
        self.ended |= now >= close_at
        if self.waiting and not self.ready:
            self._release(now)

    def _release(self, now: float) -> None:
        """Give the answers whose time has come."""
        for entry in self.waiting:
            if isinstance(entry, Delayed) and now >= entry.due:
                entry.reply = entry.answer
        self.settle()

    # From line to answer.

    def _line(self, line: bytes, now: float) -> None:
        if len(line) > self._longest:
            self._too_long()
            return
        if not self.ready:
            self._messages += 1
            if self._messages > self._limits.unready_messages:
                self.end(Hit.UNREADY_MESSAGES)
                self._reply(codec.encode_error(None, codec.OTHER, "rate-limited: subscribe and authorize first"))
                return
        if len(line) < 2 and line in (b"", b"\r"):
            return
        try:
            message = codec.decode(line)
        except RefusalError as error:
            self._malformed += 1
            if self._malformed >= self._limits.malformed_lines:
                self.end(Hit.MALFORMED_LINES)
            self._reply(codec.encode_error(None, error.code, error.text))
            return
        self._malformed = 0
        ident = message.get("id")
        method = message.get("method")
        try:
            if not codec.is_id(ident):
                ident = None
                raise RefusalError(codec.INVALID_REQUEST, "invalid-request: id is no number, string or null")
            if method == "mining.submit":
                submit(self, ident, message.get("params"), now)
            elif "method" in message:
                self._request(ident, method, message.get("params"), now)
        except RefusalError as error:
            answer = codec.encode_error(ident, error.code, error.text)
            if isinstance(error, LateRefusalError):
                self.waiting.append(Delayed(answer, error.due))
                return
            self._reply(answer)
            if method == "mining.submit" and self.ready:
                self._count_invalid(now)

    def _count_invalid(self, now: float) -> None:
        """A share was rejected: nothing but such shares end a connection, while there is work to do better on."""
        step = self.conduct.reject(now)
        if step is Step.NOTHING or not self.board.handing_out:
            return
        if step is Step.END:
            self.end(Hit.INVALID_SHARES)
        else:
            self.assignments.announce_again()
            self.board.hurried.add(self)

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
        self._perhaps_ready(now)

    def _perhaps_ready(self, now: float) -> None:
        if self.ready or not self.subscribed or not self.admitted:
            return
        self.ready = True
        self._longest = self._limits.line_bytes
        self._close_at = None
        self._release(inf)
        counters = self.board.counters
        counters.ready += 1
        counters.devices[device_of(self.agent)] += 1
        self.assignments.vardiff.begin(self.board.recall(next(iter(self.names)), now), now)
        self.send_job(now)

    def _reply(self, answer: bytes) -> None:
        if self.waiting:
            self.waiting.append(answer)
        else:
            self._out.append(answer)

    def _too_long(self) -> None:
        self.end(Hit.LINE_BYTES)
        self._reply(codec.encode_error(None, codec.PARSE_ERROR, "parse-error: line too long"))


def _stranger(data: bytes) -> Hit:
    """What somebody wants whose first bytes are not Stratum."""
    if data.startswith((b"PROXY ", SIGNATURE)):
        return Hit.PROXY_ON_PLAIN_PORT
    return Hit.TLS_ON_PLAIN_PORT if data.startswith(b"\x16\x03") else Hit.NOT_STRATUM
