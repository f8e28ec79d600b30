"""What operators, inspectors and miners do all day, played in a real browser in each language; screens are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tarazy.accounting.energy.profiles import known_profiles
from tarazy.config.law.calendar import legal_day
from tests.portal.browsing import Server, enter, expect_to_fit, in_browser_thread, keep_screen, needs_chromium

pytestmark = needs_chromium

LOOKS: list[tuple[str, int, Any]] = [("kk", 390, "dark"), ("ru", 1400, "light"), ("en", 1024, "light")]
CHECK_DIGIT = {
    "kk": "бақылау цифры сәйкес емес",
    "ru": "контрольная цифра не сходится",
    "en": "check digit does not fit",
}
BINS = {"kk": "250140000102", "ru": "250240000116", "en": "250340000120"}
KEYS = ("portal.", "columns.", "words.", "registers.", "moment.", "paged.", "plan.", "undefined", "NaN", "[object", "{")


class Seat:
    """Somebody at the portal, who complains of what does not fit and of what has no text."""

    def __init__(self, server: Server, browser: Browser, role: str, look: tuple[str, int, Any]) -> None:
        self.lang, self.width, scheme = look
        self._role = role
        self._url = server.url
        self.page: Page = browser.new_context(
            viewport={"width": self.width, "height": 900}, color_scheme=scheme, accept_downloads=True
        ).new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())
        enter(self.page, server.url, role)

    def go(self, name: str, ready: str) -> None:
        """Open a page and wait for what it shows."""
        self.page.goto(f"{self._url}/{self.lang}/{name}")
        expect(self.page.locator(ready).first).to_be_visible()

    def keep(self, name: str) -> None:
        """Keep the screen; nothing is wider than it, and every text is there."""
        keep_screen(self.page, f"{self._role}-{name}-{self.lang}-{self.width}")
        expect_to_fit(self.page)
        text = self.page.inner_text("body")
        assert not [key for key in KEYS if key in text], name

    def leave(self) -> None:
        """Nothing went wrong in the scripts."""
        assert self.errors == []
        self.page.context.close()


def fill(page: Page, **values: str) -> None:
    """Type into fields of the entry's form."""
    for name, value in values.items():
        page.locator(f"#field-{name}").fill(value)


@pytest.mark.parametrize("look", LOOKS)
@in_browser_thread
def test_an_operator_enters_changes_and_ends_an_entry(server: Server, browser: Browser, look: Any) -> None:
    """By forms, each looked at before it is entered; what is wrong is told at its column, and the history keeps all."""
    seat = Seat(server, browser, "operator", look)
    page, key = seat.page, f"zhana-{seat.lang}"
    seat.go("registers/", "#registers tbody tr")
    page.locator("#add").click()
    names = {"name_kk": "«Жаңа» ЖШС", "name_ru": "ТОО «Жана»", "name_en": "Zhana LLP"}
    fill(page, party=key, bin="123456789012", account=key, **names)
    page.locator("#edit .check").click()
    expect(page.locator("#edit .plan li")).to_have_count(1)
    expect(page.locator("#edit .plan li")).to_contain_text(CHECK_DIGIT[seat.lang])
    expect(page.locator("#edit .enter")).to_be_disabled()
    seat.keep("fault")
    fill(page, bin=BINS[seat.lang])
    page.locator("#edit .check").click()
    expect(page.locator("#edit .enter")).to_be_enabled()
    seat.keep("plan")
    page.locator("#edit .enter").click()
    expect(page.locator("#edit")).to_be_hidden()
    page.locator("#search").fill(key)
    expect(page.locator("#registers tbody tr")).to_have_count(1)
    page.locator("#registers tbody button").click()
    page.locator("#past-acts button").first.click()
    fill(page, contact="Айгүл")
    page.locator("#edit .check").click()
    expect(page.locator("#edit .plan ins", has_text="Айгүл")).to_have_count(1)
    page.locator("#edit .enter").click()
    expect(page.locator("#past")).to_be_hidden()
    page.locator("#registers tbody button").click()
    expect(page.locator("#versions tbody tr")).to_have_count(2)
    seat.keep("history")
    page.locator("#past-acts button").last.click()
    fill(page, why="merged")
    page.locator("#edit .check").click()
    expect(page.locator("#edit .plan tbody tr")).to_have_count(2)
    page.locator("#edit .enter").click()
    expect(page.locator("#registers-empty")).to_be_visible()
    seat.keep("nothing")
    seat.leave()


