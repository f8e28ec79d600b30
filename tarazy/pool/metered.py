"""Meters as the registers have them, files of their readings, and what may be recorded of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

from sqlalchemy import Connection

from tarazy.accounting.energy.allocation import Sharing
from tarazy.accounting.energy.devices import devices_of
from tarazy.accounting.energy.intake import RowError, take
from tarazy.accounting.energy.layout80020 import MAXIMUM_BYTES, LayoutError, parse_80020
from tarazy.accounting.energy.meter import Meter, Quantity, Reading
from tarazy.accounting.energy.profiles import ProfileError
from tarazy.accounting.energy.recording import ReadingError, append_readings, require_possible
from tarazy.accounting.energy.waiting import hold
from tarazy.accreditation.entries import EnergyRest, ReadBy
from tarazy.accreditation.entries import Meter as Entry
from tarazy.accreditation.fields import Cell, Count, Field, SiteKey, parts_of, read_text, read_valid_from
from tarazy.accreditation.registers import versions_of
from tarazy.accreditation.sheets import RegisterImportError, TableFault, read_sheet
from tarazy.accreditation.snapshot import Registers, version_at


def _quantity(cell: Cell) -> Quantity:
    text = read_text(cell)
    for quantity in get_args(Quantity):
        if text == quantity:
            return quantity  # type: ignore[no-any-return]
    raise ValueError("expected import or export")


_SLUG: Field = get_args(SiteKey)[1]
_COUNT: Field = get_args(Count)[1]

READING_COLUMNS: Mapping[str, Field] = {
    "meter": Field(_SLUG.read, "key of the meter", "feeder-1"),
    "quantity": Field(_quantity, "import or export; import if empty", "import", required=False),
    "at": Field(read_valid_from, "when it was read; Asia/Almaty without a zone", "2026-03-02T15:00:00+05:00"),
    "count": Field(_COUNT.read, "what the register showed, without its decimal point", "1234567"),
}


@dataclass(frozen=True)
class ReadingFile:
    """Readings of a file, and how many of its values are not to be counted."""

    readings: tuple[Reading, ...]
    doubtful: int = 0
    reactive: int = 0


def read_file(path: Path, points: Mapping[str, str]) -> ReadingFile:
    """A CSV or XLSX of registers, or an 80020 file, whose measuring points are named as meters by `points`.

    Raises `RegisterImportError` with a line for each fault.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
        if not content.lstrip().startswith((b"<", b"\xef\xbb\xbf<")):
            rows = read_sheet(path, "readings", READING_COLUMNS)
            return ReadingFile(
                tuple(
                    Reading(row["meter"], row["at"], row["count"], "ok", row["quantity"] or "import", "file")
                    for _, row in rows
                )
            )
        told = parse_80020(content.removeprefix(b"\xef\xbb\xbf"), points)
    except OSError as error:
        raise RegisterImportError([TableFault(path.name, error.strerror or str(error))]) from None
    except LayoutError as error:
        raise RegisterImportError([TableFault(path.name, str(error))]) from None
    return ReadingFile(told.readings, told.doubtful, told.reactive)


def meters_of(registers: Registers, *read_by: ReadBy) -> list[Meter]:
    """The meters of the register, or those that one of `read_by` reads."""
    return [
        Meter(
            row.meter,
            row.site,
            row.host,
            row.port,
            row.unit,
            row.profile,
            row.party,
            row.read_by is not ReadBy.POOL,
            row.recorded_at,
        )
        for row in registers.meters.values()
        if row.read_by in (read_by or ReadBy)
    ]


def take_readings(
    connection: Connection, readings: Iterable[Reading], registers: Registers, now: datetime
) -> list[tuple[Reading, RowError]]:
    """Record what the pool read and heard of its meters; gives what it heard and cannot take.

    What comes from a clock that is a little ahead waits in the database.
    """
    readings = hold(connection, readings, now)
    meters = {meter.meter: meter for meter in meters_of(registers.at(now), ReadBy.MQTT)}

    def profile_of(key: str) -> str:
        if key not in meters:
            raise RowError("unknown_meter", "no meter of that key is registered with read_by mqtt")
        return meters[key].profile

    append_readings(connection, [reading for reading in readings if reading.source != "mqtt"], now)
    heard = dict(enumerate(reading for reading in readings if reading.source == "mqtt"))
    refused = take(connection, heard, profile_of, now).refused
    return [(heard[number], error) for number, error in refused.items()]


def sharing_of(registers: Registers, site: str) -> Sharing:
    """The rule in force by which a site's energy is shared."""
    entry = registers.sites.get(site)
    if entry is None or entry.energy_by is None:
        return Sharing()
    power: Counter[str] = Counter()
    for (party, where), machines in registers.machines_by_site.items():
        if where == site:
            power[party] += sum(machine.nominal_power_w for machine in machines)
    to_parties = entry.energy_rest is EnergyRest.PARTIES
    agreed = parts_of(entry.energy_parts) if entry.energy_parts else {}
    parts = {party: part for party, part in agreed.items() if party in registers.parties}
    return Sharing(entry.energy_by.value, to_parties, parts, power)


def meter_at(connection: Connection, key: str, instant: datetime) -> Entry | None:
    """The register's entry of a meter that is in force at an instant."""
    entry = version_at(versions_of(connection, "meter", key), instant)
    return entry if isinstance(entry, Entry) else None


def require_readable(connection: Connection, readings: Sequence[Reading], now: datetime) -> None:
    """Raise `ReadingError` unless each reading is of a registered meter, and possible."""
    for meter in sorted({item.meter for item in readings}):
        own = [item for item in readings if item.meter == meter]
        entry = meter_at(connection, meter, now)
        if entry is None:
            raise ReadingError(f"no meter {meter} is registered; see `tarazy register show meter`")
        try:
            devices = devices_of(connection, meter, entry.profile)
        except ProfileError as error:
            raise ReadingError(f"{meter}: {error}") from None
        for item in own:
            require_possible(item, devices, now)
