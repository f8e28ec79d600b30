"""Shares through a connection: verdicts, credit, durability, blocks, jobs, difficulty, version rolling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from tarazy.stratum.difficulty import target_of, weight_of
from tarazy.stratum.miner import MinerJob
from tarazy.stratum.share import Verdict, Work
from tests.stratum.house import EASY, MASK, NEVER, NOW, RULES, Client, Pool
from tests.stratum.test_share import WORKED_NOTIFY, foreign_work

OTHER_BLOCK = b"\x22" * 32
THIRD_BLOCK = b"\x33" * 32


@pytest.fixture
def client() -> Client:
    """A ready connection of acme.rig07 without version rolling."""
    return Pool().connect("acme.rig07")


def test_worked_share_through_a_connection() -> None:
    """C-075: the reference's lines, byte for byte, out of a session, and its share accepted."""
    pool = Pool(replace(RULES, gateway=0xA1, start=-10), work=False)
    pool.now = float(0x6B49D203)
    worked = MinerJob.of(orjson.loads(WORKED_NOTIFY)["params"])
    foreign = foreign_work(worked, -10)
    pool.board.publish(replace(foreign.job, target=NEVER, mintime=worked.ntime - 600), pool.now)
    # Its coinbase has no byte for our exponent, so the work cannot be derived from the job.
    pool.board._works[-10] = Work(pool.journal.jobs[0], -10, generation=1, coinb1=worked.coinb1)
    client = Client(pool)
    client.ask("mining.configure", [["version-rolling"], {}])
    assert client.ask("mining.subscribe", ["x"])[1:] == ["a1000001", 8]
    client.send(b'{"id":2,"method":"mining.authorize","params":["acme.rig07"]}\n')
    assert client.session.output().split(b"\n")[1:] == [
        b'{"id":null,"method":"mining.set_difficulty","params":[0.0009765625]}',
        *WORKED_NOTIFY.split(b"\n"),
    ]
    client.send(
        b'{"id":4,"method":"mining.submit","params":["acme.rig07","66a1b2c300000001",'
        b'"0000000000000007","6b49d203","00287f40","00006000"]}\n'
    )
    assert client.session.output() == b'{"id":4,"result":true,"error":null}\n'
    (record,) = pool.journal.shares
    assert (record.exponent, record.version, record.extranonce2) == (-10, 0x20006000, bytes(7) + b"\x07")


def test_accepted_share_is_recorded_with_what_it_takes_to_judge_it_again(client: Client) -> None:
    """C-055: the record holds the credit and every number of the header."""
    proof = client.solve(extranonce2=0xABCDEF)
    assert client.submit(proof) is True
    (record,) = client.pool.journal.shares
    assert record == (
        int(NOW * 1_000_000),
        1,
        client.pool.journal.jobs[0].number,
        bytes.fromhex(proof[1]),
        int(proof[2], 16),
        int(proof[3], 16),
        0x20000000,
        EASY,
        0,
    )
    counters = client.pool.board.counters
    assert (counters.accepted, counters.weight["accepted"]) == (1, weight_of(EASY))


def test_duplicates_by_value(client: Client) -> None:
    """C-078, C-084, C-085: upper case is the same number, so the second is 22."""
    proof = client.solve(extranonce2=0xABCDEF)
    upper = [part.upper() for part in proof]
    assert client.submit(upper) is True
    assert client.submit(proof) == [22, "duplicate", None]
    assert client.pool.board.counters.rejected["duplicate"] == 1
    assert len(client.pool.journal.shares) == 1


def test_same_proof_on_another_connection_is_other_work(client: Client) -> None:
    """Connections have their own extranonce1: a copied proof misses the target."""
    copied = client.pool.connect("acme.rig08")
    proof = client.solve(lambda value: value <= target_of(EASY))
    assert client.submit(proof) is True
    assert copied.submit(proof, "acme.rig08")[0] == 23


