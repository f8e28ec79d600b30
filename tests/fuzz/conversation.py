"""A conversation read from bytes: what a peer sends, and between it what happens to the pool meanwhile.

Bytes below 0xF8 are what arrives; those from 0xF8 on, which never stand in UTF-8, are `EVENTS`. `model` says which
lines are owed an answer.
"""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import replace
from typing import Any

from tarazy.stratum.assignments import JOBS_KEPT
from tarazy.stratum.difficulty import target_of
from tarazy.stratum.methods import NAMES
from tarazy.stratum.miner import MinerJob
from tests.fuzz.model import Owed, followed, owed, same
from tests.stratum.house import PATIENT, RULES, Client, Pool

LOWEST, HIGHEST = -32, -29
"""Exponents in force: nearly every hash is a share, and none is searched for long."""
EASY_BLOCK = target_of(-31)
_RULES = replace(RULES, limits=PATIENT, minimum=LOWEST, start=LOWEST, maximum=HIGHEST)
_LOGIN = "acme.rig07"
_LONGEST_JOB = 2048


class Conversation:
    """One connection that says `data`, beside one that behaves."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pool = Pool(_RULES, slow=True)
        self._bystander = self._pool.connect("acme.bystander")
        self._client = Client(self._pool)
        self._pool.clients.append(self._client)
        self._session = self._client.session
        self._unfinished = b""
        self._owed: deque[Owed] | None = deque()
        """Requests that must be answered, in order; None once a line came that the model cannot follow."""
        self._allowance = 0
        """Bytes that may still be sent for what arrived and happened."""
        self._difficulty = math.nan
        self._announced: dict[int, float] = {}
        """The difficulty that was announced with each job, by its number."""
        self._credited: set[tuple[object, ...]] = set()
        self._checked = 0
        self._settled = 0
        """Records of the journal that were looked at; whose commit ended."""
        self._committed = 0
        """Accepted shares on disk whose answer has not been heard."""
        self._shares = 0
        self._blocks = 0

    def run(self) -> None:
        """Play it to the end. Raises AssertionError where the pool does what it must not."""
        piece = bytearray()
        for byte in self._data:
            if byte < 0xF8:
                piece.append(byte)
            else:
                self._say(bytes(piece))
                piece.clear()
                EVENTS[byte - 0xF8](self)
                self._listen()
        self._say(bytes(piece))
        for _ in range(len(self._data)):
            if self._session.waiting:
                self._commit()
                self._listen()
        assert not self._session.waiting
        assert self._session.ended or not self._owed
        assert self._bystander.ask("mining.ping", []) == "pong"
        for client in self._pool.clients:
            client.session.close(self._pool.now)
        assert self._pool.board.counters.ready == 0
        assert not self._pool.board.extranonces._living
        assert not self._pool.board.hurried

    # What arrives.

    def _say(self, data: bytes) -> None:
        while self._session.crowded and not self._session.ended:
            self._commit()
            self._listen()
        if not data or self._session.ended:
            return
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            self._expect(line)
        self._allowance += 2 * (len(data) + len(self._unfinished)) + 512 * (len(lines) + 1) + _LONGEST_JOB
        self._client.send(data)
        self._listen()

    def _expect(self, line: bytes) -> None:
        if not followed(line):
            self._owed = None
        if self._owed is not None:
            answer = owed(line)
            if answer is not None:
                self._owed.append(answer)

    def _share(self) -> None:
        """A good share on the newest job, unless a line stands unfinished."""
        client = self._client
        if client.job is None or self._unfinished or self._session.ended:
            return
        self._shares += 1
        target = target_of(self._session.assignments.vardiff.exponent)
        proof = client.solve(lambda value: value <= target, extranonce2=self._shares)
        request = {"id": self._shares, "method": "mining.submit", "params": [_LOGIN, *proof]}
        self._say(json.dumps(request).encode() + b"\n")

    # What happens meanwhile.

    def _cut(self) -> None:
        """What was said so far arrives by itself."""

    def _commit(self) -> None:
        """The journal commits all that waits."""
        records = self._pool.journal.shares
        self._committed += sum(record.verdict == 0 for record in records[self._settled :])
        self._settled = len(records)
        self._settle(True)

    def _fail(self) -> None:
        """The journal loses all that waits."""
        records = self._pool.journal.shares
        self._credited.difference_update(record[2:7] for record in records[self._settled :])
        self._settled = len(records)
        self._settle(False)

    def _settle(self, committed: bool) -> None:
        board = self._pool.board
        self._pool.journal.settle(committed)
        if committed:
            board.handing_out = True
        self._allowance += _LONGEST_JOB
        for talker in board.talkative:
            talker.talking = False
        board.talkative.clear()
        self._session.receive(b"", self._pool.now)

    def _pass_time(self) -> None:
        """15 s, with what a server does in them."""
        pool = self._pool
        pool.now += 15.0
        self._allowance += _LONGEST_JOB
        for client in pool.clients:
            client.session.tick(pool.now)
        hurried, pool.board.hurried = pool.board.hurried, set()
        if hurried and pool.board.reissue():
            for talker in hurried:
                talker.send_job(pool.now)
        assert self._bystander.ask("mining.ping", []) == "pong"

    def _refresh(self) -> None:
        """Another job on the same block."""
        self._allowance += _LONGEST_JOB
        self._pool.publish(bytes([self._blocks % 256]) * 32)

    def _find_block(self) -> None:
        """A job on a new block, whose own target every second share meets."""
        self._blocks += 1
        self._allowance += _LONGEST_JOB
        self._pool.publish(bytes([self._blocks % 256]) * 32, EASY_BLOCK, clean=True)

    def _withdraw(self) -> None:
        """The admission of a login ends, or is given again."""
        refusals = self._pool.gate.refusals
        if refusals.pop(_LOGIN, None) is None:
            refusals[_LOGIN] = "licence ended: renew it"
        for client in self._pool.clients:
            client.session.reconsider(self._pool.now)

    # What must hold.

    def _listen(self) -> None:
        data = self._session.output()
        self._allowance -= len(data)
        assert self._allowance >= 0, "more was sent than what arrived explains"
        assert not data or data.endswith(b"\n")
        for line in data.split(b"\n")[:-1]:
            message = json.loads(line)
            if "method" in message:
                self._notified(message["method"], message["params"])
            else:
                self._answered(message)
        self._check_records()
        session, limits = self._session, self._session.board.rules.limits
        assert len(session.waiting) <= limits.waiting_answers + 2
        assert len(session.names) <= NAMES
        assert len(session.assignments._works) <= JOBS_KEPT
        assert session.ended or len(session._lines.rest) <= limits.line_bytes

    def _notified(self, method: str, params: list[Any]) -> None:
        assert self._session.ready
        if method == "mining.set_difficulty":
            (self._difficulty,) = params
        elif method == "mining.notify":
            self._announced[int(params[0], 16)] = self._difficulty
            self._client.job = MinerJob.of(params)

    def _answered(self, message: dict[str, Any]) -> None:
        assert message.keys() == {"id", "result", "error"}
        error = message["error"]
        if error is not None:
            code, text, nothing = error
            assert type(code) is int
            assert nothing is None
            assert message["result"] is None
            assert text.isascii()
            assert text.isprintable()
            assert 0 < len(text) <= 100
        if self._owed is None:
            return
        if not self._owed or not same(self._owed[0].ident, message["id"]):
            # Only the last word of a connection that ends has no request.
            assert self._session.ended
            assert message["id"] is None
            assert error is not None
            self._owed = None
        elif self._owed.popleft().method == "mining.submit" and error is None:
            assert message["result"] is True
            self._committed -= 1
            assert self._committed >= 0, "answered true before the commit"

    def _check_records(self) -> None:
        """What is credited, is so once and at the difficulty its job was sent with."""
        records = self._pool.journal.shares
        for record in records[self._checked :]:
            if record.verdict == 0:
                work = record[2:7]
                assert work not in self._credited
                self._credited.add(work)
                assert 2.0**record.exponent == self._announced[record.job]
        self._checked = len(records)


EVENTS = (
    Conversation._cut,
    Conversation._commit,
    Conversation._fail,
    Conversation._pass_time,
    Conversation._refresh,
    Conversation._find_block,
    Conversation._withdraw,
    Conversation._share,
)
"""What the bytes 0xF8 to 0xFF stand for."""
