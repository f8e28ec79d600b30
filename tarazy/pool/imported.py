"""Files on values and sales of coins: their columns, and their rows as the accounts take them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import Connection

from tarazy.accounting.assets.sales import Sale
from tarazy.accounting.assets.values import BITCOIN, Value, ValueFile
from tarazy.accreditation.documents import MAXIMUM_BYTES, DocumentError, store
from tarazy.accreditation.fields import Cell, Count, Day, Field, PartyKey, read_text, read_valid_from
from tarazy.accreditation.registers import versions_of
from tarazy.accreditation.sheets import RegisterImportError, TableFault, read_content, read_sheet, sheet_rows
from tarazy.pool import moments

_MAXIMUM_NAME = 64


def _name(cell: Cell) -> str:
    text = read_text(cell)
    if not 0 < len(text) <= _MAXIMUM_NAME:
        raise ValueError(f"expected at most {_MAXIMUM_NAME} characters")
    return text


def read_asset(cell: Cell) -> str:
    """The name of an asset; Bitcoin's is spelt as the authority's lists spell it."""
    text = _name(cell)
    if not re.fullmatch(r"[A-Za-z0-9-]{1,32}", text, re.ASCII):
        raise ValueError("expected the name of an asset, such as Bitcoin")
    return BITCOIN if text.lower() in ("bitcoin", "btc") else text


def read_kzt(cell: Cell) -> Decimal:
    """Tenge, exact: 53000000.10, also with spaces between thousands and a decimal comma."""
    expected = "expected tenge for one coin such as 53000000.10, without a sign for thousands"
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise ValueError(expected)
    if isinstance(cell, float) and not math.isfinite(cell):
        raise ValueError(expected)
    text = re.sub(r"[ \u00a0\u202f]", "", format(Decimal(repr(cell)), "f") if isinstance(cell, float) else str(cell))
    told = re.fullmatch(r"([0-9]{1,15})(?:([.,])([0-9]{1,12}))?", text, re.ASCII)
    if told is None or (told[2] == "," and len(told[3]) == 3) or not int(told[1] + (told[3] or "")):
        raise ValueError(expected)
    return Decimal(text.replace(",", "."))


def read_file_name(cell: Cell) -> str:
    """The name of a file beside the table."""
    text = read_text(cell)
    if text in (".", "..") or "/" in text or "\\" in text:
        raise ValueError("expected the name of a file in the same folder, without a path")
    return text


_ASSET = Field(read_asset, "name of the asset as published", BITCOIN)
_DAY: Field = get_args(Day)[1]
_PARTY: Field = get_args(PartyKey)[1]
_SATOSHI: Field = get_args(Count)[1]

VALUE_COLUMNS: Mapping[str, Field] = {
    "asset": _ASSET,
    "day": _DAY,
    "value_kzt": Field(read_kzt, "tenge for one coin", "53000000.10"),
}
SALE_COLUMNS: Mapping[str, Field] = {
    "party": _PARTY,
    "exchange": Field(_name, "name of the exchange", "Exchange"),
    "exchange_licence": Field(_name, "number of its AIFC licence", "AFSA-A-LA-0000", required=False),
    "deal": Field(_name, "number of the deal", "7001"),
    "asset": _ASSET,
    "quantity": Field(_SATOSHI.read, "satoshi, whole number", "150000000"),
    "sold_at": Field(read_valid_from, "instant of the deal, or a day", "2026-03-02T15:00:00+05:00"),
    "document": Field(read_file_name, "file of the deal's document, in the same folder", "7001.pdf", required=False),
}


def read_values(path: Path, source: str) -> tuple[ValueFile, bytes, list[Value]]:
    """A published file: what is kept of it, its content, its values. Raises `RegisterImportError`."""
    if not path.name.isprintable():
        raise RegisterImportError([TableFault(path.name, "its name holds control characters; rename it")])
    content = read_content(path)
    rows = sheet_rows(content, path.name, "values", VALUE_COLUMNS)
    file = ValueFile(path.name[-255:], hashlib.sha256(content).hexdigest(), source)
    return file, content, [Value(**values) for _, values in rows]


def read_sales(connection: Connection, path: Path, at: datetime) -> list[Sale]:
    """Sales of a file; their documents are kept. Raises `RegisterImportError`, nothing being recorded then."""
    faults: list[TableFault] = []
    sales = []
    for line, values in read_sheet(path, "sales", SALE_COLUMNS):
        try:
            sales.append(sale_of(connection, values, path.parent, at))
        except ValueError as error:
            faults.append(TableFault(line.source, str(error), line.row))
    if faults:
        raise RegisterImportError(faults)
    return sales


def sale_of(connection: Connection, values: Mapping[str, Any], folder: Path, at: datetime) -> Sale:
    """A sale of its columns' values, its document kept. Raises ValueError with the fault and its cure."""
    if not versions_of(connection, "party", values["party"]):
        raise ValueError(f"no party {values['party']} is registered; see `tarazy register show party`")
    if values["sold_at"] > at:
        raise ValueError(f"sold_at: {moments.told(values['sold_at'])} lies in the future")
    document = values["document"]
    return Sale(**{**values, "document": document and _kept(connection, folder / document, at)})


def _kept(connection: Connection, path: Path, at: datetime) -> str:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError(f"document {path.name}: a link, a folder or a pipe; put the file itself there")
    try:
        with path.open("rb") as file:
            return store(connection, file.read(MAXIMUM_BYTES + 1), at)
    except (OSError, DocumentError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"document {path.name}: {reason}") from None
