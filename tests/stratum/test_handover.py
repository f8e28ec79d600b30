"""What one process leaves to the next: a second board goes on where the first one ended."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from typing import Any

import pytest

from tarazy.stratum import handover
from tests.stratum.house import EASY, NOW, Pool
from tests.stratum.test_resume import LOGIN, OTHER_BLOCK, Returning, arrive

BLOCK = b"\x11" * 32


def journalled(pool: Pool) -> dict[tuple[bytes, int], set[bytes]]:
    """The shares in a pool's journal, by extranonce1 and job."""
    jobs = {job.number: job for job in pool.journal.jobs}
    judged: defaultdict[tuple[bytes, int], set[bytes]] = defaultdict(set)
    for share in pool.journal.shares:
        if share.verdict in handover.REMEMBERED:
            tail = share.extranonce2 + struct.pack(">III", share.ntime, share.nonce, share.version)
            key = pool.journal.names[share.name - 1].extranonce1, share.job
            judged[key] |= handover.fields_of([tail], jobs[share.job])
    return judged


def leave(pool: Pool) -> Any:
    """All connections end; what is left, after a way through JSON."""
    for client in pool.clients:
        client.session.close(pool.now)
    return json.loads(json.dumps(handover.pack(pool.board, pool.now)))


def restarted(pool: Pool, plain: Any, pause: float = 3.0, block: bytes = BLOCK) -> Pool:
    """The next process, whose own clock began anew, with its first job."""
    unix_now = pool.now + pool.board.utc_offset + pause
    following = Pool(work=False, start=int(unix_now))
    following.now = 5.0
    following.board.utc_offset = unix_now - following.now
    following.board.extranonces.secret = pool.board.extranonces.secret
    following.journal.connections = 1_000
    jobs = {job.number: job for job in pool.journal.jobs}
    wanted = {number: jobs[number] for number in handover.job_numbers(plain)}
    handover.unpack(following.board, plain, wanted, journalled(pool), following.now)
    job = following.make_job(block)
    following.board.publish(job, following.now)
    return following


def test_a_restart_is_like_a_short_break() -> None:
    """C-091, C-090, C-094: same extranonce1, old jobs credited at their difficulty, what was credited is 22."""
    pool = Pool()
    client = arrive(pool)
    old, first, second = client.job, client.solve(), client.solve(extranonce2=1)
    assert client.submit(first) is True
    client.ask("mining.suggest_difficulty", [2.0**-20])
    pool.publish()
    client.hear()
    following = restarted(pool, leave(pool))
    again = arrive(following, client.session_id)
    assert again.session.extranonce1 == client.session.extranonce1
    assert again.submit(first) == [22, "duplicate", None]
    assert again.submit(second) is True
    assert again.submit(second)[0] == 22
    assert following.journal.shares[-1].exponent == EASY
    assert following.journal.shares[-1].job == int(second[0], 16)
    assert again.job is not None
    assert old is not None
    assert again.job.clean, "the first of a connection"
    assert again.submit(again.solve(job=old, extranonce2=2)) is True


def test_rolled_shares_are_remembered_too() -> None:
    """C-090, C-086: the version belongs to the key, as the journal has it."""
    pool = Pool()
    client = arrive(pool, rolling=True)
    proof, other = client.solve(bits=0x00ABC000), client.solve(bits=0x2000)
    assert client.submit(proof) is True
    again = arrive(restarted(pool, leave(pool)), client.session_id, rolling=True)
    assert again.submit(proof)[0] == 22
    assert again.submit(other) is True


def test_closed_connections_are_handed_over_as_well() -> None:
    """C-091: with the rest of their 600 s."""
    pool = Pool()
    client, gone = arrive(pool), arrive(pool)
    gone.hang_up()
    pool.now += 400
    plain = leave(pool)
    for pause, kept in ((3, True), (201, False)):
        following = restarted(pool, plain, pause=pause)
        assert arrive(following, client.session_id).session.extranonce1 == client.session.extranonce1
        same = arrive(following, gone.session_id).session.extranonce1 == gone.session.extranonce1
        assert same is kept


