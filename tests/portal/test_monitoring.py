"""What a miner's own monitoring asks: hash rates, workers, and the tokens it asks with."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import Engine, func, insert, select
from twisted.internet.defer import Deferred

from tarazy.accounting import tables
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.rejections import keep
from tarazy.accounting.tallies import Done, add
from tarazy.accounting.worth import Worth
from tarazy.portal import monitoring, tokens, worker_lists
from tarazy.portal.monitoring import SPANS, Asked, chosen, largest_parties, own_hashrate, own_workers
from tarazy.portal.pages import page_texts
from tarazy.portal.rights import Holder, Right, Role, Scope
from tarazy.portal.tables import access_token
from tarazy.portal.tokens import create_token
from tarazy.portal.views import hashrate
from tarazy.portal.worker_lists import KEPT_PARTIES, READY_SECONDS, STALE_SECONDS, WorkerLists
from tarazy.reports.language import LANGUAGES
from tarazy.stratum.board import REASONS
from tarazy.stratum.rejections import Rejected
from tests.portal.conftest import Running
from tests.portal.pool import INTERVAL
from tests.portal.shapes import faults
from tests.portal.test_registers import ask
from tests.portal.test_users import Browser

GUIDE = Path(__file__).parents[2] / "docs" / "miners.md"
EXAMPLE = re.compile(
    r'^\$ curl -sH "Authorization: Bearer \$TOKEN" "https://pool\.example(\S+)"\n(\{.*?\})\n```', re.M | re.S
)


@pytest.fixture(scope="module")
def token(running: Running) -> str:
    """Of a miner, which may see all of its account."""
    now = datetime.now(UTC)
    with running.pool.engine.begin() as connection:
        text = create_token(
            connection, "a", Role.MINER, "altyn", now, now + timedelta(days=1), "t", scope=Scope.ACCOUNT
        )
    pytest_twisted.blockon(running.portal.read_holders())
    return text


def shape(value: Any) -> Any:
    """The keys of it, and of the first of each list."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


@pytest.mark.parametrize(("path", "shown"), EXAMPLE.findall(GUIDE.read_text(encoding="utf-8")))
@pytest_twisted.ensureDeferred
async def test_an_example_of_the_guide_is_answered_as_shown(
    running: Running, token: str, path: str, shown: str
) -> None:
    """The same fields in the same places, as the API describes them."""
    code, told = await ask(running, "GET", path, token)
    assert code == 200
    document = await running.json("/api/v1/openapi.json")
    answers = document["paths"][path.partition("?")[0]]["get"]["responses"]["200"]["content"]
    assert faults(told, answers["application/json"]["schema"], document) == []
    assert shape(json.loads(shown.replace("\n", ""))) == shape(told)


def test_the_guide_has_an_example_of_each() -> None:
    """Hash rate, workers, earnings, payouts."""
    asked = {
        path.partition("?")[0].rpartition("/")[2] for path, _ in EXAMPLE.findall(GUIDE.read_text(encoding="utf-8"))
    }
    assert asked == {"hashrate", "workers", "account", "credits", "payouts"}


def test_workers_add_up_to_the_hash_rate(running: Running) -> None:
    """Over pages of one, in each order; another party's are never among them."""
    now = running.pool.now
    with running.pool.engine.begin() as connection:
        whole = own_hashrate(connection, Asked("altyn"), SPANS["day"], now, INTERVAL)
        workers = own_workers(connection, "altyn", now, INTERVAL)
        total = chosen(workers, "", "workername", False, 0, 0)["total"]
        pages = [chosen(workers, "", "hashrate1d", True, 1, at)["items"] for at in range(total)]
        named = chosen(workers, "", "workername", False, 1000, 0)["items"]
        tally = tables.tally
        since = now - timedelta(days=1, seconds=INTERVAL)
        counted = select(func.sum(tally.c.shares)).where(tally.c.party == "altyn", tally.c.interval_start > since)
        shares = connection.scalar(counted)
    rows = [row for page in pages for row in page]
    assert sorted(rows, key=lambda row: (row["workername"], row["site"])) == named
    assert [row["hashrate1d"] for row in rows] == sorted((row["hashrate1d"] for row in rows), reverse=True)
    assert sum(row["shares"] for row in rows) == whole["shares"] == shares > 0
    for window in ("hashrate", "hashrate1hr", "hashrate1d"):
        assert sum(row[window] for row in rows) == pytest.approx(whole[window], rel=0.02)
    assert {row["workername"].partition(".")[0] for row in rows} == {"altyn"}
    assert 0 <= now.timestamp() - whole["lastshare"] <= INTERVAL
    assert len(whole["series"]) == 24 * 3600 // INTERVAL - 1
    assert max(row["hashrate"] for row in whole["series"]) == pytest.approx(whole["hashrate1d"], rel=0.5)


