"""The file one process leaves to the next: templates with each transaction once, and what the journal adds."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tarazy.accounting.journal_file import SHARE, Batch, JournalFile
from tarazy.pool import handover
from tarazy.pool.chain.interface import Template, TemplateTransaction
from tarazy.pool.handover import Left, load, save, session_secret
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import ShareRecord, Verdict
from tests.pool.mining import job_of
from tests.pool.test_templates import TEMPLATE, Followed, after

EXTRANONCE1 = b"\x01\x00\x00\x05"


def transaction(number: int, size: int = 1_000) -> TemplateTransaction:
    """A transaction unlike any other."""
    return TemplateTransaction(number.to_bytes(4, "big") * (size // 4), number.to_bytes(32, "big"), 100 + number)


def template(*transactions: TemplateTransaction) -> Template:
    """A template with these transactions."""
    return replace(TEMPLATE, transactions=transactions)


class Desk:
    """A journal, and the file beside it."""

    def __init__(self, directory: Path) -> None:
        self.path, self.journal = directory / "handover", directory / "journal.sqlite"
        self.file = JournalFile(self.journal, 1)
        self.sequence = 0

    def write(self, *shares: ShareRecord, jobs: list[Job] | None = None, names: int = 0) -> None:
        """One commit."""
        record = NameRecord(5, EXTRANONCE1, "acme", "rig", "acme", "site", 0)
        numbered = [(number, record) for number in range(1, names + 1)]
        self.file.write(Batch(self.sequence + 1, [SHARE.pack(*share) for share in shares], numbered, jobs or []))
        self.sequence += len(shares)

    def load(self) -> Left:
        """What the file and the journal say."""
        left = load(self.path, self.journal, 1)
        assert left is not None
        return left


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty one."""
    return Desk(tmp_path)


def connections(*jobs: Job) -> dict[str, Any]:
    """As the wire packs them, with nobody connected."""
    return {"jobs": [[job.number, time.time() + 600] for job in jobs], "connections": []}


def test_templates_come_back_whole_and_share_their_transactions(desk: Desk) -> None:
    """Every field as it was, in order; a transaction in several templates is in the file once."""
    parts = [transaction(number, 100_000) for number in range(4)]
    newer, older = template(*parts), template(*parts[:3])
    jobs = [job_of(newer, number=2**63 + 2), job_of(older, number=2**63 + 1)]
    desk.write(jobs=jobs)
    save(desk.path, connections(), [(jobs[0], newer), (jobs[1], older)])
    assert desk.load().kept == [(jobs[0], newer), (jobs[1], older)]
    assert desk.path.stat().st_size < 410_000


def test_a_transaction_with_another_witness_is_another(desk: Desk) -> None:
    """The same txid may come with other data; a block needs the one its commitment was made of."""
    one = transaction(1)
    other = replace(one, data=b"\x07" * 900)
    kept = [(job_of(template(each), number=number), template(each)) for number, each in enumerate((one, other), 1)]
    desk.write(jobs=[job for job, _ in kept])
    save(desk.path, connections(), kept)
    assert desk.load().kept == kept


