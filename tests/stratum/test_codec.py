"""Lines and JSON: what is taken, what is refused, and how numbers leave."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

from tarazy.stratum import codec
from tarazy.stratum.codec import (
    Lines,
    RefusalError,
    decode,
    encode_error,
    encode_result,
    encode_set_difficulty,
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_however_they_arrive(size: int) -> None:
    """C-001: the same lines in any pieces."""
    stream = b'{"id":1}\n{"id":2}\r\n\n{"id":3}\nrest'
    lines = Lines()
    cut = [line for start in range(0, len(stream), size) for line in lines.feed(stream[start : start + size])]
    assert cut == [b'{"id":1}', b'{"id":2}\r', b"", b'{"id":3}']
    assert lines.rest == b"rest"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b'{"id":1',
        b'{"id":NaN}',
        b'{"id":Infinity}',
        b'{"id":1e400}',
        b'{"id":' + b"9" * 5000 + b"}",
        b'{"id":1,"id":2}',
        b'{"id":1,"method":"m","params":[{"a":1,"a":2}]}',
        b'{"id":1,"p":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"id":1.5,"p":' + b"[" * 1020 + b"]" * 1020 + b"}",
        b'{"id":"\xff"}',
        b'{"id":"\\ud800"}',
        b'{"id":"\\udc00\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"{'id':1}",
        b'{"id":1,}',
        b'{"id":01}',
        b'{"id":1} {"id":2}',
    ],
)
def test_malformed_lines_are_parse_errors(line: bytes) -> None:
    """C-013, C-015: whatever is no JSON object in plain UTF-8 is a clean parse error."""
    with pytest.raises(RefusalError) as caught:
        decode(line)
    assert caught.value.code == codec.PARSE_ERROR


@pytest.mark.parametrize("line", [b"[]", b'[{"id":1}]', b"1", b'"text"', b"null", b"true"])
def test_other_json_is_an_invalid_request(line: bytes) -> None:
    """C-014: a batch or a bare value is refused, not read."""
    with pytest.raises(RefusalError) as caught:
        decode(line)
    assert caught.value.code == codec.INVALID_REQUEST


@pytest.mark.parametrize(
    "ident",
    [
        0,
        4,
        -7,
        2**53 + 1,
        2**63,
        2**64 + 1,
        -(2**80),
        10**200,
        1.5,
        -0.25,
        1e300,
        "text",
        "",
        "қазақ",
        '"\\',
        None,
    ],
)
def test_ids_are_echoed_exactly(ident: object) -> None:
    """C-011: integers of any size, floats, strings and null come back as they were sent."""
    text = str(ident) if isinstance(ident, int) else orjson.dumps(ident).decode()
    message = decode(f'{{"id":{text},"method":"m"}}'.encode())
    assert message["id"] == ident
    assert type(message["id"]) is type(ident)
    assert encode_result(message["id"], True) == f'{{"id":{text},"result":true,"error":null}}\n'.encode()


def test_errors_are_one_short_ascii_line() -> None:
    """C-019, C-020: result null, `[code, text, null]`, at most 100 printable ASCII characters."""
    answer = orjson.loads(encode_error(1, 24, "unauthorized: лицензия\n\x00" + "x" * 200))
    assert answer["result"] is None
    code, text, data = answer["error"]
    assert (code, data, len(text)) == (24, None, 100)
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize("exponent", range(-32, 65))
def test_difficulty_is_announced_as_an_exact_plain_decimal(exponent: int) -> None:
    """C-058: no exponent, no rounding, an integer from 1 up; a miner's float reads exactly the power of two."""
    line = encode_set_difficulty(exponent)
    digits = line.split(b"[")[1].split(b"]")[0].decode()
    assert "e" not in digits.lower()
    assert ("." in digits) == (exponent < 0)
    assert Decimal(digits) == Decimal(2) ** exponent
    assert orjson.loads(line)["params"] == [2.0**exponent]
