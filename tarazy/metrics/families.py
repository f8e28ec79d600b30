"""Facts to Prometheus series: names, help texts and labels, one function for each source. No state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

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
    WorkFacts,
)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"tarazy_{name}", text, value=float(value))


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"tarazy_{name}", text, value=float(value))


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"tarazy_{name}", text, labels=[label])
    for key in sorted(values):
        family.add_metric([key], float(values[key]))
    return family


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"tarazy_{name}", text, labels=[label])
    for key in sorted(values):
        family.add_metric([key], float(values[key]))
    return family


def gateway(facts: GatewayFacts) -> Iterator[Metric]:
    """Series of the Stratum listener."""
    yield _counters("shares", "Shares judged, by result.", "result", facts.shares)
    yield _counters("share_difficulty", "Difficulty of judged shares, by result.", "result", facts.difficulty)
    yield _gauge("connections", "Open Stratum connections.", facts.connections)
    yield _gauge("ready_connections", "Stratum connections that receive jobs.", facts.ready_connections)
    yield _gauges("devices", "Connections that receive jobs, by kind of device.", "device", facts.devices)
    yield _counters("refusals", "Refused admissions, by reason code.", "reason", facts.refusals)
    yield _counters("limit_hits", "Limits that peers reached, by limit.", "reason", facts.limit_hits)
    text = "How often the share interval is doubled because the server is behind."
    yield _gauge("share_interval_doublings", text, facts.interval_doublings)
    text = "End of the certificate of a TLS port, by its number."
    yield _gauges("certificate_end_timestamp_seconds", text, "listener", facts.certificate_ends)


def admission(facts: AdmissionFacts) -> Iterator[Metric]:
    """Series of the gate."""
    yield _counters("admissions", "Decisions on logins and on who is connected, by result.", "result", facts.decisions)
    yield _gauge("unwritten_decisions", "Rows of the audit log that wait for the ledger.", facts.unwritten)


def journal(facts: JournalFacts) -> Iterator[Metric]:
    """Series of the share journal."""
    yield _counter("journal_commits", "Group commits of the share journal.", facts.commits)
    yield _counter("journal_commit_seconds", "Time spent in group commits.", facts.commit_seconds)
    yield _counter("journal_shares", "Shares committed to the share journal.", facts.shares)
    yield _gauge("journal_healthy", "1 while the journal takes shares, else 0.", facts.healthy)


def chain(facts: ChainFacts) -> Iterator[Metric]:
    """Series of the chain and its template."""
    yield _gauge("tip_height", "Height of the best block.", facts.tip_height)
    yield _gauge("template_height", "Height of the block being mined.", facts.template_height)
    yield _gauge("template_age_seconds", "Time since the template was made.", facts.template_age_seconds)
    yield _gauges("node_up", "1 while a bitcoind node can be mined on, by its number.", "node", facts.nodes_up)
    yield _counter("node_failovers", "How often another bitcoind node took over.", facts.failovers)
    text = "Time between hearing of the newest block and the first work on it."
    yield _gauge("work_delay_seconds", text, facts.work_delay_seconds)
    yield _gauge("template_refused", "1 while the node would refuse the blocks being mined.", facts.template_refused)


def accounting(facts: AccountingFacts) -> Iterator[Metric]:
    """Series of the books."""
    yield _gauges("blocks", "Blocks found by the pool, by their present state.", "state", facts.blocks)
    yield _counter("rounds", "Rounds closed by a block.", facts.rounds)
    yield _gauge("journal_unfolded_shares", "Shares on disk that are not folded yet.", facts.unfolded_shares)
    yield _gauge("hashrate_hashes_per_second", "Hash rate estimated from accepted work.", facts.hashrate)
    yield _gauge("round_age_seconds", "How long the open round is open.", facts.round_age_seconds)
    yield _gauge("awaited_gateways", "Gateways whose journals a found block waits for.", facts.awaited_gateways)


def payouts(facts: PayoutFacts) -> Iterator[Metric]:
    """Series of what was divided and paid."""
    yield _gauges("ledger_satoshi", "Satoshi on the accounts of the ledger, by kind.", "kind", facts.satoshi)
    yield _gauges("distributions", "Distributions, by state.", "state", facts.distributions)
    yield _gauge("unrecorded_distributions", "Final distributions that have no record yet.", facts.unrecorded)
    yield _gauge("payouts_stopped", "1 while payouts are stopped, else 0.", facts.stopped)
    yield _gauges("payout_batches", "Batches of payments under way, by state.", "state", facts.batches)
    text = "How long the batch that came to its state first is in it, by state."
    yield _gauges("payout_batch_age_seconds", text, "state", facts.batch_age_seconds)
    yield _gauge("payout_troubled_batches", "Batches under way that the node does not take.", facts.troubled)
    yield _gauge("payout_held_parties", "Parties whose payments are held.", facts.held)
    text = "Satoshi that the wallet had over the books at the latest check."
    yield _gauge("wallet_difference_satoshi", text, facts.difference)


def energy(facts: EnergyFacts) -> Iterator[Metric]:
    """Series of the meters."""
    text = "Mean power of the last two intervals, by site; none while one of its meters is silent."
    yield _gauges("site_power_watts", text, "site", facts.power_watts)
    yield _counters("meter_readings", "Readings of meters that came in, by result.", "result", facts.readings)
    text = "Time since the last good reading of the meter that gave one longest ago, by site."
    yield _gauges("site_reading_age_seconds", text, "site", facts.reading_age_seconds)
    text = "Intervals of the last hour with something missing, by site."
    yield _gauges("site_missing_intervals", text, "site", facts.missing_intervals)
    yield _gauges("site_waiting_readings", "Readings that an agent has still to push, by site.", "site", facts.waiting)


def attention(facts: AttentionFacts) -> Iterator[Metric]:
    """Series of what waits for somebody."""
    yield _gauges("findings", "Open findings, by kind.", "kind", facts.findings)
    yield _gauges("expiring", "Entries and tokens that end within so many days.", "within_days", facts.expiring)
    yield _gauges("case_warnings", "Warnings of terms of open cases, by severity.", "severity", facts.cases)
    yield _gauges(
        "site_quota_used_ratio", "Part of the month's quota that is taken, by site.", "site", facts.quota_used
    )
    yield _gauges("parties", "Registered parties, by whether they would be admitted.", "result", facts.parties)
    text = "What is wanting in the evidence of where the server stands, by code."
    yield _gauges("server_evidence_wanting", text, "kind", facts.evidence)


def reports(facts: ReportFacts) -> Iterator[Metric]:
    """Series of the schedule of reports and their delivery."""
    text = "Reports of periods that have ended, by how they stand against their last day."
    yield _gauges("scheduled_reports", text, "standing", facts.standing)
    yield _gauge("reports_not_built", "Reports that should be built and are not.", facts.unbuilt)
    yield _gauges("deliveries", "Documents in the outbox and out of it, by state.", "state", facts.deliveries)
    text = "Deliveries that may have arrived, have no receipt and wait for a person."
    yield _gauge("deliveries_stuck", text, facts.stuck)
    text = "Time since the approval of the delivery that waits longest for its receipt."
    yield _gauge("delivery_waiting_seconds", text, facts.waiting_seconds)


def work(facts: WorkFacts) -> Iterator[Metric]:
    """Series of what a process does again and again."""
    yield _gauges("work_up", "1 while the work done again and again succeeds, by its name.", "work", facts.up)
