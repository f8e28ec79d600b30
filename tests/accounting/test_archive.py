"""Archives: whole or not there, whatever dies; and what the settings let go is gone from disk, nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, insert, select

from tarazy.accounting import archive, tables
from tarazy.accounting.blocks import MATURITY
from tarazy.accounting.journal_file import prune
from tests.accounting.books import JOB, Gateway, at, settle, share


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """A gateway with three shares and a block in round 1, and one share in round 2."""
    gateway = Gateway(tmp_path / "gateway-1.sqlite", ["alpha", "beta"])
    gateway.write(share(1, nonce=1), share(2, 5, nonce=2))
    return gateway


def test_a_round_is_archived_when_it_is_final(engine: Engine, gateway: Gateway, tmp_path: Path) -> None:
    """Not before; then with all shares, names and jobs of the round, and no other."""
    block_hash = gateway.find(101, name=2)
    gateway.write(share(1, nonce=9))
    with engine.begin() as connection:
        gateway.fold(connection)
        assert archive.due(connection) == []
    settle(engine, at(1), **{block_hash: MATURITY})
    with engine.begin() as connection:
        (stretch,) = archive.due(connection)
        assert stretch == archive.Stretch(1, 1, 0, 3)
        assert archive.write_archive(tmp_path, gateway.reader, stretch) == 3
        archive.record_archived(connection, 1, at(2))
        assert archive.due(connection) == []
        assert archive.archived_before(connection, at(0)) == (0, {})
        proof = {"distribution": 1, "round": 1, "record": "{}", "audit_row": 1}
        connection.execute(insert(tables.round_proof).values(**proof))
        assert archive.archived_before(connection, at(0)) == (1, {1: 3})
        assert archive.archived_before(connection, at(0) - timedelta(days=1)) == (0, {})
        assert connection.scalars(select(tables.round_.c.archived_at).order_by(tables.round_.c.round)).all() == [
            at(2),
            None,
        ]
    shares = pq.read_table(stretch.path(tmp_path, "shares"))
    assert shares["sequence"].to_pylist() == [1, 2, 3]
    assert shares["nonce"].to_pylist() == [1, 2, 0]
    assert shares["exponent"].to_pylist() == [0, 5, 0]
    assert shares.schema.metadata[b"tarazy.round"] == b"1"
    assert pq.read_table(stretch.path(tmp_path, "names"))["party"].to_pylist() == ["alpha", "beta"]
    (job,) = pq.read_table(stretch.path(tmp_path, "jobs")).to_pylist()
    assert (job["job"], job["branch"], job["target"]) == (JOB.number, list(JOB.branch), JOB.target.to_bytes(32, "big"))
    assert not list(tmp_path.glob("*.partial"))
    gateway.close()


def test_an_archive_that_is_stopped_leaves_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """Neither a file of its name nor a part of one; the next time it is written whole."""
    stretch = archive.Stretch(1, 1, 0, 2)
    with pytest.raises(archive.ArchiveStopped):
        archive.write_archive(tmp_path, gateway.reader, stretch, lambda: False)
    assert list(tmp_path.glob("round-*")) == []
    assert archive.write_archive(tmp_path, gateway.reader, stretch) == 2
    assert len(list(tmp_path.glob("round-*"))) == 3
    gateway.close()


def test_only_what_is_not_kept_is_removed(gateway: Gateway, tmp_path: Path) -> None:
    """Rounds up to the last one named, and nothing that is no archive."""
    for number in (1, 2, 3):
        archive.write_archive(tmp_path, gateway.reader, replace(archive.Stretch(1, 1, 0, 2), round=number))
    (tmp_path / "round-1.parquet").touch()
    assert archive.remove_archives(tmp_path, 2) == 6
    left = sorted(path.name for path in tmp_path.glob("round-*"))
    assert left == [f"round-00000003-gateway-1.{each}.parquet" for each in ("jobs", "names", "shares")] + [
        "round-1.parquet"
    ]
    gateway.close()


def test_a_journal_is_pruned_beside_its_gateway(gateway: Gateway, tmp_path: Path) -> None:
    """Whole commits up to the last archived share go; the newest stays, and the numbers go on behind it."""
    for nonce in range(3, 8):
        gateway.write(share(1, nonce=nonce))
    path = tmp_path / "gateway-1.sqlite"
    assert prune(path, 1, 5, 2) == 2
    gateway.write(share(1, nonce=8))
    assert prune(path, 1, 5, 9) == 2
    assert [record.nonce for _, record in gateway.reader.shares()] == [6, 7, 8]
    assert prune(path, 1, 99, 9) == 2
    assert prune(path, 1, 99, 9) == 0
    assert (gateway.reader.last_sequence(), gateway.file.last_sequence()) == (8, 8)
    gateway.close()
