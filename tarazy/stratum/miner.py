"""A small CPU miner for trying a pool out: the client's side of Stratum, and a search."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from tarazy.stratum.codec import Lines, swap_words
from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET
from tarazy.stratum.share import header_of

AGENT = "tarazy-miner"

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MinerJob:
    """A job as it came over the wire."""

    job_id: str
    previous_block_hash: bytes
    coinb1: bytes
    coinb2: bytes
    branch: tuple[bytes, ...]
    version: int
    nbits: int
    ntime: int
    clean: bool

    @classmethod
    def of(cls, params: list[Any]) -> MinerJob:
        """Read the parameters of mining.notify. Raises ValueError, TypeError if they are none."""
        job_id, previous, coinb1, coinb2, branch, version, nbits, ntime, clean = params
        return cls(
            job_id,
            swap_words(bytes.fromhex(previous)),
            bytes.fromhex(coinb1),
            bytes.fromhex(coinb2),
            tuple(bytes.fromhex(element) for element in branch),
            int(version, 16),
            int(nbits, 16),
            int(ntime, 16),
            bool(clean),
        )


def target_of_announced(difficulty: float) -> int:
    """The exact target of any announced difficulty, power of two or not: floor(T1 / difficulty)."""
    numerator, denominator = difficulty.as_integer_ratio()
    return DIFFICULTY_1_TARGET * denominator // numerator


def search(header: bytes, first: int, count: int, target: int) -> int | None:
    """The first of `count` nonces, from `first` on, whose header hashes to `target` or below, or None.

    `header`: the 76 bytes before the nonce.
    """
    midstate = sha256(header[:64])
    rest = header[64:76]
    for nonce in range(first, min(first + count, 1 << 32)):
        inner = midstate.copy()
        inner.update(rest + nonce.to_bytes(4, "little"))
        if int.from_bytes(sha256(inner.digest()).digest(), "little") <= target:
            return nonce
    return None


class MinerSession:
    """A miner's side of one connection. Its methods return bytes to send, or events that happened."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password
        self.job: MinerJob | None = None
        self.extranonce1 = b""
        self.hashes = 0
        """Tried so far."""
        self._lines = Lines()
        self._target = 0
        self._announced = 0
        self._mask = 0
        self._requests = 3
        self._rolls = 0
        self._extranonce2 = 0
        self._nonce = 0
        self._header = b""

    def greeting(self) -> bytes:
        """Configure, subscribe and authorize in one packet, as current firmware does."""
        options = {"version-rolling.mask": "ffffffff"}
        return b"".join(
            (
                _request(1, "mining.configure", [["version-rolling"], options]),
                _request(2, "mining.subscribe", [AGENT]),
                _request(3, "mining.authorize", [self.user, self.password]),
            )
        )

    def receive(self, data: bytes) -> list[Event]:
        """What the pool said, as events. Raises ValueError if it does not speak Stratum."""
        events: list[Event] = []
        for line in self._lines.feed(data):
            if line.strip():
                event = self._take(orjson.loads(line))
                if event:
                    events.append(event)
        return events

    def search(self, count: int) -> bytes:
        """Try `count` hashes on the present job; a submit if one is a share, else nothing."""
        nonce = search(self._header, self._nonce, count, self._target)
        tried = count if nonce is None else nonce + 1 - self._nonce
        self.hashes += tried
        self._nonce += tried
        if nonce is not None:
            return self._submit(nonce)
        if self._nonce >= 1 << 32:
            self._begin()
        return b""

    def _take(self, message: Any) -> Event | None:
        if not isinstance(message, dict):
            raise ValueError("the pool sent something that is no Stratum message")
        method: str | None = message.get("method")
        params: Any = message.get("params")
        if method == "mining.notify":
            self.job = MinerJob.of(params)
            self._target = self._announced
            self._begin()
            return {"event": "job", "job": self.job.job_id, "clean": self.job.clean}
        if method == "mining.set_difficulty":
            self._announced = target_of_announced(float(params[0]))
            return {"event": "difficulty", "difficulty": params[0]}
        return self._answer(message) if method is None else None

    def _answer(self, message: Event) -> Event | None:
        ident, result, error = message.get("id"), message.get("result"), message.get("error")
        code, text = (error[0], error[1]) if error else (0, "")
        if ident == 1:
            self._mask = int(result.get("version-rolling.mask", "0"), 16) if result else 0
        elif ident == 2 and result:
            self.extranonce1 = bytes.fromhex(result[1])
        elif ident == 3:
            return {"event": "refused", "text": text} if error else {"event": "authorized"}
        elif isinstance(ident, int) and ident > 3:
            return {"event": "rejected", "code": code, "text": text} if error else {"event": "accepted"}
        return None

    def _begin(self) -> None:
        """The next stretch of work: other version bits where they may be rolled, then another extranonce2."""
        assert self.job is not None
        job, low = self.job, self._mask & -self._mask
        self._rolls = (self._rolls + low) & self._mask
        self._extranonce2 += 1
        self._nonce = 0
        coinbase = job.coinb1 + self.extranonce1 + self._extranonce2.to_bytes(8, "little") + job.coinb2
        version = (job.version & ~self._mask) | self._rolls
        header = header_of(coinbase, job.branch, version, job.previous_block_hash, job.ntime, job.nbits, 0)
        self._header = header[:76]

    def _submit(self, nonce: int) -> bytes:
        assert self.job is not None
        self._requests += 1
        extranonce2 = self._extranonce2.to_bytes(8, "little").hex()
        params = [self.user, self.job.job_id, extranonce2, f"{self.job.ntime:08x}", f"{nonce:08x}"]
        return _request(self._requests, "mining.submit", [*params, f"{self._rolls:08x}"])


def _request(ident: int, method: str, params: list[Any]) -> bytes:
    return orjson.dumps({"id": ident, "method": method, "params": params}) + b"\n"
