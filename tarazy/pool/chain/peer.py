"""The embedded chain in bitcoind's words: a few of its JSON-RPC calls over HTTP on loopback.

It is the entrance for the rest of a demo network. As a process of its own, `python -m tarazy.pool.chain.peer DIRECTORY
PORT`, it is a node for development: a pool with `chain.kind: bitcoind` mines at it, and every block is judged by
Bitcoin Core's consensus engine. **Not for real coins.**
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from inspect import signature
from pathlib import Path
from typing import Any

import orjson
import structlog
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tarazy.config.settings import LogSettings
from tarazy.pool.chain.assembly import REGTEST_TARGET, build_block
from tarazy.pool.chain.embedded import EmbeddedChain
from tarazy.pool.chain.engine import UNDECODABLE
from tarazy.pool.chain.interface import SubmitVerdict, Template
from tarazy.pool.chain.pending import TransactionRefusedError
from tarazy.pool.chain.regtest import MINED
from tarazy.pool.chain.transactions import block_hash
from tarazy.pool.chain.wallet import CALLS as WALLET_CALLS
from tarazy.pool.chain.wallet import WalletError
from tarazy.pool.log import configure_logging
from tarazy.pool.templates import TemplateError, address_script
from tarazy.stratum.difficulty import exponent_of
from tarazy.stratum.job import displayed, double_sha256

MAX_BODY_BYTES = 8_100_000
"""A block of 4 MB in hex, and its envelope."""

Answer = Any
"""What JSON can say."""

WORK_OF_A_BLOCK = 2
"""Hashes expected behind a block of regtest."""
LONG_POLL_SECONDS = 60.0
"""A long poll ends after so long at the latest."""
DEVELOPMENT_DIFFICULTY = 2.0**-13
MAX_GENERATED = 1_000
"""Blocks that one generatetoaddress makes at most."""

_IDLE_SECONDS = 60
_TOO_LARGE = -32001
_REFUSALS = {"TX decode failed": -22, "bad-txns-inputs-missingorspent": -25, MINED: -27}
"""How a refusal of a transaction begins → bitcoind's number for it; -26 for all others."""
_STATUS = {-32600: 400, -32601: 404, _TOO_LARGE: 413}
_log = structlog.get_logger()


