"""Read every meter of the register on schedule, each in its own task, for as long as the office leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

import structlog
from twisted.internet.defer import Deferred

from tarazy.accounting.energy.asyncio_bridge import run
from tarazy.accounting.energy.meter import Meter, Reading
from tarazy.accounting.energy.modbus import ModbusMeter
from tarazy.accounting.energy.profiles import ModbusProfile, ProfileError, load_profile

log = structlog.get_logger()

_LONGEST_PAUSE_SECONDS = 60.0
_EXPORT_REST = 60
"""Every how many polls a meter is asked for an export register that it did not give: some kinds have none."""


def pause_seconds(poll_seconds: float, failures: int) -> float:
    """How long to wait before a meter is asked again after `failures` in a row: doubling, at most a minute.

    A meter that answers is asked every `poll_seconds`; one that fails is never asked more often than that.
    """
    return max(poll_seconds, min(poll_seconds * 2.0 ** min(failures, 16), _LONGEST_PAUSE_SECONDS))


class MeterPoller:
    """One task per meter. `on_reading` gets every reading, failed ones too; what it raises is logged."""

    def __init__(
        self,
        on_reading: Callable[[Reading], None],
        clock: Callable[[], datetime],
        poll_seconds: float,
        timeout_seconds: float = 3.0,
    ) -> None:
        self._on_reading = on_reading
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._timeout_seconds = timeout_seconds
        self._tasks: dict[Meter, asyncio.Task[None]] = {}

    def follow(self, meters: Iterable[Meter]) -> None:
        """Poll exactly these meters from now on: new ones start, changed ones restart, others are left.

        Call it on the reactor's thread whenever the register of meters may have changed.
        """
        wanted = set(meters)
        for meter in self._tasks.keys() - wanted:
            self._tasks.pop(meter).cancel()
        for meter in sorted(wanted - self._tasks.keys(), key=lambda meter: meter.meter):
            self._tasks[meter] = asyncio.ensure_future(self._poll(meter))

    def stop(self) -> Deferred[None]:
        """End every task; fires when their connections are closed."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()

        async def ended() -> None:
            await asyncio.gather(*tasks, return_exceptions=True)

        return run(ended())

    async def _poll(self, meter: Meter) -> None:
        try:
            profile = load_profile(meter.profile)
        except ProfileError as error:
            log.error("meter_profile_unusable", meter=meter.meter, fault=str(error))
            return
        if not isinstance(profile, ModbusProfile):  # its readings come in by another way
            return
        device = ModbusMeter(meter, profile, self._timeout_seconds)
        failures = rest = 0
        task = asyncio.current_task()
        assert task is not None
        try:
            while True:
                count, status = await device.read()
                if task.cancelling():  # in Python 3.11 `asyncio.wait_for` swallows one that meets its result
                    return
                failures = 0 if status == "ok" else failures + 1
                if failures == 1:
                    log.warning("meter_not_read", meter=meter.meter, site=meter.site, status=status)
                self._tell(Reading(meter.meter, self._clock(), count, status))
                if status == "ok" and profile.export_address is not None:
                    rest = max(0, rest - 1)
                    if not rest:
                        count, status = await device.read("export")
                        if task.cancelling():
                            return
                        self._tell(Reading(meter.meter, self._clock(), count, status, "export"))
                        rest = 0 if status == "ok" else _EXPORT_REST
                await asyncio.sleep(pause_seconds(self._poll_seconds, failures))
        finally:
            device.close()

    def _tell(self, reading: Reading) -> None:
        try:
            self._on_reading(reading)
        except Exception:
            log.exception("reading_not_taken", meter=reading.meter)
