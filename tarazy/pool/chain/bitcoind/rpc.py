"""Calls to one node over HTTP: bounded in time and size, and every way to fail is a `NodeError` by name."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.threads import deferToThread
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers

from tarazy.pool.bounded_body import BoundedBody, TooLongError
from tarazy.pool.chain.bitcoind.credentials import Credentials
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.bitcoind.words import call_body, result_of

CONNECT_SECONDS = 3.0
CALL_SECONDS = 5.0
"""For calls that need no work: a node that takes longer is ill."""
MAX_ANSWER_BYTES = 32_000_000
"""A template of the largest block in hex with its descriptions has about 14 MB."""
_IDLE_SECONDS = 20
"""Less than the 30 s after which bitcoind closes an idle connection (-rpcservertimeout)."""
_KEPT_CONNECTIONS = 4
_ON_A_THREAD_BYTES = 50_000
_CLOSED = (ResponseNeverReceived, RequestTransmissionFailed, ConnectionClosed)

_T = TypeVar("_T")


class Rpc:
    """One node's JSON-RPC. Connections are kept; `fresh` calls get one of their own, so that none waits."""

    def __init__(self, reactor: Any, url: str, credentials: Credentials) -> None:
        """`url` is http://host:port without user and password."""
        self._reactor = reactor
        self._url = url
        self._credentials = credentials
        self._pool = HTTPConnectionPool(reactor)  # type: ignore[no-untyped-call]
        self._pool.maxPersistentPerHost = _KEPT_CONNECTIONS
        self._pool.cachedConnectionTimeout = _IDLE_SECONDS
        agent: Any = Agent
        self._kept = HTTPClient(agent(reactor, connectTimeout=CONNECT_SECONDS, pool=self._pool))
        self._fresh = HTTPClient(agent(reactor, connectTimeout=CONNECT_SECONDS))

    async def call(
        self, method: str, *parameters: Any, seconds: float = CALL_SECONDS, fresh: bool = False, body: bytes = b""
    ) -> Any:
        """The result of a call within `seconds`. Raises `NodeError`. `body`: the call's bytes, made beforehand."""
        body = body or call_body(method, parameters)
        status, answer = await self._within(seconds, method, self._exchange(body, fresh, method))
        if len(answer) > _ON_A_THREAD_BYTES:
            return await deferToThread(result_of, method, status, answer)
        return result_of(method, status, answer)

    async def wait(self, method: str, *parameters: Any, seconds: float) -> None:
        """Make a call whose answer is an event and not read; on a connection of its own. Raises `NodeError`."""
        work = self._exchange(call_body(method, parameters), True, method, want_answer=False)
        status, answer = await self._within(seconds, method, work)
        if status != 200:
            result_of(method, status, answer)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._pool.closeCachedConnections()  # type: ignore[no-untyped-call]

    def _within(self, seconds: float, method: str, work: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
        def timed_out(_result: object, _seconds: float) -> NoReturn:
            raise NodeError(Fault.TIMED_OUT, f"{method}: no answer within {seconds:g} s")

        return Deferred.fromCoroutine(work).addTimeout(seconds, self._reactor, timed_out)

    async def _exchange(self, body: bytes, fresh: bool, method: str, *, want_answer: bool = True) -> tuple[int, bytes]:
        header = self._credentials.header()
        status, answer = await self._once(body, fresh, method, want_answer)
        if status == 401 and self._credentials.renew(header):
            status, answer = await self._once(body, fresh, method, want_answer)
        return status, answer

    async def _once(self, body: bytes, fresh: bool, method: str, want_answer: bool) -> tuple[int, bytes]:
        headers = Headers({"Authorization": [self._credentials.header()], "Content-Type": ["application/json"]})

        def post(client: HTTPClient) -> Deferred[Any]:
            return client.post(self._url, headers=headers, data=body, allow_redirects=False, unbuffered=True)

        try:
            try:
                response = await post(self._fresh if fresh else self._kept)
            except _CLOSED as error:
                if fresh or _is_cancelled(error):
                    raise
                response = await post(self._fresh)  # the node had closed the kept connection
            wanted = want_answer or response.code != 200
            reading = BoundedBody(MAX_ANSWER_BYTES if wanted else 0)
            response.deliverBody(reading)
            return response.code, await reading.whole if wanted else b""
        except TooLongError as error:
            raise NodeError(Fault.TOO_LARGE, str(error)) from error
        except (ConnectError, DNSLookupError) as error:
            raise NodeError(Fault.UNREACHABLE, f"{method}: {error}") from error
        except (*_CLOSED, ResponseFailed) as error:
            raise NodeError(Fault.CUT_OFF, f"{method}: the connection ended before the whole answer") from error


def _is_cancelled(error: Exception) -> bool:
    """Whether it was our own side that gave up: then nothing is tried again."""
    return any(isinstance(reason.value, CancelledError) for reason in getattr(error, "reasons", ()))
