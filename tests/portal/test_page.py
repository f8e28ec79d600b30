"""The page in a real browser, the server a process of its own."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from tarazy.config.law.calendar import ALMATY, legal_day
from tests.portal.browsing import Server, enter, expect_to_fit, in_browser_thread, keep_screen, needs_chromium

PASSWORD = "tort tulik mal aman"

pytestmark = needs_chromium


def visit(browser: Browser, url: str, **options: Any) -> tuple[Page, list[str]]:
    """The pool's page in the language at the end of `url` as an operator sees it, and whatever it complained of."""
    page = browser.new_context(**options).new_page()
    enter(page, url.rsplit("/", 2)[0], "operator")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
    page.goto(f"{url}pool/")
    expect(page.locator("#energy tbody tr")).to_have_count(2)
    expect(page.locator("#stream")).to_have_attribute("data-state", "live")
    return page, complaints


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize(("lang", "scheme", "word"), [("kk", "dark", "Майнерлер"), ("ru", "light", "Майнеры")])
@in_browser_thread
def test_page_fits_and_complains_of_nothing(
    server: Server, browser: Browser, lang: str, scheme: Any, word: str, width: int
) -> None:
    """At phone and desk width nothing scrolls sideways, nothing is blocked, and no text is missing."""
    page, complaints = visit(
        browser, f"{server.url}/{lang}/", viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    expect(page.locator("#miners-title")).to_have_text(word)
    expect_to_fit(page, "thead, .unseen, .scroll")
    text = page.inner_text("body")
    assert not [key for key in ("undefined", "NaN", "null", "{", "portal.") if key in text]
    expect(page.locator(".uplot")).to_have_count(2)
    assert complaints == []
    page.context.close()


@in_browser_thread
def test_page_is_live_and_can_be_paused(server: Server, browser: Browser) -> None:
    """A found block shows by itself and is announced; while paused the page stands still, then catches up."""
    page, complaints = visit(browser, f"{server.url}/en/", viewport={"width": 1400, "height": 900})
    figure = page.locator("#tile-last_block .figure")
    height = server.find_block()
    expect(figure).to_have_text(f"{height:,}")
    expect(page.locator("#blocks tbody tr").first).to_contain_text("immature 1/100")
    expect(page.locator("#news")).to_contain_text(f"{height:,}")
    page.locator("#pause").press("Enter")
    expect(page.locator("#stream")).to_have_text("Paused")
    later = server.find_block()
    while page.evaluate("newest.last_block.height") != later:
        page.wait_for_timeout(50)
    expect(figure).to_have_text(f"{height:,}")
    page.locator("#pause").press("Enter")
    expect(figure).to_have_text(f"{later:,}")
    assert complaints == []
    page.context.close()


@in_browser_thread
def test_charts_have_table_twins_and_states_have_words(server: Server, browser: Browser) -> None:
    """Figures of a chart stand in a table too, reached by the keyboard; no state is told by colour alone."""
    page, complaints = visit(browser, f"{server.url}/en/", viewport={"width": 1400, "height": 900})
    for name, heads in (("hashrate", 5), ("energy", 4)):
        page.locator(f"#{name}-twin summary").press("Enter")
        expect(page.locator(f"#{name}-twin thead th")).to_have_count(heads)
        assert page.locator(f"#{name}-twin tbody tr").count() > 90
    for badge in page.locator(".badge").all():
        assert len(badge.inner_text()) > 3
    page.locator("#distributions details").first.locator("summary").press("Enter")
    expect(page.locator("#distributions details").first).to_contain_text("Altyn Mining LLP")
    page.keyboard.press("Tab")
    page.locator("#theme").click()
    page.evaluate("document.activeElement.blur()")
    assert complaints == []
    page.context.close()


@pytest.mark.parametrize(("lang", "width", "scheme"), [("kk", 390, "dark"), ("en", 1280, "light")])
@in_browser_thread
def test_what_everybody_sees(server: Server, browser: Browser, lang: str, width: int, scheme: Any) -> None:
    """How to connect, the pool's hash rate, its blocks, live; nobody's name; nothing that is not answered."""
    page = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme).new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/{lang}/")
    expect(page.locator("#blocks tbody tr")).not_to_have_count(0)
    expect(page.locator("#hashrate-chart .uplot")).to_be_visible()
    height = server.find_block()
    expect(page.locator("#tile-last_block .figure")).to_contain_text(str(height)[-3:])
    text = page.inner_text("body")
    assert "stratum+tcp://" in text
    assert not [name for name in ("altyn", "Altyn", "Алтын", "undefined", "null", "connect.") if name in text]
    expect_to_fit(page)
    assert complaints == []
    page.context.close()


