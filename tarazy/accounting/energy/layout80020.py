"""The 80020 layout of interval meters, read from a file of a day. A compatible layout, not a prescribed form.

Values are whole kilowatt-hours of spans, mostly half-hours. Times of day are legal time of Kazakhstan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from tarazy.accounting.energy.meter import Quantity, Reading
from tarazy.config.law.calendar import ALMATY

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAXIMUM_BYTES = 16 * 2**20
MAXIMUM_VALUES = 200_000
_MAXIMUM_KWH = 10**9
_CHANNELS: Mapping[str, Quantity] = {"01": "import", "02": "export"}
_ENCODING = re.compile(rb"""<\?xml[^>]{0,80}encoding=["']([A-Za-z0-9_-]{1,20})["']""")
_ENCODINGS = ("windows-1251", "utf-8")


class LayoutError(ValueError):
    """A file that is not in the layout: where, and what is wrong."""


@dataclass(frozen=True)
class DayFile:
    """What a file says."""

    day: date
    readings: tuple[Reading, ...]
    doubtful: int
    """Values that the file itself calls doubtful; recorded as garbage, counted nowhere."""
    reactive: int
    """Channels of reactive energy, which are left out."""


def parse_80020(content: bytes, meters: Mapping[str, str] | None = None) -> DayFile:
    """Readings of a file. `meters`: meter of a measuring point's code; the code itself where it names none.

    Raises `LayoutError`.
    """
    root = _root(content)
    if root.tag != "message" or root.get("class") != "80020":
        raise LayoutError('expected <message class="80020">')
    day = _day(root.findtext("datetime/day"))
    readings: list[Reading] = []
    reactive = 0
    points: set[str] = set()
    for point in root.iterfind("area/measuringpoint"):
        code = point.get("code") or ""
        if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", code, re.ASCII) or code in points:
            raise LayoutError(f"measuringpoint {code[:64]!r}: expected a code of its own of at most 64 characters")
        points.add(code)
        meter = (meters or {}).get(code, code)
        channels: set[str] = set()
        for channel in point.iterfind("measuringchannel"):
            number = channel.get("code") or ""
            if number in channels:
                raise LayoutError(f"measuringpoint {code}: channel {number[:8]!r} stands there twice")
            channels.add(number)
            if number not in _CHANNELS:
                reactive += 1
                continue
            readings.extend(_values(channel, f"measuringpoint {code}, channel {number}", meter, day, _CHANNELS[number]))
            if len(readings) > MAXIMUM_VALUES:
                raise LayoutError(f"more than {MAXIMUM_VALUES} values; divide the file by areas")
    if not readings:
        raise LayoutError("no values of active energy (channels 01 and 02)")
    doubtful = sum(item.status != "ok" for item in readings)
    return DayFile(day, tuple(readings), doubtful, reactive)


def _root(content: bytes) -> Element:
    if len(content) > MAXIMUM_BYTES:
        raise LayoutError(f"larger than {MAXIMUM_BYTES // 2**20} MiB")
    named = _ENCODING.match(content)
    encoding = named[1].decode().lower() if named else "utf-8"
    if encoding not in _ENCODINGS:
        raise LayoutError(f"encoding {encoding}: expected windows-1251 or UTF-8")
    try:
        root: Element = fromstring(content.decode(encoding), forbid_dtd=True)
    except UnicodeDecodeError:
        raise LayoutError(f"the text is not {encoding}") from None
    except ParseError as error:
        raise LayoutError(f"no XML: {error}") from None
    except DefusedXmlException:
        raise LayoutError("a document type or entities; leave them out") from None
    return root


def _day(text: str | None) -> date:
    try:
        if not re.fullmatch("[0-9]{8}", text or "", re.ASCII):
            raise ValueError
        return date.fromisoformat(text or "")
    except ValueError:
        raise LayoutError(f"datetime/day: {(text or '')[:20]!r}: expected a day such as 20260301") from None


def _values(channel: Element, where: str, meter: str, day: date, quantity: Quantity) -> Iterator[Reading]:
    ended: datetime | None = None
    for period in channel.iterfind("period"):
        start, end = _instant(period.get("start"), day, where), _instant(period.get("end"), day, where, ends=True)
        if end <= start or (ended is not None and start < ended):
            raise LayoutError(f"{where}: periods overlap or go backwards at {(period.get('start') or '')[:8]!r}")
        ended = end
        value = period.find("value")
        text = (value.text or "").strip() if value is not None else ""
        if value is None or not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or int(text) > _MAXIMUM_KWH:
            raise LayoutError(f"{where}, {start.isoformat()}: {text[:20]!r}: expected whole kilowatt-hours")
        good = value.get("status", "0") == "0"
        seconds = (end - start) // timedelta(seconds=1)
        count, status = (int(text), "ok") if good else (None, "garbage")
        yield Reading(meter, end, count, status, quantity, "file", seconds)  # type: ignore[arg-type]


def _instant(text: str | None, day: date, where: str, *, ends: bool = False) -> datetime:
    if not re.fullmatch(r"(?:[01][0-9]|2[0-3])[0-5][0-9]", text or "", re.ASCII):
        raise LayoutError(f"{where}: {(text or '')[:8]!r}: expected a time of day such as 0030")
    assert text is not None
    if ends and text == "0000":
        day += timedelta(days=1)
    local = datetime(day.year, day.month, day.day, int(text[:2]), int(text[2:]), tzinfo=ALMATY)
    return local.astimezone(UTC)
