"""The limits: each holds at its setting, and each hit is counted under its word."""

from __future__ import annotations

import asyncio
import resource
import socket
from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.pool.demo.prepare import free_ports
from tarazy.stratum.addresses import LONGEST_DELAY, Addresses
from tarazy.stratum.board import StratumRules
from tarazy.stratum.conduct import FEWEST_INVALID, Conduct, Step
from tarazy.stratum.difficulty import target_of
from tarazy.stratum.limits import Hit, Limits
from tests.stratum.house import NOW, RULES, Client, Pool
from tests.stratum.loops import on_both_loops
from tests.stratum.test_edge import hits, serving
from tests.stratum.test_server import Served, Wire, until

BLOCK = target_of(-22)
"""A block target that a test meets in some thousand hashes."""


def limited(**limits: Any) -> StratumRules:
    """The rules with other limits."""
    return replace(RULES, limits=Limits(**limits))


def login(client: Client, name: str = "acme.rig07") -> None:
    """Through the handshake."""
    client.ask("mining.subscribe", [])
    client.ask("mining.authorize", [name, "x"])
    client.hear()


# One session.


@pytest.mark.parametrize(
    ("limits", "said", "hit"),
    [
        ({"unready_line_bytes": 1024}, b'{"id":1,"x":"' + b"a" * 1100, Hit.LINE_BYTES),
        ({"unready_line_bytes": 1024}, b'{"id":1,"x":"' + b"a" * 1100 + b'"}\n', Hit.LINE_BYTES),
        ({"malformed_lines": 2}, b"{\n[\n", Hit.MALFORMED_LINES),
        ({"unready_messages": 3}, b"{}\n" * 4, Hit.UNREADY_MESSAGES),
        ({}, b"GET / HTTP/1.1\r\n", Hit.NOT_STRATUM),
        ({"refused_logins": 2}, b'{"id":1,"method":"mining.authorize","params":["_"]}\n' * 2, Hit.REFUSED_LOGINS),
    ],
)
def test_a_limit_ends_a_session_and_is_counted_once(limits: dict[str, Any], said: bytes, hit: Hit) -> None:
    """C-002, C-003, C-004, C-010: at the value that is set; what comes afterwards does not count again."""
    client = Client(Pool(limited(**limits)))
    client.send(said)
    assert client.session.ended
    client.send(said)
    assert hits(client.pool.board.counters.hits) == {hit: 1}
    below = Client(Pool())
    if hit is not Hit.NOT_STRATUM:
        below.send(said)
        assert not below.session.ended, "the default is higher"


def test_a_ready_connection_may_send_longer_lines() -> None:
    """C-002: both limits are settings."""
    client = Client(Pool(limited(unready_line_bytes=1024, line_bytes=2048)))
    login(client)
    line = b'{"id":1,"method":"mining.ping","x":"'
    client.send(line.ljust(2046, b"a") + b'"}\n')
    assert client.hear()[0]["result"] == "pong"
    client.send(line.ljust(2047, b"a") + b'"}\n')
    assert client.session.ended


def test_time_before_ready_is_counted() -> None:
    """C-004: not where a refused login had its time to be read, which is no limit."""
    pool = Pool(limited(unready_seconds=3))
    slow, refused = Client(pool), Client(pool)
    refused.ask("mining.authorize", ["_"])
    for client in (slow, refused):
        client.session.tick(NOW + 3)
    assert (slow.session.ended, refused.session.ended) == (True, False)
    refused.session.tick(NOW + 5)
    assert refused.session.ended
    assert hits(pool.board.counters.hits) == {"unready-seconds": 1}


def test_too_many_names_and_silence_are_counted() -> None:
    """C-037, and a miner that answers nothing any more."""
    pool = Pool()
    client = pool.connect("acme.w0")
    for number in range(1, 1026):
        client.ask("mining.authorize", [f"acme.w{number}"])
    assert hits(pool.board.counters.hits) == {"names": 2}
    for seconds in (910, 980):
        client.session.tick(NOW + seconds)
    assert hits(pool.board.counters.hits) == {"names": 2, "silence": 1}


# Some byte at least every minute.


