"""What an older database holds means the same after the upgrade."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, Table, insert, select
from sqlalchemy.exc import IntegrityError

from tarazy.accounting import ledger, tables
from tarazy.accounting.energy.figures import energy_by_meter
from tarazy.accounting.energy.tables import interval, meter_day, site_day
from tarazy.accounting.payouts import fence
from tarazy.accounting.payouts import tables as payouts
from tarazy.accreditation.audit import AuditEvent, AuditFault, AuditRow, append, canonical, rows_of, verify_rows
from tarazy.accreditation.registers import as_of
from tarazy.database.engine import open_engine
from tarazy.database.schema import SchemaError, _config, current_revision, upgrade
from tarazy.database.states import counts_at, states_at
from tests.accounting.books import require_site_sums

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


def _chain(connection: Connection, count: int) -> str:
    """Rows as they were chained; the last one's hash."""
    table = Table("audit", MetaData(), autoload_with=connection)
    naive = connection.dialect.name == "sqlite"
    previous = "0" * 64
    for sequence in range(1, count + 1):
        at = START + sequence * DAY
        content = {"sequence": sequence, "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "kind": "test", "party": "п"}
        said = canonical({**content, "account": None, "body": {"n": sequence}})
        row = {**content, "at": at.replace(tzinfo=None) if naive else at, "body": canonical({"n": sequence})}
        made = hashlib.sha256((previous + said).encode()).hexdigest()
        connection.execute(insert(table), {**row, "previous_hash": previous, "hash": made})
        previous = made
    return previous


def _upgraded_log(url: str, count: int, change: str = "") -> tuple[str, list[AuditRow], AuditFault | None]:
    """The chain's last hash, the rows after the upgrade, and the first fault of the tree."""
    engine = open_engine(url)
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        last = _chain(connection, count)
        if change:
            connection.exec_driver_sql(change)
    try:
        upgrade(engine)
        with engine.begin() as connection:
            append(connection, [AuditEvent("later", {})], START + 99 * DAY)
            return last, list(rows_of(connection)), verify_rows(rows_of(connection))
    finally:
        engine.dispose()


def test_the_audit_log_of_the_first_schema(database_url: str) -> None:
    """Each row stays, the chain's last hash is kept by a row of its own, and the tree goes on."""
    last, rows, fault = _upgraded_log(database_url, 11)
    assert fault is None
    assert [row.kind for row in rows] == ["test"] * 11 + ["audit-tree", "later"]
    assert (rows[10].party, rows[10].at, rows[10].body) == ("п", START + 11 * DAY, '{"n":11}')
    assert json.loads(rows[11].body) == {"rows": 11, "chain_hash": last, "first_bad_row": None}


def test_an_empty_audit_log_stays_empty(database_url: str) -> None:
    """Nothing to tell of."""
    _, rows, fault = _upgraded_log(database_url, 0)
    assert ([row.kind for row in rows], fault) == (["later"], None)


def test_a_broken_chain_does_not_become_a_whole_tree_without_a_word(database_url: str) -> None:
    """The log says which row was changed before it became a tree."""
    _, rows, fault = _upgraded_log(database_url, 5, "UPDATE audit SET party = 'other' WHERE sequence = 3")
    assert fault is None
    assert json.loads(rows[5].body)["first_bad_row"] == 3


@pytest.mark.parametrize(
    "change", ["DELETE FROM audit", "UPDATE audit SET body = '{'", "UPDATE audit SET body = '{ }'"]
)
def test_a_log_that_cannot_become_a_tree_is_left_as_it_is(database_url: str, change: str) -> None:
    """The row is named, and nothing is changed."""
    with pytest.raises(SchemaError, match="row 2 of the audit log is missing or broken"):
        _upgraded_log(database_url, 5, f"{change} WHERE sequence = 2")
    engine = open_engine(database_url)
    with engine.connect() as connection:
        assert current_revision(connection) == "0001"
    engine.dispose()


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


def test_the_ledger_of_the_first_schema(database_url: str) -> None:
    """Entries keep their postings, and go on behind the last; rounds closed then were PROP at one fee."""
    _first_schema(database_url)
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ledger_entry (at, kind, reference, note) VALUES ('2026-01-01', 'distribution', '1', '')"
        )
        connection.exec_driver_sql("INSERT INTO ledger_posting VALUES (1, 'reward', -5), (1, 'payable:one', 5)")
        connection.exec_driver_sql("INSERT INTO ledger_account VALUES ('reward', -5), ('payable:one', 5)")
    upgrade(engine)
    with engine.begin() as connection:
        assert ledger.check(connection) == []
        assert ledger.balances_at(connection, START) == {"payable:one": 5, "reward": -5}
        assert ledger.post(connection, START, "test", "2", "", {"reward": -1, "fee": 1}) == 2
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger_posting SET amount = 1 WHERE entry = 1")
    engine.dispose()


