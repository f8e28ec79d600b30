"""Every extranonce1 of a gateway: whose it is, what is kept of connections that closed, and who gets theirs back.

A session id is an extranonce1 and a keyed hash of it: it proves itself, and nothing is stored for those that are out.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from tarazy.stratum.ports import NotReadyError
from tarazy.stratum.share import Work

PARKED_SECONDS = 600.0
"""How long a closed connection may be resumed: as long as shares of its last job could be credited."""
PARKED_MOST = 16_384
PARKED_SHARES = 1_000_000
"""Closed connections, and shares of theirs, that are remembered; beyond, the eldest connections go."""
CLAIMS = 65_536
"""Connections of an earlier process that get their extranonce1 back without anything else being known of them."""
NUMBERS = 1 << 24
NUMBERS_TRIED = 1024
"""Connection numbers passed over because a connection that lived through all of them still has the same one."""

_SESSION_ID = re.compile("[0-9a-fA-F]{32}", re.ASCII)


@dataclass(slots=True)
class Parked:
    """What is left of a closed connection: all it takes to judge late shares of its jobs as before."""

    extranonce1: bytes
    works: dict[str, Work] = field(default_factory=dict)
    """By job id, in the order they were sent."""
    seen: dict[str, set[bytes]] = field(default_factory=dict)
    """What was judged already, by job id."""
    mask: int = 0
    """The version mask of all works but those in `earlier_masks`."""
    earlier_masks: dict[str, int] = field(default_factory=dict)
    generation: int = 0
    """That of the last job sent."""
    closed_at: float = 0.0
    """The reactor's time."""
    shares: int = field(init=False)

    def __post_init__(self) -> None:
        self.shares = sum(map(len, self.seen.values()))


class Extranonces:
    """Gives each extranonce1 to one connection at a time (C-038). Times are the reactor's, in seconds."""

    def __init__(self, gateway: int, numbers: Callable[[], int]) -> None:
        """`numbers` gives connection numbers, one after the other; it may raise NotReadyError."""
        self.secret = os.urandom(32)
        """Key of the session ids; who keeps it over a restart makes earlier ids good."""
        self._gateway = bytes([gateway])
        self._numbers = numbers
        self._living: set[bytes] = set()
        self._parked: dict[bytes, Parked] = {}
        """The eldest first."""
        self._shares = 0
        self._first = 0
        self._drawn = 0
        self._trusted_until = float("-inf")
        self._claimed: set[bytes] = set()

    def take(self) -> bytes:
        """One that nobody has, not even a connection that may be resumed. Raises NotReadyError."""
        for _ in range(NUMBERS_TRIED):
            number = self._numbers() % NUMBERS
            if not self._drawn:
                self._first = number
            self._drawn += 1
            extranonce1 = self._gateway + number.to_bytes(3, "big")
            if extranonce1 not in self._living and extranonce1 not in self._parked:
                self._living.add(extranonce1)
                return extranonce1
        raise NotReadyError

    def release(self, extranonce1: bytes) -> None:
        """Nobody has it any more."""
        self._living.discard(extranonce1)

    def session_id(self, extranonce1: bytes) -> str:
        """What a miner shows to get its extranonce1 back: 32 hex digits."""
        return (extranonce1 + self._proof(extranonce1)).hex()

    def park(self, parked: Parked) -> None:
        """A connection closed: keep what is left of it."""
        self._living.discard(parked.extranonce1)
        self._parked[parked.extranonce1] = parked
        self._shares += parked.shares
        while len(self._parked) > PARKED_MOST or (self._shares > PARKED_SHARES and len(self._parked) > 1):
            self._drop(next(iter(self._parked)))

    def resume(self, session_id: object, now: float) -> Parked | None:
        """What the id brings back, from now on the caller's.

        None for an id that is none of ours, too old or unknown, and while its connection is open (C-092).
        """
        extranonce1 = self._proven(session_id)
        if extranonce1 is None or extranonce1 in self._living:
            return None
        self.expire(now)
        if extranonce1 in self._parked:
            parked = self._drop(extranonce1)
        elif self._claim(extranonce1, now):
            parked = Parked(extranonce1)
        else:
            return None
        self._living.add(extranonce1)
        return parked

    def trust_earlier(self, now: float) -> None:
        """Give ids of an earlier process, of which nothing else is known, their extranonce1 back for a while."""
        self._trusted_until = now + PARKED_SECONDS

    def expire(self, now: float) -> None:
        """Forget connections that closed too long ago."""
        while self._parked:
            extranonce1, parked = next(iter(self._parked.items()))
            if parked.closed_at + PARKED_SECONDS > now:
                return
            self._drop(extranonce1)

    def parked(self) -> Iterator[Parked]:
        """Everything parked, the eldest first."""
        return iter(self._parked.values())

    def _drop(self, extranonce1: bytes) -> Parked:
        parked = self._parked.pop(extranonce1)
        self._shares -= parked.shares
        return parked

    def _claim(self, extranonce1: bytes, now: float) -> bool:
        """Whether a connection of an earlier process gets its extranonce1: once, for then it has jobs of this one."""
        number = int.from_bytes(extranonce1[1:], "big")
        own = (number - self._first) % NUMBERS < self._drawn
        if own or now > self._trusted_until or extranonce1 in self._claimed or len(self._claimed) >= CLAIMS:
            return False
        self._claimed.add(extranonce1)
        return True

    def _proven(self, session_id: object) -> bytes | None:
        if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
            return None
        data = bytes.fromhex(session_id)
        extranonce1, proof = data[:4], data[4:]
        mine = extranonce1[:1] == self._gateway and hmac.compare_digest(proof, self._proof(extranonce1))
        return extranonce1 if mine else None

    def _proof(self, extranonce1: bytes) -> bytes:
        return blake2b(extranonce1, key=self.secret, digest_size=12).digest()
