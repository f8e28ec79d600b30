"""Found blocks of gateways that are other processes: the office takes them up from their directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from tarazy.accounting.blocks import BlockState
from tarazy.pool.blocks import ANSWER_SECONDS, FOLLOW_SECONDS, BlockStore, OnState
from tarazy.pool.chain.interface import Chain
from tarazy.pool.clock import Clock
from tarazy.pool.followed import FollowedBlocks
from tests.pool.mining import POOL_SCRIPT, solve
from tests.pool.test_blocks import Kept, name_of


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """A gateway's store, which is not started: others follow it."""
    made = Kept(tmp_path / "blocks" / "gateway-3")
    made.open()
    yield made
    made.store.stop()
    made.chain.close()


@pytest.fixture
def followed(kept: Kept) -> FollowedBlocks:
    """The office's view of all gateways on the same chain and clock."""

    def make_store(path: Path, hear: OnState) -> BlockStore:
        return BlockStore(path / "blocks", cast(Chain, kept.direct), cast(Clock, kept.clock), POOL_SCRIPT, hear)

    return FollowedBlocks(kept.directory.parent.parent, make_store)


def test_block_of_another_process_is_followed(kept: Kept, followed: FollowedBlocks) -> None:
    """Its gateway submits it, once; the office takes it up, follows it to the chain and archives it."""
    followed.look()
    assert followed.blocks() == []
    block = solve(kept.chain.template())
    kept.store.found(block)
    followed.look()
    kept.clock.advance(FOLLOW_SECONDS)
    assert [(each.block_hash, each.state) for each in followed.blocks()] == [(name_of(block), BlockState.CONNECTED)]
    assert len(kept.direct.seen) == 1
    followed.archive(name_of(block))
    followed.look()
    assert followed.blocks() == []
    assert (kept.directory / "settled" / f"{name_of(block)}.block").exists()


def test_block_without_an_answer_is_left_to_its_gateway_for_a_while(kept: Kept, followed: FollowedBlocks) -> None:
    """C-114: a gateway that died between the file and the answer is stood in for by the office."""
    followed.look()
    kept.direct.away = True
    block = solve(kept.chain.template())
    kept.store.found(block)
    kept.store.stop()
    kept.direct.away = False
    followed.look()
    assert followed.blocks() == []
    path = kept.directory / f"{name_of(block)}.block"
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - ANSWER_SECONDS))
    followed.look()
    kept.clock.advance(FOLLOW_SECONDS)
    assert [each.state for each in followed.blocks()] == [BlockState.CONNECTED]


def test_what_cannot_be_read_keeps_nobody_from_the_other_blocks(kept: Kept, followed: FollowedBlocks) -> None:
    """C-115: a directory or a file without rights among the found blocks is told once and passed over."""
    (kept.directory / f"{'0' * 64}.block").mkdir()
    block = solve(kept.chain.template())
    kept.store.found(block)
    with capture_logs() as lines:
        followed.look()
        kept.clock.advance(FOLLOW_SECONDS)
        followed.look()
    assert [each.block_hash for each in followed.blocks()] == [name_of(block)]
    assert [line["block"] for line in lines if line["event"] == "block_not_readable"] == ["0" * 64]
