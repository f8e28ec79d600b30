"""The content of the accreditation report, from stored records as they were known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine

from tarazy.accounting.energy.balance import store_intervals
from tarazy.accounting.energy.figures import peak_power
from tarazy.accounting.energy.intervals import Interval
from tarazy.accounting.energy.meter import Meter as MeterPoint
from tarazy.accreditation import audit
from tarazy.accreditation.entries import EnergySource, Meter, MeterStatus, Supply
from tarazy.accreditation.registers import append_all
from tarazy.config.law import load_law
from tarazy.reports.canonical import canonical_json
from tarazy.reports.content import AccreditationReport, Records
from tarazy.reports.document import Section, Table
from tarazy.reports.gather import gather
from tarazy.reports.gather.records import numbered, period_until
from tarazy.reports.layout.energy import fee as fee_section
from tarazy.reports.layout.voice import Voice
from tests.reports import world


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each kind of database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def test_same_bytes_after_more_has_happened(connection: Connection, report: AccreditationReport) -> None:
    """Corrections, revocations, reorganisations and late energy change no earlier report (invariant 6)."""
    before = canonical_json(report)
    world.happen_later(connection)
    assert canonical_json(gather(connection, world.MOMENT, world.POOL, world.assumed_law())) == before
    later = gather(connection, world.LATER + timedelta(hours=1), world.POOL, world.assumed_law())
    assert not next(miner for miner in later.miners.miners if miner.party == "altyn").admitted
    assert later.energy.sites[1].metered_wh == 5 * 3_600 + 9_999
    assert len(later.rewards.blocks) == 4


def test_who_may_mine_and_why_not(report: AccreditationReport) -> None:
    """Each party with its licence, its sites and the reasons of the judge that admits connections (invariant 4)."""
    miners = {miner.party: miner for miner in report.miners.miners}
    assert {key for key, miner in miners.items() if miner.admitted} == {"altyn", "sary", "tau"}
    assert miners["sary"].sites == ("ekibastuz-1",)
    assert (miners["altyn"].equipment, miners["altyn"].nominal_power_w) == (4, 14_000)
    assert miners["zhel"].reasons[0] == "no-licence"
    assert miners["zhel"].licence is None
    expired = miners["kok"].licence
    assert expired is not None
    assert (expired.status, str(expired.last_day), miners["kok"].reasons[0]) == (
        "expired",
        "2026-10-31",
        "licence-expired",
    )
    assert report.miners.source[0] == Records("party", 5, ((1, 5),))


def test_refusals_are_counted_by_reason(connection: Connection, report: AccreditationReport) -> None:
    """Decisions of the period by login and reason; registered miners first, then strangers; the head as it stood."""
    section = report.admission
    assert (section.admissions, section.refusals) == (2, 4)
    assert {count.reason: count.refusals for count in section.reasons}["foreign-address"] == 2
    assert [refused.login for refused in section.refused] == [
        "altyn.rig-1",
        "kok.rig-1",
        "zhel.rig-1",
        "stranger.rig-1",
    ]
    assert section.refused[-1].party == ""
    head = audit.head(connection)
    assert report.audit is not None
    assert (report.audit.size, report.audit.root) == (head.size, head.root)


def test_a_refused_login_names_the_latest_worker(connection: Connection) -> None:
    """Refusals of one account for the same reasons are one line, with the worker that knocked last."""
    world.knock(connection, "altyn", world.ABROAD, datetime(2026, 11, 4, tzinfo=UTC), "rig-2")
    section = gather(connection, world.MOMENT, world.POOL, world.assumed_law()).admission
    assert (section.refused[0].login, section.refused[0].refusals) == ("altyn.rig-2", 2)
    world.knock(connection, "altyn", world.ABROAD, datetime(2026, 11, 5, tzinfo=UTC), "")
    section = gather(connection, world.MOMENT, world.POOL, world.assumed_law()).admission
    assert (section.refused[0].login, section.refused[0].refusals) == ("altyn", 3)


def test_strangers_do_not_fill_the_report(connection: Connection) -> None:
    """Anyone can invent logins: a report lists a hundred of them and counts the rest (invariant 10)."""
    for number in range(130):
        world.knock(connection, f"nobody{number}", world.ABROAD, datetime(2026, 11, 6, tzinfo=UTC))
    section = gather(connection, world.MOMENT, world.POOL, world.assumed_law()).admission
    assert section.refusals == 134
    assert len([refused for refused in section.refused if not refused.party]) == 100
    assert section.refused_not_listed == 31


def test_rewards_add_up(report: AccreditationReport) -> None:
    """Σ credits + fee + remainder = reward, and sums leave out what was reversed (invariant 2)."""
    rewards = report.rewards
    assert [item.state for item in rewards.distributions] == ["final", "reversed", "immature"]
    assert [block.state for block in rewards.blocks] == ["final", "reversed", "immature"]
    for item in rewards.distributions:
        assert sum(credit.amount for credit in item.credits) + item.fee + item.remainder == item.reward
        assert sum(credit.weight for credit in item.credits) == item.total_weight
    last = rewards.distributions[-1]
    assert (last.first_round, last.last_round) == (2, 3)
    assert rewards.reward == 2 * world.REWARD
    remainders = rewards.distributions[0].remainder + last.remainder
    paid = sum(item.final + item.immature for item in rewards.earnings)
    assert paid + rewards.fee + remainders == rewards.reward


def test_energy_adds_up(report: AccreditationReport) -> None:
    """A site's meters equal what its parties were given and the rest, to the watt-hour (invariant 9)."""
    ekibastuz, temirtau = report.energy.sites
    assert ekibastuz.metered_wh == 6 * (19_997 + 5_001)
    for site in (ekibastuz, temirtau):
        assert sum(party.energy_wh for party in site.parties) == site.allocated_wh
        assert site.allocated_wh + site.unallocated_wh == site.metered_wh
    assert ekibastuz.unallocated_wh == 6
    assert all(party.estimate_wh for party in ekibastuz.parties)