@pytest.mark.parametrize("trouble", ["none", "slow refresh", "no template", "journal ill"])
@pytest.mark.parametrize("offset", [0.0, 0.1, 7.0, 14.9])
def test_a_ready_miner_hears_something_every_minute(trouble: str, offset: float) -> None:
    """C-007: for a quarter of an hour, with a refresh every 30 s or 60 s, and with no work to hand out at all.

    A session is looked at every 15 s; where its turns fall between the jobs must not matter. While jobs flow there are
    no pings beside them.
    """
    pool = Pool()
    client = pool.connect("acme.rig07")
    board = pool.board
    board.handing_out = trouble != "journal ill"
    refresh = {"none": 30.0, "slow refresh": 60.0, "journal ill": 30.0}.get(trouble)
    heard, pings, latest = [NOW], 0, NOW
    for tenth in range(1, 9000):
        pool.now = NOW + tenth / 10
        if refresh and tenth % int(refresh * 10) == 0:
            pool.publish()
        if (tenth / 10 - offset) % 15 == 0:
            # It answers nothing, as old firmware does; it does submit now and then.
            client.session.receive(b"\n", pool.now)
            client.session.tick(pool.now)
        if messages := client.hear():
            pings += sum(message.get("method") == "mining.ping" for message in messages)
            heard.append(pool.now)
            latest = max(latest, pool.now)
    gaps = [later - earlier for earlier, later in pairwise(heard)]
    assert max(gaps) <= 60.0
    assert pool.now - latest <= 60.0
    assert not client.session.ended
    assert (pings == 0) is (trouble == "none")


# Guessing.


def test_refusals_of_an_address_are_answered_later_and_later() -> None:
    """C-121: ten seconds' worth at once, then so many a second, up to a limit; another address is not held up."""
    addresses = Addresses(Limits(refusals_per_second=5))
    delays = [addresses.refusal_delay("2.72.0.10", NOW) for _ in range(500)]
    assert delays[:50] == pytest.approx([0.0] * 50, abs=1e-5)
    assert delays[50] == pytest.approx(0.2, abs=1e-5)
    assert delays[60] == pytest.approx(2.2, abs=1e-5)
    assert delays[-1] == pytest.approx(LONGEST_DELAY)
    assert addresses.refusal_delay("2.72.0.11", NOW) == 0.0
    assert addresses.refusal_delay("2.72.0.10", NOW + 31) == 0.0


def test_an_ipv6_host_is_one_address() -> None:
    """C-121: whatever it takes for the lower 64 bits."""
    addresses = Addresses(Limits(refusals_per_second=1, connections_per_address=1))
    delays = [addresses.refusal_delay(f"2001:db8::{number:x}", NOW) for number in range(20)]
    assert delays[-1] == pytest.approx(10.0)
    assert addresses.refusal_delay("2001:db8:0:1::1", NOW) == 0.0
    assert addresses.enter("2001:db8::1")
    assert not addresses.enter("2001:db8::2")


