"""`tarazy payout` against a running server: two persons, the server's own turns, and what is refused."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from embit import ec
from embit.psbt import PSBT, OutputScope
from embit.script import Witness, address_to_scriptpubkey
from embit.transaction import SIGHASH, TransactionOutput

from tarazy.accreditation.entries import Wallet
from tarazy.accreditation.registers import as_of
from tarazy.database.engine import open_engine
from tarazy.pool.chain.wallet import _KEY as KEY
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
    assert "there is no party nobody" in say(house, "anna", "hold", "nobody", "--why", "x", code=1)
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
    before = _money(house, number)
    for forged, refusal in forgeries(unsigned.read_text(encoding="ascii"), signed.read_text(encoding="ascii")):
        (tmp_path / "forged.psbt").write_text(forged, encoding="ascii")
        lines = say(house, "anna", "import", number, str(tmp_path / "forged.psbt"), code=1).splitlines()
        assert len(lines) == 1, lines
        assert refusal in lines[0], (refusal, lines)
        assert _money(house, number) == before
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


class Desk:
    """The demo's operator on the portal, as a page asks for it."""

    def __init__(self, house: House) -> None:
        self._url = f"http://127.0.0.1:{house.settings.portal.port}"
        self._cookie = ""
        status, _ = self.ask("users/demo", role="operator")
        assert status == 200

    def ask(self, path: str, **told: object) -> tuple[int, Any]:
        """Status and answer of a POST; again when the server paid at that moment."""
        for _ in range(5):
            headers = {"origin": self._url, "cookie": self._cookie, "content-type": "application/json"}
            request = urllib.request.Request(f"{self._url}/api/v1/{path}", json.dumps(told).encode(), headers)
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    self._cookie = (reply.headers["set-cookie"] or self._cookie).partition(";")[0]
                    return reply.status, json.load(reply)
            except urllib.error.HTTPError as error:
                answer = error.code, json.load(error)["error"].get("text", "")
            if "has taken over" not in answer[1]:
                break
        return answer

    def pay(self, path: str, **told: object) -> Any:
        """The answer to something about payouts that is done."""
        status, answer = self.ask(f"accounting/payouts/{path}", **told)
        assert status == 200, answer
        return answer

    def refused(self, path: str, **told: object) -> str:
        """Why something about payouts is not done."""
        status, answer = self.ask(f"accounting/payouts/{path}", **told)
        assert status == 422, answer
        return str(answer)


def _money(house: House, number: str) -> tuple[object, ...]:
    """What a forgery must leave as it is: the batch, the ledger, and what the wallet knows to be spent."""
    shown = told(house, "show", number)
    assert (shown["state"], shown["transactions"]) == ("prepared", [])
    body = json.dumps({"id": 0, "method": "listsinceblock", "params": []}).encode()
    _, sent = ask(f"http://127.0.0.1:{house.peer_port}/", body)
    return house.ledger("SELECT * FROM ledger_account"), house.ledger("SELECT max(entry) FROM ledger_entry"), sent


