"""Files that tell where addresses lie, made for tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

MARKER = b"\xab\xcd\xefMaxMind.com"


def database(path: Path, records: Mapping[str, Any], version: int = 6) -> Path:
    """A database in MaxMind's format that holds `records` by network, with IPv4 where those have it."""
    writer = MMDBWriter(version, "Test-Country", ipv4_compatible=version == 6)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def country(code: str, registered: str | None = None) -> dict[str, Any]:
    """A record as country databases have it."""
    names = {"en": code, "ru": code}
    return {"country": {"iso_code": code, "names": names}, "registered_country": {"iso_code": registered or code}}


def statistics(path: Path, records: Sequence[str], *, end: str = "20261120", promised: int = 0) -> Path:
    """A statistics file of RIPE NCC's kind; its summary promises as many records more as `promised`."""
    kinds = [re.split(r"\|", record)[2] for record in records]
    lines = [f"2|ripencc|1795000000|{len(records)}|19830705|{end}|+0100"]
    lines += [f"ripencc|*|{kind}|*|{kinds.count(kind) + promised}|summary" for kind in ("ipv4", "asn", "ipv6")]
    path.write_text("\n".join([*lines, *records, ""]), encoding="ascii")
    return path


RECORDS = (
    "ripencc|KZ|ipv4|2.57.96.0|1024|20190320|allocated|3c8b-1",
    "ripencc|DE|ipv4|2.57.100.0|1024|20190321|allocated|3c8b-2",
    "ripencc|KZ|ipv4|2.72.0.0|524288|20101108|allocated|3c8b-3",
    "ripencc|KZ|ipv4|91.195.226.0|768|20070101|assigned|3c8b-4",
    "ripencc||ipv4|91.195.229.0|256||available|",
    "ripencc|KZ|ipv4|91.195.230.0|256|20070101|reserved|",
    "ripencc|KZ|asn|9198|1|19971204|allocated|3c8b-5",
    "ripencc|KZ|ipv6|2001:678:98::|48|20110101|assigned|3c8b-6",
    "ripencc|RU|ipv6|2001:678:9c::|48|20110101|assigned|3c8b-7",
    "ripencc|kz|ipv6|2a00:12f8::|32|20080101|allocated|3c8b-8",
)
"""An excerpt: 768 addresses are no network, reserved and available blocks are nobody's, numbers are no addresses."""
