"""What is wrong with a meter, by its readings: named, with the figures that show it.

Each look takes the readings that came since the one before, so that it costs what is new, however many meters there are
and however long the time judged is.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Row, func, select

from tarazy.accounting.energy.devices import Device, devices_from, fittings
from tarazy.accounting.energy.intervals import Break, Segment, SpanChain, chained
from tarazy.accounting.energy.meter import Meter, Unfit
from tarazy.accounting.energy.newest import last_seen, last_statuses
from tarazy.accounting.energy.profiles import ModbusProfile, is_usable, load_profile
from tarazy.accounting.energy.steps import registers_of, spans_of
from tarazy.accounting.energy.tables import device, reading

_SILENT_INTERVALS = 2
_NEVER = datetime.min.replace(tzinfo=UTC)
_METERS_AT_ONCE = 100
_REFUSED = ("garbage", "stale", *get_args(Unfit))
_STANDS = timedelta(hours=1)
"""How long a register must have stood still, by its readings, before that is a fault."""
_ANEW = timedelta(days=1)
"""All is read again then: what another process recorded while this one looked twice was passed over until now."""
_MANY = 500_000
"""With more readings since the last look all is read anew."""
_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a meter now."""

    kind: Literal["silent", "register", "refused", "stuck"]
    """silent: without a good reading, though asked or to come by itself; register: it went backwards or too fast;
    refused: readings came in that could not be taken; stuck: it stands still while the site's machines work."""
    meter: Meter
    evidence: dict[str, int | str]


class Watched:
    """What tells a meter's faults, while its readings are taken in the order of their instants."""

    __slots__ = (
        "_breaks",
        "_chain",
        "_moved_until",
        "_refused",
        "_spans",
        "_still",
        "profile",
        "read_at",
        "seen",
        "status",
    )

    def __init__(self, profile: str, devices: Sequence[Device], registers: Sequence[tuple[datetime, int]]) -> None:
        self.profile = profile
        self.read_at: datetime = _NEVER
        """When its import register was read last, well or not."""
        self.seen: datetime | None = None
        """When it was read well."""
        self.status: str | None = None
        """How it answered last."""
        self._breaks: list[Break] = []
        self._refused: list[tuple[datetime, str]] = []
        self._still: list[tuple[datetime, datetime]] = []
        self._moved_until = _NEVER
        self._spans = SpanChain(devices)
        self._chain, steps = chained(registers, devices)
        for step in steps:
            self._take(step)

    def follows(self, at: datetime, status: str) -> bool:
        """Whether a reading of the import register can be taken after those that were."""
        return at >= self._chain.device.since and (at > self.read_at or (at == self.read_at and status != "ok"))

    def read(self, at: datetime, count: int) -> None:
        """Take a good reading of the register."""
        self._take(self._chain.follow((at, count)))

    def span(self, at: datetime, seconds: int, counts: int) -> None:
        """Take the counts of a span that ended at an instant."""
        self._take(self._spans.follow(at - timedelta(seconds=seconds), at, counts))

    def refuse(self, at: datetime, status: str) -> None:
        """Take what came in and could not be counted."""
        insort(self._refused, (at, status))

    def _take(self, step: Segment | Break | None) -> None:
        if isinstance(step, Break):
            self._breaks.append(step)
        elif step is not None and step.energy_wh:
            self._moved_until = step.end
            self._still.clear()
        elif step is not None:
            begun = self._still.pop()[0] if self._still and self._still[-1][1] == step.start else step.start
            self._still.append((begun, step.end))

    def forget(self, since: datetime) -> None:
        """What was over at an instant is judged no more."""
        while self._breaks and self._breaks[0].after <= since:
            del self._breaks[0]
        while self._refused and self._refused[0][0] < since:
            del self._refused[0]
        while self._still and self._still[0][1] <= since:
            del self._still[0]

    def faults(self, meter: Meter, since: datetime, now: datetime, seconds: int, works: bool) -> Iterator[Fault]:
        """Its faults from `since` on; `seconds`: of an interval, `works`: whether shares came from its site."""
        self.forget(since)
        if is_silent(meter.profile, meter.pushed, self.seen if self.status else meter.since, now, seconds):
            status = self.status if self.status and self.status != "ok" else "silent"
            yield Fault("silent", meter, {"status": status, "since": self.seen.isoformat() if self.seen else "-"})
        if self._breaks:
            newest = self._breaks[-1]
            evidence = {"what": newest.kind, "before": newest.before.isoformat(), "after": newest.after.isoformat()}
            yield Fault("register", meter, {"count": len(self._breaks), **evidence})
        if works and self._still and self._moved_until <= since:
            stood = sum((end - max(begun, since) for begun, end in self._still), timedelta())
            if stood >= _STANDS:
                yield Fault("stuck", meter, {"since": max(self._still[0][0], since).isoformat()})
        if self._refused:
            last, status = self._refused[-1]
            yield Fault("refused", meter, {"status": status, "count": len(self._refused), "last": last.isoformat()})


