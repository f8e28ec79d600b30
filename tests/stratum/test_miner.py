"""The miner without a socket, wired to a session in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tarazy.stratum.difficulty import target_of
from tarazy.stratum.miner import MinerSession, search
from tarazy.stratum.share import hash_value
from tests.stratum.house import EASY, RULES, Client, Pool


def wire_up(pool: Pool, login: str = "acme.rig07") -> tuple[MinerSession, Client]:
    """A miner and the pool's end, handshake done."""
    miner, client = MinerSession(login, "x"), Client(pool)
    client.send(miner.greeting())
    miner.receive(client.session.output())
    return miner, client


def test_search_finds_the_first_nonce() -> None:
    """As plain hashing does, and nothing where there is nothing."""
    header = bytes(range(76))
    target = target_of(EASY)
    expected = next(n for n in range(10_000) if hash_value(header + n.to_bytes(4, "little")) <= target)
    assert search(header, 0, 10_000, target) == expected
    assert search(header, 0, expected, target) is None
    assert search(header, expected, 1, target) == expected
    assert search(header, (1 << 32) - 5, 100, 0) is None


def test_both_ends_agree() -> None:
    """Every share the miner finds is accepted, over several jobs with rolled versions."""
    pool = Pool(replace(RULES, maximum=EASY))
    miner, client = wire_up(pool)
    versions = set()
    for _ in range(4):
        found = 0
        while found < 5:
            submit = miner.search(1000)
            if submit:
                client.send(submit)
                assert [event["event"] for event in miner.receive(client.session.output())] == ["accepted"]
                found += 1
        versions.add(pool.journal.shares[-1].version)
        pool.publish()
        client.session.send_job(pool.now)
        miner.receive(client.session.output())
    assert len(versions) == 4


def test_refusal_is_an_event() -> None:
    """With the pool's own words."""
    pool = Pool()
    pool.gate.refusals["acme.rig07"] = "no licence in force"
    miner, client = MinerSession("acme.rig07", "x"), Client(pool)
    client.send(miner.greeting())
    events = miner.receive(client.session.output())
    assert events == [{"event": "refused", "text": "unauthorized: no licence in force"}]
    assert miner.job is None


@pytest.mark.parametrize("line", [b"[]\n", b"junk\n", b'{"method":"mining.notify","params":["x"]}\n'])
def test_a_pool_that_speaks_something_else(line: bytes) -> None:
    """It is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - of orjson, of unpacking, or ours
        MinerSession("acme.rig07", "x").receive(line)
