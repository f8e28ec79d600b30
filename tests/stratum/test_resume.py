"""Connections that come back with their session id, within one process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tarazy.stratum import extranonces
from tarazy.stratum.extranonces import Extranonces, Parked
from tarazy.stratum.miner import MinerJob
from tarazy.stratum.ports import NotReadyError
from tarazy.stratum.share import Verdict
from tests.stratum.house import EASY, RULES, Client, Pool

LOGIN = "acme.rig07"
OTHER_BLOCK = b"\x22" * 32


class Returning(Client):
    """A client that keeps its session id."""

    session_id = ""

    def subscribe(self, *params: object) -> str:
        """The extranonce1 it gets."""
        (_, (_, self.session_id)), extranonce1, _ = self.ask("mining.subscribe", ["cgminer/4.12", *params])
        return str(extranonce1)

    def hang_up(self) -> None:
        """Close."""
        self.session.close(self.pool.now)
        self.pool.clients.remove(self)


def arrive(pool: Pool, session_id: object = None, login: str = LOGIN, rolling: bool = False) -> Returning:
    """A connection through its handshake."""
    client = Returning(pool)
    pool.clients.append(client)
    if rolling:
        client.ask("mining.configure", [["version-rolling"], {}])
    client.subscribe(session_id)
    client.ask("mining.authorize", [login, "x"])
    return client


def come_back(client: Returning, rolling: bool = False) -> Returning:
    """Hang up and resume."""
    client.hang_up()
    return arrive(client.pool, client.session_id, rolling=rolling)


@pytest.fixture
def client() -> Returning:
    """A ready connection."""
    return arrive(Pool())


def test_a_closed_connection_gets_its_extranonce1_back(client: Returning) -> None:
    """C-091: within 600 s, again and again, also under the id in other case; the id stays the same."""
    extranonce1 = client.session.extranonce1
    for _ in range(3):
        client.hang_up()
        client.pool.now += 599
        client = arrive(client.pool, client.session_id.upper())
        assert client.session.extranonce1 == extranonce1
    assert len(client.session_id) == 32


def test_who_closes_in_the_middle_of_a_turn_is_sent_no_more(client: Returning) -> None:
    """C-091: jobs and looks go round in slices; what is kept of a connection is what it was sent."""
    pool, session = client.pool, client.session
    client.ask("mining.suggest_difficulty", [2.0**-20])
    session.close(pool.now)
    pool.board.hurried.clear()
    (parked,) = pool.board.extranonces.parked()
    sent = list(parked.works)
    pool.publish()
    session.tick(pool.now + 60)
    assert list(parked.works) == sent
    assert not pool.board.hurried
    assert session.output() == b""


def test_shares_of_old_jobs_are_judged_as_before(client: Returning) -> None:
    """C-091, C-054: each old job keeps its difficulty, whatever the new connection is served at."""
    pool = client.pool
    sent: list[tuple[MinerJob | None, int]] = []
    for wish in (EASY, -22, -23):
        client.ask("mining.suggest_difficulty", [2.0**wish])
        pool.publish()
        client.hear()
        sent.append((client.job, wish))
    again = come_back(client)
    again.ask("mining.suggest_difficulty", [2.0**-20])
    pool.publish()
    again.hear()
    for job, exponent in sent:
        assert again.submit(again.solve(job=job, extranonce2=exponent & 0xFF)) in (True, [23, "low-difficulty", None])
        proof = again.solve(lambda value, e=exponent: value < 2 ** (224 - e), job, 1)  # type: ignore[misc]
        assert again.submit(proof) is True
        assert pool.journal.shares[-1].exponent == exponent
    assert again.submit(again.solve(lambda value: value < 2**244, extranonce2=2)) is True


def test_a_share_is_a_duplicate_on_the_resumed_connection(client: Returning) -> None:
    """C-084: what was accepted before the break is 22 after it; what was rejected may still come."""
    proof, other = client.solve(), client.solve(extranonce2=1)
    assert client.submit(proof) is True
    assert client.submit(other, "somebody.else")[0] == 24
    again = come_back(client)
    assert again.submit(proof) == [22, "duplicate", None]
    assert again.submit(other) is True
    assert come_back(again).submit(other)[0] == 22


def test_a_share_that_failed_to_be_stored_over_the_break_is_forgotten() -> None:
    """C-087: the commit of the old connection's share fails after the resume; the share may come again."""
    pool = Pool(slow=True)
    client = arrive(pool)
    proof = client.solve()
    client.send(b'{"id":4,"method":"mining.submit","params":["%b"]}\n' % '","'.join([LOGIN, *proof]).encode())
    again = come_back(client)
    pool.journal.settle(committed=False)
    pool.board.handing_out = True
    pool.journal.slow = False
    assert again.submit(proof) is True


