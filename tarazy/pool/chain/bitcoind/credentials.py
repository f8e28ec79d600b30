"""Who we are to a node: the cookie it writes at each start, or a user and password of its rpcauth. Never logged."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from tarazy.config.settings import NodeSettings
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError

_COOKIE_BYTES = 1_000


class Credentials:
    """The value of the Authorization header."""

    def __init__(self, *, cookie: Path | None = None, user: str = "", password: str = "") -> None:
        """`cookie`: bitcoind's .cookie file; without one, `user` and `password`."""
        self._cookie = cookie
        self._header = "" if cookie else _basic(f"{user}:{password}".encode())

    def header(self) -> str:
        """The header. Raises `NodeError` when the cookie cannot be read."""
        if not self._header:
            self._header = self._read()
        return self._header

    def renew(self, refused: str) -> bool:
        """Read the cookie again, after the node refused the header `refused`; True if it is another now."""
        if self._cookie is not None:
            self._header = self._read()
        return self._header != refused

    def _read(self) -> str:
        assert self._cookie is not None
        try:
            with self._cookie.open("rb") as file:
                return _basic(file.read(_COOKIE_BYTES).strip())
        except OSError as error:
            text = f"cookie file {self._cookie}: {error.strerror}; the server's user must be able to read it"
            raise NodeError(Fault.UNAUTHORIZED, text) from error


def credentials_of(settings: NodeSettings) -> Credentials:
    """Those of a node in the settings."""
    if settings.cookie is not None:
        return Credentials(cookie=settings.cookie)
    assert settings.user is not None
    assert settings.password is not None
    return Credentials(user=settings.user, password=settings.password.get_secret_value())


def _basic(secret: bytes) -> str:
    return f"Basic {b64encode(secret).decode()}"
