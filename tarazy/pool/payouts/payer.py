"""The payer: takes batches from the ledger through the wallet to the chain, one durable step at a time.

Each step is: read the batch, ask the node, write what came of it with the fence's token. A process may die between
any two of them: what was not written is done again, and nothing is sent that was not written before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

import structlog
from sqlalchemy import Connection, Engine

from tarazy.accounting.ledger import in_wallet
from tarazy.accounting.payouts import batches, fence, holds, unbooked
from tarazy.accounting.payouts.batches import Batch
from tarazy.accounting.payouts.machine import (
    CONFIRMATIONS,
    OUTBOX,
    UNSIGNED,
    BatchState,
    Destination,
    LeftOut,
    Limits,
    PayoutError,
    Selection,
    Sending,
    sending,
)
from tarazy.accounting.proof.payments import put_on_record
from tarazy.accreditation.audit import AuditEvent, append
from tarazy.accreditation.fields import LEGAL_ZONE
from tarazy.config.settings import PayoutSettings
from tarazy.pool.chain.bitcoind.faults import NodeError
from tarazy.pool.chain.transactions import Transaction, decode_transaction
from tarazy.pool.payouts.review import (
    Draft,
    read_psbt,
    require_pays,
    require_replaces,
    require_same,
    require_signs_all,
    rivals_of,
)
from tarazy.pool.payouts.wallet import NodeWallet, Seen, address_of
from tarazy.stratum.job import displayed

LOOKS = 5
"""So often a check looks before it says that something is missing: a block that left the chain is soon booked."""
LOOK_SECONDS = 2.0

PAYMENTS = "payments"
"""Kind of the row of the audit log that tells what a batch pays, as a digest that an export shows the lines of."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Check:
    """The books against the wallet, satoshi."""

    books: int
    """What it should hold, less the sent transactions."""
    wallet: int
    unknown: tuple[str, ...]
    """Transactions that spent coins of the wallet and are in no book: the books may be older than they."""

    @property
    def difference(self) -> int:
        """What the wallet has over the books."""
        return self.wallet - self.books

    @property
    def fault(self) -> str | None:
        """Why nothing may be paid; None when all is well."""
        if self.unknown:
            return f"the books do not know transaction {self.unknown[0]}, which spent coins of the wallet"
        if self.difference < 0:
            return f"the wallet has {-self.difference} satoshi less than the books"
        return None


def note(connection: Connection, at: datetime, by: str, what: str, **body: object) -> None:
    """A row of the audit log about a payout."""
    append(connection, [AuditEvent("payout", {"what": what, "by": by, **body})], at)


