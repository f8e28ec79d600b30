"""The record of a round: what is published of a final distribution, and what everything else is verified against."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select

from tarazy.accounting import tables
from tarazy.accounting.blocks import ON_CHAIN
from tarazy.accounting.distribution import DistributionState, work_by_worth
from tarazy.accounting.proof import sums
from tarazy.accounting.proof.chain import alias_of
from tarazy.accounting.proof.sealing import salts, sealed
from tarazy.accounting.proof.shares import Hashed, ProofError, Span
from tarazy.accounting.proof.window import ends_of, window_of
from tarazy.accounting.schemes import Scheme


class UnrecordedError(LookupError):
    """No record tells of the round, or of a part that the party has in it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A party's part of a distribution, with what hides it."""

    party: str
    salt: bytes
    alias: bytes
    leaf: sums.Leaf


@dataclass(frozen=True, slots=True)
class Proof:
    """A record as it is kept."""

    distribution: int
    round: int
    text: str
    audit_row: int

    @property
    def record(self) -> dict[str, Any]:
        """What it says."""
        told: dict[str, Any] = json.loads(self.text)
        return told


class Then(NamedTuple):
    """An instant of before, and how many rows the audit log had then: a record counts from its row on."""

    at: datetime
    audit_rows: int


def unproven(connection: Connection, then: Then | None = None) -> list[int]:
    """The distributions that are final and have no record yet, or were so then, in their order."""
    table, proof = tables.distribution, tables.round_proof
    final: ColumnElement[bool] = table.c.state == DistributionState.FINAL
    own = proof.c.distribution == table.c.distribution
    if then is not None:
        final = (table.c.final_at <= then.at) & (table.c.reversed_at.is_(None) | (table.c.reversed_at > then.at))
        own &= proof.c.audit_row <= then.audit_rows
    query = select(table.c.distribution).outerjoin(proof, own).where(final, proof.c.distribution.is_(None))
    return list(connection.scalars(query.order_by(table.c.last_round)))


def proven(connection: Connection, rounds: Collection[int], then: Then | None = None) -> set[int]:
    """Those of some rounds that have a record, or had one then."""
    proof = tables.round_proof
    query = select(proof.c.round).where(proof.c.round.in_(rounds))
    return set(connection.scalars(query if then is None else query.where(proof.c.audit_row <= then.audit_rows)))


def last_round(connection: Connection, distribution: int) -> int:
    """The round with which a distribution ended, by which people know it."""
    return int(_distribution(connection, distribution).last_round)


def unproven_round(connection: Connection, round_: int) -> int | None:
    """The final distribution that ended with a round, if it has no record yet."""
    last = select(tables.distribution.c.distribution).where(tables.distribution.c.last_round == round_)
    found = set(connection.scalars(last)) & set(unproven(connection))
    return next(iter(found), None)


def proof_of(connection: Connection, round_: int) -> Proof:
    """The record of the distribution that ended with a round; raises `UnrecordedError`."""
    table = tables.round_proof
    row = connection.execute(select(table).where(table.c.round == round_)).first()
    if row is None:
        newest = connection.scalar(select(func.max(table.c.round)))
        raise UnrecordedError(
            f"round {round_} has no record: it is written when the block that paid it is final; orphaned rounds are "
            f"part of a later one; {f'the newest record is of round {newest}' if newest else 'there is none yet'}"
        )
    return Proof(row.distribution, row.round, row.record, row.audit_row)


def recorded(connection: Connection, since: datetime) -> dict[str, dict[str, Any]]:
    """By block the round, both roots and the row in the audit log of distributions that were booked since then."""
    proof, divided = tables.round_proof, tables.distribution
    query = select(divided.c.block_hash, proof.c.record, proof.c.audit_row)
    joined = query.join(proof, proof.c.distribution == divided.c.distribution).where(divided.c.booked_at >= since)
    told = {}
    for block_hash, text, audit_row in connection.execute(joined):
        record = json.loads(text)
        told[block_hash] = {name: record[name] for name in ("round", "sum_root", "share_root")} | {
            "audit_row": audit_row
        }
    return told


def records_of(connection: Connection, distributions: Collection[int]) -> list[Proof]:
    """The records of some distributions, as far as there are any, in order of rounds."""
    if not distributions:
        return []
    table = tables.round_proof
    between = table.c.distribution.between(min(distributions), max(distributions))
    rows = connection.execute(select(table).where(between).order_by(table.c.round))
    return [
        Proof(row.distribution, row.round, row.record, row.audit_row)
        for row in rows
        if row.distribution in distributions
    ]


def proof_before(connection: Connection, round_: int) -> Proof | None:
    """The record before that of a round."""
    table = tables.round_proof
    row = connection.execute(
        select(table).where(table.c.round < round_).order_by(table.c.round.desc()).limit(1)
    ).first()
    return Proof(row.distribution, row.round, row.record, row.audit_row) if row else None


def credited_rounds(connection: Connection, party: str, limit: int, offset: int) -> tuple[int, list[dict[str, Any]]]:
    """How many recorded rounds credit a party, and some of them, the newest first."""
    proof, credit, divided = tables.round_proof, tables.credit, tables.distribution
    joined = proof.join(credit, credit.c.distribution == proof.c.distribution).join(
        divided, divided.c.distribution == proof.c.distribution
    )
    own = credit.c.party == party
    total = connection.scalar(select(func.count()).select_from(joined).where(own)) or 0
    columns = (proof.c.round, divided.c.block_hash, divided.c.final_at, credit.c.weight, credit.c.amount)
    query = select(*columns).select_from(joined).where(own).order_by(proof.c.round.desc()).limit(limit).offset(offset)
    names = [column.name for column in columns]
    return total, [dict(zip(map(str, names), row, strict=True)) for row in connection.execute(query)]


