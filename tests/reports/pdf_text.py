"""The text of our own PDF files, page by page: enough of the format to check what is printed where."""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_SHOWN = re.compile(rb"/F(\d+) [\d.]+ Tf|\(((?:[^\\()]|\\.)*)\) Tj", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pages(*parts: bytes) -> list[str]:
    """Each page's text in the order in which it is drawn, one line a drawn string."""
    pdf = b"".join(parts)
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    contents = [
        int(found[1])
        for body in objects.values()
        if b"/Type /Page\n" in body and (found := re.search(rb"/Contents (\d+) 0 R", body))
    ]
    fonts = _fonts(objects)
    return [_text(_stream(objects[number]), fonts) for number in contents]


def _stream(body: bytes) -> bytes:
    raw = body.partition(b"stream\n")[2].rpartition(b"\nendstream")[0]
    return zlib.decompress(raw) if b"/FlateDecode" in body else raw


def _fonts(objects: dict[int, bytes]) -> dict[int, dict[int, str]]:
    """The resource number of each font with its map from glyph codes to text."""
    resources = next(body for body in objects.values() if body.startswith(b"<<\n/Font "))
    fonts = {}
    for name, number in re.findall(rb"/F(\d+) (\d+) 0 R", resources):
        unicode = re.search(rb"/ToUnicode (\d+) 0 R", objects[int(number)])
        assert unicode is not None
        pairs = re.findall(rb"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>\n", _stream(objects[int(unicode[1])]))
        fonts[int(name)] = {int(code, 16): bytes.fromhex(text.decode()).decode("utf-16-be") for code, text in pairs}
    return fonts


def _text(content: bytes, fonts: dict[int, dict[int, str]]) -> str:
    lines: list[str] = []
    font: dict[int, str] = {}
    for name, shown in _SHOWN.findall(content):
        if name:
            font = fonts[int(name)]
            continue
        codes = _ESCAPED.sub(lambda found: _CONTROLS.get(found[1], found[1]), shown)
        lines.append("".join(font[int.from_bytes(codes[i : i + 2])] for i in range(0, len(codes), 2)))
    return "\n".join(lines)