@pytest.mark.parametrize(("name", "lang", "scheme"), [("me", "kk", "dark"), ("accounting", "ru", "light")])
@in_browser_thread
def test_pages_of_the_signed_in_fit_and_show_nothing_to_others(
    server: Server, browser: Browser, name: str, lang: str, scheme: Any
) -> None:
    """To others it shows nothing, to whom it is for everything, nothing scrolls sideways; signing out forgets it."""
    page = browser.new_context(color_scheme=scheme).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{server.url}/{lang}/{name}/")
    expect(page.locator("#ask")).to_be_visible()
    page.locator(f"[data-demo={'operator' if name == 'me' else 'miner'}]").click()
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#shown")).to_be_hidden()
    page.locator("#forget").click()
    expect(page.locator("#ask")).to_be_visible()
    page.locator(f"[data-demo={'miner' if name == 'me' else 'operator'}]").click()
    expect(page.locator("#shown")).to_be_visible()
    groups = 2 if name == "me" else 1
    for width, rows in ((390, [1, 2, 2]), (1050, [2, 3]), (1280, [5])):
        page.set_viewport_size({"width": width, "height": 844})
        expect_to_fit(page, "thead, .unseen")
        tops = page.evaluate("[...document.querySelectorAll('.tile')].map(e => e.offsetTop)")
        assert sorted(tops.count(top) for top in set(tops)) == sorted(rows * groups), "tiles stand in even rows"
    text = page.inner_text("body")
    assert not [key for key in ("undefined", "NaN", "null", "{", "portal.", "signed_in.") if key in text]
    page.locator("#forget").click()
    expect(page.locator("#shown")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    expect(page.locator("#ask")).to_be_visible()
    assert page.locator(".listing tbody tr").count() == 0
    assert errors == []
    page.context.close()


@pytest.mark.parametrize("lang", ["kk", "ru", "en"])
@in_browser_thread
def test_an_invited_person_joins_and_signs_in(server: Server, browser: Browser, lang: str) -> None:
    """With an app that reads the picture's key; what is wrong is said in the page's language."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    page.goto(f"{server.url}/{lang}/join/#broken")
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#join")).to_be_hidden()
    page.goto("about:blank")
    page.goto(f"{server.url}/{lang}/join/#{server.invite(f'aigul-{lang}')}")
    expect(page.locator("#join")).to_be_visible()
    totp = pyotp.TOTP(page.locator("#secret").inner_text().replace(" ", ""))
    expect_to_fit(page)
    assert page.locator("#image").evaluate("image => image.naturalWidth") > 100
    for code, password, again in (
        ("000000", PASSWORD, PASSWORD),
        (totp.at(time.time() - 30), PASSWORD, PASSWORD + "!"),
    ):
        fill(page, code=code, password=password, again=again)
        expect(page.locator("#problem")).to_be_visible()
    text = page.inner_text("body")
    assert not [key for key in ("undefined", "null", "sign.", "join.") if key in text]
    fill(page, code=totp.at(time.time() - 30), password=PASSWORD, again=PASSWORD)
    expect(page.locator("#shown")).to_be_visible()
    assert page.url == f"{server.url}/{lang}/pool/"
    page.locator("#forget").click()
    expect(page.locator("#ask")).to_be_visible()
    fill(page, name=f"aigul-{lang}", password=PASSWORD, code="123456")
    expect(page.locator("#problem")).to_be_visible()
    fill(page, name=f"aigul-{lang}", password=PASSWORD, code=totp.now())
    expect(page.locator("#shown")).to_be_visible()
    page.context.close()


def fill(page: Page, **values: str) -> None:
    """Type these into the form of the page, and send it."""
    page.evaluate("document.getElementById('problem').hidden = true")
    for name, value in values.items():
        page.locator(f"#{name}").fill(value)
    page.locator("button[type=submit]").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@in_browser_thread
def test_axe_finds_nothing_serious(server: Server, browser: Browser, scheme: Any) -> None:
    """On every page, as it is shown to whom it is for; contrast included."""
    page = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900}).new_page()
    found = []
    for name, role, ready in (
        ("", None, "#blocks tbody tr"),
        (f"join/#{server.invite(f'dana-{scheme}')}", None, "#join"),
        ("pool/", None, "#ask"),
        ("refusals/", None, "dl"),
        ("pool/", "operator", "#energy tbody tr"),
        ("energy/", "operator", "#allocation tbody tr"),
        ("accounting/", "inspector", "#rounds tbody tr"),
        ("signing/", "operator", "#shown"),
        ("me/", "miner", "#credits tbody tr"),
        ("registers/", "operator", "#registers tbody tr"),
        ("admissions/", "inspector", "#admissible tbody tr"),
        ("findings/", "operator", "#findings tbody tr"),
        ("users/", "operator", "#users tbody tr"),
    ):
        if role is not None:
            enter(page, server.url, role)
        page.goto(f"{server.url}/ru/{name}")
        expect(page.locator(ready).first).to_be_visible()
        for fault in Axe().run(page).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found += [(name, role, fault["id"], node["html"][:200]) for node in fault["nodes"]]
    assert found == []
    page.context.close()


@in_browser_thread
def test_an_operator_approves_a_delivery(server: Server, browser: Browser) -> None:
    """After a question, and it is told who did; not what was one's own; an inspector sees no button."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    for role, buttons in (("inspector", 0), ("operator", 1)):
        enter(page, server.url, role)
        page.goto(f"{server.url}/en/signing/")
        expect(page.locator("#deliveries tbody tr")).to_have_count(4)
        expect(page.locator("#deliveries button")).to_have_count(buttons)
        assert (page.locator("#signatures input").count() > 0) is (role == "operator")
    asked: list[str] = []

    def think_better(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", think_better)
    page.get_by_role("button", name="Approve delivery 1").click()
    assert "it will be sent to tax-authority at once" in asked[0]
    expect(page.locator("#deliveries button")).to_have_count(1)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Approve delivery 1").click()
    expect(page.locator("#deliveries button")).to_have_count(0)
    expect(page.locator("#deliveries tbody tr").nth(3)).to_contain_text("demo-operator")
    page.context.close()


SITES = {"operator": 2, "inspector": 2, "miner": 1}
SECTIONS = ("sitefindings", "allocation", "limits", "supply", "meterlist", "feelines")


@in_browser_thread
def test_energy_of_a_past_moment_is_asked_for_everywhere(server: Server, browser: Browser) -> None:
    """By inspectors: each figure of that moment, said on the page, taken along; back to the present by one button."""
    page = browser.new_context().new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/energy/" in request.url else None)
    day = legal_day(datetime.now(UTC) - timedelta(days=2))
    enter(page, server.url, "inspector")
    page.goto(f"{server.url}/en/energy/?site=ekibastuz")
    page.locator("#as_of").fill(f"{day}T12:00:00")
    expect(page.locator("#shown-moment")).to_contain_text("12:00:00")
    expect(page.locator("#day")).to_have_value(f"{day}")
    expect(page.locator(".places a[href*='registers']")).to_have_attribute("href", re.compile("as_of="))
    asked.clear()
    page.reload()
    expect(page.locator("#load-chart .uplot")).to_have_count(1)
    expect(page.locator("#feelines tbody tr")).not_to_have_count(0)
    api = [url for url in asked if "/api/" in url]
    assert len(set(api)) == 8
    assert all(f"as_of={day}T12%3A00%3A00%2B05%3A00" in url for url in api)
    page.locator("#now").press("Enter")
    expect(page.locator("#shown-moment")).to_have_text("Shown as of now.")
    assert "as_of" not in page.url
    page.context.close()


@pytest.mark.parametrize(
    ("lang", "scheme", "width", "role"),
    [("kk", "dark", 1280, "inspector"), ("ru", "light", 390, "operator"), ("en", "light", 1280, "inspector")],
)
@in_browser_thread
def test_a_past_moment_goes_along_from_page_to_page(
    server: Server, browser: Browser, lang: str, scheme: Any, width: int, role: str
) -> None:
    """Every figure is of that moment, what is not kept is said, nothing can be done, and one button leads back."""
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}).new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url) if "/api/v1/" in request.url else None)
    enter(page, server.url, role)
    page.goto(f"{server.url}/{lang}/pool/")
    expect(page.locator("#stream")).to_have_attribute("data-state", "live")
    moment = (datetime.now(UTC) - timedelta(hours=3, minutes=30)).astimezone(ALMATY)
    page.locator("#as_of").fill(f"{moment:%Y-%m-%dT%H:%M:%S}")
    expect(page.locator("#stream")).to_be_hidden()
    expect(page.locator("#tile-health .badge.none")).to_have_count(1)
    for name, filled in (("pool", "#blocks"), ("accounting", "#rounds"), ("signing", "#schedule"), ("quarterly", None)):
        if name != "pool":
            asked.clear()
            page.locator(f".places a[href*='/{name}/']").click()
        expect(page.locator(".uplot")).to_have_count(2 if name == "pool" else 0)
        row = page.locator(f"{filled or '#quarterlystanding'} tbody tr").first
        expect(row).to_be_visible()
        expect(page.locator("#shown-moment")).to_contain_text(f"{moment:%H:%M:%S}")
        expect_to_fit(page, "thead, .unseen, .scroll")
        keep_screen(page, f"past-{name}-{lang}")
        text = page.inner_text("body")
        assert not [key for key in ("undefined", "NaN", "null", "{", "portal.", "moment.") if key in text]
        told = {url for url in asked if not url.endswith(("/me", "/events"))}
        assert told
        assert name == "pool" or all("as_of=" in url for url in told)
    page.goto(f"{server.url}/{lang}/accounting/{page.url.partition('/quarterly/')[2]}")
    expect(page.locator("#batches tbody tr")).to_have_count(2)
    unkept = page.locator("#tile-wallet .figure").inner_text()
    assert page.locator("#paying").is_hidden()
    assert page.locator("#holds tbody button").count() == 0
    page.locator("#now").click()
    expect(page.locator("#tile-wallet .figure")).not_to_have_text(re.compile(unkept))
    expect(page.locator("#paying")).to_be_visible(visible=role == "operator")
    assert complaints == []
    page.context.close()


