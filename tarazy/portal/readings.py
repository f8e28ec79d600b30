"""Readings that a site's agent pushes: what is fit is recorded, of each other row it is told what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.energy.asic import Claim
from tarazy.accounting.energy.claims import keep_claim
from tarazy.accounting.energy.intake import OLDEST, RowError, instant_of, parse_row, take
from tarazy.accounting.energy.meter import Reading
from tarazy.accreditation.entries import Meter, ReadBy
from tarazy.accreditation.registers import all_versions
from tarazy.accreditation.snapshot import version_at
from tarazy.portal.guard import Fault

MAXIMUM_ROWS = 500
_HIGHEST = 2**63 - 1
_MOST_CLAIMED = 10**12
_AHEAD = timedelta(minutes=5)


class Pushed:
    """What became of the readings that were pushed to this process. It counts on, and is read beside."""

    def __init__(self) -> None:
        self.results: dict[str, int] = {"recorded": 0, "repeated": 0, "refused": 0}
        self.waiting: dict[str, int] = {}
        """By site, what its agent still had to push."""

    def count(self, site: str, told: Mapping[str, Any], body: object) -> None:
        """Count an answer that was given, and take over what the agent says of its spool."""
        self.results["recorded"] += told["recorded"]
        self.results["repeated"] += told["repeated"]
        self.results["refused"] += len(told["refused"])
        waiting = body.get("waiting") if isinstance(body, dict) else None
        if type(waiting) is int and 0 <= waiting <= _HIGHEST:
            self.waiting[site] = waiting


def push(connection: Connection, site: str, body: object, now: datetime) -> dict[str, Any]:
    """Record the rows of `{"readings": [{"meter", "at", "count"}, …]}` for the meters of `site`.

    The same row again changes nothing. Raises `Fault` when the body is of another shape.
    """
    rows = body.get("readings") if isinstance(body, dict) else None
    if not isinstance(rows, list) or len(rows) > MAXIMUM_ROWS:
        raise Fault(422, "unfit", f'expected {{"readings": [{{"meter", "at", "count"}}]}}, at most {MAXIMUM_ROWS} rows')
    if isinstance(body, dict) and "machines" in body:
        keep_claim(connection, site, _claim(body["machines"], now), now)
    given: dict[int, Reading] = {}
    refused: dict[int, RowError] = {}
    for number, row in enumerate(rows):
        try:
            given[number] = parse_row(row, "agent")
        except RowError as error:
            refused[number] = error

    entries = all_versions(connection, Meter.register, keys=sorted({reading.meter for reading in given.values()}))

    def profile_of(key: str) -> str:
        entry = version_at(entries.get(key, []), now)
        if not isinstance(entry, Meter) or entry.site != site:
            raise RowError("unknown_meter", f"site {site} has no such meter in the register")
        if entry.read_by is not ReadBy.AGENT:
            raise RowError("not_behind_agent", "no agent reads this meter; register it with read_by agent")
        return entry.profile

    intake = take(connection, given, profile_of, now)
    refused |= intake.refused
    told = [{"row": number, "code": error.code, "problem": str(error)} for number, error in sorted(refused.items())]
    return {"recorded": intake.taken.recorded, "repeated": intake.taken.repeated, "refused": told}


def _claim(told: object, now: datetime) -> Claim:
    """What the machines of the site claim. Raises `Fault`."""
    counts = ("asked", "answered", "telling", "power_w")
    if isinstance(told, dict) and told.keys() == {"at", *counts}:
        numbers = [told[name] for name in counts]
        if all(type(number) is int and 0 <= number <= _MOST_CLAIMED for number in numbers):
            asked, answered, telling, power_w = numbers
            try:
                at = instant_of(told["at"])
            except RowError as error:
                raise Fault(422, "unfit", str(error)) from None
            if telling <= answered <= asked and now - OLDEST <= at <= now + _AHEAD:
                return Claim(at, asked, answered, telling, power_w)
    raise Fault(422, "unfit", f"machines has at, {', '.join(counts)}: whole numbers, each of the first three no less")