def test_a_party_without_work_has_none(running: Running) -> None:
    """Zeros, no worker, no last share."""
    with running.pool.engine.begin() as connection:
        told = own_hashrate(connection, Asked("nobody"), SPANS["day"], running.pool.now, INTERVAL)
        assert own_workers(connection, "nobody", running.pool.now, INTERVAL) == []
    assert (told["hashrate"], told["workers"], told["lastshare"], told["series"]) == (0, 0, None, [])


@pytest.mark.parametrize("span", SPANS)
def test_hash_rate_by_site_and_worker_adds_up(engine: Engine, span: str) -> None:
    """Over months of random work at two sites: each step is what the tallies give, and the parts make the whole."""
    random, now = Random(span), datetime(2026, 11, 20, 12, 7, tzinfo=UTC)
    work: dict[tuple[str, str], dict[datetime, int]] = {}
    with engine.begin() as connection:
        connection.execute(insert(tables.round_), [{"round": number, "opened_at": now} for number in (1, 2)])
        for back in random.sample(range(3000), 400):
            start = floor_to(now, INTERVAL) - timedelta(seconds=back * INTERVAL)
            done: dict[tuple[str, str, str, str], Done] = {}
            for name, where in (("r1", "s"), ("r2", "s"), ("r2", "t")):
                weight = random.randrange(1, 2**80)
                done["a", "acc", name, where] = Done(weight, 3)
                work.setdefault((name, where), {})[start] = weight
            done["b", "acc", "r1", "s"] = Done(2**90, 1)
            add(connection, random.choice((1, 2)), {Worth(1, 1): {start: done}})
    asked: list[tuple[str | None, str | None]] = [(None, None), ("s", None), ("t", None)]
    asked += [(None, "acc.r2"), ("s", "ACC.r2"), ("t", "acc.r1")]
    for site, worker in asked:
        wanted = Counter[datetime]()
        for (name, where), weights in work.items():
            if site in (None, where) and (worker is None or worker.partition(".")[2] == name):
                wanted.update(weights)
        with engine.connect() as connection:
            told = own_hashrate(connection, Asked("a", site, worker), SPANS[span], now, INTERVAL)
        assert told["hashrate1d"] == hashrate(
            sum(weight for start, weight in wanted.items() if start >= floor_to(now - timedelta(days=1), INTERVAL)),
            (now - floor_to(now - timedelta(days=1), INTERVAL)).total_seconds(),
        )
        step, ends = timedelta(seconds=told["step_seconds"]), floor_to(now, INTERVAL)
        for point in told["series"]:
            start = datetime.fromisoformat(point["start"])
            inside = sum(weight for at, weight in wanted.items() if start <= at < min(start + step, ends))
            assert point["hashrate"] == hashrate(inside, (min(start + step, ends) - start).total_seconds())
        starts = [datetime.fromisoformat(point["start"]) for point in told["series"]]
        assert starts == [starts[0] + step * number for number in range(len(starts))] if starts else not wanted
        assert len(starts) <= 97


