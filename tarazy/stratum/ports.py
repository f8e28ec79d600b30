"""What the rest of the house gives the server: who may mine, where shares are kept, who takes blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from tarazy.stratum.job import Job
from tarazy.stratum.share import ShareRecord


class Admission(NamedTuple):
    """The answer to a name that wants to mine."""

    admitted: bool
    text: str
    """Reason, cure and code of a refusal: one line of ASCII without personal data, at most 86 characters."""
    account: str
    worker: str
    party: str = ""
    site: str = ""
    reasons: tuple[str, ...] = ()
    """Reason codes of a refusal, a closed set of words; the first is the one counted."""


class NameRecord(NamedTuple):
    """An admitted name on a connection, as the journal keeps it."""

    connection: int
    extranonce1: bytes
    account: str
    worker: str
    party: str
    site: str
    at_us: int


class Peer(NamedTuple):
    """Who is at the other end of a connection."""

    address: str
    """Empty if it is not known: then nobody is admitted there."""
    certificate_site: str = ""
    """The site that its certificate is bound to: it may mine nowhere else. Empty without a certificate."""
    port_sites: tuple[str, ...] = ()
    """The sites that the port it came to is for; empty where it is for all."""


class Gate(Protocol):
    """Decides who may mine. Synchronous, and a matter of microseconds."""

    def admit(self, name: str, password: str, peer: Peer) -> Admission:
        """The decision for what came as a login from `peer`, as things stand now.

        Whatever a miner sent, cut to 256 characters, is asked about, so that every refusal is decided and kept in one
        place: what is no login by the rule of `login` must be refused. Also asked again about names admitted before.
        """


class Talker(Protocol):
    """A session, as far as the board knows it."""

    talking: bool
    """On the board's list of those that have something to send."""
    flush: Callable[[], None]
    """Send it."""

    def send_job(self, now: float) -> None:
        """Take the board's job."""


class NotReadyError(Exception):
    """The journal cannot do it now; the miner may try again."""


class Journal(Protocol):
    """Keeps names, jobs and shares in the order of the calls."""

    def open_connection(self) -> int:
        """A connection number not given in living memory. Raises NotReadyError if none can be had."""

    def name(self, record: NameRecord) -> int:
        """Keep a name; its number."""

    def job(self, job: Job) -> None:
        """Keep a job."""

    def share(self, record: ShareRecord, done: Callable[[bool], None]) -> int:
        """Keep a share; its sequence.

        `done` is called once, in the reactor's thread: True after the commit, False if it failed.
        """


class Blocks(Protocol):
    """Takes solved blocks."""

    def found(self, header: bytes, coinbase: bytes, job: Job) -> None:
        """A block: its 80-byte header and its coinbase without witness. On disk when this returns."""

    def recorded(self, block_hash: bytes, sequence: int, name: int) -> None:
        """The journal's numbers of the share that solved `block_hash` (internal order)."""
