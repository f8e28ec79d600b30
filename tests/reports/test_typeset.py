"""How text fits into lines and columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tarazy.reports.typeset import column_widths, printable, width, wrap


@given(st.text(max_size=80), st.floats(min_value=-3, max_value=60))
def test_lines_never_overflow_and_lose_nothing(text: str, limit: float) -> None:
    """Whatever a register holds stays inside its column, except a single sign wider than that."""
    lines = wrap(text, "", 7, limit)
    assert all(len(line) <= 1 or width(line, "", 7) <= limit for line in lines)
    assert "".join(lines).replace(" ", "") == printable(text).replace(" ", "")


def test_words_stay_whole_where_they_fit() -> None:
    """A line breaks at a space before it breaks at a hyphen, and there before it breaks a word."""
    assert wrap("te-feeder-1 ab", "", 7, width("te-feeder-1", "", 7)) == ["te-feeder-1", "ab"]
    assert wrap("a te-feeder-1", "", 7, width("feeder-", "", 7)) == ["a te-", "feeder-", "1"]


def test_what_no_font_shows_is_spelt() -> None:
    """Emoji, controls and signs that turn the reading order appear as code points, Kazakh letters as they are."""
    assert printable("ӘәҒғҚқҢңӨөҰұҮүҺһІі ₸ № \u202f") == "ӘәҒғҚқҢңӨөҰұҮүҺһІі ₸ № \u202f"
    assert printable("a\u202eb\U0001f642\x07\n") == "a‹U+202E›b‹U+1F642›‹U+0007› "


def test_columns_give_way_to_the_longest_word() -> None:
    """A column is widened to its longest word by those with room to spare, and the sum stays."""
    widths = column_widths([10, 90], [30.0, 20.0], 100.0)
    assert widths[0] == 30
    assert sum(widths) == 100
    assert column_widths([50, 50], [90.0, 90.0], 100.0) == [50, 50]
