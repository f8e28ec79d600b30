"""The judge: the worked share, a recorded conversation with another pool, and the order of its questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tarazy.stratum.codec import encode_set_difficulty
from tarazy.stratum.difficulty import exponent_of, target_of
from tarazy.stratum.job import Job
from tarazy.stratum.miner import MinerJob, target_of_announced
from tarazy.stratum.share import Verdict, Work, hash_value, header_of, judge

RECORDING = Path(__file__).parent.parent / "fixtures" / "stratum" / "cpuminer-against-ckpool.jsonl"

WORKED_NOTIFY = (
    b'{"id":null,"method":"mining.notify","params":["66a1b2c300000001",'
    b'"d6f81a2c5e7092b4e6081a3c6e80a2c4e7092a4c0001b3d50000000000000000",'
    b'"0200000001000000000000000000000000000000000000000000000000000000'
    b'0000000000ffffffff180340420f062f706f6f6c2f0c",'
    b'"feffffff02a735b31200000000160014751e76e8199196d454941c45d1b3a323f1433bd60000000000000000'
    b"266a24aa21a9eda02f49308a2fcf65a048439dbc1bd8101e06b8a6f241ebe2906980074d29fb663f420f00"
    b'",["089583d7b23f6383387cbb417682b38ad3f9d91d1cfba7fd786f87b3465fd72e",'
    b'"2780414235df2730261420a520a3e96989ed590c9db12f94b7344b546c1c69d7"],'
    b'"20000000","17021a42","6b49d200",true]}\n'
)
WORKED_FIELDS = bytes.fromhex("00000000000000076b49d20300287f4000006000")
WORKED_HEADER = bytes.fromhex(
    "006000202c1af8d6b492705e3c1a08e6c4a2806e4c2a09e7d5b30100000000000000000086c45a2e4944dc53de9602e6852633d6"
    "32f6a99abfdf351909950ffc49f9749103d2496b421a0217407f2800"
)
WORKED_HASH = 0x000000F8E63969D33FE9ECFCD8123B8C7A906A85577A15CB42EC40B50E3E57E2
EXTRANONCE1 = bytes.fromhex("a1000001")
MASK = 0x1FFFE000
AT_US = 0x6B49D203 * 1_000_000


def foreign_work(job: MinerJob, exponent: int, target: int | None = None) -> Work:
    """Work of another pool: its coinbase has no byte for our exponent."""
    ours = Job(
        number=int(job.job_id, 16),
        height=0,
        previous_block_hash=job.previous_block_hash,
        version=job.version,
        nbits=job.nbits,
        target=0,
        ntime=job.ntime,
        mintime=job.ntime,
        coinbase_head=b"",
        coinbase_tail=b"",
        coinbase_end=job.coinb2,
        branch=job.branch,
        clean=job.clean,
    )
    return Work(ours, exponent, coinb1=job.coinb1, target=target)


@pytest.fixture
def worked() -> Work:
    """The job of the worked share."""
    return foreign_work(MinerJob.of(json.loads(WORKED_NOTIFY)["params"]), -10)


def flipped(data: bytes) -> Iterator[bytes]:
    """`data` with each of its bits changed in turn."""
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        yield bytes(changed)


def test_worked_share_bit_for_bit(worked: Work) -> None:
    """C-075: notification, header, hash and verdict of the reference's worked share."""
    assert encode_set_difficulty(-10) == (b'{"id":null,"method":"mining.set_difficulty","params":[0.0009765625]}\n')
    assert worked.notify[1] == WORKED_NOTIFY
    record, header, found, keep = judge(worked, EXTRANONCE1, WORKED_FIELDS, MASK, set(), 1, AT_US)
    assert header == WORKED_HEADER
    assert hash_value(header) == WORKED_HASH
    assert (record.verdict, record.exponent, found, keep) == (Verdict.ACCEPTED, -10, False, True)
    assert (record.version, record.ntime, record.nonce) == (0x20006000, 0x6B49D203, 0x00287F40)


def test_worked_share_changed_by_any_bit_is_refused(worked: Work) -> None:
    """C-075: each single bit of proof or extranonce1 changed is no share."""
    for fields in flipped(WORKED_FIELDS):
        record, *_ = judge(worked, EXTRANONCE1, fields, MASK, set(), 1, AT_US)
        assert record.verdict not in (Verdict.ACCEPTED, Verdict.DUPLICATE)
    for extranonce1 in flipped(EXTRANONCE1):
        record, *_ = judge(worked, extranonce1, WORKED_FIELDS, MASK, set(), 1, AT_US)
        assert record.verdict == Verdict.LOW_DIFFICULTY


