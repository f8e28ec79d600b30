"""What a batch may become, what goes into one, and what a node's answer means for it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

CONFIRMATIONS = 6
"""A transaction with so many is taken to stay."""
_DUST_RATE = 3
"""Satoshi a byte of an output and of the input that spends it, below which nodes do not relay (-dustrelayfee)."""
_WITNESS_INPUT_BYTES = 67
_INPUT_BYTES = 148
_OUTPUT_BYTES = 9


class PayoutError(ValueError):
    """What cannot be done with payouts; the text says why and what helps."""


class BatchState(StrEnum):
    """Where a batch stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    """By a second person."""
    PREPARED = "prepared"
    """Its transaction waits for signatures."""
    SIGNED = "signed"
    """Its transaction is in the outbox; nothing else may pay this batch but that or its replacement."""
    BROADCAST = "broadcast"
    """A node took its transaction."""
    CONFIRMED = "confirmed"
    ABANDONED = "abandoned"
    """Its obligations are due again."""


UNSIGNED = frozenset({BatchState.PROPOSED, BatchState.APPROVED, BatchState.PREPARED})
OUTBOX = frozenset({BatchState.SIGNED, BatchState.BROADCAST})

_NEXT = {
    BatchState.PROPOSED: {BatchState.APPROVED, BatchState.SIGNED, BatchState.ABANDONED},
    BatchState.APPROVED: {BatchState.PREPARED, BatchState.SIGNED, BatchState.ABANDONED},
    BatchState.PREPARED: {BatchState.SIGNED, BatchState.ABANDONED},
    BatchState.SIGNED: {BatchState.BROADCAST, BatchState.CONFIRMED, BatchState.ABANDONED},
    BatchState.BROADCAST: {BatchState.CONFIRMED, BatchState.ABANDONED},
    BatchState.CONFIRMED: set(),
    BatchState.ABANDONED: set(),
}
"""A batch is signed without having been prepared only where the chain shows the transaction (a restored backup)."""


def require_step(number: int, state: BatchState, following: BatchState) -> None:
    """Raise `PayoutError` unless a batch in `state` may become `following`."""
    if following not in _NEXT[state]:
        raise PayoutError(f"batch {number} is {state}, it cannot become {following}")


def dust_limit(script: bytes) -> int:
    """Satoshi below which nodes do not relay an output with this script."""
    witness = len(script) >= 4 and (script[0] == 0 or 0x51 <= script[0] <= 0x60) and script[1] == len(script) - 2
    spending = _WITNESS_INPUT_BYTES if witness else _INPUT_BYTES
    return _DUST_RATE * (_OUTPUT_BYTES + len(script) + spending)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a party is paid to."""

    address: str
    script: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What a batch may hold. Satoshi."""

    threshold: int
    """Least payment."""
    outputs: int
    batch: int
    """Most that one batch pays."""
    day: int
    """Most that the batches proposed on one legal day pay."""
    first: int | None
    """The first payment to an address takes credits up to so much, and at least those that reach the threshold; None:
    it is a payment like any other."""


@dataclass(frozen=True, slots=True)
class Credit:
    """A final credit that no batch settles yet."""

    distribution: int
    party: str
    amount: int


@dataclass(frozen=True, slots=True)
class Payment:
    """What a batch is to pay to a party, and the distributions whose credits that settles."""

    party: str
    destination: Destination
    amount: int
    distributions: tuple[int, ...]
    rest: int | None = None
    """Of a first payment to an address: what else is due, which follows when it is confirmed. None: it is none."""


_LEFT_OUT = {
    "no-address": "no approved payout address is in force",
    "address-later": "its payout address counts from {instant}",
    "unpayable": "{why}",
    "held": "held: {why}",
    "full": "the batch is full: {outputs} outputs",
    "first": "the first payment to {address} is not confirmed yet",
    "threshold": "below the threshold of {satoshi} satoshi",
    "large": "a credit of {satoshi} satoshi exceeds payouts.batch_limit; raise it",
    "limit": "the limit of the batch or of the day is reached",
}


