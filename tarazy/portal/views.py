"""Facts to the JSON of the API: pure functions, one for each list. Shapes are those of `openapi.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tarazy.accounting.blocks import MATURITY, Block
from tarazy.accounting.energy.figures import Energy
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.queries import Work
from tarazy.accreditation.entries import Licence
from tarazy.portal.facts import Facts, Fee, Live, MeterState

CHART_POINTS = 96
CHART_PARTIES = 5
METERS_LISTED = 20
"""Of a site, those that do not work first; the page on energy tells all."""
HASHES_PER_WEIGHT = 65536 / 65535
"""As `tarazy.stratum.difficulty.hashes_of`, for estimates of a rate."""
_NO_WORK = Work()


def iso(instant: datetime | None) -> str | None:
    """RFC 3339 in UTC with whole seconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if instant else None


def hashrate(weight: float, seconds: float) -> float:
    """Hashes per second behind accepted work, to three significant digits: chance allows no more."""
    return float(f"{weight * HASHES_PER_WEIGHT / seconds:.3g}") if seconds > 0 else 0.0


def overview(facts: Facts, live: Live, health: Mapping[str, bool]) -> dict[str, Any]:
    """The pool at a glance. Holds nothing that changes by itself, so a quiet pool sends no events."""
    present = facts.present
    powers = [watts for watts in present.power_w.values() if watts is not None]
    return {
        "pool": {
            "name": live.pool_name,
            "demo": live.demo,
            "test_chain": live.test_chain,
            "started_at": iso(live.started_at),
            "stratum_url": live.stratum_url,
        },
        "hashrate": hashrate(sum(work.weight for work in present.work.values()), present.window_seconds),
        "hashrate_window_seconds": round(present.window_seconds),
        "connections": live.connections,
        "ready_connections": live.ready_connections,
        "parties": {
            "registered": len(present.registers.parties),
            "mining": sum(
                work.weight > 0 for party, work in present.work.items() if party in present.registers.parties
            ),
        },
        "shares": {
            "accepted": sum(work.shares for work in facts.day.work.values()),
            "stale": sum(work.stale_shares for work in facts.day.work.values()),
        },
        "round": {"number": present.open_round[0], "opened_at": iso(present.open_round[1])}
        if present.open_round
        else None,
        "last_block": {**_block(present.blocks[0], facts), "party": None} if present.blocks else None,
        "blocks": dict(present.block_counts),
        "chain": {
            "tip_height": live.tip_height,
            "template_height": live.template_height,
            "template_at": iso(live.template_at),
        },
        "power_watts": sum(powers) if powers else None,
        "health": [{"part": part, "ok": ok} for part, ok in sorted(health.items())],
    }


def block_told(block: Block, counted: bool) -> dict[str, Any]:
    """Where a block stands. How deep it lay in the past nobody knows any more: then nothing is `counted`."""
    return {
        "height": block.height,
        "block_hash": block.block_hash,
        "state": str(block.state),
        "confirmations": max(0, min(block.confirmations, MATURITY)) if counted else None,
        "maturity": MATURITY,
    }


def _block(block: Block, facts: Facts) -> dict[str, Any]:
    return {
        **block_told(block, counted=not facts.past),
        "found_at": iso(block.found_at),
        "reward": block.reward,
        "round": block.round,
        "party": block.party,
    }


def blocks(facts: Facts) -> dict[str, Any]:
    """Blocks found by the pool, newest first."""
    return _list((_block(block, facts) for block in facts.present.blocks), sum(facts.present.block_counts.values()))


def without_finders(blocks: dict[str, Any]) -> dict[str, Any]:
    """The blocks as they are told to everybody: who found one is nobody else's business."""
    return {**blocks, "items": [{**block, "party": None} for block in blocks["items"]]}


def _list(items: Iterable[dict[str, Any]], total: int | None = None) -> dict[str, Any]:
    found = list(items)
    return {"total": len(found) if total is None else total, "items": found}


