"""A party's statement for a period: work, credits, accounts, and what they were worth in tenge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, func, select

from tarazy.accounting.assets.values import Valued, values_on
from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.history import History, Movement, PartyCredit, credits_of, history
from tarazy.accounting.tables import block, round_, round_work, site_tally
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Period, legal_day
from tarazy.config.law.working_days import Doubt, WorkingDays
from tarazy.reports.coins import (
    AccountLine,
    CreditLine,
    Days,
    MovementLine,
    RoundWork,
    Statement,
    Totals,
    Valuation,
    ValueLine,
)
from tarazy.reports.content import Pool
from tarazy.reports.gather.coins import PEOPLE, days_of, files_used, names_of, people, person_of, valuation_rules
from tarazy.reports.gather.records import numbered
from tarazy.reports.gather.registers import audit_head

FORMAT = 2
"""Version of the statement's JSON."""
PAID = "paid"
"""What the accounts are called that hold what was paid out."""
_SIGNS = {"distribution": 1, "maturity": -1, "reversal": -1}
"""What each booking of a distribution does to what is immature."""


class StatementError(ValueError):
    """No statement can be made. The text says why and what to do."""


def gather_statement(
    connection: Connection,
    party: str,
    period: Period,
    as_of: datetime,
    pool: Pool,
    book: LawBook,
    known_at: datetime | None = None,
) -> Statement:
    """The statement of `party` for `period`, up to `as_of` (aware) and as known at `known_at`, or then.

    Raises `StatementError` for a party that nobody registered, and where credits and ledger disagree.
    """
    known_at = known_at or as_of
    known = known_at - datetime.resolution
    registered = people(registers := registers_as_of(connection, as_of, known, PEOPLE))
    if party not in registered:
        raise StatementError(f"no party {party} is registered; see `tarazy register show party`")
    days = days_of(period, as_of)
    moved = history(connection, party, days.start, days.end)
    touched = _distributions(moved.movements)
    booked = list(credits_of(connection, set().union(*touched.values()), party))
    _require_agreement(moved, booked, touched)
    rounds = _rounds(connection, party, days)
    received = [credit for credit in booked if credit.distribution in touched["maturity"]]
    paid = [movement for movement in moved.movements if movement.account == PAID]
    dates = [legal_day(each.final_at) for each in received if each.final_at] + [legal_day(each.at) for each in paid]
    valued = values_on(connection, book, WorkingDays(book), dates, known)
    return Statement(
        kind="statement",
        format=FORMAT,
        as_of=as_of,
        known_at=known_at,
        days=days,
        pool=pool,
        names=names_of([registered[party]]),
        person=person_of(registers, registered[party]),
        totals=Totals(
            shares=sum(each.shares for each in rounds),
            stale_shares=sum(each.stale_shares for each in rounds),
            credited=sum(credit.amount for credit in received),
            fee=sum(credit.fee for credit in received),
            paid=sum(movement.amount for movement in paid),
        ),
        rounds=rounds,
        credits=tuple(_credit(credit, as_of - datetime.resolution) for credit in booked),
        accounts=tuple(AccountLine(each.account, each.opening, each.moved, each.closing) for each in moved.accounts),
        movements=tuple(
            MovementLine(each.entry, each.at, each.kind, each.reference, each.account, each.amount)
            for each in moved.movements
        ),
        valuation=_valuation(received, paid, valued),
        rules=valuation_rules(book, dates),
        audit=audit_head(connection, known_at),
        source=(
            numbered("round", (each.round for each in rounds)),
            numbered("distribution", (credit.distribution for credit in booked)),
            numbered("ledger_entry", (movement.entry for movement in moved.movements)),
            numbered("asset_value", (each.recorded.entry for each in valued.values() if each.recorded)),
        ),
    )


def _distributions(movements: Iterable[Movement]) -> dict[str, set[int]]:
    """Numbers of the distributions that were booked, became final and were reversed by the movements, by kind."""
    touched: dict[str, set[int]] = {kind: set() for kind in _SIGNS}
    for each in movements:
        if each.kind in touched:
            touched[each.kind].add(int(each.reference))
    return touched


