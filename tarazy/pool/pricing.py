"""The average fee of rounds of FPPS: asked of the chain block by block, and written into the round."""

from __future__ import annotations

from pathlib import Path

import structlog
from sqlalchemy import Connection
from twisted.internet.threads import deferToThread

from tarazy.accounting.paid_blocks import PaidBlock, Unpriced, before, keep, paid_block, price, unpriced
from tarazy.accounting.worth import halving_blocks, subsidy
from tarazy.database.engine import Database
from tarazy.pool.chain.interface import Chain
from tarazy.pool.chain.transactions import block_coinbase, block_hash, coinbase_height
from tarazy.pool.proving import block_row, previous_of, read_block
from tarazy.stratum.job import displayed

_log = structlog.get_logger()


class Pricing:
    """Prices the rounds that wait for it, one after the other. A block once asked for is kept."""

    def __init__(self, database: Database, chain: Chain, blocks: Path) -> None:
        """`blocks`: the directory in which the gateways keep what they found."""
        self._database = database
        self._chain = chain
        self._blocks = blocks
        self._stopped = False

    async def price(self) -> None:
        """Once. What the chain does not answer is asked again the next time."""
        for each in await self._database.run(unpriced):
            parent = previous_of(read_block(self._blocks, each.block_hash))
            while (missing := await self._database.run(_price, each, parent)) is not None:
                if self._stopped or not await self._fetch(*missing):
                    return

    async def _fetch(self, name: str, count: int) -> bool:
        """Keep a block and up to `count` in all backwards, as far as one that is kept; whether the chain had them."""
        for _ in range(count):
            raw = await self._chain.block(bytes.fromhex(name)[::-1])
            if raw is None:
                _log.warning("fees_not_known", missing=name, cure="give the node, or one more, this block: unpruned")
                return False
            block = await deferToThread(paid, raw)
            await self._database.run(keep, block)
            name = block.previous
            if self._stopped or await self._database.run(paid_block, name) is not None:
                break
        return True

    def stop(self) -> None:
        """Ask for no more blocks."""
        self._stopped = True


def _price(connection: Connection, round_: Unpriced, parent: str) -> tuple[str, int] | None:
    """Write the average fee into a round, or name the newest block that is missing for it and how many may be."""
    blocks = list(before(connection, parent, round_.count))
    if len(blocks) < round_.count:
        return blocks[-1].previous if blocks else parent, round_.count - len(blocks)
    average = price(connection, round_.round, blocks)
    _log.info("round_priced", round=round_.round, average_fee=average, blocks=len(blocks))
    return None


def paid(block: bytes) -> PaidBlock:
    """What of a serialised block tells its fees. Raises ValueError when it cannot be decoded."""
    coinbase = block_coinbase(block)
    height, nbits = coinbase_height(coinbase), int.from_bytes(block[72:76], "little")
    fees = sum(output.value for output in coinbase.outputs) - subsidy(height, halving_blocks(nbits))
    return PaidBlock(displayed(block_hash(block)), previous_of(block), height, max(0, fees), block_row(block))
