"""One agent process: it polls the meters, spools, and pushes in order until it is told to end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
import treq
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from tarazy.accounting.energy.asic import Claim, ask_all
from tarazy.accounting.energy.asyncio_bridge import run
from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.mqtt import MqttListener
from tarazy.accounting.energy.poller import MeterPoller
from tarazy.config.settings import AgentSettings
from tarazy.pool.agent.spool import Spool, Spooled
from tarazy.pool.repeat import Repeat

_AT_ONCE = 500
_PUSH_SECONDS = 5.0
_PATIENCE_SECONDS = 30.0
_LONGEST_ANSWER = 1 << 20

log = structlog.get_logger()


class PushError(Exception):
    """The pool did not take what was pushed; it is pushed again."""


class SiteAgent:
    """Polls, hears, spools, pushes."""

    def __init__(self, reactor: Any, settings: AgentSettings, spool: Spool, clock: Callable[[], datetime]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._spool = spool
        self._clock = clock
        self._poller = MeterPoller(spool.add, clock, settings.poll_seconds)
        self._listener = MqttListener(settings.mqtt, spool.add, clock) if settings.mqtt else None
        seconds = min(_PUSH_SECONDS, settings.poll_seconds)
        self._claim: Claim | None = None
        """What the machines claimed last, until the pool has it."""
        self._asking = Repeat(reactor, "ask_machines", settings.machine_seconds, self.ask_machines)
        self._pushing = Repeat(reactor, "push_readings", seconds, self.push)

    def start(self) -> None:
        """Begin."""
        told = self._settings.meters.items()
        self._poller.follow(Meter(key, "", each.host, each.port, each.unit, each.profile) for key, each in told)
        heard = self._settings.mqtt.meters if self._settings.mqtt else {}
        if self._listener is not None:
            self._listener.follow(heard)
        self._pushing.start()
        if self._settings.machines:
            self._asking.start()
        log.info("site_agent_started", meters=len(told) + len(heard), pool=self._settings.pool)

    async def stop(self) -> None:
        """End after the push under way; what is not acknowledged stays on disk."""
        await self._poller.stop()
        if self._listener is not None:
            await self._listener.stop()
        await self._asking.stop()
        await self._pushing.stop()
        self._spool.close()

    async def ask_machines(self) -> None:
        """Ask the site's machines what they draw; only the newest answer counts, so it is not spooled."""
        machines = [
            (str(address), group.port)
            for group in self._settings.machines
            for address in (group.network.hosts() if group.network.num_addresses > 1 else [group.network[0]])
        ]
        self._claim = await run(ask_all(machines, self._clock()))
        told = self._claim
        log.info("machines_asked", asked=told.asked, answered=told.answered, telling=told.telling, power_w=told.power_w)

    async def push(self) -> None:
        """Push what the machines claim, and all that is spooled, oldest first. Raises `PushError`."""
        if (claim := self._claim) is not None:
            await self._post([], {"machines": {**asdict(claim), "at": claim.at.isoformat()}})
            self._claim = None if self._claim is claim else self._claim
        while rows := self._spool.oldest(_AT_ONCE):
            refused = {fault["row"]: fault for fault in (await self._post(rows))["refused"]}
            for number, row in enumerate(rows):
                fault = refused.get(number)
                if fault is None:
                    continue
                if fault["code"] == "future" and datetime.fromisoformat(row.at) <= self._clock():
                    self._spool.drop(row.sequence - 1)
                    raise PushError(f"the clock here is ahead of the pool's: {fault['problem']}")
                log.error("reading_refused", meter=row.meter, at=row.at, count=row.count, problem=fault["problem"])
            self._spool.drop(rows[-1].sequence)

    async def _post(self, rows: Sequence[Spooled], more: dict[str, Any] | None = None) -> Any:
        body = {
            "readings": [
                {
                    "meter": row.meter,
                    "at": row.at,
                    "count": row.count,
                    "status": row.status,
                    "quantity": row.quantity,
                }
                for row in rows
            ],
            "waiting": self._spool.count() - len(rows),
            **(more or {}),
        }
        token = self._settings.token.read_text(encoding="ascii").strip()
        exchange: Deferred[tuple[int, bytes]] = Deferred.fromCoroutine(self._exchange(token, orjson.dumps(body)))
        status, answer = await exchange.addTimeout(_PATIENCE_SECONDS, self._reactor)
        try:
            told = orjson.loads(answer)
        except orjson.JSONDecodeError:
            told = {}
        if status != 200:
            raise PushError(f"{status}: {told.get('error', {}).get('text', 'no answer of the pool')}")
        return told

    async def _exchange(self, token: str, body: bytes) -> tuple[int, bytes]:
        response = await treq.post(
            f"{self._settings.pool}/api/v1/readings",
            data=body,
            headers=Headers({"authorization": [f"Bearer {token}"], "content-type": ["application/json"]}),
            persistent=False,
            allow_redirects=False,
            unbuffered=True,
        )
        answer = bytearray()

        def take(part: bytes) -> None:
            if len(answer) + len(part) > _LONGEST_ANSWER:
                raise PushError(f"{response.code}: the answer is longer than 1 MiB; is this the pool?")
            answer.extend(part)

        await treq.collect(response, take)
        return response.code, bytes(answer)


def run_agent(settings: AgentSettings, spool: Spool, reactor: Any, loop: Any) -> None:
    """Run until SIGTERM or SIGINT."""
    agent = SiteAgent(reactor, settings, spool, lambda: datetime.now(UTC))
    ending: list[Deferred[None]] = []

    def end() -> None:
        if not ending:
            ending.append(Deferred.fromCoroutine(agent.stop()).addBoth(lambda _: reactor.stop()))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    reactor.callWhenRunning(agent.start)
    reactor.run(installSignalHandlers=False)
