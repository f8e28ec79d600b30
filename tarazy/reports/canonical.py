"""Canonical JSON of a report: the one text its digest is computed from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from itertools import chain
from typing import Any


def canonical_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON: keys sorted, no spaces, one line feed at the end.

    Dataclasses become objects, instants ISO 8601 with `Z`, days ISO 8601, decimals text without ending zeros.
    Raises `TypeError` for anything else that JSON has no exact form for, floats included.
    """
    return b"".join(canonical_parts(value))


def canonical_parts(value: Any) -> Iterator[bytes]:
    """The same in parts: a list's items come one by one, so that a large report is never held as text."""
    for part in _parts(value):
        yield part.encode()
    yield b"\n"


def digest(content: bytes) -> str:
    """SHA-256 of `content` in hexadecimal."""
    return sha256(content).hexdigest()


def digest_of(parts: Iterable[bytes]) -> str:
    """SHA-256 of `parts`, one after the other, in hexadecimal."""
    found = sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def iso(instant: datetime) -> str:
    """An aware datetime as ISO 8601 in UTC; fractions of a second only where there are any."""
    if instant.tzinfo is None:
        raise TypeError("naive datetime: instants carry a time zone")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parts(value: Any) -> Iterator[str]:
    opened, closed = "[]" if isinstance(value, tuple | list) else "{}"
    if isinstance(value, tuple | list):
        parts = (iter((_text(item),)) for item in value)
    elif is_dataclass(value) and not isinstance(value, type):
        names = sorted(field.name for field in fields(value))
        parts = (chain((f'"{name}":',), _parts(getattr(value, name))) for name in names)
    else:
        yield _text(value)
        return
    yield opened
    for number, part in enumerate(parts):
        if number:
            yield ","
        yield from part
    yield closed


def _text(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool) or type(value) is int:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a JSON object are text")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _decimal(value)
    raise TypeError(f"{type(value).__name__} has no exact form in JSON")


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise TypeError(f"{value} has no exact form in JSON")
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
