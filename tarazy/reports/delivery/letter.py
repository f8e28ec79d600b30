"""From a document and a profile to the bytes that are sent: the same document and profile give the same."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from tarazy.reports.canonical import canonical_json, digest
from tarazy.reports.delivery.profile import Attached, Fixed, Listed, Nested, Node, Parts, Profile, Taken, fill
from tarazy.reports.kept import Kept
from tarazy.reports.signing.cms import LARGEST, CmsFault, check

LARGEST_BODY = 64 << 20
"""Bytes that are sent at once, and kept in the outbox."""
_COIN = 10**8
_KEYS = uuid.UUID("5d1b6a5e-3c0f-5f0e-9b43-0d9b7d1e6c11")
_JSON = "application/json"
_MEDIA_TYPES = {"json": _JSON, "pdf": "application/pdf", "csv": "text/csv; charset=utf-8"}
_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MEDIA_TYPES |= {"xlsx": _WORKBOOK, "html": "text/html; charset=utf-8", "p7s": "application/pkcs7-signature"}


class LetterError(ValueError):
    """The document cannot be sent by the profile. The text says what is missing where."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent."""

    key: str
    """Idempotency key: one for a document, a recipient and a way of telling it, also in a restored backup."""
    method: str
    url: str
    headers: Mapping[str, str]
    media_type: str
    body: bytes


def compose(kept: Kept, profile: Profile) -> Letter:
    """The letter of a document by a profile. Raises `LetterError`."""
    if kept.kind not in profile.documents:
        raise LetterError(f"{profile.name} takes {', '.join(profile.documents)}, not {kept.kind}")
    if profile.signature == "required":
        _require_signed(kept, profile.name)
    values = _values(kept, profile)
    match profile.body:
        case Attached() as node:
            body, media_type = _file(kept, node), _media_type(node)
        case Parts() as node:
            body, media_type = _form(kept, node, values)
        case Nested() as node:
            body, media_type = canonical_json(_Telling(kept, values).of(node, kept.told, "")), _JSON
    _bound(kept, len(body))
    quoted = {name: quote(value, safe="") for name, value in values.items()}
    headers = {name: fill(text, values) for name, text in profile.headers.items()}
    for name, text in headers.items():
        if not (text.isascii() and text.isprintable()):
            raise LetterError(f"{kept.path.name}: {name} would hold what no header may: {text[:60]!r}")
    return Letter(values["key"], profile.method, fill(profile.url, quoted), headers, media_type, body)


def _require_signed(kept: Kept, name: str) -> None:
    """One of GOST cannot be checked here and is taken as it was brought."""
    path = kept.beside(".p7s")
    if not path.is_file():
        raise LetterError(f"{kept.path.name} is not signed, and {name} wants a signature: sign it first")
    try:
        with path.open("rb") as file:
            check(file.read(LARGEST + 1), kept.content)
    except (OSError, CmsFault) as error:
        raise LetterError(f"{path.name}: {error}; sign the report anew") from None


def period_of(kept: Kept) -> str:
    """The period that a document is of, such as 2026-11; empty where it names none."""
    days, period = kept.told.get("days"), kept.told.get("period")
    name = days.get("name") if isinstance(days, dict) else period.get("quarter") if isinstance(period, dict) else None
    return name if isinstance(name, str) else ""


def inquiry_address(url: str, key: str, document: str) -> str:
    """Where to ask what became of the document with this digest, sent under this key."""
    return fill(url, {"key": key, "digest": document})


def _values(kept: Kept, profile: Profile) -> dict[str, str]:
    """What the places of a profile stand for."""
    way = digest(canonical_json(profile.model_dump(mode="json", include={"method", "url", "body"})))
    key = str(uuid.uuid5(_KEYS, f"{profile.name}\n{kept.digest}\n{way}"))
    version = kept.told.get("version")
    return {
        "key": key,
        "digest": kept.digest,
        "kind": kept.kind,
        "period": period_of(kept),
        "version": "" if version is None else str(version),
    }


