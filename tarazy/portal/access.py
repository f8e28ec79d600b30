"""Who may do what: tokens of programs and sessions of people, each with a role, and the rights of each role.

A token is shown once and kept as a digest; so is the text in a session's cookie.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from tarazy.accreditation import audit
from tarazy.accreditation.expiry import Ending
from tarazy.accreditation.tables import REGISTERS
from tarazy.portal.tables import access_token, portal_user

PREFIX = "tarazy_"
_RANDOM_BYTES = 32
_NAME = re.compile(r"[\w.-]{1,64}")
LONGEST_TOKEN = 100
IDLE = timedelta(hours=1)
"""A session that asked nothing for so long has ended."""


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
MOST_OWN_TOKENS = 20
"""Tokens in force that the miners of one party may have made."""


class TokenError(ValueError):
    """A token that cannot be made or revoked, and what to do."""


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


def create_token(
    connection: Connection,
    name: str,
    role: Role,
    party: str | None,
    now: datetime,
    expires_at: datetime,
    by: str,
    site: str | None = None,
    scope: Scope | None = None,
) -> str:
    """Make a token; the text is given once and kept nowhere. Raises `TokenError`."""
    if (party is not None) is not (role is Role.MINER):
        raise TokenError("a miner's token belongs to a party, any other to none; mend --party")
    if (site is not None) is not (role is Role.AGENT):
        raise TokenError("an agent's token belongs to a site, any other to none; mend --site")
    if expires_at <= now:
        raise TokenError("it would have expired already; choose a later day")
    require_free_name(connection, name)
    if party:
        require_party(connection, party)
    sites = REGISTERS["site"]
    if site and not connection.execute(select(sites.c.entry).where(sites.c.site == site).limit(1)).first():
        raise TokenError(f"there is no site {site}; see `tarazy register show site`")
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    of_whom = {"name": name, "digest": digest_of(token), "role": role, "party": party, "site": site, "scope": scope}
    stamp = {"created_at": now, "created_by": by, "expires_at": expires_at}
    connection.execute(insert(access_token), {**of_whom, **stamp})
    body = {"name": name, "role": role, "expires_at": audit.instant_text(expires_at), "by": by}
    body |= {key: value for key, value in (("site", site), ("scope", scope)) if value}
    audit.append(connection, [audit.AuditEvent("token-created", body, party)], now)
    return token


def require_free_name(connection: Connection, name: str) -> None:
    """A name tells for ever who did something. Raises `TokenError` when it belongs or belonged to somebody."""
    if not _NAME.fullmatch(name):
        raise TokenError("a name is 1 to 64 letters, digits, dots, hyphens or underscores, such as aigul.s")
    if connection.execute(select(access_token.c.token).where(access_token.c.name == name)).first():
        raise TokenError(f"there was a token {name} before; choose another name, which entries are recorded under")
    if connection.execute(select(portal_user.c.user).where(portal_user.c.name == name)).first():
        raise TokenError(f"there was a user {name} before; choose another name, which entries are recorded under")


def require_party(connection: Connection, party: str) -> None:
    """Raises `TokenError` unless the registers know the party."""
    parties = REGISTERS["party"]
    if not connection.execute(select(parties.c.entry).where(parties.c.party == party).limit(1)).first():
        raise TokenError(f"there is no party {party}; see `tarazy register show party`")


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
    return {
        row.digest: Holder(
            row.name, Role(row.role), row.party, row.expires_at, row.site, Scope(row.scope) if row.scope else None
        )
        for row in rows
    }


def own_tokens(connection: Connection, party: str, now: datetime) -> list[dict[str, object]]:
    """The tokens in force that miners of a party made, the newest first."""
    table = access_token
    own = (table.c.party == party, table.c.scope.is_not(None), table.c.revoked_at.is_(None), table.c.expires_at > now)
    names = ("name", "scope", "created_at", "created_by", "expires_at")
    rows = connection.execute(select(*(table.c[name] for name in names)).where(*own).order_by(table.c.token.desc()))
    return [dict(zip(names, row, strict=True)) for row in rows]


def create_own_token(connection: Connection, maker: Holder, name: str, scope: Scope, days: int, now: datetime) -> str:
    """Make a token of a miner's own, called after who makes it and `name`. Raises `TokenError`."""
    assert maker.party is not None, "a miner is of a party"
    if len(own_tokens(connection, maker.party, now)) >= MOST_OWN_TOKENS:
        raise TokenError(f"there are {MOST_OWN_TOKENS} tokens already; revoke one that is not used")
    whole, ends = f"{maker.name}.{name}", now + timedelta(days=days)
    return create_token(connection, whole, maker.role, maker.party, now, ends, maker.name, scope=scope)


