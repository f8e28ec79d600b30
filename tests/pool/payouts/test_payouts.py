"""Payouts from the proposal to the confirmation: whatever happens, each obligation is settled exactly once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, insert, update
from sqlalchemy.exc import IntegrityError

from tarazy.accounting.ledger import check
from tarazy.accounting.payouts import batches, fence, tables, unbooked
from tarazy.accounting.payouts.machine import BatchState, Destination, LeftOut, Limits, PayoutError
from tarazy.accounting.tables import round_proof
from tarazy.accreditation.audit import rows_of
from tarazy.accreditation.entries import DocumentStatus, Licence, LicenceKind, Wallet, WalletStatus
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import ALMATY
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tarazy.pool.chain.bitcoind import probe
from tarazy.pool.chain.bitcoind.faults import NodeError
from tarazy.pool.chain.wallet import ADDRESS
from tarazy.pool.payouts import desk
from tarazy.pool.payouts import payer as payer_module
from tarazy.pool.payouts import wallet as wallet_module
from tarazy.pool.payouts.facts import destinations as destinations_of
from tarazy.pool.templates import address_script
from tarazy.reports.licence_holds import hold_reason, hold_texts
from tests.pool.payouts.world import (
    ANNA,
    BOLAT,
    CREDITS,
    FEE_TAKEN,
    SETTINGS,
    Node,
    Pool,
    address,
    in_child,
    line_to,
    paid_by,
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for the module; each test opens books on what its wallet holds by then."""
    node = Node(tmp_path_factory.mktemp("node"))
    yield node
    node.mine()
    node.stop()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that finds something missing looks again at once."""
    monkeypatch.setattr(payer_module, "LOOK_SECONDS", 0.0)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """SQLite's, except where `ON_BOTH` asks for what the databases themselves do."""
    url: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return url


ON_BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def pool(engine: Engine, node: Node, request: pytest.FixtureRequest) -> Pool:
    """Open books."""
    node.mine()
    pool = Pool(engine, node.url, of=request.node.name)
    pool.open_books()
    return pool


@ON_BOTH
def test_from_the_proposal_to_the_confirmation(pool: Pool, node: Node) -> None:
    """Due amounts become paid ones by one transaction; the network's fee is the pool's cost."""
    number = pool.approved()
    assert pool.balances()["in-flight:altyn"] == 2 * CREDITS["altyn"]
    pool.payer().turn()
    sent = pool.batch(number)
    assert sent.state is BatchState.BROADCAST
    assert pool.payer().check().difference == 0, "sent, but not in a block"
    assert paid_by(node.mine(5), sent) == 1
    pool.payer().turn()
    assert pool.batch(number).state is BatchState.BROADCAST, "5 confirmations are not 6"
    node.mine(1)
    pool.payer().turn()
    assert pool.batch(number).state is BatchState.CONFIRMED
    fee = sent.transactions[0].fee
    after = pool.balances()
    assert {party: after[f"paid:{party}"] for party in CREDITS} == {p: 2 * amount for p, amount in CREDITS.items()}
    assert (after["fee"], after["network-fee"]) == (2 * FEE_TAKEN - fee, fee)
    assert not [name for name in after if name.startswith(("payable:", "in-flight:"))]
    assert pool.payer().check().difference == 0
    assert pool.payer().propose(pool.destinations)[0] is None, "nothing is due twice"
    with pool.engine.begin() as connection:
        assert check(connection) == []
        told = [json.loads(row.body)["what"] for row in rows_of(connection) if row.kind == "payout"]
    assert told == ["own paid in", "proposed", "approved", "prepared", "signed", "broadcast", "confirmed"]