def test_a_worker_whose_shares_are_all_rejected_is_listed(running: Running) -> None:
    """Who sends nothing else needs its miner's look most; names beyond what is told apart are none."""
    now = running.pool.now
    key = Rejected("samal", "samal", "broken", "s", "low-difficulty")
    start = floor_to(now, INTERVAL)
    with running.pool.engine.connect() as connection:
        keep(connection, 9, 9, {start: {key: 5, key._replace(account="", worker=""): 2}})
        workers = own_workers(connection, "samal", now, INTERVAL)
        (told,) = chosen(workers, "l.BRO", "rejected", True, 10, 0)["items"]
        assert (told["workername"], told["shares"], told["rejected"], told["lastshare"]) == ("samal.broken", 0, 5, None)
        assert chosen(workers, "%", "rejected", True, 10, 0)["items"] == []
        assert [row["lastshare"] is None for row in chosen(workers, "", "lastshare", True, 10, 0)["items"]][-1] is True
        whole = own_hashrate(connection, Asked("samal"), SPANS["day"], now, INTERVAL)
        one = own_hashrate(connection, Asked("samal", worker="samal.broken"), SPANS["day"], now, INTERVAL)
        connection.rollback()
    assert one["rejected"] == {"low-difficulty": 5}
    assert whole["rejected"]["low-difficulty"] > 7


