"""The record of distributed assets: the columns that the rule knows, in its order, then what else is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tarazy.reports.canonical import iso
from tarazy.reports.coins import DistributedRecord, DistributedRow
from tarazy.reports.document import Block, Column, Document, Notice, Paragraph, Rows, Section, Table
from tarazy.reports.layout.frame import frame
from tarazy.reports.layout.voice import NOTHING, Voice

_Cell = Callable[[Voice, DistributedRecord, DistributedRow], str]

_CELLS: Mapping[str, tuple[int, bool, _Cell]] = {
    "number": (7, True, lambda voice, record, row: voice.number(row.number)),
    "bin": (21, False, lambda voice, record, row: row.bin or NOTHING),
    "name": (34, False, lambda voice, record, row: row.name[voice.lang]),
    "licence": (20, False, lambda voice, record, row: row.licence or NOTHING),
    "licence_issued_on": (
        18,
        False,
        lambda voice, record, row: NOTHING if row.licence_issued_on is None else voice.day(row.licence_issued_on),
    ),
    "wallet": (36, False, lambda voice, record, row: row.wallet or NOTHING),
    "distributed_on": (18, False, lambda voice, record, row: voice.day(row.distributed_on)),
    "asset": (14, False, lambda voice, record, row: row.asset),
    "quantity_btc": (20, True, lambda voice, record, row: voice.bitcoin(row.quantity)),
    "quantity_satoshi": (20, True, lambda voice, record, row: voice.number(row.quantity)),
    "fee_btc": (20, True, lambda voice, record, row: voice.bitcoin(row.fee)),
    "fee_satoshi": (20, True, lambda voice, record, row: voice.number(row.fee)),
    "value_kzt": (22, True, lambda voice, record, row: voice.tenge(row.value_kzt)),
    "amount_kzt": (22, True, lambda voice, record, row: voice.tenge(row.amount_kzt)),
    "pool": (30, False, lambda voice, record, row: record.pool.name),
}
"""What a column may hold: its width, whether it stands at the right, its cell."""

_BESIDE = ("number", "name", "distributed_on", "asset", "quantity_btc", "fee_btc", "value_kzt", "amount_kzt")
"""Columns of the table on what is recorded beside the form."""


def lay_out_distributed(record: DistributedRecord, digest: str, file: str, lang: str) -> Document:
    """The record as a document in `lang`."""
    voice = Voice(lang, record.names, catalogue="distributed")
    before = record.corrects
    corrects = (
        NOTHING
        if before is None
        else voice.say("corrects_value", version=before.version, moment=iso(before.as_of), digest=before.digest)
    )
    facts = (
        (voice.say("version"), voice.number(record.version)),
        (voice.say("corrects"), corrects),
        *(() if before is None else ((voice.say("why"), before.why),)),
    )
    return frame(voice, record, digest, file, facts, (_form(voice, record), _beside(voice, record)))


def _form(voice: Voice, record: DistributedRecord) -> Section:
    blocks: list[Block] = []
    if not record.columns_complete:
        blocks.append(Notice(voice.say("columns_unknown")))
    if gaps := _gaps(record):
        blocks.append(Notice(voice.say("gaps", rows=", ".join(map(str, gaps)))))
    if not record.rows:
        blocks.append(Paragraph(voice.say("nothing")))
    elif record.columns:
        headings = [(column.heading, column.holds) for column in record.columns]
        blocks.append(_table(voice, record, voice.say("form.table"), headings))
    blocks.append(voice.source(record.source))
    return Section(voice.say("form.title"), tuple(blocks))


def _gaps(record: DistributedRecord) -> list[int]:
    """Rows in which the registers lack something."""
    return [row.number for row in record.rows if None in (row.bin, row.licence, row.licence_issued_on, row.wallet)]


def _beside(voice: Voice, record: DistributedRecord) -> Section:
    headings = [(voice.say(f"column.{holds}"), holds) for holds in _BESIDE]
    blocks: list[Block] = [Paragraph(voice.say("nothing"))]
    if record.rows:
        totals = {
            "name": voice.say("total"),
            "quantity_btc": voice.bitcoin(sum(row.quantity for row in record.rows)),
            "fee_btc": voice.bitcoin(sum(row.fee for row in record.rows)),
        }
        total = tuple(totals.get(holds, "") for holds in _BESIDE)
        blocks = [
            *([Notice(voice.say("no_value"))] if any(row.value_kzt is None for row in record.rows) else []),
            _table(voice, record, voice.say("beside.table"), headings, total),
            Paragraph(voice.say("beside.how"), small=True),
        ]
    return Section(voice.say("beside.title"), tuple(blocks))


def _table(
    voice: Voice,
    record: DistributedRecord,
    caption: str,
    headings: list[tuple[str, str]],
    total: tuple[str, ...] | None = None,
) -> Table:
    columns = tuple(
        Column(heading, _CELLS[holds][0], "right" if _CELLS[holds][1] else "left") for heading, holds in headings
    )
    cells = [_CELLS[holds][2] for _, holds in headings]
    rows = Rows(record.rows, lambda row: tuple(cell(voice, record, row) for cell in cells))
    return Table(caption, columns, rows, total)