class Payer:
    """Pays by one wallet. Taking over is part of being made: an earlier payer can write nothing any more."""

    def __init__(
        self,
        engine: Engine,
        wallet: NodeWallet,
        settings: PayoutSettings,
        chain: str,
        by: str,
        licence_holds: Mapping[str, str],
    ) -> None:
        """`chain`: the one whose addresses are used; `by`: who acts; `licence_holds`: party → why it is held."""
        self._engine = engine
        self._wallet = wallet
        self._settings = settings
        self._chain = chain
        self._by = by
        self.depths: dict[str, int] = {}
        """Confirmations of the sent transactions by txid, as its latest turn saw them."""
        with engine.begin() as connection:
            self._token = fence.take(connection, by)
            for party in holds.keep_held(connection, licence_holds, _now(), by):
                note(connection, _now(), by, "held", party=party, why=licence_holds[party])

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """A transaction of the newest payer. Raises `FencedError` for any other."""
        with self._engine.begin() as connection:
            fence.require(connection, self._token)
            yield connection

    def propose(
        self, destinations: Mapping[str, Destination | LeftOut], unproven: bool = False
    ) -> tuple[int | None, Selection]:
        """Move what is due into a batch; its number, and who was left out and why.

        `unproven`: also credits of rounds whose record is not in the audit log.
        """
        rules, now = self._settings, _now()
        limits = Limits(rules.threshold, rules.maximum_outputs, rules.batch_limit, rules.day_limit, rules.first_payment)
        day = datetime.combine(now.astimezone(LEGAL_ZONE).date(), time_of_day.min, LEGAL_ZONE)
        with self._write() as connection:
            fence.require_going(connection)
            span = (day, day + timedelta(days=1))
            number, selection = batches.propose(connection, now, self._by, destinations, limits, span, unproven)
            if number is not None:
                amount = sum(each.amount for each in selection.payments)
                first = [each.party for each in selection.payments if each.rest is not None]
                facts = {"batch": number, "amount": amount, "unproven": unproven, "first_payments": first}
                note(connection, now, self._by, "proposed", **facts)
        return number, selection

    def approve(self, number: int) -> None:
        """Let a batch that somebody else proposed be paid."""
        with self._write() as connection:
            fence.require_going(connection)
            batches.approve(connection, number, _now(), self._by)
            note(connection, _now(), self._by, "approved", batch=number)

    def hold(self, party: str, why: str, language: str | None = None) -> None:
        """Keep a party's payments back until somebody releases them. `language`: which the reason is written in."""
        with self._write() as connection:
            holds.hold(connection, party, why, _now(), self._by, language)
            note(connection, _now(), self._by, "held", party=party, why=why)

    def release(self, party: str, why: str) -> int:
        """End every hold of a party; how many."""
        with self._write() as connection:
            ended = holds.release(connection, party, why, _now(), self._by)
            note(connection, _now(), self._by, "released", party=party, why=why)
        return ended

    def stop(self, why: str, language: str | None = None) -> None:
        """Let nothing be proposed, signed or sent. `language`: which the reason is written in."""
        with self._write() as connection:
            fence.stop(connection, why, _now(), self._by, language)
            note(connection, _now(), self._by, "stopped", why=why)

    def resume(self, why: str) -> None:
        """Let payments go out again, if no satoshi is missing and the books know every payment."""
        if fault := self.check().fault:
            raise PayoutError(f"{fault}; see `tarazy payout check`")
        with self._write() as connection:
            fence.resume(connection, _now())
            note(connection, _now(), self._by, "resumed", why=why)

    def pay_in(self, amount: int, why: str) -> None:
        """Book what the pool put into the wallet of its own."""
        with self._write() as connection:
            unbooked.book_own(connection, amount, "", why, _now())
            note(connection, _now(), self._by, "own paid in", amount=amount, why=why)

    def take_out(self, txid: str, why: str) -> int:
        """Book a transaction by which the pool took out of its own; the satoshi that left the wallet."""
        seen, paid_out = self._paid_out(txid)
        amount = sum(paid_out.values()) + seen.fee
        with self._write() as connection:
            if txid in unbooked.known_txids(connection):
                raise PayoutError(f"transaction {txid} is booked already")
            unbooked.book_own(connection, -amount, txid, why, _now())
            note(connection, _now(), self._by, "own taken out", amount=amount, txid=txid, why=why)
        return amount

    def _paid_out(self, txid: str) -> tuple[Seen, dict[bytes, int]]:
        """A transaction of the wallet, and what it pays to others by script."""
        seen = self._wallet.seen(txid)
        if seen is None or seen.confirmations < 0:
            raise PayoutError(f"the wallet knows no transaction {txid} that stands")
        paid_out: dict[bytes, int] = {}
        for output in seen.transaction.outputs:
            if not self._wallet.owns(output.script):
                paid_out[output.script] = paid_out.get(output.script, 0) + output.value
        return seen, paid_out

    def turn(self) -> None:
        """Send what is signed, follow what was sent, and go on with what is approved."""
        for batch in self._batches(*OUTBOX):
            self._follow(batch)
        if self._stopped():
            return
        for batch in self._batches(*OUTBOX):
            self.send(batch.number)
        waiting = [BatchState.APPROVED]
        if self._settings.signing == "wallet":
            waiting.append(BatchState.PREPARED)
        for batch in self._batches(*waiting):
            try:
                self.go_on(batch.number)
            except (PayoutError, NodeError) as error:
                _log.error("payout_batch_waits", batch=batch.number, reason=str(error))
                self._note_trouble(batch.number, str(error))

    def go_on(self, number: int) -> None:
        """Prepare an approved batch; where the node's wallet signs, sign and send it too."""
        batch = self._read(number)
        if batch.state is BatchState.APPROVED:
            self._prepare(batch)
        if self._settings.signing == "wallet":
            self._sign_by_wallet(number)

    def _prepare(self, batch: Batch) -> None:
        self._require_sound()
        self._wallet.lock(name for each in self._batches(*UNSIGNED, *OUTBOX) for name in _inputs(each))
        amounts: dict[str, int] = {}
        for payout in batch.payouts:
            amounts[payout.address] = amounts.get(payout.address, 0) + payout.amount
        psbt = self._wallet.draft(amounts, self._settings.confirmation_blocks)
        self._review(read_psbt(psbt), batch)
        with self._write() as connection:
            fence.require_going(connection)
            batches.prepare(connection, batch.number, _now(), psbt)
            note(connection, _now(), self._by, "prepared", batch=batch.number)
        self._wallet.lock(each.outpoint for each in read_psbt(psbt).transaction.inputs)

    def _sign_by_wallet(self, number: int) -> None:
        batch = self._read(number)
        if batch.psbt is None:
            raise PayoutError(f"batch {number} is {batch.state} and waits for no signature; only approved ones do")
        self._require_sound()
        self.accept(number, self._wallet.signed(batch.psbt))

    def export(self, number: int) -> str:
        """The PSBT of a batch for signing elsewhere; prepares an approved one first."""
        batch = self._read(number)
        if batch.state is BatchState.APPROVED:
            self._prepare(batch)
        with self._write() as connection:
            fence.require_going(connection)
            psbt = batches.export(connection, number, _now())
            note(connection, _now(), self._by, "exported", batch=number)
        return psbt

    def accept(self, number: int, signed: str) -> str:
        """Put a signed PSBT of a batch into the outbox, after all checks, and send it; the txid."""
        batch = self._read(number)
        if batch.psbt is None:
            raise PayoutError(f"batch {number} is {batch.state} and waits for no signature; only approved ones do")
        draft = read_psbt(batch.psbt)
        require_same(draft.transaction, read_psbt(signed).transaction)
        raw = self._wallet.finalized(signed.strip())
        if raw is None:
            raise PayoutError("signatures are missing; let the other signers sign the same file")
        final = decode_transaction(bytes.fromhex(raw))
        require_same(draft.transaction, final)
        require_signs_all(final)
        self._review(draft, batch)
        if why := self._wallet.why_refused(raw):
            raise PayoutError(f"the node would not take the signed transaction: {why}")
        txid = displayed(final.txid)
        with self._write() as connection:
            fence.require_going(connection)
            batches.require_unheld(connection, batches.read(connection, number))
            self._sign(connection, number, txid, raw, draft.fee)
            note(connection, _now(), self._by, "signed", batch=number, txid=txid, fee=draft.fee)
        self.send(number)
        return txid

    def _sign(self, connection: Connection, number: int, txid: str, raw: str, fee: int) -> None:
        """Put a signed transaction into the outbox, and with the first one what the batch pays into the audit log."""
        batches.sign(connection, number, _now(), txid, raw, fee)
        put_on_record(connection, number, lambda body: append(connection, [AuditEvent(PAYMENTS, body)], _now()).size)

    def send(self, number: int) -> str | None:
        """Send the newest signed transaction of a batch, the same bytes each time; why it was not taken."""
        batch = self._read(number)
        if batch.state not in OUTBOX:
            raise PayoutError(f"batch {number} is {batch.state}; only what is signed can be sent")
        if why := self._stopped():
            raise PayoutError(f"payouts are stopped: {why}")
        trouble = None
        try:
            self._wallet.send(batch.transactions[-1].raw)
        except NodeError as error:
            meaning = sending(error.code)
            if meaning is not Sending.TAKEN:
                trouble = error.words
            if meaning is Sending.LOOK:
                _log.error("payout_not_taken", batch=number, reason=error.words)
        with self._write() as connection:
            before = batches.read(connection, number).state
            batches.sent(connection, number, _now(), trouble)
            if trouble is None and before is BatchState.SIGNED:
                txid = batch.transactions[-1].txid
                note(connection, _now(), self._by, "broadcast", batch=number, txid=txid)
        return trouble

    def broadcast(self, number: int) -> None:
        """Sign a batch where the node's wallet signs, and send it. Raises `PayoutError` when it is not taken."""
        if self._read(number).state not in OUTBOX:
            self.go_on(number)
        if trouble := self.send(number):
            raise PayoutError(f"the node did not take it: {trouble}; it is sent again, unchanged")

    def _follow(self, batch: Batch) -> None:
        for signed in batch.transactions:
            seen = self._wallet.seen(signed.txid)
            if seen is None:
                continue
            self.depths[signed.txid] = seen.confirmations
            if seen.confirmations >= CONFIRMATIONS:
                with self._write() as connection:
                    batches.confirm(connection, batch.number, _now(), signed.txid)
                    note(connection, _now(), self._by, "confirmed", batch=batch.number, txid=signed.txid)
                return

    def bump(self, number: int, rate: int) -> str | None:
        """Replace a batch's sent transaction by one of `rate` satoshi a virtual byte; the txid once it is signed."""
        batch = self._read(number)
        if batch.state not in OUTBOX:
            raise PayoutError(f"batch {number} is {batch.state}; only a sent transaction is replaced")
        self._require_sound()
        old = batch.transactions[-1]
        psbt = self._wallet.draft_replacement(old.txid, rate)
        draft = read_psbt(psbt)
        require_replaces(decode_transaction(bytes.fromhex(old.raw)), draft, old.fee)
        self._review(draft, batch)
        with self._write() as connection:
            fence.require_going(connection)
            batches.prepare_replacement(connection, number, psbt)
            note(connection, _now(), self._by, "replacement prepared", batch=number, replaces=old.txid, fee=draft.fee)
        if self._settings.signing != "wallet":
            return None
        return self.accept(number, self._wallet.signed(psbt))

    def abandon(self, number: int, why: str) -> bool:
        """Give a batch up by the rule; False while a second person has to say so too."""
        batch = self._read(number)
        spenders = [] if batch.state in (BatchState.PROPOSED, BatchState.APPROVED) else self._spenders(batch)
        with self._write() as connection:
            done = batches.abandon(connection, number, _now(), self._by, spent_elsewhere=bool(spenders))
            what = "abandoned" if done else "abandoning asked for"
            note(connection, _now(), self._by, what, batch=number, why=why, spenders=spenders)
        return done

    def _spenders(self, batch: Batch) -> list[str]:
        """Buried transactions of others for which no transaction of the batch can confirm any more."""
        own = {each.txid for each in batch.transactions}
        blocked = [{each.outpoint for each in transaction.inputs} for transaction in _transactions(batch)]
        if any((seen := self._wallet.seen(txid)) is not None and seen.confirmations > 0 for txid in own):
            return []
        found = {
            seen.txid: {each.outpoint for each in seen.transaction.inputs}
            for txid in self._wallet.spent_by()
            if txid not in own and (seen := self._wallet.seen(txid)) and seen.confirmations >= CONFIRMATIONS
        }
        return rivals_of(blocked, found)

    def adopt(self, txid: str, parties: dict[str, str]) -> int:
        """Take a transaction that the books do not know into them, after a backup was restored; the batch's number.

        It settles the batch whose payees it pays, or a new one for the oldest due credits. `parties`: address → party.
        """
        seen, paid_out = self._paid_out(txid)
        inputs = {each.outpoint for each in seen.transaction.inputs}
        with self._write() as connection:
            if txid in unbooked.known_txids(connection):
                raise PayoutError(f"transaction {txid} is booked already")
            number = next(
                (
                    batch.number
                    for batch in batches.batches(connection, [*UNSIGNED, *OUTBOX])
                    if batch.by_script == paid_out and (batch.state in UNSIGNED or inputs & set(_inputs(batch)))
                ),
                None,
            )
            if number is None:
                destinations = {
                    Destination(address_of(script, self._chain) or script.hex(), script): amount
                    for script, amount in paid_out.items()
                }
                number = unbooked.adopt(connection, _now(), self._by, destinations, parties)
            self._sign(connection, number, txid, seen.transaction.raw.hex(), seen.fee)
            note(connection, _now(), self._by, "adopted", batch=number, txid=txid)
        return number

    def check(self) -> Check:
        """Compare the wallet with the books; less in it, or a payment that they do not know, stops payouts.

        More in it does not: anybody can send to the pool's address, and a block counts once it is booked. It could
        hide a payment of a later time than the books', so these are asked for by name. Raises `PayoutError` when
        neither holds still.
        """
        found: Check | None = None
        for look in range(LOOKS):
            if look:
                time.sleep(LOOK_SECONDS)
            with self._engine.begin() as connection:
                expected, known = in_wallet(connection), unbooked.known_txids(connection)
                sent = batches.batches(connection, OUTBOX)
            before = self._wallet.balances()
            gone = sum(batch.amount + fee for batch in sent if (fee := self._fee_gone(batch)) is not None)
            unknown = tuple(txid for txid in self._wallet.spent_by() if txid not in known)
            steady = self._wallet.balances() == before
            with self._write() as connection:
                if not steady or in_wallet(connection) != expected:
                    continue
                found = Check(expected - gone, before.total, unknown)
                fence.note_check(connection, found.difference, _now())
            if found.fault is None:
                return found
        if found is None:
            raise PayoutError("the wallet or the books changed during each look; check again")
        self.stop(str(found.fault), "en")
        return found

    def _fee_gone(self, batch: Batch) -> int | None:
        """The fee of a batch's transaction that the wallet's balance reflects; None when none does."""
        for signed in batch.transactions:
            seen = self._wallet.seen(signed.txid)
            if seen is not None and (seen.confirmations > 0 or self._wallet.waits(signed.txid)):
                return signed.fee
        return None

    def _require_sound(self) -> None:
        """Before anything is signed: payouts go, and no satoshi is missing. A restored backup is found here."""
        with self._engine.begin() as connection:
            fence.require_going(connection)
        if fault := self.check().fault:
            raise PayoutError(f"{fault}; payouts are stopped, see `tarazy payout check`")

    def _review(self, draft: Draft, batch: Batch) -> None:
        outputs = draft.transaction.outputs
        require_pays(outputs, batch.by_script, draft.fee, self._settings.maximum_fee, self._wallet.owns)

    def _stopped(self) -> str | None:
        with self._engine.begin() as connection:
            return fence.standing(connection).stopped_why

    def _read(self, number: int) -> Batch:
        with self._engine.begin() as connection:
            return batches.read(connection, number)

    def _batches(self, *states: BatchState) -> list[Batch]:
        with self._engine.begin() as connection:
            return batches.batches(connection, states)

    def _note_trouble(self, number: int, trouble: str) -> None:
        with self._write() as connection:
            batches.sent(connection, number, _now(), trouble)


def _transactions(batch: Batch) -> list[Transaction]:
    """Every transaction of a batch that may be signed somewhere."""
    signed = [decode_transaction(bytes.fromhex(each.raw)) for each in batch.transactions]
    return [*signed, *([read_psbt(batch.psbt).transaction] if batch.psbt else [])]


def _inputs(batch: Batch) -> list[bytes]:
    return [each.outpoint for transaction in _transactions(batch) for each in transaction.inputs]


def _now() -> datetime:
    return datetime.now(UTC)