def test_the_largest_have_most_workers_at_work(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is large with few; of many, the largest come first."""
    now = running.pool.now
    with running.pool.engine.connect() as connection:
        assert largest_parties(connection, 9, now, INTERVAL) == []
        monkeypatch.setattr(monitoring, "MANY_WORKERS", 1)
        found = largest_parties(connection, 9, now, INTERVAL)
        counts = {party: len(own_workers(connection, party, now, INTERVAL)) for party in found}
        assert len(found) > 1
        assert largest_parties(connection, 1, now, INTERVAL) == found[:1]
    assert found == sorted(counts, key=lambda party: (-counts[party], party))


class _Reads:
    """A reader whose clock goes on by what each party's list costs, and who may be kept waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.read = 0.0, list[str]()
        self.large: Any = ["large"]
        self.pause: Deferred[None] | None = None
        monkeypatch.setattr(worker_lists, "monotonic", lambda: self.clock)
        self.lists = WorkerLists(self, INTERVAL)

    async def __call__(self, work: Any, *args: Any) -> Any:
        if work is largest_parties:
            if isinstance(self.large, Exception):
                raise self.large
            return self.large
        assert work is own_workers
        self.read.append(args[0])
        number = len(self.read)
        if self.pause is not None:
            await self.pause
        self.clock += {"large": 1.0, "small": 0.05}[args[0]]
        return number

    async def turn(self, party: str, after: float) -> Any:
        self.clock += after
        return (await self.lists.of(party))[1]


@pytest_twisted.ensureDeferred
async def test_nobody_waits_for_the_list_of_a_large_party_to_be_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is told while it is young and read again behind; a small party's is read each time."""
    reads = _Reads(monkeypatch)
    assert [await reads.turn("small", 0.01) for _ in range(3)] == [1, 2, 3]
    assert [await reads.turn("large", 1) for _ in range(3)] == [4, 4, 4]
    assert [await reads.turn("large", after) for after in (10, 1, STALE_SECONDS + 1, 1)] == [4, 5, 6, 6]
    for number in range(KEPT_PARTIES):
        await reads.turn("small", number)
    assert await reads.turn("large", 1) == 6, "small lists take no large one's place"


@pytest_twisted.ensureDeferred
async def test_the_lists_of_the_largest_are_ready_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read again only when nobody has had them read of late, and without the database the old ones stay."""
    reads = _Reads(monkeypatch)
    for after in (0.0, READY_SECONDS - 2, 2.0):
        reads.clock += after
        await reads.lists.keep_ready()
    assert reads.read == ["large"] * 2
    assert await reads.turn("large", 1) == 2
    reads.large = OSError("away")
    await reads.lists.keep_ready()
    assert await reads.turn("large", 1) == 2


@pytest_twisted.ensureDeferred
async def test_many_who_ask_at_once_cost_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A party's script cannot keep the portal busy with reads that take a second each."""
    reads = _Reads(monkeypatch)
    reads.pause = Deferred()
    asked = [Deferred.fromCoroutine(reads.turn("large", 0.001)) for _ in range(50)]
    pause, reads.pause = reads.pause, None
    pause.callback(None)
    told = [await each for each in asked]
    assert (told[0], reads.read) == (1, ["large"] * 2), "who came while it was read gets what was read since"
    assert set(told[1:]) == {2}


@pytest_twisted.ensureDeferred
async def test_a_read_that_fails_is_told_and_keeps_nobody_after_it_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one reads."""
    reads = _Reads(monkeypatch)
    with pytest.raises(KeyError):
        await reads.turn("unknown", 0)
    with pytest.raises(KeyError):
        await reads.turn("unknown", 0)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_reason_of_a_rejected_share_has_words_and_a_cure(lang: str) -> None:
    """On the miner's page."""
    texts = json.loads(page_texts(lang))
    assert not [
        reason for reason in REASONS if not texts[f"rejection.{reason}"] or not texts[f"rejectioncure.{reason}"]
    ]


@pytest_twisted.ensureDeferred
async def test_a_miner_makes_uses_and_revokes_a_token(own: Running) -> None:
    """Told once, kept as a digest, narrowed to its scope, no token makes another, and who else may not touch it."""
    browser = Browser(own)
    assert await browser.ask("/api/v1/users/demo", {"role": "miner"}) == 200
    wanted = {"name": "grafana", "scope": "work", "days": 30}
    assert await browser.ask("/api/v1/me/tokens", wanted) == 200
    name, text = browser.told["name"], browser.told["token"]
    assert name.endswith(".grafana")
    assert await browser.ask("/api/v1/me/tokens") == 200
    (item,) = browser.told["items"]
    assert (item["name"], item["scope"], "token" in item) == (name, "work", False)
    with own.pool.engine.begin() as connection:
        assert text not in str(connection.execute(select(access_token)).all())
    expected = {
        "me": 200,
        "me/hashrate": 200,
        "me/workers": 200,
        "me/account": 403,
        "energy/sites": 403,
        "me/tokens": 403,
    }
    for path, code in expected.items():
        assert (await ask(own, "GET", f"/api/v1/{path}", text))[0] == code, path
    _, told = await ask(own, "GET", "/api/v1/me", text)
    assert told.keys() == {"name", "role", "expires_at", "rights", "scope"}
    assert told["rights"] == ["work"]
    for wrong_order in ("sort=site", "order=up"):
        assert (await ask(own, "GET", f"/api/v1/me/workers?{wrong_order}", text))[0] == 400
    for wrong in ({"days": 0}, {"days": 366}, {"scope": "all"}, {"name": "a b"}, {"more": 1}):
        assert await browser.ask("/api/v1/me/tokens", {**wanted, **wrong}) == 400, wrong
    assert await browser.ask("/api/v1/me/tokens", wanted) == 422, "a name is never used again"
    assert await browser.ask("/api/v1/me/tokens/revoke", {"name": "demo-operator"}) == 422
    assert await browser.ask("/api/v1/me/tokens/revoke", {"name": name}) == 200
    assert (await ask(own, "GET", "/api/v1/me/hashrate", text))[0] == 401


def test_a_party_has_so_many_tokens_at_most(running: Running, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then one must be revoked first. One is there already."""
    monkeypatch.setattr(tokens, "MOST_OWN_TOKENS", 2)
    now = datetime.now(UTC)
    maker = Holder("dana", Role.MINER, "altyn", now, signed_in=True)
    assert maker.may(Right.TOKENS)
    with running.pool.engine.connect() as connection:
        tokens.create_own_token(connection, maker, "one", Scope.WORK, 1, now)
        with pytest.raises(tokens.TokenError, match="revoke one"):
            tokens.create_own_token(connection, maker, "two", Scope.WORK, 1, now)
        tokens.revoke_own_token(connection, maker, "dana.one", now)
        tokens.create_own_token(connection, maker, "two", Scope.WORK, 1, now)
