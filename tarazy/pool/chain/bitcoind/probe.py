"""One look at a node without a reactor, for `tarazy check`."""

from __future__ import annotations

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

    def call(method: str, *parameters: Any) -> Any:
        return _call(url, credentials, method, parameters)

    status = read_status(call("getblockchaininfo"), call("getnetworkinfo"))
    if wanting := gate(status, network):
        raise wanting
    for name in pinned:
        header = call("getblockheader", name)
        if not isinstance(header, dict) or header.get("confirmations", 0) < 1:
            raise NodeError(Fault.WRONG_CHAIN, f"block {name} of chain.pinned_blocks is not in its chain")
    return status


def clock_of(url: str, credentials: Credentials) -> int:
    """A node's clock, milliseconds since 1970. Raises `NodeError`."""
    told = _call(url, credentials, "getnettotals", ())
    milliseconds = told.get("timemillis") if isinstance(told, dict) else None
    if not isinstance(milliseconds, int):
        raise NodeError(Fault.NOT_JSON, "getnettotals: tells no timemillis")
    return milliseconds


def _call(url: str, credentials: Credentials, method: str, parameters: tuple[Any, ...]) -> Any:
    headers = {"Authorization": credentials.header(), "Content-Type": "application/json"}
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=_SECONDS)
    try:
        connection.request("POST", "/", call_body(method, parameters), headers)
        answer = connection.getresponse()
        return result_of(method, answer.status, answer.read(_ANSWER_BYTES))
    except TimeoutError as error:
        raise NodeError(Fault.TIMED_OUT, f"{method}: no answer within {_SECONDS:g} s") from error
    except ConnectionError as error:
        refused = isinstance(error, ConnectionRefusedError)
        raise NodeError(Fault.UNREACHABLE if refused else Fault.CUT_OFF, f"{method}: {error}") from error
    except HTTPException as error:
        raise NodeError(Fault.CUT_OFF, f"{method}: {error!r}") from error
    except OSError as error:
        raise NodeError(Fault.UNREACHABLE, f"{method}: {error}") from error
    finally:
        connection.close()