def test_addresses_are_forgotten() -> None:
    """C-121: memory for them is bounded, and nothing is kept of connections that are gone."""
    addresses = Addresses(Limits())
    for number in range(110_000):
        addresses.refusal_delay(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", NOW)
    assert len(addresses._answered_until) == 100_000
    for _ in range(2):
        addresses.enter("10.0.0.1")
    for _ in range(2):
        addresses.leave("10.0.0.1")
    assert addresses._connections == {}


def guesser(pool: Pool, before: int) -> Client:
    """A connection from an address that was refused `before` times already."""
    for _ in range(before):
        pool.board.addresses.refusal_delay("10.0.0.1", pool.now)
    return Client(pool)


def test_a_guesser_waits_and_the_answer_still_comes() -> None:
    """C-121: with reason and cure, at its time, in the order of the requests; then there are seconds to read it."""
    pool = Pool(limited(refusals_per_second=5))
    client = guesser(pool, before=60)
    client.send(b'{"id":1,"method":"mining.authorize","params":["_"]}\n{"id":2,"method":"mining.ping"}\n')
    assert client.hear() == []
    client.session.tick(NOW + 2.1)
    assert client.hear() == []
    client.session.tick(NOW + 2.3)
    assert [message["id"] for message in client.hear()] == [1, 2]
    client.session.tick(NOW + 7.1)
    assert not client.session.ended
    client.session.tick(NOW + 7.3)
    assert client.session.ended
    assert hits(pool.board.counters.hits) == {"slowed-logins": 1}


def test_whoever_may_mine_is_not_held_up_by_a_guesser_at_the_same_address() -> None:
    """C-121: an admitted login is answered at once, and lets out what its own connection still waits for."""
    pool = Pool(limited(refusals_per_second=1))
    client = guesser(pool, before=100)
    client.send(b'{"id":1,"method":"mining.authorize","params":["_"]}\n{"id":2,"method":"mining.subscribe"}\n')
    assert client.hear() == []
    client.send(b'{"id":3,"method":"mining.authorize","params":["acme.rig07"]}\n')
    said = [message.get("method", message["id"]) for message in client.hear()]
    assert said == [1, 2, 3, "mining.set_difficulty", "mining.notify"]
    assert client.ask("mining.authorize", ["_"])[0] == 24, "nor is a connection that mines"


# Nothing but invalid shares.


def reject(client: Client, seconds: float, step: float = 1.0) -> None:
    """Nothing but shares for an unknown job, for so long."""
    end = client.pool.now + seconds
    while client.pool.now < end:
        client.pool.now += step
        client.send(
            b'{"id":4,"method":"mining.submit","params":["acme.rig07","1","0000000000000000","00000000","00000000"]}\n'
        )


def test_nothing_but_invalid_shares() -> None:
    """C-120: a job of its own after 60 s, with the difficulty said again, and the end after 180 s."""
    pool = Pool()
    client = pool.connect("acme.rig07")
    reject(client, 60)
    assert client.session not in pool.board.hurried
    reject(client, 2)
    assert client.session in pool.board.hurried
    client.hear()
    pool.board.reissue()
    client.session.send_job(pool.now)
    assert [message["method"] for message in client.hear()] == ["mining.set_difficulty", "mining.notify"]
    pool.board.hurried.clear()
    reject(client, 118)
    assert client.session not in pool.board.hurried, "once is enough"
    assert not client.session.ended
    reject(client, 2)
    assert client.session.ended
    assert hits(pool.board.counters.hits) == {"invalid-shares": 1}


def test_one_valid_share_begins_the_count_anew() -> None:
    """C-120: a miner with many rejects is a poor miner, and no abuse."""
    pool = Pool()
    client = pool.connect("acme.rig07")
    for number in range(4):
        reject(client, 170)
        client.hear()
        pool.publish()
        client.hear()
        assert client.submit(client.solve(extranonce2=number)) is True
    assert not client.session.ended


def test_a_few_late_shares_are_no_habit() -> None:
    """C-120: a slow miner whose two shares in five minutes both came late is left alone."""
    client = Pool().connect("acme.rig07")
    reject(client, 800, step=200)
    assert not client.session.ended


def test_while_there_is_no_work_nobody_is_ended_for_his_shares() -> None:
    """C-120: shares grow stale when the journal is ill, and that is not the miner's doing."""
    pool = Pool()
    client = pool.connect("acme.rig07")
    pool.board.handing_out = False
    reject(client, 400)
    assert not client.session.ended


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=80))
def test_the_ladder(steps: list[tuple[float, bool]]) -> None:
    """C-120: the end comes exactly where 180 s and some shares were all invalid."""
    conduct, now, since, count = Conduct(Limits(), 0.0), 0.0, 0.0, 0
    for pause, valid in steps:
        now += pause
        if valid:
            conduct.invalid = count = 0
            continue
        since = since if count else now
        count += 1
        assert (conduct.reject(now) is Step.END) is (count >= FEWEST_INVALID and now - since >= 180)


# Floods.


def test_a_flood_is_answered_with_more_difficulty_first() -> None:
    """C-122: long before the rate limit is met the difficulty has risen, and shares become rare."""
    pool = Pool()
    client = pool.connect("acme.rig07")
    for number in range(40):
        pool.now += 0.02
        assert client.submit(client.solve(extranonce2=number)) is True
    assert client.session in pool.board.hurried
    pool.board.reissue()
    client.session.send_job(pool.now)
    client.hear()
    assert client.difficulties[-1] >= 2.0**-24 * 8
    assert hits(pool.board.counters.hits) == {}


def test_a_flood_beyond_is_rate_limited_behind_the_block_test() -> None:
    """C-122: code 20 and no credit, but a block in it is a block; what was turned away may come again."""
    pool = Pool(limited(submits_per_second=1, submit_burst=2), work=False)
    pool.publish(target=BLOCK)
    client = pool.connect("acme.rig07")

    def no_block(value: int) -> bool:
        return BLOCK < value <= target_of(-24)

    def a_block(value: int) -> bool:
        return value <= BLOCK

    proofs = [client.solve(no_block, extranonce2=number) for number in range(3)]
    assert [client.submit(proof) for proof in proofs[:2]] == [True, True]
    assert client.submit(proofs[2]) == [20, "rate-limited", None]
    assert pool.blocks.events == []
    assert client.submit(client.solve(a_block, extranonce2=9)) == [20, "rate-limited", None]
    assert [event[0] for event in pool.blocks.events] == ["found", "recorded"]
    assert pool.board.counters.accepted == 2
    assert pool.board.counters.rejected["rate-limited"] == 2
    assert hits(pool.board.counters.hits) == {"rate-limited": 2}
    pool.now += 1.0
    assert client.submit(proofs[2]) is True
    assert client.submit(proofs[1]) == [20, "rate-limited", None]
    pool.now += 100.0
    assert client.submit(proofs[2]) == [22, "duplicate", None]


