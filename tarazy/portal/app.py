"""The portal as a service: the page, the API and the event stream on one port."""

from __future__ import annotations

from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tarazy.config.settings import PortalSettings
from tarazy.database.engine import Database
from tarazy.portal.access import Access
from tarazy.portal.desk import Rules
from tarazy.portal.door import Door
from tarazy.portal.events import BEAT_SECONDS, Hub
from tarazy.portal.guard import MAXIMUM_BODY, MAXIMUM_PUSH, MAXIMUM_SIGN_IN, BoundedSite, Fault
from tarazy.portal.pages import page
from tarazy.portal.readings import Pushed
from tarazy.portal.rights import Holder, Right
from tarazy.portal.second_factor import Seal
from tarazy.portal.snapshot import FRESH_SECONDS, Snapshot, Snapshots, Subject
from tarazy.portal.tokens import holders
from tarazy.portal.users import sessions
from tarazy.portal.worker_lists import READY_SECONDS, WorkerLists

log = structlog.get_logger()


def _not_told(failure: Failure) -> None:
    """The stream goes on: the next pulse tries again."""
    if not isinstance(failure.value, Fault):
        log.error("portal_stream_failed", error=repr(failure.value))


def _tokens_and_sessions(connection: Connection) -> tuple[dict[str, Holder], dict[str, Holder]]:
    return holders(connection), sessions(connection)


def _holders_not_read(failure: Failure) -> None:
    """Nobody is told of one whose reader has gone: the next comes within a second."""
    if not isinstance(failure.value, CancelledError):
        log.warning("holders_not_read", error=type(failure.value).__name__)


class Portal:
    """The page, the API and the event stream on one port."""

    def __init__(
        self,
        reactor: Any,
        subject: Subject,
        database: Database,
        rules: Rules,
        *,
        settings: PortalSettings,
        seal: Seal,
        language: str = "ru",
        pushed: Pushed | None = None,
    ) -> None:
        # klein imports the global reactor, which must be installed first
        from tarazy.portal.gate import Gate
        from tarazy.portal.routes import Pages
        from tarazy.portal.user_pages import UserPages

        self._reactor = reactor
        self._address = (settings.host, settings.port)
        self._language, self._live = language, subject.live
        self.snapshots = Snapshots(reactor, database.engine, subject)
        self.hub = Hub()
        self.access = Access()
        self._database = database
        door = Door(settings.public_url, settings.proxies)
        self._gate = Gate(database, self.access, door)
        self._people = UserPages(self._gate, subject, seal, self.read_holders)
        self._workers = WorkerLists(self._gate.read, subject.interval_seconds)
        pages = Pages(
            self.snapshots,
            self.hub,
            subject,
            language,
            self._gate,
            rules,
            self._people,
            pushed or Pushed(),
            self._workers,
            self.read_holders,
        )
        self.site = BoundedSite(pages.app.resource(), reactor, self._body_limit, door.is_proxy)
        self._told = ""
        self._loops = (
            (LoopingCall(self._publish), FRESH_SECONDS),
            (LoopingCall(self.hub.beat), BEAT_SECONDS),
            (LoopingCall(self.read_holders), FRESH_SECONDS),
            (LoopingCall(self._keep_ready), READY_SECONDS),
        )
        for loop, _ in self._loops:
            loop.clock = reactor
        self._listener: Any = None

    def start(self) -> int:
        """Listen; returns the port. Raises `CannotListenError` when it is taken."""
        host, port = self._address
        self._listener = self._reactor.listenTCP(port, self.site, interface=host)
        self.snapshots.start()
        for loop, seconds in self._loops:
            loop.start(seconds)
        bound: int = self._listener.getHost().port
        return bound

    async def warm(self) -> None:
        """Make ready what costs time, best before `start`: the texts, a template and the first snapshot."""
        begun = monotonic()
        self.snapshots.start()
        await deferToThread(page, self._language, self._live(), "home")
        try:
            await self.snapshots.get()
        except Fault as fault:
            log.warning("portal_not_warm", why=fault.text)
        else:
            log.info("portal_warm", seconds=round(monotonic() - begun, 2))

    def stop(self) -> Deferred[None]:
        """End the streams, close the port, finish the read under way."""
        listener, self._listener = self._listener, None
        if listener is None:
            return maybeDeferred(self.snapshots.stop)
        for loop, _ in self._loops:
            loop.stop()
        self.hub.close()
        closed: Deferred[None] = maybeDeferred(listener.stopListening)
        return closed.addCallback(lambda _: self.snapshots.stop())

    def _keep_ready(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._workers.keep_ready())

    def _body_limit(self, request: Any) -> int:
        """How many bytes of a request's body are wanted."""
        holder = self._gate.known(request)
        if holder is not None and holder.may(Right.WRITE):
            return MAXIMUM_BODY
        return MAXIMUM_PUSH if holder is not None and holder.may(Right.PUSH) else MAXIMUM_SIGN_IN

    def read_holders(self) -> Deferred[None]:
        """Know the tokens and sessions of the moment; those known before count while the database is away."""
        read: Deferred[tuple[dict[str, Holder], dict[str, Holder]]] = self._database.read(_tokens_and_sessions)
        return read.addCallbacks(lambda found: self.access.install(*found), _holders_not_read)

    def _publish(self) -> Deferred[None] | None:
        """Tell the open pages what changed; nothing is read while there are none."""
        if not len(self.hub):
            return None
        told: Deferred[None] = self.snapshots.get().addCallback(self._tell)
        return told.addErrback(_not_told)

    def _tell(self, snapshot: Snapshot) -> None:
        version = snapshot.version()
        if version != self._told:
            self._told = version
            self.hub.publish(snapshot.event())