def revoke_own_token(connection: Connection, maker: Holder, name: str, now: datetime) -> None:
    """End a token that a miner of the same party made. Raises `TokenError`."""
    assert maker.party is not None, "a miner is of a party"
    if name not in {row["name"] for row in own_tokens(connection, maker.party, now)}:
        raise TokenError(f"there is no token {name} of yours in force")
    revoke_token(connection, name, now, maker.name)


def endings(connection: Connection) -> list[Ending]:
    """When the tokens that are not revoked end, in order of names."""
    held = sorted(holders(connection).values(), key=lambda holder: holder.name)
    return [Ending("token", holder.name, holder.expires_at, holder.party) for holder in held]


def digest_of(text: str) -> str:
    """Tokens, invitations and sessions have 256 random bits, so a plain hash is enough and tells nothing of them."""
    return hashlib.sha256(text.encode()).hexdigest()


class Access:
    """The tokens and sessions of the moment, in memory; told anew whenever they may have changed."""

    def __init__(self) -> None:
        self._tokens: Mapping[str, Holder] = {}
        self._sessions: Mapping[str, Holder] = {}
        self._asked: dict[str, datetime] = {}
        """Digest of a session → when it asked last."""

    def install(self, tokens: Mapping[str, Holder], sessions: Mapping[str, Holder]) -> None:
        """Know these from now on: digest → holder of each."""
        self._tokens, self._sessions = tokens, sessions
        self._asked = {digest: at for digest, at in self._asked.items() if digest in sessions}

    def by_token(self, header: str | None, now: datetime) -> Holder | None:
        """Who sent this Authorization header; None for a missing, unknown, expired or revoked token."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not _may_be_known(token):
            return None
        return _in_force(self._tokens.get(digest_of(token)), now)

    def by_session(self, text: str | None, now: datetime) -> Holder | None:
        """Whose session this text of a cookie is; None when it is missing, unknown, idle or at its end."""
        if not text or not _may_be_known(text):
            return None
        digest = digest_of(text)
        found = _in_force(self._sessions.get(digest), now)
        if found is None or now - self._asked.setdefault(digest, now) >= IDLE:
            return None
        self._asked[digest] = now
        return found


def _may_be_known(text: str) -> bool:
    return 0 < len(text) <= LONGEST_TOKEN and text.isascii()


def _in_force(holder: Holder | None, now: datetime) -> Holder | None:
    return holder if holder is not None and now < holder.expires_at else None


class Failures:
    """Failures by whom they came from or were meant for: after many there is a wait."""

    def __init__(self, limit: int = 20, window: float = 60.0, remembered: int = 10_000) -> None:
        self._limit = limit
        self._window = window
        self._remembered = remembered
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, key: str, now: float) -> None:
        """Another one, at `now` seconds."""
        since, count = self._since.pop(key, (now, 0))
        if now - since >= self._window:
            since, count = now, 0
        self._since[key] = (since, count + 1)
        while len(self._since) > self._remembered:
            self._since.popitem(last=False)

    def wait(self, key: str, now: float) -> float:
        """Seconds until the next may come; 0 when it may now."""
        since, count = self._since.get(key, (now, 0))
        return max(0.0, since + self._window - now) if count >= self._limit else 0.0
