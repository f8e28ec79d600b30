"""What the pages are made of: their words and their scripts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tarazy.portal.pages import PLACES, assets, page, page_texts, refusals_page
from tarazy.portal.rights import Right
from tarazy.reports.language import LANGUAGES
from tests.portal.subject import make_subject

NAMES = ("home", "join", *PLACES)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_page_has_its_words_in_each_language(tmp_path: Path, lang: str) -> None:
    """A page that named a text which the catalogue does not have could not be made."""
    live = make_subject(tmp_path, datetime.now(UTC)).live()
    for html in (*(page(lang, live, name) for name in NAMES), refusals_page(lang, live.pool_name)):
        assert f'<html lang="{lang}"'.encode() in html


def scripts() -> dict[str, str]:
    """The pages' own scripts by name."""
    return {name: asset.body.decode() for name, asset in assets().items() if name.endswith(".js") and "/" not in name}


def test_every_word_of_a_script_is_in_the_catalogue() -> None:
    """Each key that a script names is among the texts that it is given, which are there in every language."""
    used = {key for source in scripts().values() for key in re.findall(r"\bt\(\"([a-z_.0-9]+)\"", source)}
    assert len(used) > 140
    texts = orjson.loads(page_texts("en")).keys()
    assert used - texts == set()
    begun = {begin for source in scripts().values() for begin in re.findall(r"\bt\(`([a-z_.]+\.)\$\{", source)}
    assert len(begun) > 20
    assert {begin for begin in begun if not any(key.startswith(begin) for key in texts)} == set()


def test_pages_name_rights(tmp_path: Path) -> None:
    """What a page is for and what it lets do goes by the rights that the API tells, each by its name."""
    live = make_subject(tmp_path, datetime.now(UTC)).live()
    named = set(re.findall(r"\bmay\(\"(\w+)\"\)", "".join(scripts().values())))
    for name in PLACES:
        for several in re.findall(r'data-rights="([^"]+)"', page("en", live, name).decode()):
            named.update(several.split())
    assert {Right.READ, Right.WRITE, Right.PAY, Right.SEND, Right.TELL} <= named <= set(Right)


_GLOBAL = re.compile(r"^(?:(?:async )?function|class|const|let) (?:(\w+)|\[([^\]]+)\]|\{([^}]+)\})", re.MULTILINE)


def globals_of(script: str) -> list[str]:
    """What a script of the pages defines for the others that are loaded beside it."""
    return [name for found in _GLOBAL.findall(scripts()[script]) for name in re.findall(r"\w+", "".join(found))]


@pytest.mark.parametrize("name", NAMES)
def test_no_two_scripts_of_a_page_define_the_same(tmp_path: Path, name: str) -> None:
    """The one that is loaded last would silently take the other's place."""
    html = page("en", make_subject(tmp_path, datetime.now(UTC)).live(), name).decode()
    loaded = [each for each in re.findall(r'<script defer src="/static/\w+/([^"]+)"', html) if each in scripts()]
    assert len(loaded) > 3
    defined = [each for script in loaded for each in globals_of(script)]
    assert len(defined) > 20
    assert {each for each in defined if defined.count(each) > 1} == set()
