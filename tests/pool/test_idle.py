"""What an idle connection costs a whole server."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.pool.house import House, wait_until

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
