"""Crowds of connections before a whole server."""

from __future__ import annotations

import os
import resource
import socket
import time
from pathlib import Path

from tests.pool.house import Client, House, wait_until

CONNECTIONS = 2000
GOAL = 6 * 1024


def test_idle_connections_keep_to_the_memory_goal(house: House) -> None:
    """C-125: 6 KiB for each miner that is at work and says nothing, above the process without them.

    The ten thousand of the goal were measured by hand, with the same result; see docs/stratum.md.
    """

    def resident() -> int:
        return int(Path(f"/proc/{house.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    wait_until(lambda: house.api("overview"))
    before = resident()
    miners = []
    for number in range(CONNECTIONS):
        miners.append(socket.create_connection(("127.0.0.1", house.stratum_port)))
        miners[-1].sendall(
            b'{"id":1,"method":"mining.subscribe"}\n{"id":2,"method":"mining.authorize","params":["altyn.w%d"]}\n'
            % number
        )
    wait_until(lambda: house.api("overview")["ready_connections"] == CONNECTIONS, 60)
    assert (resident() - before) / CONNECTIONS <= GOAL
    for miner in miners:
        miner.close()


def cpu_seconds(pid: int) -> float:
    """Used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_the_server_goes_on_answering(house: House) -> None:
    """C-008: the system gives no more of them; who mines mines on, nothing spins, and later there is room again."""
    miner = Client(house.stratum_port)
    assert miner.login("altyn.rig")["result"] is True
    used = len(os.listdir(f"/proc/{house.pid}/fd"))
    before = resource.prlimit(house.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(house.pid, resource.RLIMIT_NOFILE, (used + 50, before[1]))
    crowd = [socket.create_connection(("127.0.0.1", house.stratum_port)) for _ in range(300)]
    assert all(miner.submit("altyn.rig")["result"] is True for _ in range(20))
    began, cpu = time.monotonic(), cpu_seconds(house.pid)
    while time.monotonic() < began + 2:
        assert miner.submit("altyn.rig")["result"] is True
        time.sleep(0.2)
    assert cpu_seconds(house.pid) - cpu < 1.0
    for one in crowd:
        one.close()
    resource.prlimit(house.pid, resource.RLIMIT_NOFILE, before)
    other = Client(house.stratum_port)
    assert other.login("dala.rig")["result"] is True
    for client in (miner, other):
        client.close()
