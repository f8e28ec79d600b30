"""Found blocks: durable first, then submitted, then followed on a real chain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs
from twisted.internet import task
from twisted.internet.defer import Deferred, fail, succeed

from tarazy.accounting.blocks import BlockState
from tarazy.pool.blocks import FOLLOW_SECONDS, BlockStore, reward_of
from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.interface import Chain, Submission, SubmitVerdict, Template, Tip
from tarazy.pool.chain.regtest import RegtestChain
from tarazy.pool.chain.transactions import ANYONE_CAN_SPEND
from tarazy.pool.clock import Clock
from tests.pool.mining import POOL_SCRIPT, hash_of, solve

SUBSIDY = 50 * 10**8


class DirectChain:
    """The real chain, answering at once; it can be away, and remembers what was on disk when it was asked."""

    def __init__(self, chain: RegtestChain, blocks: Path) -> None:
        self.chain = chain
        self.blocks = blocks
        self.away = False
        self.forgetful = False
        self.asked: list[bytes] = []
        self.seen: list[list[str]] = []
        self.listeners: list[object] = []

    def submit(self, block: bytes) -> Deferred[Submission]:
        if self.away:
            return fail(OSError("node away"))
        self.seen.append(sorted(path.name for path in self.blocks.iterdir()))
        return succeed(self.chain.submit(block))

    def tip(self) -> Deferred[Tip]:
        return succeed(self.chain.engine.tip())

    def confirmations(self, block_hash: bytes) -> Deferred[int | None]:
        self.asked.append(block_hash)
        return succeed(None if self.forgetful else self.chain.engine.confirmations(block_hash))

    def on_tip(self, listener: object) -> None:
        self.listeners.append(listener)


class Kept:
    """A store of found blocks on a real chain, a clock of the test's, and what it told."""

    def __init__(self, root: Path) -> None:
        self.chain = RegtestChain(root / "chain", -32)
        self.directory = root / "blocks"
        self.clock = task.Clock()
        self.told: list[tuple[str, str, int]] = []
        self.fails = False
        self.open()

    def open(self) -> None:
        """Begin as after a restart."""
        self.directory.mkdir(exist_ok=True)
        self.direct = DirectChain(self.chain, self.directory)
        self.store = BlockStore(
            self.directory,
            cast(Chain, self.direct),
            cast(Clock, self.clock),
            POOL_SCRIPT,
            self.hear,
        )

    def hear(self, name: str, state: BlockState, confirmations: int) -> None:
        """What accounting would listen to."""
        if self.fails:
            raise RuntimeError("the ledger is away")
        self.told.append((name, str(state), confirmations))

    def follow(self) -> None:
        """The tip changed; let the round of questions come."""
        self.store._wake()
        self.clock.advance(FOLLOW_SECONDS)

    def rest_of_network(self, blocks: int) -> None:
        """Somebody else mines."""
        for number in range(blocks):
            block = build_block(self.chain.template(), ANYONE_CAN_SPEND, b"%d" % number)
            assert self.chain.relay(block).verdict is SubmitVerdict.ACCEPTED

    def states(self) -> list[str]:
        """The states told, in order."""
        return [state for _, state, _ in self.told]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """A store that was started on a fresh chain."""
    made = Kept(tmp_path)
    made.store.start()
    yield made
    made.store.stop()
    made.chain.close()


def name_of(block: bytes) -> str:
    """A block's hash as displayed."""
    return hash_of(block)[::-1].hex()


def orphan(kept: Kept, template: Template, block: bytes) -> Template:
    """Two blocks on the parent of `block`; the template to go on with `block`'s side."""
    rival = build_block(template, ANYONE_CAN_SPEND, b"rival")
    kept.chain.relay(rival)
    above = replace(
        template, height=template.height + 1, previous_block_hash=hash_of(rival), curtime=template.curtime + 1
    )
    assert kept.chain.relay(build_block(above, ANYONE_CAN_SPEND, b"rival")).verdict is SubmitVerdict.ACCEPTED
    return replace(above, previous_block_hash=hash_of(block))