@pytest.mark.parametrize("look", LOOKS)
@in_browser_thread
def test_an_operator_chooses_a_meters_profile(server: Server, browser: Browser, look: Any) -> None:
    """Among those that are known, none of which is taken for granted; that of a meter that is there stands chosen."""
    seat = Seat(server, browser, "operator", look)
    page = seat.page
    seat.go("registers/#meter", "#registers tbody tr")
    page.locator("#add").click()
    profile = page.locator("select#field-profile")
    expect(profile).to_have_value("")
    assert profile.locator("option").all_inner_texts() == ["–", *known_profiles()]
    fill(page, meter="m-9", site="ekibastuz", host="10.0.0.9", port="502", unit="1", price_tiyn_per_kwh="2500")
    page.locator("#edit .check").click()
    expect(page.locator("#edit .plan li")).to_have_count(1)
    profile.select_option("abb-b23")
    page.locator("#edit .check").click()
    expect(page.locator("#edit .plan ins", has_text="abb-b23")).to_be_visible()
    seat.keep("meter")
    page.locator("#edit .shut").click()
    page.locator("#registers tbody tr", has_text="tarazy-demo").first.locator("button").click()
    page.locator("#past-acts button").first.click()
    expect(profile).to_have_value("tarazy-demo")
    seat.leave()


