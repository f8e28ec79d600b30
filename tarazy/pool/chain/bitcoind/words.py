"""bitcoind's JSON-RPC in plain values: a call's bytes, the result in an answer's bytes, the verdict on a block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from tarazy.pool.chain.bitcoind.faults import Fault, NodeError, fault_of_code
from tarazy.pool.chain.interface import Submission, SubmitVerdict

_FAULT_OF_STATUS = {
    401: (Fault.UNAUTHORIZED, "the node does not know this user or password"),
    403: (Fault.FORBIDDEN, "the node does not let this machine in"),
    503: (Fault.BUSY, "the node's queue of calls is full"),
}
_VERDICTS = {
    "duplicate": SubmitVerdict.DUPLICATE,
    "inconclusive": SubmitVerdict.INCONCLUSIVE,
    "duplicate-inconclusive": SubmitVerdict.INCONCLUSIVE,
}
_PREFERENCE = (SubmitVerdict.ACCEPTED, SubmitVerdict.DUPLICATE, SubmitVerdict.INCONCLUSIVE, SubmitVerdict.REJECTED)


def call_body(method: str, parameters: Sequence[Any]) -> bytes:
    """The body of a call."""
    return orjson.dumps({"jsonrpc": "1.0", "id": "tarazy", "method": method, "params": parameters})


def result_of(method: str, status: int, body: bytes) -> Any:
    """The result in an answer of HTTP status `status`. Raises `NodeError` for everything else."""
    if status in _FAULT_OF_STATUS:
        raise NodeError(*_FAULT_OF_STATUS[status])
    try:
        answer = orjson.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not {"result", "error"} & answer.keys():
        if status == 200:
            raise NodeError(Fault.NOT_JSON, f"{method}: the answer is no JSON-RPC")
        raise NodeError(Fault.NOT_FOUND if status == 404 else Fault.HTTP, f"{method}: HTTP status {status}")
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        raise NodeError(Fault.REFUSED, f"{method}: {error}")
    code = error["code"]
    raise NodeError(fault_of_code(code), f"{method}: {error.get('message', '')} ({code})", code)


def submission_of(result: Any) -> Submission:
    """What submitblock's result says of the block (BIP22)."""
    if result is None:
        return Submission(SubmitVerdict.ACCEPTED)
    word = str(result)[:100]
    verdict = _VERDICTS.get(word)
    return Submission(SubmitVerdict.REJECTED, word) if verdict is None else Submission(verdict)


def best_submission(answers: Sequence[Submission]) -> Submission:
    """Of several nodes' answers the most favourable: one node that takes a block wins over any that refuse it."""
    return min(answers, key=lambda each: _PREFERENCE.index(each.verdict))


def hash_of(result: Any) -> bytes:
    """A hash from a node's words, in internal order. Raises `NodeError` when it is none."""
    try:
        data = bytes.fromhex(result)
    except (TypeError, ValueError):
        data = b""
    if len(data) != 32:
        raise NodeError(Fault.NOT_JSON, f"{str(result)[:80]!r} is no block hash")
    return data[::-1]