def _file(kept: Kept, node: Attached) -> bytes:
    path = kept.beside(node.file)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BODY + 1)
    except OSError as error:
        raise LetterError(f"{path.name}: {error.strerror or error}; it belongs beside the report") from None
    if len(content) > LARGEST_BODY:
        raise LetterError(f"{path.name}: longer than the {LARGEST_BODY} bytes that are sent")
    return content


def _media_type(node: Attached) -> str:
    return _MEDIA_TYPES.get(node.file.rpartition(".")[2], "application/octet-stream")


def _form(kept: Kept, node: Parts, values: Mapping[str, str]) -> tuple[bytes, str]:
    """The parts as one body, and its media type. The boundary follows from the content, so it does not stand in it."""
    telling, parts, seen, size = _Telling(kept, values), [], sha256(), 0
    for name, each in node.parts.items():
        filename, media_type = None, None
        if isinstance(each, Attached):
            content, filename, media_type = _file(kept, each), kept.beside(each.file).name, _media_type(each)
        else:
            told = telling.of(each, kept.told, "")
            if isinstance(each, Nested | Listed):
                content, media_type = canonical_json(told), _JSON
            elif told is None or told == "":
                continue
            else:
                content = (told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)).encode()
        size += len(content)
        _bound(kept, size)
        seen.update(content)
        part = RequestField(name, content, filename)
        part.make_multipart(content_type=media_type)
        parts.append(part)
    return encode_multipart_formdata(parts, boundary=seen.hexdigest())


def _bound(kept: Kept, size: int) -> None:
    if size > LARGEST_BODY:
        raise LetterError(f"{kept.path.name}: {size} bytes would be sent, at most {LARGEST_BODY} are")


class _Telling:
    """Fills in the fields of a body."""

    def __init__(self, kept: Kept, values: Mapping[str, str]) -> None:
        self._kept = kept
        self._values = values

    def of(self, node: Node, told: Any, place: str) -> Any:
        """The value of `node`; paths begin at `told`. `place` is where that stands in the document."""
        match node:
            case Fixed():
                return node.value
            case Attached():
                return b64encode(_file(self._kept, node)).decode()
            case Taken():
                return self._taken(node, told, place)
            case Listed():
                return list(self._listed(node, told, place))
        return {name: self.of(each, told, place) for name, each in node.fields.items()}

    def _listed(self, node: Listed, told: Any, place: str) -> Any:
        entries = self._at(node.each, told, place)
        if not isinstance(entries, list):
            raise LetterError(f"{place}{node.each} is no list in {self._kept.path.name}; mend the profile")
        for number, entry in enumerate(entries, 1):
            inside = f"{place}{node.each}[{number}]."
            yield {name: self.of(each, entry, inside) for name, each in node.fields.items()}

    def _at(self, pointer: str, told: Any, place: str) -> Any:
        if pointer.startswith("$"):
            return self._values[pointer[1:]]
        for name in pointer.split("."):
            if not isinstance(told, dict) or name not in told:
                raise LetterError(f"{self._kept.path.name} has no {place}{pointer}; mend the profile")
            told = told[name]
        return told

    def _taken(self, node: Taken, told: Any, place: str) -> Any:
        value = self._at(node.source, told, place)
        if value is None or value == "":
            if node.required:
                raise LetterError(f"{place}{node.source} is empty in {self._kept.path.name}, and may not be")
            return value
        try:
            match node.form:
                case "text":
                    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                case "bitcoin":
                    return _coins(value)
                case "day":
                    return f"{date.fromisoformat(value):%d.%m.%Y}"
        except (TypeError, ValueError):
            raise LetterError(f"{place}{node.source} cannot be told as {node.form}: {str(value)[:60]!r}") from None
        return value


def _coins(value: Any) -> str:
    if type(value) is not int:
        raise TypeError("satoshi are whole")
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // _COIN}.{abs(value) % _COIN:08d}"
