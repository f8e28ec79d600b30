"""`tarazy reserve`: the money behind FPPS."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from tarazy.accounting import ledger
from tarazy.database.engine import open_engine
from tests.pool.house import House


def test_the_reserve_is_funded_and_drawn(tmp_path: Path) -> None:
    """Of the pool's own money, never more than there is, with who and why on record; `check` says what stands."""
    house = House(tmp_path / "pool")
    words = yaml.safe_load(house.prepared.path.read_text())
    since = datetime.now(UTC) - timedelta(days=1)
    terms = {"since": since.isoformat(), "scheme": "fpps", "fee_blocks": 144, "fee_ppm": 30_000}
    words["pool"]["terms"] = [terms]
    house.prepared.path.write_text(yaml.safe_dump(words))

    def reserve(*arguments: str) -> tuple[int, str]:
        done = house.command("reserve", *arguments)
        return done.exit_code, done.stderr

    funded = ("fund", "600", "--from", "own", "--why", "a year of luck")
    code, told = reserve(*funded)
    assert code == 1
    assert "has 0 satoshi, not 600; see `payout own`" in told
    assert house.command("payout", "own", "--paid-in", "1000", "--why", "the owners' deposit").exit_code == 0
    assert reserve(*funded) == (0, "")
    assert reserve("draw", "200", "--why", "back") == (0, "")
    code, told = reserve("draw", "401", "--why", "too much")
    assert code == 1
    assert "the reserve has 400 satoshi" in told
    assert json.loads(house.command("reserve", "show", "--json").stdout) == {"reserve": 400, "immature": 0}
    assert "400 satoshi, open rounds add 0; for a risk of ruin of 0.1 %" in house.command("check").stdout
    rows = [row for row in json.loads(house.command("audit", "show", "--json").stdout) if row["kind"] == "reserve"]
    assert [(row["body"]["what"], row["body"]["amount"]) for row in rows] == [("funded", 600), ("drawn", 200)]

    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        ledger.post(connection, since, "test", "1", "bad luck", {ledger.RESERVE: -500, "payable:altyn": 500})
    engine.dispose()
    assert reserve("show")[0] == 1
    checked = house.command("check")
    assert "FPPS owes what it does not have: -100 satoshi" in checked.stdout
    assert checked.exit_code == 1
