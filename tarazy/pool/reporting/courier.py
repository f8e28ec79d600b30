"""Takes what is approved to the authorities, one durable step at a time.

Each step is: write that an attempt begins, send, write what came of it. A process may die between any two; an answer
that cannot be written, because the database is away, is held until it can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import structlog
from twisted.internet.defer import Deferred

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
        self._unwritten: list[tuple[Delivery, int, Profile, Judged, Answer]] = []
        """What came of attempts and is not in the database yet."""
        self._under_way: Deferred[Answer] | None = None
        self._stopped = False
        self.repeat = Repeat(reactor, "deliver_documents", TURN_SECONDS, self.turn)

    async def turn(self) -> None:
        """Try everything that is due, once."""
        await self._write()
        for made in await self._database.read(outbox.due, self._clock()):
            if self._stopped:
                return
            await self._try(made)

    async def stop(self) -> None:
        """End after the attempt under way, which is broken off and written down."""
        self._stopped = True
        if self._under_way is not None:
            self._under_way.cancel()
        await self.repeat.stop()

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
            self._under_way = post.exchange("GET", url, {}, None)
        else:
            headers = {**letter.headers, "Content-Type": letter.media_type}
            self._under_way = post.exchange(letter.method, letter.url, headers, letter.body)
        try:
            answer = await self._under_way
        finally:
            self._under_way = None
        sent = {"key": made.key, "digest": made.digest, "body_digest": made.body_digest}
        judged = judge(profile, answer, sent, self._clock(), asked=way == "ask")
        self._unwritten.append((made, attempt, profile, judged, answer))
        await self._write()

    async def _write(self) -> None:
        """Write what came of attempts."""
        while self._unwritten:
            made, attempt, profile, judged, answer = self._unwritten[0]
            await self._database.run(
                outbox.end, made.number, attempt, profile, judged, answer.status, answer.body, self._clock()
            )
            del self._unwritten[0]
            told = _log.info if judged.outcome is Outcome.RECEIPT else _log.warning
            facts = {"delivery": made.number, "to": made.profile, "attempt": attempt}
            told("document_delivery", outcome=judged.outcome, reason=judged.words, **facts)


def _host(url: str) -> tuple[str, str]:
    """Who gets the profile's secrets."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
