"""What the API tells of energy, on the database's side: of every site to who may read all, to a miner of its own.

A miner sees a site whole while it owns it, without what is others' there; at another's site it sees its own part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.energy.allocation import REST
from tarazy.accounting.energy.devices import fittings
from tarazy.accounting.energy.faults import is_silent
from tarazy.accounting.energy.figures import (
    Place,
    SiteInterval,
    energy_by_meter,
    energy_by_party,
    energy_by_submeter,
    party_intervals,
    require_detail,
    site_intervals,
)
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.energy.newest import last_answers, last_reading, last_seen
from tarazy.accounting.fee.consumption import FeeError
from tarazy.accreditation.entries import Finding, FindingKind, Meter, ReadBy, Severity, Site, Supply
from tarazy.accreditation.quotas import Held, held_power, held_quotas
from tarazy.accreditation.snapshot import Registers, version_at
from tarazy.config.law import LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Period, Quarter, day_start, legal_day
from tarazy.portal.guard import nothing
from tarazy.portal.moments import Told
from tarazy.reports.attention import finding_text
from tarazy.reports.consumption import place_of, site_consumption
from tarazy.reports.energy_use import month_use
from tarazy.reports.explained import explain_fee, sites_of
from tarazy.reports.gather.law import missing_rule
from tarazy.reports.language import LANGUAGES
from tarazy.reports.layout.law import missing_rule as rule_text
from tarazy.reports.layout.voice import Voice
from tarazy.reports.reconciled import DAYS, FloorRule, reconciliation

SPANS = ("day", "week", "month")
METERS = 500
"""Of a site, that are told at once."""
QUALITY = {"measured": "m", "estimated": "e", "missing": "x"}
_MOMENT = timedelta(microseconds=1)
_METERED = {
    FindingKind.METER_SILENT,
    FindingKind.METER_REGISTER,
    FindingKind.METER_STUCK,
    FindingKind.ENERGY_QUOTA,
    FindingKind.DRAWN_POWER,
}
"""Kinds of findings that tell of meters alone."""
_BY_WORK = {FindingKind.ENERGY_FLOOR, FindingKind.ENERGY_DRIFT}
"""Those that hold the work of everybody at the site against its meters."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks: a party, which sees its own, or None, who sees all."""

    party: str | None

    def sites(self, registers: Registers) -> list[str]:
        """Keys of the sites that there are for this reader, in order."""
        if self.party is None:
            return list(registers.histories(Site.register))
        return sites_of(registers, self.party)

    def require(self, registers: Registers, site: str) -> Place:
        """The site. Raises `Fault` for one that there is not, or not for this reader: the two look the same."""
        if not registers.versions_of(Site.register, site) or (
            self.party is not None and site not in sites_of(registers, self.party)
        ):
            raise nothing(f"there is no site {site} among yours; see /api/v1/energy/sites")
        return place_of(registers, site)

    def whole(self, registers: Registers, site: str, start: datetime, end: datetime) -> bool:
        """Whether all of a site is this reader's to see, which is its owner's over the whole of [start, end)."""
        if self.party is None:
            return True
        owners = {entry.party for _, entry in _versions(registers, site, start, end)}
        return owners == {self.party}


def _versions(registers: Registers, site: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, Site]]:
    """What the register says of a site in [start, end), each version with the moment it begins to hold there."""
    versions = registers.versions_of(Site.register, site)
    instants = {at for entry in versions for at in (entry.valid_from, entry.valid_to) if at and start < at < end}
    for since in sorted({start, *instants}):
        entry = version_at(versions, since)
        if isinstance(entry, Site):
            yield since, entry


def span_of(span: str, day: date) -> Period:
    """The legal day, the week from Monday, or the calendar month that holds `day`."""
    if span == "day":
        return Period(day, day)
    if span == "week":
        monday = day - timedelta(days=day.weekday())
        return Period(monday, monday + timedelta(days=6))
    return Period.parse(f"{day:%Y-%m}")


def sites(registers: Registers, reader: Reader, now: datetime) -> dict[str, Any]:
    """The sites of a reader."""
    items = []
    for key in reader.sites(registers):
        entry = registers.sites.get(key) or registers.versions_of(Site.register, key)[0]
        assert isinstance(entry, Site)
        items.append(
            {
                "site": key,
                "name": entry.name,
                "region": entry.region,
                "status": entry.status,
                "permitted_power_w": entry.permitted_power_w if _owns(reader, entry) else None,
                "whole": reader.whole(registers, key, now, now + _MOMENT),
            }
        )
    return {"party": reader.party, "total": len(items), "items": items}


