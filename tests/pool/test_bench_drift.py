"""What the simulation of drift says, and the picture that is drawn of it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from click.testing import CliRunner

from tarazy.pool.bench.drift import FRAUDS, HONEST, SEASONS
from tarazy.pool.cli import main


def test_the_command_writes_figures_and_a_picture(tmp_path: Path) -> None:
    """`tarazy bench drift`: a tenth past the meter is told of every site within a week, of honest ones hardly any."""
    written, picture = tmp_path / "figures.json", tmp_path / "drift.svg"
    arguments = ["bench", "drift", "--sites", "10", "--json", str(written), "--plot", str(picture)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    figures = json.loads(written.read_text())
    assert (len(figures["frauds"]), len(figures["honest"])) == (len(FRAUDS) * len(SEASONS), len(HONEST))
    by_day = {(each["what"], each["season"]): each["told_by_day"] for each in figures["frauds"]}
    for season in SEASONS:
        assert by_day["10 % bypassed", season][6] >= 0.9
        assert by_day["meter stopped 8 hours a night", season][0] == 1
        assert by_day["5 % bypassed", season][13] >= 0.5
    for each in figures["honest"]:
        assert each["told"] <= (0.5 if each["alike"] else 0.1)
    text = picture.read_text()
    assert len(text) < 100_000
    assert "<script" not in text
    assert ElementTree.fromstring(text).tag.endswith("svg")
