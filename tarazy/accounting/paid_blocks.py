"""The chain's own blocks before one of FPPS, and the average of their transaction fees that its round is paid by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tarazy.accounting import tables
from tarazy.accounting.blocks import settled_round
from tarazy.accounting.schemes import average_fee


@dataclass(frozen=True, slots=True)
class PaidBlock:
    """A block of the chain, whoever found it."""

    block_hash: str
    """As displayed, like `previous`."""
    previous: str
    height: int
    fees: int
    """Satoshi that its coinbase pays out beyond the subsidy; 0 where it pays less."""
    proof: dict[str, Any]
    """Header, coinbase without witness and merkle branch, in hex."""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A round of FPPS whose average fee is not known yet."""

    round: int
    block_hash: str
    count: int
    """Blocks before it that count: fewer than its terms say at the beginning of a chain, whose first block has none."""


def unpriced(connection: Connection) -> list[Unpriced]:
    """The closed rounds of FPPS that wait for their average fee, in order. No round that waits is settled."""
    table, block = tables.round_, tables.block
    query = (
        select(table.c.round, table.c.fee_blocks, block.c.block_hash, block.c.height)
        .join(block, block.c.round == table.c.round)
        .where(table.c.round > settled_round(connection))
        .where(table.c.fee_blocks.is_not(None), table.c.average_fee.is_(None))
        .order_by(table.c.round)
    )
    return [
        Unpriced(row.round, row.block_hash, min(row.fee_blocks, row.height - 1)) for row in connection.execute(query)
    ]


def paid_block(connection: Connection, block_hash: str) -> PaidBlock | None:
    """A block that is kept."""
    table = tables.paid_block
    row = connection.execute(select(table).where(table.c.block_hash == block_hash)).first()
    return PaidBlock(**row._asdict()) if row else None


def keep(connection: Connection, block: PaidBlock) -> None:
    """Keep a block."""
    connection.execute(insert(tables.paid_block).values(**asdict(block)))


def before(connection: Connection, block_hash: str, count: int) -> Iterator[PaidBlock]:
    """Up to `count` blocks backwards from a block, itself the first; they end where one is not kept."""
    while count > 0 and (block := paid_block(connection, block_hash)) is not None:
        yield block
        block_hash, count = block.previous, count - 1


def price(connection: Connection, round_: int, blocks: Iterable[PaidBlock]) -> int:
    """Write the average fee of `blocks` into a round, once; the average."""
    average = average_fee([block.fees for block in blocks])
    table = tables.round_
    open_ = (table.c.round == round_, table.c.average_fee.is_(None))
    connection.execute(update(table).where(*open_).values(average_fee=average))
    return average
