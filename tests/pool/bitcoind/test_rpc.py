"""Calls over real HTTP: every way a node can fail is a fault by name, bounded in time and size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tarazy.pool.chain.bitcoind import rpc as rpc_module
from tarazy.pool.chain.bitcoind.credentials import Credentials
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.bitcoind.rpc import Rpc
from tests.pool.bitcoind.recorded import REACTOR, RecordedNode, raw_answer, until
from tests.pool.under_reactor import in_reactor


def rpc_of(node: RecordedNode, credentials: Credentials | None = None) -> Rpc:
    """Calls to a node."""
    return Rpc(REACTOR, f"http://127.0.0.1:{node.port}/", credentials or Credentials(user="u", password="p"))


async def fault_of(rpc: Rpc, method: str = "getblocktemplate", **how: Any) -> NodeError:
    """Why a call failed."""
    with pytest.raises(NodeError) as failed:
        await rpc.call(method, {"rules": ["segwit"]}, **how)
    return failed.value


@in_reactor
async def test_every_failure_on_the_way_has_its_name() -> None:
    """C-097: refused, cut off, closed, hanging, not JSON, 401, 403, 503, errors of the node: each by its name."""
    node = RecordedNode()
    rpc = rpc_of(node)
    for answer, fault in (
        ("cut", Fault.CUT_OFF),
        ("close", Fault.CUT_OFF),
        ((200, b"<html>"), Fault.NOT_JSON),
        ((401, b""), Fault.UNAUTHORIZED),
        ((403, b""), Fault.FORBIDDEN),
        ((503, b"Work queue depth exceeded"), Fault.BUSY),
        (raw_answer("starting-up"), Fault.WARMING_UP),
        (raw_answer("getblocktemplate-no-segwit-rule"), Fault.BAD_CALL),
    ):
        node.answers["getblocktemplate"] = answer
        assert (await fault_of(rpc)).fault is fault
        assert (await fault_of(rpc, fresh=True)).fault is fault
    node.answers["getblocktemplate"] = "hang"
    assert (await fault_of(rpc, seconds=0.2)).fault is Fault.TIMED_OUT
    await until(lambda: "gone" in node.calls)
    await node.stop()
    unreachable = await fault_of(rpc)
    assert unreachable.fault is Fault.UNREACHABLE
    assert "refused" in str(unreachable)
    await rpc.close()


@in_reactor
async def test_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 10: more than the limit is not read; a redirect is not followed."""
    monkeypatch.setattr(rpc_module, "MAX_ANSWER_BYTES", 100_000)
    node = RecordedNode()
    rpc = rpc_of(node)
    node.answers["getblocktemplate"] = (200, b" " * 100_001)
    assert (await fault_of(rpc)).fault is Fault.TOO_LARGE
    node.answers["getblocktemplate"] = (200, b'{"error":null,"result":1}' + b" " * 90_000)
    assert await rpc.call("getblocktemplate", {}) == 1
    node.answers["getblocktemplate"] = (307, b"")
    assert (await fault_of(rpc)).fault is Fault.HTTP
    await rpc.close()
    await node.stop()


@in_reactor
async def test_the_cookie_of_a_restarted_node_is_read_again(tmp_path: Path) -> None:
    """C-097: bitcoind writes another cookie at each start; only an unchanged one is told as wrong."""
    cookie = tmp_path / ".cookie"
    node = RecordedNode()
    rpc = rpc_of(node, Credentials(cookie=cookie))
    missing = await fault_of(rpc, "getbestblockhash")
    assert missing.fault is Fault.UNAUTHORIZED
    assert "No such file" in str(missing)
    cookie.write_text("__cookie__:first")
    node.authorization = "Basic X19jb29raWVfXzpmaXJzdA=="
    assert await rpc.call("getbestblockhash") == node.tip
    cookie.write_text("__cookie__:second")
    node.authorization = "Basic X19jb29raWVfXzpzZWNvbmQ="
    assert await rpc.call("getbestblockhash") == node.tip
    assert node.calls == ["getbestblockhash", "unauthorized", "getbestblockhash"]
    cookie.write_text("__cookie__:first")
    node.authorization = "Basic X19jb29raWVfXzpmaXJzdA=="
    both = [Deferred.fromCoroutine(rpc.call("getbestblockhash")) for _ in range(2)]
    assert [await each for each in both] == [node.tip] * 2, "refused at the same time, with the cookie of before"
    cookie.write_text("__cookie__:second")
    node.authorization = "Basic other"
    told = await fault_of(rpc, "getbestblockhash")
    assert told.fault is Fault.UNAUTHORIZED
    assert "second" not in str(told)
    await rpc.close()
    await node.stop()


@in_reactor
async def test_a_kept_connection_that_the_node_closed_is_no_failure() -> None:
    """bitcoind closes idle connections and all of them when it restarts: the call goes over a new one."""
    node = RecordedNode()
    rpc = rpc_of(node)
    assert await rpc.call("getbestblockhash") == node.tip
    await node.stop()
    node.start()
    assert await rpc.call("getbestblockhash") == node.tip
    await rpc.close()
    await node.stop()
