"""What a column of a register may hold, and how a cell of a spreadsheet is read into it.

Every reader takes a cell as CSV (text) or XLSX (text, number, date) gives it, or a value already of its own
type, and gives back the value or raises ValueError with what is wrong and the cure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from tarazy.accreditation.bin import check_bin
from tarazy.accreditation.problems import Problem

_DATED_YEARS = range(1900, 2200)

Cell = str | int | float | bool | date | time | None | list[Any] | tuple[Any, ...]
"""A spreadsheet's cell as read, or a value of a register."""

LEGAL_ZONE = ZoneInfo("Asia/Almaty")
"""Zone of legal days, and of instants written without one (invariant 9)."""

MAXIMUM_TEXT = 500
MAXIMUM_NETWORKS = 1_000


@dataclass(frozen=True, slots=True)
class Field:
    """How one column is read, and what it expects in words and by example."""

    read: Callable[[Cell], Any]
    hint: str
    example: str
    reference: str | None = None
    """Register whose key the column names."""
    required: bool = True
    """Whether a cell may not be empty."""
    words: tuple[str, ...] = ()
    """The words that alone may stand in it; none: others too."""


def _text(cell: Cell) -> str:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise ValueError(Problem("text"))
    if isinstance(cell, float):
        if not cell.is_integer():
            raise ValueError(Problem("text-fraction"))
        cell = int(cell)
    return str(cell).replace("\N{NO-BREAK SPACE}", " ").strip()


def read_text(cell: Cell) -> str:
    """One line of printable text that no spreadsheet takes for a formula."""
    text = _text(cell)
    if len(text) > MAXIMUM_TEXT:
        raise ValueError(Problem("text-long", limit=MAXIMUM_TEXT))
    if not text.isprintable():
        raise ValueError(Problem("text-unprintable"))
    if text[:1] in ("=", "+", "-", "@"):
        raise ValueError(Problem("text-formula", sign=text[0]))
    return text


def _matching(pattern: str, code: str, *, fold: bool = False, flags: int = re.ASCII) -> Callable[[Cell], str]:
    compiled = re.compile(pattern, flags)

    def read(cell: Cell) -> str:
        text = _text(cell)
        text = text.lower() if fold else text
        if not compiled.fullmatch(text):
            raise ValueError(Problem(code))
        return text

    return read


def integer(low: int, high: int) -> Callable[[Cell], int]:
    """A whole number between `low` and `high`."""

    def read(cell: Cell) -> int:
        if isinstance(cell, str) and re.fullmatch(r"-?[0-9]{1,19}", cell.strip(), re.ASCII):
            cell = int(cell)
        if isinstance(cell, float) and math.isfinite(cell) and cell.is_integer():
            cell = int(cell)
        if type(cell) is not int:
            raise ValueError(Problem("not-whole"))
        if not low <= cell <= high:
            raise ValueError(Problem("number-range", low=low, high=high))
        return cell

    return read


_HASH_RATE_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_MAXIMUM_HASH_RATE = 10**18


def read_hash_rate(cell: Cell) -> int:
    """Hashes per second: a whole number, or with a unit as on a machine's plate: `110 TH/s`."""
    if not isinstance(cell, str):
        return integer(1, _MAXIMUM_HASH_RATE)(cell)
    told = re.fullmatch(r"([0-9]{1,19})(?:[.,]([0-9]{1,12}))? ?(?:([KMGTPE]?)H/s)?", cell.strip(), re.ASCII)
    if told is None:
        raise ValueError(Problem("hash-rate"))
    whole, fraction, unit = told.groups(default="")
    scale: int = 10 ** len(fraction)
    rate, rest = divmod(int(whole + fraction) * _HASH_RATE_UNITS[unit], scale)
    if rest or not 1 <= rate <= _MAXIMUM_HASH_RATE:
        raise ValueError(Problem("hash-rate-range"))
    return rate


def read_coordinates(cell: Cell) -> str:
    """Latitude and longitude in degrees (WGS 84): `51.723100, 75.322900`."""
    told = re.fullmatch(
        r"(-?[0-9]{1,2}(?:\.[0-9]{1,8})?)[,; ]\s*(-?[0-9]{1,3}(?:\.[0-9]{1,8})?)", _text(cell), re.ASCII
    )
    if told is None or abs(float(told[1])) > 90 or abs(float(told[2])) > 180:
        raise ValueError(Problem("coordinates"))
    return f"{told[1]}, {told[2]}"


def one_of(words: type[StrEnum]) -> Field:
    """One word of an enumeration."""

    def read(cell: Cell) -> StrEnum:
        try:
            return words(_text(cell))
        except ValueError:
            raise ValueError(Problem("one-of", words=", ".join(words))) from None

    return Field(read, "one of: " + ", ".join(words), next(iter(words)).value, words=tuple(words))


