"""What the API tells of the accounts, on the database's side: to a miner its own, to who may read all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, true

from tarazy.accounting import tables
from tarazy.accounting.assets.tables import issued_record
from tarazy.accounting.blocks import Block, blocks_of
from tarazy.accounting.history import PartyCredit, credits_of
from tarazy.accounting.journal_file import JournalError
from tarazy.accounting.ledger import IMMATURE, IN_FLIGHT, PAID, PAYABLE, balances, balances_at, payable
from tarazy.accounting.payouts import batches as payouts
from tarazy.accounting.payouts import past
from tarazy.accounting.payouts import tables as payout_tables
from tarazy.accounting.payouts.batches import Batch
from tarazy.accounting.payouts.fence import standing
from tarazy.accounting.payouts.holds import holds
from tarazy.accounting.payouts.machine import CONFIRMATIONS, OUTBOX, UNSIGNED, BatchState, PayoutError
from tarazy.accounting.proof.receipt import receipt
from tarazy.accounting.proof.record import Then, UnrecordedError, credited_rounds, proof_of, proven, unproven
from tarazy.accounting.proof.shares import ProofError
from tarazy.accounting.queries import balance_of, distribution_state, sums_by_kind
from tarazy.accounting.schemes import Schedule
from tarazy.accreditation.audit import size_of
from tarazy.accreditation.audit_proof import NotProvenError, prove_row
from tarazy.accreditation.entries import Wallet
from tarazy.accreditation.registers import as_of
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Period, legal_day
from tarazy.database.states import was_by
from tarazy.portal.guard import Fault, nothing, too_large
from tarazy.portal.views import block_told
from tarazy.reports.content import Pool
from tarazy.reports.gather.sale import gather_sales
from tarazy.reports.gather.statement import gather_statement
from tarazy.reports.licence_holds import hold_texts
from tarazy.reports.unaddressed import unaddressed

RECEIPT_SHARES = 1_000_000
"""Shares of a round, up to which its receipts are made while somebody waits."""
STATEMENT_ROUNDS = 2_000
"""Rounds closed in a period, up to which its statement is made while somebody waits."""
SALE_CREDITS = 200_000
"""Credits of a year, up to which the report on its sales is made while somebody waits."""
_WAITS_FOR = {
    BatchState.PROPOSED: "approval",
    BatchState.APPROVED: "transaction",
    BatchState.PREPARED: "signature",
    BatchState.SIGNED: "broadcast",
    BatchState.BROADCAST: "confirmations",
}


@dataclass(frozen=True, slots=True)
class Depths:
    """How deep the sent transactions lie, as the wallet last told: txid → confirmations."""

    known: Mapping[str, int]

    def of(self, txid: str | None, *, confirmed: bool) -> int | None:
        """Confirmations of a transaction up to `CONFIRMATIONS`, from where on nobody counts; None: not known."""
        if confirmed:
            return CONFIRMATIONS
        depth = self.known.get(txid) if txid else None
        return None if depth is None else max(0, min(depth, CONFIRMATIONS))


def account(connection: Connection, party: str, schedule: Schedule, now: datetime) -> dict[str, Any]:
    """A party's terms by date, what it has with the pool, and why its payments are held."""
    held = [
        {"since": each.since, "why": each.why, "language": each.language, "texts": hold_texts(each.why)}
        for each in holds(connection)
        if each.party == party
    ]
    balance = balance_of(connection, party)
    return {
        "party": party,
        "terms": terms_by_date(schedule, party, now),
        "balance": asdict(balance) | {"earned": balance.earned},
        "holds": held,
    }


def terms_by_date(schedule: Schedule, party: str, now: datetime) -> list[dict[str, Any]]:
    """Scheme and fee of a party, each since its instant; None: since the beginning."""
    present = schedule.at(now)
    return [
        {
            "since": since,
            "scheme": terms.scheme,
            "window": terms.window,
            "fee_ppm": terms.fees.get(party, terms.fee_ppm),
            "in_force": terms is present,
        }
        for since, terms in [(None, schedule.first), *schedule.later]
    ]


