"""`tarazy payout` against a running server: two persons, the server's own turns, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tarazy.accreditation.entries import Wallet
from tarazy.accreditation.registers import as_of
from tarazy.database.engine import open_engine
from tarazy.pool.chain.wallet import ADDRESS
from tests.pool.house import House, wait_until
from tests.pool.payouts.world import CREDITS, Pool, address, ask


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A running server whose embedded chain holds what its books say."""
    house = House(tmp_path_factory.mktemp("payouts") / "pool")
    file = house.directory / "tarazy.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("signing: wallet", "signing: offline"), encoding="utf-8")
    house.start()
    mine(house, ADDRESS, 3)
    mine(house, address("somebody else"), 101)
    engine = open_engine(house.settings.database_url)
    Pool(engine, f"http://127.0.0.1:{house.peer_port}/").open_books()
    engine.dispose()
    yield house
    house.stop()


def mine(house: House, to: str, blocks: int) -> None:
    """Blocks of somebody else."""
    body = json.dumps({"id": 0, "method": "generatetoaddress", "params": [blocks, to]}).encode()
    assert ask(f"http://127.0.0.1:{house.peer_port}/", body)[0] == 200


def say(house: House, user: str, *words: str, code: int = 0) -> str:
    """What a command says, given by a user; again when the server paid at that moment."""
    for _ in range(5):
        before = os.environ.get("LOGNAME")
        os.environ["LOGNAME"] = user
        try:
            result = house.command("payout", *words)
        finally:
            os.environ.pop("LOGNAME")
            if before is not None:
                os.environ["LOGNAME"] = before
        if "has taken over" not in result.output:
            break
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def told(house: House, *words: str) -> Any:
    """What a command prints as JSON."""
    return json.loads(say(house, "anna", *words, "--json"))


def test_a_batch_by_command(house: House, tmp_path: Path) -> None:
    """Proposed by one, approved by another, signed elsewhere, confirmed by the server; every refusal is a line."""
    assert told(house, "check")["difference"] == 0
    held = "hold", "altyn", "--why", "address in dispute"
    say(house, "anna", *held)
    assert "held for that already" in say(house, "anna", *held, code=1)
    assert "no register of parties" in say(house, "anna", "hold", "nobody", "--why", "x", code=2)
    made = told(house, "propose")
    assert made["left_out"]["altyn"] == "held: address in dispute"
    assert made["first_payments"] == {"dala": CREDITS["dala"], "samal": CREDITS["samal"]}
    number, unsigned, signed = str(made["batch"]), tmp_path / "unsigned.psbt", tmp_path / "signed.psbt"
    assert "somebody else must approve" in say(house, "anna", "approve", number, code=1)
    assert "there is no batch 99" in say(house, "anna", "show", "99", code=1)
    assert "waits for no signature" in say(house, "anna", "export", number, str(unsigned), code=1)
    say(house, "bolat", "approve", number)
    say(house, "anna", "export", number, str(unsigned))
    body = {"id": 0, "method": "walletprocesspsbt", "params": [unsigned.read_text(encoding="ascii").strip()]}
    _, answer = ask(f"http://127.0.0.1:{house.peer_port}/", json.dumps(body).encode())
    signed.write_text(json.loads(answer)["result"]["psbt"], encoding="ascii")
    assert "signatures are missing" in say(house, "anna", "import", number, str(unsigned), code=1)
    assert "is signed" in say(house, "anna", "import", number, str(signed))
    assert told(house, "show", number)["state"] == "broadcast"
    mine(house, address("somebody else"), 6)
    wait_until(lambda: told(house, "show", number)["state"] == "confirmed", 30)
    shown = told(house, "show", number)
    assert (shown["proposed_by"], shown["approved_by"]) == ("anna", "bolat")
    assert {each["party"]: each["amount"] for each in shown["payments"]} == made["payments"]
    assert shown["transactions"][0]["confirmed_at"]
    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        wallets = as_of(connection, datetime.now(UTC)).in_force(Wallet).values()
    engine.dispose()
    assert {(each["party"], each["address"]) for each in shown["payments"]} <= {(w.party, w.address) for w in wallets}
    say(house, "anna", "release", "altyn", "--why", "settled")
    assert told(house, "check")["difference"] == 0


def test_the_switch_and_own_funds(house: House) -> None:
    """Stopped by a person, or by what is missing; resumed only while nothing is."""
    say(house, "anna", "stop", "--why", "drill")
    assert "drill" in say(house, "anna", "propose", code=1)
    assert told(house, "list")["stopped"] == "drill"
    say(house, "anna", "own", "--paid-in", "7", "--why", "not there")
    assert "7 satoshi less" in say(house, "anna", "resume", "--why", "done", code=1)
    mine(house, ADDRESS, 1)
    assert "knows no transaction" in say(house, "anna", "own", "--taken-out", "00" * 32, "--why", "x", code=1)
    assert "give either" in say(house, "anna", "own", "--why", "x", code=2)
    say(house, "anna", "resume", "--why", "done")
    assert told(house, "list")["stopped"] is None


def test_signed_by_the_wallet_and_replaced(house: House) -> None:
    """Where the wallet signs, one command pays; a higher fee is another."""
    file = house.directory / "tarazy.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("offline", "wallet"), encoding="utf-8")
    made = told(house, "propose")
    number = str(made["batch"])
    assert made["payments"] == CREDITS
    assert made["first_payments"] == {"altyn": CREDITS["altyn"]}
    say(house, "bolat", "approve", number)
    assert "on its way" in say(house, "anna", "broadcast", number)
    say(house, "anna", "bump", number, "--rate", "10")
    assert len(told(house, "show", number)["transactions"]) == 2
    assert "may still confirm" in say(house, "anna", "abandon", number, "--why", "slow", code=1)
