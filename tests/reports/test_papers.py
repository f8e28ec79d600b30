"""The distribution report, the statement of energy and fee, and the list of what ends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from sqlalchemy import Connection, update

from tarazy.accounting import tables
from tarazy.accounting.ledger import post
from tarazy.accreditation.entries import Certificate
from tarazy.accreditation.expiry import EXPIRING, expiries
from tarazy.accreditation.registers import append_all
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.config.law import load_law
from tarazy.config.law.calendar import Period, Quarter
from tarazy.pool.cli.report import build
from tarazy.reports.build import KINDS, ReportError, gather_report, render, write_all
from tarazy.reports.canonical import canonical_json
from tarazy.reports.difference import differences
from tarazy.reports.document import Document, Notice, Paragraph, Table
from tarazy.reports.expiring import ExpiringReport
from tarazy.reports.explained import explain_fee
from tarazy.reports.gather import gather
from tarazy.reports.kept import read_kept
from tarazy.reports.language import LANGUAGES, has
from tarazy.reports.layout import Report, lay_out
from tarazy.reports.layout.voice import Voice
from tests.reports import coins, papers, world
from tests.reports.pdf_text import pages

Q4 = Period.parse("2026-Q4")
NOW = world.LATER + timedelta(days=9)


def _energy(connection: Connection, party: str = "sary", **more: Any) -> Any:
    return coins.asked(connection, "energy", **{"party": party, "period": Q4, **more})


def _expiring(connection: Connection, **more: Any) -> ExpiringReport:
    found = coins.asked(connection, "expiring", period=None, **more)  # type: ignore[arg-type]
    assert isinstance(found, ExpiringReport)
    return found


def test_rewards_balance_and_each_round_is_on_record_or_said_not_to_be(connection: Connection) -> None:
    """Reward = credits + fee + remainder, the ledger adds up to zero, and the root stands beside its audit row."""
    row = papers.put_on_record(connection)
    papers.pay(connection)
    told = coins.asked(connection, "rewards")
    totals = told.totals
    assert totals.reward == totals.credited + totals.fee + totals.remainder == 2 * world.REWARD
    assert [each.state for each in told.distributions] == ["final", "reversed", "immature"]
    assert all(each.reward == sum(c.amount for c in each.credits) + each.fee for each in told.distributions)
    assert sum(each.opening for each in told.accounts) == sum(each.closing for each in told.accounts) == 0
    moved = {each.account: each.closing for each in told.accounts}
    assert (moved["reward"], moved["paid"], moved["network-fee"]) == (-2 * world.REWARD, 270_703_125, 1_410)
    (record,) = told.records
    assert (record.round, record.audit_row, record.share_root) == (1, row, papers.ROOTS["share_root"])
    assert told.unrecorded == (3,)
    (batch,) = told.batches
    assert (batch.state, batch.amount, batch.txid) == ("confirmed", 270_703_125, papers.TXID)
    assert sum(each.amount for each in batch.payouts) == batch.amount


def test_rewards_are_told_as_they_stood(connection: Connection) -> None:
    """A payout on its way then, a record that came later, and accounts that were opened since are no part of it."""
    papers.pay(connection)
    early = papers.FINAL + timedelta(hours=1)
    states = [("proposed", 1), ("approved", 5 * 60 + 1), ("signed", 6 * 60 + 1), ("confirmed", 3601)]
    for state, seconds in states:
        (batch,) = coins.asked(connection, "rewards", as_of=early + timedelta(seconds=seconds)).batches
        assert (batch.state, batch.txid is None) == (state, state in ("proposed", "approved"))
        assert (batch.confirmed_at is None) == (state != "confirmed")
    before = coins.asked(connection, "rewards"), coins.statement(connection, "tau")
    papers.put_on_record(connection, world.LATER)
    world.happen_later(connection)
    coins.pay(connection, "tau", 1, world.LATER)
    post(connection, world.LATER, "reserve-deposit", "reserve", "", {"fee": -1, "reserve": 1})
    after = coins.asked(connection, "rewards"), coins.statement(connection, "tau")
    assert list(map(canonical_json, after)) == list(map(canonical_json, before))


def test_rewards_that_the_ledger_does_not_know_are_refused(connection: Connection) -> None:
    """A reward changed in the database, whether or not it still adds up."""
    table = tables.distribution
    connection.execute(update(table).where(table.c.distribution == 1).values(reward=table.c.reward + 1))
    with pytest.raises(ReportError, match="distribution 1 divides 312500001 satoshi into 312500000"):
        coins.asked(connection, "rewards")
    connection.execute(update(table).where(table.c.distribution == 1).values(fee=table.c.fee + 1))
    with pytest.raises(ReportError, match="add up to 937500001 satoshi, the ledger has 937500000"):
        coins.asked(connection, "rewards")


def test_energy_and_fee_are_those_explained_and_reported(connection: Connection) -> None:
    """The same figures as `tarazy fee explain` and as the sections of the accreditation report."""
    papers.share_by_rule(connection)
    law, known = world.assumed_law(), world.MOMENT - datetime.resolution
    registers = registers_as_of(connection, world.MOMENT, known)
    whole = gather(connection, world.MOMENT, world.POOL, law)
    for party in ("altyn", "sary", "tau"):
        told = _energy(connection, party)
        assert told.fee == next(each for each in whole.fee.fees if each.party == party)
        assert told.average_price_kzt == told.fee.average_price_kzt
        explained = explain_fee(connection, registers, law, party, Quarter.parse("2026-Q4"), known)
        assert told.fee.energy_wh == explained["energy_wh"]
        assert (told.fee.amount_kzt, str(told.fee.exact_kzt)) == (explained["total_kzt"], explained["exact_kzt"])
        assert sum(site.rest_wh for site in told.sites) == explained["rest_wh"]
        assert told.fee.energy_wh == sum(site.allocated_wh + site.rest_wh for site in told.sites)
        assert told.fee.energy_wh == sum(each.energy_wh for each in told.drawn)
        for site in told.sites:
            same = next(each for each in whole.energy.sites if each.site == site.site)
            part = next(each for each in same.parties if each.party == party)
            assert (site.metered_wh, site.allocated_wh) == (same.metered_wh, part.energy_wh)
            assert (site.uncertain_wh, site.submetered_wh) == (part.uncertain_wh, part.submetered_wh)


def test_energy_tells_meters_rule_and_contract(connection: Connection) -> None:
    """The sub-meter, the agreed part from its day on, and the contract that gave the energy."""
    papers.share_by_rule(connection)
    told = _energy(connection)
    (site,) = told.sites
    assert [(each.by, each.part_percent) for each in site.sharing] == [(None, None), ("fixed", Decimal("37.5"))]
    meters = [(each.meter, each.submeter, each.measured, each.estimated) for each in site.meters]
    assert meters == [("ek-feeder-1", False, 6, 0), ("ek-solar", False, 6, 0), ("ek-sary", True, 5, 1)]
    bought = told.drawn[0]
    assert (bought.supply, bought.contract, bought.price_tiyn_per_kwh) == ("ek-bilateral", "77/26-Э", 2_155)
    assert bought.cost_kzt == Decimal(bought.energy_wh) * 2_155 / 100_000
    assert [gap.code for gap in told.gaps] == ["estimated_intervals", "no_due_rule"]


def test_what_keeps_the_fee_from_being_told(connection: Connection) -> None:
    """No rule, no price, nothing at all: each is said with what to do, in every language."""
    papers.share_by_rule(connection, price=None)
    lawless = _energy(connection, "tau", book=load_law())
    unpriced = _energy(connection)
    idle = _energy(connection, "zhel")
    assert [gap.code for gap in lawless.gaps] == ["no_rule", "no_due_rule"]
    assert (lawless.fee.amount_kzt, lawless.average_price_kzt) == (None, Decimal("24.1"))
    assert ("no_price", "ek-bilateral") in [(gap.code, gap.of) for gap in unpriced.gaps]
    assert [gap.code for gap in idle.gaps] == ["no_site", "no_due_rule"]
    for told in (lawless, unpriced, idle):
        for lang in LANGUAGES:
            table = _tables(_document(told, lang))[1]
            assert len(table.rows) == len(told.gaps)
            assert all(what and cure for what, cure in table.rows)


def test_past_quarters_tell_the_days_of_declaring_and_paying(connection: Connection) -> None:
    """As the rule of those years has them."""
    told = _energy(connection, "tau", period=Period.parse("2025-Q3"))
    assert (told.due.declare, told.due.pay) == (date(2025, 11, 15), date(2025, 11, 25))
    assert "25 Nov 2025" in [cell for table in _tables(_document(told, "en")) for row in table.rows for cell in row]


def test_the_list_is_that_of_the_registers_and_of_quotas(connection: Connection) -> None:
    """As `tarazy register expiring` tells it, by date; a quota ends with the last month that has one."""
    papers.end_soon(connection)
    told = _expiring(connection)
    registers = registers_as_of(connection, world.MOMENT, world.MOMENT - datetime.resolution)
    known = [(each.ending.register, each.ending.key, each.days_left) for each in expiries(registers)]
    assert [(each.register, each.key, each.days_left) for each in told.lines if each.register != "quota"] == known
    days = [each.last_day.isoformat() for each in told.lines]
    assert days == ["2026-11-24", "2026-12-14", "2026-12-31", "2026-12-31", "2027-01-14", "2027-01-31"]
    lines = {each.register: each for each in told.lines}
    assert (lines["quota"].key, lines["quota"].party) == ("q-2026-12", "altyn")
    assert (lines["document"].of_key, lines["document"].party) == ("ek-feeder-1", "altyn")
    assert (lines["placement"].party, lines["placement"].named) == ("sary", "14/26")
    assert lines["certificate"].party is None
    assert [each.key for each in _expiring(connection, ahead_days=10).lines] == ["АП-0007"]


def test_what_a_correction_changes_is_listed(connection: Connection) -> None:
    """As known before it the list stays the same; as known after it the certificate is renewed."""
    papers.end_soon(connection)
    before = _expiring(connection)
    (ending,) = registers_as_of(connection, world.MOMENT).latest(Certificate)
    renewed = replace(ending, valid_to=None, corrects=ending.entry, why="Ұзартылды")
    at = world.MOMENT + timedelta(hours=1)
    append_all(connection, [renewed], at, "operator")
    assert canonical_json(_expiring(connection)) == canonical_json(before)
    after = _expiring(connection, known_at=at + timedelta(seconds=1))
    changed = [each.place for each in differences(*(json.loads(canonical_json(each)) for each in (before, after)))]
    assert "lines[certificate АП-0007]" in changed
    assert not [place for place in changed if place.startswith("lines") and "АП-0007" not in place]


@pytest.mark.parametrize(
    ("kind", "asked", "fault"),
    [
        ("rewards", {"party": "altyn"}, "of all parties"),
        ("rewards", {"period": None}, "name a period"),
        ("rewards", {"ahead_days": 9}, "only the list of what ends"),
        ("energy", {"period": Q4}, "of one party"),
        ("energy", {"party": "altyn"}, "of a quarter; 2026-11 is none"),
        ("energy", {"party": "nobody", "period": Q4}, "no party nobody"),
        ("expiring", {}, "of the whole pool"),
        ("expiring", {"period": None, "ahead_days": 0}, "1 to 3660 days ahead, not 0"),
    ],
)
def test_each_is_asked_for_as_it_must_be(connection: Connection, kind: str, asked: dict[str, Any], fault: str) -> None:
    """The fault says what to name."""
    with pytest.raises(ReportError, match=fault):
        coins.asked(connection, kind, **asked)


def test_files_tell_what_they_were_built_from(connection: Connection, tmp_path: Path) -> None:
    """Each kind is written in all forms, and its JSON is enough to build the same again, as verifying does."""
    papers.share_by_rule(connection)
    papers.end_soon(connection)
    papers.put_on_record(connection)
    papers.pay(connection)
    law = world.assumed_law()
    for told in (coins.asked(connection, "rewards"), _energy(connection), _expiring(connection, ahead_days=60)):
        name, content = render(told, "json", "kk")
        write_all(tmp_path, {name: content})
        kept = read_kept(tmp_path / name)
        kind, as_of, asked = kept.request()
        assert canonical_json(gather_report(connection, kind, as_of, world.SETTINGS, law, NOW, asked)) == kept.content
        assert all(kept.digest in page for page in pages(render(told, "pdf", "kk")[1]))
        assert all(kept.digest in render(told, form, "ru")[1].decode() for form in ("csv", "html"))
        assert render(told, "xlsx", "en")[1][:2] == b"PK"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_says_everything(connection: Connection, lang: str) -> None:
    """No code stands where a word should, each says that it is no official form, and instants keep to one line."""
    papers.share_by_rule(connection)
    papers.end_soon(connection)
    papers.put_on_record(connection)
    papers.pay(connection)
    codes = {"immature", "payable", "paid", "in-flight", "network-fee", "fee:immature", "reversed", "confirmed"}
    codes |= {"grid", "bilateral", "fixed", "ok", "certificate", "quota"}
    rewards = coins.asked(connection, "rewards")
    helped = replace(rewards, distributions=tuple(replace(each, reserve=-5) for each in rewards.distributions))
    for told in (rewards, helped, _energy(connection), _expiring(connection)):
        document = _document(told, lang)
        for table in _tables(document):
            assert {len(row) for row in (*table.rows, table.total) if row} == {len(table.columns)}
        cells = [cell for table in _tables(document) for row in table.rows for cell in row]
        assert not codes & set(cells) or lang == "en"
        assert not [cell for cell in cells if "+05:00" in cell]
        assert isinstance(document.cover[1], Notice)
        assert not [block for block in document.cover if isinstance(block, Paragraph) and "{" in block.text]


def test_an_instant_carries_an_offset_only_where_its_heading_does_not_say_it() -> None:
    """Legal time was an hour further from UTC until 1 March 2024."""
    voice = Voice("ru", {})
    assert voice.when("since").endswith("(UTC+05:00)")
    assert voice.at(datetime(2026, 11, 20, 9, 30, tzinfo=UTC)) == "20.11.2026\xa014:30:00"
    assert voice.at(datetime(2024, 2, 1, 9, 30, tzinfo=UTC)) == "01.02.2024\xa015:30:00\xa0+06:00"
    assert voice.at(None) == "—"


def test_every_register_that_is_looked_at_has_a_consequence() -> None:
    """And a name."""
    for register in (*EXPIRING, "quota"):
        assert has(f"expiring.consequence.{register}")
        assert has(f"attention.what.{register}")


def test_the_command_offers_every_kind() -> None:
    """It names them without loading what builds them."""
    choice = next(each for each in build.params if each.name == "kind").type
    assert isinstance(choice, click.Choice)
    assert tuple(choice.choices) == KINDS


def _document(told: Report, lang: str) -> Document:
    return lay_out(told, "ab" * 32, "file.json", lang)


def _tables(document: Document) -> list[Table]:
    return [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
