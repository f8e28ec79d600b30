"""The whole server as a process: what miners, operators and mishaps meet."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import resource
import select
import socket
import sqlite3
import struct
import termios
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner

from tarazy.accounting.journal_file import JournalReader
from tarazy.pool.bench.transactions import new_block
from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.bitcoind.template import parse_template
from tarazy.pool.chain.transactions import block_hash
from tarazy.pool.cli import main
from tarazy.pool.demo import network
from tarazy.pool.demo.scenario import EKIBASTUZ, expiring_licence
from tarazy.pool.templates import address_script
from tarazy.pool.watched import machinery
from tarazy.stratum.difficulty import target_of
from tarazy.stratum.job import double_sha256
from tarazy.stratum.share import Verdict
from tests.forked import Forked
from tests.pool.house import Client, House, wait_until


def journal_shares(house: House) -> list[tuple[int, int, int]]:
    """(name, job, nonce) of every accepted share on disk."""
    reader = JournalReader(house.settings.journal_path, house.settings.gateway)
    try:
        return [
            (share.name, share.job, share.nonce) for _, share in reader.shares() if share.verdict == Verdict.ACCEPTED
        ]
    finally:
        reader.close()


def test_accepted_shares_reach_the_page_and_the_metrics(house: House) -> None:
    """A share's whole way: answered, folded, shown, counted."""
    client = Client(house.stratum_port)
    assert client.login("altyn.rig")["result"] is True
    accepted = sum(client.submit("altyn.rig")["result"] is True for _ in range(20))
    assert accepted >= 19

    def shown() -> bool:
        altyn = next(row for row in house.api("miners")["items"] if row["party"] == "altyn")
        return bool(altyn["shares"] == accepted)

    wait_until(shown)
    assert f'tarazy_shares_total{{result="accepted"}} {accepted}.0' in house.metrics()
    for form in ((), ("--json",)):
        status = house.command("status", *form)
        assert (status.exit_code, "meters not working" in status.stderr) == (1, True)  # this house has none
    assert {"part": "meters", "ok": False} in json.loads(status.stdout)["health"]
    client.close()
    assert house.stop() == 0


def test_revoking_a_licence_ends_its_connections_within_a_second(house: House) -> None:
    """Invariant 4, through the command an operator uses."""
    client, other = Client(house.stratum_port), Client(house.stratum_port)
    assert client.login("altyn.rig")["result"] is True
    assert other.login("dala.rig")["result"] is True
    done = house.command("register", "revoke", "DEMO-0001", "--reason", "test")
    assert done.exit_code == 0, done.stderr
    revoked = time.monotonic()
    while client.read() is not None:
        pass
    assert time.monotonic() - revoked < 1.0
    assert other.submit("dala.rig")["result"] is True
    again = Client(house.stratum_port)
    answer = again.login("altyn.rig")
    assert answer["error"][0] == 24
    assert "licence revoked" in answer["error"][1]
    refused = wait_until(lambda: [row for row in house.api("refusals")["items"] if row["account"] == "altyn"])
    assert refused[0]["reasons"] == ["licence-revoked"]


def test_an_expiring_licence_ends_to_the_second(house: House) -> None:
    """A licence that ends while its holder mines: no command, no restart, and not a second longer."""
    until = (datetime.now(UTC) + timedelta(seconds=8)).isoformat()
    row = {**expiring_licence(datetime.now(UTC)), "valid_to": until, "licence": "TEST-1", "party": "belgisiz"}
    house.directory.joinpath("licence.csv").write_text(";".join(row) + "\n" + ";".join(row.values()) + "\n")
    assert house.command("register", "import", str(house.directory / "licence.csv")).exit_code == 0
    client = Client(house.stratum_port)
    assert wait_until(lambda: Client(house.stratum_port).login("belgisiz.rig")["result"])
    assert client.login("belgisiz.rig")["result"] is True
    while client.read() is not None:
        pass
    late = datetime.now(UTC) - datetime.fromisoformat(until)
    assert 0 <= late.total_seconds() < 1.2


@pytest.mark.parametrize(
    ("login", "source", "reason"),
    [
        ("nobody.rig", "127.0.0.1", "unknown account"),
        ("belgisiz.rig", "127.0.0.1", "no mining licence"),
        ("alys.rig", "127.0.0.2", "not in Kazakhstan"),
        ("samal.rig", "127.0.0.1", "in no site of yours"),
        ("altyn.rig", "127.0.0.9", "loopback is in no country"),
    ],
)
def test_refusals_say_why_and_what_to_do(standing_house: House, login: str, source: str, reason: str) -> None:
    """Each kind of refusal reaches the miner as error 24 with reason and cure."""
    answer = Client(standing_house.stratum_port, source).login(login)
    assert answer["error"][0] == 24
    assert reason in answer["error"][1]