class RpcError(Exception):
    """An error in bitcoind's words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def template_words(template: Template, target: int) -> dict[str, Answer]:
    """A template as getblocktemplate answers it (BIP22, BIP23, BIP145)."""
    return {
        "capabilities": ["proposal"],
        "version": template.version,
        "rules": ["csv", "!segwit", "taproot"],
        "vbavailable": {},
        "vbrequired": 0,
        "previousblockhash": displayed(template.previous_block_hash),
        "transactions": [
            {
                "data": each.data.hex(),
                "txid": displayed(each.txid),
                "hash": displayed(double_sha256(each.data)),
                "fee": each.fee,
            }
            for each in template.transactions
        ],
        "coinbasevalue": template.coinbase_value,
        "longpollid": f"{displayed(template.previous_block_hash)}{len(template.transactions)}",
        "target": f"{target:064x}",
        "mintime": template.mintime,
        "curtime": template.curtime,
        "bits": f"{template.nbits:08x}",
        "height": template.height,
        "default_witness_commitment": template.witness_commitment.hex(),
    }


class _Calls:
    """The calls by name; each takes its parameters as they came."""

    def __init__(self, chain: EmbeddedChain, reactor: Any, strict: bool) -> None:
        self._chain = chain
        self._reactor = reactor
        self._strict = strict
        self._waiting: list[Deferred[None]] = []
        chain.on_tip(self._end_waiting)

    async def getblocktemplate(self, request: Answer = None) -> Answer:
        request = request if isinstance(request, dict) else {}
        if request.get("mode") == "proposal":
            return await self._chain.propose(_bytes(request.get("data"), -22, "Block decode failed"))
        rules = request.get("rules")
        if not isinstance(rules, list) or "segwit" not in rules:
            raise RpcError(-8, "getblocktemplate must be called with the segwit rule set")
        known = request.get("longpollid")
        tip = (await self._chain.tip()).block_hash
        if isinstance(known, str) and known.startswith(displayed(tip)):
            await self._wait()
        template = await self._chain.template()
        return template_words(template, template.target if self._strict else REGTEST_TARGET)

    def _wait(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting.addTimeout(LONG_POLL_SECONDS, self._reactor, lambda *_: self._waiting.remove(waiting))

    def _end_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def submitblock(self, data: Answer) -> Answer:
        offer = self._chain.submit if self._strict else self._chain.relay
        answer = await offer(_bytes(data, -22, "Block decode failed"))
        if answer.reason == UNDECODABLE:
            raise RpcError(-22, "Block decode failed")
        if answer.verdict is SubmitVerdict.ACCEPTED:
            return None
        return answer.reason or str(answer.verdict)

    async def getbestblockhash(self) -> Answer:
        return displayed((await self._chain.tip()).block_hash)

    async def getblockcount(self) -> Answer:
        return (await self._chain.tip()).height

    async def getblockchaininfo(self) -> Answer:
        tip = await self._chain.tip()
        header = await self._chain.header(tip.block_hash)
        assert header is not None
        return {
            "chain": "regtest",
            "blocks": tip.height,
            "headers": tip.height,
            "bestblockhash": displayed(tip.block_hash),
            "bits": f"{header.nbits:08x}",
            "time": header.time,
            "mediantime": header.median_time,
            "initialblockdownload": False,
            "chainwork": _chain_work(tip.height),
            "warnings": ["embedded chain, for development only"],
        }

    async def getnettotals(self) -> Answer:
        """Its clock alone: there is no network."""
        return {"timemillis": time.time_ns() // 1_000_000}

    async def getnetworkinfo(self) -> Answer:
        return {"subversion": "/tarazy-development/", "networkactive": False, "connections": 0}

    async def getmininginfo(self) -> Answer:
        template = await self._chain.template()
        return {
            "blocks": template.height - 1,
            "bits": f"{template.nbits:08x}",
            "pooledtx": len(template.transactions),
            "chain": "regtest",
        }

    async def generatetoaddress(self, count: Answer, address: Answer) -> Answer:
        """Blocks of somebody else, which need not meet this chain's own, stricter target."""
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MAX_GENERATED:
            raise RpcError(-8, f"a number of blocks from 0 to {MAX_GENERATED} is needed")
        try:
            script = address_script(str(address), "regtest")
        except TemplateError as error:
            raise RpcError(-5, f"Error: Invalid address: {error}") from error
        made = []
        for number in range(count):
            block = build_block(await self._chain.template(), script, b"/generated/%d" % number)
            await self._chain.relay(block)
            made.append(displayed(block_hash(block)))
        return made

    async def getblockheader(self, name: Answer) -> Answer:
        header = await self._chain.header(_hash(name))
        if header is None:
            raise RpcError(-5, "Block not found")
        return {
            "hash": displayed(header.block_hash),
            "confirmations": header.confirmations,
            "height": header.height,
            "version": header.version,
            "merkleroot": displayed(header.merkle_root),
            "time": header.time,
            "mediantime": header.median_time,
            "nonce": header.nonce,
            "bits": f"{header.nbits:08x}",
            "chainwork": _chain_work(header.height),
            "previousblockhash": displayed(header.previous_block_hash),
        }

    async def getblock(self, name: Answer, verbosity: Answer = 1) -> Answer:
        if verbosity != 0 or isinstance(verbosity, bool):
            raise RpcError(-8, "only verbosity 0, the block in hex, is offered here")
        block = await self._chain.block(_hash(name))
        if block is None:
            raise RpcError(-5, "Block not found")
        return block.hex()

    async def sendrawtransaction(self, data: Answer) -> Answer:
        try:
            return displayed(await self._chain.add_transaction(_bytes(data, -22, "TX decode failed")))
        except TransactionRefusedError as error:
            heads = (head for head in _REFUSALS if str(error).startswith(head))
            raise RpcError(_REFUSALS.get(next(heads, ""), -26), str(error)) from error

    def of_wallet(self, method: str) -> Callable[..., Coroutine[Deferred[Answer], Answer, Answer]]:
        """A call of the chain's wallet."""

        async def ask(*parameters: Answer) -> Answer:
            try:
                return await self._chain.wallet(method, *parameters)
            except WalletError as error:
                raise RpcError(error.code, str(error)) from error

        return ask


def _chain_work(height: int) -> str:
    return f"{WORK_OF_A_BLOCK * (height + 1):064x}"


def _bytes(data: Answer, code: int, message: str) -> bytes:
    if not isinstance(data, str) or not data.isascii() or not data.isalnum():
        raise RpcError(code, message)
    try:
        return bytes.fromhex(data)
    except ValueError as error:
        raise RpcError(code, message) from error


def _hash(name: Answer) -> bytes:
    data = _bytes(name, -8, "blockhash must be hexadecimal")
    if len(data) != 32:
        raise RpcError(-8, f"blockhash must be of length 64 (not {2 * len(data)})")
    return data[::-1]