@in_browser_thread
def test_a_fault_is_told_with_its_cause_and_the_page_that_cures_it(server: Server, browser: Browser) -> None:
    """To who may read all; what is owed to nobody's address waits for somebody, as Accounting warns."""
    page = browser.new_page()
    enter(page, server.url, "operator")
    page.goto(f"{server.url}/en/pool/")
    expect(page.locator("#attention tbody")).to_contain_text("samal is owed")
    page.evaluate("showOverview({...shown, health: [{part: 'certificate', ok: false}, {part: 'chain', ok: false}]})")
    expect(page.locator("#tile-health")).to_contain_text("No certificate of accreditation is in force")
    expect(page.locator("#tile-health")).to_contain_text("tarazy check")
    expect(page.locator("#tile-health a")).to_have_attribute("href", "/en/registers/#certificate")
    page.context.close()


def answer_otherwise(page: Page, path: str, **changed: Any) -> None:
    """Let a GET of the API answer with other values."""

    def answer(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), **changed})

    page.route(f"**/api/v1/{path}", answer)


@in_browser_thread
def test_what_is_not_set_up_is_told_with_what_to_do(server: Server, browser: Browser) -> None:
    """Payouts without settings, and a fee without a rule: to whom it may enter one, and to a miner whom to ask."""
    page = browser.new_page()
    answer_otherwise(page, "accounting/payouts", signing=None)
    answer_otherwise(page, "energy/fees/*", fee=None, problem="no_rule", why="x", texts=None)
    enter(page, server.url, "operator")
    page.goto(f"{server.url}/en/accounting/")
    expect(page.locator("#unset")).to_contain_text("Payouts are not set up")
    for role, words in (("operator", "law.directory"), ("miner", "ask there")):
        enter(page, server.url, role)
        page.goto(f"{server.url}/en/energy/")
        expect(page.locator("#derivation")).to_contain_text(words)
    page.context.close()


