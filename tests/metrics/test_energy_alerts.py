"""The alert rules on the meters: Prometheus takes them, they come when they should, and people know what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from tarazy.metrics.exporter import make_registry
from tests.metrics.test_exporter import full_sources

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "energy.rules.yml"


def test_promtool_sees_each_alert_come(tmp_path: Path) -> None:
    """The unit tests beside this file pass."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    tests = tmp_path / "tests.yml"
    text = Path(__file__).with_name("energy.rules.test.yml").read_text(encoding="utf-8")
    tests.write_text(text.replace("RULES", str(RULES)), encoding="utf-8")
    for command in (("check", "rules", str(RULES)), ("test", "rules", str(tests))):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_explained_and_on_a_series_that_exists() -> None:
    """No alert without a unit test and a row for operators; none on a series that the server does not have."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    tested = yaml.safe_load(Path(__file__).with_name("energy.rules.test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case.get("exp_alerts")}
    guide = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    series = generate_latest(make_registry(full_sources(), "0.1.0")).decode()
    assert {rule["alert"] for rule in rules} == fired
    for rule in rules:
        assert f"| `{rule['alert']}` |" in guide, rule["alert"]
        for name in re.findall(r"tarazy_\w+", rule["expr"]):
            assert f"\n{name}" in series, name