class _PeerResource(Resource):
    isLeaf = True  # noqa: N815 - twisted's name

    def __init__(self, chain: EmbeddedChain, reactor: Any, strict: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        calls = _Calls(chain, reactor, strict)
        self._methods: dict[str, Callable[..., Coroutine[Deferred[Answer], Answer, Answer]]] = {
            "getblocktemplate": calls.getblocktemplate,
            "submitblock": calls.submitblock,
            "getbestblockhash": calls.getbestblockhash,
            "getblockcount": calls.getblockcount,
            "getblockchaininfo": calls.getblockchaininfo,
            "getnettotals": calls.getnettotals,
            "getnetworkinfo": calls.getnetworkinfo,
            "getmininginfo": calls.getmininginfo,
            "generatetoaddress": calls.generatetoaddress,
            "getblockheader": calls.getblockheader,
            "getblock": calls.getblock,
            "sendrawtransaction": calls.sendrawtransaction,
            **{method: calls.of_wallet(method) for method in WALLET_CALLS},
        }

    def render_POST(self, request: Any) -> int:  # noqa: N802 - twisted's name
        """Answer one call."""
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)

        def write(answer: tuple[int, Answer]) -> None:
            if not gone:
                request.setResponseCode(answer[0])
                request.setHeader(b"content-type", b"application/json")
                text = orjson.dumps(answer[1])
                request.setHeader(b"content-length", b"%d" % len(text))
                request.write(text)
                request.finish()

        Deferred.fromCoroutine(self._answer(request)).addCallback(write)
        return NOT_DONE_YET

    async def _answer(self, request: Any) -> tuple[int, Answer]:
        name: Answer = None
        try:
            if request.excess:
                raise RpcError(_TOO_LARGE, f"Request too large: at most {MAX_BODY_BYTES} bytes")
            call = _parse(request.content.read())
            name = call.get("id")
            result = await self._call(call)
        except RpcError as error:
            failed = {"code": error.code, "message": error.message}
            return _STATUS.get(error.code, 500), {"result": None, "error": failed, "id": name}
        except Exception as error:
            _log.exception("peer_call_failed")
            failed = {"code": -1, "message": f"{type(error).__name__}: {error}"}
            return 500, {"result": None, "error": failed, "id": name}
        return 200, {"result": result, "error": None, "id": name}

    async def _call(self, call: dict[str, Answer]) -> Answer:
        method = call.get("method")
        if not isinstance(method, str):
            raise RpcError(-32600, "Method must be a string")
        parameters = call.get("params") or []
        if not isinstance(parameters, list):
            raise RpcError(-32600, "Params must be an array")
        work = self._methods.get(method)
        if work is None:
            raise RpcError(-32601, "Method not found")
        try:
            signature(work).bind(*parameters)
        except TypeError as error:
            raise RpcError(-1, f"{method}: {error}") from error
        return await work(*parameters)


def _parse(body: bytes) -> dict[str, Answer]:
    try:
        call = orjson.loads(body)
    except ValueError as error:
        raise RpcError(-32700, "Parse error") from error
    if not isinstance(call, dict):
        raise RpcError(-32600, "Invalid Request object: one call at a time")
    return call


class _BoundedRequest(Request):
    channel: Any
    excess = 0
    """Bytes of the body over the limit; they are thrown away."""

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - twisted's name
        """Take a part of the body; whoever does not stop sending is cut off."""
        room = self.content is not None and self.content.tell() + len(data) <= MAX_BODY_BYTES
        if room and not self.excess:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
            return
        self.excess += len(data)
        if self.excess > MAX_BODY_BYTES:
            self.channel.transport.abortConnection()


class PeerEntrance:
    """The entrance, open on loopback."""

    def __init__(self, chain: EmbeddedChain, reactor: Any, port: int, *, strict: bool = False) -> None:
        """`port` 0 takes a free one. Blocks that come this way are judged by the engine alone
        (`EmbeddedChain.relay`); with `strict` they must meet the chain's own target too, and templates tell it.
        Raises twisted's CannotListenError when the port is taken.
        """
        site = Site(  # type: ignore[no-untyped-call]
            _PeerResource(chain, reactor, strict), requestFactory=_BoundedRequest, timeout=_IDLE_SECONDS
        )
        self._listening: Any = reactor.listenTCP(port, site, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port

    async def stop(self) -> None:
        """Take no more connections."""
        await self._listening.stopListening()


def run_node(directory: Path, port: int, block_difficulty: float) -> None:
    """Be a node for development on loopback until SIGTERM or SIGINT; prints its port as a line of JSON."""
    from tarazy.pool.reactor import install_reactor

    configure_logging(LogSettings())
    reactor: Any
    reactor, _ = install_reactor()

    async def start() -> None:
        chain = await EmbeddedChain.open(reactor, directory, exponent_of(block_difficulty))
        reactor.addSystemEventTrigger("before", "shutdown", chain.close)
        entrance = PeerEntrance(chain, reactor, port, strict=True)
        print(orjson.dumps({"port": entrance.port}).decode(), flush=True)  # noqa: T201 - for who started it

    def failed(failure: Failure) -> None:
        _log.error("node_not_started", reason=failure.getErrorMessage())
        faults.append(failure)
        reactor.stop()

    faults: list[Failure] = []
    reactor.callLater(0, lambda: ensureDeferred(start()).addErrback(failed))
    reactor.run()
    if faults:
        sys.exit(1)


if __name__ == "__main__":
    import argparse

    arguments = argparse.ArgumentParser(prog="python -m tarazy.pool.chain.peer", description=__doc__)
    arguments.add_argument("directory", type=Path, help="where the chain is kept")
    arguments.add_argument("port", type=int, help="on loopback; 0 takes a free one")
    arguments.add_argument(
        "--block-difficulty",
        type=float,
        default=DEVELOPMENT_DIFFICULTY,
        help="the chain's own, stricter target, a power of two (regtest's takes every second hash)",
    )
    given = arguments.parse_args()
    run_node(given.directory, given.port, given.block_difficulty)
