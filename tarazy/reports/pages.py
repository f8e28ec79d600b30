"""The pages of a long PDF, neither held in full nor as one: compressed until all are there, then written to a file.

fpdf2 learns how many pages there are when the last is full, and would hold each as it is drawn, and the file besides.
"""

from __future__ import annotations

import zlib
from typing import IO

from fpdf import FPDF
from fpdf.output import OutputProducer, PDFPage

_AT_ONCE = 100
_QUICKLY = 1


def squeeze(page: PDFPage) -> None:
    """Hold a page compressed to which nothing will be added."""
    page.contents = zlib.compress(page.contents, _QUICKLY)  # type: ignore[arg-type, assignment]


class PagesToFile(OutputProducer):
    """Takes pages that were squeezed, tells in each how many there are, and writes them to `file`."""

    def __init__(self, fpdf: FPDF, file: IO[bytes]) -> None:
        super().__init__(fpdf)
        self.buffer = _Written(file)  # type: ignore[assignment]

    def _add_pages(self, _slice: slice = slice(0, None)) -> list[PDFPage]:
        taken: list[PDFPage] = []
        every = list(self.fpdf.pages.values())
        for first in range(0, len(every), _AT_ONCE):
            for page in every[first : first + _AT_ONCE]:
                if isinstance(page.contents, bytes):
                    page.contents = _as_drawn(page, str(len(every)))
            taken += super()._add_pages(slice(first, first + _AT_ONCE))
        return taken


class _Written:
    """Stands for the bytes of a file: they are added to it and counted."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __len__(self) -> int:
        return self._file.tell()

    def __iadd__(self, data: bytes) -> _Written:
        self._file.write(data)
        return self


def _as_drawn(page: PDFPage, count: str) -> bytearray:
    """A squeezed page as it was, with the number of pages where that is told."""
    contents = bytearray(zlib.decompress(page.contents))  # type: ignore[arg-type]
    for fragment in page.get_text_substitutions():
        alias = fragment.get_placeholder_string().encode("latin-1")
        contents = contents.replace(alias, fragment.render_text_substitution(count).encode("latin-1"))
    return contents
