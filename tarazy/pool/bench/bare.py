"""The yardstick: the least a Stratum server can do for a share, with nothing kept and nobody checked.

Parse the line, rebuild coinbase, merkle root and header, hash, compare, answer `true`. The bench sets the server's cost
beside this loop's, measured in the same run on the same machine, over a merkle branch of as many levels.
Run as `python -m tarazy.pool.bench.bare HOST PORT LEVELS`.
"""

from __future__ import annotations

import asyncio
import sys
from hashlib import sha256
from typing import cast

import orjson
import uvloop

_BRANCH = tuple(sha256(bytes([level])).digest() for level in range(int(sys.argv[3])))
_COINB1, _COINB2 = bytes(60), bytes(110)
_PREVIOUS = bytes(32)
_TARGET = 0xFFFF << 240
_ACCEPTED = b'{"id":%d,"result":true,"error":null}\n'
_REFUSED = b'{"id":%d,"result":null,"error":[23,"low-difficulty",null]}\n'
_NOTIFY = orjson.dumps(
    {
        "id": None,
        "method": "mining.notify",
        "params": [
            "0000000000000001",
            _PREVIOUS.hex(),
            _COINB1.hex(),
            _COINB2.hex(),
            [element.hex() for element in _BRANCH],
            "20000000",
            "207fffff",
            "6b49d200",
            True,
        ],
    }
)


class BareServer(asyncio.Protocol):
    """One connection of the bare loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Number the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""
        self._extranonce1 = id(self).to_bytes(8, "little")[:4]

    def data_received(self, data: bytes) -> None:
        """Answer every line."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            request = orjson.loads(line)
            method, identifier = request["method"], request["id"]
            if method == "mining.submit":
                accepted = self._judge(request["params"])
                self._transport.write((_ACCEPTED if accepted else _REFUSED) % identifier)
            elif method == "mining.subscribe":
                result = [[], self._extranonce1.hex(), 8]
                self._transport.write(orjson.dumps({"id": identifier, "result": result, "error": None}) + b"\n")
            else:
                self._transport.write(b'{"id":%d,"result":true,"error":null}\n%s\n' % (identifier, _NOTIFY))

    def _judge(self, params: list[str]) -> bool:
        _, _, extranonce2, ntime, nonce = params
        coinbase = _COINB1 + self._extranonce1 + bytes.fromhex(extranonce2) + _COINB2
        root = sha256(sha256(coinbase).digest()).digest()
        for element in _BRANCH:
            root = sha256(sha256(root + element).digest()).digest()
        header = b"".join(
            (
                b"\x00\x00\x00\x20",
                _PREVIOUS,
                root,
                bytes.fromhex(ntime)[::-1],
                b"\xff\xff\x7f\x20",
                bytes.fromhex(nonce)[::-1],
            )
        )
        return int.from_bytes(sha256(sha256(header).digest()).digest(), "little") <= _TARGET


async def _serve(host: str, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(BareServer, host, port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
