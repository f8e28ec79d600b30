"""The stand-alone verifier on an exported audit log: a true one passes, each lie in it is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tarazy_verify as verifier
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from tarazy.accreditation.audit_export import HEADS, ROWS, export
from tarazy.accreditation.heads import SigningKey
from tests.accreditation.test_audit_export import KEY, fill


@pytest.fixture
def exported(sqlite_engine: Engine, tmp_path: Path) -> Path:
    """An export of three days of four rows each."""
    fill(sqlite_engine)
    with sqlite_engine.begin() as connection:
        export(connection, tmp_path / "audit")
    return tmp_path / "audit"


def told_of(directory: Path, capsys: pytest.CaptureFixture[str], key: SigningKey = KEY) -> str:
    """What the verifier finds wrong; nothing when it ends with 0."""
    code = verifier.main([str(directory), "--key", str(key.verifier)])
    told = capsys.readouterr()
    assert code == (1 if told.err else 0)
    assert ("fine" in told.out) == (code == 0)
    return told.err


def change(path: Path, number: int, old: str, new: str) -> None:
    """Put other text into a line."""
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[number]
    lines[number] = lines[number].replace(old, new, 1)
    path.write_text("".join(lines))


def drop(path: Path, number: int) -> None:
    """Leave a line out."""
    lines = path.read_text().splitlines(keepends=True)
    del lines[number]
    path.write_text("".join(lines))


def dated_back(directory: Path) -> None:
    change(directory / HEADS, 2, "at 20", "at 19")


def another_root(directory: Path) -> None:
    row = json.loads((directory / HEADS).read_text().splitlines()[2])
    root = row["note"].split("\n")[2]
    change(directory / HEADS, 2, root, "A" * 43 + "=")


def made_anew(directory: Path) -> None:
    """A row with its own hashes made to fit, and those of all behind it."""
    rows = [json.loads(line) for line in (directory / ROWS).read_text().splitlines()]
    rows[5]["body"] = rows[5]["body"].replace('"n":5', '"n":6')
    tree = verifier.Tree()
    for row in rows:
        row["hashes"] = b"".join(tree.add(verifier.audit_leaf(row))).hex()
    (directory / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (lambda at: None, ""),
        (lambda at: change(at / ROWS, 4, "Ә", "Ө"), "row 5 was changed"),
        (lambda at: change(at / ROWS, 4, '"party":"p0"', '"party":"p1"'), "row 5 was changed"),
        (lambda at: drop(at / ROWS, 6), "row 7 is missing"),
        (lambda at: drop(at / ROWS, 11), "the log ends with row 11, its newest head has 12"),
        (lambda at: drop(at / HEADS, 1), "signed head 2 is missing"),
        (dated_back, "the head was forged or changed"),
        (another_root, "the head was forged or changed"),
        (made_anew, "among the rows up to 8 there is one that is not what the head was taken of"),
    ],
    ids=[
        "true", "changed byte", "other party", "dropped row", "dropped at the end", "dropped head", "head dated back",
        "other root", "made anew",
    ],
)  # fmt: skip
def test_each_lie_in_an_audit_log_is_named(
    exported: Path,
    capsys: pytest.CaptureFixture[str],
    lie: Callable[[Path], None],
    told: str,
) -> None:
    """R-021, T-23: a changed byte, a dropped entry, a changed head."""
    lie(exported)
    found = told_of(exported, capsys)
    assert told in found if told else not found, found


def test_no_other_key_signs_it(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """T-23: heads by another key of the same name are not the pool's."""
    other = SigningKey(KEY.name, Ed25519PrivateKey.generate())
    assert "signed by none of the keys given" in told_of(exported, capsys, other)
