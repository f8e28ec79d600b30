"""Render a `Document` as PDF: A4, DejaVu, the same bytes for the same document."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from importlib.resources import as_file, files

from fpdf import FPDF

from tarazy.reports.document import Block, Column, Document, Facts, Notice, Paragraph, Section, Table
from tarazy.reports.pages import PagesToFile, squeeze
from tarazy.reports.typeset import FONT_FILES, column_widths, printable, width, wrap

_FAMILY = "DejaVu"
_PART = 1 << 20
_MARGIN, _TOP, _BOTTOM = 16.0, 20.0, 21.0
"""Millimetres that text keeps from the edges."""
_PAD_X, _PAD_Y = 1.2, 0.9
_HALF_LINE = 0.1
"""Half the width of a drawn line, which a row's colour leaves visible above it."""
_MEASURED_ROWS, _LONGEST_WORD = 60, 28
"""What sets the widths of a table's columns: so many rows, words of at most so many characters."""

_Colour = tuple[int, int, int]
_INK: _Colour = (28, 32, 38)
_GREY: _Colour = (96, 102, 110)
_LINE: _Colour = (190, 196, 204)
_HEAD: _Colour = (226, 231, 236)
_BAND: _Colour = (244, 246, 248)
_ALERT: _Colour = (150, 40, 20)


@dataclass(frozen=True, slots=True)
class _Style:
    points: float
    leading: float
    """Height of a line in mm."""
    bold: bool = False
    colour: _Colour = _INK

    @property
    def face(self) -> str:
        return "B" if self.bold else ""


_TITLE = _Style(20, 9, bold=True)
_SECTION = _Style(13, 7, bold=True)
_CAPTION = _Style(9, 5.5, bold=True)
_TEXT = _Style(9, 5)
_NOTICE = _Style(9, 5, bold=True, colour=_ALERT)
_SMALL = _Style(7, 3.8, colour=_GREY)
_NAME, _VALUE = _Style(8.5, 5, colour=_GREY), _Style(8.5, 5)
_HEADING, _CELL, _TOTAL = _Style(7, 3.6, bold=True), _Style(7, 3.6), _Style(7, 3.6, bold=True)


def render_pdf(document: Document) -> Iterator[bytes]:
    """The document's PDF, part by part. Takes seconds for large reports: call it off the reactor's thread."""
    paper = _Paper(document)
    paper.cover()
    for number, section in enumerate(document.sections, 1):
        paper.section(number, section)
    with tempfile.TemporaryFile(prefix="tarazy-") as file:
        paper.output(output_producer_class=partial(PagesToFile, file=file))  # type: ignore[call-overload]
        file.seek(0)
        yield from iter(partial(file.read, _PART), b"")