def miners(facts: Facts) -> dict[str, Any]:
    """Registered parties and their work, the fastest first."""
    rows = [_miner(facts, party) for party in sorted(facts.present.registers.parties)]
    return _list(sorted(rows, key=lambda row: (-row["hashrate"], row["party"])))


def _miner(facts: Facts, party: str) -> dict[str, Any]:
    present, registers = facts.present, facts.present.registers
    entry = registers.parties[party]
    now, day = present.work.get(party, _NO_WORK), facts.day.work.get(party, _NO_WORK)
    reasons = present.admissions.get(party, ())
    balance = present.balances.get(party)
    energy = facts.quarter.energy.get(party)
    sites = registers.sites_by_party.get(party, ())
    licences = registers.licences_by_party.get(party, ())
    return {
        "party": party,
        "names": {"kk": entry.name_kk, "ru": entry.name_ru, "en": entry.name_en},
        "account": entry.account,
        "admitted": not reasons,
        "reasons": list(reasons),
        "licence": _licence(max(licences, key=lambda licence: licence.entry)) if licences else None,
        "sites": [registers.sites[site].name for site in sites],
        "workers": now.workers,
        "hashrate": hashrate(now.weight, present.window_seconds),
        "shares": day.shares,
        "stale_shares": day.stale_shares,
        "immature": balance.immature if balance else 0,
        "payable": balance.payable if balance else 0,
        "earned": balance.earned if balance else 0,
        "energy_wh": energy.energy_wh if energy else None,
        "estimate_wh": energy.estimate_wh if energy else None,
        "fee": _fee(facts.quarter.fees.get(party), facts.quarter.quarter),
    }


def _licence(licence: Licence) -> dict[str, Any]:
    return {"number": licence.licence, "kind": str(licence.kind), "expires_at": iso(licence.valid_to)}


def _fee(fee: Fee | None, quarter: str) -> dict[str, Any]:
    fee = fee or Fee(None, confirmed=False, problem="no_energy")
    tenge = None if fee.tenge is None else str(fee.tenge)
    return {"tenge": tenge, "confirmed": fee.confirmed, "quarter": quarter, "problem": fee.problem}


def refusals(facts: Facts) -> dict[str, Any]:
    """Refused admissions of the last 24 hours, newest first, and how often each reason stood."""
    counts: dict[str, int] = {}
    for refusal in facts.day.refusals:
        for reason in refusal.reasons:
            counts[reason] = counts.get(reason, 0) + refusal.count
    items = [
        {
            "account": refusal.account,
            "party": refusal.party,
            "reasons": list(refusal.reasons),
            "count": refusal.count,
            "last_at": iso(refusal.last_at),
        }
        for refusal in facts.day.refusals
    ]
    return {**_list(items), "counts": counts}


def attention(facts: Facts) -> dict[str, Any]:
    """What waits for somebody, the most severe first."""
    items = [
        {
            "kind": row.kind,
            "key": row.key,
            "severity": str(row.severity),
            "party": row.party,
            "site": row.site,
            "at": iso(row.at),
            "owner": row.owner,
            "blocks": row.blocks,
            "text": row.text,
        }
        for row in facts.attention
    ]
    return _list(items)


def distributions(facts: Facts) -> dict[str, Any]:
    """How each reward was divided, newest first (invariant 2)."""
    heights = {block.block_hash: block.height for block in facts.present.blocks}
    items = [
        {
            "distribution": row.number,
            "block_hash": row.block_hash,
            "height": heights.get(row.block_hash),
            "first_round": row.first_round,
            "last_round": row.last_round,
            "state": str(row.state),
            "booked_at": iso(row.booked_at),
            "reward": row.reward,
            "fee_ppm": row.fee_ppm,
            "fee": row.fee,
            "credited": sum(row.credits.values()),
            "remainder": row.remainder,
            "total_weight": str(row.total_weight),
            "credits": [
                {"party": party, "amount": amount}
                for party, amount in sorted(row.credits.items(), key=lambda credit: -credit[1])
            ],
        }
        for row in facts.present.distributions
    ]
    return _list(items, facts.present.distribution_count)