def read_day(cell: Cell) -> date:
    """A calendar day of the years that documents are dated in: 2026-03-01 or 01.03.2026."""
    day = _day(cell)
    if day.year not in _DATED_YEARS:
        raise ValueError(Problem("day-year", first=str(_DATED_YEARS[0]), last=str(_DATED_YEARS[-1]), day=str(day)))
    return day


def _day(cell: Cell) -> date:
    if isinstance(cell, datetime):
        if cell.time() != time():
            raise ValueError(Problem("day-time"))
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = cell.strip() if isinstance(cell, str) else ""
    dotted = re.fullmatch(r"(\d\d)\.(\d\d)\.(\d{4})", text, re.ASCII)
    try:
        return date.fromisoformat("-".join(reversed(dotted.groups())) if dotted else text)
    except ValueError:
        raise ValueError(Problem("day")) from None


def _instant(cell: Cell, *, day_shift: int) -> datetime:
    try:
        if isinstance(cell, datetime) and cell.tzinfo:
            return cell.astimezone(UTC)
        try:
            day = _day(cell) + timedelta(days=day_shift)
            return datetime.combine(day, time(), LEGAL_ZONE).astimezone(UTC)
        except ValueError:
            instant = cell if isinstance(cell, datetime) else datetime.fromisoformat(_text(cell))
            return (instant if instant.tzinfo else instant.replace(tzinfo=LEGAL_ZONE)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(Problem("instant")) from None


def read_valid_from(cell: Cell) -> datetime:
    """First instant of validity; a day alone means its first instant in Asia/Almaty."""
    return _instant(cell, day_shift=0)


def read_valid_to(cell: Cell) -> datetime:
    """First instant after validity; a day alone is the last valid day, so its end is meant."""
    return _instant(cell, day_shift=1)


def read_month(cell: Cell) -> str:
    """A calendar month, 2026-11; of a cell that a spreadsheet took for a day, the day's month."""
    if isinstance(cell, date):
        return f"{cell:%Y-%m}"
    text = _text(cell)
    if not re.fullmatch(r"(19|2[01])[0-9]{2}-(0[1-9]|1[0-2])", text, re.ASCII):
        raise ValueError(Problem("month"))
    return text


def read_networks(cell: Cell) -> tuple[str, ...]:
    """CIDR blocks separated by spaces, commas or semicolons."""
    parts = cell if isinstance(cell, list | tuple) else re.split(r"[\s,;]+", _text(cell))
    networks = tuple(_network(str(part)) for part in parts if part)
    if not networks:
        raise ValueError(Problem("networks-none"))
    if len(networks) > MAXIMUM_NETWORKS:
        raise ValueError(Problem("networks-many", limit=MAXIMUM_NETWORKS))
    if len(set(networks)) < len(networks):
        raise ValueError(Problem("networks-twice"))
    return networks


def _least_prefix(network: IPv4Network | IPv6Network) -> int:
    if isinstance(network, IPv4Network):
        return 8
    holds_mapped_ipv4 = int(network.network_address) >> 96 == 0
    return 104 if holds_mapped_ipv4 else 19


def _network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError as error:
        code = "network-host-bits" if "host bits" in str(error) else "network"
        raise ValueError(Problem(code, text=text[:50])) from None
    if network.prefixlen < _least_prefix(network):
        raise ValueError(Problem("network-wide", text=text))
    return str(network)


MAXIMUM_EVIDENCE = 16_000
"""Bytes of a finding's evidence as JSON."""


def read_evidence(value: object) -> dict[str, Any]:
    """Names and what is known by each: a whole number, text, or a list of texts."""
    if not isinstance(value, dict):
        raise ValueError(Problem("evidence"))
    for name, part in value.items():
        texts = part if isinstance(part, list) else [part]
        if not isinstance(name, str) or not all(type(each) in (str, int) for each in texts):
            raise ValueError(Problem("evidence-values"))
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAXIMUM_EVIDENCE:
        raise ValueError(Problem("evidence-long", limit=MAXIMUM_EVIDENCE))
    return value


def read_flag(value: object) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise ValueError(Problem("flag"))
    return value


def read_parts(cell: Cell) -> str:
    """Parts of parties in percent, at most two decimals and 100 together: `acme=62.5 beta=30`."""
    parts = parts_of(_text(cell))
    if sum(parts.values()) > 10_000:
        raise ValueError(Problem("parts-sum"))
    return " ".join(f"{party}={part / 100:g}" for party, part in sorted(parts.items()))


def parts_of(text: str) -> dict[str, int]:
    """Party → hundredths of a percent."""
    parts: dict[str, int] = {}
    for word in re.split(r"[\s,;]+", text):
        told = re.fullmatch(r"([a-z0-9][a-z0-9._-]{0,63})=([0-9]{1,3})(?:\.([0-9]{1,2}))?", word, re.ASCII)
        if told is None or told[1] in parts:
            raise ValueError(Problem("parts"))
        parts[told[1]] = int(told[2]) * 100 + int((told[3] or "").ljust(2, "0"))
    return parts


EVIDENCE = Field(read_evidence, "names and values", "{}")
FLAG = Field(read_flag, "true or false", "false")

NETWORKS = Field(read_networks, "CIDR blocks separated by spaces", "95.56.0.0/24 2a03:32c0:1::/48")
VALID_FROM = Field(
    read_valid_from,
    "day (its first instant, Asia/Almaty) or instant with zone; empty means now",
    "2026-01-01",
)
VALID_TO = Field(read_valid_to, "last valid day, or first instant no longer valid; may be empty", "2028-12-31")

TEXT = Field(read_text, "text", "text")
FINDING_KEY = Field(
    _matching(r"[a-z-]{1,30}(?::[^:\n]{1,64}){2,3}", "not-finding", flags=0),
    "kind, register, key",
    "no-wallet:party:acme",
)
Text = Annotated[str, TEXT]
_read_slug = _matching(r"[a-z0-9][a-z0-9._-]{0,63}", "not-slug")
Slug = Annotated[str, Field(_read_slug, "short name: lower-case letters, digits, dots, dashes", "acme")]
Number = Annotated[
    str,
    Field(
        _matching(r"[^\W_][\w./ -]{0,63}", "not-number", flags=0),
        "number as printed on the document",
        "KZ-0001",
    ),
]
PartyKey = Annotated[str, Field(_read_slug, "key of a party", "acme", "party")]
SiteKey = Annotated[str, Field(_read_slug, "key of a site", "ekibastuz-1", "site")]
Bin = Annotated[str, Field(lambda cell: check_bin(_text(cell)), "BIN or IIN, 12 digits", "240140000001")]
Account = Annotated[
    str,
    Field(
        _matching(r"[a-z0-9][a-z0-9_-]{0,31}", "not-account", fold=True),
        "login of the party's miners, before the dot",
        "acme",
    ),
]
Country = Annotated[
    str,
    Field(_matching(r"[A-Z]{2}", "not-country"), "country code", "KZ"),
]
Address = Annotated[
    str,
    Field(
        _matching(r"[A-Za-z0-9]{20,100}", "not-address"),
        "address that receives payouts",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    ),
]
Email = Annotated[
    str,
    Field(_matching(r"[^@\s=+-][^@\s]{0,63}@[^@\s]{1,190}", "not-email", flags=0), "e-mail", "office@acme.kz"),
]
Phone = Annotated[
    str,
    Field(_matching(r"\+?[0-9][0-9 ()-]{4,24}", "not-phone"), "telephone, digits", "8 7172 000000"),
]
RegisterName = Annotated[str, Field(_matching(r"[a-z]{1,20}", "not-register"), "name of a register", "party")]
Digest = Annotated[
    str,
    Field(_matching(r"[0-9a-f]{64}", "not-digest"), "SHA-256 of the file, as `register attach` tells", "0" * 64),
]
Coordinates = Annotated[str, Field(read_coordinates, "latitude, longitude in degrees", "51.723100, 75.322900")]
LicenceNumber = Annotated[
    str,
    Field(
        _matching(r"[^\W_][\w./ -]{0,63}", "not-number", flags=0),
        "number of the licence that this one replaces",
        "KZ-0001",
        "licence",
    ),
]
EnergyParts = Annotated[str, Field(read_parts, "percent of each party", "acme=62.5 beta=30")]
Host = Annotated[
    str,
    Field(_matching(r"[A-Za-z0-9.:_-]{1,253}", "not-host"), "host name or address", "10.10.1.20"),
]
Day = Annotated[date, Field(read_day, "day", "2026-01-01")]
Port = Annotated[int, Field(integer(1, 65535), "TCP port", "502")]
ModbusUnit = Annotated[int, Field(integer(0, 255), "Modbus unit number", "1")]
Watts = Annotated[int, Field(integer(1, 10**12), "watt, whole number", "3500")]
HashRate = Annotated[int, Field(read_hash_rate, "hashes per second, or with a unit", "200 TH/s")]
Count = Annotated[int, Field(integer(0, 2**63 - 1), "how many, whole number", "644")]
Bytes = Annotated[int, Field(integer(1, 2**31), "bytes, whole number", "1024")]
EntryNumber = Annotated[int, Field(integer(1, 2**63 - 1), "number of the entry that this row corrects", "17")]
Month = Annotated[str, Field(read_month, "calendar month", "2026-11")]
KilowattHours = Annotated[int, Field(integer(0, 10**12), "kWh, whole number", "7200000")]
Rank = Annotated[int, Field(integer(1, 1000), "place in an order, the first is 1", "1")]
Price = Annotated[int, Field(integer(0, 10**9), "tiyn per kWh: 1840 is 18.40 KZT", "1840")]
