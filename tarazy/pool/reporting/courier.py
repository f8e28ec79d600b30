"""Takes what is approved to the authorities, to each one document at a time, in durable steps.

Each step is: write that an attempt begins, send, write what came of it. A process may die between any two; an answer
that cannot be written, because the database is away, is held until it can.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import structlog
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from tarazy.database.engine import Database
from tarazy.pool.repeat import Repeat
from tarazy.pool.reporting.post import Post
from tarazy.reports.delivery import outbox
from tarazy.reports.delivery.answer import Answer, Judged, Outcome, judge
from tarazy.reports.delivery.letter import inquiry_address
from tarazy.reports.delivery.outbox import Delivery
from tarazy.reports.delivery.profile import Profile, ProfileError

TURN_SECONDS = 5.0

_log = structlog.get_logger()


class Courier:
    """Delivers while the server runs."""

    def __init__(
        self,
        reactor: Any,
        database: Database,
        profiles: Mapping[str, Profile],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._profiles = profiles
        self._clock = clock
        self._unwritten: defaultdict[str, list[tuple[Delivery, int, Profile, Judged, Answer]]] = defaultdict(list)
        """What came of attempts and is not in the database yet; this and what follows by the names of profiles."""
        self._tours: dict[str, Deferred[None]] = {}
        self._under_way: dict[str, Deferred[Answer]] = {}
        self._faults: list[Exception] = []
        """Of tours."""
        self._stopped = False
        self.repeat = Repeat(reactor, "deliver_documents", TURN_SECONDS, self.turn)

    async def turn(self) -> None:
        """Begin a tour to each authority for which something is due and no tour is under way; wait for the quick ones.

        Raises what ended a tour of this turn or of one before.
        """
        due: defaultdict[str, list[Delivery]] = defaultdict(list)
        for made in await self._database.read(outbox.due, self._clock()):
            due[made.profile].append(made)
        held = [name for name, unwritten in self._unwritten.items() if unwritten]
        free = [name for name in {*due, *held} if name not in self._tours or self._tours[name].called]
        begun = {name: Deferred.fromCoroutine(self._tour(name, due[name])) for name in free}
        self._tours |= begun
        ended: Deferred[Any] = DeferredList(begun.values())
        rest: Deferred[Any] = deferLater(self._reactor, TURN_SECONDS)
        await DeferredList([ended, rest], fireOnOneCallback=True, consumeErrors=True)
        rest.cancel()
        self._raise_fault()

    async def stop(self) -> None:
        """End after the attempts under way, which are broken off and written down."""
        self._stopped = True
        for exchange in [*self._under_way.values()]:
            exchange.cancel()
        await self.repeat.stop()
        await DeferredList(self._tours.values())
        self._raise_fault()

    def _raise_fault(self) -> None:
        faults, self._faults = self._faults, []
        if faults:
            raise faults[0]

    async def _tour(self, name: str, due: Iterable[Delivery]) -> None:
        """Try what is due to one authority, once."""
        try:
            await self._write(name)
            for made in due:
                if self._stopped:
                    return
                await self._try(made)
        except Exception as error:
            self._faults.append(error)

    async def _try(self, made: Delivery) -> None:
        profile = self._profiles.get(made.profile)
        try:
            if profile is None:
                raise ProfileError(f"the settings have no delivery profile {made.profile}; see reports.profiles")
            if _host(made.url) != _host(profile.url):
                raise ProfileError(f"{made.profile} sends to another host now; abandon this and propose it anew")
            post = Post(self._reactor, profile)
        except ProfileError as error:
            await self._database.run(outbox.stall, made.number, profile, str(error), self._clock())
            return
        begun = await self._database.run(outbox.begin, made, profile, self._clock())
        if begun is None:
            return
        attempt, way = begun
        letter = await self._database.read(outbox.letter_of, made.number)
        if way == "ask":
            assert profile.inquiry is not None, "only a profile with an inquiry asks"
            url = inquiry_address(profile.inquiry.url, made.key, made.digest)
            exchange = post.exchange("GET", url, {}, None)
        else:
            headers = {**letter.headers, "Content-Type": letter.media_type}
            exchange = post.exchange(letter.method, letter.url, headers, letter.body)
        self._under_way[made.profile] = exchange
        try:
            answer = await exchange
        finally:
            del self._under_way[made.profile]
        sent = {"key": made.key, "digest": made.digest, "body_digest": made.body_digest}
        judged = judge(profile, answer, sent, self._clock(), asked=way == "ask")
        self._unwritten[made.profile].append((made, attempt, profile, judged, answer))
        await self._write(made.profile)

    async def _write(self, name: str) -> None:
        """Write what came of attempts."""
        unwritten = self._unwritten[name]
        while unwritten:
            made, attempt, profile, judged, answer = unwritten[0]
            await self._database.run(
                outbox.end, made.number, attempt, profile, judged, answer.status, answer.body, self._clock()
            )
            del unwritten[0]
            told = _log.info if judged.outcome is Outcome.RECEIPT else _log.warning
            facts = {"delivery": made.number, "to": made.profile, "attempt": attempt}
            told("document_delivery", outcome=judged.outcome, reason=judged.words, **facts)


def _host(url: str) -> tuple[str, str]:
    """Who gets the profile's secrets."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