def test_the_present_job_comes_anew_and_clean(client: Returning) -> None:
    """C-024, C-045: another number, so that the old one keeps its difficulty and its shares; first job, so clean."""
    old = client.job
    proof = client.solve()
    assert client.submit(proof) is True
    client.ask("mining.suggest_difficulty", [2.0**-20])
    again = come_back(client)
    assert old is not None
    assert again.job is not None
    assert again.job.job_id != old.job_id
    assert again.job.clean
    assert again.job.previous_block_hash == old.previous_block_hash
    assert again.submit(proof)[0] == 22
    assert again.submit(again.solve(job=old, extranonce2=9)) is True


def test_old_jobs_go_stale_as_ever(client: Returning) -> None:
    """C-048, C-047: a block during the break makes them stale on the resumed connection, as do ten minutes."""
    pool = client.pool
    first = client.solve()
    pool.now += 300
    pool.publish()
    client.hear()
    old, late = client.solve(extranonce2=1), client.solve(extranonce2=2)
    again = come_back(client)
    pool.now += 301
    assert again.submit(first) == [21, "stale", None]
    assert again.submit(old) is True
    pool.publish(OTHER_BLOCK)
    last = come_back(again)
    assert last.submit(late) == [21, "stale", None]
    assert [share.verdict for share in pool.journal.shares] == [Verdict.STALE, Verdict.ACCEPTED, Verdict.STALE]


@pytest.mark.parametrize("configured_first", [True, False])
def test_old_jobs_keep_their_version_mask(configured_first: bool) -> None:
    """C-091, C-073: bits that were free when the job was sent are so on the resumed connection, rolling or not."""
    pool = Pool()
    client = arrive(pool, rolling=True)
    proof, other = client.solve(bits=0x2000), client.solve(bits=0x4000)
    again = come_back(client, rolling=configured_first)
    assert again.submit(proof) is True
    if not configured_first:
        assert again.submit(again.solve(bits=0x2000))[1] == "bad-version"
        again.ask("mining.configure", [["version-rolling"], {"version-rolling.mask": "00002000"}])
    assert again.submit(other) is True


def test_shares_name_the_extranonce1_they_were_made_with(client: Returning) -> None:
    """The name of a resumed connection stands in the journal with the old extranonce1: every share can be rebuilt."""
    pool = client.pool
    old = client.job
    again = come_back(client)
    assert again.submit(again.solve(job=old)) is True
    name = pool.journal.names[pool.journal.shares[-1].name - 1]
    assert (name.extranonce1, name.connection) == (client.session.extranonce1, 1)


def test_authorize_before_subscribe_may_resume_too(client: Returning) -> None:
    """C-021, C-091: the name is entered once it is known which extranonce1 its work has."""
    client.hang_up()
    pool = client.pool
    again = Returning(pool)
    assert again.ask("mining.authorize", [LOGIN]) is True
    assert len(pool.journal.names) == 1
    again.subscribe(client.session_id)
    assert again.session.extranonce1 == client.session.extranonce1
    assert again.submit(again.solve()) is True
    assert pool.journal.shares[-1].name == 2
    assert pool.journal.names[1].extranonce1 == client.session.extranonce1


