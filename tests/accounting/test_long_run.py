"""Thousands of rounds with reorganisations, crashes, late batches and changes of terms: every satoshi has its place."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import Connection, Engine, event, func, select

from tarazy.accounting import ledger, tables
from tarazy.accounting.blocks import MATURITY, open_blocks, state_of
from tarazy.accounting.distribution import Reconciled, reconcile
from tarazy.accounting.journal_file import BlockRecord
from tarazy.accounting.schemes import Schedule, Scheme, Terms, from_reserve, last_work, proportional
from tarazy.accounting.worth import Worth
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.share import Verdict
from tests.accounting.books import START, Gateway, close_rounds, job, observe_block, price_rounds, share, standing

ROUNDS = 10_000 if hypothesis.settings.get_current_profile_name() == "search" else 1_000
DEEPEST = 40
FEES = (1_000_000, 0, 2_345_678)
PARTIES = tuple(f"party-{number}" for number in range(8))
SCHEDULE = Schedule(
    Terms(10_000),
    (
        (START + timedelta(seconds=ROUNDS * 0.25), Terms(15_000, scheme=Scheme.PPLNS, window=2)),
        (START + timedelta(seconds=ROUNDS * 0.35), Terms(20_000, scheme=Scheme.FPPS, fee_blocks=144)),
        (START + timedelta(seconds=ROUNDS * 0.5), Terms(10_000, {"party-3": 0, "party-5": 1_000_000})),
        (START + timedelta(seconds=ROUNDS * 0.6), Terms(20_000, {"party-2": 0}, Scheme.FPPS, fee_blocks=144)),
        (START + timedelta(seconds=ROUNDS * 0.75), Terms(7_777, {"party-1": 1}, Scheme.PPLNS, 3)),
        (START + timedelta(seconds=ROUNDS * 0.975), Terms(0, scheme=Scheme.SOLO)),
    ),
)


def _difficulty(height: int) -> int:
    return (20, 40, 60)[height % 3]


class _Crash(Exception):
    """The power goes out."""


class _World:
    """A chain, three gateways, the books, and beside them a plain list of the work in the order of record."""

    def __init__(self, engine: Engine, directory: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.engine = engine
        self.gateways = [Gateway(directory / f"{number}.sqlite", PARTIES, number, synced=False) for number in (1, 2, 3)]
        self.main: dict[int, str | None] = {0: None}
        self.known: defaultdict[int, list[str]] = defaultdict(list)
        self.record: list[tuple[str, int]] = []
        self.worths: list[Counter[tuple[int, str]]] = []
        """Of each round the work by difficulty and party."""
        self.rounds: list[tuple[str, int, Terms, str, dict[str, int], dict[str, int]]] = []
        self.found = self.crashes = self.reorganisations = 0
        self.countdown = -1
        event.listen(engine, "before_cursor_execute", self._count)
        engine.dispose()
        event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA synchronous=OFF"))

    def _count(self, *_: object) -> None:
        self.countdown -= 1
        if self.countdown == 0:
            raise _Crash

    @property
    def tip(self) -> int:
        return len(self.main) - 1

    def transact(self, work: Callable[[Connection], object]) -> bool:
        """Run a transaction that may die at any statement; whether it was committed."""
        self.countdown = self.rng.randrange(1, 60) if self.rng.random() < 0.1 else -1
        try:
            with self.engine.begin() as connection:
                work(connection)
                self.countdown = -1
        except _Crash:
            self.crashes += 1
            return False
        return True

    def mine(self) -> None:
        """Some shares, and a block that extends the chain, or comes as a rival of its tip."""
        self.found += 1
        which = self.rng.choice((0, 0, 1, 1, 2))
        finder, gateway = self.rng.randint(1, 8), self.gateways[which]
        late = self.rng.random() < 0.05
        work: list[tuple[str, int]] = []
        self.worths.append(Counter())
        height = self.tip + (self.rng.random() > 0.1)
        for other in self.gateways:
            for near in (max(0, height - 1), height):
                other.announce(near, _difficulty(near))
            if other is not gateway:
                work += self._write(other, self._shares(3), self.found - 0.5, height)
        reward = self.rng.choice((312_500_000, 0, 1, 313_734_567 + self.found))
        block_hash = self.found.to_bytes(32, "big")
        work += self._write(gateway, self._shares(8), self.found, height)
        number = job(height, _difficulty(height)).number
        solving = share(finder, 3, Verdict.STALE if late else Verdict.ACCEPTED, self.found, job_number=number)
        found = BlockRecord(block_hash[::-1], height, reward, gateway.sequence + 1, finder, solving.at_us)
        gateway.write(solving, block=found)
        if not late:
            work.append((PARTIES[finder - 1], weight_of(3)))
            self.worths[-1][_difficulty(height), PARTIES[finder - 1]] += weight_of(3)
        for each in self.gateways:
            each.mark(self.found + 0.25)
        self.record += work
        terms = SCHEDULE.at(START + timedelta(seconds=self.found))
        limit = (terms.window or 0) * (0xFFFF << 208) * weight_of(0) // job(height, _difficulty(height)).target
        inside = Counter[str]()
        for party, weight in work:
            inside[party] += weight
        window = last_work(reversed(self.record), limit)
        self.rounds.append((block_hash.hex(), reward, terms, PARTIES[finder - 1], inside, window))
        self.known[height].append(block_hash.hex())
        if height > self.tip:
            self.main[height] = block_hash.hex()

    def _shares(self, most: int) -> list[tuple[int, int]]:
        return [(self.rng.randint(1, 8), self.rng.randint(-2, 6)) for _ in range(self.rng.randrange(most))]

    def _write(
        self, gateway: Gateway, shares: list[tuple[int, int]], second: float, height: int
    ) -> list[tuple[str, int]]:
        """On the jobs of this height and of the one before, which may be of another difficulty."""
        written = []
        for name, exponent in shares:
            worked_on = max(0, height - self.rng.randrange(2))
            number = job(worked_on, _difficulty(worked_on)).number
            written.append(share(name, exponent, second=second, job_number=number))
            self.worths[-1][_difficulty(worked_on), PARTIES[name - 1]] += weight_of(exponent)
        if written:
            gateway.write(*written)
        return [(PARTIES[name - 1], weight_of(exponent)) for name, exponent in shares]

    def move(self) -> None:
        """The rest of the network: blocks of others, and sometimes a branch that wins and may hold ours again."""
        if self.rng.random() < 0.1 and self.tip:
            self.reorganisations += 1
            depth = self.rng.randint(1, min(DEEPEST, self.tip))
            for height in range(self.tip - depth + 1, self.tip + 1):
                self.main[height] = self.rng.choice([None, *self.known[height]])
        for _ in range(self.rng.choice((0, 0, 1, 12))):
            self.main[self.tip + 1] = None

    def fold(self, which: int) -> None:
        self.transact(self.gateways[which].take_in)
        self.transact(lambda connection: close_rounds(connection, *self.gateways, schedule=SCHEDULE))
        if self.rng.random() < 0.5:
            self.transact(lambda connection: price_rounds(connection, *FEES))

    def settle(self, at: datetime) -> None:
        """What the office does after folding: take over the chain's answers, and let the distributions follow."""

        def work(connection: Connection) -> None:
            for number, block in enumerate(open_blocks(connection)):
                on_main = self.main.get(block.height) == block.block_hash
                confirmations = self.tip - block.height + 1 if on_main else -1
                if not number or state_of(confirmations) is not block.state:
                    observe_block(connection, block.block_hash, confirmations, at)
            reconcile(connection, at)

        self.transact(work)

    def expected(self) -> list[tuple[str, int, int, int, int, dict[str, int]]]:
        """What stands in the end, by the plain list and the final chain alone."""
        stands = []
        work: Counter[str] = Counter()
        first = 1
        final = set(self.main.values())
        worths: Counter[tuple[int, str]] = Counter()
        for number, (block_hash, reward, terms, finder, inside, window) in enumerate(self.rounds, 1):
            work.update(inside)
            worths.update(self.worths[number - 1])
            if terms.scheme is Scheme.FPPS:
                priced: defaultdict[Worth, dict[str, int]] = defaultdict(dict)
                for (difficulty, party), weight in worths.items():
                    priced[Worth(job(0, difficulty).target, 5_000_000_000)][party] = weight
                brought = reward if block_hash in final else 0
                divided = from_reserve(brought, terms.fee_ppm, sum(FEES) // len(FEES), priced, terms.fees)
            elif block_hash in final:
                weights = {Scheme.PROP: work, Scheme.PPLNS: window, Scheme.SOLO: {finder: 1}}[terms.scheme]
                divided = proportional(reward, terms.fee_ppm, weights, terms.fees)
            else:
                continue
            stands.append((block_hash, first, number, divided.fee, divided.remainder, divided.credits))
            work, worths, first = Counter(), Counter(), number + 1
        return stands


@contextmanager
def _running(engine: Engine, directory: Path, seed: int) -> Iterator[_World]:
    world = _World(engine, directory, seed)
    yield world
    event.remove(engine, "before_cursor_execute", world._count)
    for gateway in world.gateways:
        gateway.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_satoshi_after_thousands_of_rounds(sqlite_engine: Engine, tmp_path: Path, seed: int) -> None:
    """Invariant 2; R-010, R-011, R-012, R-013, R-016, R-020: the end is that of a straight run, to the satoshi.

    Blocks leave the main chain and return, rivals meet, a transaction in ten dies at any of its statements, one
    gateway comes late, and the scheme and fees change six times. `--hypothesis-profile=search` plays ten
    times as many.
    """
    with _running(sqlite_engine, tmp_path, seed) as world:
        step = 0
        while world.found < ROUNDS:
            step += 1
            world.mine()
            world.move()
            if step % 3 == 0:
                world.fold(0)
                world.fold(1)
            if step % 7 == 0:
                world.fold(2)
            if step % 4 == 0:
                world.settle(START + timedelta(minutes=step))
            if step % 1_000 == 0:
                with sqlite_engine.begin() as connection:
                    assert ledger.check(connection) == []
        with sqlite_engine.begin() as connection:
            for gateway in world.gateways:
                gateway.take_in(connection)
            close_rounds(connection, *world.gateways, schedule=SCHEDULE)
            price_rounds(connection, *FEES)
        for _ in range(2 * MATURITY):
            world.main[world.tip + 1] = None
        now = START + timedelta(days=30)
        for _ in range(20):
            world.settle(now)
        with sqlite_engine.begin() as connection:
            assert reconcile(connection, now) == Reconciled()
            assert open_blocks(connection) == [] or world.rounds[-1][0] not in world.main.values()
            _accounted_for(connection, world)
        assert len(world.rounds) == ROUNDS
        assert world.crashes > ROUNDS // 50
        assert world.reorganisations > ROUNDS // 20


def _accounted_for(connection: Connection, world: _World) -> None:
    assert ledger.check(connection) == []
    stands = standing(connection)
    assert stands == world.expected()
    table = tables.distribution
    query = select(table.c.state, func.count()).group_by(table.c.state)
    counts = {row.state: row[1] for row in connection.execute(query)}
    assert counts["final"] == len(stands) > ROUNDS // 2
    assert counts["reversed"] > ROUNDS // 50
    assert set(counts) == {"final", "reversed"}
    balances = ledger.balances(connection)
    final = set(world.main.values())
    rewards = {block_hash: reward for block_hash, reward, *_ in world.rounds if block_hash in final}
    by_share = {block_hash for block_hash, _, terms, *_ in world.rounds if terms.scheme is Scheme.FPPS}
    owed = Counter[str]()
    for *_, credits in stands:
        owed.update(credits)
    assert {party: balances.get(ledger.payable(party), 0) for party in PARTIES} == {p: owed[p] for p in PARTIES}
    assert balances[ledger.FEE] == sum(fee for _, _, _, fee, _, _ in stands)
    assert balances[ledger.REMAINDER] == sum(remainder for _, _, _, _, remainder, _ in stands)
    assert balances[ledger.REWARD] == -sum(rewards.get(block_hash, 0) for block_hash, *_ in stands)
    assert balances[ledger.RESERVE] == sum(
        rewards.get(block_hash, 0) - fee - sum(credits.values())
        for block_hash, _, _, fee, _, credits in stands
        if block_hash in by_share
    )
    assert by_share - rewards.keys()
    assert not any(amount for account, amount in balances.items() if "immature" in account)