@in_browser_thread
def test_before_the_first_interval_had_ended_no_zeros_are_told(server: Server, browser: Browser) -> None:
    """What is not known yet is said in words."""
    page = browser.new_page()
    enter(page, server.url, "inspector")
    page.goto(f"{server.url}/en/pool/?as_of=2025-06-01T12:00:00%2B05:00")
    expect(page.locator("#tile-hashrate")).to_contain_text("no interval had ended by then")
    expect(page.locator("#tile-miners")).to_contain_text("no interval had ended by then")
    expect(page.locator("#tile-power")).to_contain_text("no readings of the last interval")
    page.context.close()


@in_browser_thread
def test_operators_see_nodes_gateways_and_the_journal(server: Server, browser: Browser) -> None:
    """As they are now; nothing of it is told of another moment."""
    page = browser.new_page()
    enter(page, server.url, "operator")
    page.goto(f"{server.url}/ru/pool/")
    rows = page.locator("#machinery tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("12 шар ещё не в учёте")
    expect(rows.nth(2)).to_contain_text("Узел 2")
    expect(rows.nth(2)).to_contain_text("не работает")
    expect(rows.nth(3)).to_contain_text("34 подключения, из них получают задания: 31")
    keep_screen(page, "operator-pool-ru")
    page.locator("#as_of").fill(f"{datetime.now(ALMATY) - timedelta(hours=2):%Y-%m-%dT%H:%M:%S}")
    expect(page.locator("#machinery")).to_be_hidden()
    page.context.close()


@pytest.mark.parametrize(
    ("name", "filled"),
    [("pool", "#miners"), ("energy", "#allocation"), ("accounting", "#rounds"), ("signing", "#schedule")],
)
@in_browser_thread
def test_nothing_is_shown_of_a_moment_in_the_future(server: Server, browser: Browser, name: str, filled: str) -> None:
    """Figures of now do not stand below another moment; they are back with a moment that was."""
    page = browser.new_page()
    enter(page, server.url, "inspector")
    page.goto(f"{server.url}/en/{name}/")
    shown = page.locator(f"{filled} tbody tr").first
    expect(shown).to_be_visible()
    page.locator("#as_of").fill("2199-01-01T12:00:00")
    expect(page.locator("#problem")).to_contain_text("lies in the future")
    expect(shown).to_be_hidden()
    expect(page.locator("#shown-moment")).to_be_hidden()
    page.reload()
    expect(page.locator("#problem")).to_contain_text("lies in the future")
    expect(shown).to_be_hidden()
    page.locator("#now").click()
    expect(shown).to_be_visible()
    page.context.close()


@pytest.mark.parametrize(
    ("role", "lang", "scheme", "width", "word"),
    [
        ("operator", "ru", "light", 1280, "Распределение энергии"),
        ("inspector", "en", "light", 768, "Who used it"),
        ("miner", "kk", "dark", 390, "Энергияны бөлу"),
    ],
)
@in_browser_thread
def test_energy_is_shown_to_each_in_its_language(
    server: Server, browser: Browser, role: str, lang: str, scheme: Any, width: int, word: str
) -> None:
    """Load, parts, limits, meters and the fee, found by the keyboard alone; a miner sees no other's name."""
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}).new_page()
    complaints: list[str] = []
    bytes_of: list[int] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("response", lambda answer: bytes_of.append(len(answer.body())))
    yesterday = legal_day(datetime.now(UTC) - timedelta(days=1))
    enter(page, server.url, role)
    page.goto(f"{server.url}/{lang}/energy/?site=ekibastuz&span=week&day={yesterday}")
    expect(page.locator("#allocation-title")).to_have_text(word)
    expect(page.locator("#load-chart .uplot")).to_have_count(1)
    expect(page.locator("#site option")).to_have_count(SITES[role])
    for section in SECTIONS:
        assert page.locator(f"#{section} tbody tr").count() > 0, section
    assert page.locator("#balance tbody tr").count() == (0 if role == "miner" else 10 if width > 560 else 4)
    if role != "miner":
        day = re.compile(r"^\d{4}-\d\d-\d\d$")
        expect(page.locator("#balance tbody time").first).to_have_attribute("datetime", day)
    assert ("Dala" in page.inner_text("main") or "Дала" in page.inner_text("main")) is (role != "miner")
    page.locator("[data-span=month]").press("Enter")
    expect(page.locator("[data-span=month]")).to_have_attribute("aria-pressed", "true")
    page.locator("#load-twin summary").press("Enter")
    expect(page.locator("#load-twin thead th")).to_have_count(3)
    assert page.locator("#load-twin tbody time[title$='Z']").first.get_attribute("datetime")
    expect_to_fit(page, "thead, .unseen, .scroll, option")
    text = page.inner_text("body")
    keys = ("undefined", "NaN", "null", "{", "portal.", "energypage.", "feelines.", "balance.", "rule.", "confounder.")
    assert not [key for key in keys if key in text]
    assert complaints == []
    assert sum(bytes_of) < 300_000
    page.locator("#forget").click()
    expect(page.locator("#ask")).to_be_visible()
    assert page.locator("#load-chart .uplot").count() == 0
    page.context.close()


