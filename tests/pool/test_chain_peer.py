"""The entrance for the rest of the network: bitcoind's words over real HTTP."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThread

from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.bitcoind.template import parse_template
from tarazy.pool.chain.embedded import EmbeddedChain
from tarazy.pool.chain.peer import MAX_BODY_BYTES, PeerEntrance
from tarazy.pool.chain.transactions import ANYONE_CAN_SPEND, block_coinbase, block_hash, outpoint
from tarazy.stratum.difficulty import target_of
from tests.pool.mining import solve, spend
from tests.pool.under_reactor import in_reactor

SEGWIT = {"rules": ["segwit"]}


class Entrance:
    """A chain with its entrance, and HTTP to it from another thread."""

    def __init__(self, chain: EmbeddedChain, *, strict: bool = False) -> None:
        self.chain = chain
        self.entrance = PeerEntrance(chain, reactor, 0, strict=strict)

    @classmethod
    async def open(cls, directory: Path) -> Entrance:
        return cls(await EmbeddedChain.open(cast(IReactorFromThreads, reactor), directory, -10))

    async def close(self) -> None:
        await self.entrance.stop()
        await self.chain.close()

    async def raw(self, body: bytes, head: bytes = b"") -> tuple[int, Any]:
        """Status and JSON of an answer to a POST."""
        head = head or b"content-length: %d\r\n" % len(body)
        answer = await self.exchange(head + b"\r\n" + body)
        top, _, text = answer.partition(b"\r\n\r\n")
        return int(top.split()[1]), json.loads(text) if text else None

    async def call(self, method: str, *parameters: Any) -> Any:
        """Result of a call, or its error."""
        body = json.dumps({"id": "x", "method": method, "params": parameters}).encode()
        _, answer = await self.raw(body)
        assert answer["id"] == "x"
        return answer["error"] or answer["result"]

    def exchange(self, request: bytes) -> Deferred[bytes]:
        """Everything that comes back."""
        return cast("Deferred[bytes]", deferToThread(self._exchange, request))

    def _exchange(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.entrance.port), timeout=10) as connection:
            with suppress(OSError):  # the server may hang up first
                connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + request)
            answer = b""
            while part := _received(connection):
                answer += part
            return answer


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


@in_reactor
async def test_calls_answer_in_bitcoinds_words(tmp_path: Path) -> None:
    """A block is built from getblocktemplate alone, relayed, and found again by its header and bytes."""
    entrance = await Entrance.open(tmp_path)
    words = await entrance.call("getblocktemplate", SEGWIT)
    assert words["target"] == "7fffff" + "00" * 29
    assert words["bits"] == "207fffff"
    assert words["previousblockhash"] == await entrance.call("getbestblockhash")
    template = parse_template(words)
    block = build_block(template, ANYONE_CAN_SPEND, b"peer")
    name = block_hash(block)[::-1].hex()
    assert await entrance.call("submitblock", block.hex()) is None
    assert await entrance.call("submitblock", block.hex()) == "duplicate"
    rival = build_block(template, ANYONE_CAN_SPEND, b"rival")
    assert await entrance.call("submitblock", rival.hex()) == "inconclusive"
    assert await entrance.call("getbestblockhash") == name
    header = await entrance.call("getblockheader", name)
    assert (header["height"], header["confirmations"]) == (102, 1)
    assert header["previousblockhash"] == words["previousblockhash"]
    assert (header["time"], header["bits"]) == (template.curtime, "207fffff")
    assert await entrance.call("getblock", name, 0) == block.hex()
    spoilt = block[:50] + bytes([block[50] ^ 1]) + block[51:]
    assert await entrance.call("submitblock", spoilt.hex()) in ("bad-txnmrklroot", "high-hash")
    await entrance.close()


@in_reactor
async def test_transactions_enter_and_are_refused_with_reason(tmp_path: Path) -> None:
    """sendrawtransaction answers the txid, or -25 or -26 with the rule, or -22 for junk."""
    entrance = await Entrance.open(tmp_path)
    name = await entrance.call("getbestblockhash")
    for _ in range(100):
        name = (await entrance.call("getblockheader", name))["previousblockhash"]
    coinbase = block_coinbase(bytes.fromhex(await entrance.call("getblock", name, 0)))
    raw = spend(outpoint(coinbase.txid, 0), coinbase.outputs[0].value)
    txid = await entrance.call("sendrawtransaction", raw.hex())
    words = await entrance.call("getblocktemplate", SEGWIT)
    assert [(each["txid"], each["fee"]) for each in words["transactions"]] == [(txid, 1000)]
    assert words["coinbasevalue"] == 50 * 10**8 + 1000
    refused = await entrance.call("sendrawtransaction", spend(bytes(36), 5000).hex())
    assert (refused["code"], refused["message"].split(":")[0]) == (-25, "bad-txns-inputs-missingorspent")
    assert (await entrance.call("sendrawtransaction", "00"))["code"] == -22
    await entrance.close()


@in_reactor
async def test_hostile_input_gets_a_clear_error(tmp_path: Path) -> None:
    """Invariant 10: wrong JSON, shapes, methods, parameters and hex are answered; the server goes on."""
    entrance = await Entrance.open(tmp_path)
    deep = b'{"params":' + b"[" * 5000 + b"]" * 5000 + b"}"
    cases: list[tuple[bytes, int, int]] = [
        (b"", 500, -32700),
        (b'{"bad json', 500, -32700),
        (b"\xff\xfe", 500, -32700),
        (deep, 500, -32700),
        (b'{"id": NaN}', 500, -32700),
        (b"[]", 400, -32600),
        (b"1", 400, -32600),
        (b"{}", 400, -32600),
        (b'{"method": 5}', 400, -32600),
        (b'{"method": "getblock", "params": {"a": 1}}', 400, -32600),
        (b'{"method": "nosuch"}', 404, -32601),
        (b'{"method": "__init__"}', 404, -32601),
        (b'{"method": "getblock"}', 500, -1),
        (b'{"method": "getbestblockhash", "params": [1]}', 500, -1),
        (b'{"method": "getblock", "params": ["00", 0]}', 500, -8),
        (b'{"method": "getblock", "params": [[], 0]}', 500, -8),
        (b'{"method": "getblock", "params": ["%b", true]}' % (b"0" * 64), 500, -8),
        (b'{"method": "getblock", "params": ["%b", 0]}' % (b"0" * 64), 500, -5),
        (b'{"method": "getblockheader", "params": ["%b"]}' % (b"0" * 64), 500, -5),
        (b'{"method": "getblocktemplate"}', 500, -8),
        (b'{"method": "getblocktemplate", "params": [{"rules": "segwit"}]}', 500, -8),
        (b'{"method": "submitblock", "params": ["0x00"]}', 500, -22),
        (b'{"method": "submitblock", "params": ["00 00"]}', 500, -22),
        (b'{"method": "submitblock", "params": ["00"]}', 500, -22),
        (b'{"method": "submitblock", "params": [null]}', 500, -22),
    ]
    for body, status, code in cases:
        answer = await entrance.raw(body)
        assert (answer[0], answer[1]["error"]["code"]) == (status, code), body[:60]
    assert len(await entrance.call("getbestblockhash")) == 64
    await entrance.close()


@in_reactor
async def test_body_is_bounded(tmp_path: Path) -> None:
    """More than a block in hex is answered 413, announced or in chunks; a flood is cut off (invariant 10)."""
    entrance = await Entrance.open(tmp_path)
    chunk = b"100000\r\n" + b"0" * 0x100000 + b"\r\n"
    chunked = b"transfer-encoding: chunked\r\n"
    assert (await entrance.raw(b"0" * (MAX_BODY_BYTES + 1)))[0] == 413
    assert (await entrance.raw(chunk * 9 + b"0\r\n\r\n", chunked))[0] == 413
    assert await entrance.exchange(chunked + b"\r\n" + chunk * 20) == b""
    assert len(await entrance.call("getbestblockhash")) == 64
    await entrance.close()


@in_reactor
async def test_a_node_for_development_tells_of_its_chain(tmp_path: Path) -> None:
    """Height, work and tip as bitcoind words them; somebody else's blocks can be had."""
    entrance = await Entrance.open(tmp_path)
    info = await entrance.call("getblockchaininfo")
    assert (info["chain"], info["blocks"], info["headers"], info["initialblockdownload"]) == (
        "regtest",
        101,
        101,
        False,
    )
    assert int(info["chainwork"], 16) == 2 * 102, "as a recorded regtest node counts it"
    made = await entrance.call("generatetoaddress", 2, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
    assert made[-1] == await entrance.call("getbestblockhash")
    assert await entrance.call("getblockcount") == 103
    assert (await entrance.call("getmininginfo"))["blocks"] == 103
    assert (await entrance.call("getnetworkinfo"))["connections"] == 0
    for wrong in ([2, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"], [-1, ""], [True, ""], [10**9, ""]):
        assert (await entrance.call("generatetoaddress", *wrong))["code"] in (-5, -8)
    await entrance.close()


@in_reactor
async def test_a_long_poll_ends_with_the_next_block(tmp_path: Path) -> None:
    """BIP22: who waits on the present tip is answered when it changes, who waits on another at once."""
    entrance = await Entrance.open(tmp_path)
    words = await entrance.call("getblocktemplate", SEGWIT)
    waiting = Deferred.fromCoroutine(
        entrance.call("getblocktemplate", SEGWIT | {"longpollid": words["longpollid"]}),
    )
    [made] = await entrance.call("generatetoaddress", 1, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
    assert (await waiting)["previousblockhash"] == made
    late = await entrance.call("getblocktemplate", SEGWIT | {"longpollid": words["longpollid"]})
    assert late["previousblockhash"] == made
    await entrance.close()


@in_reactor
async def test_a_strict_entrance_tells_and_holds_the_chains_own_target(tmp_path: Path) -> None:
    """A miner finds no block with every share: what meets only regtest's target is `high-hash`."""
    chain = await EmbeddedChain.open(cast(IReactorFromThreads, reactor), tmp_path, -22)
    entrance = Entrance(chain, strict=True)
    words = await entrance.call("getblocktemplate", SEGWIT)
    template = parse_template(words)
    assert template.target == target_of(-22)
    assert await entrance.call("submitblock", solve(template, misses=True).hex()) == "high-hash"
    assert await entrance.call("submitblock", solve(template).hex()) is None
    await entrance.close()