def test_a_block_during_the_restart_makes_old_jobs_stale() -> None:
    """C-048: as it would have without the restart."""
    pool = Pool()
    client = arrive(pool)
    proof = client.solve()
    again = arrive(restarted(pool, leave(pool), block=OTHER_BLOCK), client.session_id)
    assert again.submit(proof) == [21, "stale", None]


def test_old_jobs_age_through_the_restart() -> None:
    """C-047: ten minutes are ten minutes."""
    pool = Pool()
    client = arrive(pool)
    first, proof = client.solve(), client.solve(extranonce2=1)
    pool.now += 500
    following = restarted(pool, leave(pool), pause=90)
    again = arrive(following, client.session_id)
    assert again.submit(first) is True
    following.now += 11
    assert again.submit(proof) == [21, "stale", None]


def test_only_work_on_the_present_block_is_handed_over() -> None:
    """What is stale already is left behind; its extranonce1 still comes back."""
    pool = Pool()
    client = arrive(pool)
    proof = client.solve()
    client.pool.publish(OTHER_BLOCK)
    client.session.output()
    plain = leave(pool)
    assert [number for number, _ in plain["jobs"]] == [pool.journal.jobs[-1].number]
    again = arrive(restarted(pool, plain, block=OTHER_BLOCK), client.session_id)
    assert again.session.extranonce1 == client.session.extranonce1
    assert again.submit(proof) == [21, "unknown-job", None]


def test_a_job_that_the_journal_does_not_have_is_unknown() -> None:
    """Nothing is judged by halves."""
    pool = Pool()
    client = arrive(pool)
    proof, plain = client.solve(), leave(pool)
    following = Pool(work=False)
    following.board.extranonces.secret = pool.board.extranonces.secret
    assert handover.unpack(following.board, plain, {}, {}, following.now) == 1
    following.numbers()
    following.publish()
    again = arrive(following, client.session_id)
    assert again.session.extranonce1 == client.session.extranonce1
    assert again.submit(proof) == [21, "unknown-job", None]


def test_two_restarts_in_a_row() -> None:
    """C-094: who has not come back yet is handed over again, with all that was judged since."""
    pool = Pool()
    client, absent = arrive(pool), arrive(pool, login="acme.rig08")
    proof, other = client.solve(), absent.solve()
    second = restarted(pool, leave(pool))
    again = arrive(second, client.session_id)
    assert again.submit(proof) is True
    plain = leave(second)
    second.journal.jobs += pool.journal.jobs
    third = restarted(second, plain)
    assert arrive(third, client.session_id).submit(proof) == [22, "duplicate", None]
    assert arrive(third, absent.session_id, login="acme.rig08").submit(other, "acme.rig08") is True


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        ({"layout": 99}, ValueError),
        ({"jobs": None}, TypeError),
        ({"jobs": [[1]]}, ValueError),
        ({"previous_block_hash": "zz"}, ValueError),
        ({"connections": [["zz", 0, []]]}, ValueError),
        ({"connections": [[1, 2, 3]]}, TypeError),
        ({"connections": 5}, TypeError),
    ],
)
def test_what_is_damaged_changes_nothing(damage: dict[str, Any], error: type[Exception]) -> None:
    """It is refused as a whole."""
    pool = Pool()
    arrive(pool)
    plain = {**leave(pool), **damage}
    following = Pool(work=False)
    with pytest.raises(error):
        handover.unpack(following.board, plain, {}, {}, following.now)
    assert list(following.board.extranonces.parked()) == []
    assert following.board.generation == 0


def test_an_empty_pool_leaves_nothing() -> None:
    """Stopped before its first job."""
    plain = leave(Pool(work=False))
    assert handover.unpack(Pool(work=False).board, plain, {}, {}, NOW) == 0


def test_clients_of_the_tests_resume_by_their_own_id() -> None:
    """C-091: the id alone decides, not the login."""
    pool = Pool()
    client = arrive(pool)
    again = arrive(restarted(pool, leave(pool)), client.session_id, login="beta.rig")
    assert isinstance(again, Returning)
    assert again.session.extranonce1 == client.session.extranonce1
    assert again.submit(again.solve(), LOGIN)[0] == 24