def test_the_highest_power_of_a_site(connection: Connection) -> None:
    """All meters of a site together, by interval: 19,997 + 5,001 Wh in an hour; the first of equals."""
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    assert peak_power(connection, begin, world.MOMENT)["ekibastuz-1"][0] == 24_998
    assert peak_power(connection, begin, begin) == {}


def test_fee_is_computed_line_by_line(report: AccreditationReport) -> None:
    """Rates by the ladder of the assumption: 18.40 → 7, own renewables → 1, 24.10 → 1; one rounding (law §2.10)."""
    fees = {fee.party: fee for fee in report.fee.fees}
    altyn = fees["altyn"]
    assert [(line.meter, line.rate_kzt) for line in altyn.lines] == [("ek-feeder-1", 7), ("ek-solar", 1)]
    assert altyn.average_price_kzt == Decimal("18.400000")
    assert sum(line.energy_wh for line in altyn.lines) == altyn.energy_wh == 85_704
    assert altyn.exact_kzt == sum(line.amount_kzt for line in altyn.lines)
    assert altyn.amount_kzt == 497
    assert [line.rate_kzt for line in fees["tau"].lines] == [1]
    rule = {rule.id: rule for rule in report.rules.rules}[altyn.lines[0].rule]
    assert (rule.assumed, rule.confirmed) == (True, False)


def test_change_of_a_meter_cuts_the_quarter(connection: Connection) -> None:
    """Energy counts with the price and the state that its meter had when the interval began (law §2.10, §2.11)."""
    meter = next(row for row in world.registers() if isinstance(row, Meter) and row.site == "temirtau")
    since = datetime(2026, 11, 10, 2, tzinfo=UTC)
    later = [
        replace(meter, price_tiyn_per_kwh=600, valid_from=since),
        replace(meter, status=MeterStatus.FAULTY, valid_from=since + timedelta(hours=3)),
    ]
    append_all(connection, later, datetime(2026, 11, 12, tzinfo=UTC), "operator")
    report = gather(connection, world.MOMENT, world.POOL, world.assumed_law())
    lines = {fee.party: fee for fee in report.fee.fees}["tau"].lines
    assert [(line.energy_wh, line.price_tiyn_per_kwh, line.ground, line.rate_kzt) for line in lines] == [
        (3 * 3_600, 600, "average_price", 10),
        (3_600, 2_410, "no_or_faulty_meter", 25),
        (2 * 3_600, 2_410, "average_price", 10),
    ]


