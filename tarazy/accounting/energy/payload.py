"""What a message of a meter says: pure, bounded, and a status where it says nothing that can be a register."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tarazy.accounting.energy.meter import Quantity, Reading
from tarazy.config.settings import PayloadSettings

MAXIMUM_BYTES = 16_384
_NUMBER = re.compile(r"\d{1,19}(\.\d{1,20})?")
_MOST = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND_DECIMALS = {"seconds": 6, "milliseconds": 3}


def readings_of(
    form: PayloadSettings, meter: str, message: bytes, received: datetime, *, retained: bool = False
) -> list[Reading]:
    """The readings of `meter` in a message of that form: of its import register, and of its export one if told.

    What the form does not fit gives one of status garbage; a message of unknown age that the broker had kept, stale.
    """
    try:
        told = _parsed(message, form)
        at = received if form.at is None else _instant(_at_place(told, form.at), form.at_form)
        counts: list[tuple[Quantity, int]] = [("import", _count(_at_place(told, form.count), form.decimals))]
        if form.export is not None:
            counts.append(("export", _count(_at_place(told, form.export), form.decimals)))
    except (ValueError, OverflowError, RecursionError):
        return [Reading(meter, received, None, "garbage", source="mqtt")]
    if retained and form.at is None:
        return [Reading(meter, received, None, "stale", source="mqtt")]
    return [Reading(meter, at, count, "ok", quantity, "mqtt") for quantity, count in counts]


def _parsed(message: bytes, form: PayloadSettings) -> Any:
    if len(message) > MAXIMUM_BYTES:
        raise ValueError("too long")
    text = message.decode()
    if form.count is None:
        return text.strip()
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=_no_number)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _at_place(told: Any, place: str | None) -> str:
    for name in place.split(".") if place else ():
        if isinstance(told, dict):
            told = told.get(name)
        elif isinstance(told, list) and name.isascii() and name.isdigit() and int(name) < len(told):
            told = told[int(name)]
        else:
            raise ValueError(f"nothing at {place}")
    if not isinstance(told, str):
        raise ValueError(f"no number or text at {place}")
    return told


def _scaled(text: str, decimals: int) -> int:
    """The number with its decimal point moved to the right; decimal places beyond are cut off."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("no number of this kind")
    whole, _, fraction = text.partition(".")
    return int(whole + fraction[:decimals].ljust(decimals, "0"))


def _count(text: str, decimals: int) -> int:
    count = _scaled(text, decimals)
    if count >= _MOST:
        raise ValueError("too many digits")
    return count


def _instant(text: str, form: str) -> datetime:
    if form == "iso":
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise ValueError("without its zone it is no instant")
        return instant.astimezone(UTC)
    return _EPOCH + timedelta(microseconds=_scaled(text, _MICROSECOND_DECIMALS[form]))
