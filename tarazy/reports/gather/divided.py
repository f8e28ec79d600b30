"""The distribution report: how the rewards of a period were divided and paid, and what each is verified against."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.history import AccountSpan, pool_history
from tarazy.accounting.ledger import REWARD
from tarazy.accounting.payouts.batches import Batch, batches_between
from tarazy.accounting.payouts.machine import BatchState
from tarazy.accounting.proof.record import Proof, records_of
from tarazy.accounting.queries import BookedDistribution, distributions_of
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.config.law.calendar import Period
from tarazy.reports.coins import (
    AccountLine,
    BatchLine,
    Divided,
    DividedSums,
    PayoutLine,
    RewardsReport,
    RoundRecord,
)
from tarazy.reports.content import AuditHead, Credit, Pool, Records, RulesSection
from tarazy.reports.gather.coins import PEOPLE, days_of, names_of, people
from tarazy.reports.gather.records import numbered
from tarazy.reports.gather.registers import audit_head
from tarazy.reports.gather.rewards import found_blocks
from tarazy.reports.gather.statement import StatementError

FORMAT = 1
"""Version of the report's JSON."""


def gather_divided(
    connection: Connection, period: Period, as_of: datetime, pool: Pool, known_at: datetime
) -> RewardsReport:
    """The report of `period` up to `as_of` (aware); names and records as they were known at `known_at`.

    Raises `StatementError` where distributions and ledger disagree.
    """
    until = as_of - datetime.resolution
    days, audit = days_of(period, as_of), audit_head(connection, known_at)
    moved = pool_history(connection, days.start, days.end)
    booked = distributions_of(connection, moved.booked, until)
    rounds = found_blocks(connection, days.start, days.end, {each.block_hash: each.state.value for each in booked})
    divided = tuple(map(_divided, booked))
    _require_balance(moved.accounts, divided)
    standing = [each for each in divided if each.state != DistributionState.REVERSED]
    records = _records(records_of(connection, {each.distribution for each in standing}), audit)
    batches = tuple(_batch(each, until, audit) for each in batches_between(connection, days.start, days.end))
    known = people(registers_as_of(connection, as_of, known_at - datetime.resolution, PEOPLE))
    told = {each.party for each in rounds}
    told |= {credit.party for each in divided for credit in each.credits}
    told |= {payout.party for each in batches for payout in each.payouts}
    return RewardsReport(
        kind="rewards",
        format=FORMAT,
        as_of=as_of,
        known_at=known_at,
        days=days,
        pool=pool,
        names=names_of(row for row in known.values() if row.party in told),
        rounds=rounds,
        distributions=divided,
        totals=DividedSums(
            reward=sum(each.reward for each in standing),
            reserve=sum(each.reserve for each in standing),
            credited=sum(each.credited for each in standing),
            fee=sum(each.fee for each in standing),
            remainder=sum(each.remainder for each in standing),
        ),
        accounts=tuple(AccountLine(each.account, each.opening, each.moved, each.closing) for each in moved.accounts),
        batches=batches,
        records=records,
        unrecorded=tuple(sorted({each.last_round for each in standing} - {each.round for each in records})),
        rules=RulesSection((), ()),
        audit=audit,
        source=(
            Records("block", len(rounds)),
            numbered("distribution", (each.distribution for each in divided)),
            numbered("payout_batch", (each.batch for each in batches)),
            numbered("audit", (each.audit_row for each in records)),
        ),
    )


def _divided(each: BookedDistribution) -> Divided:
    return Divided(
        distribution=each.number,
        block_hash=each.block_hash,
        height=each.height,
        first_round=each.first_round,
        last_round=each.last_round,
        scheme=each.scheme,
        reward=each.reward,
        reserve=each.reserve,
        credited=sum(each.credits.values()),
        fee_ppm=each.fee_ppm,
        fee=each.fee,
        remainder=each.remainder,
        total_weight=each.total_weight,
        state=each.state.value,
        booked_at=each.booked_at,
        credits=tuple(Credit(party, each.weights[party], amount) for party, amount in sorted(each.credits.items())),
    )


def _require_balance(accounts: Sequence[AccountSpan], divided: Sequence[Divided]) -> None:
    """Each distribution is exact, and together they are what the ledger booked."""
    for each in divided:
        if each.reward + each.reserve != each.credited + each.fee + each.remainder:
            raise StatementError(
                f"distribution {each.distribution} divides {each.reward + each.reserve} satoshi into "
                f"{each.credited + each.fee + each.remainder}: it was changed; restore the database from a back-up"
            )
    booked = sum(-each.moved.get("distribution", 0) for each in accounts if each.account == REWARD)
    told = sum(each.reward for each in divided)
    if booked != told:
        raise StatementError(
            f"the rewards of the period add up to {told} satoshi, the ledger has {booked}: one of them was changed; "
            "restore the database from a back-up"
        )


def _records(proofs: Sequence[Proof], audit: AuditHead | None) -> tuple[RoundRecord, ...]:
    """Those that the audit log had by the report's head."""
    return tuple(
        RoundRecord(
            round=each.round,
            distribution=each.distribution,
            audit_row=each.audit_row,
            share_root=each.record["share_root"],
            sum_root=each.record["sum_root"],
            shares=each.record["shares"],
        )
        for each in proofs
        if _told(each.audit_row, audit)
    )


def _told(row: int | None, audit: AuditHead | None) -> bool:
    return row is not None and audit is not None and row <= audit.size


def _batch(batch: Batch, until: datetime, audit: AuditHead | None) -> BatchLine:
    signed = [each for each in batch.transactions if each.signed_at <= until]
    confirmed = [each for each in signed if each.confirmed_at is not None and each.confirmed_at <= until]
    transaction = next(reversed([*signed, *confirmed]), None)
    return BatchLine(
        batch=batch.number,
        state=_state(batch, until, bool(signed), bool(confirmed)).value,
        amount=batch.amount,
        proposed_at=batch.proposed_at,
        txid=transaction.txid if transaction else None,
        network_fee=transaction.fee if transaction else None,
        signed_at=transaction.signed_at if transaction else None,
        confirmed_at=confirmed[-1].confirmed_at if confirmed else None,
        audit_row=batch.audit_row if _told(batch.audit_row, audit) else None,
        payouts=tuple(PayoutLine(each.party, each.address, each.amount) for each in batch.payouts),
    )


def _state(batch: Batch, until: datetime, signed: bool, confirmed: bool) -> BatchState:
    """As it was at an instant; sent counts as signed, as in reports of before states had their instants."""
    if confirmed:
        return BatchState.CONFIRMED
    if batch.state is BatchState.ABANDONED and batch.state_at <= until:
        return BatchState.ABANDONED
    if signed:
        return BatchState.SIGNED
    approved = batch.approved_at is not None and batch.approved_at <= until
    return BatchState.APPROVED if approved else BatchState.PROPOSED
