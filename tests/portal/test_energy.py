"""Energy over HTTP: every site to operator and inspector, to a miner its own and nothing of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_twisted

from tarazy.accounting.energy.devices import Fitting, fit
from tarazy.accounting.energy.faults import FaultWatch
from tarazy.accounting.energy.folding import fold
from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.recording import append_readings
from tarazy.accounting.energy.site_days import Piece, append_allocations, append_intervals
from tarazy.accreditation.entries import FindingState, ReadBy, Site
from tarazy.accreditation.registers import append_all, as_of, restate
from tarazy.config.law.calendar import Quarter, day_start, legal_day
from tarazy.pool.metered import meters_of
from tarazy.portal.energy import Reader, fee, meters, span_of
from tarazy.portal.moments import Told
from tarazy.portal.rights import Role
from tarazy.portal.tokens import create_token
from tarazy.reports.explained import explain_fee
from tests.portal.conftest import Running, run_portal
from tests.portal.metered import SUBMETER, metered
from tests.portal.pool import EKIBASTUZ, KARAGANDA, NAMES, SINCE
from tests.portal.shapes import faults
from tests.portal.subject import LAW
from tests.portal.test_readings import behind_agent

_YESTERDAY = datetime.now(UTC) - timedelta(days=1)
DAY, MONTH = f"day={legal_day(_YESTERDAY)}", f"{legal_day(_YESTERDAY):%Y-%m}"
QUARTER = Quarter.of(_YESTERDAY)
"""A month and a quarter of which at least a day has passed."""
OF_SITE = ("load", "allocation", "supplies", "reconciliation", "meters", "findings")
HOLDERS = (
    ("operator", Role.OPERATOR, None),
    ("inspector", Role.INSPECTOR, None),
    ("altyn", Role.MINER, "altyn"),
    ("dala", Role.MINER, "dala"),
    ("samal", Role.MINER, "samal"),
)


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal over sites with weeks of intervals, supplies and a sub-meter."""
    for running in run_portal(tmp_path_factory.mktemp("portal")):
        metered(running.pool)
        yield running


@pytest.fixture(scope="module")
def tokens(weeks: Running) -> dict[str, str]:
    """A token of each audience, of the owner of one site, its guest, and the owner of another."""
    now = datetime.now(UTC)
    with weeks.pool.engine.begin() as connection:
        made = {
            name: create_token(connection, name, role, party, now, now + timedelta(days=1), "test")
            for name, role, party in HOLDERS
        }
    pytest_twisted.blockon(weeks.portal.read_holders())
    return made


async def told(weeks: Running, token: str, path: str) -> Any:
    """The answer of `path` below `/energy`, which has the described shape."""
    headers = {"authorization": f"Bearer {token}"}
    body = await weeks.json(f"/api/v1/energy/{path}", headers=headers)
    document = await weeks.json("/api/v1/openapi.json")
    parts = path.partition("?")[0].split("/")
    described = {
        "sites": f"sites/{{site}}/{parts[-1]}" if len(parts) == 3 else "sites",
        "fees": "fees/{quarter}",
    }[parts[0]]
    answer = document["paths"][f"/api/v1/energy/{described}"]["get"]["responses"]["200"]["content"]
    assert faults(body, answer["application/json"]["schema"], document) == []
    return body


@pytest_twisted.ensureDeferred
async def test_who_sees_which_site_and_how(weeks: Running, tokens: dict[str, str]) -> None:
    """The operator all of all, an owner all of its own, a guest its part; any other site is not there."""
    seen = {
        name: [(row["site"], row["whole"]) for row in (await told(weeks, token, "sites"))["items"]]
        for name, token in tokens.items()
    }
    everything = [(EKIBASTUZ, True), (KARAGANDA, True)]
    assert seen == {
        "operator": everything,
        "inspector": everything,
        "altyn": everything[:1],
        "dala": [(EKIBASTUZ, False)],
        "samal": everything[1:],
    }
    for name in OF_SITE:
        headers = {"authorization": f"Bearer {tokens['samal']}"}
        missing = await weeks.get(f"/api/v1/energy/sites/nowhere/{name}", headers=headers)
        other = await weeks.get(f"/api/v1/energy/sites/{EKIBASTUZ}/{name}", headers=headers)
        assert (missing.code, other.code) == (404, 404)
        assert (await missing.text()).replace("nowhere", EKIBASTUZ) == await other.text()


