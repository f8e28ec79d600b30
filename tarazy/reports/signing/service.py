"""Signing by a service over HTTP. NCANode's answer and question as in its version 3: POST /cms/sign."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tarazy.config.settings.signing import ServiceSigning
from tarazy.reports.signing.signer import SigningFault, read_secret

_LARGEST_ANSWER = 4 << 20
_LARGEST_KEY = 1 << 20
_AGAIN = frozenset({429, 500, 502, 503, 504})


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """A key is sent to the address in the settings and to no other."""


class Service:
    """A signing service."""

    def __init__(self, settings: ServiceSigning, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = settings
        self._sleep = sleep
        self._opener = build_opener(_NoRedirect)

    def sign(self, content: bytes) -> bytes:
        """The detached CMS signature of `content` as DER. Raises `SigningFault`."""
        body, headers = self._question(content)
        answer = self._asked(body, headers)
        return self._ncanode(answer) if self._settings.format == "ncanode" else answer

    def _question(self, content: bytes) -> tuple[bytes, dict[str, str]]:
        settings = self._settings
        headers = {"Content-Type": "application/octet-stream", "Accept": "application/pkcs7-signature"}
        body = content
        if settings.format == "ncanode":
            assert settings.key_file is not None
            assert settings.password_file is not None
            try:
                with settings.key_file.open("rb") as file:
                    key = file.read(_LARGEST_KEY)
            except OSError as error:
                raise SigningFault(f"{settings.key_file}: {error.strerror or error}") from None
            signer = {"key": _base64(key), "password": read_secret(settings.password_file), "keyAlias": None}
            asked = {"data": _base64(content), "signers": [signer], "withTsp": True, "detached": True}
            body, headers = json.dumps(asked).encode(), {"Content-Type": "application/json"}
        if settings.authorization_file is not None:
            headers["Authorization"] = read_secret(settings.authorization_file)
        return body, headers

    def _asked(self, body: bytes, headers: dict[str, str]) -> bytes:
        """Its answer. A signature that was made but whose answer was lost harms nobody: the next one is kept."""
        url, why = self._settings.url, ""
        for attempt in range(self._settings.attempts):
            if attempt:
                self._sleep(min(2.0 ** (attempt - 1), 10.0))
            try:
                request = Request(url, body, headers, method="POST")  # noqa: S310 - http(s), by the settings
                with self._opener.open(request, timeout=self._settings.timeout_seconds) as answer:
                    told: bytes = answer.read(_LARGEST_ANSWER + 1)
            except HTTPError as error:
                why = f"it answers {error.code}{_said(error.read(1000))}"
                if error.code not in _AGAIN:
                    raise SigningFault(f"{url}: {why}; mend signing.* in the settings, or the service") from None
            except (OSError, HTTPException, ValueError) as error:
                why = f"{getattr(error, 'reason', None) or error or type(error).__name__}"
            else:
                if len(told) > _LARGEST_ANSWER:
                    raise SigningFault(f"{url}: its answer is too long for a signature")
                return told
        times = self._settings.attempts
        raise SigningFault(f"{url}: {why}; asked {times} times; see that the service runs, then sign again")

    def _ncanode(self, answer: bytes) -> bytes:
        url = self._settings.url
        try:
            told = json.loads(answer)
            if not isinstance(told, dict):
                raise ValueError
            if not isinstance(told.get("cms"), str):
                raise SigningFault(f"{url}: it signed nothing{_said(str(told.get('message', '')).encode())}")
            return base64.b64decode("".join(told["cms"].split()), validate=True)
        except (ValueError, RecursionError, binascii.Error):
            raise SigningFault(f"{url}: its answer is none of NCANode; see signing.format") from None


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _said(text: bytes) -> str:
    shown = "".join(each if each.isprintable() else " " for each in text.decode(errors="replace"))[:200].strip()
    return f" ({shown})" if shown else ""
