"""Users: people who sign in with a password and a code. They come by invitation, and their sessions are kept here."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Connection, delete, insert, select, update

from tarazy.accreditation import audit
from tarazy.accreditation.problems import Problem
from tarazy.portal.rights import Holder, Role
from tarazy.portal.second_factor import Seal, accepted_step, new_secret
from tarazy.portal.tables import portal_session, portal_user
from tarazy.portal.tokens import TokenError, digest_of, require_free_name, require_party

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 200
"""Characters; NIST SP 800-63B asks for eight beside a second factor and for no rules of composition."""
SESSION = timedelta(hours=10)
INVITATION = timedelta(days=7)
_RANDOM_BYTES = 32
_NEVER = datetime.max.replace(tzinfo=UTC)
_hasher = PasswordHasher()
"""Argon2id with the library's defaults, which are those of RFC 9106 for servers with little memory: 64 MiB."""

USER_ROLES = (Role.OPERATOR, Role.INSPECTOR, Role.MINER)


class UserError(ValueError):
    """A user that cannot be invited, joined or removed, and what to do."""


@dataclass(frozen=True, slots=True)
class User:
    """A person as the list shows it."""

    name: str
    role: Role
    party: str | None
    invited_at: datetime
    invitation_ends_at: datetime | None
    """When the open invitation ends; None when there is none."""
    joined_at: datetime | None


@dataclass(frozen=True, slots=True)
class Invited:
    """Who opened an invitation."""

    name: str
    role: Role
    secret: str
    """The secret for the authenticator app, the same however often the invitation is opened."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a sign-in is checked against."""

    name: str
    password: str
    """Argon2id hash."""
    sealed: str
    last_step: int


def invite(connection: Connection, name: str, role: Role, party: str | None, now: datetime, by: str) -> str:
    """Invite a person; the text of the invitation is given once and kept nowhere. Raises `UserError`."""
    if role not in USER_ROLES:
        raise UserError(f"a user is one of {', '.join(USER_ROLES)}; for programs make a token")
    if (party is not None) is not (role is Role.MINER):
        raise UserError("a miner belongs to a party, any other user to none; mend --party")
    try:
        require_free_name(connection, name)
        if party is not None:
            require_party(connection, party)
    except TokenError as error:
        raise UserError(error.args[0]) from None
    text = secrets.token_urlsafe(_RANDOM_BYTES)
    row = {"name": name, "role": role, "party": party, "invited_at": now, "invited_by": by}
    ends_at = now + INVITATION
    connection.execute(insert(portal_user), {**row, "invitation": digest_of(text), "invitation_ends_at": ends_at})
    body = {"name": name, "role": role, "ends_at": audit.instant_text(ends_at), "by": by}
    audit.append(connection, [audit.AuditEvent("user-invited", body, party)], now)
    return text


def invite_again(connection: Connection, name: str, now: datetime, by: str) -> str:
    """A new invitation for who lost the password, the phone or the first one. Raises `UserError`.

    The old password and codes no longer count, and the user's sessions end.
    """
    text = secrets.token_urlsafe(_RANDOM_BYTES)
    fresh = {"invitation": digest_of(text), "invitation_ends_at": now + INVITATION, "invited_at": now, "invited_by": by}
    _change(connection, name, {**fresh, "password": None, "secret": None, "joined_at": None})
    body = {"name": name, "ends_at": audit.instant_text(now + INVITATION), "by": by}
    audit.append(connection, [audit.AuditEvent("user-invited-again", body)], now)
    return text


def remove(connection: Connection, name: str, now: datetime, by: str) -> None:
    """End a user and its sessions for good; its name stays taken. Raises `UserError`."""
    _change(connection, name, {"removed_at": now, "invitation": None, "password": None, "secret": None})
    audit.append(connection, [audit.AuditEvent("user-removed", {"name": name, "by": by})], now)


def _change(connection: Connection, name: str, values: Mapping[str, object]) -> None:
    present = (portal_user.c.name == name, portal_user.c.removed_at.is_(None))
    if connection.execute(update(portal_user).where(*present).values(**values)).rowcount != 1:
        raise UserError(Problem("user-none", name=name))
    connection.execute(delete(portal_session).where(portal_session.c.name == name))


def users(connection: Connection) -> list[User]:
    """The users that are not removed, in order of names."""
    rows = connection.execute(
        select(portal_user).where(portal_user.c.removed_at.is_(None)).order_by(portal_user.c.name)
    )
    return [
        User(row.name, Role(row.role), row.party, row.invited_at, row.invitation_ends_at, row.joined_at) for row in rows
    ]


def open_invitation(connection: Connection, invitation: str, seal: Seal, now: datetime) -> Invited:
    """Who is invited by this text, with a secret for its app. Raises `UserError`, `SealError`."""
    row = connection.execute(
        select(portal_user).where(
            portal_user.c.invitation == digest_of(invitation), portal_user.c.invitation_ends_at > now
        )
    ).one_or_none()
    if row is None:
        raise UserError("this invitation was used, replaced or has run out; ask the pool for a new one")
    if row.secret is not None:
        return Invited(row.name, Role(row.role), seal.open(row.secret))
    secret = new_secret()
    connection.execute(
        update(portal_user).where(portal_user.c.user == row.user).values(secret=seal.close(secret), last_step=0)
    )
    return Invited(row.name, Role(row.role), secret)