@in_browser_thread
def test_a_period_without_energy_says_what_to_do(server: Server, browser: Browser) -> None:
    """The day before the meters: no chart, words instead; the address keeps what was chosen."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{server.url}/en/energy/?site=karaganda&span=day&day=2026-01-01&quarter=2026-Q1")
    page.locator("[data-demo=operator]").press("Enter")
    expect(page.locator("#allocation-title ~ .empty")).to_be_visible()
    expect(page.locator("#load-chart-title ~ .empty")).to_contain_text("Choose another date")
    page.locator("#later").press("Enter")
    expect(page.locator("#day")).to_have_value("2026-01-02")
    assert "day=2026-01-02" in page.url
    page.context.close()


@in_browser_thread
def test_a_statement_is_saved_from_the_page(server: Server, browser: Browser) -> None:
    """The button gives the file under its own name; one that cannot be made says why."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{server.url}/en/me/")
    page.locator("[data-demo=miner]").click()
    with page.expect_download() as saved:
        page.locator("#statements button", has_text="JSON").first.click()
    assert saved.value.suggested_filename.startswith("statement-altyn-")
    assert json.loads(Path(saved.value.path()).read_bytes())["person"]["party"] == "altyn"
    page.locator("#credits tbody button").click()
    expect(page.locator("#problem")).to_contain_text("tarazy round receipt")
    page.context.close()