@pytest.mark.parametrize(("name", "site"), [("altyn", EKIBASTUZ), ("dala", EKIBASTUZ), ("samal", KARAGANDA)])
@pytest_twisted.ensureDeferred
async def test_a_miner_is_told_of_no_other(weeks: Running, tokens: dict[str, str], name: str, site: str) -> None:
    """Neither the name nor the sub-meter of another party is in any answer; another's fee is refused."""
    others = [word for party, words in NAMES.items() if party != name for word in (party, *words)]
    others = [word for word in others if word not in (SUBMETER,)]
    headers = {"authorization": f"Bearer {tokens[name]}"}
    paths = ["sites", f"fees/{QUARTER}", *(f"sites/{site}/{part}" for part in OF_SITE)]
    for path in [*paths, f"sites/{site}/allocation?span=month&{DAY}", f"sites/{site}/load?span=month&{DAY}"]:
        answer = await weeks.get(f"/api/v1/energy/{path}", headers=headers)
        body = await answer.text()
        assert answer.code == 200, body
        assert not [word for word in others if word in body], path
    refused = await weeks.get(f"/api/v1/energy/fees/{QUARTER}?party={others[0]}", headers=headers)
    assert refused.code == 404


@pytest_twisted.ensureDeferred
async def test_parts_add_up_to_the_meters(weeks: Running, tokens: dict[str, str]) -> None:
    """Over a month, for whoever sees the site whole: watt-hour for watt-hour, with the rules that held."""
    operator = await told(weeks, tokens["operator"], f"sites/{EKIBASTUZ}/allocation?span=month&{DAY}")
    owner = await told(weeks, tokens["altyn"], f"sites/{EKIBASTUZ}/allocation?span=month&{DAY}")
    guest = await told(weeks, tokens["dala"], f"sites/{EKIBASTUZ}/allocation?span=month&{DAY}")
    for answer in (operator, owner):
        assert answer["metered_wh"] == answer["divided_wh"] == sum(row["energy_wh"] for row in answer["items"]) > 0
    assert [row["kind"] for row in operator["items"]] == ["party", "party", "rest"]
    assert [row["kind"] for row in owner["items"]] == ["party", "others", "rest"]
    (own,) = guest["items"]
    assert (guest["metered_wh"], own["by_submeter"]) == (None, True)
    assert own["energy_wh"] == owner["items"][1]["energy_wh"] == operator["items"][1]["energy_wh"]
    assert {rule["by"] for rule in operator["rules"]} <= {None, "work"}
    for name in ("altyn", "dala"):
        curve = await told(weeks, tokens[name], f"sites/{EKIBASTUZ}/load?span=month&{DAY}")
        assert curve["energy_wh"] == (owner["divided_wh"] if name == "altyn" else own["energy_wh"])
        assert len(curve["power_w"]) == len(curve["quality"]) == sum(curve["intervals"].values())
        nothing = [sign == "x" for sign in curve["quality"]]
        assert [power is None for power in curve["power_w"]] == nothing