class LeftOut(str):
    """Why a party is not in a batch: in English as text, for other languages by its code and values."""

    code: str
    values: Mapping[str, str | int]

    def __new__(cls, code: str, **values: str | int) -> LeftOut:
        """Raises `KeyError` for a code or a value that the texts do not have."""
        made = super().__new__(cls, _LEFT_OUT[code].format(**values))
        made.code, made.values = code, values
        return made


@dataclass(frozen=True, slots=True)
class Selection:
    """A batch to be, and why each other party is not in it."""

    payments: tuple[Payment, ...]
    left_out: dict[str, LeftOut]


def select(
    credits: Iterable[Credit],
    destinations: Mapping[str, Destination | LeftOut],
    held: Mapping[str, str],
    limits: Limits,
    spent_today: int,
    tried: Mapping[str, bool],
) -> Selection:
    """Choose what to pay now. Credits come in order of distribution; whole ones are paid, the oldest first.

    `destinations`: an address, or why a party's cannot be paid to. `held`: party → why it is not paid. `tried`: party
    → whether a payment to its address was confirmed, for those to whose address one was made. The longest waiting
    party comes first.
    """
    due: dict[str, list[Credit]] = {}
    for credit in credits:
        due.setdefault(credit.party, []).append(credit)
    room = min(limits.batch, limits.day - spent_today)
    payments: list[Payment] = []
    left_out: dict[str, LeftOut] = {}
    for party, owed in due.items():
        destination = destinations.get(party, LeftOut("no-address"))
        if party in held:
            left_out[party] = LeftOut("held", why=held[party])
        elif isinstance(destination, LeftOut):
            left_out[party] = destination
        elif len(payments) >= limits.outputs:
            left_out[party] = LeftOut("full", outputs=limits.outputs)
        elif limits.first is not None and tried.get(party) is False:
            left_out[party] = LeftOut("first", address=destination.address)
        else:
            least = max(limits.threshold, dust_limit(destination.script))
            total = sum(each.amount for each in owed)
            is_new = limits.first is not None and party not in tried
            paid = _within(_first(owed, least, limits.first or 0) if is_new else owed, room)
            amount = sum(each.amount for each in paid)
            if total < least:
                left_out[party] = LeftOut("threshold", satoshi=least)
            elif owed[0].amount > min(limits.batch, limits.day):
                left_out[party] = LeftOut("large", satoshi=owed[0].amount)
            elif amount < least:
                left_out[party] = LeftOut("limit")
            else:
                room -= amount
                numbers = tuple(each.distribution for each in paid)
                payments.append(Payment(party, destination, amount, numbers, total - amount if is_new else None))
    return Selection(tuple(payments), left_out)


def _first(owed: Iterable[Credit], least: int, limit: int) -> list[Credit]:
    """The oldest credits that fit, or reach `least`."""
    taken, total = [], 0
    for credit in owed:
        total += credit.amount
        if total > limit and total - credit.amount >= least:
            break
        taken.append(credit)
    return taken


def _within(owed: Iterable[Credit], room: int) -> list[Credit]:
    """The oldest credits that fit."""
    taken = []
    for credit in owed:
        room -= credit.amount
        if room < 0:
            break
        taken.append(credit)
    return taken


class Sending(StrEnum):
    """What a node's answer to sendrawtransaction means for a batch."""

    TAKEN = "taken"
    """It has the transaction, or a block has."""
    LOOK = "look"
    """The transaction cannot go out as things are; people must look."""
    AGAIN = "again"
    """Nobody knows; the same bytes are sent again."""


_ALREADY_MINED, _INPUTS_MISSING, _REFUSED = -27, -25, -26


def sending(code: int | None) -> Sending:
    """The meaning of an error code of sendrawtransaction; None for no answer."""
    if code == _ALREADY_MINED:
        return Sending.TAKEN
    return Sending.LOOK if code in (_INPUTS_MISSING, _REFUSED) else Sending.AGAIN
