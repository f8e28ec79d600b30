"""Who signs: one interface, and the way that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tarazy.config.settings.signing import KeySigning, ServiceSigning

_LONGEST_SECRET = 4096


class SigningFault(Exception):
    """Nothing was signed. The text says why and what to do."""


class Signer(Protocol):
    """Signs a document."""

    def sign(self, content: bytes) -> bytes:
        """The detached CMS signature of `content` as DER. Raises `SigningFault`."""
        ...


def signer_of(settings: KeySigning | ServiceSigning) -> Signer:
    """The signer that the settings name. Raises `SigningFault` when its key cannot be used."""
    if isinstance(settings, KeySigning):
        from tarazy.reports.signing.key import load_key

        return load_key(settings.key_file, settings.password_file)
    from tarazy.reports.signing.service import Service

    return Service(settings)


def read_secret(path: Path) -> str:
    """The one line of a file that holds a secret. Raises `SigningFault`."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_SECRET + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SigningFault(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    line = text.rstrip("\r\n")
    if len(text) > _LONGEST_SECRET or "\n" in line:
        raise SigningFault(f"{path}: expected one line of text")
    return line


def exposed(path: Path) -> bool:
    """Whether others than its owner may read a file that holds a secret."""
    return bool(path.stat().st_mode & 0o077)