@pytest_twisted.ensureDeferred
async def test_quota_meters_and_findings(weeks: Running, tokens: dict[str, str]) -> None:
    """Supplies add up to the meters, power against what is permitted; silent meters, exchanges, what to do."""
    month = await told(weeks, tokens["operator"], f"sites/{EKIBASTUZ}/allocation?span=month&{DAY}")
    supplies = await told(weeks, tokens["altyn"], f"sites/{EKIBASTUZ}/supplies?month={MONTH}")
    assert sum(row["energy_wh"] for row in supplies["items"]) == month["metered_wh"]
    assert {row["supply"] for row in supplies["items"]} == {"samruk-2026", "grid"}
    (quota,) = supplies["quotas"]
    grid = next(row for row in supplies["items"] if row["supply"] == "grid")
    assert (quota["taken"], quota["permitted"]) == (grid["energy_wh"], 340_000_000)
    assert supplies["power"]["permitted"] == 5_000_000
    assert (await told(weeks, tokens["dala"], f"sites/{EKIBASTUZ}/supplies?month={MONTH}"))["items"] == []
    meters = {}
    for name in ("operator", "altyn", "dala"):
        answer = await told(weeks, tokens[name], f"sites/{EKIBASTUZ}/meters")
        meters[name] = {row["meter"]: row["silent"] for row in answer["items"]}
    assert meters["operator"] == {SUBMETER: True, "feeder-1": False}
    assert (meters["altyn"], meters["dala"]) == ({"feeder-1": False}, {SUBMETER: True})
    found = {
        name: [row["kind"] for row in (await told(weeks, tokens[name], f"sites/{EKIBASTUZ}/findings"))["items"]]
        for name in ("operator", "altyn", "dala")
    }
    assert found == {
        "operator": ["energy-quota", "meter-silent", "site-power"],
        "altyn": ["energy-quota"],
        "dala": ["meter-silent"],
    }


@pytest.mark.parametrize(
    ("changes", "quiet", "silent"),
    [
        ({"read_by": ReadBy.AGENT}, 9, True),
        ({"read_by": ReadBy.AGENT}, 0, False),
        ({"read_by": ReadBy.AGENT}, None, True),
        ({}, 9, False),
        ({"profile": "abb-b23"}, 9, True),
        ({"profile": "abb-b23"}, None, True),
    ],
    ids=["agent", "agent at work", "agent never heard", "files", "pool", "pool never heard"],
)
def test_the_page_and_the_finding_tell_the_same_meters_as_silent(
    own: Running, changes: dict[str, Any], quiet: int | None, silent: bool
) -> None:
    """One whose agent, or that itself, gave no good reading for two intervals; none by files, and none just entered."""
    now = own.pool.now
    entry = replace(behind_agent("b-1", EKIBASTUZ, ReadBy.POOL), **{"profile": "register-kwh", **changes})
    with own.pool.engine.begin() as connection:
        new = replace(entry, meter="b-2")
        append_all(connection, [entry], SINCE, "test")
        append_all(connection, [new], now - timedelta(minutes=20), "test")
        if quiet is not None:
            append_readings(connection, [Reading("b-1", now - timedelta(hours=quiet), 10, "ok")], now)
        registers = as_of(connection, datetime.now(UTC))
        page = meters(connection, registers, Reader(None), EKIBASTUZ, Told(now, datetime.now(UTC)), 900)["items"]
        points = [point for point in meters_of(registers) if point.meter in ("b-1", "b-2")]
        told = FaultWatch().look(connection, points, now - timedelta(days=1), now, 900, ())
    found = {row["meter"]: row["silent"] for row in page}
    assert (found["b-1"], found["b-2"]) == (silent, False)
    assert [(fault.kind, fault.meter.meter) for fault in told] == ([("silent", "b-1")] if silent else [])


@pytest_twisted.ensureDeferred
async def test_work_is_told_where_it_is_nobody_elses(weeks: Running, tokens: dict[str, str]) -> None:
    """The operator sees both sites held against their work, an owner its own where it has no guest."""
    for name, site, sees in (
        ("operator", EKIBASTUZ, True),
        ("inspector", KARAGANDA, True),
        ("samal", KARAGANDA, True),
        ("altyn", EKIBASTUZ, False),
        ("dala", EKIBASTUZ, False),
    ):
        answer = await told(weeks, tokens[name], f"sites/{site}/reconciliation")
        assert (answer["told"], len(answer["days"]) > 30, answer["floor"] is not None) == (sees, sees, sees)
        assert answer["drift"] is None or not answer["drift"]["drifts"]


