"""Deliveries in the database. Each function is part of one transaction of its caller.

The outbox rule: an attempt is committed by `begin` before anything is sent, and what is sent is read from there. A
process may die between any two steps: what was begun and did not end is taken to have arrived without a receipt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from tarazy.accreditation.audit import AuditEvent, append
from tarazy.accreditation.tables import lock_writers
from tarazy.database.states import note_state, states_at, was_by
from tarazy.reports.canonical import digest
from tarazy.reports.delivery.answer import Judged, Outcome
from tarazy.reports.delivery.letter import Letter, period_of
from tarazy.reports.delivery.profile import Profile
from tarazy.reports.kept import Kept
from tarazy.reports.tables import delivery, delivery_attempt

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60, 6 * 3600
"""Between attempts; each time twice as long."""
MARGIN_SECONDS = 30
"""How much longer than its time an attempt may take to be written down."""


class DeliveryError(ValueError):
    """What cannot be done with deliveries; the text says why and what helps."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    """By a second person, or by the profile. Nothing of it has arrived."""
    SENT = "sent"
    """It may have arrived; there is no receipt."""
    REFUSED = "refused"
    """The authority would not take it."""
    RECEIVED = "received"
    """There is a receipt."""
    ABANDONED = "abandoned"


OUTBOX = frozenset({DeliveryState.APPROVED, DeliveryState.SENT})
_GIVEN_UP_FROM = frozenset({DeliveryState.PROPOSED, DeliveryState.REFUSED, *OUTBOX})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt."""

    attempt: int
    way: str
    begun_at: datetime
    until: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    status: int | None
    words: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it stands, without the body."""

    number: int
    profile: str
    kind: str
    period: str
    name: str
    digest: str
    key: str
    url: str
    body_digest: str
    state: DeliveryState
    state_at: datetime
    proposed_at: datetime
    proposed_by: str
    approved_at: datetime | None
    approved_by: str | None
    attempts: int
    next_at: datetime | None = None
    trouble: str | None = None
    receipt: str | None = None
    received_at: datetime | None = None

    def plain(self) -> dict[str, Any]:
        """As values for programs."""
        return {"delivery": self.number, **{each.name: getattr(self, each.name) for each in fields(self)[1:]}}


_COLUMNS = [each for each in delivery.c if each.name not in ("method", "headers", "media_type", "body")]


def propose(connection: Connection, kept: Kept, letter: Letter, profile: Profile, at: datetime, by: str) -> int:
    """Put a document into the outbox; its number. Where the profile says automatic it is approved already.

    Raises `DeliveryError` where it is there already.
    """
    automatic = profile.approval == "automatic"
    state = DeliveryState.APPROVED if automatic else DeliveryState.PROPOSED
    row = {
        "profile": profile.name,
        "kind": kept.kind,
        "period": period_of(kept)[:32],
        "name": kept.path.name,
        "digest": kept.digest,
        "key": letter.key,
        "method": letter.method,
        "url": letter.url,
        "headers": dict(letter.headers),
        "media_type": letter.media_type,
        "body": letter.body,
        "body_digest": digest(letter.body),
        "state": state,
        "state_at": at,
        "proposed_at": at,
        "proposed_by": by,
        "approved_at": at if automatic else None,
        "approved_by": f"profile {profile.name}" if automatic else None,
        "attempts": 0,
        "next_at": at if automatic else None,
    }
    lock_writers(connection)
    standing = standing_of(connection, kept.digest, profile.name)
    if standing is not None:
        raise DeliveryError(f"delivery {standing.number} of {kept.path.name} to {profile.name} is {standing.state}")
    number = int(connection.execute(insert(delivery).values(**row).returning(delivery.c.delivery)).scalar_one())
    made = read(connection, number)
    note_state(connection, delivery.name, str(number), state, at)
    _note(connection, made, at, "proposed", by=by, body=made.body_digest)
    if automatic:
        _note(connection, made, at, "approved", by=f"profile {profile.name}")
    return number


def standing_of(connection: Connection, document: str, profile: str) -> Delivery | None:
    """The delivery of a document, by its digest, to a recipient, unless it was abandoned."""
    table = delivery
    query = select(*_COLUMNS).where(table.c.digest == document, table.c.profile == profile)
    row = connection.execute(query.where(table.c.state != DeliveryState.ABANDONED)).first()
    return None if row is None else _delivery(row)


def latest_of(
    connection: Connection, profile: str, kind: str, period: str, at: datetime | None = None
) -> Delivery | None:
    """The delivery of a kind of report of a period to a recipient: the received one, else the last, else a given up.

    Now, or as it was at an instant.
    """
    table = delivery
    query = select(*_COLUMNS).where(table.c.profile == profile, table.c.kind == kind, table.c.period == period)
    found = _as_they_were(connection, query.order_by(table.c.delivery), at)
    return max(found, key=_furthest, default=None)


def _furthest(made: Delivery) -> tuple[bool, bool, int]:
    return made.state is DeliveryState.RECEIVED, made.state is not DeliveryState.ABANDONED, made.number


def read(connection: Connection, number: int) -> Delivery:
    """A delivery. Raises `DeliveryError` when there is none of this number."""
    row = connection.execute(select(*_COLUMNS).where(delivery.c.delivery == number)).first()
    if row is None:
        raise DeliveryError(f"there is no delivery {number}; see `tarazy report deliveries --all`")
    return _delivery(row)


def deliveries_at(connection: Connection, at: datetime, limit: int, offset: int) -> tuple[int, list[Delivery]]:
    """How many deliveries there were at an instant, and some of them as they were, the newest first."""
    table = delivery
    total = connection.scalar(select(func.count()).select_from(table).where(table.c.proposed_at <= at)) or 0
    query = select(*_COLUMNS).where(table.c.proposed_at <= at).order_by(table.c.delivery.desc())
    return total, _as_they_were(connection, query.limit(limit).offset(offset), at)


def _as_they_were(connection: Connection, query: Select[*tuple[Any, ...]], at: datetime | None) -> list[Delivery]:
    """Deliveries as they are, or were at an instant: without what came later, and what is not kept of then."""
    found = [_delivery(row) for row in connection.execute(query)]
    if at is None:
        return found
    stood = states_at(connection, delivery.name, [str(made.number) for made in found], at)
    table = delivery_attempt
    begun = table.c.delivery.in_([made.number for made in found]), table.c.begun_at <= at
    counted = select(table.c.delivery, func.count()).where(*begun).group_by(table.c.delivery)
    tried = {row[0]: row[1] for row in connection.execute(counted)}
    return [
        replace(
            made,
            state=DeliveryState(then.state),
            state_at=then.since,
            attempts=tried.get(made.number, 0),
            next_at=None,
            trouble=None,
            approved_at=made.approved_at if was_by(made.approved_at, at) else None,
            approved_by=made.approved_by if was_by(made.approved_at, at) else None,
            received_at=made.received_at if was_by(made.received_at, at) else None,
            receipt=made.receipt if was_by(made.received_at, at) else None,
        )
        for made in found
        if (then := stood.get(str(made.number))) is not None
    ]


def deliveries(
    connection: Connection, states: Iterable[DeliveryState], limit: int | None = None, offset: int = 0
) -> list[Delivery]:
    """Deliveries in some of `states`, the newest first."""
    query = select(*_COLUMNS).where(delivery.c.state.in_([*states])).order_by(delivery.c.delivery.desc())
    return [_delivery(row) for row in connection.execute(query.limit(limit).offset(offset))]


def waiting(connection: Connection) -> list[Delivery]:
    """Those that a person has to look at: to approve, to mend, to find out about."""
    state, table = delivery.c.state, delivery
    stuck = (state == DeliveryState.SENT) & table.c.next_at.is_(None)
    doubled = (state == DeliveryState.RECEIVED) & table.c.trouble.is_not(None)
    query = select(*_COLUMNS).where(state.in_([DeliveryState.PROPOSED, DeliveryState.REFUSED]) | stuck | doubled)
    return [_delivery(row) for row in connection.execute(query.order_by(table.c.delivery))]


def counts(connection: Connection) -> dict[DeliveryState, int]:
    """How many are in each state."""
    query = select(delivery.c.state, func.count()).group_by(delivery.c.state)
    found = {DeliveryState(state): count for state, count in connection.execute(query)}
    return {**dict.fromkeys(DeliveryState, 0), **found}


def letter_of(connection: Connection, number: int) -> Letter:
    """What is sent, as it was approved."""
    row = connection.execute(select(delivery).where(delivery.c.delivery == number)).one()
    return Letter(row.key, row.method, row.url, row.headers, row.media_type, row.body)


def attempts(connection: Connection, number: int) -> list[Attempt]:
    """The attempts of a delivery, the first one first."""
    table = delivery_attempt
    rows = connection.execute(select(table).where(table.c.delivery == number).order_by(table.c.attempt))
    return [
        Attempt(
            row.attempt,
            row.way,
            row.begun_at,
            row.until,
            row.ended_at,
            None if row.outcome is None else Outcome(row.outcome),
            row.status,
            row.words,
        )
        for row in rows
    ]


def receipt_of(connection: Connection, number: int) -> bytes | None:
    """The answer that holds the receipt, to the byte."""
    table = delivery_attempt
    query = select(table.c.answer).where(table.c.delivery == number, table.c.outcome == Outcome.RECEIPT)
    return connection.scalar(query.order_by(table.c.attempt).limit(1))


def approve(connection: Connection, number: int, at: datetime, by: str) -> None:
    """Let a proposed document be sent. Raises `DeliveryError` for who proposed it."""
    lock_writers(connection)
    made = read(connection, number)
    if made.state is not DeliveryState.PROPOSED:
        raise DeliveryError(f"delivery {number} is {made.state}; only proposed ones are approved")
    if made.proposed_by == by:
        raise DeliveryError(f"{by} proposed delivery {number}; somebody else must approve it")
    _become(connection, made, DeliveryState.APPROVED, at, approved_at=at, approved_by=by, next_at=at)
    _note(connection, made, at, "approved", by=by)


def send_again(connection: Connection, number: int, at: datetime, by: str, why: str) -> None:
    """Let a refused document, or one whose receipt is missing, be sent again: the same bytes under the same key."""
    made = _resting(connection, number, at)
    if made.state not in (DeliveryState.REFUSED, DeliveryState.SENT):
        raise DeliveryError(f"delivery {number} is {made.state}; only refused ones and those without a receipt wait")
    _become(connection, made, DeliveryState.APPROVED, at, next_at=at, trouble=None)
    _note(connection, made, at, "again", by=by, why=why)


def abandon(connection: Connection, number: int, at: datetime, by: str, why: str) -> None:
    """Give a delivery up; its document may be proposed anew."""
    made = _resting(connection, number, at)
    if made.state not in _GIVEN_UP_FROM:
        raise DeliveryError(f"delivery {number} is {made.state}; it cannot be given up")
    _become(connection, made, DeliveryState.ABANDONED, at, next_at=None)
    _note(connection, made, at, "abandoned", by=by, why=why)


def _resting(connection: Connection, number: int, at: datetime) -> Delivery:
    """A delivery of which no attempt goes on. Raises `DeliveryError`."""
    lock_writers(connection)
    if _goes_on(connection, number, None, at):
        raise DeliveryError(f"an attempt of delivery {number} is under way; wait for its end")
    return read(connection, number)


def due(connection: Connection, now: datetime) -> list[Delivery]:
    """Those whose next attempt may begin, the longest waiting first."""
    table = delivery
    query = select(*_COLUMNS).where(table.c.state.in_([*OUTBOX]), table.c.next_at <= now)
    return [_delivery(row) for row in connection.execute(query.order_by(table.c.next_at))]


def begin(connection: Connection, made: Delivery, profile: Profile, now: datetime) -> tuple[int, str] | None:
    """Write down that an attempt begins: its number and way, `send` or `ask`. None where there is nothing to do now."""
    lock_writers(connection)
    if _goes_on(connection, made.number, profile, now):
        return None
    made = read(connection, made.number)
    if not _is_due(made, now):
        return None
    if made.state is DeliveryState.SENT and profile.when_unsure == "stop":
        _set(connection, made.number, next_at=None)
        return None
    way = "ask" if made.state is DeliveryState.SENT and profile.when_unsure == "ask" else "send"
    number = made.attempts + 1
    until = now + timedelta(seconds=profile.timeout_seconds + MARGIN_SECONDS)
    row = {"delivery": made.number, "attempt": number, "way": way, "begun_at": now, "until": until}
    connection.execute(insert(delivery_attempt).values(**row))
    _set(connection, made.number, attempts=number)
    if way == "send":
        _note(connection, made, now, "sent", attempt=number, body=made.body_digest)
    return number, way


def end(
    connection: Connection,
    number: int,
    attempt: int,
    profile: Profile | None,
    judged: Judged,
    status: int | None,
    body: bytes,
    now: datetime,
) -> None:
    """Write down what came of an attempt. A receipt counts whenever it comes, and once.

    Without a profile nothing says what to do when it may have arrived: a person finds out.
    """
    lock_writers(connection)
    made, table = read(connection, number), delivery_attempt
    this = (table.c.delivery == number, table.c.attempt == attempt)
    way, before = connection.execute(select(table.c.way, table.c.outcome).where(*this)).one()
    if before is not None and judged.outcome is not Outcome.RECEIPT:
        return
    if before != Outcome.RECEIPT:
        answer = body if judged.outcome is Outcome.RECEIPT else None
        told = {"outcome": judged.outcome, "status": status, "words": judged.words, "answer": answer}
        connection.execute(update(table).where(*this).values(ended_at=now, **told))
    if judged.outcome is Outcome.RECEIPT:
        _received(connection, made, judged, attempt, digest(body), now)
    elif made.state not in OUTBOX:
        return
    elif judged.outcome is Outcome.REFUSED and way == "send":
        _become(connection, made, DeliveryState.REFUSED, now, next_at=None, trouble=judged.words)
        _note(connection, made, now, "refused", attempt=attempt, why=judged.words)
    else:
        wait = max(judged.wait_seconds, _wait(made.attempts))
        again: datetime | None = now + timedelta(seconds=wait)
        state = _after(made, way, judged.outcome)
        if state is DeliveryState.SENT and (profile is None or profile.when_unsure == "stop"):
            again = None
        _become(connection, made, state, now, next_at=again, trouble=judged.words)


def _after(made: Delivery, way: str, outcome: Outcome) -> DeliveryState:
    """What an attempt without receipt or refusal leaves: what may have arrived once stays so until it is asked for."""
    if outcome is Outcome.UNSURE:
        return DeliveryState.SENT
    return DeliveryState.APPROVED if way == "ask" else made.state


def stall(connection: Connection, number: int, profile: Profile | None, why: str, now: datetime) -> None:
    """Note that a delivery cannot be tried, and let it rest before it is looked at again."""
    lock_writers(connection)
    if not _goes_on(connection, number, profile, now) and _is_due(read(connection, number), now):
        _set(connection, number, trouble=why, next_at=now + timedelta(seconds=FIRST_WAIT_SECONDS))


def _received(connection: Connection, made: Delivery, judged: Judged, attempt: int, answer: str, now: datetime) -> None:
    facts = {"attempt": attempt, "receipt": judged.number, "answer": answer}
    if made.state in (*OUTBOX, DeliveryState.REFUSED):
        values = {"receipt": judged.number, "received_at": now, "next_at": None, "trouble": None}
        _become(connection, made, DeliveryState.RECEIVED, now, **values)
        _note(connection, made, now, "received", **facts)
    elif made.receipt != judged.number:
        why = "was given up" if made.state is DeliveryState.ABANDONED else f"had receipt {made.receipt}"
        trouble = f"attempt {attempt} brought receipt {judged.number} when it {why}: the authority may have it twice"
        _set(connection, made.number, trouble=trouble)
        _note(connection, made, now, "another receipt", **facts)


def _wait(tried: int) -> int:
    """Seconds after so many attempts."""
    return int(min(FIRST_WAIT_SECONDS * 2 ** min(tried - 1, 20), LONGEST_WAIT_SECONDS))


def _goes_on(connection: Connection, number: int, profile: Profile | None, now: datetime) -> bool:
    """Whether an attempt is under way. A lost one, whose time has run out, ends: whether it arrived, nobody knows."""
    begun = next((each for each in attempts(connection, number) if each.ended_at is None), None)
    if begun is None or begun.until > now:
        return begun is not None
    lost = Judged(Outcome.UNSURE, "the process ended before the answer came")
    end(connection, number, begun.attempt, profile, lost, None, b"", now)
    return False


def _is_due(made: Delivery, now: datetime) -> bool:
    return made.state in OUTBOX and made.next_at is not None and made.next_at <= now


def _become(connection: Connection, made: Delivery, state: DeliveryState, at: datetime, **values: object) -> None:
    if state is not made.state:
        values["state_at"] = at
        note_state(connection, delivery.name, str(made.number), state, at)
    _set(connection, made.number, state=state, **values)


def _set(connection: Connection, number: int, **values: object) -> None:
    connection.execute(update(delivery).where(delivery.c.delivery == number).values(**values))


def _delivery(row: Row[Any]) -> Delivery:
    values = dict(row._mapping)
    return Delivery(number=values.pop("delivery"), state=DeliveryState(values.pop("state")), **values)


def _note(connection: Connection, made: Delivery, at: datetime, what: str, **facts: object) -> None:
    """A row of the audit log about a delivery."""
    of = {"what": what, "delivery": made.number, "to": made.profile, "document": made.digest, "key": made.key}
    append(connection, [AuditEvent("delivery", {**of, **facts})], at)
