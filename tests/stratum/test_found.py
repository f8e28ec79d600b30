"""Faults that fuzzing and the state machine found, each as a plain test."""

from __future__ import annotations

from tests.stratum.house import Client, Pool


def test_no_job_between_authorize_and_subscribe() -> None:
    """C-023: a job published while a connection is authorized, and not yet subscribed, does not go to it."""
    pool = Pool()
    client = Client(pool)
    pool.clients.append(client)
    assert client.ask("mining.authorize", ["acme.rig07", "x"]) is True
    pool.publish()
    assert client.hear() == []
    client.send(b'{"id":2,"method":"mining.subscribe"}\n')
    assert [message.get("method") for message in client.hear()] == [None, "mining.set_difficulty", "mining.notify"]


def test_ready_by_a_readmission() -> None:
    """C-024, C-027: withdrawn before it subscribed and admitted again later, a connection gets work all the same."""
    pool = Pool()
    client = Client(pool)
    client.ask("mining.authorize", ["acme.rig07", "x"])
    pool.gate.refusals["acme.rig07"] = "licence ended: renew it"
    client.session.reconsider(pool.now)
    assert client.ask("mining.subscribe", [])[2] == 8
    client.session.tick(pool.now + 1)
    assert client.hear() == []
    pool.gate.refusals.clear()
    client.session.reconsider(pool.now)
    client.session.tick(pool.now + 2)
    assert [message["method"] for message in client.hear()] == ["mining.set_difficulty", "mining.notify"]
    assert client.submit(client.solve()) is True
