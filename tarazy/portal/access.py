"""The tokens and sessions of the moment, in memory, by digest: a request costs no look into the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from tarazy.portal.rights import Holder
from tarazy.portal.tokens import digest_of

LONGEST_TOKEN = 100
IDLE = timedelta(hours=1)
"""A session that asked nothing for so long has ended."""


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
