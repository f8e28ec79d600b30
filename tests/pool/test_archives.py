"""The archives of a real run prove its shares without the pool: files and a hash function, nothing else of it."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest_twisted
from sqlalchemy import func, select
from twisted.internet import reactor

from tarazy.accounting import tables
from tarazy.accounting.blocks import MATURITY, open_blocks
from tarazy.accounting.distribution import reconcile
from tarazy.database.engine import Database, open_engine
from tarazy.pool.archives import Archives
from tests.accounting.books import observe_block
from tests.pool.house import Client, House

ACCEPTED = 0
DIFFICULTY_ONE = 0xFFFF << 208


def double_sha256(data: bytes) -> bytes:
    """Bitcoin's hash."""
    return sha256(sha256(data).digest()).digest()


def rehashed(shares: Path) -> Counter[str]:
    """Accepted shares by party in one archive; each hash is rebuilt and is below the target it was credited for."""
    names = {row["name"]: row for row in pq.read_table(str(shares).replace(".shares.", ".names.")).to_pylist()}
    jobs = {row["job"]: row for row in pq.read_table(str(shares).replace(".shares.", ".jobs.")).to_pylist()}
    counted: Counter[str] = Counter()
    for share in pq.read_table(shares).to_pylist():
        if share["verdict"] != ACCEPTED:
            continue
        name, job, exponent = names[share["name"]], jobs[share["job"]], share["exponent"]
        coinbase = job["coinbase_head"] + bytes([exponent + 32]) + share["job"].to_bytes(8, "big")
        coinbase += job["coinbase_tail"] + name["extranonce1"] + share["extranonce2"] + job["coinbase_end"]
        root = double_sha256(coinbase)
        for element in job["branch"]:
            root = double_sha256(root + element)
        times = (share["ntime"], job["nbits"], share["nonce"])
        header = struct.pack("<I32s32sIII", share["version"], job["previous_block_hash"], root, *times)
        value = int.from_bytes(double_sha256(header), "little")
        assert value * 2**32 <= DIFFICULTY_ONE << (32 - exponent)
        counted[name["party"]] += 1
    return counted


@pytest_twisted.ensureDeferred
async def test_every_accepted_share_is_hashed_again(build_house: Callable[..., House]) -> None:
    """Shares of two parties over several blocks and jobs: the archives alone give the work that the ledger credits."""
    house = build_house(block_difficulty=2.0**-30)
    house.start()
    for user in ("altyn.rig", "dala.rig"):
        client = Client(house.stratum_port)
        client.login(user)
        for _ in range(25):
            client.submit(user)
        client.close()
    assert house.stop() == 0
    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        for block in open_blocks(connection):
            observe_block(connection, block.block_hash, MATURITY + 50, datetime.now(UTC))
        reconcile(connection, datetime.now(UTC))
        table = tables.tally
        last = connection.scalar(select(func.max(tables.block.c.round)))
        query = select(table.c.party, func.sum(table.c.shares)).where(table.c.round <= last, table.c.shares > 0)
        credited = {party: int(shares) for party, shares in connection.execute(query.group_by(table.c.party))}
    database = Database(engine, reactor)
    await Archives(reactor, house.settings, database).keep()
    await Archives(reactor, house.settings, database).keep()
    files = sorted(house.settings.archive_path.glob("*.shares.parquet"))
    assert len(files) == last
    assert sum((rehashed(path) for path in files), Counter()) == credited
    assert sum(credited.values()) > 20
    database.close()
