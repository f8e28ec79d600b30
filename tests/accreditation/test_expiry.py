"""What ends within 90, 30 and 7 legal days, and what silences that."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from time import perf_counter

import pytest
from sqlalchemy import Engine

from tarazy.accreditation.entries import Document, DocumentStatus, Entry, Placement
from tarazy.accreditation.expiry import Ending, Expiry, expiries
from tarazy.accreditation.expiry_warnings import warn
from tarazy.config.law.calendar import day_start
from tests.accreditation.world import (
    NOW,
    START,
    certificate,
    licence,
    machine,
    meter,
    registers,
    server,
    site,
    world,
)

TODAY = date(2026, 6, 1)


def end_of(days: int) -> datetime:
    """First instant after the legal day that lies so many days ahead."""
    return day_start(TODAY + timedelta(days=days + 1))


def soon(*entries: Entry, now: datetime = NOW) -> list[tuple[str, str, int, int]]:
    """(register, key, days left, threshold) of what ends soon."""
    return [
        (each.ending.register, each.ending.key, each.days_left, each.within_days)
        for each in expiries(registers(entries, now))
    ]


@pytest.mark.parametrize(
    ("days", "threshold"), [(91, None), (90, 90), (31, 90), (30, 30), (8, 30), (7, 7), (1, 7), (0, 7)]
)
def test_thresholds(days: int, threshold: int | None) -> None:
    """The lowest threshold crossed; the last day itself is zero days away."""
    found = soon(licence("L-1", "host", valid_to=end_of(days)))
    assert found == ([] if threshold is None else [("licence", "L-1", days, threshold)])


def test_days_are_legal_ones() -> None:
    """An hour before and after midnight in Almaty are different days, whatever the day in UTC."""
    ending = licence("L-1", "host", valid_to=end_of(7))
    midnight = day_start(TODAY)
    assert soon(ending, now=midnight - timedelta(hours=1)) == [("licence", "L-1", 8, 30)]
    assert soon(ending, now=midnight + timedelta(hours=1)) == [("licence", "L-1", 7, 7)]
    assert soon(ending, now=end_of(7) - timedelta(seconds=1)) == [("licence", "L-1", 0, 7)]
    assert soon(ending, now=end_of(7)) == []


def test_every_register_is_looked_at() -> None:
    """Party, licence, placement, certificate, server, site, machine, meter and document of the small world."""
    document = Document(
        document="d",
        of_register="server",
        of_key="server-1",
        title="Information security",
        digest="0" * 64,
        media_type="application/pdf",
        size=9,
        valid_from=START,
    )
    all_end = [replace(entry, valid_to=end_of(20)) for entry in [*world(), meter(), document]]
    assert {(register, key) for register, key, _, _ in soon(*all_end)} == {
        ("party", "host"),
        ("party", "guest"),
        ("licence", "L-2"),
        ("certificate", "AC-1"),
        ("server", "server-1"),
        ("site", "site-host"),
        ("placement", "placement-1"),
        ("equipment", "SN-1"),
        ("meter", "meter-1"),
        ("document", "d"),
    }
    assert soon(*world(), meter(), document) == []


def test_a_renewed_entry_is_silent() -> None:
    """A later version without a gap silences; one with a gap does not."""
    ending = licence("L-1", "host", valid_to=end_of(20))
    assert soon(ending, replace(ending, valid_from=end_of(20), valid_to=None)) == []
    assert soon(ending, replace(ending, valid_from=end_of(20), valid_to=end_of(25))) == [("licence", "L-1", 25, 30)]
    assert soon(ending, replace(ending, valid_from=end_of(21), valid_to=None)) == [("licence", "L-1", 20, 30)]


def test_a_replacing_licence_is_silent() -> None:
    """Only the licence that replaces the ending one, and itself holds."""
    ending = licence("L-1", "host", valid_to=end_of(20))
    assert soon(ending, licence("L-2", "host")) == [("licence", "L-1", 20, 30)]
    assert soon(ending, licence("L-2", "host", replaces="L-1")) == []
    revoked = licence("L-2", "host", replaces="L-1", status=DocumentStatus.REVOKED)
    assert soon(ending, revoked) == [("licence", "L-1", 20, 30)]
    third = licence("L-3", "host", replaces="L-2")
    assert soon(ending, replace(ending, licence="L-2", replaces="L-1"), third) == []


def test_licences_that_replace_each_other_in_a_circle_end_together() -> None:
    """Nonsense in the register harms nobody."""
    first = licence("L-1", "host", replaces="L-2", valid_to=end_of(3))
    assert soon(first, licence("L-2", "host", replaces="L-1", valid_to=end_of(5))) == [("licence", "L-2", 5, 7)]


def test_a_suspension_is_no_end() -> None:
    """What is suspended comes back; what is revoked, now or on a day to come, is over."""
    lasting = licence("L-1", "host")
    suspended = replace(lasting, status=DocumentStatus.SUSPENDED, valid_from=NOW, valid_to=end_of(40))
    assert soon(lasting, suspended) == []
    revoked = replace(lasting, status=DocumentStatus.REVOKED, valid_from=end_of(9))
    assert soon(lasting, revoked) == [("licence", "L-1", 9, 30)]
    assert soon(lasting, replace(revoked, valid_from=NOW)) == []


def test_others_of_its_kind_stand_in() -> None:
    """Another certificate, a further placement at the site, another machine of the party there; not elsewhere."""
    assert soon(certificate(valid_to=end_of(5)), certificate(certificate="AC-2")) == []
    placed = Placement(placement="p", party="guest", site="site-host", contract="1", valid_from=START)
    ending = replace(placed, valid_to=end_of(5))
    assert soon(ending, replace(placed, placement="q")) == []
    assert soon(ending, replace(placed, placement="q", site="other")) == [("placement", "p", 5, 7)]
    old = replace(machine("SN-1", "guest", "site-host"), valid_to=end_of(5))
    assert soon(old, machine("SN-2", "guest", "site-host")) == []
    assert soon(old, replace(machine("SN-2", "guest", "site-host"), valid_to=end_of(6))) == [
        ("equipment", "SN-2", 6, 7)
    ]
    assert soon(site("a", "host", valid_to=end_of(1)), site("b", "host")) == [("site", "a", 1, 7)]
    assert soon(server(), replace(server(), server="server-2", valid_to=end_of(1))) == [("server", "server-2", 1, 7)]


def test_a_corrected_end_counts() -> None:
    """The version that was taken back is not waited for."""
    wrong = licence("L-1", "host", valid_to=end_of(5))
    assert soon(wrong, replace(wrong, valid_to=None, corrects=1, why="misread")) == []


def test_what_no_register_tells_is_taken_along() -> None:
    """Tokens and terms of cases come as plain values, in order of their ends."""
    token = Ending("token", "inspector", end_of(2))
    far = Ending("token", "far", end_of(91))
    over = Ending("token", "over", datetime(2026, 5, 1, tzinfo=UTC))
    found = expiries(registers([licence("L-1", "host", valid_to=end_of(5))]), [far, token, over])
    assert [(each.ending.key, each.days_left) for each in found] == [("inspector", 2), ("L-1", 5)]
    assert found[1] == Expiry(Ending("licence", "L-1", end_of(5), "host", 1), 5)


def test_many_ends_cost_no_more_than_their_number() -> None:
    """Machines of a party at a site that each end at an instant of their own."""
    many = [
        replace(machine(f"SN-9{number}", "guest", "site-host"), valid_to=NOW + timedelta(seconds=number + 1))
        for number in range(5_000)
    ]
    begun = perf_counter()
    assert [(key, days) for _, key, days, _ in soon(*many)] == [("SN-94999", 0)]
    assert perf_counter() - begun < 5, "not each end times each machine"


def test_what_has_ended_meanwhile_is_not_warned_of_again(engine: Engine) -> None:
    """A token that ends at noon was found in the morning; in the afternoon others are warned of all the same."""
    token = Expiry(Ending("token", "desk", NOW), 0)
    later = Expiry(Ending("token", "gate", NOW + timedelta(days=5)), 5)
    with engine.begin() as connection:
        assert warn(connection, [token], NOW - timedelta(hours=1)) == [token]
        assert warn(connection, [token, later], NOW + timedelta(hours=1)) == [later]
        assert warn(connection, [token, later], NOW + timedelta(hours=2)) == []