@given(st.integers(1, 50), st.floats(0.5, 20), st.lists(st.floats(0, 3), max_size=200))
def test_the_bucket(burst: int, rate: float, pauses: list[float]) -> None:
    """C-122: over any time no more pass than twice the burst and the rate; a slow miner never meets it."""
    conduct, now, passed = Conduct(Limits(submits_per_second=rate, submit_burst=burst), 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        passed += not conduct.floods(now)
        assert passed <= burst + now * rate + 1
    slow = Conduct(Limits(submits_per_second=rate, submit_burst=burst), 0.0)
    assert not any(slow.floods(number / rate * 1.001) for number in range(1, 300))


# The server.


@on_both_loops
async def test_connections_of_one_address_are_limited(loop: asyncio.AbstractEventLoop) -> None:
    """A further one is closed; when one ends there is room again; another address has its own."""
    async with serving(loop, limited(connections_per_address=2)) as served:
        first, second = await served.connect(), await served.miner()
        assert await (await served.connect()).rest() == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, local_addr=("127.0.0.2", 0))
        elsewhere = Wire(reader, writer)
        elsewhere.write({"id": 1, "method": "mining.ping"})
        assert (await elsewhere.read())["result"] == "pong"
        first.writer.close()
        await until(lambda: served.counters.connections == 2)
        await served.miner("beta.rig")
        assert hits(served.counters.hits) == {"address-connections": 1}
        second.writer.close()


@on_both_loops
async def test_the_address_of_a_header_is_the_one_that_counts(loop: asyncio.AbstractEventLoop) -> None:
    """C-117: one proxy brings many miners, and a flood from one of them does not shut out the others."""
    networks = (ip_network("127.0.0.1/32"),)
    async with serving(loop, limited(connections_per_address=1), proxies=networks) as served:
        wires = []
        for address in ("2.72.0.10", "2.72.0.11", "2.72.0.10"):
            wires.append(await served.connect())
            wires[-1].write(f"PROXY TCP4 {address} 10.0.0.1 1 2\r\n".encode() + b'{"id":1,"method":"mining.ping"}\n')
        assert (await wires[0].read())["result"] == (await wires[1].read())["result"] == "pong"
        assert await wires[2].rest() == b""
        assert hits(served.counters.hits) == {"address-connections": 1}


@on_both_loops
async def test_all_connections_are_limited(loop: asyncio.AbstractEventLoop) -> None:
    """C-008: above the number, or near the system's limit, a connection is accepted and closed at once.

    Another number holds as soon as it is set.
    """
    async with serving(loop, limited(connections=2)) as served:
        miners = [await served.miner(), await served.miner("beta.rig")]
        assert await (await served.connect()).rest() == b""
        miners[0].write(miners[0].share(5))
        assert (await miners[0].read())["result"] is True
        assert hits(served.counters.hits) == {"connections": 1}
        served.server.follow(limited(connections=3))
        await served.miner("gamma.rig")


@on_both_loops
async def test_of_those_not_ready_the_eldest_makes_room(loop: asyncio.AbstractEventLoop) -> None:
    """C-004: idle connections cannot lock out a miner, nor is one that mines ever sent away for them."""
    async with serving(loop, limited(unready_connections=3)) as served:
        miner = await served.miner()
        idle = [await served.connect() for _ in range(3)]
        await until(lambda: served.counters.connections == 4)
        await served.miner("beta.rig")
        assert await idle[0].rest() == b""
        assert served.counters.connections == 4
        miner.write(miner.share(5))
        assert (await miner.read())["result"] is True
        assert hits(served.counters.hits) == {"unready-connections": 1}


