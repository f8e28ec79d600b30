"""Ending, reloading and being succeeded, in one process: what signals do to a server with miners at work."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.forked import adopt_orphans
from tests.pool.house import Client, House, wait_until
from tests.pool.load import Load, journalled

MAIN_ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


@pytest.fixture(autouse=True, scope="module")
def _orphans_are_ours() -> None:
    """A successor outlives the server that started it."""
    adopt_orphans()


def successor_of(house: House) -> int:
    """The process that took over, of which the log tells."""
    told = wait_until(lambda: re.findall(r"\bsucceeded +.*?pid=(\d+)", house.logged()), 60)
    return int(told[-1])


def end(pid: int) -> int:
    """SIGTERM to an adopted process; its exit code."""
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def change(house: House, **sections: dict[str, Any]) -> None:
    """Write other values into the settings file."""
    path = house.prepared.path
    raw = yaml.safe_load(path.read_text())
    for name, values in sections.items():
        raw[name] = {**raw.get(name, {}), **values}
    path.write_text(yaml.safe_dump(raw))


def folded(house: House) -> int:
    """Accepted shares in the ledger."""
    return int(house.ledger("SELECT coalesce(sum(shares), 0) FROM tally")[0][0])


def test_sigterm_lets_miners_go_with_their_answers(house: House) -> None:
    """Every share that reached the server before it let the miner go is answered; then the exit code is 0."""
    load = Load(house.stratum_port)
    load.more()
    idle = Client(house.stratum_port)
    idle.login("dala.rig")
    assert house.stop() == 0
    answered = load.stop()
    kept = journalled(house.settings.journal_path, house.settings.gateway)
    assert set(kept.values()) == {1}
    assert answered <= kept.keys()
    assert len(kept) == len(answered)
    assert folded(house) == len(kept)
    while (line := idle.read()) is not None:
        assert "method" in line


def test_second_sigterm_ends_at_once(house: House) -> None:
    """Whoever cannot wait for the draining does not have to."""
    change(house, stratum={"drain_seconds": 60})
    os.kill(house.pid, signal.SIGHUP)
    wait_until(lambda: "settings_reloaded" in house.logged())
    clients = [Client(house.stratum_port) for _ in range(200)]
    clients[-1].login("altyn.rig")
    assert house.process is not None
    os.kill(house.pid, signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        house.process.wait(0.5)
    os.kill(house.pid, signal.SIGTERM)
    assert house.process.wait(20) == 1


def test_successor_takes_over_under_load(house: House) -> None:
    """C-094: SIGUSR2 loses no answered share, credits none twice, and the port is never closed."""
    load = Load(house.stratum_port)
    load.more()
    asked = time.monotonic()
    os.kill(house.pid, signal.SIGUSR2)
    pid = successor_of(house)
    assert house.process is not None
    assert house.process.wait(60) == 0
    wait_until(lambda: house.logged().count("server_started") == 2, 60)
    load.more()
    silence = load.longest_silence(asked)
    assert silence < 10, "the successor was warm: only a very slow machine takes so long"
    answered = load.stop()
    wait_until(lambda: house.api("overview")["shares"]["accepted"] >= len(answered))
    assert end(pid) == 0
    kept = journalled(house.settings.journal_path, house.settings.gateway)
    assert set(kept.values()) == {1}
    assert answered <= kept.keys()
    assert folded(house) == len(kept)
    print(f"longest silence {silence * 1000:.0f} ms")  # noqa: T201


def test_failed_successor_changes_nothing(house: House) -> None:
    """The server goes on, and its log says why it was not succeeded; with the cause mended it is."""
    client = Client(house.stratum_port)
    client.login("altyn.rig")
    good = house.prepared.path.read_text()
    port = {"host": "127.0.0.1", "port": house.stratum_port}
    faults: dict[str, dict[str, Any]] = {
        "no-such-file": {"law": {"assumptions": ["no-such-file"]}},
        "no-such-key": {
            "stratum": {"listeners": [port | {"tls": dict.fromkeys(("certificate", "key"), "no-such-key")}]}
        },
        "not an address of the regtest chain": {"pool": {"payout_address": MAIN_ADDRESS}},
    }
    for words, sections in faults.items():
        change(house, **sections)
        os.kill(house.pid, signal.SIGUSR2)
        wait_until(lambda: re.search(f"not_succeeded.*{words}", house.logged()), 60)  # noqa: B023 - used in this turn
        assert client.submit("altyn.rig")["result"] is True
        house.prepared.path.write_text(good)
    os.kill(house.pid, signal.SIGUSR2)
    pid = successor_of(house)
    assert house.process is not None
    assert house.process.wait(60) == 0
    again = Client(house.stratum_port)
    assert again.login("altyn.rig")["result"] is True
    assert end(pid) == 0


def test_sigterm_while_a_successor_prepares_itself_ends_both(house: House) -> None:
    """The order to end is not undone by a successor that was only about to come."""
    os.kill(house.pid, signal.SIGUSR2)
    started = wait_until(lambda: re.findall(r"successor_starts.*pid=(\d+)", house.logged()))
    assert house.stop() == 0
    with contextlib.suppress(ChildProcessError):  # its parent has seen to it already
        os.waitpid(int(started[0]), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(started[0]), 0)
    assert "succeeded" not in house.logged()


def test_sigterm_while_the_successor_takes_over_ends_both(house: House) -> None:
    """Nobody is left to serve miners after the order to end, also when it comes between the two."""
    handover = house.settings.journal_path.with_suffix(".handover")
    os.kill(house.pid, signal.SIGUSR2)
    started = wait_until(lambda: re.findall(r"successor_starts.*pid=(\d+)", house.logged()))
    wait_until(handover.exists, 60)
    assert house.stop() == 0
    try:
        wait_until(lambda: _is_gone(int(started[0])))
    except AssertionError:
        end(int(started[0]))
        raise


def _is_gone(pid: int) -> bool:
    """Whether an adopted process has ended."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # its parent has seen to it already
        return True


