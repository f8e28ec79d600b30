"""The share journal of one gateway on disk: an SQLite file that its gateway writes and any process may read.

Shares lie in segments: one row a commit, each share a fixed record of `SHARE`. Their sequence numbers rise
and are never given twice; a number is missing where a commit failed, and its share was then answered as not
taken. Every name, job and block is stored with or before the first share that refers to it. Shares leave the
file only once they are archived, and only if the operator wants it so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import sqlite3
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple

from tarazy.accounting.durable import sync_directory
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord, NotReadyError
from tarazy.stratum.share import ShareRecord

SHARE = struct.Struct(">QIQ8sIIIbB")
"""A share: the fields of `ShareRecord` in their order, big-endian, without padding."""

_AT = struct.Struct(">Q34x")
"""Of it the instant of arrival."""

LAYOUT = 1
"""Version of the file's layout."""

FOREVER = (1 << 63) - 1
"""A mark of a gateway that ended in order: no share is on its way."""

UNKNOWN_FINDER = 0
"""In place of a name: the block is on disk, but the process ended before its share was."""

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE segment (
    first_sequence INTEGER PRIMARY KEY, count INTEGER NOT NULL, shares BLOB NOT NULL
) STRICT;
CREATE TABLE name (
    name INTEGER PRIMARY KEY, connection INTEGER NOT NULL, extranonce1 BLOB NOT NULL,
    account TEXT NOT NULL, worker TEXT NOT NULL, party TEXT NOT NULL, site TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT;
CREATE TABLE job (
    job BLOB PRIMARY KEY, height INTEGER NOT NULL, previous_block_hash BLOB NOT NULL,
    version INTEGER NOT NULL, nbits INTEGER NOT NULL, target BLOB NOT NULL, ntime INTEGER NOT NULL,
    mintime INTEGER NOT NULL, coinbase_head BLOB NOT NULL, coinbase_tail BLOB NOT NULL,
    coinbase_end BLOB NOT NULL, branch BLOB NOT NULL, clean INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE block (
    number INTEGER PRIMARY KEY, block_hash BLOB NOT NULL UNIQUE, height INTEGER NOT NULL,
    reward INTEGER NOT NULL, sequence INTEGER NOT NULL, name INTEGER NOT NULL, found_at_us INTEGER NOT NULL
) STRICT;
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CURE = "bring a copy of the journal back"
"""What helps where shares that were folded can no longer be read."""


class JournalError(NotReadyError):
    """The journal cannot be used. One line: what is wrong with which file, and the cure."""


class BlockRecord(NamedTuple):
    """A block found by this gateway."""

    block_hash: bytes
    """Internal byte order."""
    height: int
    reward: int
    """Satoshi that its coinbase pays to the pool."""
    sequence: int
    """Last share of the round it closes: the solving one, or the latest given if that is not credited."""
    name: int
    """Whose share solved it, or `UNKNOWN_FINDER`."""
    found_at_us: int


@dataclass(frozen=True, slots=True)
class Segment:
    """The shares of one commit, or their later part."""

    first_sequence: int
    count: int
    shares: bytes

    @property
    def last_sequence(self) -> int:
        """Number of its last share."""
        return self.first_sequence + self.count - 1


@dataclass(slots=True)
class Batch:
    """What one commit writes. Names, jobs and blocks that the file has already are passed over."""

    first_sequence: int
    shares: list[bytes] = field(default_factory=list)
    """Each packed by `SHARE`."""
    names: list[tuple[int, NameRecord]] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    blocks: list[BlockRecord] = field(default_factory=list)
    connections: int = 0
    """Connection numbers leased in total, when that changes."""
    mark: int = 0
    """Unix microseconds by the gateway's clock: what arrived till then is on disk with this commit. 0 says nothing."""


class JournalFile:
    """The journal as its one writer holds it. Any thread may use it, one at a time."""

    def __init__(self, path: Path, gateway: int) -> None:
        """Open the journal of `gateway` at `path`, or make an empty one in an existing directory.

        Raises `JournalError` when the directory is missing, another process holds the file, or it is not a
        journal, has another layout, or belongs to another gateway.
        """
        if not path.parent.is_dir():
            raise JournalError(f"{path.parent}: no such directory; create it or correct `data` in the settings")
        self.path = path
        self._lock = _hold(path)
        try:
            self._connection = _open(path, gateway, writing=True)
        except JournalError:
            self._lock.close()
            raise
        self._name = str(path)
        self._inode = path.stat().st_ino

    def last_sequence(self) -> int:
        """The number of the last share on disk; 0 before the first."""
        return _number(self._connection, _LAST_SEQUENCE)

    def last_name(self) -> int:
        """The highest number given to a name; 0 before the first."""
        return _number(self._connection, "SELECT max(name) FROM name")

    def last_job(self) -> int:
        """The highest job number on disk; 0 before the first."""
        row = self._connection.execute("SELECT max(job) FROM job").fetchone()
        return int.from_bytes(row[0] or b"", "big")

    def blocks(self) -> set[bytes]:
        """Hashes of the blocks on disk, internal order."""
        return {row[0] for row in self._connection.execute("SELECT block_hash FROM block")}

    def connections(self) -> int:
        """How many connection numbers have been leased since the file was made."""
        return _number(self._connection, "SELECT value FROM meta WHERE key = 'connections'")

    def write(self, batch: Batch) -> None:
        """Write `batch` as one durable commit. Raises `sqlite3.Error` or OSError; then nothing of it is in the file.

        A file that was moved or removed under us still takes writes, which nobody would find again: that is an error.
        """
        if os.stat(self._name).st_ino != self._inode:
            raise FileNotFoundError(f"{self.path}: another file is in its place; put the journal back, then restart")
        if batch.names or batch.jobs or batch.blocks or batch.connections or batch.mark:
            with _transaction(self._connection):
                self._write_references(batch)
                self._write_shares(batch)
        else:
            self._write_shares(batch)

    def _write_references(self, batch: Batch) -> None:
        executemany = self._connection.executemany
        if batch.names:
            rows = [(number, *record) for number, record in batch.names]
            executemany("INSERT OR IGNORE INTO name VALUES (?,?,?,?,?,?,?,?)", rows)
        if batch.jobs:
            jobs = map(_job_row, batch.jobs)
            executemany("INSERT OR IGNORE INTO job VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", jobs)
        if batch.blocks:
            executemany("INSERT OR IGNORE INTO block VALUES (NULL,?,?,?,?,?,?)", batch.blocks)
        if batch.connections:
            self._connection.execute("UPDATE meta SET value = ? WHERE key = 'connections'", (batch.connections,))
        if batch.mark:
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('mark', ?)", (batch.mark,))

    def _write_shares(self, batch: Batch) -> None:
        """One statement, which outside of a transaction is a durable commit by itself.

        Each statement gives up the interpreter's lock and has to wait for it again while the reactor is busy: with one
        instead of three the answers come sooner.
        """
        if batch.shares:
            segment = (batch.first_sequence, len(batch.shares), b"".join(batch.shares))
            self._connection.execute("INSERT INTO segment VALUES (?,?,?)", segment)

    def close(self) -> None:
        """Close the file and let another process have it."""
        self._connection.close()
        self._lock.close()


class JournalReader:
    """The journal as another process or thread reads it while its gateway writes on."""

    def __init__(self, path: Path, gateway: int) -> None:
        """Open the journal of `gateway` for reading. Raises `JournalError` as `JournalFile` does."""
        if not path.is_file():
            raise JournalError(f"{path}: no such file; gateway {gateway} makes it when it starts")
        self.path = path
        self._connection = _open(path, gateway, writing=False)
        self.identity = _number(self._connection, "SELECT value FROM meta WHERE key = 'identity'")
        """Drawn when the file was made: tells a journal from another of the same gateway."""

    def last_sequence(self) -> int:
        """The number of the last share on disk; 0 before the first."""
        return _number(self._connection, _LAST_SEQUENCE)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def since(self, sequence: int, limit: int) -> tuple[list[Segment], bool]:
        """What came after share `sequence`: whole segments until they hold `limit` shares; whether those are all."""
        segments: list[Segment] = []
        held = 0
        for segment in self.segments(sequence):
            if held >= limit:
                return segments, False
            segments.append(segment)
            held += segment.count
        return segments, True

    def segments(self, after: int = 0, until: int | None = None) -> Iterator[Segment]:
        """The shares behind number `after`, up to number `until`, in their commits."""
        for first, count, shares in self._connection.execute(_SEGMENTS, (after + 1,)):
            if until is not None and first > until:
                return
            skip = max(0, after + 1 - first)
            end = count if until is None else min(count, until + 1 - first)
            if skip < end:
                if len(shares) != count * SHARE.size:
                    where = f"shares {first} to {first + count - 1}"
                    raise JournalError(f"{self.path}: damaged: {where} are not whole; {CURE}")
                yield Segment(first + skip, end - skip, shares[skip * SHARE.size : end * SHARE.size])

    def next_block(self, block: int) -> tuple[int, BlockRecord] | None:
        """The block behind number `block`, with its own."""
        row = self._connection.execute(_NEXT_BLOCK, (block,)).fetchone()
        return (row[0], BlockRecord(*row[1:])) if row else None

    def arrived(self, after: int, until_us: int) -> tuple[int, bool]:
        """The last share after number `after` before the first one that arrived later than `until_us`.

        Also whether no other can come: a later share is on disk, or a mark that says so. Without any share in between
        the number is `after`.
        """
        last = after
        for segment in self.segments(after):
            instants = [at_us for (at_us,) in _AT.iter_unpack(segment.shares)]
            if max(instants) > until_us:
                inside = next(place for place, at_us in enumerate(instants) if at_us > until_us)
                return segment.first_sequence + inside - 1 if inside else last, True
            last = segment.last_sequence
        return last, _number(self._connection, _MARK) >= until_us

    def delivered(self) -> int:
        """The instant up to which everything that arrived is on disk, Unix microseconds by the gateway's clock."""
        row = self._connection.execute("SELECT shares FROM segment ORDER BY first_sequence DESC LIMIT 1").fetchone()
        latest = _AT.unpack_from(row[0], len(row[0]) - SHARE.size)[0] if row else 0
        return max(_number(self._connection, _MARK), latest)

    def shares(self, after: int = 0) -> Iterator[tuple[int, ShareRecord]]:
        """Every share after number `after` with its own, in order."""
        for segment in self.segments(after):
            records = map(ShareRecord._make, SHARE.iter_unpack(segment.shares))
            yield from enumerate(records, segment.first_sequence)

    def backwards(self) -> Iterator[bytes]:
        """The shares of each commit as they are stored, the newest commit first."""
        for (shares,) in self._connection.execute("SELECT shares FROM segment ORDER BY first_sequence DESC"):
            yield shares

    def names(self, numbers: Iterable[int]) -> dict[int, NameRecord]:
        """The names of these numbers, as far as there are any."""
        rows = self._connection.execute(_NAMES, (json.dumps(list(numbers)),))
        return {row[0]: NameRecord(*row[1:]) for row in rows}

    def job(self, number: int) -> Job | None:
        """Everything needed to rebuild the work of a job; None when the journal has no such job."""
        row = self._connection.execute("SELECT * FROM job WHERE job = ?", (number.to_bytes(8, "big"),)).fetchone()
        return _job(row) if row else None

    def job_at(self, height: int) -> Job | None:
        """The newest job of a block of `height`; None without one."""
        row = self._connection.execute(
            "SELECT * FROM job WHERE height = ? ORDER BY job DESC LIMIT 1", (height,)
        ).fetchone()
        return _job(row) if row else None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@contextlib.contextmanager
def reading(path: Path, gateway: int) -> Iterator[JournalReader]:
    """A journal of which shares were folded, closed behind the block.

    That it is gone, cannot be opened, or turns out damaged inside the block is a `JournalError` with its cure.
    """
    if not path.exists():
        raise JournalError(f"{path}: is gone; {CURE}")
    with contextlib.closing(JournalReader(path, gateway)) as reader:
        try:
            yield reader
        except sqlite3.Error as error:
            raise JournalError(f"{path}: cannot be read ({error}); {CURE}") from None


def instant_of(at_us: int) -> datetime:
    """What journals tell in Unix microseconds."""
    return _EPOCH + timedelta(microseconds=at_us)


def us_of(instant: datetime) -> int:
    """An instant in Unix microseconds."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def required_job(reader: JournalReader, number: int) -> Job:
    """The job that a share names. Raises `JournalError` when the journal does not have it."""
    job = reader.job(number)
    if job is None:
        raise JournalError(f"{reader.path}: damaged: shares of job {number:016x}, which it does not have; {CURE}")
    return job


def required_names(reader: JournalReader, numbers: Collection[int]) -> dict[int, NameRecord]:
    """The names that shares refer to. Raises `JournalError` when the journal does not have them all."""
    names = reader.names(numbers)
    if lost := sorted(set(numbers) - names.keys()):
        raise JournalError(f"{reader.path}: damaged: shares of name {lost[0]}, which it does not have; {CURE}")
    return names


def prune(path: Path, gateway: int, last: int, commits: int) -> int:
    """Delete the shares of at most so many commits that end by number `last`, in one commit; how many they were.

    The newest commit stays whatever it holds: the numbers go on behind it. A gateway that writes meanwhile waits for
    this one commit. Raises `JournalError` as `JournalFile` does, or `sqlite3.Error`.
    """
    connection = _open(path, gateway, writing=True)
    try:
        return connection.execute(_PRUNE, (last, commits)).rowcount
    finally:
        connection.close()


_PRUNE = (
    "DELETE FROM segment WHERE first_sequence IN (SELECT first_sequence FROM segment WHERE "
    "first_sequence + count - 1 <= ? AND first_sequence < (SELECT max(first_sequence) FROM segment) "
    "ORDER BY first_sequence LIMIT ?)"
)
_LAST_SEQUENCE = "SELECT first_sequence + count - 1 FROM segment ORDER BY first_sequence DESC LIMIT 1"
_MARK = "SELECT value FROM meta WHERE key = 'mark'"
_NEXT_BLOCK = (
    "SELECT number, block_hash, height, reward, sequence, name, found_at_us FROM block WHERE number > ? "
    "ORDER BY number LIMIT 1"
)
_SEGMENTS = (
    "SELECT first_sequence, count, shares FROM segment WHERE first_sequence >= coalesce("
    "(SELECT max(first_sequence) FROM segment WHERE first_sequence <= ?1), 0) ORDER BY first_sequence"
)
_NAMES = (
    "SELECT name, connection, extranonce1, account, worker, party, site, at_us FROM name "
    "WHERE name IN (SELECT value FROM json_each(?))"
)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _number(connection: sqlite3.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def _hold(path: Path) -> IO[bytes]:
    """Take the writer's lock, which the system drops with the process, however that ends."""
    try:
        lock = path.with_name(f"{path.name}.lock").open("wb")
    except OSError as error:
        raise JournalError(
            f"{path}: cannot be locked ({error.strerror}); correct the rights of its directory"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise JournalError(
            f"{path}: another process writes this journal; stop it or give this one another `gateway`"
        ) from None
    return lock


def _open(path: Path, gateway: int, *, writing: bool) -> sqlite3.Connection:
    """A connection to what is known to be a journal of this layout and gateway."""
    uri = f"{path.absolute().as_uri()}?mode={'rw' if writing else 'ro'}"
    try:
        if writing and not (path.exists() and path.stat().st_size):
            _make(path, gateway)
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        try:
            if writing:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            _check(connection, path, gateway)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise JournalError(
            f"{path}: cannot be used as a share journal ({error}); move it away or correct `data`"
        ) from None
    return connection


def _make(path: Path, gateway: int) -> None:
    """An empty journal, which has its name only when it is whole: another process may be waiting to read it."""
    left = path.with_name(f"{path.name}-wal")
    if left.exists() and left.stat().st_size:
        raise JournalError(f"{left}: has shares of the journal that was at {path}; put it back or move both away")
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN; {_SCHEMA}")
        identity = secrets.randbits(62)
        meta = (("layout", LAYOUT), ("gateway", gateway), ("connections", 0), ("identity", identity))
        connection.executemany("INSERT INTO meta VALUES (?,?)", meta)
        connection.execute("COMMIT")
    new.rename(path)
    sync_directory(path.parent)


def _check(connection: sqlite3.Connection, path: Path, gateway: int) -> None:
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    if meta.get("layout") != LAYOUT:
        raise JournalError(f"{path}: has layout {meta.get('layout')}, this program knows {LAYOUT}; update it")
    if meta.get("gateway") != gateway:
        raise JournalError(
            f"{path}: belongs to gateway {meta.get('gateway')}, not {gateway}; correct `gateway` or `data`"
        )


def _job_row(job: Job) -> tuple[object, ...]:
    return (
        job.number.to_bytes(8, "big"),
        job.height,
        job.previous_block_hash,
        job.version,
        job.nbits,
        job.target.to_bytes(32, "big"),
        job.ntime,
        job.mintime,
        job.coinbase_head,
        job.coinbase_tail,
        job.coinbase_end,
        b"".join(job.branch),
        job.clean,
    )


def _job(row: tuple[Any, ...]) -> Job:
    number, height, previous, version, nbits, target, ntime, mintime, head, tail, end, branch, clean = row
    return Job(
        number=int.from_bytes(number, "big"),
        height=height,
        previous_block_hash=previous,
        version=version,
        nbits=nbits,
        target=int.from_bytes(target, "big"),
        ntime=ntime,
        mintime=mintime,
        coinbase_head=head,
        coinbase_tail=tail,
        coinbase_end=end,
        branch=tuple(branch[at : at + 32] for at in range(0, len(branch), 32)),
        clean=bool(clean),
    )
