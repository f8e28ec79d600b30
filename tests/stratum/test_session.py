"""The conversation: transport limits, JSON layer, handshake, names, methods."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from tarazy.stratum.ports import Peer
from tarazy.stratum.session import Session
from tests.stratum.house import NOW, Client, Pool

CONFIGURE = {"id": 1, "method": "mining.configure", "params": [["version-rolling"], {}]}
SUBSCRIBE = {"id": 2, "method": "mining.subscribe", "params": ["cgminer/4.11"]}
AUTHORIZE = {"id": 3, "method": "mining.authorize", "params": ["acme.rig07", "x"]}


def packet(*messages: dict[str, Any], end: bytes = b"\n") -> bytes:
    """Messages as lines."""
    return b"".join(orjson.dumps(message) + end for message in messages)


def kinds(messages: list[dict[str, Any]]) -> list[object]:
    """Ids of answers and methods of notifications, in order."""
    return [message.get("method", message["id"]) for message in messages]


# Transport, section 2.


def test_same_answers_however_the_bytes_arrive() -> None:
    """C-001: LF or CRLF, empty lines, one packet or single bytes."""
    said = [CONFIGURE, SUBSCRIBE, AUTHORIZE, {"id": 9, "method": "mining.ping", "params": []}]
    streams = [packet(*said), packet(*said, end=b"\r\n"), packet(*said, end=b"\n\r\n\n")]
    heard = []
    for stream, size in itertools.product(streams, (1, 5, 10_000)):
        client = Client(Pool())
        messages = []
        for start in range(0, len(stream), size):
            client.send(stream[start : start + size])
            messages += client.hear()
        messages[1]["result"][0] = None  # the subscription's id is random
        heard.append(messages)
    assert kinds(heard[0]) == [1, 2, 3, "mining.set_difficulty", "mining.notify", 9]
    assert all(messages == heard[0] for messages in heard)


@pytest.mark.parametrize("login", [None, "acme.rig07"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_over_long_line_ends_the_connection(login: str | None, end: bytes) -> None:
    """C-002: 4 KiB before ready, 8 KiB after, finished or not; memory stays bounded."""
    limit = 4096 if login is None else 8192
    for length, ended in ((limit, False), (limit + 1, True)):
        client = Pool().connect(login)
        client.send(b'{"id":1,"method":"mining.ping","x":"'.ljust(length - 2, b"a") + b'"}' + end)
        assert client.session.ended is ended
        if ended:
            assert client.hear()[-1]["error"][1] == "parse-error: line too long"
        client.send(b"x" * 10_000)


@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", b"PROXY TCP4", b"\r\n", b" {", b"\x00"])
def test_other_protocols_are_closed_silently(first: bytes) -> None:
    """C-003: a first byte that is neither `{` nor `[` ends the connection without a word."""
    client = Client(Pool())
    client.send(first)
    assert client.session.ended
    assert client.hear() == []


def test_message_limit_before_ready() -> None:
    """C-004: the 21st message before ready ends the connection; afterwards there is no such limit."""
    client = Client(Pool())
    for _ in range(20):
        assert client.ask("mining.ping", []) == "pong"
    client.send(packet({"id": 1, "method": "mining.ping"}))
    assert client.session.ended
    assert client.hear()[0]["error"][1].startswith("rate-limited")
    ready = Pool().connect("acme.rig07")
    assert all(ready.ask("mining.ping", []) == "pong" for _ in range(50))


def test_time_limit_before_ready() -> None:
    """C-004, C-006: 30 s without becoming ready end the connection, however busy it was."""
    client = Client(Pool())
    client.send(b'{"id"')
    client.session.tick(NOW + 29.9)
    assert not client.session.ended
    client.session.tick(NOW + 30)
    assert client.session.ended
    ready = Pool().connect("acme.rig07")
    ready.session.tick(NOW + 31)
    assert not ready.session.ended


def test_silent_miner_is_asked_then_closed() -> None:
    """15 min without a byte at the lowest difficulty bring a ping, 60 s later the end; any byte saves it."""
    for answers in (True, False):
        client = Pool().connect("acme.rig07")
        client.pool.now += 890
        client.pool.publish()
        client.hear()
        client.session.tick(NOW + 899)
        assert client.hear() == []
        client.session.tick(NOW + 901)
        assert kinds(client.hear()) == ["mining.ping"]
        if answers:
            client.session.receive(b'{"id":1,"result":"pong","error":null}\n', NOW + 930)
        client.session.tick(NOW + 970)
        assert client.session.ended is not answers


# JSON, section 3.


def test_five_malformed_lines_in_a_row_end_the_connection() -> None:
    """C-010: each gets its answer; a good line in between starts the count anew."""
    client = Pool().connect("acme.rig07")
    for _ in range(3):
        client.send(b"junk\n" * 4)
        assert [message["error"][0] for message in client.hear()] == [-32700] * 4
        assert client.ask("mining.ping", []) == "pong"
    client.send(b"junk\n" * 6)
    assert len(client.hear()) == 5
    assert client.session.ended


def test_every_request_with_an_id_is_answered() -> None:
    """C-012: unknown methods with -32601, known ones that we do not do with not-supported."""
    client = Pool().connect("acme.rig07")
    for method in ("mining.capabilities", "mining.hashrate", "eth_submitWork", ""):
        assert client.ask(method, []) == [-32601, "unknown-method", None]
    assert client.ask("mining.get_transactions", ["x"]) == [20, "not-supported", None]
    assert not client.session.ended
    assert client.ask("mining.multi_version", [4]) is True
    assert client.ask("mining.ping", None) == "pong"


def test_notifications_are_not_answered() -> None:
    """Without id or with null: act, do not answer; but configure, subscribe and authorize are answered."""
    client = Client(Pool())
    client.send(b'{"method":"mining.ping"}\n{"id":null,"method":"nonsense"}\n{"method":"mining.suggest_target"}\n')
    assert client.hear() == []
    client.send(b'{"method":"mining.subscribe"}\n{"id":null,"method":"mining.authorize","params":["a.b"]}\n')
    assert kinds(client.hear()) == [None, None, "mining.set_difficulty", "mining.notify"]


@pytest.mark.parametrize("params", [{}, {"a": 1}, 5, "text", True])
def test_params_that_are_no_array(params: object) -> None:
    """C-016: objects, numbers and strings are bad-params for every method."""
    client = Pool().connect("acme.rig07")
    for method in ("mining.subscribe", "mining.authorize", "mining.configure", "mining.ping", "mining.submit"):
        code, text, _ = client.ask(method, params)
        assert (code, text.split(":")[0]) == (20, "bad-params")


@pytest.mark.parametrize("ident", [True, [], {}, [1]])
def test_ids_that_are_none(ident: object) -> None:
    """An id is a number, a string or null; anything else is an invalid request with id null."""
    client = Pool().connect("acme.rig07")
    client.send(packet({"id": ident, "method": "mining.ping"}))
    (answer,) = client.hear()
    assert (answer["id"], answer["error"][0]) == (None, -32600)


@pytest.mark.parametrize("method", [5, None, [], {}, True])
def test_method_that_is_no_string(method: object) -> None:
    """It is an invalid request, answered under its id."""
    assert Pool().connect("acme.rig07").ask(method, [], 8)[0] == -32600  # type: ignore[arg-type]


def test_answers_from_the_peer_are_ignored() -> None:
    """C-018: lines without method, and `pong`, are neither errors nor abuse."""
    client = Pool().connect("acme.rig07")
    client.send(b'{"id":1,"result":"pong","error":null}\n{}\n{"id":7,"method":"pong"}\n' * 10)
    assert client.hear() == []
    assert not client.session.ended


# Handshake, section 4.


@pytest.mark.parametrize("order", list(itertools.permutations([CONFIGURE, SUBSCRIBE, AUTHORIZE])))
@pytest.mark.parametrize("together", [True, False])
def test_all_orders(order: tuple[dict[str, Any], ...], together: bool) -> None:
    """C-021, C-022, C-023, C-024: any order, one packet or three.

    Answers first, then difficulty and a clean job in one piece.
    """
    client = Client(Pool())
    if together:
        client.send(packet(*order, *order))
        messages = client.hear()
    else:
        messages = []
        for message in (*order, *order):
            client.send(packet(message))
            heard = client.hear()
            if "mining.notify" in kinds(heard):
                assert kinds(heard) == [message["id"], "mining.set_difficulty", "mining.notify"]
            messages += heard
    answers = [message["id"] for message in messages if "method" not in message]
    assert answers == [message["id"] for message in (*order, *order)]
    ready_after = max(order.index(SUBSCRIBE), order.index(AUTHORIZE))
    assert kinds(messages)[ready_after + 1 : ready_after + 3] == ["mining.set_difficulty", "mining.notify"]
    assert messages[ready_after + 2]["params"][8] is True
    assert kinds(messages).count("mining.notify") == 1


@pytest.mark.parametrize("params", [None, [], ["ua"], ["ua", None], ["ua", "deadbeef"], ["ua", "s", "host", 3333]])
def test_forms_of_subscribe(params: object) -> None:
    """C-025: every form is taken; a second subscribe gives the same answer."""
    client = Client(Pool())
    first = client.ask("mining.subscribe", params)
    assert first == client.ask("mining.subscribe", params)
    subscriptions, extranonce1, size = first
    assert [name for name, _ in subscriptions] == ["mining.set_difficulty", "mining.notify"]
    assert (extranonce1, size) == ("07000001", 8)


def test_extranonces_differ() -> None:
    """C-038: the gateway's number, then the connection's; none taken by one that never subscribes."""
    pool = Pool()
    clients = [Client(pool) for _ in range(4)]
    assert [c.ask("mining.subscribe", [])[1] for c in clients[::2]] == ["07000001", "07000002"]


def test_numbers_that_come_round_skip_living_connections() -> None:
    """C-038: connection numbers have three bytes; no extranonce1 is given to two connections at a time."""
    pool = Pool()
    old = [Client(pool) for _ in range(3)]
    assert [c.ask("mining.subscribe", [])[1] for c in old] == ["07000001", "07000002", "07000003"]
    old[1].session.close(pool.now)
    pool.journal.connections = 1 << 24
    assert [Client(pool).ask("mining.subscribe", [])[1] for _ in range(2)] == ["07000002", "07000004"]


def test_numbers_are_not_tried_for_ever() -> None:
    """C-038: where very many in a row are taken the miner is told to come again, and gets one then."""
    pool = Pool()
    for _ in range(1499):
        pool.board.extranonces.take()
    pool.journal.connections = 0
    client = Client(pool)
    assert client.ask("mining.subscribe", [])[1].startswith("not-ready")
    assert client.ask("mining.subscribe", [])[1] == "070005dc"


def test_job_comes_when_there_is_one() -> None:
    """A connection that is ready before the first template gets its job with it."""
    pool = Pool(work=False)
    client = pool.connect("acme.rig07")
    assert client.job is None
    pool.publish()
    assert kinds(client.hear()) == ["mining.set_difficulty", "mining.notify"]


def test_refusal_has_reason_and_delayed_end() -> None:
    """C-026: code 24 with reason and cure, about 5 s to read it, then the end. The refusal is counted and told."""
    pool = Pool()
    pool.gate.refusals["acme.rig07"] = "licence ended 2026-10-01, renew it and ask the pool office"
    client = Client(pool)
    client.ask("mining.subscribe", [])
    code, text, _ = client.ask("mining.authorize", ["ACME.rig07", "x"])
    assert (code, text) == (24, "unauthorized: licence ended 2026-10-01, renew it and ask the pool office")
    assert client.ask("mining.authorize", ["acme.rig07", "x"])[0] == 24
    assert client.job is None
    assert client.submit(["0" * 16, "0" * 16, "0" * 8, "0" * 8])[1] == text
    client.session.tick(NOW + 4.9)
    assert not client.session.ended
    client.session.tick(NOW + 5)
    assert client.session.ended
    assert pool.board.counters.refused == {"licence-expired": 2}
    assert pool.gate.refused == [("acme.rig07", "10.0.0.1")] * 2


def test_refused_name_beside_an_admitted_one() -> None:
    """One refused name does not end a connection that has another."""
    pool = Pool()
    pool.gate.refusals["bad.rig"] = "unknown account"
    client = Client(pool)
    client.ask("mining.subscribe", [])
    assert client.ask("mining.authorize", ["bad.rig"])[0] == 24
    assert client.ask("mining.authorize", ["acme.rig07"]) is True
    assert client.ask("mining.authorize", ["bad.rig"])[0] == 24
    client.session.tick(NOW + 10)
    assert not client.session.ended


@pytest.mark.parametrize("name", ["", ".rig", "_x.rig", "a/b", "a\x00b", "қ.rig", "a" * 128])
def test_bad_names(name: str) -> None:
    """C-032, invariant 4: it is the gate that refuses them, as they came, so that the refusal is kept."""
    pool = Pool()
    client = Client(pool)
    assert client.ask("mining.authorize", [name, "x"])[:2] == [24, "unauthorized: bad name"]
    assert pool.gate.refused == [(name, "10.0.0.1")]
    assert pool.board.counters.refused == {"bad-name": 1}
    assert pool.journal.connections == 0


@pytest.mark.parametrize("name", ["a" * 4_000, "a" * 127 + "." + "b" * 3_000])
def test_endless_names_are_cut_and_stay_too_long(name: str) -> None:
    """C-032: the gate is asked about a beginning that is no login either."""
    client = Client(Pool())
    assert client.ask("mining.authorize", [name])[0] == 24
    assert client.pool.gate.refused == [(name[:256], "10.0.0.1")]


def test_twenty_refusals_in_a_row_end_even_a_ready_connection() -> None:
    """Guessing is bounded on one connection; an admitted name in between starts the count anew."""
    client = Pool().connect("acme.rig07")
    for end in range(2):
        for number in range(19):
            assert client.ask("mining.authorize", [f"_{number}"])[0] == 24
        assert client.ask("mining.authorize", ["acme.rig07"]) is True
        if not end:
            assert client.ask("mining.authorize", ["acme.rig08"]) is True
    assert not client.session.ended
    assert client.ask("mining.authorize", ["_"])[0] == 24
    assert client.session.ended


@pytest.mark.parametrize("params", [[], [None], [5, "x"], [["a"]]])
def test_authorize_without_a_name(params: object) -> None:
    """It is bad-params, and no refusal."""
    pool = Pool()
    assert Client(pool).ask("mining.authorize", params)[0] == 20
    assert pool.board.counters.refused == {}


@pytest.mark.parametrize("password", [[], [None], [5], [{}], ["x"], [""], ["worker=1,c=BTC"]])
def test_any_password_is_fine(password: list[object]) -> None:
    """C-036: empty, missing and unknown passwords do not matter to the wire."""
    client = Client(Pool())
    assert client.ask("mining.authorize", ["acme.rig07", *password]) is True


def test_too_many_names() -> None:
    """C-037: the 1,025th name is refused with code 20; those before stay."""
    client = Pool().connect("acme.w0")
    for number in range(1, 1024):
        assert client.ask("mining.authorize", [f"acme.w{number}"]) is True
    assert client.ask("mining.authorize", ["acme.w1024"])[:2] == [
        20,
        "too-many-names: 1024 names are the most for one connection",
    ]
    assert client.ask("mining.authorize", ["acme.w5"]) is True
    assert client.session.admitted == 1024


# configure and difficulty wishes, sections 10 and 11.


def test_configure_answers_every_extension() -> None:
    """C-029: one entry each, false for what is unknown."""
    asked = ["version-rolling", "minimum-difficulty", "subscribe-extranonce", "info", "made-up"]
    options = {"version-rolling.mask": "ffffffff", "minimum-difficulty.value": 1024, "info.text": "x"}
    assert Client(Pool()).ask("mining.configure", [asked, options]) == {
        "version-rolling": True,
        "version-rolling.mask": "1fffe000",
        "minimum-difficulty": True,
        "subscribe-extranonce": True,
        "info": True,
        "made-up": False,
    }


@pytest.mark.parametrize("params", [[], None, ["version-rolling"], [[5]], [{}], [["x"] * 65]])
def test_bad_configure(params: object) -> None:
    """Anything but a list of names is bad-params."""
    assert Client(Pool()).ask("mining.configure", params)[0] == 20


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, "1fffe000"),
        ({"version-rolling.mask": "00c00000"}, "00c00000"),
        ({"version-rolling.mask": "e000", "version-rolling.min-bit-count": 31}, "0000e000"),
        ({"version-rolling.mask": "40000000"}, None),
        ({"version-rolling.mask": "bad"}, None),
    ],
)
def test_mask_is_what_both_want(options: dict[str, object], mask: str | None) -> None:
    """C-067, C-068: server and miner; nothing in common is false; min-bit-count never refuses."""
    result = Client(Pool()).ask("mining.configure", [["version-rolling"], options])
    if mask is None:
        assert result == {"version-rolling": False}
    else:
        assert result == {"version-rolling": True, "version-rolling.mask": mask}


def test_nothing_is_sent_for_a_mask() -> None:
    """C-030, C-074: configure may come again, and its answer is all that comes."""
    client = Pool().connect("acme.rig07", rolling=True)
    client.ask("mining.configure", [["version-rolling"], {"version-rolling.mask": "0000e000"}])
    assert client.hear() == []


@pytest.mark.parametrize(
    ("value", "granted"), [(1024, True), (2.0**41, False), (0, False), ("x", False), (True, False)]
)
def test_minimum_difficulty_is_honoured_or_false(value: object, granted: bool) -> None:
    """C-064: `true` means that no job comes below it."""
    client = Client(Pool())
    options = {"minimum-difficulty.value": value}
    assert client.ask("mining.configure", [["minimum-difficulty"], options]) == {"minimum-difficulty": granted}
    client.ask("mining.subscribe", [])
    client.ask("mining.authorize", ["acme.rig07", "d=0.001"])
    assert client.difficulties == [1024 if granted else 2.0**-10]


@pytest.mark.parametrize(
    ("method", "wish", "difficulty"),
    [
        ("mining.suggest_difficulty", 512, 512),
        ("mining.suggest_difficulty", "512", 512),
        ("mining.suggest_difficulty", 0.0001, 2.0**-13),
        ("mining.suggest_difficulty", 1e-12, 2.0**-24),
        ("mining.suggest_target", f"{0xFFFF << 204:064x}", 16),
    ],
)
def test_wishes_before_and_after_authorize(method: str, wish: object, difficulty: float) -> None:
    """C-063: a wish before sets the first job's difficulty, one after the next job's."""
    before = Client(Pool())
    assert before.ask(method, [wish]) is True
    before.ask("mining.subscribe", [])
    before.ask("mining.authorize", ["acme.rig07"])
    assert before.difficulties == [difficulty]
    after = Pool().connect("acme.rig07")
    assert after.ask(method, [wish]) is True
    after.pool.publish()
    assert kinds(after.hear())[-2:] == (
        ["mining.set_difficulty", "mining.notify"] if difficulty != 2.0**-24 else ["mining.notify"]
    )
    assert after.difficulties[-1] == difficulty


@pytest.mark.parametrize("params", [[], ["nan"], [-1], [0], [True], [None], [[]], [2.0**64], ["1e3"]])
def test_wishes_that_are_none(params: list[object]) -> None:
    """C-063: bad-params, and nothing changes."""
    client = Pool().connect("acme.rig07")
    wanted = client.session.assignments.vardiff.wanted
    for method in ("mining.suggest_difficulty", "mining.suggest_target"):
        assert client.ask(method, params)[0] == 20
    assert client.session.assignments.vardiff.wanted == wanted


def test_difficulty_is_remembered_over_a_reconnect() -> None:
    """A name starts at the difficulty it was last served at within a day."""
    pool = Pool()
    client = pool.connect()
    client.ask("mining.suggest_difficulty", [4096])
    client.ask("mining.subscribe", [])
    client.ask("mining.authorize", ["acme.rig07"])
    client.session.close(pool.now)
    pool.clients.clear()
    assert pool.connect("acme.rig07").difficulties == [4096]
    assert pool.connect("acme.rig08").difficulties == [2.0**-24]
    pool.now += 90_000
    assert pool.connect("acme.rig07").difficulties == [2.0**-24]


# Withdrawal, invariant 4.


def test_withdrawn_admission() -> None:
    """C-027: submits get 24 with the reason, no job follows, the connection ends within a second."""
    pool = Pool()
    client = pool.connect("acme.rig07")
    proof = client.solve()
    pool.gate.refusals["acme.rig07"] = "licence revoked 2026-10-01, ask the pool office"
    assert client.session.reconsider(pool.now) is True
    assert client.submit(proof)[:2] == [24, "unauthorized: licence revoked 2026-10-01, ask the pool office"]
    pool.publish()
    assert client.hear() == []
    client.session.tick(pool.now + 0.9)
    assert client.session.ended
    assert pool.journal.shares == []


def test_withdrawal_of_one_name_of_two() -> None:
    """The other name mines on; the first one's shares get 24; given back, it mines again."""
    pool = Pool()
    client = pool.connect("acme.rig07")
    client.ask("mining.authorize", ["beta.rig01"])
    pool.gate.refusals["acme.rig07"] = "licence revoked"
    assert client.session.reconsider(pool.now) is False
    assert client.submit(client.solve(extranonce2=1), "acme.rig07")[0] == 24
    assert client.submit(client.solve(extranonce2=2), "beta.rig01") is True
    assert pool.journal.names[pool.journal.shares[-1].name - 1].account == "beta"
    pool.gate.refusals.clear()
    client.session.reconsider(pool.now)
    assert client.submit(client.solve(extranonce2=1), "acme.rig07") is True
    assert not client.session.ended


def test_sessions_need_little_memory() -> None:
    """A session has no room for accidental attributes."""
    with pytest.raises(AttributeError):
        Session(Pool().board, Peer(""), 0.0).anything = 1  # type: ignore[attr-defined]