def test_hash_on_the_target_is_a_share(worked: Work) -> None:
    """C-056: a hash equal to the target is accepted, one above is not."""
    for target, verdict in ((WORKED_HASH, Verdict.ACCEPTED), (WORKED_HASH - 1, Verdict.LOW_DIFFICULTY)):
        work = Work(worked.job, -10, coinb1=worked.coinb1, target=target)
        assert judge(work, EXTRANONCE1, WORKED_FIELDS, MASK, set(), 1, AT_US)[0].verdict == verdict


def test_hash_on_the_block_target_is_a_block(worked: Work) -> None:
    """C-056: the same for blocks."""
    for target, expected in ((WORKED_HASH, True), (WORKED_HASH - 1, False)):
        work = Work(replace(worked.job, target=target), -10, coinb1=worked.coinb1)
        assert judge(work, EXTRANONCE1, WORKED_FIELDS, MASK, set(), 1, AT_US)[2] is expected


def recorded_shares() -> list[tuple[MinerJob, float, bytes, bytes]]:
    """Job, announced difficulty, extranonce1 and fields of every share the other pool accepted."""
    shares = []
    jobs: dict[str, tuple[MinerJob, float]] = {}
    difficulty, extranonce1, pending = 0.0, b"", None
    for line in RECORDING.read_text().splitlines():
        entry = json.loads(line)
        message: dict[str, Any] = json.loads(entry["line"])
        method: object = message.get("method")
        params: Any = message.get("params")
        if method == "mining.set_difficulty":
            difficulty = params[0]
        elif method == "mining.notify":
            job = MinerJob.of(params)
            jobs[job.job_id] = (job, difficulty)
        elif method == "mining.submit":
            pending = params
        elif message.get("id") == 1 and entry["from"] == "pool":
            extranonce1 = bytes.fromhex(message["result"][1])
        elif message.get("id") == 4 and message["result"] is True:
            assert pending is not None
            shares.append((*jobs[pending[1]], extranonce1, bytes.fromhex("".join(pending[2:5]) + "00000000")))
    return shares


def test_recorded_shares_are_accepted_and_changed_ones_are_not() -> None:
    """Each share another pool accepted is one for us, by the power of two below its difficulty and by its exact target.

    Changed in any bit it is none.
    """
    shares = recorded_shares()
    assert len(shares) > 100
    assert sorted({len(job.branch) for job, *_ in shares}) == [0, 9]
    for job, difficulty, extranonce1, fields in shares:
        assert difficulty == 0.0005
        exponent = exponent_of(difficulty)
        assert 2.0**exponent <= difficulty < 2.0 ** (exponent + 1), "0.0005 rounds down to 2^-11"
        exact = target_of_announced(difficulty)
        assert target_of(exponent) > exact
        at_us = (job.ntime + 60) * 1_000_000
        for target in (None, exact):
            work = foreign_work(job, exponent, target)
            assert judge(work, extranonce1, fields, 0, set(), 1, at_us)[0].verdict == Verdict.ACCEPTED
            for changed in list(flipped(fields))[:128:16] + list(flipped(fields))[64:128:8]:
                record, *_ = judge(work, extranonce1, changed, 0, set(), 1, at_us)
                assert record.verdict != Verdict.ACCEPTED


def test_exact_target_of_an_announced_difficulty() -> None:
    """0.0005 is no power of two: its target is T1 / 0.0005 as an integer, from the float's exact value."""
    numerator, denominator = (0.0005).as_integer_ratio()
    target = target_of_announced(0.0005)
    assert target * numerator <= (0xFFFF << 208) * denominator < (target + 1) * numerator
    assert all(target_of_announced(2.0**e) == target_of(e) for e in range(-31, 65))


# The order of the questions: two faults each, the earlier one is named.

LATE = AT_US + 10**9
FAR = WORKED_FIELDS[:8] + (0x6B49D200 + 7001).to_bytes(4, "big") + WORKED_FIELDS[12:]
EARLY = WORKED_FIELDS[:8] + (0x6B49D200 - 1).to_bytes(4, "big") + WORKED_FIELDS[12:]
FOREIGN_BITS = WORKED_FIELDS[:16] + bytes.fromhex("80000000")


@pytest.mark.parametrize(
    ("fields", "stale", "fault", "verdict"),
    [
        (FOREIGN_BITS, True, Verdict.UNAUTHORIZED, Verdict.UNAUTHORIZED),
        (FOREIGN_BITS, True, None, Verdict.BAD_VERSION),
        (EARLY, True, None, Verdict.STALE),
        (EARLY, False, None, Verdict.TIME_TOO_OLD),
        (FAR, False, None, Verdict.TIME_TOO_NEW),
        (WORKED_FIELDS[:15] + b"\x41" + WORKED_FIELDS[16:], False, None, Verdict.LOW_DIFFICULTY),
    ],
)
def test_order_of_faults(worked: Work, fields: bytes, stale: bool, fault: Verdict | None, verdict: Verdict) -> None:
    """C-076: name, version, stale, time, difficulty, duplicate; each of these shares also misses the target."""
    record, _, found, keep = judge(worked, EXTRANONCE1, fields, MASK, {fields}, 1, LATE, stale, fault)
    assert (record.verdict, found, keep) == (verdict, False, False)


