"""Calls to a node without a reactor: a look at it for `tarazy check`, and the wallet's on a thread."""

from __future__ import annotations

from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from tarazy.pool.chain.bitcoind.credentials import Credentials
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.bitcoind.gate import NodeStatus, gate, read_status
from tarazy.pool.chain.bitcoind.words import call_body, result_of

_SECONDS = 5.0
_ANSWER_BYTES = 1_000_000


def probe(url: str, credentials: Credentials, network: str, pinned: tuple[str, ...]) -> NodeStatus:
    """How a node sees its chain. Raises `NodeError` when it does not answer or must not be mined on."""

    def ask(method: str, *parameters: Any) -> Any:
        return call(url, credentials, method, parameters)

    status = read_status(ask("getblockchaininfo"), ask("getnetworkinfo"))
    if wanting := gate(status, network):
        raise wanting
    for name in pinned:
        header = ask("getblockheader", name)
        if not isinstance(header, dict) or header.get("confirmations", 0) < 1:
            raise NodeError(Fault.WRONG_CHAIN, f"block {name} of chain.pinned_blocks is not in its chain")
    return status


def clock_of(url: str, credentials: Credentials) -> int:
    """A node's clock, milliseconds since 1970. Raises `NodeError`."""
    told = call(url, credentials, "getnettotals", ())
    milliseconds = told.get("timemillis") if isinstance(told, dict) else None
    if not isinstance(milliseconds, int):
        raise NodeError(Fault.NOT_JSON, "getnettotals: tells no timemillis")
    return milliseconds


def call(
    url: str,
    credentials: Credentials,
    method: str,
    parameters: Sequence[Any],
    *,
    path: str = "/",
    seconds: float = _SECONDS,
    limit: int = _ANSWER_BYTES,
) -> Any:
    """The result of one call, within `seconds` and `limit` bytes. Raises `NodeError`."""
    headers = {"Authorization": credentials.header(), "Content-Type": "application/json"}
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=seconds)
    try:
        connection.request("POST", path, call_body(method, parameters), headers)
        answer = connection.getresponse()
        return result_of(method, answer.status, answer.read(limit))
    except TimeoutError as error:
        raise NodeError(Fault.TIMED_OUT, f"{method}: no answer within {seconds:g} s") from error
    except ConnectionError as error:
        refused = isinstance(error, ConnectionRefusedError)
        raise NodeError(Fault.UNREACHABLE if refused else Fault.CUT_OFF, f"{method}: {error}") from error
    except HTTPException as error:
        raise NodeError(Fault.CUT_OFF, f"{method}: {error!r}") from error
    except OSError as error:
        raise NodeError(Fault.UNREACHABLE, f"{method}: {error}") from error
    finally:
        connection.close()
