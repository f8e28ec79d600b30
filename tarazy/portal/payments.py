"""What the portal asks of whoever pays: the server's desk, which it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class PayoutRefused(Exception):
    """Why something about payouts was not done, and the cure."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A batch that was proposed. Amounts in satoshi."""

    batch: int | None
    """None when nothing is due."""
    amount: int
    first_payments: Mapping[str, int]
    """Party that is paid to an address for the first time → what follows once that is confirmed."""
    left_out: Mapping[str, Mapping[str, str]]
    """Party → why it is not paid, by language."""


@dataclass(frozen=True, slots=True)
class WalletCheck:
    """The wallet held against the books, satoshi."""

    wallet: int
    books: int
    difference: int
    """What the wallet has over the books."""
    unknown: Sequence[str]
    """Transactions of the wallet that the books do not know."""


class Payments(Protocol):
    """Does for people what `tarazy payout` does, by its rules. Each may wait for the node or raise `PayoutRefused`.

    `by`: who acts; `why`: kept in the audit log; `language`: which a reason is written in that others read.
    """

    @property
    def signing(self) -> str:
        """Where batches are signed: `wallet`, the node's, or `offline`."""

    def propose(self, by: str) -> Proposal:
        """Move what is due into a batch."""

    def approve(self, number: int, by: str) -> None:
        """Let a batch that somebody else proposed be paid."""

    def hold(self, party: str, why: str, language: str, by: str) -> None:
        """Keep a party's payments back."""

    def release(self, party: str, why: str, by: str) -> None:
        """Let a party's payments go again."""

    def stop(self, why: str, language: str, by: str) -> None:
        """Let nothing be proposed, signed or sent."""

    def resume(self, why: str, by: str) -> None:
        """Let payments go out again, if nothing is missing."""

    def check(self, by: str) -> WalletCheck:
        """Compare the wallet with the books."""

    def abandon(self, number: int, why: str, by: str) -> bool:
        """Give a batch up; False while a second person has to say so too."""

    def export(self, number: int, by: str) -> str:
        """The transaction of a batch, a PSBT, to be signed elsewhere."""

    def accept(self, number: int, signed: str, by: str) -> str:
        """Take a batch's signed PSBT, and send it; the txid."""

    def broadcast(self, number: int, by: str) -> None:
        """Sign a batch where the node's wallet signs, and send it."""

    def bump(self, number: int, rate: int, by: str) -> str | None:
        """Replace a sent transaction by one that pays `rate` satoshi a virtual byte; the txid once it is signed."""
