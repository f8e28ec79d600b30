"""A report's files."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tarazy.reports.build import SETTLED_SECONDS, STEPS, Progress, ReportError, gather_report, write_report
from tarazy.reports.language import LANGUAGES
from tests.reports import world
from tests.reports.pdf_text import pages

STEM = "accreditation-20261120T093000Z"


def _build(
    connection: Connection,
    directory: Path,
    kind: str = "accreditation",
    as_of: datetime = world.MOMENT,
    now: datetime = world.LATER,
    progress: Progress = lambda _done, _steps: None,
) -> list[Path]:
    report = gather_report(connection, kind, as_of, world.SETTINGS, world.assumed_law(), now)
    return write_report(report, directory, progress)


def test_files_of_a_report(connection: Connection, tmp_path: Path) -> None:
    """JSON, each form in each language, and the digests of all; progress reaches its end."""
    steps: list[tuple[int, int]] = []
    files = _build(connection, tmp_path / "reports", progress=lambda done, of: steps.append((done, of)))
    renderings = [f".{lang}.{form}" for lang in LANGUAGES for form in ("pdf", "xlsx", "csv", "html")]
    endings = (".json", *renderings, ".sha256")
    assert [file.name for file in files] == [STEM + ending for ending in endings]
    assert sorted(file.name for file in (tmp_path / "reports").iterdir()) == sorted(STEM + e for e in endings)
    assert steps == [(done, STEPS) for done in range(1, STEPS + 1)]
    for line, file in zip(files[-1].read_text().splitlines(), files, strict=False):
        assert line == f"{sha256(file.read_bytes()).hexdigest()}  {file.name}"
    expected = sha256(files[0].read_bytes()).hexdigest()
    for file in files[1:-1]:
        if file.suffix == ".pdf":
            assert all(expected in page and f"verify report {STEM}.json" in page for page in pages(file.read_bytes()))
        if file.suffix in (".csv", ".html"):
            assert expected in file.read_text(encoding="utf-8")


def test_building_again_writes_the_same_bytes(connection: Connection, tmp_path: Path) -> None:
    """Twice into one directory, and after more has happened (invariant 6)."""
    first = {file.name: file.read_bytes() for file in _build(connection, tmp_path)}
    world.happen_later(connection)
    later = world.LATER + timedelta(days=9)
    assert {file.name: file.read_bytes() for file in _build(connection, tmp_path, now=later)} == first


def test_a_settled_moment_can_be_built(connection: Connection, tmp_path: Path) -> None:
    """A moment just old enough that no transaction can still write before it."""
    assert _build(connection, tmp_path, now=world.MOMENT + timedelta(seconds=SETTLED_SECONDS))


_CHILD = """
import sys
from pathlib import Path
from tarazy.database.engine import open_engine
from tests.reports.test_build import build_into
build_into(sys.argv[1], Path(sys.argv[2]))
"""


def build_into(url: str, directory: Path) -> None:
    """Build the report of `world` from the database at `url`; run in a child process too."""
    with open_engine(url).begin() as connection:
        _build(connection, directory)


def test_same_bytes_in_another_process(sqlite_url: str, tmp_path: Path) -> None:
    """Neither the process nor its hash seed shows in the files."""
    engine = open_engine(sqlite_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        world.populate(connection)
    engine.dispose()
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", _CHILD, sqlite_url, str(tmp_path / "there")]
    subprocess.run(command, env=environment, check=True, cwd=Path(__file__).parents[2], timeout=120)
    build_into(sqlite_url, tmp_path / "here")
    for file in (tmp_path / "here").iterdir():
        assert (tmp_path / "there" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "tax"}, "there is no report 'tax'; choose one of: accreditation"),
        ({"as_of": world.LATER + timedelta(days=1)}, "lies in the future"),
        ({"as_of": world.LATER - timedelta(seconds=4)}, "less than 5 seconds ago: wait a few seconds"),
        ({"as_of": datetime(2026, 11, 1)}, "has no time zone"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_built(connection: Connection, tmp_path: Path, changes: dict[str, object], told: str) -> None:
    """A wrong request is one clear line."""
    with pytest.raises(ReportError, match=told):
        _build(connection, tmp_path, **changes)  # type: ignore[arg-type]
    assert list(tmp_path.glob("accreditation*")) == []


def test_directory_that_cannot_be_written(connection: Connection, tmp_path: Path) -> None:
    """The error names the directory, and nothing half written stays."""
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(ReportError, match=r"file: cannot write the report: .*; choose another directory"):
        _build(connection, occupied)
    target = tmp_path / "reports"
    (target / f"{STEM}.sha256" / "in the way").mkdir(parents=True)
    with pytest.raises(ReportError, match="cannot write the report"):
        _build(connection, target)
    assert list(target.glob(".*")) == []
