"""C-123 in small: whatever arrives, a session answers in valid lines and never raises."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stratum.house import Client, Pool

WORDS = st.sampled_from(
    [
        "mining.configure",
        "mining.subscribe",
        "mining.authorize",
        "mining.submit",
        "mining.suggest_difficulty",
        "mining.suggest_target",
        "mining.extranonce.subscribe",
        "mining.ping",
        "pong",
        "version-rolling",
        "version-rolling.mask",
        "minimum-difficulty",
        "minimum-difficulty.value",
        "acme.rig07",
        "0000000000000000",
        "00000000",
        "d=1,md=2",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | WORDS | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=7) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=5)
)
MESSAGES = st.fixed_dictionaries(
    {"method": WORDS | VALUES}, optional={"id": VALUES, "params": VALUES, "result": VALUES}
)
LINES = MESSAGES.map(lambda message: orjson.dumps(message) + b"\n")
BYTES = st.binary(max_size=300) | st.binary(max_size=100).map(lambda data: b'{"id":1,' + data + b"\n")


def check(client: Client, pieces: list[bytes]) -> None:
    """Feed the pieces and read everything."""
    for piece in pieces:
        client.send(piece)
        for message in client.hear():
            assert "method" in message or valid_answer(message)
        client.session.tick(client.pool.now)


def valid_answer(message: dict[str, Any]) -> bool:
    """The shape of section 3."""
    if set(message) != {"id", "result", "error"}:
        return False
    error = message["error"]
    if error is None:
        return message["result"] is not None
    code, text, data = error
    return (
        type(code) is int
        and data is None
        and message["result"] is None
        and text.isascii()
        and 0 < len(text) <= 100
        and "\n" not in text
    )


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.booleans(), st.lists(LINES | BYTES, max_size=12))
def test_any_bytes(ready: bool, pieces: list[bytes]) -> None:
    """Random bytes and random messages, before and after the handshake."""
    check(Pool().connect("acme.rig07" if ready else None), pieces)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 400), st.integers(0, 400))
def test_damaged_conversation(noise: bytes, start: int, length: int) -> None:
    """A good handshake and submit with a part replaced, in two pieces."""
    good = (
        b'{"id":1,"method":"mining.subscribe","params":["x"]}\n'
        b'{"id":2,"method":"mining.authorize","params":["acme.rig07","x"]}\n'
        b'{"id":3,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}\n'
        b'{"id":4,"method":"mining.submit","params":["acme.rig07","0","0000000000000007","6b49d203","00287f40"]}\n'
    )
    damaged = good[:start] + noise + good[start + length :]
    check(Client(Pool()), [damaged[:start], damaged[start:]])