def credits(connection: Connection, party: str, limit: int, offset: int) -> dict[str, Any]:
    """A party's part of each distribution, the newest first; `receipt` is the round that one is asked for by."""
    credit, proof = tables.credit, tables.round_proof
    own = credit.c.party == party
    total = connection.scalar(select(func.count()).select_from(credit).where(own)) or 0
    chosen = select(credit.c.distribution).where(own).order_by(credit.c.distribution.desc())
    numbers = list(connection.scalars(chosen.limit(limit).offset(offset)))
    recorded = set(connection.scalars(select(proof.c.distribution).where(proof.c.distribution.in_(numbers))))
    found = list(credits_of(connection, numbers, party))[::-1]
    return {"total": total, "items": [_credit(each, each.distribution in recorded) for each in found]}


def _credit(row: PartyCredit, recorded: bool) -> dict[str, Any]:
    told = asdict(row) | {"weight": str(row.weight), "total_weight": str(row.total_weight)}
    state = distribution_state(row.final_at, row.reversed_at)
    return told | {"state": state, "receipt": row.last_round if recorded else None}


def credited(connection: Connection, party: str, limit: int, offset: int) -> tuple[int, list[dict[str, Any]]]:
    """How many recorded rounds credit a party, and some of them, the newest first."""
    total, rows = credited_rounds(connection, party, limit, offset)
    return total, [row | {"weight": str(row["weight"])} for row in rows]


def receipt_of(connection: Connection, party: str, number: int, journals: Path) -> dict[str, Any]:
    """A party's receipt for a round, with the proof from the audit log; raises `Fault`."""
    try:
        proof = proof_of(connection, number)
    except UnrecordedError as error:
        raise nothing(error) from None
    if proof.record["shares"] > RECEIPT_SHARES:
        raise too_large(f"round {number} is too large to be proven here; ask the pool for `tarazy round receipt`")
    try:
        told = receipt(connection, proof, party, journals)
        return told | {"audit": prove_row(connection, proof.audit_row)}
    except (UnrecordedError, NotProvenError) as error:
        raise nothing(error) from None
    except (ProofError, JournalError):
        text = f"the shares of round {number} cannot be read now; tell the pool's operator"
        raise Fault(503, "not_readable", text) from None


def payments(connection: Connection, party: str, depths: Depths, limit: int, offset: int) -> dict[str, Any]:
    """What a party was and is being paid, the newest first."""
    payout, batch, signed = payout_tables.payout, payout_tables.batch, payout_tables.transaction
    own = payout.c.party == party
    total = connection.scalar(select(func.count()).select_from(payout).where(own)) or 0
    told = payout.c.batch, payout.c.amount, payout.c.address, batch.c.state, batch.c.proposed_at, batch.c.state_at
    query = select(*told).join_from(payout, batch).where(own).order_by(payout.c.batch.desc())
    rows = connection.execute(query.limit(limit).offset(offset)).all()
    sent: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    in_batch = signed.c.batch.in_([row.batch for row in rows])
    for each in connection.execute(select(signed).where(in_batch).order_by(signed.c.signed_at)):
        sent[each.batch].append(each)
    return {"total": total, "items": [_payment(row, sent[row.batch], depths) for row in rows]}


def _payment(row: Any, sent: Sequence[Any], depths: Depths) -> dict[str, Any]:
    return {
        "batch": row.batch,
        "amount": row.amount,
        "address": row.address,
        "state": row.state,
        "proposed_at": row.proposed_at,
        "state_at": row.state_at,
        **_transaction(sent, depths),
    }


def _transaction(sent: Sequence[Any], depths: Depths) -> dict[str, Any]:
    """Of a batch's transactions in order, the one that confirmed, else the newest that was signed."""
    confirmed = [each for each in sent if each.confirmed_at]
    newest = next(reversed(confirmed or sent), None)
    txid = newest.txid if newest else None
    return {
        "txid": txid,
        "confirmations": depths.of(txid, confirmed=bool(confirmed)),
        "confirmations_needed": CONFIRMATIONS,
    }


def statement_periods(connection: Connection, party: str, now: datetime) -> list[Period]:
    """The months of which there is a statement, the newest first: from the first booking to the present one."""
    posting, entry = tables.ledger_posting, tables.ledger_entry
    accounts = [kind + party for kind in (IMMATURE, PAYABLE, IN_FLIGHT, PAID)]
    first = select(func.min(posting.c.entry)).where(posting.c.account.in_(accounts)).scalar_subquery()
    begun = connection.scalar(select(entry.c.at).where(entry.c.entry == first))
    day, last = legal_day(begun or now), legal_day(now)
    months = range(day.year * 12 + day.month - 1, last.year * 12 + last.month)
    return [Period.parse(f"{month // 12}-{month % 12 + 1:02}") for month in reversed(months)]


