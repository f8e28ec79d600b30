"""Readings that a site's agent pushes: what is fit is recorded, of each other row it is told what is wrong with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.energy.intake import RowError, parse_row, take
from tarazy.accounting.energy.meter import Reading
from tarazy.accreditation.entries import Meter, ReadBy
from tarazy.accreditation.registers import versions_of
from tarazy.accreditation.snapshot import version_at
from tarazy.portal.guard import Fault

MAXIMUM_ROWS = 500


def push(connection: Connection, site: str, body: object, now: datetime) -> dict[str, Any]:
    """Record the rows of `{"readings": [{"meter", "at", "count"}, …]}` for the meters of `site`.

    The same row again changes nothing. Raises `Fault` when the body is of another shape.
    """
    rows = body.get("readings") if isinstance(body, dict) else None
    if not isinstance(rows, list) or len(rows) > MAXIMUM_ROWS:
        raise Fault(422, "unfit", f'expected {{"readings": [{{"meter", "at", "count"}}]}}, at most {MAXIMUM_ROWS} rows')
    given: dict[int, Reading] = {}
    refused: dict[int, RowError] = {}
    for number, row in enumerate(rows):
        try:
            given[number] = parse_row(row, "agent")
        except RowError as error:
            refused[number] = error

    def profile_of(key: str) -> str:
        entry = version_at(versions_of(connection, "meter", key), now)
        if not isinstance(entry, Meter) or entry.site != site:
            raise RowError("unknown_meter", f"site {site} has no such meter in the register")
        if entry.read_by is not ReadBy.AGENT:
            raise RowError("not_behind_agent", "no agent reads this meter; register it with read_by agent")
        return entry.profile

    intake = take(connection, given, profile_of, now)
    refused |= intake.refused
    told = [{"row": number, "code": error.code, "problem": str(error)} for number, error in sorted(refused.items())]
    return {"recorded": intake.taken.recorded, "repeated": intake.taken.repeated, "refused": told}
