"""docs/stratum.md, against the code and the tests that cite it."""

from __future__ import annotations

import re
from pathlib import Path

from tarazy.stratum import methods

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "stratum.md").read_text(encoding="utf-8")
LISTED: list[tuple[str, str]] = re.findall(r"^\* ([✓○]) (C-\d{3}) ", PAGE, re.MULTILINE)


def cited(folder: str) -> set[str]:
    """Numbers that the Python files of a folder cite."""
    files = (ROOT / folder).rglob("*.py")
    return {number for file in files for number in re.findall(r"\bC-\d{3}\b", file.read_text(encoding="utf-8"))}


def test_every_number_stands_in_the_list_once() -> None:
    """C-001 to the last without a gap, whoever cites them."""
    numbers = [number for _, number in LISTED]
    assert numbers == [f"C-{number:03}" for number in range(1, len(numbers) + 1)]
    assert cited("tarazy") | cited("tests") <= set(numbers)


def test_marks_are_what_tests_cite() -> None:
    """A number is marked as held exactly if a test cites it."""
    assert {number for mark, number in LISTED if mark == "✓"} == cited("tests")


def test_every_method_is_described() -> None:
    """The table names what the server answers."""
    assert [method for method in methods.METHODS if f"`{method}`" not in PAGE] == []