def test_work_of_before_its_worth_was_kept(database_url: str) -> None:
    """Weights of rounds stay to the last digit, without a worth."""
    engine = open_engine(database_url)
    weight = 3 * 2**100
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0016")
        table = Table("round", MetaData(), autoload_with=connection)
        opened = START.replace(tzinfo=None) if connection.dialect.name == "sqlite" else START
        connection.execute(insert(table), {"round": 1, "opened_at": opened})
        connection.exec_driver_sql(f"INSERT INTO round_weight VALUES (1, 'one', '{weight:040}')")
    upgrade(engine)
    with engine.begin() as connection:
        *row, kept = connection.exec_driver_sql("SELECT round, target, subsidy, party, weight FROM round_work").one()
        assert (row, int(kept)) == ([1, "", 0, "one"], weight)
    engine.dispose()


def test_work_of_before_it_was_summed_by_site(database_url: str) -> None:
    """Sums of two workers at one site, to the last digit; rounds, intervals and sites stay apart."""
    engine = open_engine(database_url)
    weight = 3 * 2**100
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0027")
        connection.execute(insert(tables.round_), [{"round": number, "opened_at": START} for number in (1, 2)])
        row = {"interval_start": START, "party": "a", "account": "a", "shares": 2, "stale_shares": 1, "stale_weight": 4}
        places = [(1, "x", "s"), (1, "y", "s"), (1, "y", "t"), (2, "x", "s")]
        rows = [{**row, "round": number, "worker": who, "site": site, "weight": weight} for number, who, site in places]
        connection.execute(insert(tables.tally), [*rows, {**rows[0], "interval_start": START + DAY}])
    upgrade(engine)
    with engine.begin() as connection:
        require_site_sums(connection)
        assert [row.weight for row in connection.execute(select(tables.site_tally))].count(2 * weight) == 1
    engine.dispose()


def test_states_and_a_stop_of_before_they_were_kept(database_url: str) -> None:
    """Those that had an instant of their own are told of then, the present one since it began; the stop goes on."""
    engine = open_engine(database_url)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0031")
        connection.execute(insert(tables.round_), {"round": 1, "opened_at": START})
        found = {"block_hash": "ab" * 32, "height": 7, "round": 1, "gateway": 1, "sequence": 1, "party": "a"}
        found |= {"worker": "w", "found_at": START, "state": "mature", "confirmations": 100, "reward": 5}
        connection.execute(insert(tables.block), {**found, "state_at": START + DAY})
        batch = {"state": "broadcast", "amount": 5, "proposed_at": START, "proposed_by": "aida"}
        batch |= {"approved_at": START + DAY, "approved_by": "bolat", "state_at": START + 3 * DAY}
        (number,) = connection.execute(insert(payouts.batch).returning(payouts.batch.c.batch), batch).one()
        signed = {"txid": "cd" * 32, "batch": number, "raw": "00", "fee": 1, "signed_at": START + 2 * DAY}
        connection.execute(insert(payouts.transaction), signed)
        control = Table("payout_control", MetaData(), autoload_with=connection)
        naive = START.replace(tzinfo=None) if connection.dialect.name == "sqlite" else START
        stopped = {"stopped_why": "drill", "stopped_language": "en", "stopped_at": naive, "stopped_by": "aida"}
        connection.execute(insert(control), {"id": 1, "token": 4, "payer": "p", **stopped})
    upgrade(engine)
    with engine.begin() as connection:
        told = [
            [states_at(connection, *of, START + day * DAY)[of[1][0]].state for day in range(4)]
            for of in (("block", ["ab" * 32]), ("payout_batch", [str(number)]))
        ]
        assert told == [["found", "mature", "mature", "mature"], ["proposed", "approved", "signed", "broadcast"]]
        assert states_at(connection, "block", ["ab" * 32], START - DAY) == {}
        assert counts_at(connection, "block", START + DAY) == {"mature": 1}
        going = fence.standing(connection)
        assert (going.stopped_why, going.stopped_by, going.stopped_at) == ("drill", "aida", START)
        assert fence.standing(connection, START - DAY).stopped_why is None
        fence.resume(connection, START + 2 * DAY)
        assert fence.standing(connection).stopped_why is None
        assert fence.standing(connection, START + DAY).stopped_why == "drill"
    engine.dispose()


def test_energy_of_before_its_days_were_kept(database_url: str) -> None:
    """What is folded stays so, the rest of its day and other days are in detail, and every watt-hour is told."""
    engine = open_engine(database_url)
    day = datetime(2025, 12, 31, 19, tzinfo=UTC)
    cut = day + timedelta(hours=9)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0022")
        known = {"version": 1, "site": "s", "quality": "measured", "recorded_at": day + DAY}
        folded = {**known, "day_start": day, "day_end": cut, "first_at": day, "meter": "m", "party": ""}
        connection.execute(insert(meter_day), {**folded, "intervals": 9, "energy_wh": 900})
        starts = [cut + timedelta(hours=hour) for hour in (0, 14, 15)]
        rows = [{**known, "meter": "m", "interval_start": start, "seconds": 3600, "energy_wh": 7} for start in starts]
        connection.execute(insert(interval), rows)
    upgrade(engine)
    with engine.begin() as connection:
        days = connection.execute(select(site_day).order_by(site_day.c.day_start)).all()
        assert [tuple(row) for row in days] == [
            ("s", day, cut, "folded", day + DAY),
            ("s", cut, day + DAY, "open", None),
            ("s", day + DAY, day + 2 * DAY, "open", None),
        ]
        assert energy_by_meter(connection, day, day + 2 * DAY)["s", "m"].energy_wh == 921
    engine.dispose()