@pytest.mark.parametrize("extranonce2", [0, 1, 2**64 - 1, 2**63, 0x0101010101010101])
def test_any_extranonce2(client: Client, extranonce2: int) -> None:
    """C-040: every value is legitimate."""
    assert client.submit(client.solve(extranonce2=extranonce2)) is True


@pytest.mark.parametrize("digits", ["0" * 15, "0" * 17, "0" * 18, "", "0" * 14])
def test_extranonce2_of_another_size(client: Client, digits: str) -> None:
    """C-039: exactly 16 digits."""
    proof = client.solve()
    assert client.submit([proof[0], digits, *proof[2:]])[1].split(":")[0] in ("bad-extranonce2", "bad-params")
    assert client.pool.journal.shares == []


@pytest.mark.parametrize("place", [1, 2, 3, 4])
@pytest.mark.parametrize("damage", ["0x", " {}", "{} ", "+{}", "-{}", "_", "０", "g", "\x00", "\n"])
def test_lenient_hex_is_refused(client: Client, place: int, damage: str) -> None:
    """C-078: blanks, signs, prefixes, underscores and other digits are bad-params, in every field."""
    proof = [*client.solve(extranonce2=0), "00000000"]
    digits = proof[place]
    if "{}" in damage:
        proof[place] = damage.format(digits[1:])
    else:
        proof[place] = damage + digits[len(damage) :]
    assert client.submit(proof)[0] == 20
    proof[place] = digits + damage.format("")
    assert client.submit(proof)[0] == 20
    proof[place] = digits
    assert client.submit(proof) is True


@pytest.mark.parametrize(
    "params",
    [
        [],
        ["acme.rig07"],
        ["acme.rig07"] * 7,
        [1, 2, 3, 4, 5],
        [None] * 5,
        [["a"], {}, [1] * 16, [1] * 8, [1] * 8],
        ["acme.rig07", 5, "0" * 16, "0" * 8, "0" * 8],
        ["acme.rig07", "0" * 16, "0" * 16, "0" * 8, "0" * 8, None],
    ],
)
def test_shape_of_a_submit(client: Client, params: list[object]) -> None:
    """Anything but five or six strings of the right lengths is bad-params."""
    assert client.ask("mining.submit", params)[:1] == [20]


def test_submit_too_early() -> None:
    """C-028: before subscribe 25, before authorize 24."""
    client = Client(Pool())
    proof = ["0" * 16, "0" * 16, "0" * 8, "0" * 8]
    assert client.submit(proof) == [25, "not-subscribed", None]
    client.ask("mining.subscribe", [])
    assert client.submit(proof)[0] == 24


def test_submit_without_id_is_answered(client: Client) -> None:
    """A submit is answered even as a notification, with id null."""
    proof = client.solve()
    assert client.submit(proof, ident=None) is True
    assert client.submit(proof, ident=None)[0] == 22


# Names.


def test_each_name_is_credited_for_its_own(client: Client) -> None:
    """C-033: several names on one connection."""
    assert client.ask("mining.authorize", ["Beta.Rig"]) is True
    for extranonce2, (login, account) in enumerate([("beta.Rig", "beta"), ("ACME.rig07", "acme")]):
        assert client.submit(client.solve(extranonce2=extranonce2), login) is True
        record = client.pool.journal.shares[-1]
        name = client.pool.journal.names[record.name - 1]
        assert (name.account, name.party) == (account, f"party-{account}")


@pytest.mark.parametrize("login", ["beta.rig", "acme.rig7", "", "acme.RIG07", "\x00"])
def test_name_never_authorized_here(client: Client, login: str) -> None:
    """C-034: 24, and no credit to anybody; the same share under its right name still counts (C-087)."""
    proof = client.solve()
    assert client.submit(proof, login)[0] == 24
    assert client.pool.journal.shares == []
    assert client.submit(proof) is True


# Durability.


