"""Render a `Document` as one HTML page that needs nothing beside it: no script, no font, no picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from tarazy.reports.document import Block, Document, Facts, Notice, Paragraph, Table
from tarazy.reports.typeset import printable

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 "DejaVu Sans","Noto Sans",system-ui,sans-serif;max-width:75rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.2rem;margin-top:2.2rem}
header,footer,.small{font-size:.8rem;opacity:.75;overflow-wrap:anywhere}
.notice{border-left:.3rem solid #b34a2e;padding-left:.8rem;font-weight:600}
.wide{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.85rem}
caption{text-align:left;font-weight:600;padding:.4rem 0}
th,td{border-bottom:1px solid #8886;padding:.3rem .5rem;text-align:left;vertical-align:top}
.facts td{overflow-wrap:anywhere}.number{text-align:right;white-space:nowrap}
tfoot td{font-weight:600}.facts th{font-weight:400;opacity:.75;width:28%}
@media print{.wide{overflow:visible}}
"""


def render_html(document: Document) -> Iterator[bytes]:
    """The document's page, a line or row at a time. Everything in it is text of the document, escaped."""
    return (f"{line}\n".encode() for line in _lines(document))


def _lines(document: Document) -> Iterator[str]:
    yield f'<!doctype html>\n<html lang="{_text(document.lang)}">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta name="keywords" content="sha256:{_text(document.digest)}">'
    yield f"<title>{_text(document.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<header>{_text(document.header)}</header>\n<main>\n<h1>{_text(document.title)}</h1>"
    yield from _blocks(document.cover)
    for number, section in enumerate(document.sections, 1):
        yield f"<h2>{number}. {_text(section.title)}</h2>"
        yield from _blocks(section.blocks)
    yield "</main>\n<footer>"
    yield from (f"<p>{_text(line)}</p>" for line in (document.footer, document.check) if line)
    yield "</footer>\n</body>\n</html>"


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Paragraph(text, small):
                yield f'<p class="small">{_text(text)}</p>' if small else f"<p>{_text(text)}</p>"
            case Notice(text):
                yield f'<p class="notice">{_text(text)}</p>'
            case Facts(pairs):
                rows = "\n".join(
                    f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>' for name, value in pairs
                )
                yield f'<table class="facts">\n{rows}\n</table>'
            case Table():
                yield from _table(block)


def _table(table: Table) -> Iterator[str]:
    marks = [' class="number"' if column.align == "right" else "" for column in table.columns]

    def row(cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<td{m}>{_text(cell)}</td>" for m, cell in zip(marks, cells, strict=True)) + "</tr>"

    heads = zip(marks, table.columns, strict=True)
    yield f'<div class="wide"><table>\n<caption>{_text(table.caption)}</caption>'
    yield "<thead><tr>" + "".join(f'<th scope="col"{m}>{_text(c.heading)}</th>' for m, c in heads) + "</tr></thead>"
    yield "<tbody>"
    yield from map(row, table.rows)
    yield "</tbody>"
    if table.total is not None:
        yield f"<tfoot>{row(table.total)}</tfoot>"
    yield "</table></div>"


def _text(text: str) -> str:
    return escape(printable(text))