@pytest.mark.parametrize("look", LOOKS)
@in_browser_thread
def test_an_operators_day(server: Server, browser: Browser, look: Any) -> None:
    """A spreadsheet is looked at and entered, a finding taken in hand, a person invited, a payout looked at."""
    seat = Seat(server, browser, "operator", look)
    page, key = seat.page, f"sheet-{seat.lang}"
    seat.go("registers/#equipment", "#registers tbody tr")
    page.locator("#import").click()
    rows = f"equipment;model;party;site;nominal_hash_rate_hs;nominal_power_w\n{key};S21;altyn;ekibastuz;200 TH/s;3500\n"
    file: Any = {"name": "equipment.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    page.locator("#table-file").set_input_files(file)
    page.locator("#upload .check").click()
    expect(page.locator("#upload .plan ins", has_text=key)).to_be_visible()
    seat.keep("upload")
    page.locator("#upload .enter").click()
    expect(page.locator("#registers tbody")).to_contain_text(key)
    page.locator("#registers .sort").first.click()
    expect(page.locator("#registers [aria-sort=ascending]")).to_have_count(1)
    seat.go("findings/", "#findings tbody tr")
    before = page.locator("#findings tbody tr").count()
    page.locator("#findings tbody tr", has_not_text="demo-operator").last.locator("button").click()
    page.locator("#move-acts button").first.click()
    expect(page.locator("#move")).to_be_hidden()
    expect(page.locator("#findings tbody")).to_contain_text("demo-operator")
    assert page.locator("#findings tbody tr").count() == before
    seat.keep("findings")
    seat.go("users/", "#users tbody tr")
    page.locator("[name=name]").last.fill(f"bolat-{seat.lang}")
    page.locator("#role").select_option("inspector")
    page.locator("#new button[type=submit]").click()
    expect(page.locator("#link")).to_contain_text(f"/{seat.lang}/join/#")
    expect(page.locator("#users tbody")).to_contain_text(f"bolat-{seat.lang}")
    seat.keep("users")
    page.locator("#users tbody tr", has_text=f"bolat-{seat.lang}").locator("button").last.click()
    expect(page.locator("#users tbody tr", has_text=f"bolat-{seat.lang}")).to_have_count(0)
    seat.go("accounting/", "#batches tbody tr")
    page.locator("#batches tbody button").first.click()
    expect(page.locator("#payments tbody tr")).to_have_count(1)
    seat.keep("payout")
    if seat.lang == "en":
        page.locator("#batch-acts button").first.click()
        expect(page.locator("#paid")).to_contain_text("is approved")
        expect(page.locator("#batches tbody")).to_contain_text("demo-operator")
    seat.leave()


@pytest.mark.parametrize("look", LOOKS)
@in_browser_thread
def test_an_operator_holds_and_releases_payments(server: Server, browser: Browser, look: Any) -> None:
    """With a reason in a language of its own, which readers of others are told; refusals are told in the dialog."""
    seat = Seat(server, browser, "operator", look)
    page, why = seat.page, f"№ {seat.lang}"
    seat.go("accounting/", "#batches tbody tr")
    page.locator("#hold").click()
    page.locator("#deciding [name=party]").fill("nobody")
    page.locator("#deciding [name=why]").fill(why)
    page.locator("#deciding [name=language]").select_option("kk" if seat.lang == "ru" else "ru")
    page.locator("#decide-do").click()
    expect(page.locator("#decide .trouble")).to_contain_text("nobody")
    seat.keep("hold")
    page.locator("#deciding [name=party]").fill("dala")
    page.locator("#decide-do").click()
    expect(page.locator("#decide")).to_be_hidden()
    row = page.locator("#holds tbody tr", has_text=why)
    expect(row.locator("[lang] + .detail")).to_have_count(1)
    seat.keep("held")
    row.locator("button").click()
    page.locator("#deciding [name=why]").fill("settled")
    page.locator("#decide-do").click()
    expect(page.locator("#holds tbody tr", has_text=why)).to_have_count(0)
    page.locator("#switch").click()
    expect(page.locator("#deciding [name=language]")).to_have_value(seat.lang)
    seat.keep("stop")
    page.locator("#decide .shut").click()
    page.locator("#batches tbody button").last.click()
    page.locator("#batch-acts button").last.click()
    expect(page.locator("#deciding [name=why]")).to_be_visible()
    expect(page.locator("#deciding [name=rate]")).to_be_hidden()
    seat.keep("abandon")
    seat.leave()


@pytest.mark.parametrize("look", LOOKS)
@in_browser_thread
def test_an_inspector_looks_at_a_past_moment(server: Server, browser: Browser, look: Any) -> None:
    """The moment is chosen once and goes along from page to page; nothing can be entered."""
    seat = Seat(server, browser, "inspector", look)
    page = seat.page
    seat.go("registers/", "#registers tbody tr")
    expect(page.locator("#add")).to_be_hidden()
    page.locator("#as_of").fill("2024-01-10T12:00:00")
    expect(page.locator("#registers-empty")).to_be_visible()
    page.locator("#as_of").fill("2024-03-03T12:00:00")
    expect(page.locator("#registers tbody tr")).to_have_count(4)
    seat.keep("registers")
    page.locator(".places a[href*='/admissions/']").click()
    expect(page.locator("#admissible tbody tr").first).to_be_visible()
    expect(page.locator("#as_of")).to_have_value("2024-03-03T12:00")
    assert "as_of=2024-03-03T12%3A00%3A00%2B05%3A00" in page.url
    assert page.locator("#decisions tbody tr").count() == 0
    seat.keep("past")
    page.locator("#now").click()
    expect(page.locator("#decisions tbody tr").first).to_be_visible()
    expect(page.locator("#stream")).to_have_attribute("data-state", "live")
    seat.keep("admissions")
    seat.leave()


@pytest.mark.parametrize("look", LOOKS)
@in_browser_thread
def test_a_miners_pages(server: Server, browser: Browser, look: Any) -> None:
    """From the pool's page on to its account, and energy; a page of operators tells it that it is not for it."""
    seat = Seat(server, browser, "miner", look)
    seat.go("pool/", "#credits tbody tr")
    assert seat.page.url == f"{server.url}/{seat.lang}/me/"
    seat.keep("account")
    seat.go(f"energy/?day={legal_day(datetime.now(UTC) - timedelta(days=1))}", "#allocation tbody tr")
    seat.keep("energy")
    seat.page.goto(f"{server.url}/{seat.lang}/registers/")
    expect(seat.page.locator("#problem")).to_be_visible()
    expect(seat.page.locator("#shown")).to_be_hidden()
    seat.leave()


@in_browser_thread
def test_a_refusal_shows_by_itself(server: Server, browser: Browser) -> None:
    """While the page is open, and once the stream is back after it was cut."""
    seat = Seat(server, browser, "operator", LOOKS[2])
    page = seat.page
    seat.go("admissions/", "#decisions tbody tr")
    expect(page.locator("#stream")).to_have_attribute("data-state", "live")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(1500)
    assert asked == [], "it is quiet while nothing changes"
    server.refuse(f"late-{datetime.now(UTC):%H%M%S}")
    expect(page.locator("#decisions tbody tr").first).to_contain_text("late-")
    server.cut_streams()
    expect(page.locator("#stream")).to_have_attribute("data-state", "lost")
    server.refuse("after-the-cut")
    expect(page.locator("#decisions tbody tr").first).to_contain_text("after-the-cut", timeout=15_000)
    seat.leave()


@pytest.mark.parametrize("look", LOOKS)
@in_browser_thread
def test_a_first_payout_address_is_entered_as_approved(server: Server, browser: Browser, look: Any) -> None:
    """The form says so beside the status, and what happens to another one; the list for an empty pool waits for one."""
    seat = Seat(server, browser, "operator", look)
    page = seat.page
    seat.go("registers/#wallet", "#steps")
    page.locator("#add").click()
    expect(page.locator("#field-status")).to_have_value("proposed")
    fill(page, party="samal")
    expect(page.locator("#field-status")).to_have_value("approved")
    expect(page.locator("#address-note")).not_to_be_empty()
    expect_to_fit(page)
    seat.leave()
    seat = Seat(server, browser, "miner", look)
    seat.go("me/", "#no-address")
    seat.leave()


@in_browser_thread
def test_what_is_refused_is_told_at_its_form_and_what_was_typed_stays(server: Server, browser: Browser) -> None:
    """A name that is taken, of a user and of a token."""
    seat = Seat(server, browser, "operator", LOOKS[2])
    seat.go("users/", "#users tbody tr")
    form = seat.page.locator("#new")
    form.locator("[name=name]").fill("demo-operator")
    form.locator("#role").select_option("inspector")
    form.locator("button").click()
    expect(seat.page.locator("#new + .trouble")).to_contain_text("demo-operator")
    expect(form.locator("[name=name]")).to_have_value("demo-operator")
    expect(form.locator("#role")).to_have_value("inspector")
    expect(seat.page.locator("#problem")).to_be_hidden()
    seat.leave()
    seat = Seat(server, browser, "miner", LOOKS[2])
    seat.go("me/", "#new-token")
    form = seat.page.locator("#new-token")
    for told in ("#token-told", "#new-token + .trouble"):
        form.locator("[name=name]").fill("twice")
        form.locator("button").click()
        expect(seat.page.locator(told)).to_be_visible()
    expect(seat.page.locator("#new-token + .trouble")).to_contain_text("twice")
    expect(form.locator("[name=name]")).to_have_value("twice")
    seat.leave()


@in_browser_thread
def test_a_miner_is_asked_before_it_submits_a_quarter(server: Server, browser: Browser) -> None:
    """A draft that was kept is confirmed; what cannot be changed is asked about first."""
    page = browser.new_page()
    enter(page, server.url, "miner")
    page.goto(f"{server.url}/en/quarterly/")
    for name in ("energy", "investment", "jobs", "machines", "devicepower"):
        page.locator(f"#{name}").fill("1")
    page.locator("#keep").click()
    expect(page.locator("#done")).to_contain_text("The draft is kept")
    asked: list[str] = []

    def decline(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", decline)
    page.locator("#send").click()
    assert "is not changed" in asked[0]
    expect(page.locator("#quarterlyversions tbody tr")).to_have_count(0)
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#send").click()
    expect(page.locator("#done")).to_contain_text("is submitted")
    expect(page.locator("#quarterlyversions tbody tr")).to_have_count(1)
    page.context.close()


@pytest.mark.parametrize(("role", "count"), [("inspector", 0), ("operator", 1)])
@in_browser_thread
def test_signatures_are_entered_by_operators_alone(server: Server, browser: Browser, role: str, count: int) -> None:
    """Who may not write sees no field that would refuse."""
    seat = Seat(server, browser, role, LOOKS[2])
    seat.go("signing/", "#signatures tbody tr")
    assert (seat.page.locator("#signatures input[type=file]").count() > 0) == bool(count)
    seat.leave()