def test_answer_waits_for_the_commit() -> None:
    """C-079, invariant 1: no `true` before the journal says so."""
    pool = Pool(slow=True)
    client = pool.connect("acme.rig07")
    client.send(submit_line(client, 0))
    assert client.hear() == []
    assert pool.board.counters.accepted == 0
    pool.journal.settle()
    assert client.hear() == [{"id": 0, "result": True, "error": None}]
    assert pool.board.counters.accepted == 1


def submit_line(client: Client, number: int, junk: bool = False) -> bytes:
    """A submit with id `number`."""
    proof = client.solve(extranonce2=number)
    if junk:
        proof[3] = "nonsense"
    params = ["acme.rig07", *proof]
    return orjson.dumps({"id": number, "method": "mining.submit", "params": params}) + b"\n"


def test_answers_leave_in_order_over_a_slow_commit() -> None:
    """C-017: a failure behind a share that waits for the disk waits too, also with equal ids."""
    pool = Pool(slow=True)
    client = pool.connect("acme.rig07")
    client.send(submit_line(client, 0) + submit_line(client, 1, junk=True) + submit_line(client, 2))
    client.send(b'{"id":2,"method":"mining.ping"}\njunk\n')
    assert client.hear() == []
    first, second = pool.journal.waiting
    second(True)
    assert client.hear() == []
    first(True)
    assert [(m["id"], m["result"]) for m in client.hear()] == [
        (0, True),
        (1, None),
        (2, True),
        (2, "pong"),
        (None, None),
    ]


def test_a_commit_is_one_piece_for_each_connection() -> None:
    """The answers of one commit are together, and the holder is told once."""
    pool = Pool(slow=True)
    woken: list[int] = []
    pool.board.wake = lambda: woken.append(1)
    clients = [pool.connect("acme.rig07") for _ in range(3)]
    for client in clients:
        client.send(submit_line(client, 0) + submit_line(client, 1))
    pool.journal.settle()
    assert woken == [1]
    assert pool.board.talkative == [client.session for client in clients]
    assert all(client.session.output().count(b"true") == 2 for client in clients)


def test_notify_does_not_wait_for_the_disk() -> None:
    """A new block overtakes answers that wait for a commit."""
    pool = Pool(slow=True)
    client = pool.connect("acme.rig07")
    client.send(submit_line(client, 0))
    pool.publish(OTHER_BLOCK)
    assert [message.get("method") for message in client.hear()] == ["mining.notify"]


def test_crowd_of_waiting_answers_stops_reading() -> None:
    """64 answers waiting: what was read already is kept and goes on afterwards, in order."""
    pool = Pool(slow=True)
    client = pool.connect("acme.rig07")
    client.send(b"".join(submit_line(client, number) for number in range(100)))
    assert client.session.crowded
    assert len(pool.journal.waiting) == 64
    pool.journal.settle()
    assert not client.session.crowded
    client.send(b"")
    pool.journal.settle()
    assert [message["id"] for message in client.hear()] == list(range(100))


def test_journal_failure_takes_nothing_and_hands_out_nothing() -> None:
    """C-081: not-ready, the share is forgotten, and no new job goes out until the journal takes shares again."""
    pool = Pool()
    client = pool.connect("acme.rig07")
    proof = client.solve()
    pool.journal.broken = True
    assert client.submit(proof)[1].startswith("not-ready")
    assert (pool.board.counters.accepted, pool.board.counters.rejected["not-ready"]) == (0, 1)
    late = pool.connect("acme.rig08")
    assert late.job is None
    pool.publish()
    late.hear()
    assert late.job is None
    pool.journal.broken = False
    assert client.submit(proof) is True
    pool.board.handing_out = True
    assert pool.connect("acme.rig09").job is not None


def test_commit_after_the_connection_is_gone() -> None:
    """The share counts; nothing is sent to nobody."""
    pool = Pool(slow=True)
    client = pool.connect("acme.rig07")
    client.send(submit_line(client, 0))
    client.session.close(pool.now)
    pool.journal.settle()
    assert pool.board.counters.accepted == 1
    assert pool.board.talkative == []


# Jobs, section 9.