@ON_BOTH
def test_the_database_refuses_an_obligation_in_two_batches(pool: Pool) -> None:
    """A credit is in at most one batch that is not abandoned, whatever a program tries."""
    number, now = pool.approved(), datetime.now(UTC)
    row = {"state": "proposed", "amount": 1, "proposed_at": now, "proposed_by": "x", "state_at": now}
    paid = {"party": "altyn", "address": "a", "script": "00", "amount": 1}
    again = {"distribution": 1, "party": "altyn"}
    with pool.engine.begin() as connection:
        made = insert(tables.batch).values(**row).returning(tables.batch.c.batch)
        second = connection.execute(made).scalar_one()
        connection.execute(insert(tables.payout).values(batch=second, **paid))
        connection.execute(insert(tables.payout_credit).values(batch=second, **again, live=False))
        live = update(tables.payout_credit).where(tables.payout_credit.c.batch == second).values(live=True)
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(live)
        first = update(tables.payout_credit).where(tables.payout_credit.c.batch == number).values(live=False)
        connection.execute(first)
        connection.execute(live)


@ON_BOTH
def test_the_second_person(pool: Pool) -> None:
    """Who proposed does not approve; nothing goes on before somebody else did."""
    number, _ = pool.payer(ANNA).propose(pool.destinations)
    assert number is not None
    with pytest.raises(PayoutError, match="somebody else must approve"):
        pool.payer(ANNA).approve(number)
    pool.payer(ANNA).turn()
    assert pool.batch(number).state is BatchState.PROPOSED
    assert pool.payer(ANNA).abandon(number, "not wanted")
    assert pool.balances()["payable:altyn"] == 2 * CREDITS["altyn"]
    again, _ = pool.payer(ANNA).propose(pool.destinations)
    assert again != number


