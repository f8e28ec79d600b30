"""The journal on disk: what is written is read back, and what is not a journal is refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tarazy.accounting.journal_file import LAYOUT, SHARE, Batch, BlockRecord, JournalError, JournalFile, JournalReader
from tarazy.stratum.job import Job
from tarazy.stratum.share import ShareRecord
from tests.accounting.books import START_US, Gateway, name_record, share

EXTREME = ShareRecord(2**64 - 1, 2**32 - 1, 2**64 - 1, b"\xff" * 8, 2**32 - 1, 2**32 - 1, 2**32 - 1, 64, 7)
LEAST = ShareRecord(0, 0, 0, bytes(8), 0, 0, 0, -32, 0)
JOB = Job(
    number=2**63 + 5, height=900_000, previous_block_hash=b"\xaa" * 32, version=0x20000000, nbits=0x17034219,
    target=2**255 - 19, ntime=1_700_000_000, mintime=1_699_999_000, coinbase_head=b"head", coinbase_tail=b"tail",
    coinbase_end=b"end", branch=(b"\1" * 32, b"\2" * 32), clean=True,
)  # fmt: skip


def test_a_share_takes_42_bytes() -> None:
    """The layout on disk is fixed."""
    assert SHARE.size == 42
    assert ShareRecord._make(SHARE.unpack(SHARE.pack(*EXTREME))) == EXTREME


def test_everything_is_read_back(tmp_path: Path) -> None:
    """Shares of any field values, names, jobs and blocks come back as they were written."""
    path = tmp_path / "journal.sqlite"
    file = JournalFile(path, 3)
    block = BlockRecord(b"\xbb" * 32, 900_000, 312_500_000, 2, 9, START_US)
    file.write(Batch(1, [SHARE.pack(*EXTREME), SHARE.pack(*LEAST)], [(9, name_record("alpha"))], [JOB], [block]))
    reader = JournalReader(path, 3)
    assert list(reader.shares()) == [(1, EXTREME), (2, LEAST)]
    assert reader.names([9, 10]) == {9: name_record("alpha")}
    assert reader.job(JOB.number) == JOB
    assert reader.job(1) is None
    assert (reader.next_block(0), reader.next_block(1)) == ((1, block), None)
    assert (file.last_sequence(), file.last_name(), reader.last_sequence()) == (2, 9, 2)
    reader.close()
    file.close()


def test_reading_on_from_anywhere(tmp_path: Path) -> None:
    """`since` continues inside a segment, over gaps, and says when there is more."""
    gateway = Gateway(tmp_path / "journal.sqlite", [])
    for count in (3, 1, 4):
        gateway.write(*(share(nonce=gateway.sequence + i + 1) for i in range(count)))
        gateway.sequence += 10
    numbers = [1, 2, 3, 14, 25, 26, 27, 28]
    for after in range(30):
        assert [number for number, _ in gateway.reader.shares(after)] == [n for n in numbers if n > after]
        assert all(record.nonce == number for number, record in gateway.reader.shares(after))
    segments, complete = gateway.reader.since(1, 3)
    assert ([(s.first_sequence, s.last_sequence) for s in segments], complete) == ([(2, 3), (14, 14)], False)
    segments, complete = gateway.reader.since(14, 3)
    assert ([(s.first_sequence, s.last_sequence) for s in segments], complete) == ([(25, 28)], True)
    assert gateway.reader.since(28, 3) == ([], True)
    spans = [(s.first_sequence, s.last_sequence) for s in gateway.reader.segments(2, 26)]
    assert spans == [(3, 3), (14, 14), (25, 26)]
    gateway.close()


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    """A commit that fails leaves nothing; the next one works; names and blocks may be written twice."""
    gateway = Gateway(tmp_path / "journal.sqlite", ["alpha"])
    gateway.write(share())
    block = BlockRecord(bytes(32), 1, 1, 1, 1, START_US)
    with pytest.raises(sqlite3.IntegrityError):
        gateway.file.write(Batch(1, [SHARE.pack(*LEAST)], [(2, name_record("beta"))], [JOB], [block], 99))
    assert gateway.reader.names([2]) == {}
    assert gateway.reader.job(JOB.number) is None
    assert gateway.file.connections() == 0
    for _ in range(2):
        gateway.file.write(Batch(2, names=[(2, name_record("beta"))], jobs=[JOB], blocks=[block]))
    assert gateway.reader.next_block(0) == (1, block)
    assert gateway.reader.next_block(1) is None
    gateway.close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """While one process writes, another cannot; its end, however it comes, frees the file. Readers may."""
    path = tmp_path / "journal.sqlite"
    code = (
        "import sys, pathlib; from tarazy.accounting.journal_file import JournalFile\n"
        "file = JournalFile(pathlib.Path(sys.argv[1]), 1); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(JournalError, match="another process writes this journal"):
            JournalFile(path, 1)
        JournalReader(path, 1).close()
        holder.kill()
    JournalFile(path, 1).close()


def _foreign(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


def _other_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE wallet (coins INTEGER)")


def _of_gateway_2(path: Path) -> None:
    JournalFile(path, 2).close()


def _newer(path: Path) -> None:
    JournalFile(path, 1).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'layout'", (LAYOUT + 1,))


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (_foreign, "cannot be used as a share journal"),
        (_other_tables, "cannot be used as a share journal"),
        (_of_gateway_2, "belongs to gateway 2, not 1"),
        (_newer, f"has layout {LAYOUT + 1}, this program knows {LAYOUT}"),
        (_directory, "cannot be used|no such file"),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, make: object, text: str) -> None:
    """One line says what is wrong with which file; the lock is free again afterwards."""
    path = tmp_path / "journal.sqlite"
    make(path)  # type: ignore[operator]
    for opens in (JournalFile, JournalReader, JournalFile):
        with pytest.raises(JournalError, match=text) as caught:
            opens(path, 1)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_missing_places_are_named(tmp_path: Path) -> None:
    """A missing directory or file is named; nothing is created."""
    with pytest.raises(JournalError, match="no such directory"):
        JournalFile(tmp_path / "missing" / "journal.sqlite", 1)
    with pytest.raises(JournalError, match="no such file"):
        JournalReader(tmp_path / "journal.sqlite", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_moved_away_takes_nothing_more(tmp_path: Path) -> None:
    """T-25: writes to a file that nobody would find again are refused, not acknowledged."""
    path = tmp_path / "journal.sqlite"
    file = JournalFile(path, 1)
    path.rename(tmp_path / "elsewhere.sqlite")
    with pytest.raises(FileNotFoundError):
        file.write(Batch(1, connections=5))
    path.touch()
    with pytest.raises(FileNotFoundError, match="another file is in its place"):
        file.write(Batch(1, connections=5))
    file.close()


def test_shares_left_beside_a_journal_that_was_moved_away_are_no_part_of_a_new_one(tmp_path: Path) -> None:
    """Invariant 1: nor are they thrown away: with the journal back in its place they are there again."""
    path, away = tmp_path / "journal.sqlite", tmp_path / "away.sqlite"
    file, reader = JournalFile(path, 3), JournalReader(tmp_path / "journal.sqlite", 3)
    file.write(Batch(1, [SHARE.pack(*EXTREME)]))
    left = path.with_name("journal.sqlite-wal").read_bytes()
    file.close()
    reader.close()
    path.rename(away)
    path.with_name("journal.sqlite-wal").write_bytes(left)
    with pytest.raises(JournalError, match="-wal: has shares of the journal that was at"):
        JournalFile(path, 3)
    away.rename(path)
    again = JournalFile(path, 3)
    assert again.last_sequence() == 1
    again.close()
