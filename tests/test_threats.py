"""docs/threats.md against the tests: every threat has its row, every test named is there (R-033)."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROWS = {
    cells[0]: cells
    for line in (ROOT / "docs" / "threats.md").read_text(encoding="utf-8").splitlines()
    if (cells := [cell.strip() for cell in line.strip("|").split("|")])[0].startswith("T-")
}


def test_every_threat_has_a_row() -> None:
    """R-033: what stands against it, and a test or why there is none."""
    assert list(ROWS) == [f"T-{number:02}" for number in range(1, 31)]
    for number, cells in ROWS.items():
        assert len(cells) == 5, number
        assert all(cells[:4]), number


def test_the_tests_named_are_there() -> None:
    """R-033: a row between T-05 and T-29 names tests, and each of them exists."""
    for number, (_, _, _, shown, _) in ROWS.items():
        named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", shown)
        assert named or number in ("T-01", "T-03", "T-04", "T-30"), number
        for path, test in named:
            assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), test


def test_every_check_of_the_rewards_is_cited() -> None:
    """R-001 to R-033: each has a test that names it."""
    sources = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py")]
    cited = {number for source in sources for number in re.findall(r"\bR-0[0-9]{2}\b", source)}
    assert cited == {f"R-{number:03}" for number in range(1, 34)}
