"""The registers in a real database: append-only, effective-dated, known as of any instant (invariant 7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, func, select

from tarazy.accreditation.admission import Reason, decide
from tarazy.accreditation.checking import RegisterError
from tarazy.accreditation.entries import ENTRY_TYPES, DocumentStatus, EnergySource, Entry, content_of
from tarazy.accreditation.registers import (
    append,
    append_all,
    as_of,
    registers_version,
    restate,
    revoke_licence,
    suspend_licence,
)
from tarazy.accreditation.snapshot import Registers
from tarazy.accreditation.tables import REGISTERS
from tests.accreditation.world import (
    GEO,
    HOME,
    NOW,
    SERVER,
    START,
    licence,
    machine,
    meter,
    party,
    site,
    world,
)

BY = "operator"
DAY = timedelta(days=1)


def reasons(registers: Registers, now: datetime = NOW) -> tuple[Reason, ...]:
    """What speaks against the guest."""
    return decide(registers, "guest", "rig", HOME, now, SERVER, GEO).reasons


def fill(connection: Connection) -> None:
    """Record the small world at its beginning."""
    append_all(connection, [*world(), meter()], START, BY)


def test_what_is_recorded_comes_back(engine: Engine) -> None:
    """Every register keeps every column, with number, time and author."""
    with engine.begin() as connection:
        fill(connection)
        registers = as_of(connection, NOW)
    back = [entry for kind in ENTRY_TYPES.values() for entry in registers.in_force(kind).values()]
    by_key = sorted([*world(), meter()], key=lambda entry: (list(REGISTERS).index(entry.register), entry.key))
    assert [content_of(entry) for entry in back] == [content_of(entry) for entry in by_key]
    assert all((entry.recorded_at, entry.recorded_by) == (START, BY) for entry in back)
    assert registers.sites["site-host"].networks == ("2.72.0.0/24", "2001:678:98::/64")
    assert registers.parties["guest"].entry == 2
    assert registers.meters["meter-1"].source is EnergySource.GRID


def test_later_entries_do_not_change_earlier_decisions(engine: Engine) -> None:
    """Whatever is recorded later, also about the past, the decision as known then stays the same."""
    with engine.begin() as connection:
        fill(connection)
        before = decide(as_of(connection, NOW, NOW), "guest", "rig", HOME, NOW, SERVER, GEO)
    later: list[Entry] = [
        licence("L-2", "guest", status=DocumentStatus.REVOKED),
        site("site-host", "host", "8.8.8.0/24"),
        party("guest", "180540000002", account="renamed"),
        machine("SN-1", "host", "site-host"),
    ]
    for number, entry in enumerate(later, start=1):
        with engine.begin() as connection:
            append(connection, entry, NOW + timedelta(seconds=number), BY)
            then = decide(as_of(connection, NOW, NOW), "guest", "rig", HOME, NOW, SERVER, GEO)
            assert then == before
            assert not decide(as_of(connection, NOW), "guest", "rig", HOME, NOW, SERVER, GEO).admitted


def test_two_times_answer_separately(engine: Engine) -> None:
    """A correction made in July about March: March as known in April, and as known in August."""
    march, april, july, august = (START.replace(month=month, day=10) for month in (3, 4, 7, 8))
    with engine.begin() as connection:
        fill(connection)
        suspend_licence(
            connection,
            "L-2",
            since=march - DAY,
            until=march + DAY,
            reason="court",
            recorded_at=july,
            recorded_by=BY,
        )
    with engine.connect() as connection:
        assert reasons(as_of(connection, march, april), march) == ()
        assert reasons(as_of(connection, march, august), march) == (Reason.LICENCE_SUSPENDED,)
        assert reasons(as_of(connection, april, august), april) == ()


def test_a_corrected_row_may_shorten_a_validity(engine: Engine) -> None:
    """A later version from the same first instant replaces the earlier one: its earlier end is the end."""
    with engine.begin() as connection:
        fill(connection)
        append(connection, licence("L-2", "guest", valid_to=NOW), NOW - DAY, BY)
        registers = as_of(connection, NOW - DAY)
    assert reasons(registers, NOW - DAY) == ()
    assert reasons(registers, NOW) == (Reason.LICENCE_EXPIRED,)
    assert reasons(registers, NOW + 400 * DAY) == (Reason.LICENCE_EXPIRED,)


def test_history_recorded_late_ends_nothing(engine: Engine) -> None:
    """A version of an earlier, closed time leaves the one in force alone."""
    with engine.begin() as connection:
        fill(connection)
        past = licence("L-2", "guest", valid_from=START - 900 * DAY, valid_to=START - 800 * DAY)
        append(connection, past, NOW - DAY, BY)
        assert reasons(as_of(connection, NOW), NOW) == ()


def test_suspension_and_revocation_add_rows_only(engine: Engine) -> None:
    """Ending a licence leaves every earlier row as it was (invariant 7)."""
    table = REGISTERS["licence"]
    with engine.begin() as connection:
        fill(connection)
        before = connection.execute(select(table)).all()
        suspend_licence(
            connection,
            "L-2",
            since=NOW,
            until=NOW + 30 * DAY,
            reason="audit",
            recorded_at=NOW,
            recorded_by=BY,
        )
        revoke_licence(connection, "L-2", since=NOW + 10 * DAY, reason="false papers", recorded_at=NOW, recorded_by=BY)
        after = connection.execute(select(table).order_by(table.c.entry)).all()
        registers = as_of(connection, NOW)
    assert after[: len(before)] == before
    assert len(after) == len(before) + 2
    assert reasons(registers, NOW - DAY) == ()
    assert reasons(registers, NOW) == (Reason.LICENCE_SUSPENDED,)
    assert reasons(registers, NOW + 10 * DAY) == (Reason.LICENCE_REVOKED,)
    assert reasons(registers, NOW + 400 * DAY) == (Reason.LICENCE_REVOKED,)
    assert registers.at(NOW).licences["L-2"].reason == "audit"


def test_restating_what_is_not_in_force_is_refused(engine: Engine) -> None:
    """One cannot suspend a licence that does not exist."""
    with engine.begin() as connection:
        fill(connection)
        with pytest.raises(LookupError, match="no licence L-9 is in force"):
            restate(connection, "licence", "L-9", valid_from=NOW, recorded_at=NOW, recorded_by=BY)


def test_version_tells_whether_anything_was_added(engine: Engine) -> None:
    """One read changes with each entry of any register, and only then."""
    with engine.begin() as connection:
        assert set(registers_version(connection)) == {0}
        fill(connection)
    with engine.begin() as connection:
        seen = registers_version(connection)
        assert registers_version(connection) == seen
        append(connection, machine("SN-2", "guest", "site-host"), NOW, BY)
        assert registers_version(connection) != seen


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (party("third", "060640000748"), "bin: the check digit"),
        (party("third", account="guest"), "account: guest belongs to another party"),
        (party("third", account="GUEST"), "account: expected"),
        (licence("L-9", "nobody"), "party: there is no party nobody"),
        (licence("L-9", "guest", valid_to=START), "valid_to: lies before valid_from"),
        (machine("SN-9", "guest", "nowhere"), "site: there is no site nowhere"),
        (site("s", "host", "2.72.0.1/24"), "networks: .* clear the host bits"),
        (site("s", "host", "0.0.0.0/0"), "networks: .* too wide"),
        (site("s", "host", "::/32"), "networks: .* too wide"),
        (site("s", "host", "10.0.0.0/24", country="kz"), "country: expected a country code"),
        (replace(party("third"), name_ru="=1+1"), "name_ru: begins with '='"),
        (replace(meter(), port=0), "port: expected a number from 1"),
    ],
)
def test_faulty_entries_are_not_recorded(engine: Engine, entry: Entry, says: str) -> None:
    """Values are checked whoever records them, and nothing of a faulty batch remains."""
    with engine.begin() as connection:
        fill(connection)
        with pytest.raises(RegisterError, match=says):
            append_all(connection, [machine("SN-8", "guest", "site-host"), entry], NOW, BY)
        assert "SN-8" not in as_of(connection, NOW).equipment


def test_an_account_may_pass_on_once_its_holder_gave_it_up(engine: Engine) -> None:
    """A login is free again when its party was renamed or ended."""
    with engine.begin() as connection:
        fill(connection)
        append(connection, party("guest", "180540000002", account="other", valid_from=NOW), NOW, BY)
        append(connection, party("third", account="guest", valid_from=NOW), NOW, BY)
        registers = as_of(connection, NOW)
    assert registers.accounts["guest"].party == "third"
    assert registers.at(NOW - DAY).accounts["guest"].party == "guest"


def test_recorded_time_cannot_run_backwards(engine: Engine) -> None:
    """Backdating what was known would rewrite history (invariant 7)."""
    with engine.begin() as connection:
        fill(connection)
        with pytest.raises(ValueError, match="set the clock"):
            append(connection, machine("SN-2", "guest", "site-host"), START - DAY, BY)
        rows = select(func.count()).select_from(REGISTERS["equipment"])
        assert connection.execute(rows).scalar() == 1