def test_sighup_takes_over_a_good_file(house: House) -> None:
    """Difficulty, mask and level change for who comes now; what cannot change is named; the old miner works on."""
    old = Client(house.stratum_port)
    old.login("altyn.rig")
    stratum = {"start_difficulty": 2.0**-30, "maximum_difficulty": 2.0**-30, "version_mask": "00002000"}
    change(house, stratum=stratum, log={"level": "debug"}, portal={"port": 1}, law={"assumptions": []})
    os.kill(house.pid, signal.SIGHUP)
    wait_until(lambda: "settings_reloaded" in house.logged())
    log = house.logged()
    assert re.search(r"setting_changed +setting=stratum.start_difficulty value=9.3\S+e-10", log)
    assert re.search(r"setting_needs_restart +setting=portal.port", log)
    assert "law_changed" in log
    assert len(re.findall("setting_changed", log)) == 5
    new = Client(house.stratum_port)
    answer = new.call("mining.configure", ["version-rolling"], {"version-rolling.mask": "1fffe000"})
    assert answer["result"]["version-rolling.mask"] == "00002000"
    new.login("dala.rig")
    assert new.difficulty == 2.0**-30
    assert old.submit("altyn.rig")["result"] is True
    assert house.stop() == 0


def test_sighup_leaves_a_faulty_file_alone(house: House) -> None:
    """Nothing changes, and each fault is one line; an unknown assumption of the law counts as one."""
    change(house, stratum={"start_difficulty": 3, "version_maks": "00002000"})
    os.kill(house.pid, signal.SIGHUP)
    wait_until(lambda: house.logged().count("settings_not_reloaded") == 2)
    assert "stratum.start_difficulty" in house.logged()
    assert "stratum.version_maks: unknown key" in house.logged()
    path = house.prepared.path
    raw = yaml.safe_load(path.read_text())
    raw["stratum"] |= {"start_difficulty": 2.0**-32}
    del raw["stratum"]["version_maks"]
    raw["law"] = {"assumptions": ["no-such-file"]}
    raw["log"] = {"level": "debug"}
    path.write_text(yaml.safe_dump(raw))
    os.kill(house.pid, signal.SIGHUP)
    wait_until(lambda: re.search(r"settings_not_reloaded.*no-such-file", house.logged()))
    path.write_text(yaml.safe_dump({**raw, "law": {}, "stratum": {**raw["stratum"], "version_mask": "ffffffff"}}))
    os.kill(house.pid, signal.SIGHUP)
    wait_until(lambda: re.search(r"settings_not_reloaded.*stratum.version_mask: .* narrow the mask", house.logged()))
    assert "setting_changed" not in house.logged()
    client = Client(house.stratum_port)
    assert client.login("altyn.rig")["result"] is True


_ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = "1"
os.execv(sys.executable, [sys.executable, "-m", "tarazy", "serve", "-c", sys.argv[2]])
"""


def test_socket_from_systemd_and_its_notifications(build_house: Callable[..., House], tmp_path: Path) -> None:
    """Who connects before the server runs is served once it does; READY, RELOADING, MAINPID and STOPPING are told."""
    house = build_house()
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(60)
    with socket.create_server(("127.0.0.1", house.stratum_port)) as listening:
        early = Client(house.stratum_port)
        early.send(b'{"id":1,"method":"mining.subscribe","params":[]}\n')
        with house.log.open("ab") as log:
            house.process = subprocess.Popen(
                [sys.executable, "-c", _ACTIVATED, str(listening.fileno()), str(house.prepared.path)],
                pass_fds=[listening.fileno()],
                env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
    assert told.recv(1000) == b"READY=1"
    answer = early.read()
    assert answer is not None
    assert answer["id"] == 1
    os.kill(house.pid, signal.SIGHUP)
    assert told.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert told.recv(1000) == b"READY=1"
    os.kill(house.pid, signal.SIGUSR2)
    pid = successor_of(house)
    assert told.recv(1000) == b"MAINPID=%d" % pid
    assert told.recv(1000) == b"READY=1"
    assert house.process.wait(60) == 0
    assert Client(house.stratum_port).login("altyn.rig")["result"] is True
    assert end(pid) == 0
    assert told.recv(1000) == b"STOPPING=1"
    told.close()
