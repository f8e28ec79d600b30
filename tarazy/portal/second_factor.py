"""Codes of an authenticator app (TOTP, RFC 6238: SHA-1, 30 seconds, six digits), each accepted once.

The secrets they come from must be readable to the server; at rest they are sealed with a key outside the database.
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

import pyotp
import segno
from cryptography.fernet import Fernet, InvalidToken

STEP_SECONDS = 30
_CODE = re.compile(r"[0-9]{6}")
_NEIGHBOURS = (0, -1, 1)
"""Steps beside the present one that count too: phones' clocks go wrong by some seconds, and people type slowly."""


class SealError(ValueError):
    """A key or a sealed secret that cannot be used, and what to do."""


class Seal:
    """Seals and opens secrets with the key of one file."""

    def __init__(self, key: bytes, path: Path) -> None:
        """Raises `SealError` for what is no key."""
        self._path = path
        try:
            self._cipher = Fernet(key)
        except ValueError:
            raise SealError(f"{path}: holds no key of the portal; restore it, or name another file") from None

    def close(self, secret: str) -> str:
        """The sealed form of `secret`."""
        return self._cipher.encrypt(secret.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """The secret. Raises `SealError` when another key sealed it."""
        try:
            return self._cipher.decrypt(sealed.encode()).decode()
        except InvalidToken:
            text = "does not open the users' secrets; restore the key they were made with, or invite the users again"
            raise SealError(f"{self._path} {text}") from None


def open_seal(path: Path) -> Seal:
    """The seal whose key is in the file, which is made, for its owner only, when absent. Raises `SealError`."""
    try:
        try:
            return Seal(path.read_bytes().strip(), path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        return Seal(path.read_bytes(), path)
    except OSError as error:
        raise SealError(f"{path}: {error.strerror}; set portal.key to a file the server may read") from None


def new_secret() -> str:
    """160 random bits in base 32, as RFC 4226 recommends."""
    return pyotp.random_base32()


def enrolment(secret: str, name: str, issuer: str) -> tuple[str, str]:
    """What an authenticator app takes: the otpauth address, and the same as an SVG image in a data address."""
    address = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)
    return address, segno.make(address, micro=False).svg_data_uri(scale=4, border=3, light="#fff")


def accepted_step(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """The step of `code` when it is one of about `now`, later than the last accepted one; None otherwise."""
    if not _CODE.fullmatch(code):
        return None
    present, totp = int(now.timestamp()) // STEP_SECONDS, pyotp.TOTP(secret)
    for step in (present + beside for beside in _NEIGHBOURS):
        if step > last_step and pyotp.utils.strings_equal(totp.generate_otp(step), code):
            return step
    return None