def test_admission_is_asked_anew(client: Returning) -> None:
    """C-093: a resumed connection begins without names, and who is refused now gets no work."""
    pool = client.pool
    proof = client.solve()
    client.hang_up()
    pool.gate.refusals[LOGIN] = "licence expired"
    again = Returning(pool)
    again.subscribe(client.session_id)
    assert again.submit(proof)[0] == 24
    assert again.ask("mining.authorize", [LOGIN])[1] == "unauthorized: licence expired"
    assert again.job is None
    assert again.submit(proof)[0] == 24
    assert pool.journal.shares == []
    del pool.gate.refusals[LOGIN]
    assert again.ask("mining.authorize", [LOGIN]) is True
    assert again.submit(proof) is True


def test_not_while_the_old_connection_is_open(client: Returning) -> None:
    """C-092: a fresh extranonce1, no error, and the old one goes on."""
    other = arrive(client.pool, client.session_id)
    assert other.session.extranonce1 != client.session.extranonce1
    assert other.session_id != client.session_id
    assert client.submit(client.solve()) is True


def test_not_after_ten_minutes(client: Returning) -> None:
    """C-092: too old, so fresh; old jobs are unknown then."""
    proof = client.solve()
    client.hang_up()
    client.pool.now += 600
    client.pool.publish()
    again = arrive(client.pool, client.session_id)
    assert again.session.extranonce1 != client.session.extranonce1
    assert again.submit(proof) == [21, "unknown-job", None]


@pytest.mark.parametrize(
    "forged", ["", "0" * 32, "zz", None, 5, [], {}, True, "f" * 1_000, "é" * 32, "07000001" + "0" * 24]
)
def test_unknown_ids_get_a_fresh_extranonce1(client: Returning, forged: object) -> None:
    """C-092: whatever stands there, no error; nobody can make an id for another's extranonce1."""
    client.hang_up()
    assert arrive(client.pool, forged).session.extranonce1 == bytes.fromhex("07000002")


def test_the_id_of_another_gateway_brings_nothing(client: Returning) -> None:
    """C-092, also where both have the same secret."""
    client.hang_up()
    other = Pool(replace(RULES, gateway=8))
    other.board.extranonces.secret = client.pool.board.extranonces.secret
    assert arrive(other, client.session_id).session.extranonce1 == bytes.fromhex("08000001")


def test_an_id_is_spent_by_the_first_who_shows_it(client: Returning) -> None:
    """C-092: two connections never have one extranonce1."""
    client.hang_up()
    first, second = (arrive(client.pool, client.session_id) for _ in range(2))
    assert first.session.extranonce1 == client.session.extranonce1 != second.session.extranonce1


def test_fresh_numbers_pass_over_those_that_may_be_resumed(client: Returning) -> None:
    """C-038: when numbers come round, a closed connection keeps its own while it may come back."""
    client.hang_up()
    client.pool.journal.connections = 0
    assert arrive(client.pool).session.extranonce1 == bytes.fromhex("07000002")
    assert arrive(client.pool, client.session_id).session.extranonce1 == bytes.fromhex("07000001")


def test_a_connection_without_work_leaves_nothing() -> None:
    """Who never got a job has nothing to resume, and costs no memory once it is gone."""
    pool = Pool()
    client = Returning(pool)
    client.subscribe()
    client.session.close(pool.now)
    assert list(pool.board.extranonces.parked()) == []


def test_closing_twice_is_closing_once(client: Returning) -> None:
    """The counters stay right however often the holder of the socket says so."""
    client.hang_up()
    client.session.close(client.pool.now)
    assert client.pool.board.counters.ready == 0
    assert client.pool.board.counters.devices["cgminer"] == 0


