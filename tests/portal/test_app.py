"""The portal over real sockets: shapes, headers, hostile requests, the event stream."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from sqlalchemy import text as sql
from twisted.internet.defer import Deferred

from tarazy.accreditation.admission import Reason
from tarazy.portal import accounts, events, guard, snapshot
from tarazy.portal.facts import Live
from tarazy.portal.snapshot import LISTS, PUBLIC, SERIES, Snapshot
from tarazy.reports.language import LANGUAGES, text
from tests.portal.conftest import Running
from tests.portal.pool import ADDRESS, EKIBASTUZ, NAMES
from tests.portal.shapes import faults
from tests.portal.subject import MACHINERY

left_open: list[asyncio.StreamWriter] = []


async def raw(port: int, sent: bytes, *, until: bytes = b"", leave_open: bool = False) -> bytes:
    """What the server answers to `sent`, up to `until` or the end of the connection."""

    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        got = await asyncio.wait_for(reader.readuntil(until) if until else reader.read(), 5)
        if leave_open:
            left_open.append(writer)
        else:
            writer.close()
        return got

    return await Deferred.fromFuture(asyncio.ensure_future(talk()))


@pytest_twisted.ensureDeferred
async def test_answers_have_the_described_shapes(running: Running) -> None:
    """Every described address answers what the OpenAPI document served beside it says."""
    document = await running.json("/api/v1/openapi.json")
    checked = 0
    for path, methods in document["paths"].items():
        name = path.removeprefix("/api/v1/")
        if name not in ("overview", *LISTS, *SERIES):
            continue
        content = methods["get"]["responses"]["200"]["content"]
        body = await running.json(path)
        assert faults(body, content["application/json"]["schema"], document) == []
        assert body.get("items", True), f"{path} shows nothing to check"
        checked += 1
    assert checked == 1 + len(LISTS) + len(SERIES)


@pytest_twisted.ensureDeferred
async def test_figures_are_those_of_the_database(running: Running) -> None:
    """What the pool did is what the API tells; every division adds up (invariant 2)."""
    overview = await running.json("/api/v1/overview")
    assert overview["hashrate"] == pytest.approx(76e15, rel=0.1)
    assert overview["parties"] == {"registered": 4, "mining": 3}
    assert overview["blocks"] == {"mature": 2, "orphaned": 1, "connected": 1}
    assert overview["power_watts"] == pytest.approx(1_375_000, rel=0.01)
    assert {part["part"]: part["ok"] for part in overview["health"]}["database"] is True
    miners = {row["party"]: row for row in (await running.json("/api/v1/miners"))["items"]}
    assert (miners["kokshe"]["admitted"], miners["kokshe"]["reasons"]) == (False, ["licence-expired"])
    assert miners["altyn"]["admitted"] is True
    assert int(miners["altyn"]["fee"]["tenge"]) > 0
    assert miners["altyn"]["fee"]["confirmed"] is False
    for row in (await running.json("/api/v1/distributions"))["items"]:
        assert row["fee"] + row["credited"] + row["remainder"] == row["reward"]
        assert sum(credit["amount"] for credit in row["credits"]) == row["credited"]
    refusals = await running.json("/api/v1/refusals")
    assert refusals["counts"]["licence-expired"] == 412
    assert [row["account"] for row in refusals["items"]] == ["dala", "belgisiz", "kokshe"]
    energy = await running.json("/api/v1/energy")
    assert None in energy["metered"][1]["values"]
    assert energy["sites"][1]["missing_intervals"] == 1


@pytest_twisted.ensureDeferred
async def test_what_everybody_sees_names_nobody(running: Running) -> None:
    """BINs, wallets and addresses of machines are in no answer to anybody; parties and sites in none to strangers."""
    secrets = [ADDRESS, "192.0.2.7", "127.0.0.3", *(number for number, *_ in NAMES.values())]
    for name in ("overview", *LISTS, *SERIES):
        body = await (await running.get(f"/api/v1/{name}")).text()
        assert not [secret for secret in secrets if secret in body], name
        public = await treq.get(f"{running.url}/api/v1/{name}", persistent=False)
        assert public.code == (200 if name in ("overview", *PUBLIC) else 401)
        assert name == "overview" or public.headers.getRawHeaders("vary") == ["authorization, cookie"]
        told = await public.text()
        assert not [known for known in (*secrets, *NAMES, EKIBASTUZ) if known in told], name


@pytest_twisted.ensureDeferred
async def test_how_the_processes_are_is_told(running: Running) -> None:
    """As they tell it, in the described shape."""
    told = await running.json("/api/v1/machinery")
    assert told == MACHINERY
    document = await running.json("/api/v1/openapi.json")
    assert faults(told, {"$ref": "#/components/schemas/Machinery"}, document) == []


@pytest_twisted.ensureDeferred
async def test_paging(running: Running) -> None:
    """`limit` and `offset` cut a list; its total stays."""
    whole = await running.json("/api/v1/miners")
    part = await running.json("/api/v1/miners?limit=2&offset=1")
    assert part["total"] == whole["total"] == 4
    assert [row["party"] for row in part["items"]] == [row["party"] for row in whole["items"][1:3]]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "not_found"),
        ("/api/v1/nothing", 404, "not_found"),
        ("/de/", 404, "not_found"),
        ("//evil.example/kk", 404, "not_found"),
        ("/kk/%2e%2e/x", 404, "not_found"),
        ("/static/0/page.js", 404, "not_found"),
        ("/api/v1/overview?x=1", 400, "unknown_parameter"),
        ("/api/v1/miners?limit=1001", 400, "bad_parameter"),
        ("/api/v1/miners?limit=99999999999999999999", 400, "bad_parameter"),
        ("/api/v1/miners?limit=1&limit=2", 400, "bad_parameter"),
        ("/api/v1/miners?offset=-1", 400, "bad_parameter"),
        ("/api/v1/miners?limit=%D9%A1", 400, "bad_parameter"),
        ("/api/v1/miners?" + "a" * guard.MAXIMUM_TARGET, 414, "target_too_long"),
        ("/api/v1/reports/pool.db", 404, "no_such_report"),
        ("/api/v1/reports/.hidden.json", 404, "no_such_report"),
        ("/api/v1/reports/..%2Fpool.db", 404, "not_found"),
        ("/api/v1/reports/../pool.db", 404, "not_found"),
        ("/api/v1/reports/link.json", 404, "no_such_report"),
        ("/api/v1/reports/absent.json", 404, "no_such_report"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_faults_are_told(running: Running, path: str, status: int, code: str) -> None:
    """A wrong address, parameter or name gets a JSON error that says what was wrong (invariant 10)."""
    reports = running.directory / "reports"
    (reports / ".hidden.json").write_text("{}")
    if not (reports / "link.json").exists():
        (reports / "link.json").symlink_to(running.directory / "pool.db")
    known = f"Authorization: Bearer {running.operator}\r\n"
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{known}Connection: close\r\n\r\n"
    answer = await raw(running.port, head.encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    start = answer.index(b"{")
    error = json.loads(answer[start : answer.rindex(b"}") + 1])["error"]
    assert (error["status"], error["code"]) == (status, code)
    assert len(error["text"]) > 10
    assert b"content-security-policy" in answer.lower()


@pytest_twisted.ensureDeferred
async def test_what_went_wrong_inside_is_no_missing_entry(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is missing in our own code is ours to mend: no reader is told that it asked wrongly."""

    def broken(*_: Any) -> None:
        raise KeyError("party")

    monkeypatch.setattr(accounts, "rounds", broken)
    answer = await running.get("/api/v1/accounting/rounds")
    assert (answer.code, (await answer.json())["error"]["code"]) == (500, "internal")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /api/v1/miners HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        (b"DELETE /kk/ HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /kk/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET /kk/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 413),
        (b'GET /kk/ HTTP/1.1\r\nHost: a b"<x>\r\n\r\n', 400),
        (b"GET /kk/\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /kk/ HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", 400),
    ],
)
@pytest_twisted.ensureDeferred
async def test_hostile_requests(running: Running, request_bytes: bytes, status: int) -> None:
    """Wrong methods, bodies, hosts and bytes are answered within bounds (invariant 10)."""
    answer = await raw(running.port, request_bytes, until=b"\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (await running.get("/kk/")).code == 200


@pytest_twisted.ensureDeferred
async def test_connections_are_bounded(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection too many is closed at once; when another ends there is room again (invariant 10)."""
    monkeypatch.setattr(guard, "MAXIMUM_CONNECTIONS", 1)
    await raw(own.port, b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n", until=b"event: ", leave_open=True)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await raw(own.port, b"GET /kk/ HTTP/1.1\r\nHost: x\r\n\r\n", until=b"\r\n")
    left_open.pop().close()
    while own.portal.site.connections:
        await Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(0.01)))
    assert (await own.get("/kk/")).code == 200


@pytest_twisted.ensureDeferred
async def test_one_address_leaves_room_for_others(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections are bounded apart; those of a proxy of ours are many people's (invariant 10)."""
    monkeypatch.setattr(guard, "MAXIMUM_OF_ONE", 1)
    await raw(own.port, b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n", until=b"event: ", leave_open=True)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await raw(own.port, b"GET /kk/ HTTP/1.1\r\nHost: x\r\n\r\n", until=b"\r\n")
    monkeypatch.setattr(own.portal.site, "_is_proxy", "127.0.0.1".__eq__)
    assert (await own.get("/kk/")).code == 200
    left_open.pop().close()


@pytest_twisted.ensureDeferred
async def test_an_endless_body_is_cut(running: Running) -> None:
    """A body that does not end costs no memory or disk: the line is cut after a megabyte."""
    head = b"POST /kk/ HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await raw(running.port, head + b"x" * (guard.MAXIMUM_DISCARDED + 65536), until=b"never")


@pytest_twisted.ensureDeferred
async def test_security_headers_and_integrity(running: Running) -> None:
    """The page allows nothing inline and nothing from elsewhere, and names the digest of each file it loads."""
    answer = await running.get("/ru/")
    policy = answer.headers.getRawHeaders("content-security-policy")[0]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers.getRawHeaders("x-content-type-options") == ["nosniff"]
    assert answer.headers.getRawHeaders("server") == ["tarazy"]
    page = await answer.text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page)
    assert not re.search(r'(src|href)="(https?:)?//', page)
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+)" integrity="sha384-([^"]+)"', page)
    assert len(loaded) == 12
    for url, digest in loaded:
        file = await running.get(url)
        assert base64.b64encode(hashlib.sha384(await file.content()).digest()).decode() == digest
        assert "immutable" in file.headers.getRawHeaders("cache-control")[0]


@pytest.mark.parametrize(
    ("accepted", "lang"),
    [
        ("kk-KZ,kk;q=0.9,ru;q=0.8", "kk"),
        ("de,en;q=0.3,ru;q=0.2", "en"),
        ("fr", "ru"),
        ("kk;q=0", "ru"),
        ("en;q=nan", "ru"),
        ("," * 400, "ru"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_home_follows_the_readers_language(running: Running, accepted: str, lang: str) -> None:
    """`/` leads to the language the browser likes best, to the pool's own when it likes none of ours."""
    answer = await running.get("/", headers={"accept-language": accepted})
    assert (answer.code, answer.headers.getRawHeaders("location")) == (302, [f"/{lang}/"])


@pytest_twisted.ensureDeferred
async def test_refusals_are_explained_in_each_language(running: Running) -> None:
    """The code that a miner reads leads to what it means and what to do next; an unknown one leads nowhere."""
    moved = await running.get("/refusals/licence-expired", headers={"accept-language": "kk"})
    assert (moved.code, moved.headers.getRawHeaders("location")) == (302, ["/kk/refusals/licence-expired"])
    for lang in LANGUAGES:
        every = await (await running.get(f"/{lang}/refusals/")).text()
        for reason in Reason:
            answer = await running.get(f"/{lang}/refusals/{reason}")
            told = html.unescape(await answer.text())
            assert answer.code == 200
            assert f'<html lang="{lang}">' in told
            for words in (text(lang, f"words.reason.{reason}"), text(lang, f"portal.cure.{reason}")):
                assert words in told
                assert words in html.unescape(every)
            assert told.count("<dt") == 1
    assert (await running.get("/ru/refusals/no-such-reason")).code == 404
    assert (await running.get("/refusals/no-such-reason")).code == 404


@pytest_twisted.ensureDeferred
async def test_unchanged_lists_are_not_sent_again(running: Running) -> None:
    """A list carries an ETag; who has it gets 304 without a body."""
    first = await running.get("/api/v1/blocks")
    tag = first.headers.getRawHeaders("etag")[0]
    again = await running.get("/api/v1/blocks", headers={"if-none-match": tag})
    assert (again.code, await again.content()) == (304, b"")


@pytest_twisted.ensureDeferred
async def test_reports_are_downloaded_whole(running: Running) -> None:
    """A listed report comes as the file it is, to be saved."""
    listed = (await running.json("/api/v1/reports"))["items"]
    assert len(listed) == 2
    for row in listed:
        answer = await running.get(f"/api/v1/reports/{row['name']}")
        disposition = answer.headers.getRawHeaders("content-disposition")
        assert disposition == [f'attachment; filename="{row["name"]}"']
        body = await answer.content()
        assert body == (running.directory / "reports" / row["name"]).read_bytes()
        assert len(body) == row["bytes"]


@pytest_twisted.ensureDeferred
async def test_events_follow_the_pool(own: Running) -> None:
    """A stream begins with the overview and brings it again when a block is found; a lost reader is forgotten."""

    async def follow() -> tuple[Any, Any, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", own.port)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert b"text/event-stream" in head
        assert b"x-accel-buffering: no" in head.lower()
        assert b"retry: 3000" in await asyncio.wait_for(reader.readuntil(b"retry: 3000\n\n"), 30)
        first = json.loads(await _data(reader))
        height = own.pool.find_block()
        while (later := json.loads(await _data(reader)))["last_block"]["height"] != height:
            pass
        writer.close()
        return first, later, height

    first, later, height = await Deferred.fromFuture(asyncio.ensure_future(follow()))
    assert first["last_block"]["height"] == height - 1
    assert later["versions"]["blocks"] != first["versions"]["blocks"]
    assert later["versions"]["reports"] == first["versions"]["reports"]
    while len(own.portal.hub):
        await Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(0.01)))


async def _data(reader: asyncio.StreamReader) -> bytes:
    await asyncio.wait_for(reader.readuntil(b"data: "), 30)
    return (await asyncio.wait_for(reader.readuntil(b"\n"), 30)).strip()


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_gets_the_newest_only(own: Running) -> None:
    """A reader that does not read costs one event of memory; when it reads again it gets the newest."""

    async def lag() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", own.port, limit=1024)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        while not len(own.portal.hub):
            await asyncio.sleep(0.01)
        for number in range(3000):
            own.portal.hub.publish(events.event("overview", b"x" * 10_000, str(number)))
            await asyncio.sleep(0)
        got = b""
        while b"id: 2999\n" not in got[-11_000:]:
            got += await asyncio.wait_for(reader.read(1 << 20), 5)
        writer.close()
        return got

    got = await Deferred.fromFuture(asyncio.ensure_future(lag()))
    assert got.count(b"event: overview") < 2000


@pytest_twisted.ensureDeferred
async def test_streams_are_capped(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the cap a page is told to poll instead."""
    monkeypatch.setattr(events, "MAXIMUM_STREAMS", 1)
    await raw(own.port, b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n", until=b"event: ", leave_open=True)
    refused = await own.get("/api/v1/events")
    assert (refused.code, (await refused.json())["error"]["code"]) == (503, "too_many_streams")


@pytest_twisted.ensureDeferred
async def test_who_comes_first_does_not_wait(own: Running) -> None:
    """Once it is warm there are figures to give, without another read."""
    assert not own.portal.snapshots.get().called
    await own.portal.warm()
    assert own.portal.snapshots.get().called


@pytest_twisted.ensureDeferred
async def test_a_broken_database_is_told(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database cannot be read, the last figures stay and the health says so."""
    monkeypatch.setattr(snapshot, "REST", 0)
    before = await own.json("/api/v1/overview")
    with own.pool.engine.begin() as connection:
        connection.execute(sql("ALTER TABLE block RENAME TO gone"))
    later = before
    while all(part["ok"] for part in later["health"]):
        later = await own.json("/api/v1/overview")
    assert {part["part"]: part["ok"] for part in later["health"]}["database"] is False
    assert later["last_block"] == before["last_block"]


@pytest_twisted.ensureDeferred
async def test_viewers_share_one_read(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests at the same time cost one read of the database."""
    reads: list[int] = []
    reader = own.portal.snapshots.reader
    whole = reader.snapshot

    def counted(live: Live) -> Snapshot:
        reads.append(1)
        return whole(live)

    monkeypatch.setattr(reader, "snapshot", counted)
    asked = [Deferred.fromCoroutine(own.json("/api/v1/overview")) for _ in range(20)]
    for answer in asked:
        await answer
    assert len(reads) == 1


def test_package_has_the_charts_licence() -> None:
    """The vendored chart library stands beside its licence."""
    vendor = Path(guard.__file__).parent / "static" / "vendor"
    assert "Permission is hereby granted" in (vendor / "uplot-LICENSE.txt").read_text()
    assert (vendor / "uplot.js").stat().st_size > 40_000


@pytest_twisted.ensureDeferred
async def test_nobody_waits_for_a_slow_read(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last answer is given at once while a newer one is read, but none that is too old."""
    monkeypatch.setattr(snapshot, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(snapshot, "FRESH_SECONDS", 0.0)
    snapshots = own.portal.snapshots
    first = await snapshots.get()
    at_once = snapshots.get()
    assert at_once.called
    assert await at_once is first
    monkeypatch.setattr(snapshot, "STALE_SECONDS", 0.0)
    waited = snapshots.get()
    assert not waited.called
    assert await waited is not first
