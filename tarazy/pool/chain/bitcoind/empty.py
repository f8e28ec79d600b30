"""A template without transactions on a new best block, to work on until the node has made a whole one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tarazy.accounting.worth import HALVING_BLOCKS, REGTEST_HALVING_BLOCKS, subsidy
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.interface import Template
from tarazy.pool.chain.transactions import witness_commitment

HALVING_INTERVALS = {"main": HALVING_BLOCKS, "signet": HALVING_BLOCKS, "regtest": REGTEST_HALVING_BLOCKS}
"""Blocks between halvings, by network. Not of testnet4: there each block may have another nbits (BIP94)."""
DIFFICULTY_PERIOD = 2016
"""Blocks of one nbits. What a version must have changes between such periods too (BIP9)."""


@dataclass(frozen=True, slots=True)
class BestBlock:
    """The tip of a node's valid chain, as far as a block on it depends on it."""

    block_hash: bytes
    """Internal byte order."""
    height: int
    median_time: int
    """Median of the times of the eleven blocks up to and including this one (BIP113)."""
    nbits: int
    work: int
    """Hashes expected behind the whole chain."""


def read_best(block_hash: bytes, words: Any) -> BestBlock | None:
    """From getblockheader's result on `block_hash`; None when that is not the tip. Raises `NodeError`."""
    try:
        best = BestBlock(
            block_hash,
            height=int(words["height"]),
            median_time=int(words["mediantime"]),
            nbits=int(words["bits"], 16),
            work=int(words["chainwork"], 16),
        )
        return best if words["confirmations"] == 1 else None
    except (KeyError, TypeError, ValueError) as error:
        raise NodeError(Fault.NOT_JSON, f"getblockheader lacks something: {error!r}") from error


def empty_template(best: BestBlock, last: Template, now: int, halving_interval: int) -> Template | None:
    """The template for a block of nothing but a coinbase on `best`, with version and nbits of `last`.

    None where these may be others: when the block does not come after `last` in the same difficulty period, or comes
    on a branch with another difficulty. `now` in Unix seconds.
    """
    height = best.height + 1
    if height <= last.height or height // DIFFICULTY_PERIOD != last.height // DIFFICULTY_PERIOD:
        return None
    if best.nbits != last.nbits:
        return None
    mintime = best.median_time + 1
    return replace(
        last,
        height=height,
        previous_block_hash=best.block_hash,
        curtime=max(now, mintime),
        mintime=mintime,
        coinbase_value=subsidy(height, halving_interval),
        witness_commitment=witness_commitment(()),
        transactions=(),
    )
