"""The office's process is killed while it folds, closes rounds, seals and divides: everything is in the books once."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, event, func, select
from twisted.internet import task
from twisted.internet.defer import Deferred, ensureDeferred, succeed

from tarazy.accounting import ledger, tables
from tarazy.accounting.blocks import MATURITY
from tarazy.accounting.journal_file import BlockRecord
from tarazy.accounting.payouts import batches
from tarazy.config.settings import Settings, load_settings
from tarazy.database.engine import Database, open_engine
from tarazy.pool.admissions import Admissions
from tarazy.pool.blocks import FOLLOW_SECONDS, BlockStore, reward_of
from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.interface import Chain
from tarazy.pool.chain.regtest import RegtestChain
from tarazy.pool.clock import Clock
from tarazy.pool.demo.prepare import prepare
from tarazy.pool.demo.scenario import demo_settings
from tarazy.pool.followed import FollowedBlocks
from tarazy.pool.office import Office
from tests.accounting.books import START_US, Gateway, share
from tests.pool.mining import POOL_SCRIPT, hash_of, solve
from tests.pool.payouts.world import in_child
from tests.pool.test_blocks import DirectChain

ROUNDS = 10
PARTIES = ("altyn", "dala", "samal")


def _mine(settings: Settings) -> tuple[int, int]:
    """Journals of two gateways whose blocks are buried in the embedded chain; the shares and the satoshi in them."""
    chain = RegtestChain(settings.data / "chain", -24)
    folder, rewards = settings.journal_path.parent, 0
    folder.mkdir(parents=True, exist_ok=True)
    gateways = [Gateway(folder / f"gateway-{number}.sqlite", PARTIES, number) for number in (1, 2)]
    for second in range(1, ROUNDS + 1):
        template = chain.template()
        block = solve(template)
        assert chain.submit(block).reason == ""
        for each in gateways:
            each.write(*(share(n % 3 + 1, n % 5, second=second - 0.9 + n / 100) for n in range(80)))
        finder, reward = gateways[second % 2], reward_of(block, POOL_SCRIPT)
        at_us = START_US + second * 1_000_000
        found = BlockRecord(hash_of(block), template.height, reward, finder.sequence + 1, 1, at_us)
        finder.write(share(1, second=second), block=found)
        blocks = settings.blocks_path.parent / f"gateway-{finder.number}"
        blocks.mkdir(parents=True, exist_ok=True)
        (blocks / f"{hash_of(block)[::-1].hex()}.block").write_bytes(block)
        rewards += reward
    for number in range(MATURITY):
        chain.relay(build_block(chain.template(), b"\x51", b"%d" % number))
    for each in gateways:
        each.mark(ROUNDS + 1)
        each.close()
    chain.close()
    return sum(each.sequence for each in gateways), rewards


class AtOnce:
    """The database as the office uses it, without the reactor's threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, work: Callable[..., Any], *given: Any) -> Deferred[Any]:
        """One transaction."""
        with self.engine.begin() as connection:
            return succeed(work(connection, *given))


def _keep_books(settings: Settings, kill_at: int) -> None:
    """Be the office until every reward is final, or until the n-th statement or commit, at which it is killed."""
    engine, chain, clock = open_engine(settings.database_url), RegtestChain(settings.data / "chain", -24), task.Clock()
    left = kill_at

    def step(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", step)
    event.listen(engine, "commit", step)
    direct = cast(Chain, DirectChain(chain, settings.blocks_path.parent))
    blocks = FollowedBlocks(
        settings.blocks_path.parent,
        lambda path, hear: BlockStore(path, direct, cast(Clock, clock), POOL_SCRIPT, hear),
    )
    database = cast(Database, AtOnce(engine))
    office = Office(cast(Clock, clock), settings, database, cast(Admissions, None), blocks, direct)
    table = tables.distribution
    final = select(func.count()).select_from(table).where(table.c.state == "final")
    for _ in range(10 * ROUNDS):
        kept = ensureDeferred(office.keep_books())
        assert getattr(kept, "result", None) is None, kept
        clock.advance(FOLLOW_SECONDS)
        with engine.begin() as connection:
            if connection.scalar(final) == ROUNDS:
                return
    raise AssertionError("the rewards do not become final")


def _books(settings: Settings) -> dict[str, Any]:
    """What does not depend on when it was written."""
    engine = open_engine(settings.database_url)
    round_, divided, link = tables.round_, tables.distribution, tables.chain_link
    queries = {
        "tally": select(tables.tally).order_by(*tables.tally.primary_key.columns),
        "weights": select(tables.round_work).order_by(*tables.round_work.primary_key.columns),
        "rounds": select(round_.c.round, round_.c.block_hash, round_.c.cut).order_by(round_.c.round),
        "divided": select(divided.c.block_hash, divided.c.reward, divided.c.fee, divided.c.remainder, divided.c.state),
        "credits": select(tables.credit).order_by(*tables.credit.primary_key.columns),
        "sealed": select(link.c.gateway, link.c.first, link.c.last).order_by(link.c.gateway, link.c.first),
    }
    with engine.begin() as connection:
        assert ledger.check(connection) + batches.check(connection) == []
        found = {name: [tuple(row) for row in connection.execute(query)] for name, query in queries.items()}
        balances = ledger.balances(connection)
    engine.dispose()
    return {**found, "balances": balances}


def test_the_office_is_killed_at_random_moments(tmp_path: Path) -> None:
    """Every share is tallied and sealed once, every satoshi is booked once, as if nothing had happened."""
    directory = tmp_path / "pool"
    settings = prepare(directory, demo_settings(peer_port=1), datetime.now(UTC)).settings
    shares, rewards = _mine(settings)
    shutil.copytree(directory, tmp_path / "straight")
    straight = load_settings(tmp_path / "straight" / "tarazy.yaml")
    assert in_child(lambda: _keep_books(straight, 0)) == 0
    deaths = 0
    for kill_at in (random.randrange(1, 250) for _ in range(6)):
        deaths += in_child(lambda: _keep_books(settings, kill_at)) == -signal.SIGKILL  # noqa: B023 - called at once
    assert in_child(lambda: _keep_books(settings, 0)) == 0
    assert deaths >= 3
    books = _books(settings)
    assert books == _books(straight)
    assert sum(row[7] for row in books["tally"]) == shares
    assert sum(last - first + 1 for _, first, last in books["sealed"]) == shares
    assert {row[-1] for row in books["divided"]} == {"final"}
    assert -books["balances"]["reward"] == rewards == sum(row[1] for row in books["divided"])
