"""What the portal asks of whoever pays: the server's desk, which it does not know."""

from __future__ import annotations

from typing import Any, Protocol


class PayoutRefused(Exception):
    """Why something about payouts was not done, and the cure."""


class Payments(Protocol):
    """Proposes and approves batches for people, by the rules that the command line has; both may wait for the node."""

    def propose(self, by: str) -> dict[str, Any]:
        """Move what is due into a batch: its number, None when nothing is due, and who was left out and why.

        Raises `PayoutRefused`.
        """

    def approve(self, number: int, by: str) -> None:
        """Let a batch that somebody else proposed be paid. Raises `PayoutRefused`."""
