"""What the pool says on its own account: another extranonce1, another version mask, farewell; and who is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tarazy.stratum.agents import DEVICES, OTHER_DEVICE, agent_of, device_of, shows_messages
from tests.stratum.house import NOW, Client, Pool, solve

LOGIN = "acme.rig07"


def methods(messages: list[dict[str, Any]]) -> list[object]:
    """Methods of notifications, in order."""
    return [message.get("method") for message in messages]


def asker(how: str = "method") -> Client:
    """A ready connection that takes mining.set_extranonce."""
    client = Pool().connect(LOGIN)
    if how == "method":
        assert client.ask("mining.extranonce.subscribe", []) is True
    else:
        assert client.ask("mining.configure", [["subscribe-extranonce"], {}]) == {"subscribe-extranonce": True}
    return client


def reissue(client: Client) -> list[dict[str, Any]]:
    """What a second does to those that are in a hurry; what the client hears."""
    pool = client.pool
    assert client.session in pool.board.hurried
    assert pool.board.reissue()
    client.session.send_job(pool.now)
    return client.hear()


# Extranonce.


@pytest.mark.parametrize("how", ["method", "configure"])
def test_another_extranonce1_comes_directly_before_a_job(how: str) -> None:
    """C-041: the announcement and the first job under it are one piece; work sent before goes by the old one."""
    client = asker(how)
    old_extranonce1, old_job = client.session.extranonce1, client.job
    assert old_job is not None
    assert client.session.renumber()
    assert client.hear() == []
    assert client.session.extranonce1 == old_extranonce1
    announcement, notify = reissue(client)
    assert announcement == {"id": None, "method": "mining.set_extranonce", "params": ["07000002", 8]}
    assert notify["method"] == "mining.notify"
    assert client.submit(solve(old_job, old_extranonce1)) is True
    assert client.submit(client.solve()) is True
    names = [client.pool.journal.names[share.name - 1] for share in client.pool.journal.shares]
    assert [name.extranonce1.hex() for name in names] == ["07000001", "07000002"]
    assert [name.connection for name in names] == [1, 2]
    assert client.submit(solve(old_job, old_extranonce1)) == [22, "duplicate", None]


def test_each_name_is_entered_with_the_extranonce1_of_its_work() -> None:
    """C-041, C-033: also one that was admitted after the change and sends work of before."""
    client = asker()
    old_extranonce1, old_job = client.session.extranonce1, client.job
    assert old_job is not None
    client.session.renumber()
    reissue(client)
    client.ask("mining.authorize", ["beta.rig"])
    for extranonce2 in range(2):
        for login in (LOGIN, "beta.rig"):
            number = 2 * extranonce2 + (login != LOGIN)
            assert client.submit(solve(old_job, old_extranonce1, extranonce2=number), login) is True
            name = client.pool.journal.names[client.pool.journal.shares[-1].name - 1]
            assert (f"{name.account}.{name.worker}", name.extranonce1) == (login, old_extranonce1)
    assert len({share.name for share in client.pool.journal.shares}) == 2


def test_a_block_on_an_old_job_has_the_old_extranonce1() -> None:
    """C-041, invariant 5: the coinbase that is handed over is the one that was mined."""
    client = asker()
    client.session.renumber()
    client.pool.publish(target=2**256 - 1)
    client.hear()
    easy = client.job
    client.session.renumber()
    reissue(client)
    assert easy is not None
    assert client.submit(solve(easy, bytes.fromhex("07000002"))) is True
    ((_, _, coinbase, _), _) = client.pool.blocks.events
    assert coinbase == easy.coinb1 + bytes.fromhex("07000002") + bytes(8) + easy.coinb2


def test_many_changes_hold_no_more_numbers_than_there_is_work() -> None:
    """C-041, C-053: a number is free again when the last job under it is forgotten, or the connection closed."""
    client = asker()
    pool = client.pool
    for _ in range(100):
        client.session.renumber()
        pool.publish()
        assert methods(client.hear()) == ["mining.set_extranonce", "mining.notify"]
    assert len(pool.board.extranonces._living) <= 41
    client.session.renumber()
    client.session.close(pool.now)
    assert pool.board.extranonces._living == set()
    (parked,) = pool.board.extranonces.parked()
    assert parked.extranonce1 == bytes.fromhex("07000065")
    assert len(parked.works) == 1, "what was sent under an earlier one cannot be resumed"


def test_only_who_asked_is_renumbered() -> None:
    """C-042: others keep theirs and hear nothing; asking closes nothing, before ready either."""
    client = Pool().connect(LOGIN)
    assert not client.session.renumber()
    client.pool.publish()
    assert methods(client.hear()) == ["mining.notify"]
    early = client.pool.connect()
    assert early.ask("mining.extranonce.subscribe", []) is True
    assert early.ask("mining.extranonce.subscribe", None) is True
    assert not early.session.renumber()
    assert early.hear() == []
    assert not early.session.ended


# Version mask.


def test_another_mask_is_announced_directly_before_a_job() -> None:
    """C-073, C-074: after configure only; work sent before may use either mask."""
    pool = Pool()
    rolling, plain = pool.connect(LOGIN, rolling=True), pool.connect("acme.rig08")
    narrow = pool.connect()
    narrow.ask("mining.configure", [["version-rolling"], {"version-rolling.mask": "0000e000"}])
    old = rolling.job
    pool.board.follow(replace(pool.board.rules, version_mask=0x0000F000))
    for client in pool.clients:
        client.session.mask_changed()
        assert client.hear() == []
    pool.publish()
    announcement, notify = rolling.hear()
    assert announcement == {"id": None, "method": "mining.set_version_mask", "params": ["0000f000"]}
    assert notify["method"] == "mining.notify"
    assert methods(plain.hear()) == ["mining.notify"]
    assert narrow.hear() == [], "not before it is ready"
    assert rolling.submit(rolling.solve(job=old, bits=0x10000000)) is True
    assert rolling.submit(rolling.solve(bits=0x1000)) is True
    assert rolling.submit(rolling.solve(bits=0x10000000, extranonce2=1))[1] == "bad-version"
    pool.publish()
    assert methods(rolling.hear()) == ["mining.notify"], "once"


def test_a_change_outside_of_what_a_miner_rolls_is_not_announced() -> None:
    """C-074: its mask stays what it is."""
    pool = Pool()
    client = pool.connect()
    client.ask("mining.configure", [["version-rolling"], {"version-rolling.mask": "0000e000"}])
    client.ask("mining.subscribe", [])
    client.ask("mining.authorize", [LOGIN])
    pool.board.follow(replace(pool.board.rules, version_mask=0x0FFFE000))
    client.session.mask_changed()
    pool.publish()
    assert methods(client.hear()) == ["mining.notify"]


def test_who_was_refused_rolling_hears_of_no_mask() -> None:
    """C-074: configure did not succeed, so there is no mask to set."""
    pool = Pool()
    client = pool.connect()
    options = {"version-rolling.mask": "40000000"}
    assert client.ask("mining.configure", [["version-rolling"], options]) == {"version-rolling": False}
    client.ask("mining.subscribe", [])
    client.ask("mining.authorize", [LOGIN])
    pool.board.follow(replace(pool.board.rules, version_mask=0x5FFFE000))
    client.session.mask_changed()
    pool.publish()
    assert methods(client.hear()) == ["mining.notify"]


def test_a_mask_that_the_present_job_does_not_allow_is_refused() -> None:
    """C-069: its version has a bit inside."""
    pool = Pool()
    with pytest.raises(ValueError, match="inside the mask"):
        pool.board.follow(replace(pool.board.rules, version_mask=0x3FFFE000))
    assert pool.connect().ask("mining.configure", [["version-rolling"], {}])["version-rolling.mask"] == "1fffe000"


# Farewell.


def subscribed_as(agent: object) -> Client:
    """A ready connection with this user agent."""
    client = Pool().connect()
    client.ask("mining.subscribe", [agent])
    client.ask("mining.authorize", [LOGIN])
    return client


def test_farewell_names_no_host() -> None:
    """Reconnect has no parameters, so it is the same host; the text goes to those that show it."""
    client = subscribed_as("cgminer/4.12.1")
    client.session.farewell("the pool is updated: back in a moment\n" + "é" * 200)
    message, reconnect = client.hear()
    assert message["method"] == "client.show_message"
    (text,) = message["params"]
    assert text.startswith("the pool is updated: back in a moment?")
    assert (len(text), text.isascii()) == (100, True)
    assert reconnect == {"id": None, "method": "client.reconnect", "params": []}
    assert not client.session.ended
    assert client.submit(client.solve()) is True, "who closes it decides when"


def test_farewell_to_others() -> None:
    """No text to who may not know it; nothing at all before ready, C-023."""
    client = subscribed_as("bosminer-plus-tuner")
    client.session.farewell("soon")
    assert methods(client.hear()) == ["client.reconnect"]
    early = client.pool.connect()
    early.session.farewell("soon")
    assert early.hear() == []


def test_a_reply_to_get_version_is_ignored() -> None:
    """C-018: and any other answer of the peer's."""
    client = Pool().connect(LOGIN)
    client.send(b'{"id":1,"result":"cgminer/4.12.1","error":null}\n{"id":1,"result":null,"error":[20,"x",null]}\n')
    assert client.hear() == []
    assert not client.session.ended