@pytest_twisted.ensureDeferred
async def test_the_fee_is_that_of_every_site(weeks: Running, tokens: dict[str, str]) -> None:
    """What is read at a party's own sites alone is what a look at all sites gives; refusals say what to enter."""
    now = datetime.now(UTC)
    with weeks.pool.engine.begin() as connection:
        registers = as_of(connection, now)
        for party in ("altyn", "dala", "samal"):
            narrow = fee(connection, registers, LAW, party, QUARTER, Told(now, now))["fee"]
            assert narrow == explain_fee(connection, registers, LAW, party, QUARTER, now)
            assert narrow["total_kzt"] > 0
    answer = await told(weeks, tokens["dala"], f"fees/{QUARTER}")
    assert sum(line["energy_wh"] for line in answer["fee"]["lines"]) == answer["fee"]["energy_wh"] > 0
    assert {line["assumed"] for line in answer["fee"]["lines"]} == {True}
    refused = await told(weeks, tokens["operator"], "fees/2021-Q4?party=altyn")
    assert (refused["problem"], "digital_mining_fee" in refused["why"]) == ("no_rule", True)
    assert refused["texts"]["ru"].startswith("На 01.10.2021 не внесена действующая норма «")
    assert "digital_mining_fee" not in refused["texts"]["kk"].partition("(")[0]


def _corrected(weeks: Running, noon: datetime) -> None:
    """An interval of a past day with 5 kWh more, a new reading, a device that was fitted, and a finding that closed."""
    now = datetime.now(UTC)
    place: dict[str, Any] = {"site": EKIBASTUZ, "interval_start": noon, "seconds": 900, "quality": "measured"}
    version: dict[str, Any] = {**place, "version": 2, "recorded_at": now}
    parts = {"altyn": 150_000, "dala": 100_000, "": 5_000}
    with weeks.pool.engine.begin() as connection:
        append_intervals(connection, [{**version, "meter": "feeder-1", "energy_wh": sum(parts.values())}])
        append_allocations(
            connection,
            [
                {**version, "party": party, "energy_wh": energy, "estimate_wh": energy, "weight": 1}
                for party, energy in parts.items()
            ],
        )
        append_readings(connection, [Reading("feeder-1", now, 1_000_900_000, "ok")], now)
        fit(connection, Fitting("feeder-1", now - timedelta(days=3), "tarazy-demo", "B-7"), "aida", now)
        key = f"meter-silent:meter:{SUBMETER}"
        by: dict[str, Any] = {"valid_from": now, "recorded_at": now, "recorded_by": "test"}
        restate(connection, "finding", key, **by, state=FindingState.RESOLVED)


@pytest.fixture
def past(tmp_path: Path) -> Iterator[tuple[Running, str]]:
    """As `weeks`, to be changed by the test; with an inspector's token."""
    for running in run_portal(tmp_path):
        metered(running.pool)
        now = datetime.now(UTC)
        with running.pool.engine.begin() as connection:
            token = create_token(connection, "o", Role.INSPECTOR, None, now, now + timedelta(days=1), "test")
        pytest_twisted.blockon(running.portal.read_holders())
        yield running, token


@pytest_twisted.ensureDeferred
async def test_a_past_moment_is_told_as_it_was_told_then(past: tuple[Running, str]) -> None:
    """Every figure of the page, whatever was corrected since; what is known now of that moment has the correction."""
    weeks, token = past
    site = f"sites/{EKIBASTUZ}"
    paths = ["sites", f"fees/{QUARTER}?party=altyn", f"{site}/supplies?month={MONTH}"]
    paths += [f"{site}/{part}?span=week&{DAY}" for part in ("load", "allocation")]
    paths += [f"{site}/{part}" for part in ("reconciliation", "meters", "findings")]
    moment = datetime.now(UTC)
    asked = {path: f"{path}{'&' if '?' in path else '?'}as_of={quote(moment.isoformat())}" for path in paths}
    before = {path: await told(weeks, token, then) for path, then in asked.items()}
    _corrected(weeks, day_start(legal_day(_YESTERDAY)) + timedelta(hours=12))
    present = {path: await told(weeks, token, path) for path in paths}
    for path, then in asked.items():
        known = await told(weeks, token, f"{then}&known_at={quote(moment.isoformat())}")
        assert {**known, "fee": _undated(known)} == {**before[path], "fee": _undated(before[path])}, path
    changed = {path.partition("?")[0].rpartition("/")[2] for path in paths if present[path] != before[path]}
    assert changed >= {str(QUARTER), "supplies", "load", "allocation", "reconciliation", "meters", "findings"}
    (allocation,) = (path for path in paths if "allocation" in path)
    since = await told(weeks, token, asked[allocation])
    assert since["metered_wh"] == present[allocation]["metered_wh"] != before[allocation]["metered_wh"]
    headers = {"authorization": f"Bearer {token}"}
    for fault in ("as_of=2014-12-31T00:00:00Z", "known_at=2199-01-01T00:00:00Z", "as_of=yesterday"):
        assert (await weeks.get(f"/api/v1/energy/sites?{fault}", headers=headers)).code == 400