def test_clean_exactly_on_a_new_block(client: Client) -> None:
    """C-045: clean with the first job and with each new previous block, not with a refresh."""
    pool = client.pool
    flags = []
    for previous in (b"\x11" * 32, OTHER_BLOCK, OTHER_BLOCK, THIRD_BLOCK):
        pool.publish(previous)
        flags += [message["params"][8] for message in client.hear() if message["method"] == "mining.notify"]
    assert flags == [False, True, False, True]


def test_old_job_of_the_same_block_is_good_for_ten_minutes(client: Client) -> None:
    """C-047: credited until then, 21 afterwards."""
    pool = client.pool
    old = client.job
    for _ in range(3):
        pool.now += 199
        pool.publish()
        client.hear()
    assert client.submit(client.solve(job=old, extranonce2=1)) is True
    pool.now += 4
    assert client.submit(client.solve(job=old, extranonce2=2)) == [21, "stale", None]
    assert client.submit(client.solve(extranonce2=3)) is True


def test_share_on_the_previous_block_is_stale(client: Client) -> None:
    """C-048: 21, recorded, not credited, and the answer does not wait."""
    old = client.job
    client.pool.journal.slow = True
    client.pool.publish(OTHER_BLOCK)
    assert client.submit(client.solve(job=old)) == [21, "stale", None]
    assert [record.verdict for record in client.pool.journal.shares] == [Verdict.STALE]
    counters = client.pool.board.counters
    assert (counters.accepted, counters.rejected["stale"], counters.weight["stale"]) == (0, 1, weight_of(EASY))


def test_stale_is_a_matter_of_the_connection(client: Client) -> None:
    """C-049: a share read before the new job was written here is not stale."""
    pool = client.pool
    other = pool.connect("acme.rig08")
    proof, others = client.solve(), other.solve()
    pool.board.publish(pool.make_job(OTHER_BLOCK, clean=True), pool.now)
    other.session.send_job(pool.now)
    assert client.submit(proof) is True
    assert other.submit(others, "acme.rig08")[0] == 21


@pytest.mark.parametrize("job_id", ["0" * 16, "zzz", "", "ffffffffffffffff"])
def test_job_never_sent_here(client: Client, job_id: str) -> None:
    """C-051: unknown-job, also for a job that others were sent."""
    proof = client.solve()
    assert client.submit([job_id, *proof[1:]]) == [21, "unknown-job", None]
    late = client.pool.connect()
    client.pool.publish()
    late.ask("mining.subscribe", [])
    late.ask("mining.authorize", ["acme.rig07"])
    assert late.submit(proof) == [21, "unknown-job", None]


