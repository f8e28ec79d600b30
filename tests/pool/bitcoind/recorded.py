"""A bitcoind for tests: an HTTP server on loopback that gives recorded answers, or misbehaves as told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tarazy.config.settings import BitcoindChainSettings, NodeSettings
from tarazy.pool.chain.bitcoind.chain import BitcoindChain

FIXTURES = Path(__file__).parents[2] / "fixtures" / "bitcoind"
SECRET = "test"
REACTOR: Any = installed_reactor


def recorded(name: str) -> dict[str, Any]:
    """A recorded exchange."""
    path = FIXTURES / f"{name}.json"
    text = path.read_text() if path.exists() else gzip.decompress(path.with_suffix(".json.gz").read_bytes())
    exchange: dict[str, Any] = json.loads(text)
    return exchange


def result(name: str) -> Any:
    """The result in a recorded exchange."""
    return recorded(name)["response"]["result"]


def raw_answer(name: str) -> tuple[int, bytes]:
    """HTTP status and body of a recorded exchange."""
    exchange = recorded(name)
    response = exchange["response"]
    return exchange["status"], response.encode() if isinstance(response, str) else json.dumps(response).encode()


Answer = Any
"""A result; a pair of status and body; a callable that gets the parameters and gives either; or what will be either."""


class RecordedNode:
    """The server. `answers` by method; what it is not told it answers as an idle, healthy regtest node."""

    def __init__(self) -> None:
        self.template = "getblocktemplate-small"
        self.tip: str = result(self.template)["previousblockhash"]
        self.work: str = f"{0x138:064x}"
        self.height: int = result(self.template)["height"] - 1
        self.answers: dict[str, Answer] = {
            "getbestblockhash": lambda: self.tip,
            "getblockchaininfo": self._chain_info,
            "getnetworkinfo": result("getnetworkinfo"),
            "getblocktemplate": self._template,
            "getblockheader": self._header,
        }
        self.info: dict[str, Any] = {}
        """Replaces parts of getblockchaininfo."""
        self.authorization = ""
        """When set, the header that callers must send."""
        self.calls: list[str] = []
        self.long_polls: list[Any] = []
        """Requests that wait; `end_long_polls` ends them."""
        self.transports: set[Any] = set()
        self.port = 0
        self._listening: Any = None
        self.start()

    def start(self) -> None:
        """Listen, again on the same port after `stop`."""
        site = Site(_Calls(self))  # type: ignore[no-untyped-call]
        self._listening = REACTOR.listenTCP(self.port, site, interface="127.0.0.1")
        self.port = self._listening.getHost().port

    async def stop(self) -> None:
        """Close all connections and refuse new ones."""
        self.end_long_polls()
        await self._listening.stopListening()
        for transport in self.transports:
            transport.abortConnection()
        self.transports.clear()

    def settings(self, **changes: Any) -> NodeSettings:
        """How a pool reaches it."""
        known = {"url": f"http://127.0.0.1:{self.port}", "user": "pool", "password": SECRET}
        return NodeSettings.model_validate(known | changes)

    def move(self, tip: str, *, blocks: int = 1) -> None:
        """Its best block is another."""
        self.tip = tip
        self.height += blocks
        self.work = f"{int(self.work, 16) + 2 * blocks:064x}"

    def end_long_polls(self) -> None:
        """Answer those who wait with the present template."""
        waiting, self.long_polls = self.long_polls, []
        for request in waiting:
            _write(request, 200, _body(self._words()))

    def forget(self, request: Any) -> None:
        """Who waited has hung up."""
        if request in self.long_polls:
            self.long_polls.remove(request)

    def _chain_info(self) -> Any:
        at = {"blocks": self.height, "headers": self.height, "bestblockhash": self.tip, "chainwork": self.work}
        return result("getblockchaininfo") | at | self.info

    def _header(self, name: str) -> Any:
        at = {"hash": name, "height": self.height, "chainwork": self.work, "confirmations": 1}
        return result("getblockheader") | at

    def _words(self) -> Any:
        place = {"previousblockhash": self.tip, "height": self.height + 1, "longpollid": f"{self.tip}1"}
        return result(self.template) | place

    def _template(self, request: dict[str, Any]) -> Any:
        if request.get("mode") == "proposal":
            return None
        if request.get("longpollid") == f"{self.tip}1":
            return NOT_DONE_YET
        return self._words()


class _Calls(Resource):
    isLeaf = True  # noqa: N815 - twisted's name

    def __init__(self, node: RecordedNode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._node = node

    def render_POST(self, request: Any) -> int:  # noqa: N802 - twisted's name
        """Answer a call."""
        node = self._node
        node.transports.add(request.channel.transport)
        if node.authorization and request.getHeader("authorization") != node.authorization:
            node.calls.append("unauthorized")
            _write(request, *raw_answer("unauthorized"))
            return NOT_DONE_YET
        call = json.loads(request.content.read())
        node.calls.append(call["method"])
        answer = node.answers.get(call["method"], raw_answer("method-not-found"))
        if callable(answer):
            answer = answer(*call["params"])
        if isinstance(answer, Deferred):
            answer.addCallback(lambda late: self._answer(request, late))
        else:
            self._answer(request, answer)
        return NOT_DONE_YET

    def _answer(self, request: Any, answer: Answer) -> None:
        node = self._node
        if answer is NOT_DONE_YET:
            node.long_polls.append(request)
            request.notifyFinish().addErrback(lambda _: node.forget(request))
        elif answer == "cut":
            request.setHeader(b"content-length", b"1000")
            request.write(b'{"result": ')
            request.channel.transport.loseConnection()
        elif answer == "hang":
            request.notifyFinish().addErrback(lambda _: node.calls.append("gone"))
        elif answer == "close":
            request.channel.transport.abortConnection()
        elif isinstance(answer, tuple):
            _write(request, *answer)
        else:
            _write(request, 200, _body(answer))


def _body(words: Any) -> bytes:
    return json.dumps({"result": words, "error": None, "id": "x"}).encode()


def _write(request: Any, status: int, body: bytes) -> None:
    request.setResponseCode(status)
    request.setHeader(b"content-length", b"%d" % len(body))
    request.write(body)
    request.finish()


def open_chain(
    *nodes: NodeSettings,
    network: str = "regtest",
    pinned: tuple[str, ...] = (),
    look_seconds: float = 0.05,
    empty_job_first: bool = False,
) -> BitcoindChain:
    """A started chain on nodes."""
    words = {"network": network, "nodes": nodes, "pinned_blocks": pinned, "empty_job_first": empty_job_first}
    chain = BitcoindChain(
        REACTOR, BitcoindChainSettings.model_validate({"kind": "bitcoind", **words}), look_seconds=look_seconds
    )
    chain.start()
    return chain


def pause(seconds: float) -> Deferred[None]:
    """Let the reactor run."""
    waited: Deferred[None] = Deferred()
    REACTOR.callLater(seconds, waited.callback, None)
    return waited


async def until(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer of `holds`; fails when there is none in time."""
    deadline = REACTOR.seconds() + seconds
    while REACTOR.seconds() < deadline:
        if answer := holds():
            return answer
        await pause(0.01)
    raise AssertionError(f"not within {seconds} s: {holds}")


@contextmanager
def counted_tips(chain: BitcoindChain) -> Iterator[list[int]]:
    """Grows by one at every announcement of a tip."""
    told: list[int] = []
    chain.on_tip(lambda: told.append(1))
    yield told
