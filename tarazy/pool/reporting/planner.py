"""Builds what the schedule wants when its period has ended, in a process of its own, and puts it into the outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import OperationalError
from twisted.internet.threads import deferToThread

from tarazy.accreditation.heads import SigningError
from tarazy.config.law import LawBook, LawError, load_law
from tarazy.config.law.calendar import legal_day
from tarazy.config.settings import Settings
from tarazy.database.engine import Database, open_engine, reader
from tarazy.metrics.facts import ReportFacts
from tarazy.pool.apart import Apart, StoppedError
from tarazy.pool.clock import Clock
from tarazy.pool.repeat import Repeat
from tarazy.pool.reporting.making import make_report, sign_report
from tarazy.reports.build import SETTLED_SECONDS, ReportError
from tarazy.reports.delivery import outbox
from tarazy.reports.delivery.letter import LetterError, compose
from tarazy.reports.delivery.outbox import OUTBOX, DeliveryError, DeliveryState
from tarazy.reports.delivery.profile import Profile
from tarazy.reports.kept import KeptFault, read_kept
from tarazy.reports.schedule import Planned, Progress, Standing, progress, request_of
from tarazy.reports.signing import SigningFault
from tarazy.reports.tables import scheduled_report

TURN_SECONDS = 60.0
_AGAIN = timedelta(hours=1)
"""How long what could not be built rests."""
BY = "tarazy"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Built:
    """What came of building: the name and digest of the report's JSON, and why it is not signed."""

    name: str
    digest: str
    unsigned: str | None


def build_planned(settings: Settings, planned: Planned) -> Built:
    """Build and sign a planned report, as a process of its own does. Raises `ReportError`."""
    directory = settings.data / "reports"
    engine = open_engine(settings.database_url)
    try:
        law = load_law(settings.law.assumptions, settings.law.directory)
        with reader(engine).begin() as connection:
            as_of, asked = request_of(connection, planned)
        paths = make_report(engine, settings, law, planned.kind, as_of, asked, directory, BY, lambda done, of: None)
        kept, unsigned = read_kept(paths[0]), None
        if settings.signing is not None and not kept.beside(".p7s").exists():
            try:
                sign_report(engine, settings, kept, BY)
            except (SigningFault, KeptFault) as error:
                unsigned = str(error)
        return Built(kept.path.name, kept.digest, unsigned)
    except (LawError, SigningError, KeptFault, OSError) as error:
        raise ReportError(str(error)) from None
    finally:
        engine.dispose()


