"""A document laid out in one language: the shape between a report's content and its rendering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar, overload

T = TypeVar("T")
Row = tuple[str, ...]
"""Cells of a table, one for each column."""


class Figure(str):
    """A figure as it is printed, with the value that it stands for: a spreadsheet can go on computing with it."""

    value: int | Decimal | date | datetime
    places: int

    def __new__(cls, text: str, value: int | Decimal | date | datetime, places: int = 0) -> Figure:
        """`places`: decimals that are shown of a number."""
        figure = super().__new__(cls, text)
        figure.value, figure.places = value, places
        return figure


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text. `small` is for sources and remarks."""

    text: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a reader must not overlook, set apart from the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one pair a line."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column; `width` is its share of the line in relation to the others."""

    heading: str
    width: int
    align: Literal["left", "right"] = "left"


class Rows(Sequence[Row]):
    """Rows that are made of something each time they are asked for: a table of any length holds none of them."""

    def __init__(self, of: Sequence[T], made: Callable[[T], Row]) -> None:
        """One row for each of `of`, as `made` makes it."""
        self._of: Sequence[Any] = of
        self._made: Callable[[Any], Row] = made

    def __len__(self) -> int:
        return len(self._of)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        return Rows(self._of[place], self._made) if isinstance(place, slice) else self._made(self._of[place])


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; `total` is a closing row in bold."""

    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    total: Row | None = None


Block = Paragraph | Notice | Facts | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A numbered part of the document."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document. The cover stands on a page of its own; header and footer on every page."""

    lang: str
    title: str
    author: str
    created: datetime
    header: str
    footer: str
    page: str
    """The page number's text with `{page}` and `{pages}`."""
    digest: str
    """SHA-256 of the content that the document renders, as hexadecimal; kept in the file's keywords too."""
    cover: tuple[Block, ...]
    sections: tuple[Section, ...]
    check: str = ""
    """How to verify the document, in one line; on every page, unless empty."""
