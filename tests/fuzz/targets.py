"""What the fuzzer feeds with bytes: a target returns, or raises where the code does what it must not.

A target knows what must come out of what goes in by a model of its own, not by the code it tests. None needs the
fuzzer: an ordinary test feeds them the corpus too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from tarazy.stratum import codec, login, wishes
from tarazy.stratum.codec import RefusalError
from tarazy.stratum.proxy import ProxyError, read_header
from tests.fuzz.conversation import Conversation
from tests.fuzz.model import followed, parsed, same
from tests.fuzz.proxy import proxy_target


def codec_target(data: bytes) -> None:
    """Lines, JSON, and the readers of what miners write into it."""
    whole, pieces = codec.Lines(), codec.Lines()
    lines = whole.feed(data)
    step = 1 + len(data) % 7
    cut = [line for at in range(0, len(data), step) for line in pieces.feed(data[at : at + step])]
    assert cut == lines
    assert pieces.rest == whole.rest
    for line in (*lines, whole.rest):
        _decode(line)


def _decode(line: bytes) -> None:
    message = _message(line)
    value = parsed(line) if followed(line) else None
    if isinstance(message, RefusalError):
        assert message.text.isascii()
        assert message.text.isprintable()
        if message.code == codec.PARSE_ERROR:
            assert value is None
        elif followed(line):
            assert value is not None
            assert type(value[0]) is not dict
        return
    if followed(line):
        assert value is not None
        assert same(message, value[0])
        for member in message.values():
            _read(member)
    ident = message.get("id")
    if codec.is_id(ident):
        _echo(ident, line.decode())


def _message(line: bytes) -> dict[str, Any] | RefusalError:
    try:
        return codec.decode(line)
    except RefusalError as error:
        return error


def _echo(ident: Any, text: str) -> None:
    for answer in (codec.encode_result(ident, True), codec.encode_error(ident, codec.OTHER, text)):
        assert answer.find(b"\n") == len(answer) - 1
        echoed = json.loads(answer)
        assert same(echoed["id"], ident)
        if echoed["error"] is not None:
            assert len(echoed["error"][1]) <= codec.LONGEST_ERROR
            assert echoed["error"][1].isascii()
            assert echoed["error"][1].isprintable() or not text


def _read(value: Any) -> None:
    for wish in (wishes.difficulty_wish(value), *wishes.password_options(value)):
        assert wish is None or 0 < wish <= wishes.LARGEST_DIFFICULTY
    target = wishes.target_wish(value)
    assert target is None or 0 < target < math.inf
    assert 0 <= wishes.version_mask({"version-rolling.mask": value}) < 1 << 32
    if isinstance(value, str) and login.is_login(*login.split_login(value)):
        known = login.canonical_login(value)
        assert known.isascii()
        assert len(known) <= login.LONGEST_LOGIN
        assert login.canonical_login(known) == known


def session_target(data: bytes) -> None:
    """A whole connection beside another: see `conversation`."""
    Conversation(data).run()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "codec": codec_target,
    "session": session_target,
    "proxy": proxy_target(read_header, ProxyError),
}
"""Every target by its name, which is also the name of its corpus."""