def _undated(answer: dict[str, Any]) -> Any:
    """A fee without the moment as known at which it was asked for."""
    return {**answer["fee"], "known_at": None} if answer.get("fee") else None


@pytest.mark.parametrize(
    "path",
    [
        f"sites/{EKIBASTUZ}/load?span=year",
        f"sites/{EKIBASTUZ}/load?day=2026-02-30",
        f"sites/{EKIBASTUZ}/load?day=0001-01-01",
        *(f"sites/{EKIBASTUZ}/{part}?as_of=9999-12-31T23:59:59Z" for part in ("load", "allocation", "supplies")),
        f"sites/{EKIBASTUZ}/supplies?month=2026",
        f"sites/{EKIBASTUZ}/supplies?month=2150-01",
        f"sites/{EKIBASTUZ}/meters?site=x",
        "fees/2026",
        "fees/2150-Q1?party=altyn",
        "fees/2026-Q1",
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_asked_wrongly_is_told(weeks: Running, tokens: dict[str, str], path: str) -> None:
    """A span, day, month or quarter that cannot be is refused with its form."""
    headers = {"authorization": f"Bearer {tokens['operator']}"}
    assert (await weeks.get(f"/api/v1/energy/{path}", headers=headers)).code == 400


@pytest_twisted.ensureDeferred
async def test_a_folded_day_has_sums_and_no_curve(own: Running) -> None:
    """The load of a day that is folded is refused with the reason; what the day came to is told."""
    start = day_start(legal_day(own.pool.now - timedelta(days=9)))
    day = f"day={legal_day(start)}"
    with own.pool.engine.begin() as connection:
        common = {"version": 1, "seconds": 900, "quality": "measured", "recorded_at": start + timedelta(days=1)}
        row = {**common, "site": EKIBASTUZ, "meter": "feeder-1", "energy_wh": 700, "interval_start": start}
        append_intervals(connection, [{**row, "party": None}])
        assert fold(connection, Piece(EKIBASTUZ, start, start + timedelta(days=1))) == 1
    headers = {"authorization": f"Bearer {own.operator}"}
    refused = await own.get(f"/api/v1/energy/sites/{EKIBASTUZ}/load?{day}", headers=headers)
    assert (refused.code, "is folded: only the sums of its days" in await refused.text()) == (422, True)
    assert (await told(own, own.operator, f"sites/{EKIBASTUZ}/allocation?{day}"))["metered_wh"] == 700


def test_an_owner_sees_whole_only_what_was_its_own(own: Running) -> None:
    """Sold ten days ago: since then the buyer sees all, before that the seller; over the sale neither does."""
    now = own.pool.now
    sold = now - timedelta(days=10)
    with own.pool.engine.begin() as connection:
        by: dict[str, Any] = {"valid_from": sold, "recorded_at": datetime.now(UTC), "recorded_by": "test"}
        restate(connection, Site.register, KARAGANDA, party="dala", **by)
        registers = as_of(connection, now)
    day = timedelta(days=1)
    for party, before, over, after in (("samal", True, False, False), ("dala", False, False, True)):
        reader = Reader(party)
        assert reader.whole(registers, KARAGANDA, sold - 2 * day, sold) is before
        assert reader.whole(registers, KARAGANDA, sold - day, sold + day) is over
        assert reader.whole(registers, KARAGANDA, sold, now) is after


def test_spans_are_of_the_legal_calendar() -> None:
    """A day, the week from Monday, the month."""
    day = legal_day(datetime(2026, 3, 31, 20, tzinfo=UTC))
    assert [str(span_of(span, day).first_day) for span in ("day", "week", "month")] == [
        "2026-04-01",
        "2026-03-30",
        "2026-04-01",
    ]
