"""The registers in a real database: append-only, effective-dated, known as of any instant (invariant 7)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, select, update

from tarazy.accreditation import documents
from tarazy.accreditation.admission import Question, Reason, decide
from tarazy.accreditation.checking import COOLING, RegisterError
from tarazy.accreditation.entries import (
    ENTRY_TYPES,
    Document,
    DocumentStatus,
    EnergySource,
    Entry,
    ReadBy,
    Wallet,
    WalletStatus,
    content_of,
)
from tarazy.accreditation.payout_addresses import parties_with_address
from tarazy.accreditation.registers import (
    append,
    append_all,
    as_of,
    content_digest,
    correct,
    registers_version,
    reissue_licence,
    restate,
    revoke_licence,
    suspend_licence,
    withdraw,
)
from tarazy.accreditation.snapshot import Registers
from tarazy.accreditation.tables import REGISTERS, document_content
from tarazy.accreditation.tables import audit as audit_table
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
    return decide(registers, Question("guest", "rig", HOME, SERVER), now, GEO).reasons


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
        before = decide(as_of(connection, NOW, NOW), Question("guest", "rig", HOME, SERVER), NOW, GEO)
    wrong: dict[str, object] = {"why": "mistaken"}
    later: list[Entry] = [
        licence("L-2", "guest", status=DocumentStatus.REVOKED, corrects=1, **wrong),
        site("site-host", "host", "8.8.8.0/24", corrects=1, **wrong),
        party("guest", "180540000002", account="renamed", corrects=2, **wrong),
        replace(machine("SN-1", "host", "site-host"), corrects=1, why="mistaken"),
    ]
    for number, entry in enumerate(later, start=1):
        with engine.begin() as connection:
            append(connection, entry, NOW + timedelta(seconds=number), BY)
            then = decide(as_of(connection, NOW, NOW), Question("guest", "rig", HOME, SERVER), NOW, GEO)
            assert then == before
            assert not decide(as_of(connection, NOW), Question("guest", "rig", HOME, SERVER), NOW, GEO).admitted


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
    """A correction stands in the place of the row it names: its earlier end is the end."""
    with engine.begin() as connection:
        fill(connection)
        correct(
            connection, "licence", "L-2", 1, valid_to=NOW, why="typing error", recorded_at=NOW - DAY, recorded_by=BY
        )
        registers = as_of(connection, NOW - DAY)
    assert reasons(registers, NOW - DAY) == ()
    assert reasons(registers, NOW) == (Reason.LICENCE_EXPIRED,)
    assert reasons(registers, NOW + 400 * DAY) == (Reason.LICENCE_EXPIRED,)


def test_a_correction_is_known_from_its_day_and_is_not_made_twice(engine: Engine) -> None:
    """What was corrected in July about March: known as it was in June, mended since; the wrong row stays."""
    june, july, march = NOW, NOW + 40 * DAY, START + 70 * DAY
    stamp: dict[str, Any] = {"why": "letter of 9 July", "recorded_at": july, "recorded_by": "second"}
    with engine.begin() as connection:
        fill(connection)
        suspend_licence(
            connection, "L-2", since=march, until=march + 30 * DAY, reason="?", recorded_at=june, recorded_by=BY
        )
        withdraw(connection, "licence", "L-2", 2, **stamp)
        with pytest.raises(RegisterError, match="corrects: entry 2 is corrected already by 3"):
            withdraw(connection, "licence", "L-2", 2, **stamp)
        with pytest.raises(LookupError, match="has no entry 9"):
            withdraw(connection, "licence", "L-2", 9, **stamp)
        assert reasons(as_of(connection, march, july - DAY), march) == (Reason.LICENCE_SUSPENDED,)
        assert reasons(as_of(connection, march), march) == ()
        wrong, mended = as_of(connection, march).versions_of("licence", "L-2")[1::-1]
    assert wrong.entry == mended.corrects == 2
    assert (mended.why, mended.recorded_by) == ("letter of 9 July", "second")


def test_an_entry_taken_back_altogether_was_never_there(engine: Engine) -> None:
    """Withdrawing the only row of a licence leaves none: not one that ended, either."""
    with engine.begin() as connection:
        fill(connection)
        withdraw(connection, "licence", "L-2", 1, why="of another party", recorded_at=NOW, recorded_by=BY)
        assert reasons(as_of(connection, NOW)) == (Reason.NO_LICENCE,)


OTHER = "bcrt1qzupwzfcp7y94s42720ywl8yqj20plmfhx2nywx"


def wallet(key: str, status: WalletStatus, address: str = OTHER, valid_from: datetime = NOW) -> Wallet:
    """A payout address of the guest."""
    return Wallet(wallet=key, party="guest", address=address, status=status, valid_from=valid_from)


def paid_to(connection: Connection, at: datetime) -> str | None:
    """Key of the wallet that the guest is paid to."""
    found = as_of(connection, at).wallet_by_party.get("guest")
    return found.wallet if found else None


def test_another_payout_address_needs_time_and_a_second_person(engine: Engine) -> None:
    """The first address counts at once; another only after its proposal, from somebody else, and after a while."""
    first = wallet("guest-1", WalletStatus.APPROVED, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
    second = partial(wallet, "guest-2", WalletStatus.APPROVED)
    later = NOW + COOLING
    with engine.begin() as connection:
        fill(connection)
        append(connection, first, NOW, BY)
        for entry, by, says in (
            (second(), BY, "is proposed before it is approved"),
            (wallet("guest-1", WalletStatus.APPROVED), BY, "propose a new wallet"),
        ):
            with pytest.raises(RegisterError, match=says):
                append(connection, replace(entry, valid_from=NOW + DAY), NOW, by)
        append(connection, wallet("guest-2", WalletStatus.PROPOSED), NOW, BY)
        assert paid_to(connection, later) == "guest-1"
        with pytest.raises(RegisterError, match="somebody else must approve it"):
            append(connection, second(valid_from=later), NOW + DAY, BY)
        with pytest.raises(RegisterError, match="when the waiting time ends"):
            append(connection, second(valid_from=later - timedelta(seconds=1)), NOW + DAY, "second")
        append(connection, second(valid_from=later), NOW + DAY, "second")
        assert paid_to(connection, later - timedelta(seconds=1)) == "guest-1"
        assert paid_to(connection, later) == "guest-2"
        sooner = replace(second(valid_from=NOW + DAY), corrects=3, why="sooner")
        with pytest.raises(RegisterError, match="when the waiting time ends"):
            append(connection, sooner, NOW + DAY, "second")


def test_what_was_only_proposed_is_no_earlier_address(engine: Engine) -> None:
    """It leaves the next address the first; what was approved once does not, whatever became of it."""
    first, second = (partial(wallet, name, WalletStatus.APPROVED) for name in ("guest-1", "guest-2"))
    with engine.begin() as connection:
        fill(connection)
        append(connection, wallet("guest-1", WalletStatus.PROPOSED), NOW, BY)
        assert parties_with_address(connection, ["guest"]) == set()
        append(connection, first(valid_from=NOW + 2 * DAY), NOW, BY)
        withdraw(connection, "wallet", "guest-1", 2, why="too late", recorded_at=NOW + DAY, recorded_by=BY)
        assert parties_with_address(connection, ["guest"]) == {"guest"}
        with pytest.raises(RegisterError, match="is proposed before it is approved"):
            append(connection, second(valid_from=NOW + DAY), NOW + DAY, BY)


@pytest.mark.parametrize("how", ["it passes", "withdrawn before", "withdrawn after"])
def test_a_rejection_that_passed_makes_no_second_first_address(engine: Engine, how: str) -> None:
    """The address that the guest is paid to for weeks is its first, whatever once covered its beginning."""
    hour, later = timedelta(hours=1), NOW + 40 * DAY
    rejected = wallet("guest-1", WalletStatus.REJECTED, valid_from=NOW + hour)
    with engine.begin() as connection:
        fill(connection)
        append(connection, wallet("guest-1", WalletStatus.APPROVED, valid_from=NOW + 2 * hour), NOW, BY)
        append(connection, replace(rejected, valid_to=NOW + 3 * hour if how == "it passes" else None), NOW, BY)
        if how != "it passes":
            at = NOW + (hour if how == "withdrawn before" else DAY)
            withdraw(connection, "wallet", "guest-1", 2, why="by mistake", recorded_at=at, recorded_by=BY)
        assert paid_to(connection, later) == "guest-1"
        with pytest.raises(RegisterError, match="is proposed before it is approved"):
            append(connection, wallet("guest-2", WalletStatus.APPROVED, OTHER, valid_from=later), later, BY)


def test_a_batch_gives_no_key_to_two_parties(engine: Engine) -> None:
    """Whose address it is would depend on which is looked at first."""
    of_host = replace(wallet("shared", WalletStatus.REJECTED), party="host")
    with engine.begin() as connection:
        fill(connection)
        with pytest.raises(RegisterError, match="another party or address"):
            append_all(connection, [of_host, wallet("shared", WalletStatus.APPROVED, valid_from=NOW + DAY)], NOW, BY)


def test_two_addresses_at_once_are_not_both_the_first(engine: Engine) -> None:
    """A file with two approved addresses of one new party brings in none."""
    both = [wallet("guest-1", WalletStatus.APPROVED), wallet("guest-2", WalletStatus.APPROVED, OTHER + "x")]
    with engine.begin() as connection:
        fill(connection)
        with pytest.raises(RegisterError, match="is proposed before it is approved"):
            append_all(connection, both, NOW, BY)


def test_files_are_kept_once_and_attached_to_entries(engine: Engine) -> None:
    """A document names an entry that exists and a file that is kept, of the kind and size that it is."""
    content = b"%PDF-1.7 contract"
    with engine.begin() as connection:
        fill(connection)
        digest = documents.store(connection, content, NOW)
        assert documents.store(connection, content, NOW + DAY) == digest
        paper = Document(
            document="contract-1",
            of_register="placement",
            of_key="placement-1",
            title="Договор",
            digest=digest,
            media_type="application/pdf",
            size=len(content),
            valid_from=NOW,
        )
        for change, says in (
            ({"digest": "0" * 64}, "attach the file first"),
            ({"size": 1}, "the file kept is application/pdf of 17 bytes"),
            ({"of_key": "placement-9"}, "there is no placement placement-9"),
            ({"of_register": "nothing"}, "there is no nothing placement-1"),
        ):
            with pytest.raises(RegisterError, match=says):
                append(connection, replace(paper, **change), NOW, BY)
        append(connection, paper, NOW, BY)
        assert as_of(connection, NOW).documents_of["placement", "placement-1"][0].title == "Договор"
        assert documents.load(connection, digest) == content
        connection.execute(update(document_content).values(content=content + b" changed"))
        with pytest.raises(documents.DocumentError, match="was changed since"):
            documents.load(connection, digest)
        with pytest.raises(LookupError, match="no file"):
            documents.load(connection, "f" * 64)


@pytest.mark.parametrize("content", [b"", b"MZ\x90\0", b"%PDF-" + bytes(20 * 2**20), b"\xff\xfe\0\1"])
def test_files_that_are_not_kept(engine: Engine, content: bytes) -> None:
    """Empty, too large, or of a kind nobody can judge by looking at it."""
    with engine.begin() as connection, pytest.raises(documents.DocumentError):
        documents.store(connection, content, NOW)


def test_every_entry_is_an_event_of_the_audit_log(engine: Engine) -> None:
    """With who recorded it and a digest of what it says."""
    with engine.begin() as connection:
        fill(connection)
        events = list(connection.execute(select(audit_table).order_by(audit_table.c.sequence)))
        entry = as_of(connection, NOW).machines_by_site["guest", "site-host"][0]
    assert {row.kind for row in events} == {"register-entry"}
    assert len(events) == len(world()) + 1
    body = next(json.loads(row.body) for row in events if "equipment" in row.body)
    assert body == {"register": "equipment", "key": "SN-1", "entry": 1, "digest": content_digest(entry), "by": BY}


def test_a_column_that_came_later_leaves_earlier_digests_as_they_were() -> None:
    """The digest is that of before meters had `read_by`; what an agent reads has another."""
    before = "852529f9a7776946b85350c761a71b561b05956b9c7b5ae33e7fd486fa8094f1"
    assert content_digest(meter()) == before
    assert content_digest(replace(meter(), read_by=ReadBy.AGENT)) != before


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


def test_a_revoked_licence_is_neither_suspended_nor_issued_anew(engine: Engine) -> None:
    """It ended for good."""
    by: dict[str, Any] = {"reason": "x", "recorded_at": NOW, "recorded_by": BY}
    with engine.begin() as connection:
        fill(connection)
        revoke_licence(connection, "L-2", since=NOW, **by)
        with pytest.raises(LookupError, match="revoked already"):
            suspend_licence(connection, "L-2", since=NOW + DAY, until=NOW + 9 * DAY, **by)
        with pytest.raises(LookupError, match="revoked already"):
            reissue_licence(connection, "L-2", "L-3", since=NOW + DAY, **by)


def test_a_suspended_licence_issued_anew_keeps_suspension_and_end(engine: Engine) -> None:
    """The new one is suspended as long as the old one was, and ends when that would have ended."""
    by: dict[str, Any] = {"reason": "x", "recorded_at": NOW, "recorded_by": BY}
    with engine.begin() as connection:
        fill(connection)
        append(connection, licence("L-5", "guest", valid_to=NOW + 500 * DAY), NOW, BY)
        revoke_licence(connection, "L-2", since=NOW - DAY, **by)
        suspend_licence(connection, "L-5", since=NOW, until=NOW + 30 * DAY, **by)
        reissue_licence(connection, "L-5", "L-6", since=NOW + DAY, **by)
        registers = as_of(connection, NOW)
    assert reasons(registers, NOW + 2 * DAY) == (Reason.LICENCE_SUSPENDED,)
    assert registers.at(NOW + 2 * DAY).licences["L-6"].reason == "x"
    assert reasons(registers, NOW + 30 * DAY) == ()
    renewed = registers.at(NOW + 30 * DAY).licences["L-6"]
    assert (renewed.valid_to, renewed.replaces, renewed.reason) == (NOW + 500 * DAY, "L-5", None)
    assert reasons(registers, NOW + 500 * DAY) == (Reason.LICENCE_EXPIRED,)


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
        (party("third", account="GUEST"), "account: is written otherwise"),
        (licence("L-9", "nobody"), "party: there is no party nobody"),
        (licence("L-9", "guest", valid_to=START), "valid_to: lies before valid_from"),
        (machine("SN-9", "guest", "nowhere"), "site: there is no site nowhere"),
        (site("s", "host", "2.72.0.1/24"), "networks: .* clear the host bits"),
        (site("s", "host", "0.0.0.0/0"), "networks: .* too wide"),
        (site("s", "host", "::/32"), "networks: .* too wide"),
        (site("s", "host", "10.0.0.0/24", country="kz"), "country: expected a country code"),
        (replace(party("third"), name_ru="=1+1"), "name_ru: begins with ="),
        (replace(meter(), port=0), "port: expected a number from 1"),
        (party("guest", "180540000002"), "corrects: entry 2 of guest begins at the same instant"),
        (party("guest", "180540000002", corrects=2), "why: is empty"),
        (party("guest", "180540000002", corrects=1, why="x"), "corrects: party guest has no entry 1"),
        (party("guest", "180540000002", valid_to=START), "valid_to: lies before valid_from"),
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
