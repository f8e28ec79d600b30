"""What an older database holds means the same after the upgrade."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from alembic import command
from sqlalchemy import Connection, MetaData, Table, insert

from tarazy.accreditation.registers import as_of
from tarazy.database.engine import open_engine
from tarazy.database.schema import _config, upgrade

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
_ADDRESSES = [f"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt08{number}" for number in range(2)]


def _first_schema(url: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        _fill(connection)
    engine.dispose()


def _fill(connection: Connection) -> None:
    def add(name: str, valid_from: datetime, **values: Any) -> None:
        table = Table(name, MetaData(), autoload_with=connection)
        naive = connection.dialect.name == "sqlite"

        def stored(value: Any) -> Any:
            return value.replace(tzinfo=None) if naive and isinstance(value, datetime) else value

        row = {name: "one", **values, "valid_from": valid_from, "recorded_by": "operator"}
        row = {"recorded_at": valid_from, **row}
        connection.execute(insert(table), {key: stored(value) for key, value in row.items()})

    names = {"name_kk": "A", "name_ru": "A", "name_en": "A"}
    party = {"bin": "240140000001", "kind": "legal", "account": "one", **names}
    add("party", START, **party, payout_address=_ADDRESSES[0])
    add("party", START + 10 * DAY, **party, payout_address=_ADDRESSES[1])
    licence = {"party": "one", "kind": "I", "issued_on": date(2026, 1, 1), "status": "in_force"}
    add("licence", START, **licence)
    add("licence", START, **licence, valid_to=START + 20 * DAY, recorded_at=START + 5 * DAY)
    add("equipment", START, model="S21", party="one", site="one", efficiency_mj_per_th=17_500, nominal_power_w=3_500)
    add("server", START, host="h", address="a", country="KZ", location="l")


def test_registers_of_the_first_schema(database_url: str) -> None:
    """Wallets come from parties, hash rates from efficiencies, and what replaced a row still does."""
    _first_schema(database_url)
    engine = open_engine(database_url)
    upgrade(engine)
    with engine.connect() as connection:
        before = as_of(connection, START + 30 * DAY, known_at=START + 4 * DAY)
        early, late = as_of(connection, START + DAY), as_of(connection, START + 30 * DAY)
    engine.dispose()
    assert "one" in before.licences, "as it was known then, the licence had no end"
    assert "one" in early.licences
    assert "one" not in late.licences, "the shortened licence has ended"
    assert early.wallet_by_party["one"].address == _ADDRESSES[0]
    assert late.wallet_by_party["one"].address == _ADDRESSES[1]
    assert late.equipment["one"].nominal_hash_rate_hs == 200 * 10**12
    assert (late.parties["one"].jurisdiction, late.servers["one"].networks) == ("KZ", ())
