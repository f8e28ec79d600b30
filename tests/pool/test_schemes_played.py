"""PPLNS, FPPS and SOLO through a running server: from miners over Stratum to what a stranger recomputes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tarazy.accounting.worth import REGTEST_HALVING_BLOCKS, subsidy
from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET
from tests.pool.house import Client, House, wait_until
from tests.pool.payouts.test_payout_cli import mine
from tests.pool.payouts.world import address
from tests.pool.test_round_proofs import run_verifier

LOGINS = ("altyn.rig", "dala.rig")
FEE_PPM = 20_000
STAGES: tuple[dict[str, Any], ...] = (
    {"scheme": "pplns", "window": 2, "fee_ppm": FEE_PPM},
    {"scheme": "fpps", "fee_blocks": 3, "fee_ppm": FEE_PPM},
    {"scheme": "solo", "fee_ppm": FEE_PPM},
)


def test_three_schemes_one_after_the_other(build_house: Callable[..., House], tmp_path: Path) -> None:
    """Each takes force at a restart and pays its rounds; the reserve has what FPPS left, to the satoshi."""
    house = build_house(block_difficulty=2.0**-29)
    terms: list[dict[str, Any]] = []
    for stage in STAGES:
        terms.append({"since": datetime.now(UTC).isoformat(), **stage})
        words = yaml.safe_load(house.prepared.path.read_text(encoding="utf-8"))
        words["pool"]["terms"] = terms
        house.prepared.path.write_text(yaml.safe_dump(words), encoding="utf-8")
        house.start()
        _play(house, stage["scheme"])
        if stage is not STAGES[-1]:
            assert house.stop() == 0
    assert json.loads(house.command("reserve", "show", "--json").stdout)["reserve"] == 0
    mine(house, address("somebody else"), 100)
    unproven = "SELECT 1 FROM distribution LEFT JOIN round_proof USING (distribution) WHERE state <> 'reversed'"
    wait_until(lambda: not house.ledger(f"{unproven} AND (state = 'immature' OR record IS NULL)"), 60)

    key = house.command("audit", "key").stdout.strip()
    for stage in STAGES:
        scheme = stage["scheme"]
        number, text, reward, fee = house.ledger(
            "SELECT last_round, record, reward, fee FROM distribution JOIN round_proof USING (distribution)"
            f" WHERE scheme = '{scheme}' AND reward > 0 ORDER BY last_round DESC"
        )[0]
        record = json.loads(text)
        assert (record["scheme"], record["fee"], record["reward"]) == (scheme, fee, reward)
        exported = tmp_path / scheme
        done = house.command("round", "export", str(number), "-o", str(exported))
        assert done.exit_code == 0, done.output
        checked = run_verifier(exported, key=key)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        credits = _credits(house, number)
        if scheme == "fpps":
            assert f"{record['average_fee']} sat of fees a block over 3" in checked.stdout
            assert credits == _owed_by_hand(house, number, record)
        else:
            assert reward - fee - sum(credits.values()) in range(len(credits) + 1)
        if scheme == "solo":
            ((finder,),) = house.ledger(f"SELECT party FROM block WHERE round = {number}")
            assert credits == {finder: reward - reward * FEE_PPM // 1_000_000}

    ((left,),) = house.ledger(
        "SELECT sum(reward - fee - (SELECT sum(amount) FROM credit WHERE credit.distribution = d.distribution))"
        " FROM distribution d WHERE scheme = 'fpps' AND state = 'final'"
    )
    shown = house.command("reserve", "show", "--json")
    assert json.loads(shown.stdout) == {"reserve": left, "immature": 0}
    assert shown.exit_code == (left < 0)
    proposed = house.command("payout", "propose")
    assert ("the reserve" in proposed.stderr) is (left < 0), proposed.output


def _play(house: House, scheme: str) -> None:
    """Two miners submit shares until one of them finds a block, and that closes a round of the scheme."""
    clients = [(login, Client(house.stratum_port)) for login in LOGINS]
    for login, client in clients:
        assert client.login(login)["result"] is True
    found = set(house.settings.blocks_path.parent.rglob("*.block"))
    while found == set(house.settings.blocks_path.parent.rglob("*.block")):
        for login, client in clients:
            client.submit(login)
    wait_until(lambda: house.ledger(f"SELECT 1 FROM round WHERE scheme = '{scheme}' AND closed_at > ''"), 60)
    for _, client in clients:
        client.close()


def _credits(house: House, number: int) -> dict[str, int]:
    """Of the distribution that ends with a round."""
    query = "SELECT party, amount FROM credit JOIN distribution USING (distribution) WHERE state = 'final'"
    return dict(house.ledger(f"{query} AND last_round = {number}"))


def _owed_by_hand(house: House, number: int, record: dict[str, Any]) -> dict[str, int]:
    """By the formula of docs/accounting.md, from the work, the subsidy and the target of one round."""
    ((first, height, target),) = house.ledger(
        "SELECT first_round, height, target FROM distribution JOIN block USING (block_hash)"
        f" JOIN round ON round.round = last_round WHERE distribution.state = 'final' AND last_round = {number}"
    )
    inside = f"round BETWEEN {first} AND {number}"
    work: dict[str, int] = {}
    for party, weight in house.ledger(f"SELECT party, weight FROM round_work WHERE {inside}"):
        work[party] = work.get(party, 0) + int(weight)
    pays = (subsidy(height, REGTEST_HALVING_BLOCKS) + record["average_fee"]) * int(target, 16)
    owed = {party: pays * weight // (DIFFICULTY_1_TARGET << 32) for party, weight in work.items()}
    return {party: amount - amount * FEE_PPM // 1_000_000 for party, amount in owed.items()}