def test_supplies_of_one_price_are_told_apart(connection: Connection) -> None:
    """Two contracts of one source and price are two lines with their numbers, in the data and in every language."""
    site = next(row for row in world.registers() if isinstance(row, Meter)).site
    supplies = [
        Supply(
            supply=f"import-{number}",
            site=site,
            source=EnergySource.IMPORT,
            priority=number,
            price_tiyn_per_kwh=1_200,
            month_kwh=month_kwh,
            contract=f"17/{number}",
            valid_from=world.BEGIN,
        )
        for number, month_kwh in ((1, 40), (2, None))
    ]
    append_all(connection, supplies, world.BEGIN + timedelta(days=1), "operator")
    report = gather(connection, world.MOMENT, world.POOL, world.assumed_law())
    bought = [line for fee in report.fee.fees for line in fee.lines if line.supply is not None]
    told = {(line.supply, line.contract) for line in bought}
    assert told == {("import-1", "17/1"), ("import-2", "17/2")}
    assert {(line.source, line.price_tiyn_per_kwh) for line in bought} == {("import", 1_200)}
    assert 0 <= 40_000 - sum(line.energy_wh for line in bought if line.supply == "import-1") <= 1
    for lang, word in (("kk", "17/2 шарты"), ("ru", "договор 17/2"), ("en", "contract 17/2")):
        cells = [
            cell
            for table in _tables(fee_section(Voice(lang, report.names), report))
            for row in table.rows
            for cell in row
        ]
        assert any(word in str(cell) for cell in cells)


def test_what_submeters_showed_stands_beside_what_was_allocated(connection: Connection) -> None:
    """A party with a sub-meter has its figure; one without has none."""
    site = next(row for row in world.registers() if isinstance(row, Meter)).site
    start = datetime(2026, 11, 10, 2, tzinfo=UTC)
    point = MeterPoint("sub-1", site, "10.0.0.9", 502, 1, "tarazy-demo", "altyn")
    stored = Interval(start, 3600, 1_234, "measured")
    store_intervals(connection, [(point, [stored])], start + timedelta(hours=1))
    report = gather(connection, world.MOMENT, world.POOL, world.assumed_law())
    shown = {(each.site, part.party): part.submetered_wh for each in report.energy.sites for part in each.parties}
    assert shown.pop((site, "altyn")) == 1_234
    assert set(shown.values()) == {None}


def _tables(section: Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def test_missing_rule_is_stated(connection: Connection) -> None:
    """Without a rule for 2026 the fee is not computed, and the report says so instead of failing (invariant 8)."""
    report = gather(connection, world.MOMENT, world.POOL, load_law())
    for fee in report.fee.fees:
        assert fee.amount_kzt is None
        assert fee.lines == ()
        assert fee.missing is not None
        assert (fee.missing.topic, fee.missing.before) == ("digital_mining_fee", "fee-2023-ladder")
    assert "digital_mining_fee" in {missing.topic for missing in report.rules.missing}


def test_empty_database_gives_an_empty_report(engine: Engine) -> None:
    """A pool of which nothing is known has a report too."""
    with engine.begin() as connection:
        report = gather(connection, world.MOMENT, world.POOL, load_law())
    assert report.audit is None
    assert [report.accreditation.certificates, report.miners.miners, report.fee.fees] == [(), (), ()]
    assert report.rewards.reward == report.admission.refusals == 0


def test_period_is_the_legal_quarter() -> None:
    """Quarters turn at midnight in Almaty; a report at that instant tells the quarter that ended (invariant 9)."""
    midnight = datetime(2026, 9, 30, 19, tzinfo=UTC)
    ended, begun = period_until(midnight), period_until(midnight + timedelta(seconds=1))
    assert (ended.quarter, ended.complete, ended.end) == ("2026-Q3", True, midnight)
    assert (begun.quarter, begun.complete, begun.start) == ("2026-Q4", False, midnight)


def test_records_are_cited_in_ranges() -> None:
    """Numbers in a row are one range."""
    assert numbered("party", [5, 1, 2, 3, 7, 7]) == Records("party", 5, ((1, 3), (5, 5), (7, 7)))
    assert numbered("party", []) == Records("party", 0)
