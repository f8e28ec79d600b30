"""The views' own rules, and the page's words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from tarazy.accreditation.admission import Reason
from tarazy.portal.pages import page as page_of
from tarazy.portal.pages import page_texts
from tarazy.portal.views import CHART_POINTS, chart_starts, hashrate, iso
from tarazy.reports.language import LANGUAGES, has, messages, text
from tests.portal.subject import make_subject

NOW = datetime(2026, 11, 22, 10, 7, 30, tzinfo=UTC)


def test_hashrate_is_rounded_to_what_chance_allows() -> None:
    """Weight over seconds, in hashes, three significant digits; nothing is divided by no time."""
    assert hashrate(65535 * 1000.0, 60) == 1_090_000.0
    assert hashrate(5.0, 0) == 0.0


def test_instants_are_utc() -> None:
    """An instant of any zone is told in UTC."""
    assert iso(NOW.astimezone(UTC)) == "2026-11-22T10:07:30Z"
    assert iso(None) is None


def test_charts_show_ended_intervals_only() -> None:
    """The running interval is no point of a chart: it would always look like a fall."""
    starts = chart_starts(NOW, 900, [NOW - timedelta(hours=1)])
    assert starts[-1] == datetime(2026, 11, 22, 9, 45, tzinfo=UTC)
    assert len(chart_starts(NOW, 900, [NOW - timedelta(days=9)])) == CHART_POINTS
    assert chart_starts(NOW, 900, []) == []


def test_every_reason_has_words() -> None:
    """A refusal is told in words with a cure, whatever its code; the words are those of the reports."""
    assert [reason for reason in Reason if not has(f"words.reason.{reason}")] == []
    assert [reason for reason in Reason if not has(f"portal.cure.{reason}")] == []


def test_page_has_the_words_of_the_reports() -> None:
    """A code is told in the same words on the page and on paper."""
    texts = json.loads(page_texts("kk"))
    assert texts["words.reason.site-unknown"] == text("kk", "words.reason.site-unknown")
    static = files("tarazy.portal") / "static"
    source = "".join(
        (static / name).read_text(encoding="utf-8") for name in ("tables.js", "signed_in.js", "signing.js")
    )
    kinds = set(re.findall(r"\bword\(\"([a-z_]+)\"", source))
    assert kinds == {
        "reason",
        "block_state",
        "distribution_state",
        "site_status",
        "meter_status",
        "severity",
        "batch_state",
        "delivery_state",
        "report",
        "report_standing",
    }
    assert all(any(key.startswith(f"words.{kind}.") for key in texts) for kind in kinds)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_languages_are_written_in_their_own_letters(lang: str) -> None:
    """No text of one language stands in another's place: Kazakh and Russian in Cyrillic, English without."""
    for key, message in messages().items():
        if key.startswith(("portal.", "words.")):
            for form in message[lang].values():
                bare = re.sub(r"\{\w+\}", "", form)
                cyrillic = bool(re.search("[а-яәғқңөұүһі]", bare, re.IGNORECASE))
                latin = bool(re.search("[a-z]{3}", bare, re.IGNORECASE))
                assert cyrillic or not latin if lang != "en" else not cyrillic, key
    assert len(page_texts(lang)) > 5000


@pytest.mark.parametrize("name", ["nothing", "proposed", "first", "left_out"])
def test_what_a_proposal_answers_are_sentences(name: str) -> None:
    """They stand one after the other."""
    told = messages()[f"portal.paying.{name}"]
    assert all(form.endswith(".") for lang in LANGUAGES for form in told[lang].values())


def test_one_thing_has_one_name() -> None:
    """A party and approving, whatever page or paper tells of them."""
    others = re.compile(r"\b(сторон[аые]?|одобр\w*|тарап\w*|мақұлда\w*)\b", re.IGNORECASE)
    forms = [(key, form) for key, message in messages().items() for told in message.values() for form in told.values()]
    assert [key for key, form in forms if others.search(form) and key != "cases.side.both"] == []


def test_a_pool_on_this_machine_is_not_called_a_demo(tmp_path: Path) -> None:
    """What is made up is said where it is; else what counts as inside the country."""
    live = make_subject(tmp_path, NOW).live()
    told = {way: page_of("en", replace(live, demo=True, demo_sign_in=way), "pool") for way in (True, False)}
    assert [b"are invented" in page for page in told.values()] == [True, False]
    assert b"accreditation.demo_addresses" in told[False]


def test_no_page_sends_its_reader_to_the_registers_commands() -> None:
    """Miners have none, and operators have a page."""
    for lang in LANGUAGES:
        told = {key: form for key, message in messages().items() for form in message[lang].values()}
        assert [key for key, form in told.items() if key.startswith("portal.") and "tarazy register" in form] == []


def test_importing_the_portal_installs_no_reactor() -> None:
    """The server chooses its reactor after its imports; klein, which would choose for it, is imported late."""
    code = "import tarazy.portal.app, tarazy.metrics.exporter, sys; print('twisted.internet.reactor' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
