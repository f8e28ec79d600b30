"""A listener that sends everybody away while there is no work, and takes them again on the same port."""

from __future__ import annotations

import pytest

from tests.stratum.test_server import Served, in_loop, until


@in_loop
async def test_without_work_nobody_is_served_until_there_is_some() -> None:
    """C-103: suspended, all connections are closed and new ones refused; resumed, the same port serves again."""
    served = Served()
    miner, newcomer = await served.miner(), await served.connect()
    for _ in range(2):
        served.server.suspend()
        assert await miner.rest() == b""
        assert await newcomer.rest() == b""
        await until(lambda: not served.counters.connections)
        with pytest.raises(ConnectionRefusedError):
            await served.connect()
        served.server.suspend()
        served.publish(b"\x33" * 32)
        served.server.resume()
        served.server.resume()
        miner, newcomer = await served.miner(), await served.connect()
    miner.write(miner.share(7))
    assert (await miner.read())["result"] is True
    served.server.stop()
    served.server.resume()
    with pytest.raises(ConnectionRefusedError):
        await served.connect()
