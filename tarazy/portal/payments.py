"""What the portal asks of whoever pays: the server's desk, which it does not know."""

from __future__ import annotations

from typing import Any, Protocol


class PayoutRefused(Exception):
    """Why something about payouts was not done, and the cure."""


class Payments(Protocol):
    """Does for people what `tarazy payout` does, by its rules. Each may wait for the node or raise `PayoutRefused`.

    `by`: who acts; `why`: kept in the audit log; `language`: which a reason is written in that others read.
    """

    @property
    def signing(self) -> str:
        """Where batches are signed: `wallet`, the node's, or `offline`."""

    def propose(self, by: str) -> dict[str, Any]:
        """Move what is due into a batch: its number, None when nothing is due, and who was left out and why."""

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

    def check(self, by: str) -> dict[str, Any]:
        """The wallet against the books, satoshi, and transactions that the books do not know."""

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
