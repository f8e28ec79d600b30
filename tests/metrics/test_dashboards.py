"""The dashboards: Grafana's own models know everything that is written in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARDS = sorted((Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards").glob("*.json"))
register_default_plugins()


def understood(written: Any) -> Any:
    """What is left of a dashboard after Grafana's models have read it."""
    return json.loads(JSONEncoder().encode(Dashboard.from_json(written)))


def lost(written: Any, read: Any, place: str = "") -> list[str]:
    """Where something of `written` is missing or other in `read`, which may hold more."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [fault for key in written for fault in lost(written[key], read.get(key), f"{place}.{key}")]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        pairs = enumerate(zip(written, read, strict=True))
        return [fault for at, (one, other) in pairs for fault in lost(one, other, f"{place}[{at}]")]
    return [] if written == read else [place]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_grafana_understands_all_of_a_dashboard(path: Path) -> None:
    """A misspelt option would be dropped without a word; here it is found."""
    written = json.loads(path.read_text(encoding="utf-8"))
    assert lost(written, understood(written)) == []
    written["panels"][-1]["fieldConfig"]["defaults"]["unti"] = "short"
    assert lost(written, understood(written)) == [f".panels[{len(written['panels']) - 1}].fieldConfig.defaults.unti"]
