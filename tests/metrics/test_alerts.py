"""The rules: Prometheus takes them, each alert comes when it should, and people know what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from tarazy.metrics.exporter import make_registry
from tests.metrics.test_exporter import full_sources

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy" / "prometheus").glob("*.rules.yml"))
TESTS = sorted(Path(__file__).parent.glob("*.rules.test.yml"))


def rules() -> list[dict[str, Any]]:
    """Every rule that is shipped."""
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_promtool_sees_each_alert_come_and_go(path: Path, tmp_path: Path) -> None:
    """The unit tests beside this file pass."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    tests = tmp_path / "tests.yml"
    text = path.read_text(encoding="utf-8").replace("[RULES]", f"[{', '.join(map(str, RULES))}]")
    tests.write_text(text, encoding="utf-8")
    for command in (("check", "rules", *map(str, RULES)), ("test", "rules", str(tests))):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_explained() -> None:
    """No alert without a unit test that sees it come, and a row for operators; and none of either without an alert."""
    tests = [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert alerts == fired
    guide = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(Tarazy\w+)` \|", guide, re.MULTILINE)) == alerts


def test_every_rule_rests_on_series_that_exist() -> None:
    """The server has what they ask for, or another rule records it; a recorded series says level, metric, operation."""
    text = generate_latest(make_registry(full_sources(), "0.1.0")).decode()
    series = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line.startswith("tarazy_")}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for name in recorded:
        assert re.fullmatch(r"[a-z_]+:tarazy_\w+:[a-z0-9_]+", name), name
    for rule in rules():
        for name in re.findall(r"(?:\w+:)?tarazy_\w+(?::\w+)?", re.sub(r"\"[^\"]*\"", "", rule["expr"])):
            assert name in series | recorded, name
