"""Faults that fuzzing found, each as a plain test."""

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