class _Paper(FPDF):
    """Pages filled from top to bottom; `get_y` is where the next thing begins."""

    def __init__(self, document: Document) -> None:
        super().__init__(orientation="portrait", unit="mm", format="A4")
        self.document = document
        for style, name in FONT_FILES.items():
            with as_file(files("tarazy.reports") / "fonts" / name) as path:
                self.add_font(_FAMILY, style, path)
        self.set_margins(_MARGIN, _TOP, _MARGIN)
        self.set_auto_page_break(False)
        self.set_draw_color(*_LINE)
        self.alias_nb_pages("{pages}")
        self.set_creation_date(document.created)
        self.set_title(document.title)
        self.set_author(printable(document.author))
        self.set_lang(document.lang)
        self.set_keywords(f"sha256:{document.digest}")
        self.set_creator("Tarazy")
        self.set_producer("Tarazy")

    def file_id(self) -> str:
        """Which file it is (PDF 1.7, 14.4): that of this content in this language."""
        told = sha256(f"{self.document.digest} {self.document.lang} {self.document.title}".encode()).hexdigest()[:32]
        return f"<{told}><{told}>"

    @property
    def room(self) -> float:
        """Height in mm that is left on the page."""
        return float(self.h) - _BOTTOM - self.get_y()

    def header(self) -> None:
        """What stands above the text of every page; the one before is complete then."""
        if self.page > 1:
            squeeze(self.pages[self.page - 1])
        line = wrap(self.document.header, _SMALL.face, _SMALL.points, self.epw)[0]
        self._draw(line, _MARGIN, 9, _SMALL)
        self.line(_MARGIN, 14, self.w - _MARGIN, 14)
        self.set_y(_TOP)

    def footer(self) -> None:
        """What stands below the text of every page."""
        self.line(_MARGIN, self.h - 17, self.w - _MARGIN, self.h - 17)
        self._draw(self.document.footer, _MARGIN, self.h - 16, _SMALL)
        lines = 1
        if self.document.check:
            wide = width(printable(self.document.check), _SMALL.face, _SMALL.points)
            fitting = replace(_SMALL, points=_SMALL.points * min(1, self.epw / wide))
            self._draw(printable(self.document.check), _MARGIN, self.h - 16 + _SMALL.leading, fitting)
            lines = 2
        self._use(_SMALL)
        self.set_xy(_MARGIN - self.c_margin, self.h - 16 + lines * _SMALL.leading)
        # Only `cell` puts the number of pages, known at the end, in the place of its alias.
        self.cell(0, _SMALL.leading, self.document.page.format(page=self.page_no(), pages="{pages}"))

    def cover(self) -> None:
        """The first page."""
        self.add_page()
        self.set_y(26)
        self._flow(self.document.title, _TITLE)
        self.ln(4)
        for block in self.document.cover:
            self._block(block)

    def section(self, number: int, section: Section) -> None:
        """A section; the first begins a page, the others where there is room for a beginning."""
        title = f"{number}. {section.title}"
        if number == 1 or self.room < 6 + self._opening(section):
            self.add_page()
        else:
            self.ln(6)
        self.start_section(title)
        self._flow(title, _SECTION)
        self.ln(1.5)
        for block in section.blocks:
            self._block(block)

    def _opening(self, section: Section) -> float:
        """Height in mm of a section's title, of the text below it and of the beginning of its first table."""
        height = 16.0
        for block in section.blocks:
            match block:
                case Table():
                    return float(min(height + max(32, self._beginning(block, self._widths(block))), self.eph / 2))
                case Paragraph(text, small):
                    style = _SMALL if small else _TEXT
                    height += len(wrap(text, style.face, style.points, self.epw)) * style.leading + 2
                case Notice(text):
                    height += len(wrap(text, _NOTICE.face, _NOTICE.points, self.epw - 4)) * _NOTICE.leading + 3
                case Facts():
                    return float(min(height + 10, self.eph / 2))
        return float(min(height, self.eph / 2))

    def _block(self, block: Block) -> None:
        match block:
            case Paragraph(text, small):
                self._flow(text, _SMALL if small else _TEXT)
                self.ln(2)
            case Notice(text):
                self._notice(text)
            case Facts(rows):
                for name, value in rows:
                    self._row((name, value), (0.28 * self.epw, 0.72 * self.epw), (_NAME, _VALUE))
                self.ln(4)
            case Table():
                self._table(block)

    def _flow(self, text: str, style: _Style, inset: float = 0) -> None:
        """Running text that stays on one page where it can."""
        lines = wrap(text, style.face, style.points, self.epw - inset)
        if self.room < style.leading * len(lines) < self.eph:
            self.add_page()
        for line in lines:
            if self.room < style.leading:
                self.add_page()
            self._draw(line, _MARGIN + inset, self.get_y(), style)
            self.set_y(self.get_y() + style.leading)

    def _notice(self, text: str) -> None:
        self._flow(text, _NOTICE, inset=4)
        height = len(wrap(text, _NOTICE.face, _NOTICE.points, self.epw - 4)) * _NOTICE.leading
        top = max(_TOP, self.get_y() - height)
        self._fill(_MARGIN, top, 1.2, self.get_y() - top, _ALERT)
        self.ln(3)

    def _table(self, table: Table) -> None:
        widths = self._widths(table)
        if self.room < max(32, self._beginning(table, widths)):
            self.add_page()
        self.ln(2)
        self._flow(table.caption, _CAPTION)
        self.ln(0.5)
        self._heading(table, widths)
        for number, row in enumerate(table.rows):
            self._row(
                row,
                widths,
                [_CELL] * len(widths),
                columns=table.columns,
                fill=_BAND if number % 2 else None,
                heading=(table, widths),
            )
        if table.total is not None:
            self._row(
                table.total,
                widths,
                [_TOTAL] * len(widths),
                columns=table.columns,
                heading=(table, widths),
            )
        self.ln(4)

    def _widths(self, table: Table) -> list[float]:
        needed = [self._longest_word(table, index) for index in range(len(table.columns))]
        return column_widths([column.width for column in table.columns], needed, self.epw)

    def _beginning(self, table: Table, widths: Sequence[float]) -> float:
        """Height of the caption, the headings and the first row, which stay together."""
        rows = [([column.heading for column in table.columns], _HEADING), *((row, _CELL) for row in table.rows[:1])]
        height = 2.5 + _CAPTION.leading
        for cells, style in rows:
            lines = max(
                len(wrap(cell, style.face, style.points, room - 2 * _PAD_X))
                for cell, room in zip(cells, widths, strict=True)
            )
            height += min(lines * style.leading + 2 * _PAD_Y, float(self.eph) / 2)
        return height

    def _heading(self, table: Table, widths: Sequence[float]) -> None:
        headings = [column.heading for column in table.columns]
        self._row(headings, widths, [_HEADING] * len(widths), columns=table.columns, fill=_HEAD)

    def _longest_word(self, table: Table, index: int) -> float:
        cells = [(row[index], _CELL) for row in table.rows[:_MEASURED_ROWS]]
        if table.total is not None:
            cells.append((table.total[index], _TOTAL))
        words = {(word, style) for cell, style in cells for word in printable(cell).split(" ")}
        widths = [width(word, style.face, style.points) for word, style in words if len(word) <= _LONGEST_WORD]
        heading = table.columns[index].heading.split(" ")
        widths += [width(word, _HEADING.face, _HEADING.points) for word in heading]
        return max(widths) + 2 * _PAD_X + 0.1

    def _row(
        self,
        cells: Sequence[str],
        widths: Sequence[float],
        styles: Sequence[_Style],
        *,
        columns: Sequence[Column] = (),
        fill: _Colour | None = None,
        heading: tuple[Table, Sequence[float]] | None = None,
    ) -> None:
        """A row of cells. One that does not fit goes to the next page, and is parted when longer than a page."""
        lines = [
            wrap(cell, style.face, style.points, room - 2 * _PAD_X)
            for cell, style, room in zip(cells, styles, widths, strict=True)
        ]
        leading = styles[0].leading
        while any(lines):
            height = max(map(len, lines)) * leading + 2 * _PAD_Y
            if self.room < min(height, self.eph / 2):
                self.add_page()
                if heading is not None:
                    self._heading(*heading)
            fitting = max(1, int((self.room - 2 * _PAD_Y) / leading))
            self._part([cell[:fitting] for cell in lines], widths, styles, columns, fill)
            lines = [cell[fitting:] for cell in lines]

    def _part(
        self,
        lines: Sequence[Sequence[str]],
        widths: Sequence[float],
        styles: Sequence[_Style],
        columns: Sequence[Column],
        fill: _Colour | None,
    ) -> None:
        leading, top = styles[0].leading, self.get_y()
        height = max(map(len, lines)) * leading + 2 * _PAD_Y
        if fill is not None:
            self._fill(_MARGIN, top + _HALF_LINE, self.epw, height - _HALF_LINE, fill)
        left = _MARGIN
        for index, (cell, room, style) in enumerate(zip(lines, widths, styles, strict=True)):
            right = bool(columns) and columns[index].align == "right"
            for number, line in enumerate(cell):
                indent = room - _PAD_X - width(line, style.face, style.points) if right else _PAD_X
                self._draw(line, left + indent, top + _PAD_Y + number * leading, style)
            left += room
        self.line(_MARGIN, top + height, self.w - _MARGIN, top + height)
        self.set_y(top + height)

    def _draw(self, line: str, x: float, top: float, style: _Style) -> None:
        """One line of text, its letters in the middle of the style's leading."""
        if line:
            self._use(style)
            self.text(x, top + style.leading / 2 + style.points * 0.125, line)

    def _use(self, style: _Style) -> None:
        self.set_font(_FAMILY, style.face, style.points)
        self.set_text_color(*style.colour)

    def _fill(self, x: float, y: float, across: float, down: float, colour: _Colour) -> None:
        self.set_fill_color(*colour)
        self.rect(x, y, across, down, style="F")
