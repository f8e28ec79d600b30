"""Miners over a restart of the server: a planned one loses nothing, and after none anything is credited twice."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tarazy.accounting.journal_file import JournalReader
from tarazy.pool.bench.transactions import fill_pending
from tarazy.pool.chain.bitcoind.template import parse_template
from tarazy.pool.chain.transactions import decode_transaction
from tarazy.pool.demo import network
from tarazy.stratum.difficulty import target_of
from tarazy.stratum.miner import MinerJob, search
from tarazy.stratum.share import Verdict, header_of
from tests.forked import run_forked
from tests.pool.house import Client, House, wait_until
from tests.pool.mining import spend
from tests.pool.test_server import accounted

USER = "altyn.rig"
BLOCK_EXPONENT = -20
"""Every 4096th hash is a block."""
Share = tuple[str, ...]


class Miner(Client):
    """A connection that shows a session id, and knows its extranonce1."""

    def __init__(self, house: House, session_id: str | None = None) -> None:
        super().__init__(house.stratum_port)
        (_, (_, self.session_id)), extranonce1, _ = self.call("mining.subscribe", "test", session_id)["result"]
        self.extranonce1 = bytes.fromhex(extranonce1)
        assert self.call("mining.authorize", USER, "x")["result"] is True
        while not self.job:
            assert self.read() is not None

    def send_share(self, share: Share) -> Any:
        """True, or the code and the first word of the error."""
        answer = self.call("mining.submit", *share)
        return answer["result"] or (answer["error"][0], answer["error"][1].split(":")[0])

    def block(self, target: int) -> Share:
        """A share of the present job that is a block."""
        job = MinerJob.of(self.job)
        for extranonce2 in range(1 << 32, (1 << 32) + 100):
            wire = extranonce2.to_bytes(8, "big")
            coinbase = job.coinb1 + self.extranonce1 + wire + job.coinb2
            header = header_of(coinbase, job.branch, job.version, job.previous_block_hash, job.ntime, job.nbits, 0)
            nonce = search(header[:76], 0, 4_096, target)
            if nonce is not None:
                return USER, job.job_id, wire.hex(), f"{job.ntime:08x}", f"{nonce:08x}"
        raise AssertionError


def credited(house: House) -> Counter[tuple[object, ...]]:
    """How often each piece of work stands in the journal as accepted."""
    reader = JournalReader(house.settings.journal_path, house.settings.gateway)
    try:
        shares = [share for _, share in reader.shares() if share.verdict == Verdict.ACCEPTED]
        names = reader.names({share.name for share in shares})
    finally:
        reader.close()
    return Counter(
        (names[share.name].extranonce1, share.job, share.extranonce2, share.ntime, share.nonce, share.version)
        for share in shares
    )


def key(miner: Miner, share: Share) -> tuple[object, ...]:
    """A share as `credited` names it."""
    _, job, extranonce2, ntime, nonce = share
    version = 0x20000000
    return miner.extranonce1, int(job, 16), bytes.fromhex(extranonce2), int(ntime, 16), int(nonce, 16), version


def add_pending(peer: str) -> None:
    """Let one more transaction wait, so that the next template is another than that of the job in hand."""
    call = network.Client(peer)
    parent = parse_template(call("getblocktemplate", {"rules": ["segwit"]})).transactions[0]
    value = decode_transaction(parent.data).outputs[0].value
    call("sendrawtransaction", spend(parent.txid + bytes(4), value).hex())


def test_nothing_in_flight_is_lost_over_a_planned_restart(build_house: Callable[..., House]) -> None:
    """C-091, C-090, C-084, C-094: same extranonce1, old work credited once, and a block on it is still a block."""
    house = build_house(block_difficulty=2.0**BLOCK_EXPONENT)
    house.start()
    peer = f"http://127.0.0.1:{house.peer_port}/"
    fill_pending(peer, 3)
    miner = Miner(house)
    while len(miner.job[4]) != 2:
        assert miner.read() is not None
    before, late, block = miner.share(USER), miner.share(USER), miner.block(target_of(BLOCK_EXPONENT))
    assert miner.send_share(before) is True
    add_pending(peer)
    assert house.stop() == 0
    handover = house.settings.journal_path.with_suffix(".handover")
    assert handover.stat().st_size > 0

    house.start()
    assert not handover.exists()
    again = Miner(house, miner.session_id)
    assert again.extranonce1 == miner.extranonce1
    assert again.session_id == miner.session_id
    assert again.send_share(before) == (22, "duplicate")
    assert again.send_share(late) is True
    assert again.send_share(late) == (22, "duplicate")
    known = set(accounted(house))
    assert again.send_share(block) is True
    (name,) = wait_until(lambda: set(accounted(house)) - known)
    wait_until(lambda: accounted(house)[name] == "connected")
    assert house.stop() == 0
    kept = credited(house)
    assert [kept[key(miner, share)] for share in (before, late, block)] == [1, 1, 1]
    assert max(kept.values()) == 1


def test_killed_the_server_still_gives_extranonce1_back(build_house: Callable[..., House]) -> None:
    """C-091, C-092: old jobs are unknown then, so nothing is credited twice; a second one with the id gets its own."""
    house = build_house()
    house.start()
    miner, other = Miner(house), Miner(house)
    before, late = miner.share(USER), miner.share(USER)
    assert miner.send_share(before) is True
    house.kill()

    house.start()
    fresh = Miner(house)
    again, copy = Miner(house, miner.session_id), Miner(house, miner.session_id)
    assert again.extranonce1 == miner.extranonce1
    assert len({each.extranonce1 for each in (fresh, again, copy, miner, other)}) == 4
    assert again.send_share(before) == (21, "unknown-job")
    assert again.send_share(late) == (21, "unknown-job")
    assert again.send_share(again.share(USER)) is True
    assert house.stop() == 0
    assert max(credited(house).values()) == 1


def test_what_is_left_behind_and_damaged_does_not_hinder_a_start(build_house: Callable[..., House]) -> None:
    """A handover file that cannot be read is as good as none, and says so in the log."""
    house = build_house()
    house.start()
    miner = Miner(house)
    assert house.stop() == 0
    handover = house.settings.journal_path.with_suffix(".handover")
    handover.write_bytes(handover.read_bytes()[:40])
    house.start()
    assert "handover_not_read" in house.log.read_text()
    again = Miner(house, miner.session_id)
    assert again.extranonce1 == miner.extranonce1
    assert again.send_share(again.share(USER)) is True


def test_a_start_that_fails_keeps_what_was_left(build_house: Callable[..., House]) -> None:
    """C-094: the port is taken, the operator frees it and starts again; nothing was lost in between."""
    house = build_house()
    house.start()
    miner = Miner(house)
    late = miner.share(USER)
    assert house.stop() == 0
    miner.close()
    with socket.create_server(("127.0.0.1", house.stratum_port)):
        failed = run_forked("tarazy", "serve", "-c", str(house.prepared.path))
    assert failed.returncode == 1
    house.start()
    assert Miner(house, miner.session_id).send_share(late) is True


def test_the_key_of_session_ids_is_its_owners_alone(standing_house: House) -> None:
    """Who could read it could take over the work of others."""
    secret = standing_house.settings.journal_path.with_suffix(".secret")
    assert len(secret.read_bytes()) == 32
    assert os.stat(secret).st_mode & 0o077 == 0


class Persistent(threading.Thread):
    """A miner that comes back after every loss and sends again what was not answered, as cgminer does."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.answered: list[tuple[object, ...]] = []
        self.resumed = 0
        self.ending = threading.Event()
        self._open: list[tuple[Miner, Share]] = []
        self._last: Miner | None = None

    def run(self) -> None:
        """Mine until told to end."""
        while not self.ending.is_set():
            try:
                self._mine()
            except (OSError, AssertionError, TypeError):
                time.sleep(0.05)

    def _mine(self) -> None:
        miner = Miner(self.house, self._last.session_id if self._last else None)
        if self._last is not None and miner.extranonce1 == self._last.extranonce1:
            self.resumed += 1
        else:
            self._open = []
        self._last = miner
        for made_by, share in list(self._open):
            self._submit(miner, made_by, share)
        while not self.ending.is_set():
            share = miner.share(USER)
            self._open = [(miner, share)]
            self._submit(miner, miner, share)

    def _submit(self, miner: Miner, made_by: Miner, share: Share) -> None:
        if miner.send_share(share) in (True, (22, "duplicate")):
            self.answered.append(key(made_by, share))
        self._open = []


def _reached(miners: list[Persistent], goal: list[int]) -> bool:
    return all(len(miner.answered) >= least for miner, least in zip(miners, goal, strict=True))


@pytest.mark.parametrize("way", ["planned", "killed"])
def test_restarts_under_load(build_house: Callable[..., House], way: str) -> None:
    """C-094: no answered share is lost and none is credited twice, with miners that resend."""
    house = build_house()
    luck = random.Random(way)
    house.start()
    miners = [Persistent(house) for _ in range(4)]
    for miner in miners:
        miner.start()
    for _ in range(2):
        goal = [len(miner.answered) + 20 for miner in miners]
        wait_until(partial(_reached, miners, goal), 60)
        time.sleep(luck.uniform(0.0, 0.2))
        if way == "planned":
            assert house.stop() == 0
        else:
            house.kill()
        house.start()
    wait_until(lambda: all(miner.resumed >= 2 for miner in miners), 60)
    for miner in miners:
        miner.ending.set()
    for miner in miners:
        miner.join()
    assert house.stop() == 0
    kept = credited(house)
    answered = [each for miner in miners for each in miner.answered]
    assert len(answered) > 100
    assert not [each for each in answered if each not in kept]
    assert max(kept.values()) == 1
