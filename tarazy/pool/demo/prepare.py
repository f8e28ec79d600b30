"""A directory a server can start in: settings, ledger and registers, made once and kept for later runs."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection

from tarazy.accounting.assets.values import BITCOIN, import_values
from tarazy.accreditation.entries import DocumentStatus
from tarazy.accreditation.importing import import_registers
from tarazy.accreditation.registers import as_of
from tarazy.accreditation.sheets import read_table
from tarazy.config.law import load_law
from tarazy.config.law.calendar import legal_day
from tarazy.config.settings import Settings, load_settings
from tarazy.database.engine import open_engine
from tarazy.database.schema import upgrade
from tarazy.pool.demo.scenario import LICENSED_PARTIES, METERS, STATEMENT_OF, licence_table, register_tables
from tarazy.pool.imported import read_values
from tarazy.portal.users import let_in_demo_users

SETTINGS_HEAD = """\
# A Tarazy server's settings, written by `tarazy demo`: invented parties, a worthless chain, loopback addresses that are
# declared to lie in countries (accreditation.demo_addresses), and an assumed fee rule (law.assumptions).
"""


_VALUE_KZT = "45000000.00"
_DAYS_BEFORE = 14


SERVER_PORTS = range(10_000, 32_000)
"""Below those that Linux gives to outgoing connections."""


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on at the moment, and that no outgoing connection is given by chance."""
    ports: list[int] = []
    while len(ports) < count:
        port = secrets.choice(SERVER_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in ports:
                ports.append(port)
    return ports


@dataclass(frozen=True, slots=True)
class Prepared:
    """A directory in which a server can start."""

    path: Path
    """The settings file."""
    settings: Settings
    meter_ports: dict[str, int]
    """Meter → loopback port at which the registers say it answers."""
    without_licence: list[str]
    """Parties of the demo whose licence somebody ended."""


def prepare(directory: Path, settings: Mapping[str, Any], now: datetime) -> Prepared:
    """Write what is missing in `directory` and bring the rest up to date.

    An existing settings file is left as it is. The registers are imported once; a licence that is to run out
    during the run is issued anew each time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "tarazy.yaml"
    if not path.exists():
        text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
        path.write_text(SETTINGS_HEAD + text, encoding="utf-8")
    loaded = load_settings(path)
    loaded.data.mkdir(parents=True, exist_ok=True)
    engine = open_engine(loaded.database_url)
    upgrade(engine)
    with engine.begin() as connection:
        first = not as_of(connection, now).parties
    tables = register_tables(now, _meter_ports()) if first else {"licence.csv": licence_table(now)}
    law = load_law(loaded.law.assumptions, loaded.law.directory)
    files = directory / "registers"
    files.mkdir(exist_ok=True)
    for name, text in tables.items():
        file = files / name
        file.write_text(text, encoding="utf-8")
        with engine.begin() as connection:
            import_registers(connection, read_table(file), now, "demo", law)
    with engine.begin() as connection:
        registers = as_of(connection, now)
        _import_values(connection, files / "values.csv", now)
        let_in_demo_users(connection, STATEMENT_OF, now)
    engine.dispose()
    good = {row.party for row in registers.licences.values() if row.status is DocumentStatus.IN_FORCE}
    return Prepared(
        path,
        loaded,
        {key: meter.port for key, meter in registers.meters.items()},
        sorted(LICENSED_PARTIES - good),
    )


def _import_values(connection: Connection, file: Path, now: datetime) -> None:
    """An invented value of Bitcoin for the days of the run and those before that a day off may take it from."""
    days = (legal_day(now) + timedelta(days=number) for number in range(-_DAYS_BEFORE, 2))
    rows = (f"{BITCOIN};{day};{_VALUE_KZT}" for day in days)
    file.write_text("\n".join(("asset;day;value_kzt", *rows, "")), encoding="utf-8")
    described, _, values = read_values(file, "invented for the demo")
    import_values(connection, values, described, now, "demo")


def _meter_ports() -> dict[str, int]:
    return dict(zip((meter.meter for meter in METERS), free_ports(len(METERS)), strict=True))
