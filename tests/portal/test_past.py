"""Moments of before: every page tells them as they were told then, whatever has happened since."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_twisted
from sqlalchemy import insert

from tarazy.accounting.assets.issued import Issued, issue
from tarazy.accounting.blocks import BlockState, set_block_state
from tarazy.accounting.distribution import reconcile
from tarazy.accounting.energy.folding import fold
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.energy.site_days import Piece, append_allocations, append_intervals
from tarazy.accounting.payouts import fence
from tarazy.accounting.payouts.batches import approve, confirm
from tarazy.accounting.payouts.holds import hold, release
from tarazy.accounting.proof.record import keep
from tarazy.accreditation import quarterly
from tarazy.accreditation.audit import AuditEvent, append, head
from tarazy.accreditation.entries import Wallet, WalletStatus
from tarazy.accreditation.quarterly import Told
from tarazy.accreditation.registers import append as register
from tarazy.accreditation.registers import restate
from tarazy.config.law.calendar import Period, Quarter, day_start, legal_day
from tarazy.portal.rights import Role
from tarazy.portal.tokens import create_token
from tarazy.reports.delivery import outbox
from tarazy.reports.tables import scheduled_report
from tests.portal.conftest import Running
from tests.portal.pool import ADDRESS, EKIBASTUZ, INTERVAL, SINCE, SITE_OF, TXIDS, block_hash
from tests.portal.sent import SCHEDULE, sent
from tests.portal.shapes import faults
from tests.portal.subject import change

LAST = Quarter.of(Quarter.of(datetime.now(UTC)).start - timedelta(days=1))
BOOKS = ["accounting/payouts", "accounting/payouts/3", "accounting/rounds", "accounting/distributed"]
OFFICE = ["deliveries", "schedule", "signatures", f"quarterly/standing?quarter={LAST}"]
POOL = ["overview", "miners", "blocks", "distributions", "refusals", "attention", "reports", "hashrate", "energy"]
SALES = "accounting/sales"
PATHS = [*BOOKS, SALES, *OFFICE, *POOL]


async def told(running: Running, path: str, token: str) -> Any:
    """The answer of `path`, which has the described shape."""
    body = await running.json(f"/api/v1/{path}", headers={"authorization": f"Bearer {token}"})
    document = await running.json("/api/v1/openapi.json")
    name = path.partition("?")[0].replace("payouts/3", "payouts/{batch}")
    if name == SALES:
        assert body.pop("as_of"), "of a moment that has settled"
        document["components"]["schemas"]["Sales"]["required"].remove("as_of")
    described = document["paths"][f"/api/v1/{name}"]["get"]["responses"]["200"]["content"]
    assert faults(body, described["application/json"]["schema"], document) == []
    return body


def at(path: str, moment: datetime, known_at: datetime | None = None) -> str:
    """Where `path` is asked for of a moment."""
    asked = f"{path}{'&' if '?' in path else '?'}as_of={quote(moment.isoformat())}"
    return asked if known_at is None else f"{asked}&known_at={quote(known_at.isoformat())}"


@pytest.fixture
def inspector(own: Running) -> str:
    """A token of who may look at everything."""
    now = datetime.now(UTC)
    with own.pool.engine.begin() as connection:
        made = create_token(connection, "dana", Role.INSPECTOR, None, now, now + timedelta(days=1), "test")
    pytest_twisted.blockon(own.portal.read_holders())
    return made


def _everything_happens(own: Running, delivery: int, reports: Path) -> None:
    """One thing of every kind that the pages tell of."""
    pool, now = own.pool, datetime.now(UTC)
    ripe = block_hash(pool.height)
    with pool.engine.begin() as connection:
        approve(connection, 3, now, "bolat")
        confirm(connection, 2, now, TXIDS[1])
        release(connection, "samal", "settled", now, "aida")
        hold(connection, "altyn", "asked by a court", now, "aida", "en")
        fence.stop(connection, "drill", now, "aida", "en")
        set_block_state(connection, ripe, BlockState.MATURE, 100, now)
        reconcile(connection, now)
        append(connection, [AuditEvent("round", {"round": 2})], now)
        kept = head(connection)
        keep(connection, {"distribution": 2, "round": 2, "shares": 9}, kept.size)
        month = Period.parse(f"{pool.now - timedelta(days=40):%Y-%m}")
        issue(connection, month.start, month.end, Issued(1, month.end, "ab" * 32, None), now, "aida")
        outbox.approve(connection, delivery, now, "bolat")
        month = Period.parse("2026-09")
        built = {"kind": "distributed", "start": month.start, "end": month.end, "name": "d.json", "built_at": now}
        connection.execute(insert(scheduled_report).values(**built, digest="ab" * 32, tried_at=now))
        quarterly.submit(connection, "altyn", LAST, Told(1, 2, 3, 4, 5), None, now, "altyn-1")
        by: dict[str, Any] = {"valid_from": now, "recorded_at": now, "recorded_by": "test"}
        restate(connection, "party", "altyn", name_en="Altyn Group", **by)
        paid_to: dict[str, Any] = {"address": ADDRESS, "status": WalletStatus.APPROVED, "valid_from": SINCE}
        register(connection, Wallet(wallet="dala-1", party="dala", **paid_to), now, "test")
        restate(connection, "finding", f"site-power:site:{EKIBASTUZ}", owner="dana", **by)
        pool.refuse(connection, "belgisiz", None, ["unknown-account"], 5, now)
        pool.tally(connection, "dala", floor_to(now, INTERVAL) + timedelta(seconds=INTERVAL), 10**19, 10)
        start = floor_to(now - timedelta(hours=2), INTERVAL)
        version: dict[str, Any] = {"site": EKIBASTUZ, "interval_start": start, "seconds": INTERVAL, "version": 2}
        version |= {"quality": "measured", "recorded_at": now, "energy_wh": 900_000}
        append_intervals(connection, [{**version, "meter": "feeder-1"}])
        append_allocations(connection, [{**version, "party": "altyn", "estimate_wh": 900_000, "weight": 1}])
    pool.find_block()
    (reports / "accreditation-new.json").write_text(json.dumps({"kind": "accreditation", "as_of": "now"}) + "\n")


@pytest_twisted.ensureDeferred
async def test_every_page_tells_a_past_moment_as_it_was_told_then(own: Running, inspector: str) -> None:
    """Whatever is booked, decided, sent, submitted, corrected or registered later."""
    change(own.subject, schedule=SCHEDULE)
    with own.pool.engine.begin() as connection:
        delivery, *_ = sent(connection, own.directory / "reports", datetime.now(UTC))
    present = {path: await told(own, path, inspector) for path in BOOKS}
    moment = datetime.now(UTC)
    before = {path: await told(own, at(path, moment), inspector) for path in PATHS}
    for path in BOOKS:
        assert _kept(before[path]) == _kept(present[path]), path
    assert before["deliveries"]["total"] == 4
    _everything_happens(own, delivery, own.directory / "reports")
    later = datetime.now(UTC)
    for path in PATHS:
        assert await told(own, at(path, moment, moment), inspector) == before[path], path
    same = {path for path in PATHS if await told(own, at(path, later), inspector) == before[path]}
    assert same == {"hashrate", SALES}, "the one is of intervals that have ended, the other of seconds ago"
    energy = await told(own, at("energy", moment, later), inspector)
    assert energy["metered"] != before["energy"]["metered"], "what is known now of then has the correction"


@pytest_twisted.ensureDeferred
async def test_a_moment_in_a_day_of_which_the_sum_is_kept_has_no_energy_but_all_else(own: Running) -> None:
    """Not a part of that day's sum, nor nothing; hash rates, blocks and balances as of then."""
    start = day_start(legal_day(own.pool.now - timedelta(days=9)))
    with own.pool.engine.begin() as connection:
        row = {"version": 1, "seconds": 900, "quality": "measured", "recorded_at": start + timedelta(days=1)}
        append_intervals(
            connection,
            [{**row, "site": EKIBASTUZ, "meter": "feeder-1", "energy_wh": 7, "interval_start": start, "party": None}],
        )
        assert fold(connection, Piece(EKIBASTUZ, start, start + timedelta(days=1))) == 1
    noon = start + timedelta(hours=12)
    energy = await told(own, at("energy", noon), own.operator)
    assert {row["energy_wh"] for row in energy["sites"]} == {None}
    miners = (await told(own, at("miners", noon), own.operator))["items"]
    assert {row["fee"]["problem"] for row in miners} == {"folded"}
    assert (await told(own, at("blocks", noon), own.operator))["total"] == 0


