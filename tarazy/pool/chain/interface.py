"""The one face of a chain: what templates, blocks and accounting may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from twisted.internet.defer import Deferred


@dataclass(frozen=True, slots=True)
class TemplateTransaction:
    """A transaction of a template."""

    data: bytes
    """Serialised with witness."""
    txid: bytes
    """Internal byte order (the reverse of what is displayed)."""
    fee: int
    """Satoshi."""


@dataclass(frozen=True, slots=True)
class Template:
    """What the next block is to be, in the words of getblocktemplate (BIP22, BIP23, BIP145)."""

    height: int
    previous_block_hash: bytes
    """Internal byte order."""
    version: int
    nbits: int
    target: int
    """A block's hash must not exceed it; at most the target of nbits, stricter on the embedded chain."""
    curtime: int
    mintime: int
    coinbase_value: int
    """Subsidy and fees, satoshi."""
    witness_commitment: bytes
    """The commitment output's script (BIP141)."""
    transactions: tuple[TemplateTransaction, ...]
    required_version_bits: int = 0
    """Bits of `version` that a block must set (vbrequired, BIP9)."""


class SubmitVerdict(StrEnum):
    """What a chain said of a block."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    INCONCLUSIVE = "inconclusive"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to a submitted block."""

    verdict: SubmitVerdict
    reason: str = ""
    """The engine's own word when rejected, such as `high-hash` or `bad-txnmrklroot`."""


@dataclass(frozen=True, slots=True)
class Tip:
    """The best block."""

    height: int
    block_hash: bytes
    """Internal byte order."""


class Chain(Protocol):
    """A chain of blocks. Every call leaves the reactor free; hashes are 32 bytes in internal order."""

    @property
    def failovers(self) -> int:
        """How often another node took over."""

    def nodes_up(self) -> Mapping[str, bool]:
        """Number of each node → whether it is well; none for a chain without nodes."""

    def template(self) -> Deferred[Template]:
        """The template for the block after the tip."""

    def empty_template(self, last: Template) -> Deferred[Template | None]:
        """A template without transactions on a tip with more work than `last`, the newest template, builds on.

        To be worked on until `template` has answered, and asked for before it. None where there is no such tip, or
        where it cannot be had for certain or soon.
        """

    def submit(self, block: bytes) -> Deferred[Submission]:
        """Offer a serialised block."""

    def propose(self, block: bytes) -> Deferred[str | None]:
        """Why a serialised block would be refused, its work aside; None when it would not (BIP23)."""

    def tip(self) -> Deferred[Tip]:
        """The best block."""

    def confirmations(self, block_hash: bytes) -> Deferred[int | None]:
        """1 for the tip, more below it, -1 off the main chain, None when unknown."""

    def block(self, block_hash: bytes) -> Deferred[bytes | None]:
        """A block of the main chain or off it, serialised; None when it is not there."""

    def on_tip(self, listener: Callable[[], None]) -> None:
        """Call `listener` in the reactor's thread after each change of the tip."""

    def close(self) -> Deferred[None]:
        """Flush and stop."""