def test_pings_both_ways() -> None:
    """Asked, the pool answers; a silent miner is asked, and either form of its answer keeps it (C-018)."""
    pool = Pool()
    client = pool.connect(LOGIN)
    assert client.ask("mining.ping", []) == "pong"
    for number, pong in enumerate((b'{"id":1,"result":"pong","error":null}\n', b'{"id":null,"method":"pong"}\n')):
        at = pool.now = NOW + 1_000 * (number + 1)
        pool.publish()
        client.hear()
        client.session.tick(at)
        assert methods(client.hear()) == ["mining.ping"]
        client.session.receive(pong, at + 30)
        client.session.tick(at + 61)
        assert not client.session.ended


# User agents.


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("cgminer/4.11.1", "cgminer"),
        ("Antminer S21/Thu Mar", "antminer"),
        ("whatsminer/v1.1", "whatsminer"),
        ("bosminer-plus-tuner 0.2", "braiins"),
        ("bitaxe/BM1370/v2.4.1", "bitaxe"),
        ("NiceHash/1.0.0", "nicehash"),
        ("cpuminer-multi", "cpuminer"),
        ("", "other"),
        ("my secret name", "other"),
    ],
)
def test_devices_are_counted_by_kind(agent: str, device: str) -> None:
    """A closed set of words, whatever a miner writes (invariant 12); only ready connections count."""
    client = subscribed_as(agent)
    devices = client.pool.board.counters.devices
    assert {kind: count for kind, count in devices.items() if count} == {device: 1}
    client.ask("mining.subscribe", ["cgminer/9"])
    client.session.close(NOW)
    assert set(devices.values()) == {0}
    assert set(devices) == {*DEVICES.values(), OTHER_DEVICE}


@pytest.mark.parametrize("value", [None, 5, {}, [], True])
def test_user_agents_that_are_none(value: object) -> None:
    """C-025: taken, and empty."""
    assert agent_of(value) == ""
    assert subscribed_as(value).job is not None


def test_user_agents_are_cut_and_printable() -> None:
    """C-124: 128 signs of ASCII are kept, nothing that a terminal or a page would obey."""
    assert agent_of("a\x1b[31m\x00é\nb" + "c" * 500) == "a[31mb" + "c" * (128 - 10)
    assert device_of(agent_of("\u202ecgminer")) == "cgminer"
    assert not shows_messages("")
