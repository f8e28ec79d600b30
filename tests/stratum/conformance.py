"""The conformance table of docs/stratum.md and the tests that cite its numbers.

`python -m tests.stratum.conformance` writes the marks and the files into the table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "stratum.md"
HELD, OPEN = "✓", "○"

_ROW = re.compile(r"^\| (?P<number>C-\d{3}) \| (?P<rule>[^|]+) \| (?P<mark>[✓○]) \| (?P<files>[^|]*) \|$", re.MULTILINE)
_NUMBER = re.compile(r"\bC-\d{3}\b")


def numbers() -> list[str]:
    """The table's numbers in their order."""
    return [row["number"] for row in _ROW.finditer(PAGE.read_text(encoding="utf-8"))]


def cited(folder: str) -> dict[str, list[str]]:
    """The Python files of a folder that cite each number, by name."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for file in (ROOT / folder).rglob("*.py"):
        for number in _NUMBER.findall(file.read_text(encoding="utf-8")):
            found[number].add(file.stem)
    return {number: sorted(files) for number, files in found.items()}


def marked() -> str:
    """The page with marks and files as the tests have them."""
    tests = cited("tests")

    def row(match: re.Match[str]) -> str:
        files = tests.get(match["number"], [])
        mark = HELD if files else OPEN
        return f"| {match['number']} | {match['rule']} | {mark} | {', '.join(f'`{name}`' for name in files)} |"

    return _ROW.sub(row, PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(marked(), encoding="utf-8")
