"""Read one meter over Modbus TCP: every way a meter can fail becomes a status, never an exception."""

from __future__ import annotations

import asyncio
import logging

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException

from tarazy.accounting.energy.meter import Meter, Quantity, Status
from tarazy.accounting.energy.profiles import ModbusProfile

for _name in ("pymodbus", "pymodbus.logging"):  # their lines carry addresses and raw frames (invariant 12)
    logging.getLogger(_name).setLevel(logging.CRITICAL)
    logging.getLogger(_name).propagate = False
logging.getLogger("asyncio").addFilter(  # an answer that cannot be decoded is raised in the loop, and told as silence
    lambda line: not (line.exc_info and isinstance(line.exc_info[1], ModbusException))
)


class ModbusMeter:
    """A connection to one meter. It is opened when needed, kept while the meter answers, dropped when not."""

    def __init__(self, meter: Meter, profile: ModbusProfile, timeout_seconds: float = 3.0) -> None:
        self._unit = meter.unit
        self._profile = profile
        self._timeout = timeout_seconds
        self._client = AsyncModbusTcpClient(
            meter.host, port=meter.port, timeout=timeout_seconds, retries=0, reconnect_delay=0
        )

    async def read(self, quantity: Quantity = "import") -> tuple[int | None, Status]:
        """The count of that register with status ok, or None with the status that says why not.

        Raises ValueError for an export register that the profile does not have.
        """
        address = self._profile.address if quantity == "import" else self._profile.export_address
        if address is None:
            raise ValueError("the profile has no export register")
        try:
            async with asyncio.timeout(2 * self._timeout):
                value, status = await self._ask(address)
        except ConnectionException:
            value, status = None, "refused"
        except (ModbusException, TimeoutError):
            value, status = None, "silent"
        except OSError:
            value, status = None, "refused"
        if status in ("silent", "refused"):
            self.close()
        return value, status

    async def _ask(self, address: int) -> tuple[int | None, Status]:
        if not self._client.connected and not await self._client.connect():
            return None, "refused"
        profile = self._profile
        ask = (
            self._client.read_holding_registers if profile.registers == "holding" else self._client.read_input_registers
        )
        answer = await ask(address, count=profile.words, device_id=self._unit)
        if answer.isError():
            return None, "exception"
        count = profile.count_of(answer.registers)
        return count, "garbage" if count is None else "ok"

    def close(self) -> None:
        """Drop the connection; the next read opens it again."""
        self._client.close()
