"""How text fits: what the fonts can show, how wide it is, where its lines break. No page, no file format."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import as_file, files

from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

FONT_FILES = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}
"""The file of each style, regular and bold, in the package's folder of fonts."""

_MM_PER_POINT = 25.4 / 72
_INSIDE = re.compile(r"(?<=\w[-/])(?=\w)")
"""Where a word too long for a line breaks: after a hyphen or slash."""


def printable(text: str) -> str:
    """`text` with what the fonts cannot show, or what is invisible, spelt as code points."""
    known = _letters()
    return "".join(sign if ord(sign) in known else _spelt(sign) for sign in text)


def _spelt(sign: str) -> str:
    return " " if sign in "\t\r\n" else f"‹U+{ord(sign):04X}›"


@cache
def _letters() -> frozenset[int]:
    """Code points that both styles have a glyph for, without controls and invisible formatting."""
    common = set.intersection(*(set(advances(style)) for style in FONT_FILES))
    return frozenset(code for code in common if unicodedata.category(chr(code))[0] != "C")


@cache
def advances(style: str) -> Mapping[int, float]:
    """How far each code point of a style moves on, in parts of the font's size."""
    with as_file(files("tarazy.reports") / "fonts" / FONT_FILES[style]) as path, TTFont(path, lazy=True) as font:
        glyphs, units = font["hmtx"], font["head"].unitsPerEm
        return {code: glyphs[name][0] / units for code, name in font.getBestCmap().items()}


def width(text: str, style: str, points: float) -> float:
    """Width in mm of printable text at a size in points."""
    table = advances(style)
    return sum(table[ord(sign)] for sign in text) * points * _MM_PER_POINT


def wrap(text: str, style: str, points: float, limit: float) -> list[str]:
    """`text` in lines of at most `limit` mm. A word too long for a line breaks inside, in the last resort anywhere."""
    lines: list[str] = []
    line = ""
    for word in _pieces(printable(text), style, points, limit):
        if line and width((line + word).rstrip(" "), style, points) > limit:
            lines.append(line.rstrip(" "))
            line = ""
        line += word
        while (shown := line.rstrip(" ")) and width(shown, style, points) > limit:
            kept = _fitting(line, style, points, limit)
            lines.append(line[:kept])
            line = line[kept:]
    return [*lines, line.rstrip(" ")]


def _pieces(text: str, style: str, points: float, limit: float) -> Iterator[str]:
    """Words with the spaces behind them; those too long for a line in parts."""
    for word in re.findall(r"[^ ]+ *| +", text):
        if width(word.rstrip(" "), style, points) <= limit:
            yield word
        else:
            yield from _INSIDE.split(word)


def _fitting(text: str, style: str, points: float, limit: float) -> int:
    """How many signs of `text` fit into `limit`, at least one."""
    table, room = advances(style), limit / (points * _MM_PER_POINT)
    for count, sign in enumerate(text):
        room -= table[ord(sign)]
        if room < 0:
            return max(count, 1)
    return len(text)


def column_widths(asked: Sequence[int], needed: Sequence[float], room: float) -> list[float]:
    """Divide `room` as `asked`, but leave no column narrower than `needed` where there is enough for all."""
    widths = [room * share / sum(asked) for share in asked]
    missing = sum(max(0.0, need - width) for need, width in zip(needed, widths, strict=True))
    spare = sum(max(0.0, width - need) for need, width in zip(needed, widths, strict=True))
    if not 0 < missing < spare:
        return widths
    kept = 1 - missing / spare
    return [need if width <= need else need + (width - need) * kept for need, width in zip(needed, widths, strict=True)]