def join(connection: Connection, invitation: str, password: str, step: int, now: datetime) -> tuple[str, str]:
    """Take the invitation up with the hash of a password and the step of a first code.

    Returns the user's name and a session. Raises `UserError` when somebody else was quicker.
    """
    digest = digest_of(invitation)
    row = connection.execute(select(portal_user).where(portal_user.c.invitation == digest)).one_or_none()
    values = {"invitation": None, "invitation_ends_at": None, "password": password, "joined_at": now, "last_step": step}
    done = connection.execute(update(portal_user).where(portal_user.c.invitation == digest).values(**values))
    if row is None or done.rowcount != 1:
        raise UserError("this invitation was used meanwhile; sign in, or ask the pool for a new one")
    audit.append(connection, [audit.AuditEvent("user-joined", {"name": row.name, "role": row.role}, row.party)], now)
    return row.name, open_session(connection, row.name, now)


def password_fault(password: str, name: str) -> str | None:
    """What is wrong with a chosen password, if anything."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; several words do well"
    if name.casefold() in password.casefold() or len(set(password)) < SHORTEST_PASSWORD // 2:
        return "a password of one's own name or of few different characters is guessed at once; choose another"
    return None


def hash_password(password: str) -> str:
    """Argon2id hash with a salt of its own; takes tens of milliseconds and 64 MiB."""
    return _hasher.hash(password)


def known(connection: Connection, name: str) -> Known | None:
    """What the sign-in of `name` is checked against; None when nobody of this name may sign in."""
    row = connection.execute(
        select(portal_user).where(
            portal_user.c.name == name, portal_user.c.removed_at.is_(None), portal_user.c.joined_at.is_not(None)
        )
    ).one_or_none()
    return None if row is None else Known(row.name, row.password, row.secret, row.last_step)


@cache
def _nobody() -> str:
    return hash_password(secrets.token_urlsafe())


def signed_step(found: Known | None, password: str, code: str, seal: Seal, now: datetime) -> int | None:
    """The step of the code when password and code are right; None otherwise. Raises `SealError`.

    An unknown name costs as long as a known one, so that names cannot be told apart.
    """
    try:
        _hasher.verify(found.password if found else _nobody(), password)
    except VerificationError:
        return None
    if found is None:
        return None
    return accepted_step(seal.open(found.sealed), code, now, found.last_step)


def begin_session(connection: Connection, name: str, step: int, now: datetime) -> str:
    """A session for a user whose code of `step` was right; its text goes into a cookie and is kept nowhere.

    Raises `UserError` when the code was used meanwhile or the user is removed.
    """
    unused = (portal_user.c.name == name, portal_user.c.removed_at.is_(None), portal_user.c.last_step < step)
    if connection.execute(update(portal_user).where(*unused).values(last_step=step)).rowcount != 1:
        raise UserError("this code was used already; wait for the next one")
    audit.append(connection, [audit.AuditEvent("signed-in", {"name": name})], now)
    return open_session(connection, name, now)


def open_session(connection: Connection, name: str, now: datetime) -> str:
    """A session of a user; sessions that ended are forgotten."""
    text = secrets.token_urlsafe(_RANDOM_BYTES)
    connection.execute(delete(portal_session).where(portal_session.c.ends_at <= now))
    row = {"digest": digest_of(text), "name": name, "begun_at": now, "ends_at": now + SESSION}
    connection.execute(insert(portal_session), row)
    return text


def end_session(connection: Connection, text: str, now: datetime) -> None:
    """Sign out; nothing happens when the session has ended."""
    digest = portal_session.c.digest == digest_of(text)
    name = connection.execute(select(portal_session.c.name).where(digest)).scalar()
    if name is not None:
        connection.execute(delete(portal_session).where(digest))
        audit.append(connection, [audit.AuditEvent("signed-out", {"name": name})], now)


def note_failure(connection: Connection, name: str, now: datetime) -> None:
    """Keep that somebody tried to sign in as the user `name` and failed."""
    audit.append(connection, [audit.AuditEvent("sign-in-failed", {"name": name})], now)


def sessions(connection: Connection) -> dict[str, Holder]:
    """Digest → holder, of the sessions in force."""
    people = {
        row.name: Holder(row.name, Role(row.role), row.party, _NEVER)
        for row in connection.execute(select(portal_user).where(portal_user.c.removed_at.is_(None)))
    }
    rows = [row for row in connection.execute(select(portal_session)) if row.name in people]
    return {
        row.digest: replace(people[row.name], expires_at=min(row.ends_at, people[row.name].expires_at), signed_in=True)
        for row in rows
    }


def demo_user(role: str) -> str:
    """Name of a demo's user of this role, who needs no password."""
    return f"demo-{role}"


def let_in_demo_users(connection: Connection, party: str, now: datetime) -> None:
    """A demo's users, one of each role, the miner of `party`; nothing happens when they are there."""
    known_names = {user.name for user in users(connection)}
    for role in USER_ROLES:
        if demo_user(role) not in known_names:
            invite(connection, demo_user(role), role, party if role is Role.MINER else None, now, "demo")
