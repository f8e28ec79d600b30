"""Rounds of a real run: from the gateway's answers to what strangers and miners verify."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tarazy.accounting.journal_file import JournalReader
from tests.pool.house import Client, House, run_command, wait_until
from tests.pool.test_round_proofs import run_verifier


def test_a_run_is_verified_from_the_answer_to_the_satoshi(build_house: Callable[..., House], tmp_path: Path) -> None:
    """R-021, R-024: blocks mature, the office records their rounds; receipts have every share answered true."""
    house = build_house(block_difficulty=2.0**-29)
    house.start()
    true: dict[str, set[str]] = {}
    clients = {}
    for login in ("altyn.rig", "dala.rig"):
        clients[login] = Client(house.stratum_port)
        clients[login].login(login)

    def mined() -> bool:
        for login, client in clients.items():
            for _ in range(20):
                share = client.share(login)
                if client.call("mining.submit", *share)["result"] is True:
                    true.setdefault(login.split(".")[0], set()).add(share[1] + share[4])
        return bool(house.ledger("SELECT 1 FROM round_proof WHERE round >= 3"))

    wait_until(mined, 150)
    number, record = house.ledger("SELECT round, record FROM round_proof WHERE round >= 3 ORDER BY round LIMIT 1")[0]
    key = house.command("audit", "key").stdout.strip()
    ends = json.loads(record)["gateways"]["1"]
    shares = ends["until"] - ends["after"]
    done = house.command("round", "export", str(number), "-o", str(tmp_path / "x"), "--json")
    assert json.loads(done.stdout)["shares"] == shares
    checked = run_verifier(tmp_path / "x", key=key)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert run_command("verify", "round", str(tmp_path / "x"), "--key", key).exit_code == 0
    unknown = house.command("round", "export", "9999", "-o", str(tmp_path / "none"))
    assert (unknown.exit_code, "the newest record is of round" in unknown.stderr) == (1, True), unknown.stderr
    assert house.command("round", "export", str(2**63), "-o", str(tmp_path / "none")).exit_code == 2
    paid_in = "SELECT party FROM credit JOIN distribution USING (distribution) WHERE state = 'final' AND last_round = "
    paid = house.ledger(f"{paid_in}{number}")[0][0]
    nowhere = house.command("round", "receipt", str(number), paid, "-o", str(tmp_path / "none" / "receipt.json"))
    assert (nowhere.exit_code, "name another place" in nowhere.stderr) == (1, True), nowhere.stderr
    listed: dict[str, set[str]] = {party: set() for party in true}
    for round_ in range(1, number + 1):
        for party in true:
            path = tmp_path / f"{party}-{round_}.json"
            done = house.command("round", "receipt", str(round_), party, "-o", str(path))
            if done.exit_code:
                assert "credits no work" in done.output or "has no record" in done.output, done.output
                continue
            checked = run_verifier(path, "--shares", key=key)
            assert checked.returncode == 0, checked.stdout + checked.stderr
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            listed[party] |= {line.split()[2] + line.split()[5] for line in checked.stdout.splitlines() if "2^" in line}
    assert all(listed[party] <= true[party] for party in true)
    assert sum(map(len, listed.values())) == len(accepted_until(house, ends["until"]))

    token = house.command("token", "create", "altyn-1", "--role", "miner", "--party", "altyn").stdout.splitlines()[0]
    credited = wait_until(lambda: ask(house, token, "me/receipts"))
    newest = credited["items"][0]
    told = ask(house, token, f"me/receipts/{newest['round']}")
    assert (told["party"], told["credit"], told["weight"]) == ("altyn", newest["amount"], newest["weight"])
    (tmp_path / "asked.json").write_text(json.dumps(told))
    assert run_verifier(tmp_path / "asked.json", key=key).returncode == 0


def ask(house: House, token: str, name: str) -> Any:
    """The portal's answer to the holder of a token; None until it knows the token."""
    url = f"http://127.0.0.1:{house.settings.portal.port}/api/v1/{name}"
    try:
        with urlopen(Request(url, headers={"authorization": f"Bearer {token}"}), timeout=20) as answer:
            return json.load(answer)
    except HTTPError as error:
        if error.code == 401:
            time.sleep(1)
            return None
        raise


def accepted_until(house: House, sequence: int) -> list[int]:
    """The accepted shares of the journal up to a number: those answered true."""
    reader = JournalReader(house.settings.journal_path, house.settings.gateway)
    try:
        return [number for number, share in reader.shares() if number <= sequence and share.verdict == 0]
    finally:
        reader.close()