def test_block_is_seen_behind_every_fault(worked: Work) -> None:
    """C-082, C-113: whatever else is wrong, a hash that solves a block is reported, once, and recorded."""
    work = Work(replace(worked.job, target=WORKED_HASH), 20, coinb1=worked.coinb1)
    seen: set[bytes] = set()
    record, _, found, keep = judge(work, EXTRANONCE1, WORKED_FIELDS, MASK, seen, 1, AT_US)
    assert (record.verdict, found, keep) == (Verdict.LOW_DIFFICULTY, True, True)
    for stale, fault, mask in ((True, None, MASK), (False, Verdict.UNAUTHORIZED, MASK), (False, None, 0)):
        # Without the mask the bits stand as sent: the header, and so the block, is the same.
        record, _, found, keep = judge(work, EXTRANONCE1, WORKED_FIELDS, mask, set(), 1, AT_US, stale, fault)
        assert record.verdict in (Verdict.STALE, Verdict.UNAUTHORIZED, Verdict.BAD_VERSION)
        assert (found, keep) == (True, True)
    assert judge(work, EXTRANONCE1, WORKED_FIELDS, MASK, seen, 1, AT_US)[2:] == (False, False)


@pytest.mark.parametrize(
    ("ntime", "at", "verdict"),
    [
        (0x6B49D200 - 100, 0x6B49D200, Verdict.LOW_DIFFICULTY),
        (0x6B49D200 - 101, 0x6B49D200, Verdict.TIME_TOO_OLD),
        (0x6B49D200 + 7000, 0x6B49D200, Verdict.LOW_DIFFICULTY),
        (0x6B49D200 + 7001, 0x6B49D200, Verdict.TIME_TOO_NEW),
        (0x6B49D200 + 6200, 0x6B49D200 - 1000, Verdict.LOW_DIFFICULTY),
        (0x6B49D200 + 6201, 0x6B49D200 - 1000, Verdict.TIME_TOO_NEW),
    ],
)
def test_ntime_bounds(worked: Work, ntime: int, at: int, verdict: Verdict) -> None:
    """C-077: from mintime to min(job + 7000, now + 7200), each bound included."""
    work = Work(replace(worked.job, mintime=0x6B49D200 - 100), 60, coinb1=worked.coinb1)
    fields = WORKED_FIELDS[:8] + ntime.to_bytes(4, "big") + WORKED_FIELDS[12:]
    assert judge(work, EXTRANONCE1, fields, MASK, set(), 1, at * 1_000_000)[0].verdict == verdict


def test_rejected_share_does_not_poison_a_later_one(worked: Work) -> None:
    """C-087: only an accepted or a stale share counts as seen."""
    seen: set[bytes] = set()
    for fault in (Verdict.UNAUTHORIZED, None):
        record, *_ = judge(worked, EXTRANONCE1, WORKED_FIELDS, MASK, seen, 1, AT_US, fault=fault)
    assert record.verdict == Verdict.ACCEPTED
    assert judge(worked, EXTRANONCE1, WORKED_FIELDS, MASK, seen, 1, AT_US)[0].verdict == Verdict.DUPLICATE


def test_junk_does_not_grow_the_table(worked: Work) -> None:
    """C-088: below the target nothing is remembered, stale or not."""
    seen: set[bytes] = set()
    for nonce in range(200):
        fields = WORKED_FIELDS[:12] + nonce.to_bytes(4, "big") + WORKED_FIELDS[16:]
        *_, keep = judge(worked, EXTRANONCE1, fields, MASK, seen, 1, AT_US, stale=nonce % 2 == 0)
        assert not keep
    assert not seen


def test_stale_share_is_kept_once(worked: Work) -> None:
    """C-048: real work that came too late is recorded, without credit, and not twice."""
    seen: set[bytes] = set()
    verdicts = [judge(worked, EXTRANONCE1, WORKED_FIELDS, MASK, seen, 1, AT_US, stale=True) for _ in range(2)]
    assert [(record.verdict, keep) for record, _, _, keep in verdicts] == [(1, True), (1, False)]


def test_header_is_the_textbook_one(worked: Work) -> None:
    """The pure helper builds the same header from its parts."""
    job = worked.job
    coinbase = worked.coinb1 + EXTRANONCE1 + WORKED_FIELDS[:8] + job.coinbase_end
    parts = (coinbase, job.branch, 0x20006000, job.previous_block_hash, 0x6B49D203, job.nbits, 0x00287F40)
    assert header_of(*parts) == WORKED_HEADER