def statement(connection: Connection, party: str, period: Period, as_of: datetime, pool: Pool, law: LawBook) -> Any:
    """A party's statement. Raises `Fault` when it would take too long to wait for, `StatementError`."""
    block = tables.block
    found = block.c.found_at.between(period.start, period.end)
    if (connection.scalar(select(func.count()).select_from(block).where(found)) or 0) > STATEMENT_ROUNDS:
        raise too_large(f"{period} has too many rounds to be told here; ask for a month, or ask the pool")
    return gather_statement(connection, party, period, as_of, pool, law)


def standing_of_payouts(connection: Connection, depths: Depths, at: datetime | None = None) -> dict[str, Any]:
    """Whether payments may go out, the batches under way, what is held, and what somebody should look at.

    Now, or as it was at an instant: without what is not kept, the last look into the wallet and a batch's trouble.
    """
    going = standing(connection, at)
    states = UNSIGNED | OUTBOX
    under_way = payouts.batches(connection, states) if at is None else past.batches_at(connection, states, at)
    found = balances(connection) if at is None else balances_at(connection, at)
    wallets = as_of(connection, at or datetime.now(UTC), at, (Wallet.register,))
    held = [
        {**each._asdict(), "texts": hold_texts(each.why), "payable": found.get(payable(each.party), 0)}
        for each in holds(connection, at)
    ]
    return {
        "sums": sums_by_kind(found),
        "stopped": {
            "why": going.stopped_why,
            "language": going.stopped_language,
            "at": going.stopped_at,
            "by": going.stopped_by,
        }
        if going.stopped_why
        else None,
        "checked_at": going.checked_at,
        "difference": going.difference,
        "batches": [_batch(batch, depths) for batch in reversed(under_way)],
        "held": held,
        "unaddressed": [asdict(row) for row in unaddressed(wallets, found)],
        "unrecorded": len(unproven(connection, _then(connection, at))),
    }


def _then(connection: Connection, at: datetime | None) -> Then | None:
    """By which records of rounds are told as they were at an instant."""
    return None if at is None else Then(at, size_of(connection, at + at.resolution))


def _batch(batch: Batch, depths: Depths) -> dict[str, Any]:
    return {
        "batch": batch.number,
        "state": batch.state,
        "waits_for": _WAITS_FOR.get(batch.state),
        "amount": batch.amount,
        "payees": len(batch.payouts),
        "proposed_at": batch.proposed_at,
        "proposed_by": batch.proposed_by,
        "approved_at": batch.approved_at,
        "approved_by": batch.approved_by,
        "exported_at": batch.exported_at,
        "state_at": batch.state_at,
        "trouble": batch.trouble,
        "abandon_asked_by": batch.abandon_asked_by,
        **_transaction(batch.transactions, depths),
    }


def batch_of(connection: Connection, number: int, depths: Depths, at: datetime | None = None) -> dict[str, Any]:
    """A batch, now or as it was, and what it pays to whom. Raises `Fault`."""
    try:
        batch = payouts.read(connection, number) if at is None else past.read_at(connection, number, at)
    except PayoutError as error:
        raise nothing(error) from None
    paid = [{"party": each.party, "address": each.address, "amount": each.amount} for each in batch.payouts]
    return {**_batch(batch, depths), "payments": paid}


def rounds(connection: Connection, limit: int, offset: int, at: datetime | None = None) -> dict[str, Any]:
    """Rounds, the newest first, each with its block and the distribution that it ends; now, or as they were."""
    round_ = tables.round_
    begun: ColumnElement[bool] = round_.c.opened_at <= at if at is not None else true()
    total = connection.scalar(select(func.count()).select_from(round_).where(begun)) or 0
    query = select(round_).where(begun).order_by(round_.c.round.desc())
    rows = connection.execute(query.limit(limit).offset(offset)).all()
    numbers = [row.round for row in rows]
    recorded = proven(connection, numbers, _then(connection, at))
    blocks = {block.round: block for block in blocks_of(connection, numbers, at)}
    divided = _divided(connection, numbers, at)
    items = [_round(row, blocks.get(row.round), divided.get(row.round), row.round in recorded, at) for row in rows]
    return {"total": total, "items": items}


