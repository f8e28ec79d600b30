"""Group commit: `true` means on disk, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import select
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tarazy.accounting.journal import CONNECTIONS, LEASE, Journal
from tarazy.accounting.journal_file import Batch, BlockRecord, JournalError, JournalFile, JournalReader
from tests.accounting.books import START_US, name_record, share
from tests.accounting.load import ACKNOWLEDGED, load

call_soon = reactor.callFromThread


class Answers:
    """Collects what shares are answered, and lets a test wait for them."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.given: dict[int, bool] = {}

    def share(self, nonce: int = 0) -> Deferred[bool]:
        """Give a share; fires with its answer."""
        answered: Deferred[bool] = Deferred()

        def done(durable: bool) -> None:
            assert sequence not in self.given
            self.given[sequence] = durable
            answered.callback(durable)

        sequence = self.journal.share(share(nonce=nonce), done)
        return answered


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal lies."""
    return tmp_path / "journal.sqlite"


def on_disk(path: Path) -> set[int]:
    """Sequence numbers of the shares in the file; none of them twice."""
    reader = JournalReader(path, 1)
    numbers = [number for number, _ in reader.shares()]
    reader.close()
    assert len(numbers) == len(set(numbers))
    return set(numbers)


@pytest_twisted.ensureDeferred
async def test_an_answer_follows_the_commit(path: Path) -> None:
    """Invariant 1: nothing is answered within the call; when `True` comes, a reader finds the share."""
    journal = Journal(JournalFile(path, 1), call_soon)
    answers = Answers(journal)
    name = journal.name(name_record("alpha"))
    waiting = [answers.share(nonce) for nonce in range(50)]
    assert answers.given == {}
    assert journal.waiting == 50
    assert [await answer for answer in waiting] == [True] * 50
    assert on_disk(path) == set(range(1, 51))
    reader = JournalReader(path, 1)
    assert [record.nonce for _, record in reader.shares()] == list(range(50))
    assert reader.names([name]) == {name: name_record("alpha")}
    assert (journal.counters.commits, journal.counters.shares) == (1, 50)
    reader.close()
    await journal.close()


@pytest_twisted.ensureDeferred
async def test_numbers_go_on_after_a_restart(path: Path) -> None:
    """Sequence, name and connection numbers rise over restarts, clean or not."""
    seen: list[tuple[int, int]] = []
    for clean in (True, False, True):
        journal = Journal(file := JournalFile(path, 1), call_soon)
        seen.append((journal.open_connection(), journal.name(name_record("alpha"))))
        assert await Answers(journal).share() is True
        if clean:
            await journal.close()
        else:
            file.close()
    connections, names = zip(*seen, strict=True)
    assert connections == (1, 2, 2 + LEASE)
    assert names == (1, 2, 3)
    assert on_disk(path) == {1, 2, 3}


@pytest_twisted.ensureDeferred
async def test_a_share_and_its_block_are_one_commit(path: Path) -> None:
    """A block given in the turn of its share is never on disk without it, nor the share without the block."""
    journal = Journal(JournalFile(path, 1), call_soon)
    answers = Answers(journal)
    before = answers.share()
    solving = answers.share()
    journal.block(BlockRecord(bytes(32), 7, 1, 2, 1, START_US))
    assert await before is True
    assert await solving is True
    assert journal.counters.commits == 1
    reader = JournalReader(path, 1)
    kept = reader.next_block(0)
    assert kept is not None
    assert kept[1].sequence == 2
    reader.close()
    await journal.close()


@pytest_twisted.ensureDeferred
async def test_closing_commits_what_waits(path: Path) -> None:
    """Shares given before the close are on disk; one given after it is answered False."""
    journal = Journal(JournalFile(path, 1), call_soon)
    answers = Answers(journal)
    early = [answers.share() for _ in range(3)]
    closed = journal.close()
    assert [await answer for answer in early] == [True] * 3
    await closed
    assert await answers.share() is False
    assert on_disk(path) == {1, 2, 3}
    JournalFile(path, 1).close()


@pytest_twisted.ensureDeferred
async def test_a_broken_listener_harms_nobody_else(path: Path) -> None:
    """An exception in one answer does not keep the others back."""
    journal = Journal(JournalFile(path, 1), call_soon)
    journal.share(share(), [].pop)
    assert await Answers(journal).share() is True
    await journal.close()


@pytest_twisted.ensureDeferred
async def test_a_share_out_of_range_is_refused_alone(path: Path) -> None:
    """A field that does not fit raises at once and takes no number."""
    journal = Journal(JournalFile(path, 1), call_soon)
    with pytest.raises(struct.error):
        journal.share(share(nonce=2**32), lambda durable: None)
    assert await Answers(journal).share() is True
    assert on_disk(path) == {1}
    await journal.close()


@contextmanager
def full_disk(path: Path, left: int) -> Iterator[None]:
    """No file may grow beyond the journal's present size and `left` bytes; writes then fail with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest_twisted.ensureDeferred
