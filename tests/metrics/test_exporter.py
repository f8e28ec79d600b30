"""The exporter's series: named as Prometheus asks, without identities, over a real socket."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
import pytest_twisted
import treq
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tarazy.metrics.exporter import Exporter, make_registry
from tarazy.metrics.facts import (
    AccountingFacts,
    AdmissionFacts,
    AttentionFacts,
    ChainFacts,
    EnergyFacts,
    GatewayFacts,
    JournalFacts,
    PayoutFacts,
    ReportFacts,
    Sources,
    WorkFacts,
)

RESULTS = ("accepted", "stale", "duplicate", "low_difficulty")
BASE_UNITS = ("seconds", "joules", "watts", "bytes", "ratio", "hashes_per_second")
OTHER_UNITS = r"(milli|micro|kilo|mega|giga)|_(ms|us|k?wh|kw|minutes?|hours?|days?|kb|mb|percent)(_|$)"
LABELS = {
    *("result", "reason", "state", "site", "source", "version", "node", "kind", "within_days", "severity"),
    *("device", "listener", "work", "standing"),
}


def full_sources() -> Sources:
    """Sources of a server that has done a little of everything."""
    return Sources(
        gateway=lambda: GatewayFacts(
            shares={**dict.fromkeys(RESULTS, 0), "accepted": 7},
            difficulty={**dict.fromkeys(RESULTS, 0.0), "accepted": 0.5},
            connections=3,
            ready_connections=2,
            devices={"antminer": 2},
            refusals={"licence_expired": 4},
            limit_hits={"idle": 1},
            certificate_ends={"2": 1_800_000_000.0},
        ),
        admission=lambda: AdmissionFacts({"admitted": 5, "refused": 4}, unwritten=1),
        journal=lambda: JournalFacts(commits=5, commit_seconds=0.25, shares=7, healthy=True),
        chain=lambda: ChainFacts(
            tip_height=100, template_height=101, template_age_seconds=2.5, nodes_up={"1": True, "2": False}, failovers=3
        ),
        accounting=lambda: AccountingFacts({"found": 0, "mature": 2}, rounds=2, unfolded_shares=1, hashrate=1.5e12),
        payouts=lambda: PayoutFacts(
            satoshi={"payable": 7},
            distributions={"final": 2},
            batches={"proposed": 1},
            batch_age_seconds={"proposed": 60.0},
        ),
        energy=lambda: EnergyFacts(
            power_watts={"ekibastuz": 1500.0},
            readings={"recorded": 9, "refused": 1},
            reading_age_seconds={"ekibastuz": 61.5},
            missing_intervals={"ekibastuz": 2},
            waiting={"ekibastuz": 700},
        ),
        attention=lambda: AttentionFacts(
            {"meter-register": 0}, {"7": 1}, {"critical": 0}, {"ekibastuz": 0.25}, {"admitted": 3}, {"clock-off": 0}
        ),
        reports=lambda: ReportFacts({"near": 1}, 2, {"refused": 3}, 4, 90.5),
        work=lambda: WorkFacts({"keep_books": True}),
    )


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample as (name, label values) → value."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def own_samples(source: str, facts: Any) -> dict[tuple[str, tuple[str, ...]], float]:
    """The server's samples when its only source gives `facts`."""
    seen = samples(make_registry(Sources(**{source: lambda: facts}), "0.1.0"))
    return {key: value for key, value in seen.items() if key[0].startswith("tarazy_")}


