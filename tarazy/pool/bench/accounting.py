"""`tarazy bench accounting`: what folding, closing rounds and dividing rewards cost, and whether history adds to it."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Engine, insert, make_url, text

from tarazy.accounting import tables
from tarazy.accounting.blocks import MATURITY, BlockState, open_blocks, set_block_state
from tarazy.accounting.distribution import reconcile
from tarazy.accounting.journal_file import SHARE, Batch, BlockRecord, JournalFile
from tarazy.accounting.schemes import Schedule, Terms
from tarazy.database.engine import open_engine
from tarazy.database.schema import upgrade
from tarazy.pool.journals import Journals
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import ShareRecord, Verdict

_GATEWAYS = (1, 2)
_COMMIT = 256
"""Shares in a commit."""
_INTERVAL_SECONDS = 900
_FEE_PPM = 10_000
_REWARD = 312_500_000
_STARTED = datetime(2026, 11, 1, tzinfo=UTC)
_BLOCK_SECONDS = 600
"""Between two blocks of the pool: rounds lie in intervals of their own."""
_HISTORY_SHARES = 2_000
"""Shares in a round of the history, so many that most workers have some."""
_ROUND_SHARES = 8_000
"""Shares in a round that is measured."""
_WARM = 3
"""Rounds that are played before any is measured."""
_ROUNDS = 20
"""Rounds that are measured behind each history."""


def run_accounting_bench(
    directory: Path,
    *,
    workers: tuple[int, ...],
    shares: int,
    parties: int,
    history: tuple[int, ...],
    database: str | None,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """All measurements, each on journals and a ledger of its own.

    The ledgers are SQLite files in `directory`, or schemas of the PostgreSQL database at the URL `database`, which are
    made and dropped.
    """
    figures: dict[str, Any] = {"database": "sqlite", "folding": [], "shares": shares}
    if database is not None:
        figures["database"] = make_url(database).get_backend_name()
    for count in workers:
        progress(f"folding {shares:,} shares of {count:,} workers")
        with _books(directory / f"fold-{count}", count, database) as books:
            books.write(shares)
            books.fold()  # the tallies are there, as they are in every fold but the first of an interval
            books.record()
            books.write(shares)
            took = _timed(books.fold)
            rates = {"shares_per_s": round(shares / took["seconds"]), "shares_per_cpu_s": round(shares / took["cpu_s"])}
            sealed = _timed(books.record)
            rates["recorded_per_s"] = round(shares / sealed["seconds"])
            rates["recorded_per_cpu_s"] = round(shares / sealed["cpu_s"])
            rates["folded_and_sealed_per_s"] = round(shares / (took["seconds"] + sealed["seconds"]))
            rates["folded_and_sealed_per_cpu_s"] = round(shares / (took["cpu_s"] + sealed["cpu_s"]))
            figures["folding"].append({"workers": count, **rates})
    progress(f"dividing a reward among {parties:,} parties")
    with _books(directory / "divide", 1, database) as books:
        books.prepare_division(parties)
        took = _timed(lambda: books.settle(1))
        figures["distribution"] = {"parties": parties, **{name: round(value, 3) for name, value in took.items()}}
    figures["history"] = _behind_histories(directory, (0, *history), database, progress)
    return figures


def _behind_histories(
    directory: Path, lengths: tuple[int, ...], database: str | None, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """What a round costs behind so many others, the same round in turn behind each: whatever else runs disturbs all."""
    with ExitStack() as stack:
        all_books = []
        for rounds in lengths:
            progress(f"{rounds:,} rounds of history")
            books = stack.enter_context(_books(directory / f"history-{rounds}", 1_000, database))
            for _ in range(rounds):
                books.prepare_round(_HISTORY_SHARES)
                books.round()
            all_books.append(books)
        progress(f"a round behind {', '.join(f'{rounds:,}' for rounds in lengths)} others, in turn")
        costs: list[list[dict[str, float]]] = [[] for _ in lengths]
        for turn in range(_WARM + _ROUNDS):
            for books, own in zip(all_books, costs, strict=True):
                books.prepare_round(_ROUND_SHARES)
                took = _timed(books.round)
                if turn >= _WARM:
                    own.append(took)
    found = []
    for rounds, own in zip(lengths, costs, strict=True):
        figures: dict[str, Any] = {"rounds": rounds}
        for name in ("seconds", "cpu_s"):
            figures[name] = round(median(took[name] for took in own), 4)
            ratios = sorted(took[name] / first[name] for took, first in zip(own, costs[0], strict=True))
            figures[f"{name}_ratio"] = round(median(ratios), 3)
            figures[f"{name}_ratio_quartiles"] = [round(ratios[len(ratios) * part // 4], 3) for part in (1, 3)]
        found.append(figures)
    return found


def _timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds on the clock, and of the processor: the former moves with whatever else runs."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - clock,
        "cpu_s": time.process_time() - processor,
    }


_JOB = Job(
    number=1 << 32,
    height=101,
    previous_block_hash=bytes(32),
    version=0x20000000,
    nbits=0x207FFFFF,
    target=0x7FFFFF << 232,
    ntime=1_700_000_000,
    mintime=1_700_000_000,
    coinbase_head=bytes(60),
    coinbase_tail=bytes(20),
    coinbase_end=bytes(80),
    branch=(bytes(32),) * 11,
    clean=True,
)


class _Books:
    """Journals of two gateways and a ledger; so many workers of a tenth as many parties."""

    def __init__(self, directory: Path, workers: int, engine: Engine) -> None:
        """`directory`: an existing one."""
        self.engine = engine
        self._chance = random.Random(workers)  # noqa: S311 - a load that can be repeated
        self._workers = workers
        self._at_us = int(_STARTED.timestamp()) * 1_000_000
        self._height = 100
        self._files = {number: JournalFile(directory / f"gateway-{number}.sqlite", number) for number in _GATEWAYS}
        self._next = dict.fromkeys(_GATEWAYS, 1)
        names = [(number, _name(number, workers)) for number in range(1, workers + 1)]
        for file in self._files.values():
            file.write(Batch(0, names=names, jobs=[_JOB]))
        self._journals = Journals(directory, _INTERVAL_SECONDS, Schedule(Terms(_FEE_PPM)))

    def close(self) -> None:
        """Close the journals."""
        self._journals.close()
        for file in self._files.values():
            file.close()

    def write(self, shares: int) -> None:
        """Write so many shares, of workers in any order, to both journals."""
        for number, file in self._files.items():
            for start in range(0, shares // len(_GATEWAYS), _COMMIT):
                count = min(_COMMIT, shares // len(_GATEWAYS) - start)
                file.write(Batch(self._next[number], [self._share() for _ in range(count)]))
                self._next[number] += count

    def fold(self) -> None:
        """Fold all of it as the office does."""
        for number in _GATEWAYS:
            complete = False
            while not complete:
                with self.engine.begin() as connection:
                    complete = self._journals.fold(connection, number).complete

    def record(self) -> None:
        """Enter what is folded in the order of record and in the chains."""
        self._files[2].write(Batch(0, mark=self._at_us))
        self._files[1].write(Batch(0, mark=self._at_us))
        with self.engine.begin() as connection:
            self._journals.close_round(connection, _GATEWAYS)

    def prepare_round(self, shares: int) -> None:
        """Write the shares of a round and the block that closes it."""
        self._at_us += _BLOCK_SECONDS * 1_000_000
        self.write(shares)
        self._find()

    def round(self) -> None:
        """Fold it, close it, divide its reward and make that final."""
        self.fold()
        self._close()
        self.settle(MATURITY)

    def prepare_division(self, parties: int) -> None:
        """A closed round with work of so many parties."""
        self.write(_COMMIT)
        self.fold()
        with self.engine.begin() as connection:
            weights = [
                {"round": 1, "target": "", "subsidy": 0, "party": f"party-{n}", "weight": (n + 1) << 32}
                for n in range(1, parties)
            ]
            connection.execute(insert(tables.round_work), weights)
        self._find()
        self.fold()
        self._close()

    def settle(self, confirmations: int) -> None:
        """Let the chain say so of the last block, and book what follows."""
        state = BlockState.MATURE if confirmations >= MATURITY else BlockState.CONNECTED
        with self.engine.begin() as connection:
            for block in open_blocks(connection):
                set_block_state(connection, block.block_hash, state, confirmations, _STARTED)
            reconcile(connection, _STARTED)

    def _close(self) -> None:
        with self.engine.begin() as connection:
            closed = self._journals.close_round(connection, _GATEWAYS)
        assert closed.block_hash is not None, closed

    def _share(self) -> bytes:
        self._at_us += 10
        name, nonce = self._chance.randrange(1, self._workers + 1), self._chance.getrandbits(32)
        exponent = self._chance.randint(10, 14)
        record = ShareRecord(self._at_us, name, _JOB.number, bytes(8), 0, nonce, 0, exponent, Verdict.ACCEPTED)
        return SHARE.pack(*record)

    def _find(self) -> None:
        """The first gateway finds a block; the other tells that it is as far."""
        self._height += 1
        self._at_us += 1
        block = BlockRecord(self._height.to_bytes(32, "little"), self._height, _REWARD, self._next[1], 1, self._at_us)
        self._files[1].write(Batch(self._next[1], [self._share()], blocks=[block]))
        self._next[1] += 1
        self._files[2].write(Batch(0, mark=self._at_us))


@contextmanager
def _books(directory: Path, workers: int, database: str | None) -> Iterator[_Books]:
    """Books in a new directory, on a ledger with all tables that nobody else uses."""
    directory.mkdir(parents=True)
    if database is None:
        opened, ledger = None, f"sqlite:///{directory / 'bench.db'}"
    else:
        opened, schema = open_engine(database), f"bench_{secrets.token_hex(8)}"
        with opened.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        url = make_url(database).update_query_dict({"options": f"-c search_path={schema}"})
        ledger = url.render_as_string(hide_password=False)
    engine = open_engine(ledger)
    try:
        upgrade(engine)
        books = _Books(directory, workers, engine)
        yield books
        books.close()
    finally:
        engine.dispose()
        if opened is not None:
            with opened.begin() as connection:
                connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
            opened.dispose()


def _name(number: int, workers: int) -> NameRecord:
    party = f"party-{number % max(1, workers // 10)}"
    return NameRecord(number, number.to_bytes(4, "big"), party, f"rig{number}", party, "site", 0)
