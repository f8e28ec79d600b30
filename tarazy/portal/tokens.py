"""Tokens of programs in the database: each is shown once and kept as a digest."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from tarazy.accreditation import audit
from tarazy.accreditation.expiry import Ending
from tarazy.accreditation.problems import Problem
from tarazy.accreditation.tables import REGISTERS
from tarazy.portal.rights import Holder, Role, Scope
from tarazy.portal.tables import access_token, portal_user

PREFIX = "tarazy_"
_RANDOM_BYTES = 32
_NAME = re.compile(r"[\w.-]{1,64}")
MOST_OWN_TOKENS = 20
"""Tokens in force that the miners of one party may have made."""


class TokenError(ValueError):
    """A token that cannot be made or revoked, and what to do."""


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
        raise TokenError(Problem("name-form"))
    if connection.execute(select(access_token.c.token).where(access_token.c.name == name)).first():
        raise TokenError(Problem("token-before", name=name))
    if connection.execute(select(portal_user.c.user).where(portal_user.c.name == name)).first():
        raise TokenError(Problem("user-before", name=name))


def require_party(connection: Connection, party: str) -> None:
    """Raises `TokenError` unless the registers know the party."""
    parties = REGISTERS["party"]
    if not connection.execute(select(parties.c.entry).where(parties.c.party == party).limit(1)).first():
        raise TokenError(Problem("party-none", party=party))


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
        raise TokenError(Problem("tokens-many", limit=MOST_OWN_TOKENS))
    whole, ends = f"{maker.name}.{name}", now + timedelta(days=days)
    return create_token(connection, whole, maker.role, maker.party, now, ends, maker.name, scope=scope)


def revoke_own_token(connection: Connection, maker: Holder, name: str, now: datetime) -> None:
    """End a token that a miner of the same party made. Raises `TokenError`."""
    assert maker.party is not None, "a miner is of a party"
    if name not in {row["name"] for row in own_tokens(connection, maker.party, now)}:
        raise TokenError(Problem("token-none", name=name))
    revoke_token(connection, name, now, maker.name)


def endings(connection: Connection) -> list[Ending]:
    """When the tokens that are not revoked end, in order of names."""
    held = sorted(holders(connection).values(), key=lambda holder: holder.name)
    return [Ending("token", holder.name, holder.expires_at, holder.party) for holder in held]


def digest_of(text: str) -> str:
    """Tokens, invitations and sessions have 256 random bits, so a plain hash is enough and tells nothing of them."""
    return hashlib.sha256(text.encode()).hexdigest()
