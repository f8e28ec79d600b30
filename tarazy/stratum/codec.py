"""Lines, JSON and the bytes of every answer and notification.

Whatever arrives becomes a message or a `RefusalError`; whatever leaves is one line of valid JSON.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import orjson

from tarazy.stratum.job import Job

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
UNKNOWN_METHOD = -32601
OTHER = 20
JOB_NOT_FOUND = 21
DUPLICATE = 22
LOW_DIFFICULTY = 23
UNAUTHORIZED = 24
NOT_SUBSCRIBED = 25

LONGEST_ERROR = 100
"""ESP-Miner shows the text to the owner: one line."""

TRUE = b',"result":true,"error":null}\n'
"""The end of the answer `true`, behind `answer_head`."""


class RefusalError(Exception):
    """A line or a request that is answered with an error. `code` and the text are for the peer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Lines:
    """Cuts a stream into lines, ended by LF or CRLF. Keeps no more than the unfinished one."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes. Their length, and that of `rest`, is for the caller to judge."""
        if self.rest:
            data = self.rest + data
        lines = data.split(b"\n")
        self.rest = lines.pop()
        return lines


def decode(line: bytes) -> dict[str, Any]:
    """The message on a line.

    Raises RefusalError for anything but one JSON object without repeated keys.
    """
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise RefusalError(PARSE_ERROR, "parse-error: a line must be one JSON object") from None
    if type(message) is not dict:
        raise RefusalError(INVALID_REQUEST, "invalid-request: send one JSON object on each line")
    # A flat object has one colon for each key. Where there are more, a key may be repeated; and orjson turns
    # integers beyond 64 bits into floats, which matters for an id, since it is echoed.
    if line.count(b":") != len(message) or type(message.get("id")) is float:
        return _decode_with_care(line)
    return message


def _decode_with_care(line: bytes) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(line, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        raise RefusalError(PARSE_ERROR, "parse-error: a line must be one JSON object") from None
    return message


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RefusalError(PARSE_ERROR, "parse-error: a key stands twice in one object")
    return members


def is_id(value: object) -> bool:
    """Whether a request may be numbered so."""
    return value is None or type(value) in (int, str, float)


def answer_head(ident: Any) -> bytes:
    """The beginning of an answer, with the request's id echoed."""
    if type(ident) is int:
        return b'{"id":%d' % ident
    return b'{"id":%b' % orjson.dumps(ident)


def encode_result(ident: Any, result: object) -> bytes:
    """An answer."""
    return b'%b,"result":%b,"error":null}\n' % (answer_head(ident), orjson.dumps(result))


def encode_error(ident: Any, code: int, text: str) -> bytes:
    """A refusal. The text is cut to 100 ASCII characters (C-020)."""
    return answer_head(ident) + error_tail(code, text)


def error_tail(code: int, text: str) -> bytes:
    """The end of a refusal, behind `answer_head`."""
    return b',"result":null,"error":[%d,%b,null]}\n' % (code, orjson.dumps(one_line(text)))


def one_line(text: str) -> str:
    """A text as it may be shown to a miner's owner: printable ASCII, cut."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:LONGEST_ERROR])


def encode_request(ident: Any, method: str, params: list[Any]) -> bytes:
    """A request, or with id None a notification."""
    return orjson.dumps({"id": ident, "method": method, "params": params}) + b"\n"


@cache
def encode_set_difficulty(exponent: int) -> bytes:
    """The announcement of difficulty 2**exponent, as an exact plain decimal (C-058)."""
    digits = b"%d" % (1 << exponent) if exponent >= 0 else b"0.%0*d" % (-exponent, 5**-exponent)
    return b'{"id":null,"method":"mining.set_difficulty","params":[%b]}\n' % digits


def swap_words(previous_block_hash: bytes) -> bytes:
    """The previous hash as it travels: every 4-byte word of the 32 bytes reversed. Its own inverse."""
    return b"".join(previous_block_hash[i : i + 4][::-1] for i in range(0, 32, 4))


def encode_notify(job: Job, coinb1: bytes) -> tuple[bytes, bytes]:
    """The notification of a job with clean_jobs false, and with true."""
    params = b'["%016x","%b","%b","%b",[%b],"%08x","%08x","%08x",' % (
        job.number,
        swap_words(job.previous_block_hash).hex().encode(),
        coinb1.hex().encode(),
        job.coinbase_end.hex().encode(),
        b",".join(b'"%b"' % element.hex().encode() for element in job.branch),
        job.version,
        job.nbits,
        job.ntime,
    )
    head = b'{"id":null,"method":"mining.notify","params":' + params
    return head + b"false]}\n", head + b"true]}\n"