@in_browser_thread
def test_a_miner_sees_its_work_first(server: Server, browser: Browser) -> None:
    """Hash rate with a table behind it, workers sorted by the server, who was turned away and why, how to connect."""
    server.refuse("altyn", "altyn")
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    complaints: list[str] = []
    sizes: list[int] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("response", lambda answer: sizes.append(len(answer.body())))
    enter(page, server.url, "miner")
    page.goto(f"{server.url}/en/me/")
    expect(page.locator("#tile-hashrate .figure")).to_contain_text("PH/s")
    expect(page.locator("#tile-licence")).to_contain_text("days left")
    expect(page.locator("#hashrate-chart .uplot")).to_be_visible()
    page.locator("#hashrate-twin summary").press("Enter")
    expect(page.locator("#hashrate-twin tbody tr").nth(90)).to_be_visible()
    expect(page.locator("#workers tbody tr")).to_contain_text(["altyn.rig1"])
    for shown, order in (("descending", "desc"), ("ascending", "asc")):
        with page.expect_response(lambda answer: "me/workers" in answer.url) as asked:
            page.locator("#workers thead button", has_text="Rejected").press("Enter")
        assert f"sort=rejected&order={order}" in asked.value.url
        assert asked.value.ok
        expect(page.locator("#workers thead [aria-sort]")).to_have_attribute("aria-sort", shown)
    expect(page.locator("#rejected tbody tr")).to_contain_text(
        ["look at the connection", "difficulty that the pool sends"]
    )
    page.locator("[data-span=week]").press("Enter")
    with page.expect_response(lambda answer: "worker=altyn.rig1" in answer.url) as asked:
        page.locator("#workers tbody button").press("Enter")
    assert asked.value.ok
    assert "span=week" in asked.value.url
    assert "site=ekibastuz" in asked.value.url
    expect(page.locator("#hashrate-twin tbody tr")).to_have_count(len(asked.value.json()["series"]))
    page.locator("#work-all").press("Enter")
    expect(page.locator("#work-one")).to_be_hidden()
    page.locator("#workers-search").fill("nobody")
    expect(page.locator("#workers-empty")).to_be_visible()
    expect(page.locator("#declined tbody tr")).to_contain_text(["register the site's network"])
    assert page.locator("#connect-login").inner_text() == "altyn.rig1"
    page.get_by_role("button", name="Copy Address").press("Enter")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#connect-address").inner_text()
    keep_screen(page, "own-work-en")
    assert complaints == []
    assert sum(sizes) < 300_000
    page.context.close()