@on_both_loops
async def test_a_slow_reader_is_dropped_by_time(loop: asyncio.AbstractEventLoop) -> None:
    """C-005: also one whose few unsent bytes would stay below the limit for ever; the others are looked after."""
    async with serving(loop, limited(unsent_seconds=0.5, unsent_bytes=1 << 24)) as served:
        other = await served.miner("beta.rig")
        plug = socket.socket()
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plug.setblocking(False)
        await loop.sock_connect(plug, ("127.0.0.1", served.port))
        ping = b'{"id":"%b","method":"mining.ping"}\n' % (b"x" * 3000)
        handshake = b'{"id":1,"method":"mining.subscribe"}\n{"id":2,"method":"mining.authorize","params":["acme.a"]}\n'
        await loop.sock_sendall(plug, handshake + ping * 2000)
        await until(lambda: served.counters.ready == 2)
        # Its turn comes every 15 s; a clock that runs ahead brings it sooner.
        connections = [c for part in served.server._slices for c in part]
        await until(lambda: any(c._transport.get_write_buffer_size() for c in connections))
        for seconds in (1.0, 2.0):
            for connection in connections:
                connection.tick(loop.time() + seconds)
        await until(lambda: served.counters.connections == 1)
        assert hits(served.counters.hits) == {"unsent-seconds": 1}
        other.write(other.share(5, "beta.rig"))
        assert (await other.read())["result"] is True
        plug.close()


@on_both_loops
async def test_reading_pauses_at_the_answers_that_wait(loop: asyncio.AbstractEventLoop) -> None:
    """A limit that ends nothing is counted as well, once each time."""
    served = Served(slow=True, loop=loop, rules=limited(waiting_answers=3))
    wire = await served.miner()
    wire.write(b"".join(orjson.dumps(wire.share(number)) + b"\n" for number in range(5)))
    await until(lambda: len(served.journal.waiting) == 3)
    assert hits(served.counters.hits) == {"waiting-answers": 1}
    served.journal.settle()
    await until(lambda: len(served.journal.waiting) == 2)
    served.journal.settle()
    assert [(await wire.read())["id"] for _ in range(5)] == list(range(5))
    served.server.stop()


@on_both_loops
async def test_guessing_is_slowed_over_the_socket(loop: asyncio.AbstractEventLoop) -> None:
    """C-121: of one address over many connections; a good login from there is not held up."""
    async with serving(loop, limited(refusals_per_second=0.1)) as served:
        guesses = [await served.connect() for _ in range(5)]
        for number, wire in enumerate(guesses):
            wire.write({"id": 1, "method": "mining.authorize", "params": [f"_{number}"]})
        await until(lambda: sum(served.counters.refused.values()) == 5)
        await served.miner()
        assert (await guesses[0].read())["error"][0] == 24
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(guesses[1].reader.read(1), 1.5)
        assert served.counters.hits[Hit.SLOWED_LOGINS] == 4


@on_both_loops
async def test_accepting_can_pause(loop: asyncio.AbstractEventLoop) -> None:
    """Who is connected mines on; who connects meanwhile waits and is served afterwards."""
    async with serving(loop) as served:
        miner = await served.miner()
        served.server.pause()
        waiting = await served.connect()
        waiting.write({"id": 1, "method": "mining.ping"})
        miner.write(miner.share(5))
        assert (await miner.read())["result"] is True
        assert served.counters.connections == 1
        served.server.resume()
        assert (await waiting.read())["result"] == "pong"


@on_both_loops
async def test_accepting_can_be_refused(loop: asyncio.AbstractEventLoop) -> None:
    """C-103: new connections are turned away, so that miners use their other pool; later they are let in again."""
    # The system keeps a port for a socket that asked for it, and no other.
    async with serving(loop, port=free_ports(1)[0]) as served:
        miner = await served.miner()
        served.server.pause(refusing=True)
        with pytest.raises(ConnectionError):
            await served.connect()
        miner.write(miner.share(5))
        assert (await miner.read())["result"] is True
        served.server.close_connections()
        assert await miner.rest() == b""
        served.server.resume()
        await served.miner()


@on_both_loops
async def test_five_thousand_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """C-009: 5,000 connects in one moment all succeed and all get work; nobody is turned away."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 12_000:
        pytest.skip("needs 12,000 open files (ulimit -n)")
    async with serving(loop) as served:
        sockets = []
        for _ in range(5000):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", served.port))
            sockets.append(one)
        said = b'{"id":1,"method":"mining.subscribe"}\n{"id":2,"method":"mining.authorize","params":["acme.a"]}\n'
        for one in sockets:
            await loop.sock_sendall(one, said)
        await until(lambda: served.counters.ready == 5000)
        assert hits(served.counters.hits) == {}
        for one in sockets:
            one.close()
