"""A year of a pool, and every question an inspector may ask of it: as of one moment, as known at another.

2026, times in Kazakhstan. `dala` owns the data centre `ekibastuz`; `zhel` has its machine there under a contract.

January     both licences granted (recorded on the 5th), `zhel` placed in `ekibastuz`
March       the 1st: `zhel` suspended for two months
May         the 20th: the data centre moves to another network, recorded three days before
June        the 1st: a network that was `ekibastuz`'s is now `temirtau`'s, of `samal`
July        the 10th: a letter says that the suspension began on the 11th of March, not on the 1st
September   the 1st: `dala` gets a new licence in place of the old one
October     the 15th at noon: `samal`'s licence is revoked; the 20th: taken back, it was another's
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine

from tarazy.accreditation.admission import Decision, Question, Reason, decide
from tarazy.accreditation.entries import Licence, LicenceKind, Placement
from tarazy.accreditation.registers import (
    append,
    append_all,
    as_of,
    correct,
    restate,
    revoke_licence,
    suspend_licence,
    withdraw,
)
from tests.accreditation.world import GEO, SERVER, certificate, licence, machine, party, server, site

OLD, NEW, PASSED_ON = "2.72.0.10", "2.72.4.10", "2.72.1.10"
"""Addresses in `ekibastuz` before and after its move, and in the network that passed to `temirtau`."""


def at(day: str, hour: int = 12) -> datetime:
    """An hour of a day of 2026 in Kazakhstan, `MM-DD`."""
    return datetime.fromisoformat(f"2026-{day}T{hour:02}:00:00+05:00").astimezone(UTC)


def play(engine: Engine) -> None:
    """Record the year, each thing on its day."""
    opening = at("01-01", 0)
    three_years = {"issued_on": date(2026, 1, 5), "valid_from": at("01-05", 0), "valid_to": at("01-05", 0)}
    three_years["valid_to"] = datetime.fromisoformat("2029-01-05T00:00:00+05:00").astimezone(UTC)
    entries = [
        party("dala", valid_from=opening),
        party("zhel", "180540000002", valid_from=opening),
        party("samal", "060640000745", valid_from=opening),
        certificate(valid_from=opening),
        replace(server(), valid_from=opening),
        site("ekibastuz", "dala", "2.72.0.0/24", "2.72.1.0/24", valid_from=opening),
        site("temirtau", "samal", "2.72.2.0/24", valid_from=opening),
        Placement(placement="zhel-1", party="zhel", site="ekibastuz", contract="1/26", valid_from=opening),
        replace(machine("D-1", "dala", "ekibastuz"), valid_from=opening),
        replace(machine("Z-1", "zhel", "ekibastuz"), valid_from=opening),
        replace(machine("S-1", "samal", "temirtau"), valid_from=opening),
    ]
    licences: list[Licence] = [
        licence("D-100", "dala", **three_years),
        licence("Z-100", "zhel", kind=LicenceKind.PLACED, **three_years),
        licence("S-100", "samal", **three_years),
    ]
    with engine.begin() as connection:
        append_all(connection, entries, opening, "operator")
        append_all(connection, licences, at("01-05"), "operator")
    _spring(engine)
    _summer_and_autumn(engine)


def _spring(engine: Engine) -> None:
    with engine.begin() as connection:
        suspend_licence(
            connection,
            "Z-100",
            since=at("03-01", 0),
            until=at("05-01", 0),
            reason="false information",
            recorded_at=at("03-01", 9),
            recorded_by="operator",
        )
    with engine.begin() as connection:
        restate(
            connection,
            "site",
            "ekibastuz",
            valid_from=at("05-20", 0),
            recorded_at=at("05-17"),
            recorded_by="operator",
            networks=("2.72.4.0/24", "2.72.1.0/24"),
            address="Екібастұз, жаңа мекенжай",
        )
    with engine.begin() as connection:
        stamp = {"valid_from": at("06-01", 0), "recorded_at": at("06-01", 8), "recorded_by": "operator"}
        restate(connection, "site", "ekibastuz", networks=("2.72.4.0/24",), **stamp)  # type: ignore[arg-type]
        restate(connection, "site", "temirtau", networks=("2.72.2.0/24", "2.72.1.0/24"), **stamp)  # type: ignore[arg-type]


def _summer_and_autumn(engine: Engine) -> None:
    with engine.begin() as connection:
        suspension = as_of(connection, at("03-02")).licences["Z-100"].entry
        correct(
            connection,
            "licence",
            "Z-100",
            suspension,
            valid_from=at("03-11", 0),
            why="letter of 9 July: the 11th, not the 1st",
            recorded_at=at("07-10"),
            recorded_by="second",
        )
    with engine.begin() as connection:
        ends = at("09-01", 0)
        restate(
            connection,
            "licence",
            "D-100",
            valid_from=ends,
            valid_to=ends + timedelta(days=1),
            recorded_at=at("08-28"),
            recorded_by="operator",
            status="revoked",
            reason="re-issued",
        )
        fresh = licence("D-200", "dala", replaces="D-100", issued_on=date(2026, 9, 1), valid_from=ends)
        append(connection, fresh, at("08-28"), "operator")
    with engine.begin() as connection:
        revoke_licence(
            connection,
            "S-100",
            since=at("10-15"),
            reason="court decision",
            recorded_at=at("10-15", 13),
            recorded_by="operator",
        )
    with engine.begin() as connection:
        revocation = as_of(connection, at("10-16")).licences["S-100"].entry
        withdraw(
            connection,
            "licence",
            "S-100",
            revocation,
            why="the decision was about another licensee",
            recorded_at=at("10-20"),
            recorded_by="second",
        )


@pytest.fixture
def year(engine: Engine) -> Iterator[Connection]:
    """A connection to the registers after the year."""
    play(engine)
    with engine.connect() as connection:
        yield connection


def answer(connection: Connection, valid_at: datetime, known_at: datetime | None, account: str, peer: str) -> Decision:
    """Whether `account` could mine from `peer` at `valid_at`, by what was known at `known_at`."""
    return decide(as_of(connection, valid_at, known_at), Question(account, "rig", peer, SERVER), valid_at, GEO)


ADMITTED: tuple[Reason, ...] = ()
SUSPENDED = (Reason.LICENCE_SUSPENDED,)

QUESTIONS = [
    # as of, hour, as known on, hour, who, from where: why not
    ("01-04", 12, "01-04", 12, "dala", OLD, (Reason.NO_LICENCE,)),
    ("01-04", 12, "12-31", 12, "dala", OLD, (Reason.LICENCE_NOT_BEGUN,)),
    ("01-05", 0, "01-05", 11, "dala", OLD, (Reason.NO_LICENCE,)),
    ("01-05", 0, "01-05", 12, "dala", OLD, ADMITTED),
    ("02-28", 23, "02-28", 23, "zhel", OLD, ADMITTED),
    # the suspension of March, before and after the correction of July
    ("03-01", 0, "03-01", 8, "zhel", OLD, ADMITTED),
    ("03-01", 0, "03-01", 9, "zhel", OLD, SUSPENDED),
    ("03-03", 12, "03-03", 12, "zhel", OLD, SUSPENDED),
    ("03-03", 12, "07-10", 11, "zhel", OLD, SUSPENDED),
    ("03-03", 12, "07-10", 12, "zhel", OLD, ADMITTED),
    ("03-11", 0, "03-11", 12, "zhel", OLD, SUSPENDED),
    ("03-11", 0, "12-31", 12, "zhel", OLD, SUSPENDED),
    ("03-10", 23, "12-31", 12, "zhel", OLD, ADMITTED),
    ("04-30", 23, "12-31", 12, "zhel", OLD, SUSPENDED),
    ("05-01", 0, "05-01", 12, "zhel", OLD, ADMITTED),
    ("03-03", 12, "12-31", 12, "dala", OLD, ADMITTED),
    # the move of 20 May, known since the 17th
    ("05-21", 12, "05-16", 12, "dala", OLD, ADMITTED),
    ("05-21", 12, "05-17", 12, "dala", OLD, (Reason.SITE_UNKNOWN,)),
    ("05-21", 12, "05-17", 12, "dala", NEW, ADMITTED),
    ("05-19", 23, "12-31", 12, "dala", OLD, ADMITTED),
    ("05-19", 23, "12-31", 12, "dala", NEW, (Reason.SITE_UNKNOWN,)),
    ("05-20", 0, "12-31", 12, "zhel", NEW, ADMITTED),
    # the network that passed on
    ("05-31", 23, "12-31", 12, "dala", PASSED_ON, ADMITTED),
    ("05-31", 23, "12-31", 12, "samal", PASSED_ON, (Reason.SITE_UNKNOWN,)),
    ("06-01", 0, "06-01", 7, "dala", PASSED_ON, ADMITTED),
    ("06-01", 0, "06-01", 8, "dala", PASSED_ON, (Reason.SITE_UNKNOWN,)),
    ("06-01", 0, "06-01", 8, "samal", PASSED_ON, ADMITTED),
    # the licence issued anew
    ("08-31", 23, "12-31", 12, "dala", NEW, ADMITTED),
    ("09-01", 0, "08-27", 12, "dala", NEW, ADMITTED),
    ("09-01", 0, "12-31", 12, "dala", NEW, ADMITTED),
    ("11-01", 0, "12-31", 12, "dala", NEW, ADMITTED),
    # a revocation that was another's
    ("10-15", 11, "10-16", 12, "samal", PASSED_ON, ADMITTED),
    ("10-15", 12, "10-15", 12, "samal", PASSED_ON, ADMITTED),
    ("10-15", 12, "10-15", 13, "samal", PASSED_ON, (Reason.LICENCE_REVOKED,)),
    ("10-16", 12, "10-19", 12, "samal", PASSED_ON, (Reason.LICENCE_REVOKED,)),
    ("10-16", 12, "10-20", 12, "samal", PASSED_ON, ADMITTED),
]


def test_every_question_of_the_year(year: Connection) -> None:
    """Who was allowed to mine, from where, by what was known when; a wrong answer names its question."""
    wrong = []
    for valid_day, valid_hour, known_day, known_hour, account, peer, reasons in QUESTIONS:
        decision = answer(year, at(valid_day, valid_hour), at(known_day, known_hour), account, peer)
        if decision.reasons != reasons:
            wrong.append((valid_day, valid_hour, known_day, known_hour, account, peer, decision.reasons))
    assert wrong == []


def test_decisions_name_what_they_rested_on(year: Connection) -> None:
    """In August `dala` mined on its first licence, in October on the one issued in its place."""

    def licences(day: str) -> list[str]:
        return [row.key for row in answer(year, at(day), None, "dala", NEW).entries if row.register == "licence"]

    assert licences("08-15") == ["D-100"]
    assert licences("10-01") == ["D-200"]
    assert as_of(year, at("10-01")).licences["D-200"].replaces == "D-100"


def test_what_is_known_later_changes_no_answer_of_that_day(year: Connection) -> None:
    """Each question asked on its own day has one answer for ever, whatever the registers learned since."""
    versions = as_of(year, at("12-31"))
    for day, peer in (("03-03", OLD), ("05-21", OLD), ("06-01", PASSED_ON), ("10-16", PASSED_ON)):
        for account in ("dala", "zhel", "samal"):
            then = as_of(year, at(day), at(day))
            again = decide(then.at(at("12-31")).at(at(day)), Question(account, "rig", peer, SERVER), at(day), GEO)
            assert again == answer(year, at(day), at(day), account, peer)
    wrong = [row for row in versions.versions_of("licence", "Z-100") if row.corrects]
    assert [(row.why, row.recorded_by) for row in wrong] == [("letter of 9 July: the 11th, not the 1st", "second")]