def is_silent(profile: str, pushed: bool, since: datetime | None, now: datetime, interval_seconds: int) -> bool:
    """Whether a meter that is to give readings gave no good one for two intervals.

    It is to give some when they come by themselves (`pushed`) or the pool reads it, by its profile. `since`: the last
    good one, None where all were bad; of one that nothing was ever heard of, when it was entered.
    """
    if since is not None and since >= now - timedelta(seconds=_SILENT_INTERVALS * interval_seconds):
        return False
    return is_usable(profile) and (pushed or isinstance(load_profile(profile), ModbusProfile))


class FaultWatch:
    """Tells the faults of all meters, again and again."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._anew_at = _NEVER
        """When all was read last; never, while a look goes on or where one was cut short."""
        self._read = 0
        """Readings up to this row were taken."""
        self._recent: set[int] = set()
        """Rows after it that were, while others may have been under way."""
        self._fitted = 0

    def look(
        self,
        connection: Connection,
        meters: Iterable[Meter],
        since: datetime,
        now: datetime,
        seconds: int,
        working: Collection[tuple[str, str | None]],
    ) -> list[Fault]:
        """Faults of `meters` from `since` on, which never goes back.

        `working`: (site, party) and (site, None) from which shares came since then; `seconds`: of an interval.
        """
        usable = {meter.meter: meter for meter in meters if is_usable(meter.profile)}
        anew_at, self._anew_at = self._anew_at, _NEVER
        last_row = connection.scalar(select(func.max(reading.c.reading))) or 0
        if now >= anew_at + _ANEW or last_row - self._read > _MANY:
            anew_at = now
            self._watched.clear()
            self._read, self._recent = last_row, set()
        else:
            self._take_news(connection)
        self._fitted = connection.scalar(select(func.max(device.c.device))) or 0
        for key, had in list(self._watched.items()):
            if key not in usable or had.profile != usable[key].profile:
                del self._watched[key]
        fresh = [meter for key, meter in usable.items() if key not in self._watched]
        for first in range(0, len(fresh), _METERS_AT_ONCE):
            self._watched |= _watched(connection, fresh[first : first + _METERS_AT_ONCE], since)
        self._anew_at = anew_at
        return [
            fault
            for key, meter in usable.items()
            for fault in self._watched[key].faults(meter, since, now, seconds, (meter.site, meter.party) in working)
        ]

    def _take_news(self, connection: Connection) -> None:
        """Take the readings that came since the last look; forget meters that these are not enough for."""
        for meter in connection.scalars(select(device.c.meter).where(device.c.device > self._fitted)):
            self._watched.pop(meter, None)
        query = select(reading).where(reading.c.reading > self._read).order_by(reading.c.reading)
        found: set[int] = set()
        for rows in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}).partitions():
            self._take([row for row in rows if row.reading not in self._recent])
            found.update(row.reading for row in rows)
        self._read = max(self._recent, default=self._read)
        self._recent = {row for row in found if row > self._read}

    def _take(self, rows: Sequence[Row[Any]]) -> None:
        for row in sorted(rows, key=lambda row: (row.at, row.reading)):
            watched = self._watched.get(row.meter)
            if watched is None:
                continue
            if row.status in _REFUSED:
                watched.refuse(row.at, row.status)
            if row.quantity != "import":
                continue
            if row.corrects is not None or not watched.follows(row.at, row.status):
                del self._watched[row.meter]
                continue
            watched.read_at, watched.status = row.at, row.status
            if row.status != "ok":
                continue
            watched.seen = row.at
            if row.seconds is None:
                watched.read(row.at, row.register_count)
            else:
                watched.span(row.at, row.seconds, row.register_count)


def _watched(connection: Connection, meters: Sequence[Meter], since: datetime) -> dict[str, Watched]:
    """What is known of some meters from all their readings."""
    keys = [meter.meter for meter in meters]
    fitted, registers = fittings(connection, keys), registers_of(connection, keys, since)
    spans = spans_of(connection, keys, since)
    seen, statuses = last_seen(connection, keys), last_statuses(connection, keys)
    found = {}
    for meter in meters:
        devices = devices_from(fitted[meter.meter], meter.profile)
        watched = found[meter.meter] = Watched(meter.profile, devices, registers.get(meter.meter, []))
        for start, end, counts in spans.get(meter.meter, []):
            watched.span(end, int((end - start).total_seconds()), counts)
        watched.seen, watched.status = seen[meter.meter], statuses[meter.meter]
    here = reading.c.meter.in_(keys)
    refused = select(reading.c.meter, reading.c.at, reading.c.status).where(
        here, reading.c.at >= since, reading.c.status.in_(_REFUSED)
    )
    for row in connection.execute(refused.order_by(reading.c.at)):
        found[row.meter].refuse(row.at, row.status)
    newest = select(reading.c.meter, func.max(reading.c.at)).where(here, reading.c.quantity == "import")
    for meter_key, at in connection.execute(newest.group_by(reading.c.meter)):
        found[meter_key].read_at = at
    return found