class Planner:
    """Keeps to the schedule while the server runs."""

    def __init__(
        self,
        clock: Clock,
        settings: Callable[[], Settings],
        database: Database,
        profiles: Mapping[str, Profile],
        law: Callable[[], LawBook],
    ) -> None:
        """Settings and law are those of the moment."""
        self._settings = settings
        self._database = database
        self._profiles = profiles
        self._law = law
        self._building: Apart[Built] | None = None
        self._stopped = False
        self._faults: list[str] = []
        """Why something could not be planned, as the log has it."""
        nothing = {kind: dict.fromkeys(map(str, kind), 0) for kind in (Standing, DeliveryState)}
        self._facts = ReportFacts(standing=nothing[Standing], deliveries=nothing[DeliveryState])
        self.repeat = Repeat(clock, "keep_schedule", TURN_SECONDS, self.turn)

    def facts(self) -> ReportFacts:
        """As the latest turn found it."""
        return self._facts

    async def stop(self) -> None:
        """End; a report that is being built is built anew after the next start."""
        self._stopped = True
        if self._building is not None:
            self._building.stop()
        await self.repeat.stop()

    async def turn(self) -> None:
        """Go on with everything that is not done."""
        now = datetime.now(UTC)
        rows, faults = await self._database.read(progress, self._settings().reports.schedule, self._law(), now)
        for row in rows:
            if self._stopped:
                return
            rests = row.tried_at is not None and row.trouble is not None and now - row.tried_at < _AGAIN
            if row.name is None and not rests and now >= row.planned.builds_at + timedelta(seconds=SETTLED_SECONDS):
                row = await self._build(row)
            if row.name is not None and row.planned.deliver_to is not None and row.delivery is None:
                await self._deliver(row, row.planned.deliver_to)
        self._facts = await self._database.read(self._counted, now)
        for fault in faults:
            if fault not in self._faults:
                _log.error("schedule_not_planned", reason=fault)
        self._faults = faults

    async def _build(self, row: Progress) -> Progress:
        planned = row.planned
        self._building = Apart(build_planned, self._settings(), planned)
        try:
            built = await deferToThread(self._building.result)
        except OperationalError:  # the database is away: the next turn tries it again
            raise
        except Exception as error:  # whatever else it is, it holds up no other report
            if self._stopped:
                return row
            told = str(error) if isinstance(error, ReportError | StoppedError) else f"{type(error).__name__}: {error}"
            await self._note(planned, None, told)
            return row
        finally:
            self._building = None
        await self._note(planned, built, built.unsigned)
        _log.info("report_built", report=planned.kind, period=str(planned.period), name=built.name)
        return Progress(planned, built.name, built.digest, built.unsigned, datetime.now(UTC), None)

    async def _deliver(self, row: Progress, to: str) -> None:
        """Put a built report into the outbox; one that waits for a signature is looked at again at the next turn."""
        try:
            if to not in self._profiles:
                raise LetterError(f"the settings have no delivery profile {to}; see reports.profiles")
            assert row.name is not None, "only a built report is delivered"
            path = self._settings().data / "reports" / row.name
            kept = await deferToThread(read_kept, path)
            if kept.digest != row.digest:
                raise LetterError(f"{path} is not what was built; bring it back from a copy")
            letter = await deferToThread(compose, kept, self._profiles[to])
            number = await self._database.run(outbox.propose, kept, letter, self._profiles[to], datetime.now(UTC), BY)
        except (LetterError, KeptFault, DeliveryError) as error:
            if str(error) != row.trouble:
                await self._note(row.planned, Built(row.name or "", row.digest or "", None), str(error))
            return
        if row.trouble is not None:
            await self._note(row.planned, Built(row.name, row.digest or "", None), None)
        _log.info("delivery_proposed", delivery=number, to=to, name=row.name)

    async def _note(self, planned: Planned, built: Built | None, trouble: str | None) -> None:
        await self._database.run(_keep, planned, built, trouble, datetime.now(UTC))
        if trouble is not None:
            _log.warning("report_waits", report=planned.kind, period=str(planned.period), reason=trouble)

    def _counted(self, connection: Connection, now: datetime) -> ReportFacts:
        rows, faults = progress(connection, self._settings().reports.schedule, self._law(), now)
        standing = Counter(str(row.standing(legal_day(now))) for row in rows)
        unbuilt = sum(row.name is None and not row.is_done and now >= row.planned.builds_at for row in rows)
        going = outbox.deliveries(connection, OUTBOX)
        waiting = max(((now - (each.approved_at or now)).total_seconds() for each in going), default=0.0)
        return ReportFacts(
            standing={**dict.fromkeys(map(str, Standing), 0), **standing},
            unbuilt=unbuilt + len(faults),
            deliveries={str(state): count for state, count in outbox.counts(connection).items()},
            stuck=sum(each.next_at is None for each in going),
            waiting_seconds=waiting,
        )


def _keep(connection: Connection, planned: Planned, built: Built | None, trouble: str | None, now: datetime) -> None:
    """Write down how far a planned report has come."""
    table = scheduled_report
    of = {"kind": planned.kind, "start": planned.period.start, "end": planned.period.end}
    connection.execute(delete(table).where(*(table.c[name] == value for name, value in of.items())))
    found = {"name": built.name, "digest": built.digest, "built_at": now} if built else {}
    connection.execute(insert(table).values(**of, **found, trouble=trouble, tried_at=now))