def test_memory_for_jobs_is_bounded(client: Client) -> None:
    """C-053: after 10,000 refreshes and 200 blocks a connection remembers a handful of jobs."""
    pool = client.pool
    for number in range(10_000):
        pool.now += 30
        pool.publish(bytes([number // 50 % 256]) * 32)
        client.session.output()
        if number % 100 == 0:
            client.session.assignments.seen(pool.board.work(EASY)).add(b"x")
    remembered = client.session.assignments
    assert len(remembered._works) <= 40
    assert len(remembered._seen) <= 1
    assert len(pool.board._works) == 1


# Difficulty, section 11.


def between(harder: int, easier: int) -> Callable[[int], bool]:
    """Hashes worth less than 2**harder and not less than 2**easier, for `solve`."""
    return lambda value: target_of(harder) < value <= target_of(easier)


def test_share_is_judged_at_the_difficulty_its_job_was_sent_with(client: Client) -> None:
    """C-054, C-057, C-066: over raises and falls, on old jobs too, and the credit is never the hash's own."""
    pool = client.pool
    sent = [(client.job, EASY)]
    for wish in (-20, -22, -20, EASY):
        assert client.ask("mining.suggest_difficulty", [2.0**wish]) is True
        pool.publish()
        assert [m["method"] for m in client.hear()] == ["mining.set_difficulty", "mining.notify"]
        sent.append((client.job, wish))
    for extranonce2, (job, exponent) in enumerate(sent):
        below = client.solve(between(exponent + 1, exponent), job, extranonce2)
        assert client.submit(below) is True
        assert client.pool.journal.shares[-1].exponent == exponent
        above = client.solve(between(exponent, exponent - 1), job, extranonce2)
        assert client.submit(above) == [23, "low-difficulty", None]
    total = sum(weight_of(exponent) for _, exponent in sent)
    assert pool.board.counters.weight["accepted"] == total


def test_large_change_brings_a_job_of_its_own(client: Client) -> None:
    """A wish far away does not wait for the refresh: the same work under a new id, clean false, kept in the journal."""
    pool = client.pool
    client.ask("mining.suggest_difficulty", [2.0**-20])
    assert pool.board.hurried == {client.session}
    old = client.job
    assert pool.board.reissue()
    client.session.send_job(pool.now)
    difficulty, notify = client.hear()
    assert difficulty["params"] == [2.0**-20]
    assert notify["params"][8] is False
    assert old is not None
    assert notify["params"][0] != old.job_id
    assert pool.journal.jobs[-1].wire_id == notify["params"][0]
    pool.board.hurried.clear()
    client.ask("mining.suggest_difficulty", [2.0**-10])
    assert pool.board.hurried == set(), "not again within ten seconds"


# Version rolling, section 10.


@pytest.mark.parametrize("bits", [0x2000, 0x1FFFE000, 0x00ABC000])
def test_rolled_version(bits: int) -> None:
    """C-070, C-086: bits inside the mask are taken; setting, or and xor agree, since the job has none there."""
    client = Pool().connect("acme.rig07", rolling=True)
    plain = client.solve()
    assert client.submit(plain) is True
    assert client.submit(client.solve(bits=bits)) is True
    assert client.job is not None
    assert client.job.version & MASK == 0
    assert client.pool.journal.shares[-1].version == client.job.version | bits


@pytest.mark.parametrize("bits", ["00000001", "80000000", "20002000", "1fffe001"])
def test_foreign_version_bits(bits: str) -> None:
    """C-071: bits outside the mask are bad-version, never dropped."""
    client = Pool().connect("acme.rig07", rolling=True)
    assert client.submit([*client.solve(), bits]) == [20, "bad-version", None]


def test_sixth_parameter_with_rolling_off_and_missing_with_rolling_on(client: Client) -> None:
    """C-072: zero is tolerated when off, anything else refused; missing when on means unrolled."""
    assert client.submit([*client.solve(), "00000000"]) is True
    assert client.submit([*client.solve(extranonce2=1), "00002000"])[1] == "bad-version"
    rolling = client.pool.connect("acme.rig07", rolling=True)
    assert rolling.submit(rolling.solve()) is True


def test_mask_change_keeps_the_old_one_for_old_jobs() -> None:
    """C-073: jobs sent before may use either mask, later jobs only the new one."""
    pool = Pool()
    client = pool.connect("acme.rig07", rolling=True)
    old = client.job
    client.ask("mining.configure", [["version-rolling"], {"version-rolling.mask": "0000e000"}])
    assert client.submit(client.solve(job=old, bits=0x10000000)) is True
    assert client.submit(client.solve(job=old, bits=0x00002000)) is True
    pool.publish()
    client.hear()
    assert client.submit(client.solve(bits=0x00004000)) is True
    assert client.submit(client.solve(bits=0x10000000))[1] == "bad-version"


def test_job_with_bits_inside_the_mask_is_not_published() -> None:
    """C-069: it would cut the hashrate of some miners."""
    pool = Pool()
    with pytest.raises(ValueError, match="inside the mask"):
        pool.board.publish(replace(pool.make_job(), version=0x20002000), pool.now)


# Blocks, section 15 and invariant 5.


def block_pool(start: int = EASY) -> tuple[Pool, Client]:
    """A chain on which every 4096th hash is a block."""
    pool = Pool(replace(RULES, start=start, minimum=-30), work=False)
    pool.publish(target=target_of(-20))
    return pool, pool.connect("acme.rig07")


def is_block(value: int) -> bool:
    """For `solve`."""
    return value <= target_of(-20)


def test_block_is_reported_before_anything_else() -> None:
    """Invariant 5: header and coinbase first, then the record, then both are joined; the miner gets its `true`."""
    pool, client = block_pool()
    assert client.submit(client.solve(is_block)) is True
    (found, header, coinbase, job), (recorded, block_hash, sequence, name) = pool.blocks.events
    assert (found, recorded, sequence, name) == ("found", "recorded", 1, 1)
    assert len(header) == 80
    assert int.from_bytes(block_hash, "little") <= target_of(-20)
    expected = pool.journal.jobs[0].coinb1(EASY) + client.session.extranonce1 + bytes(8) + b"\x04" * 100
    assert (coinbase, job) == (expected, pool.journal.jobs[0].number)


def test_duplicate_of_a_block_is_not_reported_again() -> None:
    """C-089."""
    pool, client = block_pool()
    proof = client.solve(is_block)
    assert client.submit(proof) is True
    assert client.submit(proof)[0] == 22
    assert len(pool.blocks.events) == 2


@pytest.mark.parametrize("fault", ["stale", "old", "unauthorized", "withdrawn", "version", "early"])
def test_faulty_share_may_be_a_block(fault: str) -> None:
    """C-113, C-027: reported, recorded with its verdict and the connection's name, and answered as rejected."""
    pool, client = block_pool()
    proof = client.solve(is_block)
    login, code, verdict = "acme.rig07", 20, Verdict.STALE
    if fault == "stale":
        pool.publish(OTHER_BLOCK)
        pool.publish(THIRD_BLOCK)
        code = 21
    elif fault == "old":
        pool.now += 601
        code = 21
    elif fault == "unauthorized":
        login, code, verdict = "somebody.else", 24, Verdict.UNAUTHORIZED
    elif fault == "withdrawn":
        pool.gate.refusals["acme.rig07"] = "licence revoked"
        client.session.reconsider(pool.now)
        code, verdict = 24, Verdict.UNAUTHORIZED
    elif fault == "version":
        proof, verdict = client.solve(is_block, bits=0x2000), Verdict.BAD_VERSION
    else:
        assert client.job is not None
        early = client.job.ntime - 601
        proof, verdict = client.solve(is_block, ntime=early), Verdict.TIME_TOO_OLD
    assert client.submit(proof, login)[0] == code
    assert [event[0] for event in pool.blocks.events] == ["found", "recorded"]
    (record,) = pool.journal.shares
    assert (record.verdict, record.name) == (verdict, 1)
    assert client.submit(proof, login)[0] == code
    assert len(pool.blocks.events) == 2


def test_block_that_misses_its_share_target() -> None:
    """C-082: on an easy chain a block may be no share; it is reported and answered 23."""
    pool = Pool(replace(RULES, minimum=-8, start=-8), work=False)
    pool.publish(target=target_of(-20))
    client = pool.connect("acme.rig07")
    assert client.submit(client.solve(between(-8, -20)))[0] == 23
    assert [event[0] for event in pool.blocks.events] == ["found", "recorded"]
    assert pool.journal.shares[0].verdict == Verdict.LOW_DIFFICULTY
    assert pool.board.counters.weight["accepted"] == 0


def test_block_survives_a_failing_journal() -> None:
    """It was reported first; sent again it is reported again, with the record that holds."""
    pool, client = block_pool()
    proof = client.solve(is_block)
    pool.journal.broken = True
    assert client.submit(proof)[1].startswith("not-ready")
    pool.journal.broken = False
    assert client.submit(proof) is True
    assert [event[0] for event in pool.blocks.events] == ["found", "recorded", "found", "recorded"]
    assert pool.blocks.events[-1][2] == 1