def test_the_file_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-053: the newest templates, up to so many bytes of transactions."""
    monkeypatch.setattr(handover, "TRANSACTION_BYTES", 2_500)
    kept = [(job_of(template(transaction(n)), number=n), template(transaction(n))) for n in (5, 4, 3, 2, 1)]
    desk.write(jobs=[job for job, _ in kept])
    save(desk.path, connections(), kept)
    assert desk.load().kept == kept[:2]


def test_without_its_job_a_template_is_of_no_use(desk: Desk) -> None:
    """The journal may have failed at the end."""
    made = template(transaction(1))
    save(desk.path, connections(job_of(made, number=3)), [(job_of(made, number=3), made)])
    left = desk.load()
    assert (left.jobs, left.kept, left.judged) == ({}, [], {})


def test_judged_shares_are_read_from_the_journal(desk: Desk) -> None:
    """C-090: those accepted and those recorded as stale, whatever name they came under; others may still come."""
    job, other = job_of(TEMPLATE, number=7), job_of(TEMPLATE, number=8)
    now_us = time.time_ns() // 1000
    share = ShareRecord(now_us, 1, 7, b"\x01" * 8, 11, 12, job.version | 0x2000, -32, int(Verdict.ACCEPTED))
    desk.write(
        share,
        share._replace(name=2, nonce=13, version=job.version, verdict=int(Verdict.STALE)),
        share._replace(nonce=14, verdict=int(Verdict.LOW_DIFFICULTY)),
        share._replace(job=9, nonce=15),
        share._replace(job=8, nonce=16),
        jobs=[job, other],
        names=2,
    )
    save(desk.path, connections(job, other), [])
    head = b"\x01" * 8 + (11).to_bytes(4, "big")
    assert desk.load().judged == {
        (EXTRANONCE1, 7): {
            head + (12).to_bytes(4, "big") + (0x2000).to_bytes(4, "big"),
            head + (13).to_bytes(4, "big") + bytes(4),
        },
        (EXTRANONCE1, 8): {head + (16).to_bytes(4, "big") + (0x2000).to_bytes(4, "big")},
    }


def test_the_search_goes_back_as_far_as_the_jobs(desk: Desk) -> None:
    """C-090: over commits of other jobs, and over a clock that was set; it ends before it reads all that ever was."""
    job = job_of(TEMPLATE, number=7)
    now_us = time.time_ns() // 1000
    share = ShareRecord(now_us, 1, 7, bytes(8), 1, 1, job.version, -32, 0)
    hour = 3_600_000_000
    desk.write(share._replace(nonce=1, at_us=now_us - 2 * hour), jobs=[job], names=1)
    desk.write(share._replace(nonce=2, at_us=now_us - 2 * hour, job=1))
    desk.write(share._replace(nonce=3, at_us=now_us - hour))  # before the clock was put forward
    desk.write(share._replace(nonce=4, job=2))
    desk.write(share._replace(nonce=5))
    save(desk.path, connections(job), [])
    (judged,) = desk.load().judged.values()
    assert {int.from_bytes(fields[12:16], "big") for fields in judged} == {3, 5}


def test_nothing_left_and_something_damaged(desk: Desk) -> None:
    """None where there is no file; an error where it is cut."""
    assert load(desk.path, desk.journal, 1) is None
    desk.write(jobs=[job_of(template(transaction(1)))])
    save(desk.path, connections(), [(job_of(template(transaction(1))), template(transaction(1)))])
    whole = desk.path.read_bytes()
    for size in (0, 7, 8, 100, len(whole) - 1):
        desk.path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"Expecting value|Unterminated|bytes"):
            load(desk.path, desk.journal, 1)


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    """And anew where it is no secret; nobody else may read it."""
    path = tmp_path / "secret"
    secret = session_secret(path)
    assert len(secret) == 32
    assert session_secret(path) == secret
    assert os.stat(path).st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    assert len(session_secret(path)) == 32
    assert session_secret(path) != secret


def test_the_follower_goes_on_on_the_same_block() -> None:
    """C-045: what it takes over stands behind old jobs, and a first template on the same block is not clean."""
    before = Followed()
    for number, made in enumerate((after(TEMPLATE, 1), TEMPLATE, template(transaction(1)))):
        if number:
            before.follower.wake()
        before.answer(made)
    kept = before.follower.kept()
    assert [made for _, made in kept] == [template(transaction(1)), TEMPLATE]
    following = Followed()
    following.follower.take_over(kept)
    following.answer(template(transaction(2)))
    assert following.jobs[0].clean is False
    assert following.follower.template_behind(before.jobs[1]) == TEMPLATE
    assert following.follower.template_behind(before.jobs[2]) == template(transaction(1))
    assert following.follower.template_behind(before.jobs[0]) is None
    assert following.follower.kept()[1:] == kept
    for each in (before, following):
        each.follower.stop()


def test_a_changed_mask_brings_a_job_at_once() -> None:
    """C-069: the next job has no bit inside the new mask, and those outside as the template has them."""
    followed = Followed()
    followed.answer(TEMPLATE)
    followed.follower.follow(0x0000F000, 30.0)
    assert len(followed.chain.asked) == 2
    followed.answer(replace(TEMPLATE, version=0x20002000))
    followed.follower.follow(0x0000E000, 30.0)
    followed.answer(replace(TEMPLATE, version=0x20001000))
    assert [job.version for job in followed.jobs] == [TEMPLATE.version, 0x20000000, 0x20001000]
    followed.follower.stop()