async def test_a_full_disk(path: Path) -> None:
    """A failed commit answers False and is told once; what was answered True remains; room heals it by
    itself.

    A name and a block given meanwhile are on disk as soon as anything is, and no number is given twice.
    """
    health: list[tuple[bool, str]] = []
    healed: Deferred[None] = Deferred()

    def on_health(healthy: bool, reason: str) -> None:
        health.append((healthy, reason))
        if healthy:
            healed.callback(None)

    journal = Journal(JournalFile(path, 1), call_soon, on_health)
    answers = Answers(journal)
    with full_disk(path, 60_000):
        while await answers.share():
            assert len(answers.given) < 1000
        name = journal.name(name_record("beta"))
        failed = answers.share()
        journal.block(BlockRecord(bytes(32), 7, 1, 9, name, START_US))
        assert await failed is False
        assert not journal.healthy
    await healed
    assert await answers.share() is True
    assert [healthy for healthy, _ in health] == [False, True]
    assert str(path) in health[0][1]
    assert on_disk(path) == {sequence for sequence, durable in answers.given.items() if durable}
    reader = JournalReader(path, 1)
    assert reader.names([name]) == {name: name_record("beta")}
    assert reader.next_block(0) is not None
    assert reader.next_block(1) is None
    reader.close()
    assert journal.counters.failed_shares >= 2
    await journal.close()


@pytest_twisted.ensureDeferred
async def test_a_database_without_room(path: Path) -> None:
    """SQLite's own 'full' is an answer False too, and earlier shares remain."""
    file = JournalFile(path, 1)
    journal = Journal(file, call_soon)
    answers = Answers(journal)
    assert await answers.share() is True
    pages = file._connection.execute("PRAGMA page_count").fetchone()[0]
    file._connection.execute(f"PRAGMA max_page_count={pages}")
    many = [answers.share() for _ in range(200)]
    assert {await answer for answer in many} == {False}
    assert on_disk(path) == {1}
    file._connection.execute("PRAGMA max_page_count=1000000")
    assert await answers.share() is True
    assert on_disk(path) == {1, 202}
    await journal.close()


@pytest_twisted.ensureDeferred
async def test_a_closed_database(path: Path) -> None:
    """A file closed underneath answers False with the reason; acknowledged shares remain."""
    health: list[tuple[bool, str]] = []
    file = JournalFile(path, 1)
    journal = Journal(file, call_soon, lambda *event: health.append(event))
    answers = Answers(journal)
    assert await answers.share() is True
    file.close()
    journal.block(BlockRecord(bytes(32), 7, 1, 1, 1, START_US))
    assert [await answers.share() for _ in range(3)] == [False] * 3
    assert journal.counters.failures == 3
    assert not journal.healthy
    assert len(health) == 1
    assert "closed" in health[0][1]
    assert on_disk(path) == {1}
    await journal.close()


@pytest_twisted.ensureDeferred
async def test_connection_numbers(path: Path) -> None:
    """Numbers begin again after three bytes' worth, are leased ahead, and end while the journal is faulty."""
    file = JournalFile(path, 1)
    file.write(Batch(0, connections=CONNECTIONS - 2))
    journal = Journal(file, call_soon)
    assert [journal.open_connection() for _ in range(3)] == [CONNECTIONS - 1, 0, 1]
    for _ in range(LEASE // 2):
        last = journal.open_connection()
    assert await Answers(journal).share() is True
    for _ in range(LEASE):
        assert journal.open_connection() == (last := last + 1)
    file.close()
    for _ in range(LEASE // 2 - 3):
        journal.open_connection()
    with pytest.raises(JournalError, match="no connection numbers"):
        journal.open_connection()
    await journal.close()


def test_killed_under_load(path: Path) -> None:
    """Invariant 1: over 20 SIGKILLs at random moments, all that was acknowledged is in the file, once."""
    chance = random.Random()
    children = multiprocessing.get_context("forkserver")
    children.set_forkserver_preload(["tests.accounting.load"])
    connections: set[int] = set()
    acknowledged, kept, last = 0, 0, 0
    for run in range(20):
        inlet, outlet = children.Pipe(duplex=False)
        child = children.Process(target=load, args=(path, outlet, run), daemon=True)
        child.start()
        outlet.close()
        heard = b"".join(_until_killed(inlet.fileno(), child, chance.uniform(0.0, 0.15)))
        child.join()
        inlet.close()
        (_, connection), *answers = ACKNOWLEDGED.iter_unpack(heard)
        connections.add(connection)
        reader = JournalReader(path, 1)
        new = dict(reader.shares(last))
        reader.close()
        assert len(answers) == len(set(answers)) > 0
        assert all(new[sequence].nonce == nonce for sequence, nonce in answers)
        acknowledged, kept, last = acknowledged + len(answers), kept + len(new), max(new)
    assert len(connections) == 20
    reader = JournalReader(path, 1)
    shares = list(reader.shares())
    assert len(shares) == len({record.nonce for _, record in shares}) == kept >= acknowledged
    assert set(reader.names(range(1, 21))) == {record.name for _, record in shares}
    reader.close()


def _until_killed(inlet: int, child: BaseProcess, seconds: float) -> Iterator[bytes]:
    """What the child says: its first words, those of the next `seconds`, those until it is dead."""
    yield os.read(inlet, ACKNOWLEDGED.size)
    yield os.read(inlet, 65536)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([inlet], [], [], left)[0]:
            yield os.read(inlet, 65536)
    child.kill()
    while rest := os.read(inlet, 65536):
        yield rest
