"""`tarazy gateway`: a journal that cannot be had is declared lost."""

from __future__ import annotations

import json
from pathlib import Path

from tarazy.accounting.folding import fold
from tarazy.database.engine import open_engine
from tests.accounting.books import START, Gateway, share
from tests.pool.house import House


def test_a_gateway_is_declared_lost(tmp_path: Path) -> None:
    """Only one that was folded can be; the books show it, and the audit log tells who said so."""
    house = House(tmp_path / "pool")
    refused = house.command("gateway", "lost", "1")
    assert (refused.exit_code, "nothing of it was folded" in refused.stderr) == (1, True)
    gateway = Gateway(tmp_path / "journal.sqlite", ["alpha"])
    gateway.write(share())
    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        fold(connection, gateway.reader, 1, 900, 10, START)
    engine.dispose()
    gateway.close()
    assert house.command("gateway", "lost", "1").exit_code == 0
    (told,) = json.loads(house.command("gateway", "list", "--json").stdout)
    assert (told["gateway"], told["folded"]) == (1, 1)
    assert told["lost_at"]
    assert "gateway-lost" in house.command("audit", "show", "--json").stdout