@in_browser_thread
def test_a_miner_makes_a_token_on_its_page_and_revokes_it(server: Server, browser: Browser) -> None:
    """It is shown this once, works, and ends at once when it is revoked."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    enter(page, server.url, "miner")
    page.goto(f"{server.url}/ru/me/")
    form = page.locator("#new-token")
    form.locator("[name=name]").fill("home")
    form.locator("button").click()
    expect(page.locator("#token")).to_contain_text("tarazy_")
    text = page.locator("#token").inner_text()
    row = page.locator("#tokens tbody tr", has_text=".home")
    expect(row).to_contain_text("только хешрейт и воркеры")
    keep_screen(page, "own-tokens-ru")
    asked = {"authorization": f"Bearer {text}"}
    assert page.request.get(f"{server.url}/api/v1/me/hashrate", headers=asked).status == 200
    page.reload()
    expect(row).to_be_visible()
    assert text not in page.content()
    page.once("dialog", lambda shown: shown.accept())
    row.locator("button").click()
    expect(row).to_have_count(0)
    assert page.request.get(f"{server.url}/api/v1/me/hashrate", headers=asked).status == 401
    page.context.close()


@in_browser_thread
def test_everything_interactive_is_reached_by_tab(server: Server, browser: Browser) -> None:
    """The first Tab offers the way to the content; then come the controls, each with a name."""
    page, _ = visit(browser, f"{server.url}/ru/", viewport={"width": 1400, "height": 900})
    names = []
    for _ in range(8):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel"))
    assert names == ["Перейти к содержанию", "Tarazy", "Выйти", "Пауза", "◐", "Қазақша", "Русский", "English"]
    page.context.close()


@in_browser_thread
def test_page_comes_back_after_a_lost_connection(server: Server, browser: Browser) -> None:
    """A lost stream is told, and mends by itself."""
    page, _ = visit(browser, f"{server.url}/en/", viewport={"width": 1400, "height": 900})
    server.cut_streams()
    expect(page.locator("#stream")).to_have_text("Connection lost, trying again")
    height = server.find_block()
    expect(page.locator("#stream")).to_have_text("Live", timeout=10_000)
    expect(page.locator("#tile-last_block .figure")).to_have_text(f"{height:,}")
    page.context.close()