class _Killer:
    """Kills this process at its n-th step: before or after a call to the node or a commit that wrote something."""

    def __init__(self, engine: Engine, at: int) -> None:
        self._left = at
        self._wrote = False
        call = probe.call

        def killing(*given: Any, **how: Any) -> Any:
            self.step()
            answer = call(*given, **how)
            self.step()
            return answer

        vars(wallet_module)["call"] = killing
        event.listen(engine, "before_cursor_execute", self._noticed)
        event.listen(engine, "commit", self._committing)
        event.listen(engine, "begin", lambda _: self._begun())

    def step(self) -> None:
        """One step; the last one ends here."""
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def _noticed(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._wrote |= statement.startswith(("INSERT", "UPDATE"))

    def _committing(self, _connection: Any) -> None:
        if self._wrote:
            self.step()
        self._after = self._wrote
        self._wrote = False

    def _begun(self) -> None:
        if getattr(self, "_after", False):
            self._after = False
            self.step()


def _pay(pool: Pool) -> None:
    """Everything two persons and the server do, from where the books stand."""
    known = pool.open()
    if not known:
        pool.payer(ANNA).propose(pool.destinations)
        known = pool.open()
    if known and known[0].state is BatchState.PROPOSED:
        pool.payer(BOLAT).approve(known[0].number)
    pool.payer("server").turn()


def _killed(pool: Pool, at: int) -> bool:
    """Pay in a process of its own that is killed at its n-th step; whether it came so far."""

    def pay() -> None:
        _Killer(pool.engine, at)
        _pay(pool)

    pool.engine.dispose()  # a child must not inherit an open database
    status = in_child(pay)
    assert status in (0, -signal.SIGKILL)
    return status == -signal.SIGKILL


@pytest.mark.parametrize(("database_url", "stride"), [("sqlite", 1), ("postgresql", 5)], indirect=["database_url"])
def test_killed_between_any_two_steps(pool: Pool, node: Node, stride: int) -> None:
    """(R-025) Whenever the payer dies, each obligation is settled by exactly one confirmed transaction.

    At every step of its way on SQLite, at every fifth on PostgreSQL.
    """
    deaths = 0
    for turn, kill_at in enumerate(count(1, stride), 1):
        mined: list[dict[bytes, int]] = []
        killed = [_killed(pool, kill_at)]
        mined += node.mine(1)
        _pay(pool)
        mined += node.mine()
        killed.append(_killed(pool, kill_at))
        mined += node.mine(1)
        _pay(pool)
        with pool.engine.begin() as connection:
            made = batches.batches(connection, list(BatchState))
            assert check(connection) + batches.check(connection) == []
        assert len(made) == turn
        assert made[-1].state is BatchState.CONFIRMED, kill_at
        assert paid_by(mined, made[-1]) == 1, kill_at
        assert sum(each.confirmed_at is not None for each in made[-1].transactions) == 1
        assert pool.payer().check().difference == 0
        deaths += sum(killed)
        if not any(killed):
            break
        for number in (2 * turn + 1, 2 * turn + 2):
            pool.distribute(number)
        pool.level()
    assert deaths > 40 / stride, "it was killed all along the way"


@pytest.mark.parametrize("way", ["lost", "never sent", "twice", "late", "refused for a while", "mined meanwhile"])
def test_answers_of_the_node_to_a_sending(pool: Pool, node: Node, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """(R-026) Lost, doubled and late answers, -25 and -27: the same bytes are sent again, and pay once."""

    def refused(code: int, message: str) -> tuple[int, bytes]:
        return 500, json.dumps({"result": None, "error": {"code": code, "message": message}, "id": "x"}).encode()

    def happens(pass_on: Any) -> tuple[int, bytes] | None:
        if way == "refused for a while":
            return refused(-25, "bad-txns-inputs-missingorspent")
        if way == "never sent":
            return None
        answer: tuple[int, bytes] = pass_on()
        if way == "lost":
            return None
        if way == "late":
            time.sleep(1.0)
        if way == "mined meanwhile":
            mined.extend(node.mine(1))
        return pass_on() if way != "late" else answer

    mined: list[dict[bytes, int]] = []
    with line_to(node) as line:
        careful = Pool(pool.engine, line.url, of="x")
        careful.destinations = pool.destinations
        number = careful.approved()
        line.ways["sendrawtransaction"] = happens
        if way == "late":
            monkeypatch.setattr(wallet_module, "CALL_SECONDS", 0.3)
        careful.payer().turn()
        before = pool.batch(number)
        unsure = way in ("lost", "never sent", "late", "refused for a while")
        assert (before.state, before.trouble is not None) == (
            BatchState.SIGNED if unsure else BatchState.BROADCAST,
            unsure,
        )
        line.ways.clear()
        monkeypatch.setattr(wallet_module, "CALL_SECONDS", 30.0)
        careful.payer().turn()
        after = pool.batch(number)
        assert (after.state, after.trouble) == (BatchState.BROADCAST, None)
        assert [each.raw for each in after.transactions] == [each.raw for each in before.transactions]
        mined += node.mine()
        careful.payer().turn()
        assert pool.batch(number).state is BatchState.CONFIRMED
        assert paid_by(mined, after) == 1
        assert careful.payer().check().difference == 0


@ON_BOTH
def test_two_payers_at_once(pool: Pool, node: Node) -> None:
    """(R-027) Whoever took over last writes; the other is refused in its own transaction; one pays."""
    number = pool.approved()
    first, second = pool.payer("first"), pool.payer("second")
    with pytest.raises(fence.FencedError, match="second has taken over"):
        first.turn()
    assert pool.batch(number).state is BatchState.APPROVED
    second.turn()
    with pytest.raises(fence.FencedError):
        first.send(number)
    assert pool.batch(number).state is BatchState.BROADCAST
    assert paid_by(node.mine(), pool.batch(number)) == 1


@pytest.mark.parametrize("rewards", [0, 1])
@ON_BOTH
def test_a_restored_backup_pays_nobody_until_it_is_reconciled(
    pool: Pool, node: Node, tmp_path: Path, rewards: int
) -> None:
    """(R-028) Books from before a payment miss it, though new rewards hide its sum; they stop until it is taken in."""
    restored = open_engine(f"sqlite:///{tmp_path / 'restored.db'}")
    metadata.create_all(restored)
    old = Pool(restored, node.url)
    old.destinations = pool.destinations
    old.open_books()
    number = pool.approved()
    pool.payer().turn()
    assert paid_by(node.mine(), pool.batch(number)) == 1
    pool.payer().turn()
    txid = pool.batch(number).transactions[0].txid
    node.call("generatetoaddress", rewards, ADDRESS)

    again = old.approved()
    old.payer().turn()
    assert old.batch(again).state is BatchState.APPROVED
    with pytest.raises(PayoutError, match="books do not know transaction"):
        old.approved()
    assert old.payer(ANNA).abandon(again, "made on an old backup")
    assert old.payer().check().unknown == (txid,)
    parties = {place.address: party for party, place in old.destinations.items() if isinstance(place, Destination)}
    adopted = old.payer().adopt(txid, parties)
    assert old.payer().check().fault is None
    old.payer().resume("reconciled")
    old.payer().turn()
    assert old.batch(adopted).state is BatchState.CONFIRMED
    assert old.balances() == pool.balances()
    assert old.payer().propose(old.destinations)[0] is None
    with pytest.raises(PayoutError, match="booked already"):
        old.payer().adopt(txid, parties)
    restored.dispose()


def test_a_backup_of_an_approved_batch_takes_its_transaction_in(pool: Pool, node: Node, tmp_path: Path) -> None:
    """(R-028) The batch was signed after the backup: the transaction becomes that batch's."""
    restored = open_engine(f"sqlite:///{tmp_path / 'restored.db'}")
    metadata.create_all(restored)
    old = Pool(restored, node.url)
    old.destinations = pool.destinations
    old.open_books()
    waiting, number = old.approved(), pool.approved()
    pool.payer().turn()
    node.mine()
    old.payer().turn()
    assert old.batch(waiting).state is BatchState.APPROVED
    assert old.payer().adopt(pool.batch(number).transactions[0].txid, {}) == waiting
    old.payer().turn()
    assert old.batch(waiting).state is BatchState.CONFIRMED
    restored.dispose()


@ON_BOTH
def test_a_replacement_pays_once(pool: Pool, node: Node) -> None:
    """(R-029) Both transactions are kept, with the same inputs and payees; one of the two confirms and is booked."""
    number = pool.approved()
    pool.payer().turn()
    with pytest.raises(PayoutError, match="maximum_fee"):
        pool.payer().bump(number, 100_000)
    assert pool.payer().bump(number, 10) is not None
    first, second = pool.batch(number).transactions
    assert second.fee > first.fee
    assert pool.payer().check().difference == 0
    assert paid_by(node.mine(), pool.batch(number)) == 1
    pool.payer().turn()
    first, second = pool.batch(number).transactions
    assert (first.confirmed_at, second.confirmed_at is None) == (None, False)
    assert pool.balances()["network-fee"] == second.fee
    assert pool.payer().check().difference == 0


def test_the_first_may_confirm_although_it_was_replaced(pool: Pool, node: Node) -> None:
    """(R-029) A replacement that never reached the network: the first transaction settles the batch."""
    number = pool.approved()
    pool.payer().turn()
    with line_to(node) as line:
        line.ways["sendrawtransaction"] = lambda _: None
        cut_off = Pool(pool.engine, line.url)
        cut_off.payer().bump(number, 10)
    assert len(pool.batch(number).transactions) == 2
    node.mine()
    pool.payer().turn()
    first, second = pool.batch(number).transactions
    assert first.confirmed_at is not None
    assert second.confirmed_at is None
    assert pool.balances()["network-fee"] == first.fee


def test_the_first_payment_to_an_address_is_small(pool: Pool, node: Node) -> None:
    """One credit to an address that was never paid; the rest when that is confirmed, and so at every new address."""
    pool.settings = SETTINGS.model_copy(update={"first_payment": 0})
    given_up, _ = pool.payer().propose(pool.destinations)
    assert given_up is not None
    pool.payer().abandon(given_up, "not wanted")
    number = pool.approved()
    assert {each.party: each.amount for each in pool.batch(number).payouts} == CREDITS
    pool.payer().turn()
    node.mine(5)
    pool.payer().turn()
    told = {party: place for party, place in pool.destinations.items() if isinstance(place, Destination)}
    none, selection = pool.payer().propose(pool.destinations)
    assert none is None
    assert selection.left_out == {
        party: f"the first payment to {place.address} is not confirmed yet" for party, place in told.items()
    }
    node.mine(1)
    pool.payer().turn()
    pool.destinations["dala"] = Destination(address("elsewhere"), address_script(address("elsewhere"), "regtest"))
    pool.distribute(3)
    selection = pool.payer().propose(pool.destinations)[1]
    assert {each.party: (each.distributions, each.rest) for each in selection.payments} == {
        "altyn": ((2, 3), None),
        "dala": ((2,), CREDITS["dala"]),
        "samal": ((2, 3), None),
    }


def test_the_programs_own_reason_of_a_hold_is_told_in_each_language() -> None:
    """As it is kept, it is English; what somebody wrote stays as it is."""
    licence = replace(_licence(), status=DocumentStatus.SUSPENDED)
    texts = desk._texts(LeftOut("held", why=hold_reason(licence)))
    assert texts["ru"] == "удержано: лицензия L-7 с 01.11.2026: приостановлена"
    assert "тоқтатыла тұрған" in texts["kk"]
    assert hold_texts("the address is disputed") is None


def _licence() -> Licence:
    told: dict[str, Any] = {"party": "altyn", "kind": LicenceKind.OWN_DATA_CENTRE, "issued_on": date(2026, 1, 1)}
    return Licence(licence="L-7", status=DocumentStatus.IN_FORCE, valid_from=datetime(2026, 11, 1, tzinfo=UTC), **told)


def test_an_address_that_counts_later_is_told_in_the_readers_words() -> None:
    """With the instant as the pages write it."""
    texts = desk._texts(LeftOut("address-later", instant="2026-11-30T12:00:00+05:00"))
    assert texts["ru"] == "адрес выплат действует с 30.11.2026 12:00:00 (UTC+05:00)"


def test_who_is_left_out(pool: Pool) -> None:
    """(R-030) Dust, another network's address and too little stay due, each with its reason."""
    main = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"

    now = datetime.now(UTC)
    kept: dict[str, Any] = {"address": main, "status": WalletStatus.APPROVED}
    later = Wallet(wallet="w-2", party="waiting", valid_from=now + timedelta(days=1), entry=2, **kept)
    wallets = {"w-1": [Wallet(wallet="w-1", party="altyn", valid_from=now, entry=1, **kept)], "w-2": [later]}
    faulty = destinations_of(Registers({"wallet": wallets}, now), "regtest")
    begins = later.valid_from.astimezone(ALMATY).isoformat(timespec="seconds")
    assert faulty.pop("waiting") == f"its payout address counts from {begins}"
    pool.settings = SETTINGS.model_copy(update={"threshold": 2 * CREDITS["dala"]})
    number, selection = pool.payer().propose(pool.destinations | faulty)
    assert number is not None
    assert selection.left_out == {
        "altyn": f"{main} is not an address of the regtest chain; give one that is",
        "samal": "below the threshold of 4000000 satoshi",
    }
    assert [each.party for each in pool.batch(number).payouts] == ["dala"]
    assert pool.balances()["payable:altyn"] == 2 * CREDITS["altyn"]


def test_a_batch_pays_the_address_it_was_proposed_with(pool: Pool, node: Node) -> None:
    """(R-030) An address changed afterwards counts for later batches."""
    number, frozen = pool.approved(), dict(pool.destinations)
    pool.destinations = {
        party: Destination(address("new"), address_script(address("new"), "regtest")) for party in CREDITS
    }
    pool.payer().turn()
    assert {each.address for each in pool.batch(number).payouts} == {
        place.address for place in frozen.values() if isinstance(place, Destination)
    }
    assert paid_by(node.mine(), pool.batch(number)) == 1


@ON_BOTH
def test_a_round_without_its_record_is_not_paid(pool: Pool) -> None:
    """What is paid was in the audit log before; an operator may say otherwise."""
    with pool.engine.begin() as connection:
        connection.execute(delete(round_proof).where(round_proof.c.distribution == 1))
    waiting = pool.payer().propose(pool.destinations)[1]
    assert {each.distributions for each in waiting.payments} == {(2,)}
    late = pool.payer().propose(pool.destinations, unproven=True)[1]
    assert {each.distributions for each in late.payments} == {(1,)}


def test_two_parties_with_one_address(pool: Pool, node: Node) -> None:
    """Their payments are one output."""
    pool.destinations = {
        party: Destination(address("ours"), address_script(address("ours"), "regtest")) for party in CREDITS
    }
    number = pool.approved()
    pool.payer().turn()
    mined = node.mine()
    assert paid_by(mined, pool.batch(number)) == 1
    pool.payer().turn()
    assert pool.balances()["paid:dala"] == 2 * CREDITS["dala"]


def test_a_missing_satoshi_stops_payouts(pool: Pool, node: Node) -> None:
    """(R-031) One satoshi less in the wallet than in the books: nothing is signed; one more changes nothing."""
    number = pool.approved()
    pool.payer().pay_in(1, "a satoshi that is not there")
    pool.payer().turn()
    assert pool.batch(number).state is BatchState.APPROVED
    with pool.engine.begin() as connection:
        stopped = fence.standing(connection)
    assert (stopped.stopped_why, stopped.difference) == ("the wallet has 1 satoshi less than the books", -1)
    with pytest.raises(PayoutError, match="payouts are stopped"):
        pool.payer().go_on(number)
    with pool.engine.begin() as connection:
        unbooked.book_own(connection, -2, "", "it was a mistake", datetime.now(UTC))
    pool.payer().resume("mended")
    assert pool.payer().check().difference == 1
    pool.payer().turn()
    assert pool.batch(number).state is BatchState.BROADCAST
    node.mine()


def test_the_switch(pool: Pool, node: Node) -> None:
    """While payouts are stopped nothing is signed or sent, and what confirms is still booked."""
    number = pool.approved()
    pool.payer().turn()
    pool.payer().stop("drill")
    with pytest.raises(PayoutError, match="drill"):
        pool.payer().send(number)
    with pytest.raises(PayoutError, match="drill"):
        pool.payer().propose(pool.destinations)
    node.mine()
    pool.payer().turn()
    assert pool.batch(number).state is BatchState.CONFIRMED


@ON_BOTH
def test_payments_of_a_withdrawn_licence_are_held(pool: Pool, node: Node) -> None:
    """(R-017) What was earned stays due, is shared out to nobody, and is paid after a recorded decision."""
    revoked = {"altyn": "licence 7 is revoked since 2026-11-01"}
    number, selection = pool.payer(ANNA, revoked).propose(pool.destinations)
    assert number is not None
    assert selection.left_out == {"altyn": "held: licence 7 is revoked since 2026-11-01"}
    assert pool.balances()["payable:altyn"] == 2 * CREDITS["altyn"]
    pool.payer(BOLAT).approve(number)
    pool.payer("server", revoked | {"dala": "licence 8 is suspended since 2026-11-02"}).turn()
    assert pool.batch(number).state is BatchState.APPROVED, "held after the proposal"
    assert "payments of dala are held" in (pool.batch(number).trouble or "")
    pool.payer(ANNA).release("dala", "suspension lifted by the ministry")
    pool.payer(ANNA, revoked).release("altyn", "decision 12")
    pool.payer("server", revoked).turn()
    later, selection = pool.payer(ANNA, revoked).propose(pool.destinations)
    assert later is not None
    assert selection.left_out == {}
    assert [each.party for each in pool.batch(later).payouts] == ["altyn"]
    assert paid_by(node.mine(), pool.batch(number)) == 1


def test_signed_elsewhere(pool: Pool, node: Node) -> None:
    """A PSBT is exported and comes back signed; a changed one, or one without signatures, is refused."""
    pool.settings = SETTINGS.model_copy(update={"signing": "offline"})
    number = pool.approved()
    psbt = pool.payer().export(number)
    assert pool.payer().export(number) == psbt
    with pytest.raises(PayoutError, match="signatures are missing"):
        pool.payer().accept(number, psbt)
    thief = node.call("walletcreatefundedpsbt", [], [{address("thief"): "0.01"}], 0, {})["psbt"]
    signed_thief = node.call("walletprocesspsbt", thief)["psbt"]
    with pytest.raises(PayoutError, match="another transaction"):
        pool.payer().accept(number, signed_thief)
    with pytest.raises(PayoutError, match="no PSBT"):
        pool.payer().accept(number, "cHNidP8BAHECAAAAAQ==")
    with pytest.raises(PayoutError, match="may still confirm"):
        pool.payer().abandon(number, "signed elsewhere, perhaps")
    txid = pool.payer().accept(number, node.call("walletprocesspsbt", psbt)["psbt"])
    assert pool.batch(number).transactions[0].txid == txid
    assert paid_by(node.mine(), pool.batch(number)) == 1


@pytest.mark.parametrize("lie", ["another payee", "less for a payee", "a high fee"])
def test_a_transaction_that_is_not_the_batch_is_not_signed(pool: Pool, node: Node, lie: str) -> None:
    """Whatever the node proposes is compared with the batch, output by output, and its fee with the limit."""

    def lying(_: Any) -> tuple[int, bytes]:
        amounts = {
            place.address: f"{2 * CREDITS[party] / 1e8:.8f}"
            for party, place in pool.destinations.items()
            if isinstance(place, Destination)
        }
        if lie == "another payee":
            amounts[address("thief")] = "0.01"
        if lie == "less for a payee":
            amounts[next(iter(amounts))] = "0.05999999"
        outputs = [{where: amount} for where, amount in amounts.items()]
        psbt = node.call("walletcreatefundedpsbt", [], outputs, 0, {})["psbt"]
        return 200, json.dumps({"result": {"psbt": psbt}, "error": None, "id": "x"}).encode()

    with line_to(node) as line:
        line.ways["walletcreatefundedpsbt"] = lying
        limit = 10 if lie == "a high fee" else SETTINGS.maximum_fee
        lied_to = Pool(pool.engine, line.url, SETTINGS.model_copy(update={"maximum_fee": limit}))
        lied_to.destinations = pool.destinations
        number = lied_to.approved()
        lied_to.payer().turn()
    batch = pool.batch(number)
    assert batch.state is BatchState.APPROVED
    assert batch.psbt is None
    assert batch.trouble is not None
    assert pool.balances()["in-flight:altyn"] == 2 * CREDITS["altyn"]


@ON_BOTH
def test_given_up_only_when_it_cannot_confirm_any_more(pool: Pool, node: Node) -> None:
    """A signed batch is abandoned by two persons after an input was spent by a buried transaction of others."""
    number = pool.approved()
    with line_to(node) as line:
        line.ways["sendrawtransaction"] = lambda _: None
        cut_off = Pool(pool.engine, line.url)
        cut_off.payer().turn()
    assert pool.batch(number).state is BatchState.SIGNED
    with pytest.raises(PayoutError, match="may still confirm"):
        pool.payer(ANNA).abandon(number, "too slow")
    node.call("lockunspent", True)
    whole = f"{pool.wallet.balances().spendable / 1e8 - 0.001:.8f}"
    spend = node.call("walletcreatefundedpsbt", [], [{ADDRESS: whole}], 0, {})["psbt"]
    final = node.call("finalizepsbt", node.call("walletprocesspsbt", spend)["psbt"])["hex"]
    node.call("sendrawtransaction", final)
    node.mine(5)
    with pytest.raises(PayoutError, match="may still confirm"):
        pool.payer(ANNA).abandon(number, "too slow")
    node.mine(1)
    assert not pool.payer(ANNA).abandon(number, "inputs spent")
    assert not pool.payer(ANNA).abandon(number, "inputs spent")
    assert pool.payer(BOLAT).abandon(number, "inputs spent")
    assert pool.balances()["payable:altyn"] == 2 * CREDITS["altyn"]
    with pytest.raises(PayoutError, match="it cannot become"):
        pool.payer(BOLAT).abandon(number, "again")


def test_limits(pool: Pool) -> None:
    """Whole credits, the oldest first, within the batch's and the day's limits."""
    pool.settings = SETTINGS.model_copy(update={"batch_limit": 9_000_000, "day_limit": 10_500_000})
    number, selection = pool.payer().propose(pool.destinations)
    assert number is not None
    assert {each.party: each.amount for each in pool.batch(number).payouts} == {
        "altyn": 6_000_000,
        "dala": 2_000_000,
        "samal": 1_000_000,
    }
    again, selection = pool.payer().propose(pool.destinations)
    assert again is not None
    assert {each.party: each.amount for each in pool.batch(again).payouts} == {"samal": 1_000_000}
    assert selection.left_out == {"dala": "the limit of the batch or of the day is reached"}
    pool.settings = SETTINGS.model_copy(update={"maximum_outputs": 1})
    third, selection = pool.payer().propose(pool.destinations)
    assert third is not None


def test_wallet_faults_name_a_cure(pool: Pool, node: Node) -> None:
    """A locked or absent wallet and missing funds leave the batch where it is, with the node's words and a cure."""
    number = pool.approved()
    for code, message, told in (
        (-13, "Error: Please enter the wallet passphrase with walletpassphrase first.", "walletpassphrase"),
        (-18, "Requested wallet does not exist or is not loaded", "payouts.wallet"),
        (-6, "Insufficient funds", "Insufficient funds"),
    ):
        error = json.dumps({"result": None, "error": {"code": code, "message": message}, "id": "x"}).encode()
        with line_to(node) as line:
            line.ways["walletcreatefundedpsbt"] = lambda _, error=error: (500, error)  # type: ignore[misc]
            away = Pool(pool.engine, line.url)
            with pytest.raises(NodeError, match=told):
                away.payer().go_on(number)
            away.payer().turn()
        assert message in (pool.batch(number).trouble or "")
        assert pool.batch(number).state is BatchState.APPROVED


def test_what_the_pool_takes_of_its_own(pool: Pool, node: Node) -> None:
    """A transaction that the books do not know stops payouts; booked by its txid, to the satoshi, it does not."""
    draft = node.call("walletcreatefundedpsbt", [], [{address("the pool's owner"): "0.01"}], 0, {})
    raw = node.call("finalizepsbt", node.call("walletprocesspsbt", draft["psbt"])["psbt"])["hex"]
    txid = node.call("sendrawtransaction", raw)
    assert pool.payer().check().unknown == (txid,)
    assert pool.payer().take_out(txid, "fee of October") == 1_000_000 + round(draft["fee"] * 1e8)
    found = pool.payer().check()
    assert (found.difference, found.fault) == (0, None)
    with pytest.raises(PayoutError, match="booked already"):
        pool.payer().take_out(txid, "fee of October")


def test_what_is_due_is_found_by_its_index(tmp_path: Path) -> None:
    """What is due, and what a batch settles, cost by their own credits: no statement walks through history."""
    engine, asked = open_engine(f"sqlite:///{tmp_path / 'plan.db'}"), list[tuple[str, Any]]()
    metadata.create_all(engine)
    pool = Pool(engine, "")
    for each in (1, 2):
        pool.distribute(each)
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    now = datetime.now(UTC)
    span, limits = (now - timedelta(days=1), now + timedelta(days=1)), Limits(1, 500, 10**9, 10**9, 0)
    with engine.begin() as connection:
        number, _ = batches.propose(connection, now, ANNA, pool.destinations, limits, span)
        assert number is not None
        batches.abandon(connection, number, now, ANNA, spent_elsewhere=False)
        steps = [
            row[3]
            for statement, parameters in list(asked)
            if "credit" in statement and not statement.startswith("INSERT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        ]
    engine.dispose()
    assert "SCAN credit USING INDEX ix_credit_due" in steps
    assert sum(step.startswith("SCAN") for step in steps) == 1, steps