def _divided(connection: Connection, numbers: Sequence[int], at: datetime | None) -> dict[int, dict[str, Any]]:
    """Last round → its distribution, the latest one where earlier ones were reversed."""
    table, credit = tables.distribution, tables.credit
    within: ColumnElement[bool] = table.c.last_round.in_(numbers)
    if at is not None:
        within &= table.c.booked_at <= at
    booked = connection.execute(select(table).where(within).order_by(table.c.distribution)).all()
    sums = (
        select(credit.c.distribution, func.sum(credit.c.amount).label("credited"), func.count().label("parties"))
        .where(credit.c.distribution.in_([row.distribution for row in booked]))
        .group_by(credit.c.distribution)
    )
    credited = {row.distribution: row for row in connection.execute(sums)}
    found = {}
    for row in booked:
        parts = credited.get(row.distribution)
        found[row.last_round] = {
            "distribution": row.distribution,
            "first_round": row.first_round,
            "state": distribution_state(row.final_at, row.reversed_at, at),
            "scheme": row.scheme,
            "reward": row.reward,
            "fee_ppm": row.fee_ppm,
            "own_fees": bool(row.fees),
            "fee": row.fee,
            "credited": int(parts.credited) if parts else 0,
            "parties": parts.parties if parts else 0,
            "remainder": row.remainder,
        }
    return found


def _round(
    row: Row[Any], block: Block | None, divided: dict[str, Any] | None, recorded: bool, at: datetime | None
) -> dict[str, Any]:
    return {
        "round": row.round,
        "opened_at": row.opened_at,
        "closed_at": row.closed_at if at is None or was_by(row.closed_at, at) else None,
        "archived_at": row.archived_at if at is None or was_by(row.archived_at, at) else None,
        "block": None if block is None else block_told(block, counted=at is None),
        "distribution": divided,
        "recorded": recorded,
    }


def sales(
    connection: Connection, period: Period, as_of: datetime, pool: Pool, law: LawBook, known_at: datetime | None = None
) -> dict[str, Any]:
    """What each party still has to sell through AIFC exchanges of a year, and which documents are missing."""
    divided, credit = tables.distribution, tables.credit
    within = divided.c.final_at.between(period.start, period.end)
    counted = select(func.count()).select_from(credit.join(divided)).where(within)
    if (connection.scalar(counted) or 0) > SALE_CREDITS:
        raise too_large(f"{period} has too many credits to be told here; see `tarazy report build sale`")
    report = gather_sales(connection, None, period, as_of, pool, law, known_at)
    return {
        "year": report.days.name,
        "complete": report.days.complete,
        "as_of": as_of,
        "minimum_percent": report.minimum_percent,
        "rules": [{"rule": rule.id, "confirmed": rule.confirmed} for rule in report.rules.rules],
        "total": len(report.parties),
        "items": [
            {
                "party": each.person.party,
                "names": report.names[each.person.party],
                "obligations": [asdict(line) for line in each.obligations],
                "sales": len(each.sales),
                "without_document": each.without_document,
            }
            for each in report.parties
        ],
    }


def distributed(connection: Connection, limit: int, offset: int, at: datetime | None = None) -> dict[str, Any]:
    """The issued versions of the record of distributed assets, and what became final outside of all of them."""
    table, divided = issued_record, tables.distribution
    issued: ColumnElement[bool] = true()
    final: ColumnElement[bool] = divided.c.final_at.is_not(None)
    stands: ColumnElement[bool] = divided.c.reversed_at.is_(None)
    if at is not None:
        issued, final, stands = table.c.issued_at <= at, divided.c.final_at <= at, stands | (divided.c.reversed_at > at)
    total = connection.scalar(select(func.count()).select_from(table).where(issued)) or 0
    query = select(table).where(issued).order_by(table.c.issued_at.desc(), table.c.version.desc())
    final_at = divided.c.final_at
    told = select(table.c.version).where(
        issued, table.c.start <= final_at, final_at < table.c.end, final_at <= table.c.as_of
    )
    outside = select(func.count(), func.min(divided.c.final_at)).where(final, stands, ~told.exists())
    count, since = connection.execute(outside).one()
    return {
        "unrecorded": {"distributions": count, "since": since},
        "total": total,
        "items": [
            {
                "period": str(Period(legal_day(row.start), legal_day(row.end - row.end.resolution))),
                "version": row.version,
                "as_of": row.as_of,
                "digest": row.digest,
                "why": row.why,
                "issued_at": row.issued_at,
                "issued_by": row.issued_by,
            }
            for row in connection.execute(query.limit(limit).offset(offset))
        ],
    }
