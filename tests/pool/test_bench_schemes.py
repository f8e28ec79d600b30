"""The figures that an operator chooses a scheme by agree with what is known in closed form."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tarazy.pool.bench.schemes import LEAVING, run_schemes_bench
from tarazy.pool.cli import main


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """Enough of a run that chance moves nothing by more than a few parts in a hundred."""
    return run_schemes_bench(runs=400, rounds=8_000, seed=1, progress=lambda _: None)


def _exponential_integral(x: float) -> float:
    """E1(x), by its series."""
    terms = (-((-x) ** k) / (k * math.factorial(k)) for k in range(1, 60))
    return -0.5772156649015329 - math.log(x) + math.fsum(terms)


def test_hopping_earns_what_theory_says(figures: dict[str, Any]) -> None:
    """Under PROP 1 + x * E1(x), at most 28 % at x = 0.435 (Rosenfeld); under PPLNS nothing."""
    earns = {each["leaves"]: each["earns"] for each in figures["hopping"]}
    for age in LEAVING:
        assert earns[age]["prop"] == pytest.approx(1 + age * _exponential_integral(age), abs=0.02)
        assert all(earns[age][f"pplns {window}"] == pytest.approx(1, abs=0.02) for window in (1, 2, 8))
    assert max(earns, key=lambda age: earns[age]["prop"]) in (0.3, 0.435, 0.6)


def test_pay_varies_as_theory_says(figures: dict[str, Any]) -> None:
    """A long shift by the pool's luck, a short one under PPLNS by the window, SOLO by blocks of one's own."""
    deviation = {each["length"]: each["deviation"] for each in figures["shifts"]}
    for scheme in ("prop", "pplns 1", "pplns 2"):
        assert deviation[30.0][scheme] == pytest.approx(1 / math.sqrt(30), rel=0.15)
    for window in (1, 2, 8):
        assert deviation[0.1][f"pplns {window}"] == pytest.approx(1 / math.sqrt(window), rel=0.15)
    assert deviation[30.0]["solo"] == pytest.approx(math.sqrt(100 / 30), rel=0.2)
    assert deviation[0.1]["prop"] > deviation[0.1]["pplns 1"]
    assert {each["fpps"] for each in deviation.values()} == {0}


def test_the_command_writes_figures_and_a_picture(tmp_path: Path) -> None:
    """`tarazy bench schemes`: JSON, and an SVG without a script and small enough for a page."""
    written, picture = tmp_path / "figures.json", tmp_path / "schemes.svg"
    arguments = ["bench", "schemes", "--runs", "30", "--rounds", "300", "--json", str(written), "--plot", str(picture)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert json.loads(written.read_text())["rounds"] == 300
    text = picture.read_text()
    assert len(text) < 100_000
    assert "<script" not in text
    assert ElementTree.fromstring(text).tag.endswith("svg")
