"""The registers against the audit log: no entry is changed, removed or slipped in unnoticed (invariant 7)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from tarazy.accreditation.audit import canonical
from tarazy.accreditation.entries import fields_of
from tarazy.accreditation.registers import _plain, append_all, content_digest
from tarazy.accreditation.tables import REGISTERS
from tarazy.accreditation.witness import register_faults
from tests.accreditation.world import NOW, START, meter, world

_KEPT = {"entry", "recorded_at", "recorded_by"}


def faults(engine: Engine) -> list[str]:
    """What is found, in words."""
    with engine.connect() as connection:
        return [str(fault) for fault in register_faults(connection)]


@pytest.fixture(autouse=True)
def _filled(engine: Engine) -> None:
    with engine.begin() as connection:
        append_all(connection, [*world(), meter()], START, "operator")


def test_untouched_registers_have_no_faults(engine: Engine) -> None:
    """What was recorded is what stands there."""
    assert faults(engine) == []


def test_a_digest_of_before_a_column_came_stays_true() -> None:
    """What was recorded before sites had a rule and meters a party is no fault after an upgrade."""
    later = {"site": {"energy_by", "energy_parts", "energy_rest"}, "meter": {"party", "read_by"}}
    for entry in [*world(), meter()]:
        names = set(fields_of(entry.register)) - later.get(entry.register, set())
        old = canonical({name: _plain(getattr(entry, name)) for name in names})
        assert content_digest(entry) == hashlib.sha256(old.encode()).hexdigest()
    assert content_digest(meter()) != content_digest(replace(meter(), party="guest"))


def test_each_changed_column_of_each_register_is_found(engine: Engine) -> None:
    """Whatever a person said in an entry, changing it behind the log's back shows and names the entry."""
    seen = 0
    for register, table in REGISTERS.items():
        with engine.connect() as connection:
            row = connection.execute(select(table)).mappings().first()
        if row is None:
            continue
        for name, value in row.items():
            if name in _KEPT or value is None:
                continue
            with engine.begin() as connection:
                connection.execute(update(table).where(table.c.entry == row["entry"]).values({name: _other(value)}))
            assert faults(engine) == [f"{register}, entry {row['entry']}: it was changed after it was recorded"], name
            with engine.begin() as connection:
                connection.execute(update(table).where(table.c.entry == row["entry"]).values({name: value}))
            seen += 1
    assert seen > 50
    assert faults(engine) == []


def _other(value: Any) -> Any:
    """A value of the same kind that is not `value`."""
    if isinstance(value, str):
        return value[:-1] + ("x" if value[-1:] != "x" else "y")
    if isinstance(value, list | tuple):
        return [*value, "2.72.9.0/24"]
    return value + (1 if isinstance(value, int) else timedelta(days=1))


def test_a_removed_and_a_slipped_in_entry_are_found(engine: Engine) -> None:
    """One is missing, and another is there that nobody recorded."""
    machines = REGISTERS["equipment"]
    with engine.begin() as connection:
        row = dict(connection.execute(select(machines)).mappings().one())
        connection.execute(insert(machines), {**row, "entry": 9, "equipment": "SN-9", "recorded_at": NOW})
        connection.execute(delete(REGISTERS["licence"]))
    assert faults(engine) == [
        "licence, entry 1: it was removed; it was a version of L-2",
        "equipment, entry 9: the audit log knows nothing of it",
    ]