def test_promtool_accepts_the_series() -> None:
    """`promtool check metrics` finds nothing to say about a full exposition."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    text = generate_latest(make_registry(full_sources(), "0.1.0"))
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_values_arrive_under_their_names() -> None:
    """Each fact is one series with the value the source gave."""
    seen = samples(make_registry(full_sources(), "0.1.0"))
    assert seen[("tarazy_shares_total", ("accepted",))] == 7
    assert seen[("tarazy_shares_total", ("stale",))] == 0
    assert seen[("tarazy_share_difficulty_total", ("accepted",))] == 0.5
    assert seen[("tarazy_refusals_total", ("licence_expired",))] == 4
    assert seen[("tarazy_site_power_watts", ("ekibastuz",))] == 1500
    assert seen[("tarazy_meter_readings_total", ("refused",))] == 1
    assert seen[("tarazy_site_reading_age_seconds", ("ekibastuz",))] == 61.5
    assert seen[("tarazy_site_missing_intervals", ("ekibastuz",))] == 2
    assert seen[("tarazy_site_waiting_readings", ("ekibastuz",))] == 700
    assert seen[("tarazy_site_quota_used_ratio", ("ekibastuz",))] == 0.25
    assert seen[("tarazy_scheduled_reports", ("near",))] == 1
    assert seen[("tarazy_reports_not_built", ())] == 2
    assert seen[("tarazy_deliveries", ("refused",))] == 3
    assert seen[("tarazy_deliveries_stuck", ())] == 4
    assert seen[("tarazy_delivery_waiting_seconds", ())] == 90.5
    assert seen[("tarazy_blocks", ("mature",))] == 2
    assert seen[("tarazy_journal_healthy", ())] == 1
    assert seen[("tarazy_template_age_seconds", ())] == 2.5
    assert seen[("tarazy_node_up", ("1",))] == 1
    assert seen[("tarazy_node_up", ("2",))] == 0
    assert seen[("tarazy_node_failovers_total", ())] == 3
    assert seen[("tarazy_ledger_satoshi", ("payable",))] == 7
    assert seen[("tarazy_work_up", ("keep_books",))] == 1
    assert seen[("tarazy_certificate_end_timestamp_seconds", ("2",))] == 1_800_000_000
    assert seen[("tarazy_build_info", ("0.1.0",))] == 1
    assert ("process_open_fds", ()) in seen


def test_every_fact_has_a_series() -> None:
    """No field of the facts is forgotten: a changed value changes the exposition."""
    kinds: dict[str, Any] = {
        "gateway": GatewayFacts,
        "admission": AdmissionFacts,
        "journal": JournalFacts,
        "chain": ChainFacts,
        "accounting": AccountingFacts,
        "payouts": PayoutFacts,
        "energy": EnergyFacts,
        "attention": AttentionFacts,
        "reports": ReportFacts,
        "work": WorkFacts,
    }
    assert set(kinds) == {field.name for field in fields(Sources)}
    for source, kind in kinds.items():
        for field in fields(kind):
            counted = "Mapping" in str(field.type)
            before, after = (
                own_samples(source, kind(**{field.name: {"x": value} if counted else value})) for value in (0, 41)
            )
            assert sum(before[key] != after[key] for key in before) == 1, field.name


def test_names_units_and_labels() -> None:
    """Base units, `_total` on counters alone, only labels of small extent (invariant 12)."""
    text = generate_latest(make_registry(full_sources(), "0.1.0")).decode()
    own = [family for family in text_string_to_metric_families(text) if family.name.startswith("tarazy_")]
    assert len(own) > 40
    for family in own:
        assert not re.search(OTHER_UNITS, family.name), family.name
        assert family.type in ("counter", "gauge")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
            assert set(sample.labels) <= LABELS, sample
    assert not re.search(r"_created\b", text)
    units = {name for name in text.split() if name.startswith("tarazy_") and "seconds" in name}
    assert all(any(unit in name for unit in BASE_UNITS) for name in units)


def test_a_broken_source_spoils_nothing_else() -> None:
    """A source that raises shows as down; the series of the others stay."""

    def broken() -> JournalFacts:
        raise RuntimeError("the journal is gone")

    whole = full_sources()
    seen = samples(make_registry(Sources(gateway=whole.gateway, journal=broken, chain=whole.chain), "0.1.0"))
    assert seen[("tarazy_source_up", ("journal",))] == 0
    assert seen[("tarazy_source_up", ("gateway",))] == 1
    assert ("tarazy_journal_commits_total", ()) not in seen
    assert seen[("tarazy_template_height", ())] == 101


def test_a_source_with_wrong_values_is_down_as_a_whole() -> None:
    """Half a source is never shown: a value that is no number takes the source's series out."""
    wrong: Any = GatewayFacts(shares={"accepted": 1}, connections="many")  # type: ignore[arg-type]
    seen = samples(make_registry(Sources(gateway=lambda: wrong), "0.1.0"))
    assert seen[("tarazy_source_up", ("gateway",))] == 0
    assert ("tarazy_shares_total", ("accepted",)) not in seen


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """An exporter on a free loopback port."""
    from twisted.internet import reactor

    made = Exporter(reactor, full_sources(), "0.1.0", port=0)
    yield made
    pytest_twisted.blockon(made.stop())


@pytest_twisted.ensureDeferred
async def test_scrape_over_a_socket(exporter: Exporter) -> None:
    """GET /metrics answers in Prometheus' text format; other paths and methods are refused in words."""
    url = f"http://127.0.0.1:{exporter.start()}"
    answer = await treq.get(f"{url}/metrics", persistent=False)
    assert answer.code == 200
    assert answer.headers.getRawHeaders("content-type")[0].startswith("text/plain; version=")
    assert "tarazy_shares_total" in await answer.text()
    missing = await treq.get(f"{url}/", persistent=False)
    assert (missing.code, await missing.text()) == (404, "only /metrics is here\n")
    wrong = await treq.post(f"{url}/metrics", persistent=False)
    assert wrong.code == 405
    assert wrong.headers.getRawHeaders("allow") == ["GET, HEAD"]
