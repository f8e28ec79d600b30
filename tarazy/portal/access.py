"""Who may do what over the API: tokens with a role, shown once and kept as digests, and the rights of each role."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from tarazy.accreditation import audit
from tarazy.accreditation.expiry import Ending
from tarazy.accreditation.tables import REGISTERS
from tarazy.portal.tables import access_token

PREFIX = "tarazy_"
_RANDOM_BYTES = 32
LONGEST_TOKEN = 100


class Role(StrEnum):
    """What a token's holder is to the pool."""

    OPERATOR = "operator"
    INSPECTOR = "inspector"
    MINER = "miner"
    AGENT = "agent"
    """A program at a site that reads its meters."""


class Right(StrEnum):
    """What may be done."""

    OWN = "own"
    """See one's own party: its entries and its admissions."""
    READ = "read"
    """See every register, as of and as known at any moment, and every document."""
    WRITE = "write"
    """Add to the registers."""
    ENERGY = "energy"
    """See the energy of one's own party, or with `READ` of everybody."""
    PUSH = "push"
    """Send readings of one site's meters."""


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.OPERATOR: frozenset({Right.READ, Right.WRITE, Right.ENERGY}),
    Role.INSPECTOR: frozenset({Right.READ, Right.ENERGY}),
    Role.MINER: frozenset({Right.OWN, Right.ENERGY}),
    Role.AGENT: frozenset({Right.PUSH}),
}


class TokenError(ValueError):
    """A token that cannot be made or revoked, and what to do."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token it is."""

    name: str
    role: Role
    party: str | None
    """The party of a miner."""
    expires_at: datetime
    site: str | None = None
    """The site of an agent."""

    def may(self, right: Right) -> bool:
        """Whether the role has the right."""
        return right in RIGHTS[self.role]


def create_token(
    connection: Connection,
    name: str,
    role: Role,
    party: str | None,
    now: datetime,
    expires_at: datetime,
    by: str,
    site: str | None = None,
) -> str:
    """Make a token; the text is given once and kept nowhere. Raises `TokenError`."""
    if (party is not None) is not (role is Role.MINER):
        raise TokenError("a miner's token belongs to a party, any other to none; mend --party")
    if (site is not None) is not (role is Role.AGENT):
        raise TokenError("an agent's token belongs to a site, any other to none; mend --site")
    if expires_at <= now:
        raise TokenError("it would have expired already; choose a later day")
    if connection.execute(select(access_token.c.token).where(access_token.c.name == name)).first():
        raise TokenError(f"there was a token {name} before; choose another name, which entries are recorded under")
    parties = REGISTERS["party"]
    if party and not connection.execute(select(parties.c.entry).where(parties.c.party == party).limit(1)).first():
        raise TokenError(f"there is no party {party}; see `tarazy register show party`")
    sites = REGISTERS["site"]
    if site and not connection.execute(select(sites.c.entry).where(sites.c.site == site).limit(1)).first():
        raise TokenError(f"there is no site {site}; see `tarazy register show site`")
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    of_whom = {"name": name, "digest": _digest(token), "role": role, "party": party, "site": site}
    stamp = {"created_at": now, "created_by": by, "expires_at": expires_at}
    connection.execute(insert(access_token), {**of_whom, **stamp})
    body = {"name": name, "role": role, "expires_at": audit.instant_text(expires_at), "by": by}
    body |= {"site": site} if site else {}
    audit.append(connection, [audit.AuditEvent("token-created", body, party)], now)
    return token


def revoke_token(connection: Connection, name: str, now: datetime, by: str) -> None:
    """End a token now. Raises `TokenError` when there is none in force."""
    unrevoked = (access_token.c.name == name, access_token.c.revoked_at.is_(None))
    done = connection.execute(update(access_token).where(*unrevoked).values(revoked_at=now))
    if done.rowcount != 1:
        raise TokenError(f"there is no token {name}, or it is revoked already; see `tarazy token list`")
    audit.append(connection, [audit.AuditEvent("token-revoked", {"name": name, "by": by})], now)


def holders(connection: Connection) -> dict[str, Holder]:
    """Digest → holder, of the tokens that are not revoked."""
    rows = connection.execute(select(access_token).where(access_token.c.revoked_at.is_(None)))
    return {row.digest: Holder(row.name, Role(row.role), row.party, row.expires_at, row.site) for row in rows}


def endings(connection: Connection) -> list[Ending]:
    """When the tokens that are not revoked end, in order of names."""
    held = sorted(holders(connection).values(), key=lambda holder: holder.name)
    return [Ending("token", holder.name, holder.expires_at, holder.party) for holder in held]


def _digest(token: str) -> str:
    """A token has 256 random bits, so one plain hash is enough and says nothing to who sees it."""
    return hashlib.sha256(token.encode()).hexdigest()


class Access:
    """The tokens of the moment, in memory; told anew whenever they may have changed."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}

    def install(self, holders: dict[str, Holder]) -> None:
        """Know these from now on."""
        self._holders = holders

    def holder(self, header: str | None, now: datetime) -> Holder | None:
        """Who sent this Authorization header; None for a missing, unknown, expired or revoked token."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        found = self._holders.get(_digest(token))
        return found if found is not None and now < found.expires_at else None


class Failures:
    """Wrong tokens by address: who sends many waits."""

    def __init__(self, limit: int = 20, window: float = 60.0, addresses: int = 10_000) -> None:
        self._limit = limit
        self._window = window
        self._addresses = addresses
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, address: str, now: float) -> None:
        """Another one, at `now` seconds."""
        since, count = self._since.pop(address, (now, 0))
        if now - since >= self._window:
            since, count = now, 0
        self._since[address] = (since, count + 1)
        while len(self._since) > self._addresses:
            self._since.popitem(last=False)

    def wait(self, address: str, now: float) -> float:
        """Seconds until the address may try again; 0 when it may."""
        since, count = self._since.get(address, (now, 0))
        return max(0.0, since + self._window - now) if count >= self._limit else 0.0
