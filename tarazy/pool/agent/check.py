"""Whether an agent would work: every meter is asked or heard once, and the pool is asked who we are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import treq
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers

from tarazy.accounting.energy.meter import Meter, Reading
from tarazy.accounting.energy.modbus import ModbusMeter
from tarazy.accounting.energy.mqtt import MqttListener
from tarazy.accounting.energy.profiles import load_modbus_profile
from tarazy.config.settings import AgentSettings, MqttSettings
from tarazy.pool import moments

_LONGEST_ANSWER = 1 << 16
_PATIENCE_SECONDS = 10.0
_AT_ONCE = 50
_CURES = {
    "exception": "it has no such register: check unit and profile",
    "silent": "it does not answer: check address, unit and cable",
    "refused": "nobody listens there: check host and port",
    "garbage": "that is no register: check profile, topic and payload",
    "stale": "the broker kept that; publish without retain, or with the instant",
    "unheard": "no message of it came in that time; check its topic",
}


@dataclass(frozen=True)
class Checked:
    """One thing looked at, and what to do where it is wanting."""

    subject: str
    fine: bool
    text: str
    cure: str = ""


async def check_agent(
    settings: AgentSettings, clock: Callable[[], datetime], seconds: float, reactor: Any
) -> list[Checked]:
    """Look at every meter and at the pool; MQTT is listened to for so many seconds at most."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def asked(key: str) -> Checked:
        async with gate:
            return await _asked(settings, key)

    found = [*await asyncio.gather(*(asked(key) for key in settings.meters))]
    if settings.mqtt is not None:
        found += await _heard(settings.mqtt, clock, seconds)
    pool: Deferred[Checked] = Deferred.fromCoroutine(_pool(settings))
    found.append(await pool.addTimeout(_PATIENCE_SECONDS, reactor, _late).asFuture(asyncio.get_running_loop()))
    return found


async def _asked(settings: AgentSettings, key: str) -> Checked:
    each = settings.meters[key]
    profile = load_modbus_profile(each.profile)
    device = ModbusMeter(Meter(key, "", each.host, each.port, each.unit, each.profile), profile)
    try:
        count, status = await device.read()
        exported = await device.read("export") if status == "ok" and profile.export_address is not None else None
    finally:
        device.close()
    if count is None:
        return Checked(key, False, status, _CURES[status])
    text = f"{count} counts, {profile.in_wh(count) / 1000:,.3f} kWh"
    if exported is not None:
        text += f"; export {exported[0] if exported[1] == 'ok' else exported[1]}"
    return Checked(key, True, text)


async def _heard(settings: MqttSettings, clock: Callable[[], datetime], seconds: float) -> list[Checked]:
    newest: dict[str, Reading] = {}
    all_heard = asyncio.Event()

    def take(reading: Reading) -> None:
        if reading.quantity == "import":
            newest[reading.meter] = reading
        if newest.keys() == settings.meters.keys() and all(each.status == "ok" for each in newest.values()):
            all_heard.set()

    another = settings.model_copy(update={"client_id": f"{settings.client_id[:40]}-check-{os.getpid()}"})
    listener = MqttListener(another, take, clock, lasting=False)
    listener.follow(settings.meters)
    connected = False
    try:
        async with asyncio.timeout(seconds):
            await all_heard.wait()
    except TimeoutError:
        pass
    finally:
        connected = listener.connected
        await listener.stop().asFuture(asyncio.get_running_loop())
    if not connected:
        return [Checked("MQTT broker", False, "no connection", "check mqtt.url, ca, username and password")]
    found = [Checked("MQTT broker", True, "connected")]
    for key in settings.meters:
        told = newest.get(key)
        if told is None or told.register_count is None:
            status = told.status if told else "unheard"
            found.append(Checked(key, False, status, _CURES[status]))
        else:
            found.append(Checked(key, True, f"{told.register_count} counts at {moments.told(told.at)}"))
    return found


async def _pool(settings: AgentSettings) -> Checked:
    try:
        token = settings.token.read_text(encoding="ascii").strip()
        response = await treq.get(
            f"{settings.pool}/api/v1/me",
            headers=Headers({"authorization": [f"Bearer {token}"]}),
            persistent=False,
            allow_redirects=False,
            unbuffered=True,
        )
        answer = bytearray()
        await treq.collect(response, lambda part: answer.extend(part[: _LONGEST_ANSWER - len(answer)]))
        told = orjson.loads(bytes(answer))
    except (ConnectError, DNSLookupError, ResponseFailed) as error:
        return Checked("pool", False, str(error) or type(error).__name__, "check `pool` and the line to it")
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict) or response.code != 200:
        return Checked("pool", False, f"answered {response.code}", "check `pool`; put a token in force in the file")
    if told.get("role") != "agent":
        return Checked("pool", False, f"the token is of the role {told.get('role')}", "make one of the role agent")
    return Checked("pool", True, f"takes readings of site {told.get('site')}")


def _late(_: object, seconds: float) -> Checked:
    return Checked("pool", False, f"no answer in {seconds:.0f} s", "check `pool` and the line to it")