def test_answered_shares_survive_sigkill(build_house: Callable[..., House]) -> None:
    """Invariant 1: killed many times under load, every share answered `true` is on disk, once."""
    house = build_house()
    answered: list[tuple[str, str]] = []
    luck = random.Random(7)
    for _ in range(5):
        house.start()
        threads = [threading.Thread(target=_mine_until_closed, args=(house, answered)) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(partial(_grown, answered, len(answered) + 20))
        time.sleep(luck.uniform(0.0, 0.3))
        house.kill()
        for thread in threads:
            thread.join()
    house.start()
    assert house.stop() == 0
    kept = journal_shares(house)
    assert len(set(kept)) == len(kept)
    found = {(f"{job:016x}", f"{nonce:08x}") for _, job, nonce in kept}
    assert not [share for share in answered if share not in found]
    assert house.ledger("SELECT sum(shares) FROM tally") == [(len(kept),)]


def _grown(items: list[tuple[str, str]], before: int) -> bool:
    return len(items) > before


def _mine_until_closed(house: House, answered: list[tuple[str, str]]) -> None:
    try:
        client = Client(house.stratum_port)
        client.login("altyn.rig")
        while True:
            share = client.share("altyn.rig")
            if client.call("mining.submit", *share)["result"] is True:
                answered.append((share[1], share[4]))
    except (OSError, AssertionError):
        return


def test_a_full_disk_gives_a_clear_answer_and_loses_nothing(house: House) -> None:
    """C-081: no `true` without disk, a reason in words, and work again once there is room."""
    client = Client(house.stratum_port)
    client.login("altyn.rig")
    before = sum(client.submit("altyn.rig")["result"] is True for _ in range(5))
    resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    answers = [client.submit("altyn.rig") for _ in range(3)]
    assert [answer["error"][0] for answer in answers] == [20, 20, 20]
    assert all(answer["error"][1].startswith("not-ready") for answer in answers)
    late = Client(house.stratum_port)
    late.call("mining.subscribe", "test")
    assert late.call("mining.authorize", "dala.rig", "x")["result"] is True
    assert "tarazy_journal_healthy 0.0" in house.metrics()
    resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def healed() -> bool:
        return "tarazy_journal_healthy 1.0" in house.metrics()

    wait_until(healed)
    while not late.job:
        assert late.read() is not None
    after = sum(client.submit("altyn.rig")["result"] is True for _ in range(5))
    assert after >= 4
    assert house.stop() == 0
    assert len(journal_shares(house)) == before + after


def test_mining_goes_on_while_the_ledger_is_away(house: House) -> None:
    """The gateway needs the ledger only for fresh registers; what it took meanwhile is folded later."""
    client = Client(house.stratum_port)
    client.login("altyn.rig")
    with sqlite3.connect(house.settings.data / "tarazy.db", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        accepted = sum(client.submit("altyn.rig")["result"] is True for _ in range(30))
        other = Client(house.stratum_port)
        assert other.login("dala.rig")["result"] is True
        assert accepted >= 29
        holder.execute("ROLLBACK")

    def folded() -> bool:
        return bool(house.api("overview")["shares"]["accepted"] == accepted)

    wait_until(folded)


_HOSTILE_PARAMS: list[Any] = [None, {}, 5, [[]] * 9, ["\ud800"], [None] * 5, [{"a": [1e300]}]]


def test_garbage_hurts_nobody_else(standing_house: House) -> None:
    """Random bytes, truncated lines, 1 MB lines, wrong types and unknown methods, while a miner works on."""
    house = standing_house
    port = house.stratum_port
    client = Client(port)
    client.login("altyn.rig")
    luck = random.Random(3)
    samples = [luck.randbytes(luck.randint(1, 4000)) for _ in range(40)]
    samples += [b'{"id":1,"method":"mining.subs', b'{"id":1,"method":"x","params":"' + b"a" * 1_000_000 + b'"}\n']
    samples += [
        json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n"
        for method in ("mining.submit", "mining.authorize", "mining.subscribe", "mining.configure", "nonsense", 7, None)
        for params in _HOSTILE_PARAMS
    ]
    for sample in samples:
        hostile = Client(port)
        with contextlib.suppress(OSError):
            hostile.send(sample)
        hostile.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        hostile.close()
    assert client.submit("altyn.rig")["result"] is True
    unknown = client.call("nonsense")
    assert unknown["error"][0] == -32601
    assert house.process is not None
    assert house.process.poll() is None
    assert "Traceback" not in house.log.read_text()


def accounted(house: House) -> dict[str, str]:
    """Block hash → state, as the ledger has them."""
    return dict(house.ledger("SELECT block_hash, state FROM block"))


def test_every_block_is_accounted_however_the_server_ends(build_house: Callable[..., House]) -> None:
    """Invariants 2 and 5: blocks found while the server is killed again and again are booked once, to the satoshi."""
    house = build_house(block_difficulty=2.0**-31)
    luck = random.Random(5)

    def enough(blocks: int) -> bool:
        return len(list(house.settings.blocks_path.glob("*.block"))) >= blocks

    for life in range(3):
        house.start()
        threads = [threading.Thread(target=_mine_until_closed, args=(house, [])) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(partial(enough, 3 * life + 3))
        time.sleep(luck.uniform(0.1, 0.6))
        house.kill()
        for thread in threads:
            thread.join()
    kept = {path.stem for path in (house.settings.blocks_path).glob("*.block")}
    house.start()
    wait_until(lambda: kept <= accounted(house).keys())
    new_block(f"http://127.0.0.1:{house.peer_port}/")
    wait_until(lambda: not {"found", "submitted"} & set(accounted(house).values()))
    columns = "d.distribution, d.block_hash, d.reward, d.fee, d.remainder, coalesce(sum(c.amount), 0)"
    joined = "distribution d LEFT JOIN credit c USING (distribution)"
    standing = house.ledger(f"SELECT {columns} FROM {joined} WHERE d.state <> 'reversed' GROUP BY d.distribution")
    connected = {name for name, state in accounted(house).items() if state in ("connected", "mature")}
    assert {row[1] for row in standing} == connected
    assert len(standing) == len(connected) >= 3
    for _, _, reward, fee, remainder, credited in standing:
        assert reward == fee + credited + remainder


def test_a_block_written_before_a_crash_is_submitted_and_accounted(build_house: Callable[..., House]) -> None:
    """C-114, invariant 5: killed between the file and everything else, the block is not lost."""
    house = build_house()
    house.start()
    client = Client(house.stratum_port)
    client.login("altyn.rig")
    for _ in range(5):
        client.submit("altyn.rig")
    call = network.Client(f"http://127.0.0.1:{house.peer_port}/")
    template = parse_template(call("getblocktemplate", {"rules": ["segwit"]}))
    script = address_script(house.settings.pool.payout_address, "regtest")
    target = target_of(-13)
    for extra in range(1, 10_000_000):
        block = build_block(template, script, extra.to_bytes(8, "big"))
        if int.from_bytes(double_sha256(block[:80]), "little") <= target:
            break
    house.kill()
    name = block_hash(block)[::-1].hex()
    (house.settings.blocks_path / f"{name}.block").write_bytes(block)
    house.start()
    wait_until(lambda: accounted(house).get(name) == "connected")
    row = wait_until(lambda: house.api("distributions")["items"])[0]
    assert row["block_hash"] == name
    assert [credit["party"] for credit in row["credits"]] == ["altyn"]
    assert house.stop() == 0


def watched_in_a_terminal(house: House) -> None:
    """`tarazy top` in one of 80 columns and 50 lines: the whole screen twice, until `q`."""
    master, number = os.openpty()
    with os.fdopen(number, "r+b", buffering=0) as terminal:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
        command = ("tarazy", "top", "-c", str(house.prepared.path), "--every", "0.5")
        live = Forked(*command, stdin=terminal, stdout=terminal, stderr=terminal)
        shown, end = b"", time.monotonic() + 60
        while shown.count(b"Last blocks") < 2:
            left = max(0.0, end - time.monotonic())
            assert select.select([master], [], [], left)[0], shown.decode(errors="replace")
            shown += os.read(master, 65_536)
        os.write(master, b"q")
        assert live.wait(20) == 0
        assert "altyn" in shown.decode(errors="replace")
        assert termios.tcgetattr(terminal)[3] & termios.ICANON, "the terminal is as it was"
    os.close(master)


def test_top_shows_what_a_server_does(standing_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, once at 80 columns, and live in a terminal, where `q` ends it."""
    for size in ("COLUMNS", "LINES"):
        monkeypatch.delenv(size, raising=False)
    house, client = standing_house, Client(standing_house.stratum_port)
    assert client.login("altyn.rig")["result"] is True
    Client(house.stratum_port).login("nobody.rig")
    sending = threading.Event()

    def send() -> None:
        while not sending.wait(0.05):
            client.submit("altyn.rig")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        wait_until(lambda: house.ledger("SELECT * FROM tally WHERE worker = 'rig'"))
        seen = json.loads(house.command("top", "--json").stdout)
        assert seen["shares_per_second"]["accepted"] > 1
        assert (seen["shares"]["accepted"], seen["refusals"]["unknown-account"]) > (10, 0)
        assert (seen["journal"]["healthy"], seen["failing"], seen["ledger"]) == (True, [], "read")
        assert [(row["party"], row["worker"], row["site"]) for row in seen["workers"]] == [("altyn", "rig", EKIBASTUZ)]
        assert [row["party"] for row in seen["parties"]] == [row["party"] for row in seen["workers"]]
        assert seen["sites"][0]["hashrate"] == seen["parties"][0]["hashrate"] > 0
        told = machinery(house.settings)
        (gateway,) = told["gateways"]
        assert (told["journal"]["ok"], gateway["ok"], gateway["ready_connections"]) == (True, True, 1)
        watched_in_a_terminal(house)
    finally:
        sending.set()
        thread.join()
    plain = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["top", "-c", str(house.prepared.path)])
    assert plain.exit_code == 0
    assert "unknown-account" in plain.stdout
    assert max(map(len, plain.stdout.splitlines())) <= 80