def forgeries(unsigned: str, signed: str) -> Iterator[tuple[str, str]]:
    """What a thief with the signer's own key might hand in, and what the refusal says."""
    thief = address_to_scriptpubkey(address("thief"))

    def made(change: Callable[[PSBT], object], key: ec.PrivateKey = KEY, sighash: int = SIGHASH.ALL) -> str:
        psbt = PSBT.from_string(unsigned.strip())
        change(psbt)
        psbt.sign_with(key, sighash=sighash)
        return str(psbt.to_string())

    outputs = PSBT.from_string(unsigned.strip()).outputs
    own = address_to_scriptpubkey(ADDRESS)
    change_at = next(place for place, each in enumerate(outputs) if each.script_pubkey == own)
    payee_at = next(place for place, each in enumerate(outputs) if each.script_pubkey != own)

    def redirect(place: int) -> Callable[[PSBT], object]:
        return lambda psbt: setattr(psbt.outputs[place], "script_pubkey", thief)

    def shift(psbt: PSBT, to: int | None, amount: int) -> None:
        psbt.outputs[change_at].value -= amount
        if to is not None:
            psbt.outputs[to].value += amount

    def add(psbt: PSBT) -> None:
        shift(psbt, None, 1_000)
        psbt.outputs.append(OutputScope(vout=TransactionOutput(1_000, thief)))

    def other_coin(psbt: PSBT) -> None:
        psbt.inputs[0].txid = bytes(range(32))

    def other_data(psbt: PSBT) -> None:
        for each in psbt.inputs:
            each.partial_sigs.clear()
            each.final_scriptwitness = Witness([bytes([0x30, 0x06, *bytes(6), 0x01]), KEY.get_public_key().sec()])

    another = "is another transaction than the one to be signed"
    yield made(redirect(payee_at)), another
    yield made(lambda psbt: shift(psbt, payee_at, -1)), another
    yield made(add), another
    yield made(redirect(change_at)), another
    yield made(lambda psbt: shift(psbt, None, 5_000_000)), another
    yield made(other_coin), another
    yield made(lambda psbt: psbt.inputs.append(psbt.inputs[0])), another
    yield made(lambda psbt: setattr(psbt.inputs[0], "sequence", 0xFFFFFFFF)), another
    yield made(lambda psbt: setattr(psbt, "locktime", 500)), another
    yield unsigned, "signatures are missing"
    yield made(lambda psbt: None, key=ec.PrivateKey(bytes(31) + b"\x07")), "signatures are missing"
    for open_end in (SIGHASH.NONE, SIGHASH.SINGLE, SIGHASH.ALL | SIGHASH.ANYONECANPAY):
        yield made(lambda psbt: None, sighash=open_end), "leaves parts of the transaction open"
    finalised = PSBT.from_string(signed.strip())
    other_data(finalised)
    yield str(finalised.to_string()), "the node would not take the signed transaction"
    yield signed[: len(signed) // 2], "this is no PSBT"
    yield "not base64 at all", "this is no PSBT"


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


def test_a_batch_on_the_portal(house: House) -> None:
    """Everything that the commands do, by the same rules, under the name of who signed in."""
    mine(house, address("somebody else"), 6)
    wait_until(lambda: not told(house, "list")["batches"], 30)
    engine = open_engine(house.settings.database_url)
    pool = Pool(engine, f"http://127.0.0.1:{house.peer_port}/")
    pool.distribute(9)
    pool.level()
    engine.dispose()
    desk = Desk(house)
    assert desk.pay("check")["difference"] == 0
    reason = {"party": "altyn", "why": "мекенжай даулы", "language": "kk"}
    desk.pay("hold", **reason)
    assert "held for that already" in desk.refused("hold", **reason)
    assert "there is no party nobody" in desk.refused("hold", **{**reason, "party": "nobody"})
    assert [(each["why"], each["language"]) for each in told(house, "list")["holds"]] == [("мекенжай даулы", "kk")]
    assert desk.pay("propose")["left_out"]["altyn"]["kk"] == "ұсталып тұр: мекенжай даулы"
    first = max(each["batch"] for each in told(house, "list")["batches"])
    assert desk.pay(f"{first}/abandon", why="one is missing")["abandoned"] is True
    desk.pay("release", party="altyn", why="settled")
    number = desk.pay("propose")["batch"]
    assert "somebody else must approve" in desk.refused(f"{number}/approve")
    assert "waits for no signature" in desk.refused(f"{number}/export")
    say(house, "bolat", "approve", str(number))
    unsigned = desk.pay(f"{number}/export")["psbt"]
    body = {"id": 0, "method": "walletprocesspsbt", "params": [unsigned]}
    peer = f"http://127.0.0.1:{house.peer_port}/"
    signed = json.loads(ask(peer, json.dumps(body).encode())[1])["result"]["psbt"]
    desk.pay("stop", why="ключ потерян", language="ru")
    assert "payouts are stopped: ключ потерян" in desk.refused(f"{number}/import", psbt=signed)
    assert "payouts are stopped" in desk.refused("propose")
    desk.pay("resume", why="ключ нашёлся")
    assert "this is no PSBT" in desk.refused(f"{number}/import", psbt="rubbish!")
    txid = desk.pay(f"{number}/import", psbt=signed)["txid"]
    assert told(house, "show", str(number))["transactions"][0]["txid"] == txid
    assert "may still confirm" in desk.refused(f"{number}/abandon", why="too slow")
    desk.pay(f"{number}/broadcast")
    assert desk.pay(f"{number}/bump", rate=30)["txid"] is None
    assert desk.pay(f"{number}/export")["psbt"] != unsigned
    mine(house, address("somebody else"), 6)
    wait_until(lambda: told(house, "show", str(number))["state"] == "confirmed", 30)
    rows = [
        json.loads(row[0]) for row in house.ledger("SELECT body FROM audit WHERE kind = 'payout' ORDER BY sequence")
    ]
    acts = [row["what"] for row in rows if row["by"] == "demo-operator" and row["what"] != "prepared"]
    wanted = ["held", "proposed", "abandoned", "released", "proposed", "exported", "stopped", "resumed", "signed"]
    assert acts == [*wanted, "broadcast", "replacement prepared", "exported"]
