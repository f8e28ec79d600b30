"""Archives: the raw shares of a final round as Parquet, three files for each gateway, readable without this program.

`round-N-gateway-G.shares.parquet` has every share of the gateway that lies in the round, in order; `.names.parquet` the
admitted names that they refer to, each with its connection's extranonce1; `.jobs.parquet` the jobs. Together they are
all that is needed to hash each share again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select, update

from tarazy.accounting import tables
from tarazy.accounting.blocks import settled_round
from tarazy.accounting.durable import durable_file
from tarazy.accounting.journal_file import SHARE, JournalReader, required_job, required_names

if TYPE_CHECKING:
    import pyarrow as pa

LAYOUT = b"1"
"""Version of the files' columns."""

_GROUP_SHARES = 1 << 16
"""Shares that are in memory at a time: a row group of the file."""
_NAME = re.compile(r"round-([0-9]+)-gateway-[0-9]+\.[a-z]+\.parquet")


class ArchiveStopped(Exception):
    """The archive was not finished, because the server ends."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The shares of a gateway that lie in a round: those behind number `after`, up to `last`."""

    round: int
    gateway: int
    after: int
    last: int

    def path(self, directory: Path, content: str) -> Path:
        """Where its shares, names or jobs are."""
        return directory / f"round-{self.round:08}-gateway-{self.gateway}.{content}.parquet"


def due(connection: Connection) -> list[Stretch]:
    """The stretches of the first final round that has no archive; none when all final rounds have one."""
    table = tables.round_
    final = (table.c.archived_at.is_(None), table.c.round <= settled_round(connection))
    row = connection.execute(select(table.c.round, table.c.cut).where(*final).order_by(table.c.round).limit(1)).first()
    if row is None:
        return []
    before = connection.scalar(select(table.c.cut).where(table.c.round == row.round - 1)) or {}
    return [Stretch(row.round, int(gateway), before.get(gateway, 0), last) for gateway, last in row.cut.items()]


def record_archived(connection: Connection, number: int, at: datetime) -> None:
    """Note that the archives of round `number` are on disk."""
    connection.execute(update(tables.round_).where(tables.round_.c.round == number).values(archived_at=at))


def archived_before(connection: Connection, instant: datetime) -> tuple[int, dict[int, int]]:
    """The last archived and proven round that closed by `instant`, 0 if none; and the last share inside by gateway."""
    table = tables.round_
    proven = select(func.max(tables.round_proof.c.round)).scalar_subquery()
    archived = (table.c.archived_at.is_not(None), table.c.closed_at <= instant, table.c.round <= proven)
    query = select(table.c.round, table.c.cut).where(*archived).order_by(table.c.round.desc()).limit(1)
    row = connection.execute(query).first()
    return (row.round, {int(gateway): last for gateway, last in row.cut.items()}) if row else (0, {})


def write_archive(
    directory: Path, reader: JournalReader, stretch: Stretch, going_on: Callable[[], bool] = lambda: True
) -> int:
    """Write the three files of `stretch`, each durably; the number of shares in them.

    Raises `ArchiveStopped` as soon as `going_on` says no, else `JournalError`, OSError, or what SQLite raises.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    share, name, job = _schemas(stretch)
    shares = 0
    names: set[int] = set()
    jobs: set[int] = set()
    with (
        durable_file(stretch.path(directory, "shares")) as file,
        pq.ParquetWriter(file, share, compression="zstd") as writer,
    ):
        for numbers, packed in _groups(reader, stretch):
            columns = [numbers, *zip(*SHARE.iter_unpack(packed), strict=True)]
            names.update(columns[2])
            jobs.update(columns[3])
            arrays = [pa.array(column, field.type) for column, field in zip(columns, share, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=share))
            shares += len(numbers)
            if not going_on():
                raise ArchiveStopped
    named = [{"name": number, **record._asdict()} for number, record in sorted(required_names(reader, names).items())]
    worked = [_job_row(reader, number) for number in sorted(jobs)]
    for schema, rows, content in ((name, named, "names"), (job, worked, "jobs")):
        with durable_file(stretch.path(directory, content)) as file:
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")
    return shares


def remove_archives(directory: Path, last_round: int) -> int:
    """Delete the archives of the rounds up to `last_round`; the number of files."""
    removed = 0
    for path in sorted(directory.glob("round-*.parquet")):
        found = _NAME.fullmatch(path.name)
        if found and int(found[1]) <= last_round:
            with suppress(FileNotFoundError):
                path.unlink()
                removed += 1
    return removed


def _groups(reader: JournalReader, stretch: Stretch) -> Iterator[tuple[list[int], bytes]]:
    """Sequence numbers and packed shares, about `_GROUP_SHARES` at a time."""
    numbers: list[int] = []
    packed = bytearray()
    for segment in reader.segments(stretch.after, stretch.last):
        numbers.extend(range(segment.first_sequence, segment.last_sequence + 1))
        packed += segment.shares
        if len(numbers) >= _GROUP_SHARES:
            yield numbers, bytes(packed)
            numbers, packed = [], bytearray()
    if numbers:
        yield numbers, bytes(packed)


def _job_row(reader: JournalReader, number: int) -> dict[str, Any]:
    job = required_job(reader, number)
    values = {field: getattr(job, field) for field in job.__slots__}
    return values | {"job": values.pop("number"), "target": job.target.to_bytes(32, "big"), "branch": list(job.branch)}


def _schemas(stretch: Stretch) -> tuple[pa.Schema, pa.Schema, pa.Schema]:
    """Of shares, names and jobs. Hashes are in internal byte order, times Unix microseconds or seconds."""
    import pyarrow as pa

    about = {
        b"tarazy.layout": LAYOUT,
        b"tarazy.round": b"%d" % stretch.round,
        b"tarazy.gateway": b"%d" % stretch.gateway,
        b"tarazy.after": b"%d" % stretch.after,
        b"tarazy.last": b"%d" % stretch.last,
    }
    share = {
        "sequence": pa.uint64(),
        "at_us": pa.uint64(),
        "name": pa.uint32(),
        "job": pa.uint64(),
        "extranonce2": pa.binary(8),
        "ntime": pa.uint32(),
        "nonce": pa.uint32(),
        "version": pa.uint32(),
        "exponent": pa.int8(),
        "verdict": pa.uint8(),
    }
    name = {
        "name": pa.uint32(),
        "connection": pa.uint64(),
        "extranonce1": pa.binary(),
        "account": pa.string(),
        "worker": pa.string(),
        "party": pa.string(),
        "site": pa.string(),
        "at_us": pa.uint64(),
    }
    job = {
        "job": pa.uint64(),
        "height": pa.uint32(),
        "previous_block_hash": pa.binary(32),
        "version": pa.uint32(),
        "nbits": pa.uint32(),
        "target": pa.binary(32),
        "ntime": pa.uint32(),
        "mintime": pa.uint32(),
        "coinbase_head": pa.binary(),
        "coinbase_tail": pa.binary(),
        "coinbase_end": pa.binary(),
        "branch": pa.list_(pa.binary(32)),
        "clean": pa.bool_(),
    }
    first, second, third = (pa.schema(list(fields.items()), metadata=about) for fields in (share, name, job))
    return first, second, third
