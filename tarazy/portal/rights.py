"""Who may do what: roles, the rights of each, and whose token or session it is. Here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a holder is to the pool."""

    OPERATOR = "operator"
    INSPECTOR = "inspector"
    MINER = "miner"
    AGENT = "agent"
    """A program at a site that reads its meters."""


class Right(StrEnum):
    """What may be done."""

    OWN = "own"
    """See one's own party: its entries, its admissions and its accounts."""
    WORK = "work"
    """See one's own hash rate and workers."""
    TOKENS = "tokens"
    """Make tokens for one's own programs, and revoke them."""
    READ = "read"
    """See every register, as of and as known at any moment, and every document."""
    WRITE = "write"
    """Add to the registers."""
    ENERGY = "energy"
    """See the energy of one's own party, or with `READ` of everybody."""
    PUSH = "push"
    """Send readings of one site's meters."""
    TELL = "tell"
    """Submit the quarterly information of one's own party."""
    USERS = "users"
    """Invite people and remove them."""
    PAY = "pay"
    """Do what `tarazy payout` does: propose payouts, approve those of others, hold, stop, sign, give up."""
    SEND = "send"
    """Let documents that others proposed be sent to authorities."""


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.OPERATOR: frozenset({Right.READ, Right.WRITE, Right.ENERGY, Right.USERS}),
    Role.INSPECTOR: frozenset({Right.READ, Right.ENERGY}),
    Role.MINER: frozenset({Right.OWN, Right.WORK, Right.ENERGY, Right.TELL}),
    Role.AGENT: frozenset({Right.PUSH}),
}
RIGHTS_OF_PEOPLE: Mapping[Role, frozenset[Right]] = {
    Role.OPERATOR: frozenset({Right.PAY, Right.SEND}),
    Role.MINER: frozenset({Right.TOKENS}),
}
"""What somebody may besides who has signed in; no token does."""


class Scope(StrEnum):
    """What a token is narrowed to that a miner made."""

    WORK = "work"
    ACCOUNT = "account"


SCOPES: Mapping[Scope, frozenset[Right]] = {
    Scope.WORK: frozenset({Right.WORK}),
    Scope.ACCOUNT: frozenset({Right.WORK, Right.OWN, Right.ENERGY}),
}


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token or session it is."""

    name: str
    role: Role
    party: str | None
    """The party of a miner."""
    expires_at: datetime
    site: str | None = None
    """The site of an agent."""
    scope: Scope | None = None
    """What a token is narrowed to."""
    signed_in: bool = False
    """It is a person."""

    def may(self, right: Right) -> bool:
        """Whether the role has the right, and a token's scope leaves it."""
        if self.signed_in and right in RIGHTS_OF_PEOPLE.get(self.role, ()):
            return True
        return right in RIGHTS[self.role] and (self.scope is None or right in SCOPES[self.scope])