def spans_of(connection: Connection, distribution: int, journals: Path) -> list[Span]:
    """The shares that a distribution pays, by gateway; their journals lie in a directory."""
    row = _distribution(connection, distribution)
    after, cut = _cut(connection, row.first_round - 1), _cut(connection, row.last_round)
    return [
        Span(gateway, journals / f"gateway-{gateway}.sqlite", after.get(gateway, 0), until)
        for gateway, until in sorted(cut.items())
    ]


def parts_of(connection: Connection, distribution: int) -> list[Part]:
    """Who has a part of a distribution, in the order of the sum tree."""
    divided = _distribution(connection, distribution)
    credit = tables.credit
    rows = connection.execute(select(credit).where(credit.c.distribution == distribution)).all()
    hidden = salts(connection, [row.party for row in rows])
    parts = []
    for row in rows:
        salt = hidden[row.party]
        fee_ppm = (divided.fees or {}).get(row.party, divided.fee_ppm)
        leaf = sums.Leaf(sums.commit_of(divided.last_round, row.party, salt), row.weight, row.amount, fee_ppm)
        parts.append(Part(row.party, salt, alias_of(row.party, salt), leaf))
    return sorted(parts, key=lambda part: part.leaf.commit)


def compose(
    connection: Connection, distribution: int, spans: list[Span], hashed: Hashed, script: bytes
) -> dict[str, Any]:
    """The record of a distribution. `script` is the pool's in the block's coinbase.

    Raises `ProofError` when the shares are not what the distribution was made of.
    """
    row = _distribution(connection, distribution)
    parts = parts_of(connection, distribution)
    if row.scheme in (Scheme.PROP, Scheme.FPPS) and {part.party: part.leaf.weight for part in parts} != hashed.weights:
        raise ProofError(f"round {row.last_round}: the journals hold other work than was divided; compare both")
    links = (link for span in spans for link in sealed(connection, span.gateway, span.after, span.until))
    if sum(link.last - link.first + 1 for link in links) != hashed.records:
        raise ProofError(f"round {row.last_round}: shares of it were folded before there was a chain over them")
    root = sums.root_of([part.leaf for part in parts])
    before = proof_before(connection, row.last_round)
    window = window_of(connection, row.last_round, spans)
    height = tables.block.c.height
    return {
        "block_hash": row.block_hash,
        "distribution": distribution,
        "fee": row.fee,
        "fee_ppm": row.fee_ppm,
        "first_round": row.first_round,
        "gateways": {str(span.gateway): ends_of(connection, span) for span in spans},
        "height": connection.execute(select(height).where(tables.block.c.block_hash == row.block_hash)).scalar_one(),
        "own_fees": bool(row.fees),
        "parties": len(parts),
        "previous": {"round": before.round, "digest": digest(before.text)} if before else None,
        "remainder": row.remainder,
        "reward": row.reward,
        "round": row.last_round,
        "scheme": row.scheme,
        "script": script.hex(),
        "share_root": hashed.root.hex(),
        "shares": hashed.shares,
        "sum_root": root.hash.hex(),
        "total_weight": str(row.total_weight),
        "window": {"weight": str(window.weight), "digest": digest(window.text)} if window else None,
        **(_by_share(connection, row) if row.scheme == Scheme.FPPS else {}),
    }


def work_rows(connection: Connection, distribution: int, party: str | None = None) -> list[dict[str, Any]]:
    """The work that FPPS paid, by what it was worth; of one party if it is named."""
    row = _distribution(connection, distribution)
    work = work_by_worth(connection, row.first_round, row.last_round)
    sums_ = ((worth, sum(of.values()) if party is None else of.get(party, 0)) for worth, of in sorted(work.items()))
    return [
        {"target": f"{worth.target:064x}", "subsidy": worth.subsidy, "weight": str(weight)}
        for worth, weight in sums_
        if weight
    ]


def _by_share(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """What FPPS was paid by, and whether the block stayed: the reserve gave what its reward lacks to what is owed."""
    closed, block = tables.round_, tables.block
    fee_blocks = select(closed.c.fee_blocks).where(closed.c.round == row.last_round)
    state = select(block.c.state).where(block.c.block_hash == row.block_hash)
    return {
        "average_fee": row.average_fee,
        "fee_blocks": connection.execute(fee_blocks).scalar_one(),
        "owed": row.reward + row.reserve,
        "stays": connection.execute(state).scalar_one() in ON_CHAIN,
        "work": work_rows(connection, row.distribution),
    }


def keep(connection: Connection, record: Mapping[str, Any], audit_row: int) -> None:
    """Keep a record, which the audit log has in the row of that number."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    values = {"distribution": record["distribution"], "round": record["round"], "record": text, "audit_row": audit_row}
    connection.execute(insert(tables.round_proof).values(**values))


def digest(text: str) -> str:
    """By which the next record names one."""
    return sha256(text.encode()).hexdigest()


def _cut(connection: Connection, round_: int) -> dict[int, int]:
    if round_ == 0:
        return {}
    cut = connection.execute(select(tables.round_.c.cut).where(tables.round_.c.round == round_)).scalar_one()
    return {int(gateway): sequence for gateway, sequence in cut.items()}


def _distribution(connection: Connection, number: int) -> Row[Any]:
    return connection.execute(select(tables.distribution).where(tables.distribution.c.distribution == number)).one()
