"""The window of PPLNS as it is published: which work before a round it reaches, and in which order all of it counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select

from tarazy.accounting import tables
from tarazy.accounting.proof.sealing import last_head, missing, sealed
from tarazy.accounting.proof.shares import Span


@dataclass(frozen=True, slots=True)
class Window:
    """What a round's window is read off."""

    weight: int
    """That it may hold."""
    spans: tuple[Span, ...]
    """Its work before the round, of the gateways that have any."""
    text: str
    """Canonical JSON: the ends of `spans`, as a record has them, and `order`: gateway, first and last of runs."""


def window_of(connection: Connection, round_: int, spans: Sequence[Span]) -> Window | None:
    """The window of the round that ends with `spans`; None where PPLNS does not divide, or the order was not kept yet.

    Costs what the segments of the window cost.
    """
    table, link = tables.round_, tables.chain_link
    row = connection.execute(select(table.c.window, table.c.window_place).where(table.c.round == round_)).one()
    begin = select(link.c.first).where(link.c.place == row.window_place, link.c.place.is_not(None)).limit(1)
    if row.window is None or connection.execute(begin).first() is None:
        return None
    before = [
        Span(span.gateway, span.journal, first, span.after)
        for span in spans
        if (first := _begin(connection, span, row.window_place)) < span.after
    ]
    told = {
        "gateways": {str(span.gateway): ends_of(connection, span) for span in before},
        "order": _order(connection, row.window_place, spans),
    }
    return Window(row.window, tuple(before), json.dumps(told, sort_keys=True, separators=(",", ":")))


def ends_of(connection: Connection, span: Span) -> dict[str, Any]:
    """Where a span begins and ends in the chain of its gateway, and the numbers in it that no share has."""
    return {
        "after": span.after,
        "until": span.until,
        "before": last_head(connection, span.gateway, span.after).hex(),
        "head": last_head(connection, span.gateway, span.until).hex(),
        "missing": missing(span.after, span.until, sealed(connection, span.gateway, span.after, span.until)),
    }


def _begin(connection: Connection, span: Span, place: int) -> int:
    """The last share of a gateway before the window."""
    link = tables.chain_link
    older = or_(link.c.place.is_(None), link.c.place < place)
    own = (link.c.gateway == span.gateway, link.c.first <= span.until, older)
    return connection.scalar(select(link.c.last).where(*own).order_by(link.c.first.desc()).limit(1)) or 0


def _order(connection: Connection, place: int, spans: Sequence[Span]) -> list[list[int]]:
    """The runs of shares in the window, the oldest first; none goes over the beginning of the round."""
    link = tables.chain_link
    by_gateway: Mapping[int, Span] = {span.gateway: span for span in spans}
    query = select(link.c.gateway, link.c.first, link.c.last).where(link.c.place >= place)
    runs: list[list[int]] = []
    for gateway, first, last in connection.execute(query.order_by(link.c.place, link.c.first)):
        span = by_gateway.get(gateway)
        if span is None or first > span.until:
            continue
        if runs and runs[-1][0] == gateway and not runs[-1][2] <= span.after < first:
            runs[-1][2] = last
        else:
            runs.append([gateway, first, last])
    return runs