@pytest_twisted.ensureDeferred
async def test_at_the_first_instant_of_a_year_the_one_before_is_told(running: Running) -> None:
    """Nothing of the new one has been."""
    told = await running.json(f"/api/v1/{at(SALES, datetime(2025, 12, 31, 19, tzinfo=UTC))}")
    assert told["year"] == "2025"


@pytest.mark.parametrize("path", PATHS)
@pytest_twisted.ensureDeferred
async def test_before_the_pool_there_was_nothing(running: Running, path: str) -> None:
    """Each list is empty, no rate is negative, and nothing breaks."""
    answer = await running.get(f"/api/v1/{at(path, datetime(2015, 3, 3, tzinfo=UTC))}")
    if "payouts/3" in path:
        assert (answer.code, "no batch 3" in await answer.text()) == (404, True)
    elif "quarterly" in path:
        assert (answer.code, "has not begun then" in await answer.text()) == (400, True)
    else:
        body = await told(running, at(path, datetime(2015, 3, 3, tzinfo=UTC)), running.operator)
        assert body.get("items", []) == []
        assert body.get("hashrate_window_seconds", 0) >= 0


def _kept(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what only the present knows."""
    unkept = ("confirmations", "trouble", "signing", "checked_at", "difference")
    text = json.dumps(answer, sort_keys=True)
    plain: dict[str, Any] = json.loads(text, object_hook=lambda row: {k: v for k, v in row.items() if k not in unkept})
    return plain


@pytest.mark.parametrize("path", PATHS)
@pytest_twisted.ensureDeferred
async def test_a_moment_that_cannot_be_is_refused(running: Running, path: str) -> None:
    """Of the future, of long ago, without a zone, or twice; and to nobody who may not read everything."""
    mark = "&" if "?" in path else "?"
    for fault in (
        "as_of=2014-12-31T00:00:00Z",
        "known_at=2199-01-01T00:00:00Z",
        "as_of=2026-03-03T12:00:00",
        "as_of=yesterday",
        "as_of=2026-03-03T12:00:00Z&as_of=2026-03-03T12:00:00Z",
        "as_of=0001-01-01T00:00:00%2B05:00",
        "as_of=9999-12-31T23:59:59Z",
    ):
        assert (await running.get(f"/api/v1/{path}{mark}{fault}")).code == 400, fault
    answer = await running.get(f"/api/v1/{path}{mark}as_of=2026-03-03T12:00:00Z", headers={"authorization": ""})
    assert answer.code == 401


@pytest_twisted.ensureDeferred
async def test_only_intervals_that_had_ended_are_told(
    own: Running, inspector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an interval what was told at its beginning; as known at a moment no more than was done by then."""
    moment = floor_to(datetime.now(UTC) - timedelta(hours=2), INTERVAL)
    within = moment + timedelta(seconds=INTERVAL // 2)
    for path, sums in (("load", ("energy_wh", "power_w")), ("allocation", ("divided_wh", "metered_wh", "names"))):
        asked = f"/api/v1/energy/sites/{EKIBASTUZ}/{path}?day={legal_day(moment)}&as_of="
        headers = {"authorization": f"Bearer {inspector}"}
        then, later = [await own.json(asked + quote(each.isoformat()), headers=headers) for each in (moment, within)]
        assert [later[name] for name in sums] == [then[name] for name in sums], path
    known = await told(own, f"overview?known_at={quote(moment.isoformat())}", inspector)
    then = await told(own, at("overview", moment), inspector)
    for name in ("hashrate", "hashrate_window_seconds", "shares"):
        assert known[name] == then[name], name
    monkeypatch.setitem(SITE_OF, "nobody", EKIBASTUZ)
    with own.pool.engine.begin() as connection:
        own.pool.tally(connection, "nobody", moment - timedelta(seconds=INTERVAL), 10**9, 10)
    with_nobody = await told(own, at("overview", moment + timedelta(seconds=1)), inspector)
    assert with_nobody["parties"] == then["parties"]
