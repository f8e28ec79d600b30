"""Read one meter over Modbus TCP: every way a meter can fail becomes a status, never an exception."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException

from tarazy.accounting.energy.profiles import Profile

for _name in ("pymodbus", "pymodbus.logging"):  # their lines carry addresses and raw frames (invariant 12)
    logging.getLogger(_name).setLevel(logging.CRITICAL)
    logging.getLogger(_name).propagate = False

Status = Literal["ok", "exception", "silent", "refused", "garbage"]
"""ok; an error answer; no answer in time; no connection; an answer that cannot be a register value."""


@dataclass(frozen=True)
class Meter:
    """A meter as the register of meters has it: where it stands, where it answers, of which kind it is."""

    meter: str
    site: str
    host: str
    port: int
    unit: int
    profile: str


@dataclass(frozen=True)
class Reading:
    """What a meter's cumulative register showed at an instant; `register_wh` only when the status is ok."""

    meter: str
    at: datetime
    register_wh: int | None
    status: Status


class ModbusMeter:
    """A connection to one meter. It is opened when needed, kept while the meter answers, dropped when not."""

    def __init__(self, meter: Meter, profile: Profile, timeout_seconds: float = 3.0) -> None:
        self._unit = meter.unit
        self._profile = profile
        self._timeout = timeout_seconds
        self._client = AsyncModbusTcpClient(
            meter.host, port=meter.port, timeout=timeout_seconds, retries=0, reconnect_delay=0
        )

    async def read(self) -> tuple[int | None, Status]:
        """The register in watt-hours with status ok, or None with the status that says why not."""
        try:
            async with asyncio.timeout(2 * self._timeout):
                value, status = await self._ask()
        except ConnectionException:
            value, status = None, "refused"
        except (ModbusException, TimeoutError):
            value, status = None, "silent"
        except OSError:
            value, status = None, "refused"
        if status in ("silent", "refused"):
            self.close()
        return value, status

    async def _ask(self) -> tuple[int | None, Status]:
        if not self._client.connected and not await self._client.connect():
            return None, "refused"
        profile = self._profile
        ask = (
            self._client.read_holding_registers if profile.registers == "holding" else self._client.read_input_registers
        )
        answer = await ask(profile.address, count=profile.words, device_id=self._unit)
        if answer.isError():
            return None, "exception"
        register_wh = profile.register_wh(answer.registers)
        return register_wh, "garbage" if register_wh is None else "ok"

    def close(self) -> None:
        """Drop the connection; the next read opens it again."""
        self._client.close()