def _owns(reader: Reader, entry: Site) -> bool:
    return reader.party in (None, entry.party)


def load(
    connection: Connection,
    registers: Registers,
    reader: Reader,
    site: str,
    period: Period,
    moment: Told,
    interval_seconds: int,
) -> dict[str, Any]:
    """Mean power of each interval of a period, with its quality; of a guest, what it was allocated."""
    place = reader.require(registers, site)
    end = min(period.end, max(moment.valid_at, period.start))
    whole = reader.whole(registers, site, period.start, max(end, period.start + _MOMENT))
    require_detail(connection, period.start, end, place)
    rows: list[SiteInterval]
    if whole:
        rows = site_intervals(connection, period.start, end, moment.known_at, site=site)
    else:
        assert reader.party is not None
        rows = party_intervals(connection, reader.party, period.start, end, place)
    first = floor_to(period.start, interval_seconds)
    count = max(0, (floor_to(end, interval_seconds) - first) // timedelta(seconds=interval_seconds))
    power: list[int | None] = [None] * count
    quality = ["x"] * count
    energy = dict.fromkeys(QUALITY, 0)
    for row in rows:
        at = (row.start - first) // timedelta(seconds=interval_seconds)
        energy[row.quality] += row.energy_wh
        if 0 <= at < count:
            quality[at] = QUALITY[row.quality]
            power[at] = None if row.quality == "missing" else row.energy_wh * 3600 // row.seconds
    return {
        "site": site,
        "of": "site" if whole else "party",
        "first_day": period.first_day,
        "last_day": period.last_day,
        "start": first,
        "interval_seconds": interval_seconds,
        "power_w": power,
        "quality": "".join(quality),
        "energy_wh": sum(energy.values()),
        "energy_by_quality_wh": energy,
        "intervals": {name: "".join(quality).count(sign) for name, sign in QUALITY.items()},
    }


def allocation(
    connection: Connection, registers: Registers, reader: Reader, site: str, period: Period, moment: Told
) -> dict[str, Any]:
    """Who got how much of a period by which rule; the parts and the rest add up to what was divided of the meters."""
    place = reader.require(registers, site)
    end = min(period.end, max(moment.valid_at, period.start + _MOMENT))
    whole = reader.whole(registers, site, period.start, end)
    energy = energy_by_party(connection, period.start, end, moment.known_at, place)
    own = [row for (_, party), row in energy.items() if party == reader.party]
    told: dict[str, Any] = {
        "site": site,
        "of": "site" if whole else "party",
        "first_day": period.first_day,
        "last_day": period.last_day,
        "rules": list(_rules(registers, site, period.start, end, reader)),
        "metered_wh": None,
        "divided_wh": sum(row.energy_wh for row in energy.values()) if whole else sum(row.energy_wh for row in own),
    }
    below = {party for _, party in energy_by_submeter(connection, period.start, end, moment.known_at, place)}
    if whole:
        rows = energy_by_meter(connection, period.start, end, moment.known_at, place)
        told["metered_wh"] = sum(row.energy_wh for row in rows.values())
    parts = []
    others = 0
    for (_, party), row in energy.items():
        if reader.party is None or party == reader.party or (whole and party == REST):
            kind = "rest" if party == REST else "party"
            parts.append({"party": party, "kind": kind, "by_submeter": party in below, **asdict(row)})
        else:
            others += row.energy_wh
    if whole and others:
        unknown = {"energy_wh": others, "estimate_wh": None, "uncertain_wh": 0}
        parts.append({"party": "", "kind": "others", "by_submeter": False, **unknown})
    order = ("party", "others", "rest")
    told["items"] = sorted(parts, key=lambda row: (order.index(row["kind"]), -row["energy_wh"], row["party"]))
    told["names"] = _names(registers, {row["party"] for row in parts})
    return told


def _names(registers: Registers, parties: set[str]) -> dict[str, dict[str, str]]:
    found = {party: registers.parties[party] for party in sorted(parties) if party in registers.parties}
    return {party: {"kk": row.name_kk, "ru": row.name_ru, "en": row.name_en} for party, row in found.items()}


def _rules(registers: Registers, site: str, start: datetime, end: datetime, reader: Reader) -> Iterator[dict[str, Any]]:
    """The rules in force in [start, end), in order of time; of agreed parts a miner sees its own."""
    for since, entry in _versions(registers, site, start, end):
        parts = [part for part in (entry.energy_parts or "").split() if reader.party in (None, part.partition("=")[0])]
        by = entry.energy_by.value if entry.energy_by else None
        rest = (entry.energy_rest.value if entry.energy_rest else "owner") if by else None
        yield {"since": since, "by": by, "rest": rest, "parts": parts}


def supplies(
    connection: Connection, registers: Registers, reader: Reader, site: str, month: Period, moment: Told
) -> dict[str, Any]:
    """What a site's supplies gave in a month, and its energy and power against quotas and what is permitted."""
    place = reader.require(registers, site)
    now, known_at = moment.valid_at, moment.known_at
    end = min(month.end, max(now, month.start + _MOMENT))
    if not reader.whole(registers, site, month.start, end):
        return {"site": site, "month": str(month), "of": "party", "items": [], "quotas": [], "power": None}
    then = registers.at(end - _MOMENT)
    taken: dict[tuple[str, str | None], int] = {}
    for part in site_consumption(connection, registers, month.start, end, known_at, place):
        for item in part.sites.get(site, ()):
            key = item.source, item.supply
            taken[key] = taken.get(key, 0) + item.energy_wh
    use = month_use(connection, then, month, now, place, known_at)
    quotas = {source: held for (at, source), held in held_quotas(then, use).items() if at == site}
    power = held_power(then, use).get(site)
    rows = [row for row in then.supplies.values() if row.site == site]
    for row in rows:
        taken.setdefault((row.source.value, row.supply), 0)
    return {
        "site": site,
        "month": str(month),
        "of": "site",
        "items": [
            _supply(then.supplies.get(supply or ""), source, supply, energy_wh)
            for (source, supply), energy_wh in sorted(taken.items(), key=lambda each: (each[0][0], each[0][1] or ""))
        ],
        "quotas": [{"source": source, **_held(held)} for source, held in quotas.items()],
        "power": None if power is None else {"at": use.peaks[site][1], **_held(power)},
    }


def _supply(entry: Supply | None, source: str, supply: str | None, energy_wh: int) -> dict[str, Any]:
    return {
        "source": source,
        "supply": supply,
        "supplier": entry.supplier if entry else None,
        "contract": entry.contract if entry else None,
        "price_tiyn_per_kwh": entry.price_tiyn_per_kwh if entry else None,
        "month_kwh": entry.month_kwh if entry else None,
        "energy_wh": energy_wh,
    }


def _held(held: Held) -> dict[str, Any]:
    return {"taken": held.taken, "permitted": held.permitted, "percent": held.percent, "level": held.level}


def reconciled(
    connection: Connection,
    registers: Registers,
    reader: Reader,
    site: str,
    rule: FloorRule,
    moment: Told,
    interval_seconds: int,
) -> dict[str, Any]:
    """A site's energy against its work; a miner sees it where nobody else's work is in the figures."""
    place = reader.require(registers, site)
    if not _alone(connection, registers, reader, place, moment.valid_at):
        return {"site": site, "told": False, "days": [], "drift": None, "floor": None, "confounders": []}
    told = reconciliation(connection, registers, site, rule, moment.valid_at, interval_seconds, moment.known_at)
    return {"told": True, **told}


def _alone(connection: Connection, registers: Registers, reader: Reader, place: Place, now: datetime) -> bool:
    """Whether a site's work is all this reader's to see: nobody else's is in what its energy is held against."""
    start = day_start(legal_day(now) - timedelta(days=DAYS))
    if reader.party is None:
        return True
    if not reader.whole(registers, place.site, start, now):
        return False
    return {party for _, party in energy_by_party(connection, start, now, None, place)} <= {reader.party, REST}


def meters(
    connection: Connection, registers: Registers, reader: Reader, site: str, moment: Told, interval_seconds: int
) -> dict[str, Any]:
    """The meters that stand at a site then, the last reading of each, whether it is silent, and what was exchanged."""
    reader.require(registers, site)
    now = moment.valid_at
    whole = reader.whole(registers, site, now, now + _MOMENT)
    here = [
        row
        for key in registers.meters_by_site.get(site, ())
        if (row := registers.meters.get(key)) is not None
        and row.site == site
        and (reader.party is None or row.party == reader.party or (whole and row.party is None))
    ]
    shown = here[:METERS]
    keys = [row.meter for row in shown]
    seen = last_seen(connection, keys, now, moment.known_at)
    fitted = fittings(connection, keys, moment.known_at)
    answered = last_answers(connection, keys, now, moment.known_at).keys()
    items = []
    for row in shown:
        good = seen[row.meter]
        pushed = row.read_by is not ReadBy.POOL
        since = good if row.meter in answered else row.recorded_at
        last = last_reading(connection, row.meter, now, moment.known_at)
        items.append(
            {
                "meter": row.meter,
                "party": row.party,
                "profile": row.profile,
                "read_by": row.read_by,
                "source": row.source,
                "price_tiyn_per_kwh": row.price_tiyn_per_kwh if _priced(reader, row) else None,
                "registered": row.status,
                "last": last and {"at": last.at, "status": last.status, "count": last.register_count},
                "good_at": good,
                "silent": is_silent(row.profile, pushed, since, now, interval_seconds),
                "devices": [
                    {
                        "since": each.since,
                        "serial": each.serial,
                        "profile": each.profile,
                        "ct_ratio": str(each.ct_ratio),
                        "vt_ratio": str(each.vt_ratio),
                        "initial_count": each.initial_import,
                        "final_count_before": each.final_import,
                        "why": each.why,
                    }
                    for each in fitted[row.meter]
                    if each.since <= now
                ],
            }
        )
    return {"site": site, "total": len(here), "items": items, "names": _names(registers, _parties(shown))}


def _parties(rows: Sequence[Meter]) -> set[str]:
    return {row.party for row in rows if row.party is not None}


def _priced(reader: Reader, row: Meter) -> bool:
    return reader.party is None or row.party is None


def findings(connection: Connection, registers: Registers, reader: Reader, site: str, now: datetime) -> dict[str, Any]:
    """Open findings of a site with what to do about each; to a miner those on energy that are about its own."""
    place = reader.require(registers, site)
    found = [row for row in registers.findings.values() if row.site == site and row.is_open]
    if reader.party is not None:
        kinds = _METERED | (_BY_WORK if _alone(connection, registers, reader, place, now) else set())
        whole = reader.whole(registers, site, now, now + _MOMENT)
        found = [row for row in found if row.kind in kinds and _concerns(registers, reader, row, whole)]
    severities = list(Severity)
    found.sort(key=lambda row: (severities.index(row.severity), row.finding))
    items = [
        {
            "finding": row.finding,
            "kind": row.kind,
            "severity": row.severity,
            "since": row.valid_from,
            "blocks": row.blocks,
            "text": {lang: finding_text(lang, row) for lang in LANGUAGES},
        }
        for row in found
    ]
    return {"site": site, "total": len(items), "items": items}


def _concerns(registers: Registers, reader: Reader, row: Finding, whole: bool) -> bool:
    if row.of_register == Meter.register:
        meter = registers.meters.get(row.of_key)
        return meter is not None and (meter.party == reader.party or (whole and meter.party is None))
    return row.party == reader.party or (whole and row.party is None)


def fee(
    connection: Connection, registers: Registers, law: LawBook, party: str, quarter: Quarter, moment: Told
) -> dict[str, Any]:
    """How a party's fee for a quarter comes about, or why none is computed. Raises `Fault`."""
    if not registers.versions_of("party", party):
        raise nothing(f"there is no party {party}")
    empty: dict[str, Any] = {
        "party": party,
        "quarter": str(quarter),
        "problem": None,
        "why": None,
        "texts": None,
        "fee": None,
    }
    try:
        then = registers.at(min(quarter.end, moment.valid_at))
        span = quarter, moment.known_at, sites_of(registers, party), moment.valid_at
        told = explain_fee(connection, then, law, party, *span)
    except NoRuleInForceError as error:
        texts = {lang: rule_text(Voice(lang, {}), missing_rule(error)) for lang in LANGUAGES}
        return empty | {"problem": "no_rule", "why": str(error), "texts": texts}
    except FeeError as error:
        return empty | {"problem": "incomplete", "why": str(error)}
    return empty | {"fee": told}
