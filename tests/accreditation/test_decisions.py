"""Every decision is kept, and a flood of refusals stays small."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine

from tarazy.accreditation.admission import Decision, Reason
from tarazy.accreditation.audit import append, canonical, rows_of, verify_rows
from tarazy.accreditation.decisions import ADMITTED, OVERFLOW, REFUSED, DecisionLog, decisions_between, decisions_during
from tests.accreditation.world import HOME, NOW, admit, world

SECOND = timedelta(seconds=1)
UNKNOWN: Decision = admit(world(), account="stranger")
NO_LICENCE: Decision = admit([row for row in world() if row.register != "licence"])
ADMISSION: Decision = admit(world())


def test_a_miner_refused_every_second_costs_a_row_a_minute() -> None:
    """The first refusal is told at once; then one row a window carries the count."""
    log = DecisionLog()
    rows = []
    for second in range(301):
        log.add(NO_LICENCE, "guest", f"rig-{second}", HOME, NOW + second * SECOND)
        rows += log.take(NOW + second * SECOND)
    assert [row.body["count"] for row in rows] == [1, 60, 60, 60, 60, 60]
    assert rows[1].body["worker"] == "rig-60"
    assert rows[1].body["first"] == "2026-06-01T12:00:01.000000Z"
    assert rows[1].body["last"] == "2026-06-01T12:01:00.000000Z"
    assert (rows[0].kind, rows[0].party, rows[0].account) == (REFUSED, "guest", "guest")
    assert rows[0].body["reasons"] == [Reason.NO_LICENCE]
    assert {"party", "certificate", "server", "site"} <= {entry[0] for entry in rows[0].body["entries"]}


def test_different_reasons_and_admissions_have_rows_of_their_own() -> None:
    """A change of mind is told at once."""
    log = DecisionLog()
    for decision in (ADMISSION, NO_LICENCE, ADMISSION):
        log.add(decision, "guest", "rig", HOME, NOW)
    assert [(row.kind, row.body["count"]) for row in log.take(NOW)] == [(ADMITTED, 2), (REFUSED, 1)]


def test_invented_names_overflow_into_one_counted_row() -> None:
    """Memory and rows stay bounded, nothing is lost silently, and known parties keep their rows."""
    log = DecisionLog(strangers=10)
    for number in range(1_000):
        log.add(UNKNOWN, f"stranger-{number}", "rig", HOME, NOW)
    log.add(NO_LICENCE, "guest", "rig", HOME, NOW)
    rows = log.take(NOW)
    assert len(rows) == 12
    assert sum(row.body["count"] for row in rows) == 1_001
    assert rows[-1].kind == OVERFLOW
    assert rows[-1].body["by_reason"] == {Reason.UNKNOWN_ACCOUNT: 990}
    log.add(UNKNOWN, "one-more", "rig", HOME, NOW + SECOND)
    assert log.take(NOW + SECOND) == []
    assert [row.kind for row in log.take(NOW + 61 * SECOND)] == [OVERFLOW]


def test_an_attack_with_invented_names_and_addresses_costs_few_rows() -> None:
    """100,000 refusals of as many names from as many addresses within ten minutes: all counted, few told apart."""
    log, rows = DecisionLog(), []
    for number in range(100_000):
        at = NOW + number * timedelta(milliseconds=6)
        peer = f"2001:db8::{number:x}" if number % 2 else f"8.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        log.add(UNKNOWN, f"stranger-{number}", f"rig-{number}", peer, at)
        log.add(UNKNOWN, "stranger", f"rig-{number}", peer, at)
        if number % 167 == 0:
            rows += log.take(at)
            assert len(log._tallies) <= 256
    rows += log.take(NOW + 600 * SECOND, everything=True)
    assert sum(row.body["count"] for row in rows) == 200_000
    assert len(rows) == 256 + 1 + 11, "256 names once, one of them again at the end, and a row a minute for the rest"
    assert max(len(canonical(row.body)) for row in rows) < 1_000


def test_quiet_kinds_are_forgotten_and_make_room() -> None:
    """After a quiet window other strangers are told apart again."""
    log = DecisionLog(strangers=1)
    log.add(UNKNOWN, "first", "rig", HOME, NOW)
    log.take(NOW)
    assert log.take(NOW + 599 * SECOND) == []
    log.add(UNKNOWN, "crowd", "rig", HOME, NOW + 599 * SECOND)
    assert [row.account for row in log.take(NOW + 600 * SECOND)] == [None]
    log.add(UNKNOWN, "second", "rig", HOME, NOW + 601 * SECOND)
    assert [row.account for row in log.take(NOW + 601 * SECOND)] == ["second"]


def test_everything_can_be_taken_at_the_end() -> None:
    """Stopping loses no count."""
    log = DecisionLog()
    for second in range(5):
        log.add(NO_LICENCE, "guest", "rig", HOME, NOW + second * SECOND)
        taken = log.take(NOW + second * SECOND)
        assert len(taken) == (second == 0)
    assert [row.body["count"] for row in log.take(NOW + 5 * SECOND, everything=True)] == [4]


def test_a_period_is_summed_up_from_the_log(engine: Engine) -> None:
    """Account, reasons, counts, first and last, from rows written in the period and no other."""
    log = DecisionLog(strangers=1)
    with engine.begin() as connection:
        for second in range(121):
            at = NOW + second * SECOND
            log.add(NO_LICENCE, "guest", "rig", HOME, at)
            log.add(UNKNOWN, f"s{second}", "rig", "8.8.8.8", at)
            if second == 0:
                log.add(ADMISSION, "guest", "rig", HOME, at)
            append(connection, log.take(at, everything=second == 120), at)
        assert verify_rows(rows_of(connection)) is None
        found = decisions_between(connection, NOW, NOW + 121 * SECOND)
        assert [(row.kind, row.account, row.count) for row in found] == [
            (ADMITTED, "guest", 1),
            (REFUSED, "s0", 1),
            (REFUSED, "guest", 121),
            (OVERFLOW, "", 120),
        ]
        refused = found[2]
        assert (refused.party, refused.reasons, refused.sites) == ("guest", ("no-licence",), {"site-host"})
        assert (refused.first, refused.last, refused.rows) == (NOW, NOW + 120 * SECOND, 3)
        assert refused.peers == {HOME}
        assert sum(row.count for row in decisions_between(connection, NOW, NOW + SECOND)) == 3
        assert decisions_between(connection, NOW + 121 * SECOND, NOW + 999 * SECOND) == []


def test_a_decision_counts_when_it_was_made_however_late_its_row(engine: Engine) -> None:
    """A stranger's count is written ten minutes later, and whatever a database missed when it is back."""
    log = DecisionLog()
    with engine.begin() as connection:
        for second in (0, 200, 400):
            log.add(UNKNOWN, "stranger", "rig", HOME, NOW + second * SECOND)
            append(connection, log.take(NOW + second * SECOND), NOW + second * SECOND)
        log.add(NO_LICENCE, "guest", "rig", HOME, NOW + 450 * SECOND)
        append(connection, log.take(NOW + 3_600 * SECOND, everything=True), NOW + 3_600 * SECOND)

        def accounts(since: int, until: int) -> list[tuple[str, int]]:
            found = decisions_during(connection, NOW + since * SECOND, NOW + until * SECOND)
            return [(row.account, row.count) for row in found]

        assert accounts(0, 1) == [("stranger", 1)]
        assert accounts(1, 200) == []
        assert accounts(300, 301) == [("stranger", 2)]
        assert accounts(450, 451) == [("guest", 1)]
        assert accounts(451, 7_200) == []


def test_hostile_names_reach_the_log_escaped_and_short(engine: Engine) -> None:
    """NUL, lone surrogates and long names neither break the database nor fill it (invariant 10)."""
    log = DecisionLog()
    for account in ("a\0b", "\ud800", "я" * 1_000, "x" * 100_000, "<b>"):
        log.add(UNKNOWN, account, account, HOME, NOW)
    with engine.begin() as connection:
        append(connection, log.take(NOW), NOW)
        assert verify_rows(rows_of(connection)) is None
        accounts = [row.account for row in decisions_between(connection, NOW, NOW + SECOND)]
    assert {"a\\x00b", "\\ud800", "x" * 127, "<b>"} < set(accounts)
    assert all(account.isascii() and len(account) <= 127 for account in accounts)