def _require_agreement(moved: History, credits: Sequence[PartyCredit], touched: Mapping[str, set[int]]) -> None:
    """The credits add up to what the ledger moved."""
    immature = next((account.moved for account in moved.accounts if account.account == "immature"), {})
    for kind, sign in _SIGNS.items():
        told = sign * sum(each.amount for each in credits if each.distribution in touched[kind])
        if told != immature.get(kind, 0):
            raise StatementError(
                f"the credits of the period add up to {told} satoshi of kind {kind}, the ledger has "
                f"{immature.get(kind, 0)}: one of them was changed; restore the database from a back-up"
            )


def _rounds(connection: Connection, party: str, days: Days) -> tuple[RoundWork, ...]:
    """Rounds closed by a block found in the period in which the party worked."""
    closed = select(round_.c.round, round_.c.closed_at, block.c.height).join(block, block.c.round == round_.c.round)
    found = closed.where(block.c.found_at >= days.start, block.c.found_at < days.end).order_by(round_.c.round)
    rounds = connection.execute(found).all()
    if not rounds:
        return ()
    span = rounds[0].round, rounds[-1].round
    weights: Counter[int] = Counter()
    own: dict[int, int] = {}
    for row in connection.execute(select(round_work).where(round_work.c.round.between(*span))):
        weights[row.round] += row.weight
        if row.party == party:
            own[row.round] = own.get(row.round, 0) + row.weight
    of = site_tally.c
    sums = (
        select(of.round, func.sum(of.shares).label("shares"), func.sum(of.stale_shares).label("stale"))
        .where(of.round.between(*span), of.party == party)
        .group_by(of.round)
    )
    shares = {row.round: row for row in connection.execute(sums)}
    return tuple(
        RoundWork(
            round=row.round,
            closed_at=row.closed_at,
            height=row.height,
            shares=int(shares[row.round].shares) if row.round in shares else 0,
            stale_shares=int(shares[row.round].stale) if row.round in shares else 0,
            weight=own.get(row.round, 0),
            total_weight=weights[row.round],
        )
        for row in rounds
        if row.round in own or row.round in shares
    )


def _credit(credit: PartyCredit, until: datetime) -> CreditLine:
    final_at = credit.final_at if credit.final_at and credit.final_at <= until else None
    reversed_at = credit.reversed_at if credit.reversed_at and credit.reversed_at <= until else None
    state = (
        DistributionState.REVERSED
        if reversed_at
        else DistributionState.FINAL
        if final_at
        else DistributionState.IMMATURE
    )
    return CreditLine(
        distribution=credit.distribution,
        height=credit.height,
        block_hash=credit.block_hash,
        first_round=credit.first_round,
        last_round=credit.last_round,
        scheme=credit.scheme,
        reward=credit.reward,
        weight=credit.weight,
        total_weight=credit.total_weight,
        fee_ppm=credit.fee_ppm,
        fee=credit.fee,
        amount=credit.amount,
        state=state.value,
        booked_at=credit.booked_at,
        final_at=final_at,
        reversed_at=reversed_at,
    )


def _valuation(received: Iterable[PartyCredit], paid: Iterable[Movement], valued: dict[date, Valued]) -> Valuation:
    credited = tuple(
        _line("credit", str(each.distribution), each.amount, valued[legal_day(each.final_at)])
        for each in received
        if each.final_at
    )
    payouts = tuple(_line("payout", str(each.entry), each.amount, valued[legal_day(each.at)]) for each in paid)
    return Valuation(
        lines=credited + payouts,
        credited_kzt=_sum(credited),
        paid_kzt=_sum(payouts),
        moved_days_unknown=any(Doubt.MOVED_DAYS_UNKNOWN in each.doubts for each in valued.values()),
        files=files_used(valued.values()),
    )


def _line(what: str, reference: str, satoshi: int, valued: Valued) -> ValueLine:
    return ValueLine(
        what=what,
        reference=reference,
        day=valued.day,
        satoshi=satoshi,
        value_day=valued.value_day,
        value_kzt=valued.recorded.value.value_kzt if valued.recorded else None,
        amount_kzt=valued.tenge(satoshi),
        absent=valued.absent,
        rule=valued.rule.id if valued.rule else None,
    )


def _sum(lines: Iterable[ValueLine]) -> Decimal | None:
    amounts = [line.amount_kzt for line in lines]
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None