def ids(count: int) -> tuple[Extranonces, list[bytes]]:
    """Extranonces of which `count` are out."""
    numbers = iter(range(1, 1 << 24))
    kept = Extranonces(7, lambda: next(numbers))
    return kept, [kept.take() for _ in range(count)]


def test_memory_for_closed_connections_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """C-053: by their number and by their shares; the eldest go, and get a fresh extranonce1 then."""
    monkeypatch.setattr(extranonces, "PARKED_MOST", 10)
    monkeypatch.setattr(extranonces, "PARKED_SHARES", 100)
    kept, out = ids(30)
    for number, extranonce1 in enumerate(out[:20]):
        kept.park(Parked(extranonce1, closed_at=number))
    assert [each.extranonce1 for each in kept.parked()] == out[10:20]
    for number, extranonce1 in enumerate(out[20:]):
        kept.park(Parked(extranonce1, seen={"job": {bytes([n]) for n in range(30)}}, closed_at=20 + number))
    assert [each.extranonce1 for each in kept.parked()] == out[27:]
    assert kept.resume(kept.session_id(out[0]), 30) is None
    assert kept.resume(kept.session_id(out[29]), 30) is not None
    kept.expire(1000)
    assert list(kept.parked()) == []
    kept.park(Parked(out[29], seen={"job": {bytes([n]) for n in range(99)}}, closed_at=1000))
    assert len(list(kept.parked())) == 1, "shares of those that went are no longer counted"


def test_after_a_crash_ids_of_the_earlier_process_are_trusted_once() -> None:
    """C-091, C-092: with nothing else known, within 600 s, and only ids of numbers that this process did not give."""
    before, (old, older, _) = ids(3)
    numbers = iter(range(65_536, 1 << 24))
    kept = Extranonces(7, lambda: next(numbers))
    kept.secret = before.secret
    assert kept.resume(before.session_id(old), 0) is None, "only where it was asked for"
    kept.trust_earlier(0)
    own = kept.take()
    kept.release(own)
    assert kept.resume(kept.session_id(own), 1) is None, "this one's connection is too old, or was thrown out"
    resumed = kept.resume(before.session_id(old), 1)
    assert resumed == Parked(old)
    kept.release(old)
    assert kept.resume(before.session_id(old), 2) is None, "it may have had jobs of this process"
    assert kept.resume(before.session_id(older), 601) is None


def test_numbers_that_cannot_be_had() -> None:
    """A journal that gives no number: not ready, and the id still works."""

    def none() -> int:
        raise NotReadyError

    kept = Extranonces(7, none)
    with pytest.raises(NotReadyError):
        kept.take()
    kept.park(Parked(b"\x07\x00\x00\x01", closed_at=0))
    assert kept.resume(kept.session_id(b"\x07\x00\x00\x01"), 1) is not None


def test_a_name_admitted_before_subscribe_gets_no_work_before(client: Returning) -> None:
    """C-023: a job that is published between authorize and subscribe waits."""
    early = client.pool.connect()
    assert early.ask("mining.authorize", [LOGIN]) is True
    client.pool.publish()
    assert early.hear() == []
    early.ask("mining.subscribe", [])
    assert early.job is not None


def test_a_wider_mask_makes_no_second_share_of_one_header() -> None:
    """C-084, C-073: a job whose version has bits that a later mask lets miners roll goes by its own mask alone."""
    pool = Pool(replace(RULES, version_mask=0x00FFE000), work=False)
    pool.board.publish(replace(pool.make_job(), version=0x30000000), pool.now)
    client = arrive(pool, rolling=True)
    proof = client.solve()
    assert client.submit(proof) is True
    pool.publish()
    pool.board.follow(RULES)
    again = come_back(client, rolling=True)
    assert again.submit([*proof, "00000000"])[0] == 22
    assert again.submit([*proof, "10000000"])[1] == "bad-version"
    assert len(pool.journal.shares) == 1