def chart_starts(now: datetime, interval_seconds: int, known: Iterable[datetime]) -> list[datetime]:
    """Starts of the ended intervals that a chart shows, from the first known, at most `CHART_POINTS`."""
    step = timedelta(seconds=interval_seconds)
    end = floor_to(now, interval_seconds)
    first = max(floor_to(min(known, default=end), interval_seconds), end - CHART_POINTS * step)
    return [first + step * index for index in range((end - first) // step)]


def hashrate_series(facts: Facts) -> dict[str, Any]:
    """Hash rate over time: the pool and its largest parties."""
    series, seconds = facts.day.series, facts.interval_seconds
    starts = chart_starts(facts.now, seconds, (start for values in series.values() for start in values))
    largest = sorted(series, key=lambda party: -sum(series[party].get(start, 0.0) for start in starts))
    return {
        "interval_seconds": seconds,
        "times": [int(start.timestamp()) for start in starts],
        "total": [hashrate(sum(values.get(start, 0.0) for values in series.values()), seconds) for start in starts],
        "parties": [
            {"key": party, "values": [hashrate(series[party].get(start, 0.0), seconds) for start in starts]}
            for party in sorted(largest[:CHART_PARTIES])
        ],
    }


def energy(facts: Facts) -> dict[str, Any]:
    """Energy by site, and over time; an interval without data is null, not zero."""
    intervals = facts.day.site_intervals
    known = {(item.site, item.start): item for item in intervals}
    starts = chart_starts(facts.now, facts.interval_seconds, (item.start for item in intervals))
    while starts and not any((site, starts[-1]) in known for site, _ in known):
        starts.pop()
    sites = sorted({*facts.present.registers.sites, *(site for site, _ in known)})
    meters: dict[str, list[MeterState]] = {}
    for meter in facts.present.meters:
        meters.setdefault(meter.site, []).append(meter)

    def metered(site: str, start: datetime) -> int | None:
        item = known.get((site, start))
        return item.energy_wh if item and item.quality != "missing" else None

    return {
        "interval_seconds": facts.interval_seconds,
        "times": [int(start.timestamp()) for start in starts],
        "metered": [
            {"key": site, "values": [metered(site, start) for start in starts]}
            for site in sites
            if any((site, start) in known for start in starts)
        ],
        "estimate": [facts.day.estimates.get(start) for start in starts],
        "sites": [_site(facts, site, meters.get(site, [])) for site in sites],
    }


def _site(facts: Facts, site: str, meters: list[MeterState]) -> dict[str, Any]:
    entry = facts.present.registers.sites.get(site)
    of_day = facts.day.energy
    here: dict[str, Energy] = {party: energy for (at, party), energy in (of_day or {}).items() if at == site}
    estimates = [energy.estimate_wh for party, energy in here.items() if party]
    intervals = [item for item in facts.day.site_intervals if item.site == site]
    return {
        "site": site,
        "name": entry.name if entry else site,
        "region": entry.region if entry else "",
        "status": str(entry.status) if entry else "withdrawn",
        "energy_wh": None if of_day is None else sum(item.energy_wh for item in intervals),
        "estimate_wh": None if of_day is None or None in estimates else sum(wh for wh in estimates if wh is not None),
        "unallocated_wh": None if of_day is None else here[""].energy_wh if "" in here else 0,
        "power_watts": facts.present.power_w.get(site),
        "missing_intervals": sum(item.quality == "missing" for item in intervals),
        "meter_count": len(meters),
        "meters_ok": sum(meter.status == "ok" for meter in meters),
        "meters": [
            {"meter": meter.meter, "status": meter.status, "read_at": iso(meter.read_at)}
            for meter in sorted(meters, key=lambda meter: meter.status == "ok")[:METERS_LISTED]
        ],
    }