def test_block_is_on_disk_before_it_is_submitted(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 5, C-110: file, then its directory, are synced before the chain is asked for the first time."""
    synced: list[tuple[bool, bool]] = []

    def sync(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").resolve().is_dir(), bool(kept.direct.seen)))

    monkeypatch.setattr(os, "fsync", sync)
    block = solve(kept.chain.template())
    kept.store.found(block)
    assert synced[:2] == [(False, False), (True, False)]
    name = name_of(block)
    assert kept.direct.seen == [[f"{name}.block", f"{name}.json"]]
    assert (kept.directory / f"{name}.block").read_bytes() == block


def test_accepted_block_is_followed_to_maturity(kept: Kept) -> None:
    """found, submitted, connected with rising confirmations, mature at 100; reward and height are read from it."""
    block = solve(kept.chain.template())
    found = kept.store.found(block)
    assert (found.height, found.reward, found.state) == (102, SUBSIDY, BlockState.SUBMITTED)
    kept.follow()
    kept.rest_of_network(98)
    kept.follow()
    kept.rest_of_network(1)
    kept.follow()
    kept.rest_of_network(1)
    kept.follow()
    assert [(state, count) for _, state, count in kept.told] == [
        ("found", 0),
        ("submitted", 0),
        ("connected", 1),
        ("connected", 99),
        ("mature", 100),
    ]


def test_changes_of_the_tip_are_followed_together(kept: Kept) -> None:
    """A burst of tips within a second is one round of questions."""
    kept.store.found(solve(kept.chain.template()))
    kept.follow()
    told = len(kept.told)
    for _ in range(10):
        kept.rest_of_network(1)
        kept.store._wake()
    kept.clock.advance(FOLLOW_SECONDS)
    assert [count for _, _, count in kept.told[told:]] == [11]


def test_orphan_is_told_and_may_return(kept: Kept) -> None:
    """C-115, C-116: a block off the main chain is orphaned, and connected again when its side wins."""
    template = kept.chain.template()
    block = solve(template)
    kept.store.found(block)
    kept.follow()
    ours = orphan(kept, template, block)
    kept.follow()
    assert kept.told[-1][1:] == ("orphaned", -1)
    first = build_block(ours, ANYONE_CAN_SPEND, b"ours")
    second = replace(ours, height=ours.height + 1, previous_block_hash=hash_of(first))
    kept.chain.relay(first)
    kept.chain.relay(build_block(second, ANYONE_CAN_SPEND, b"ours"))
    kept.follow()
    assert kept.told[-1][1:] == ("connected", 3)


def test_orphan_is_not_followed_for_ever(kept: Kept) -> None:
    """A hundred blocks above an orphan nobody asks for it any more."""
    template = kept.chain.template()
    block = solve(template)
    kept.store.found(block)
    kept.follow()
    orphan(kept, template, block)
    kept.follow()
    kept.rest_of_network(101)
    told = len(kept.told)
    kept.direct.asked.clear()
    kept.follow()
    assert kept.told[told:] == []
    assert kept.direct.asked == []


def test_rival_at_equal_height_is_not_a_loss(kept: Kept) -> None:
    """`inconclusive` stays submitted while the heights are equal, and connects when its side wins."""
    template = kept.chain.template()
    kept.chain.relay(build_block(template, ANYONE_CAN_SPEND, b"first"))
    block = solve(template)
    kept.store.found(block)
    kept.follow()
    assert kept.states() == ["found", "submitted"]
    above = replace(template, height=103, previous_block_hash=hash_of(block), curtime=template.curtime + 1)
    assert kept.chain.relay(build_block(above, ANYONE_CAN_SPEND, b"x")).verdict is SubmitVerdict.ACCEPTED
    kept.follow()
    assert kept.told[-1][1:] == ("connected", 2)


def test_refused_block_is_kept_with_the_engines_reason(kept: Kept) -> None:
    """It is told as rejected, its file stays, its reason stands beside it, also after a restart."""
    block = solve(kept.chain.template(), root=bytes(32))
    kept.store.found(block)
    assert kept.states() == ["found", "rejected"]
    assert kept.store.blocks()[0].reason == "bad-txnmrklroot"
    kept.open()
    assert kept.store.blocks()[0].reason == "bad-txnmrklroot"
    kept.store.start()
    assert kept.direct.seen == []


def test_same_block_is_kept_and_submitted_once(kept: Kept) -> None:
    """C-089: a second report of the same block changes nothing."""
    block = solve(kept.chain.template())
    kept.store.found(block)
    kept.store.found(block)
    assert len(kept.direct.seen) == 1
    assert len(kept.store.blocks()) == 1


def test_submission_without_an_answer_is_repeated(kept: Kept) -> None:
    """While the chain is away the block stays found and is submitted again after pauses."""
    kept.direct.away = True
    kept.store.found(solve(kept.chain.template()))
    kept.clock.advance(0.5)
    assert kept.states() == ["found"]
    kept.direct.away = False
    kept.clock.advance(1.0)
    assert kept.states() == ["found", "submitted"]


def test_undecided_block_is_submitted_again_at_start(tmp_path: Path) -> None:
    """C-114: after a crash between the write and the answer the block is submitted and told anew."""
    kept = Kept(tmp_path)
    kept.direct.away = True
    kept.store.found(solve(kept.chain.template()))
    kept.store.stop()
    kept.told.clear()
    kept.open()
    kept.store.start()
    kept.follow()
    assert kept.states() == ["found", "submitted", "connected"]
    kept.store.stop()
    kept.chain.close()


def test_block_file_alone_is_enough(tmp_path: Path) -> None:
    """After a crash before anything was written beside it, height and reward are read from the block."""
    kept = Kept(tmp_path)
    block = solve(kept.chain.template())
    (kept.directory / f"{name_of(block)}.block").write_bytes(block)
    (kept.directory / f"{name_of(block)}.json").write_text('{"state": ')
    (kept.directory / "half.block.partial").write_bytes(block[:50])
    kept.open()
    kept.store.start()
    (only,) = kept.store.blocks()
    assert (only.height, only.reward, only.state) == (102, SUBSIDY, BlockState.SUBMITTED)
    kept.store.stop()
    kept.chain.close()


def test_block_the_chain_lost_is_submitted_again(tmp_path: Path) -> None:
    """A chain that no longer knows a block it took gets it again."""
    kept = Kept(tmp_path)
    kept.store.start()
    block = solve(kept.chain.template())
    kept.store.found(block)
    kept.direct.forgetful = True
    kept.follow()
    assert kept.states() == ["found", "submitted", "unknown", "submitted"]
    kept.store.stop()
    kept.chain.close()


def test_full_disk_does_not_keep_a_block_from_the_chain(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it cannot be written, it is submitted all the same."""

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    kept.store.found(solve(kept.chain.template()))
    assert kept.states() == ["found", "submitted"]


def test_listener_that_fails_does_not_stop_the_following(kept: Kept) -> None:
    """A fault behind the callback is logged; the block is followed on."""
    kept.fails = True
    kept.store.found(solve(kept.chain.template()))
    kept.follow()
    assert kept.store.blocks()[0].state is BlockState.CONNECTED


def test_archived_block_is_forgotten_and_its_files_kept(kept: Kept) -> None:
    """What is booked for good does not weigh on the next start."""
    block = solve(kept.chain.template())
    kept.store.found(block)
    kept.store.archive(name_of(block))
    kept.open()
    assert kept.store.blocks() == []
    assert (kept.directory / "settled" / f"{name_of(block)}.block").read_bytes() == block


def test_reward_is_what_the_pools_script_receives(kept: Kept) -> None:
    """Read from the block; another's block pays us nothing, junk is an error."""
    template = kept.chain.template()
    assert reward_of(solve(template), POOL_SCRIPT) == SUBSIDY
    assert reward_of(build_block(template, ANYONE_CAN_SPEND, b"x"), POOL_SCRIPT) == 0
    for junk in (b"", bytes(81), b"\xff" * 90):
        with pytest.raises(ValueError, match=r"not a|without"):
            reward_of(junk, POOL_SCRIPT)


def test_a_chain_that_is_away_is_asked_less_and_less(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-097: following goes on by itself when the chain is back, without a busy loop, and is told once."""
    block = solve(kept.chain.template())
    name = name_of(block)
    kept.store.found(block)
    asked: list[float] = []

    def away() -> Deferred[Tip]:
        asked.append(kept.clock.seconds())
        return fail(OSError("node away"))

    monkeypatch.setattr(kept.direct, "tip", away)
    with capture_logs() as logs:
        kept.follow()
        for _ in range(600):
            kept.clock.advance(0.1)
    assert 5 <= len(asked) <= 9
    assert [each["event"] for each in logs].count("block_follow_failed") == 1
    monkeypatch.undo()
    kept.clock.advance(15)
    found = kept.store.get(name)
    assert found is not None
    assert found.state is BlockState.CONNECTED
