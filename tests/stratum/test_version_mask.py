"""A mask that loses bits to the jobs and gets them back: work of each time is judged as it was sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tarazy.stratum.job import Job
from tarazy.stratum.share import Verdict
from tests.stratum.house import MASK, NEVER, Client, Pool

LOGIN = "acme.rig07"
BIT = 0x2000


def publish(pool: Pool, mask: int, *, required: int = 0, target: int = NEVER) -> Job:
    """A job with these bits; the mask loses bits before it and gets others back behind it."""

    def follow(mask: int) -> None:
        pool.board.follow(replace(pool.board.rules, version_mask=mask))
        for client in pool.clients:
            client.session.mask_changed()

    job = pool.make_job(target=target)
    job = replace(job, version=job.version | required)
    follow(mask & pool.board.rules.version_mask)
    pool.board.publish(job, pool.now)
    for client in pool.clients:
        client.session.send_job(pool.now)
    follow(mask)
    return job


@pytest.fixture
def rolling() -> Client:
    """A ready connection that rolls."""
    return Pool().connect(LOGIN, rolling=True)


def announced(client: Client) -> list[object]:
    """What a client hears: masks, and the versions of jobs."""
    masks = {"mining.set_version_mask": 0, "mining.notify": 5}
    return [message["params"][masks[message["method"]]] for message in client.hear()]


def test_the_mask_is_narrowed_before_the_job_and_comes_back_behind_one_that_fits(rolling: Client) -> None:
    """C-099, C-074: in one piece with jobs, each once."""
    pool = rolling.pool
    publish(pool, MASK & ~BIT, required=BIT)
    assert announced(rolling) == ["1fffc000", "20002000"]
    publish(pool, MASK & ~BIT, required=BIT)
    assert announced(rolling) == ["20002000"]
    publish(pool, MASK)
    assert announced(rolling) == ["20000000"]
    publish(pool, MASK)
    assert announced(rolling) == ["1fffe000", "20000000"]


def test_work_of_each_time_is_judged_as_it_was_sent(rolling: Client) -> None:
    """C-073, C-099: before, under and after the requirement; a job that had the bit keeps it when all may roll it."""
    pool = rolling.pool
    before = rolling.job
    publish(pool, MASK & ~BIT, required=BIT)
    rolling.hear()
    under = rolling.job
    assert rolling.submit(rolling.solve(job=before, bits=BIT)) is True
    assert rolling.submit(rolling.solve(bits=0x4000)) is True
    for _ in range(2):
        publish(pool, MASK)
    rolling.hear()
    assert rolling.submit(rolling.solve(bits=BIT)) is True
    for number, bits in enumerate((0, 0x4000), 2):
        assert rolling.submit(rolling.solve(job=under, bits=bits, extranonce2=number)) is True
    versions = [share.version for share in pool.journal.shares]
    assert versions == [0x20002000, 0x20006000, 0x20002000, 0x20002000, 0x20006000]
    assert {share.verdict for share in pool.journal.shares} == {Verdict.ACCEPTED}


def test_a_block_on_a_job_with_the_bit_is_found_after_the_mask_has_it_again(rolling: Client) -> None:
    """C-113, C-099: its header is the one that was mined."""
    pool = rolling.pool
    publish(pool, MASK & ~BIT, required=BIT, target=2**256 - 1)
    rolling.hear()
    under = rolling.job
    for _ in range(2):
        publish(pool, MASK)
    rolling.hear()
    assert rolling.submit(rolling.solve(job=under)) is True
    (_, header, _, _), _ = pool.blocks.events
    assert header[:4] == (0x20002000).to_bytes(4, "little")


def test_no_bit_left_to_roll(rolling: Client) -> None:
    """C-099: all of the mask may be required; who comes then is refused rolling (C-067)."""
    pool = rolling.pool
    publish(pool, 0, required=MASK)
    assert announced(rolling) == ["00000000", "3fffe000"]
    assert rolling.submit(rolling.solve()) is True
    late = pool.connect()
    assert late.ask("mining.configure", [["version-rolling"], {}]) == {"version-rolling": False}
