"""Whole blocks for a regtest chain: its first ones, and those of the rest of a demo network."""

from __future__ import annotations

from itertools import count

from tarazy.pool.chain.interface import Template
from tarazy.pool.chain.transactions import (
    Output,
    assemble_block,
    coinbase_transaction,
    height_push,
    push,
)
from tarazy.stratum.job import double_sha256, merkle_branch, merkle_root

REGTEST_NBITS = 0x207FFFFF
REGTEST_TARGET = 0x7FFFFF << 232
MATURITY = 100
"""A coinbase is spendable in the block so many above its own."""
BLOCK_VERSION = 0x20000000


def build_block(template: Template, script: bytes, extra: bytes) -> bytes:
    """A block at regtest's own target that pays `script`.

    `extra`, 1 to 75 bytes, stands in the coinbase and keeps it unlike others.
    """
    coinbase = coinbase_transaction(
        height_push(template.height) + push(extra),
        [Output(template.coinbase_value, script), Output(0, template.witness_commitment)],
        template.height - 1,
    )
    root = merkle_root(coinbase, merkle_branch([each.txid for each in template.transactions]))
    head = b"".join(
        (
            template.version.to_bytes(4, "little") + template.previous_block_hash + root,
            template.curtime.to_bytes(4, "little") + template.nbits.to_bytes(4, "little"),
        )
    )
    for nonce in count():
        header = head + nonce.to_bytes(4, "little")
        if int.from_bytes(double_sha256(header), "little") <= REGTEST_TARGET:
            break
    return assemble_block(header, coinbase, [each.data for each in template.transactions])
