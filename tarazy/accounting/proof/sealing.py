"""The chain in the database: shares are sealed as they are folded, and hidden parties get their salts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, insert, select, update

from tarazy.accounting import tables
from tarazy.accounting.journal_file import JournalReader, Segment, required_job
from tarazy.accounting.proof.chain import (
    NO_HEAD,
    SALT_BYTES,
    Digests,
    Link,
    alias_of,
    job_digest,
    links,
    name_digest,
)
from tarazy.stratum.ports import NameRecord

_PARTIES_AT_ONCE = 10_000


def salts(connection: Connection, parties: Iterable[str]) -> dict[str, bytes]:
    """The salts of parties; who has none yet gets one."""
    table = tables.party_salt
    wanted = sorted(set(parties))
    found: dict[str, bytes] = {}
    for first in range(0, len(wanted), _PARTIES_AT_ONCE):
        query = select(table).where(table.c.party.in_(wanted[first : first + _PARTIES_AT_ONCE]))
        found |= {row.party: bytes.fromhex(row.salt) for row in connection.execute(query)}
    new = {party: secrets.token_bytes(SALT_BYTES) for party in wanted if party not in found}
    if new:
        connection.execute(insert(table), [{"party": party, "salt": salt.hex()} for party, salt in new.items()])
    return found | new


def digests_of(
    gateway: int, reader: JournalReader, names: Mapping[int, NameRecord], hidden: Mapping[str, bytes]
) -> Digests:
    """What binds shares to their names and jobs; `hidden` holds the parties' salts.

    It raises `JournalError` for a job that the journal does not have.
    """
    named: dict[int, bytes] = {}
    made: dict[int, bytes] = {}

    def digests(name: int, job: int) -> bytes:
        if name not in named:
            record = names[name]
            named[name] = name_digest(gateway, name, record, alias_of(record.party, hidden[record.party]))
        if job not in made:
            made[job] = job_digest(required_job(reader, job))
        return named[name] + made[job]

    return digests


def last_head(connection: Connection, gateway: int, until: int | None = None) -> bytes:
    """The head behind the last link, or behind the last one that ends at share `until` or before."""
    table = tables.chain_link
    query = select(table.c.head).where(table.c.gateway == gateway).order_by(table.c.first.desc()).limit(1)
    if until is not None:
        query = query.where(table.c.first <= until)
    found = connection.scalar(query)
    return NO_HEAD if found is None else bytes.fromhex(found)


def seal(
    connection: Connection, gateway: int, segments: Iterable[Segment], digests: Digests, place: int | None = None
) -> None:
    """Go on with the chain of a gateway over shares in their order, at a place in the order of record."""
    rows = [
        {
            "gateway": gateway,
            "first": link.first,
            "last": link.last,
            "root": link.root.hex(),
            "head": link.head.hex(),
            "place": place,
        }
        for link in links(last_head(connection, gateway), segments, digests)
    ]
    if rows:
        connection.execute(insert(tables.chain_link), rows)


def sealed(connection: Connection, gateway: int, after: int, until: int) -> list[Link]:
    """The links of a gateway between two sequence numbers, in order."""
    table = tables.chain_link
    inside = (table.c.gateway == gateway, table.c.first > after, table.c.first <= until)
    query = select(table.c.first, table.c.last, table.c.root, table.c.head).where(*inside).order_by(table.c.first)
    return [
        Link(first, last, bytes.fromhex(root), bytes.fromhex(head))
        for first, last, root, head in connection.execute(query)
    ]


def missing(after: int, until: int, links: Iterable[Link]) -> list[list[int]]:
    """The numbers between two that no share has: first and last of each run."""
    known = list(links)
    ends = [after, *(link.last for link in known)]
    begins = [*(link.first for link in known), until + 1]
    return [[end + 1, begin - 1] for end, begin in zip(ends, begins, strict=True) if begin > end + 1]


def unsigned(connection: Connection, gateway: int) -> Link | None:
    """The newest link of a gateway, unless its head is signed."""
    table = tables.chain_link
    newest = select(table).where(table.c.gateway == gateway).order_by(table.c.first.desc()).limit(1)
    row = connection.execute(newest).first()
    if row is None or row.note is not None:
        return None
    return Link(row.first, row.last, bytes.fromhex(row.root), bytes.fromhex(row.head))


def keep_note(connection: Connection, gateway: int, link: Link, note: str) -> None:
    """Keep a signed head."""
    table = tables.chain_link
    own = (table.c.gateway == gateway, table.c.first == link.first)
    connection.execute(update(table).where(*own).values(note=note))


def last_note(connection: Connection, gateway: int, after: int, until: int) -> str | None:
    """The newest signed head of a gateway between two sequence numbers."""
    table = tables.chain_link
    inside = (table.c.gateway == gateway, table.c.first > after, table.c.first <= until, table.c.note.is_not(None))
    return connection.scalar(select(table.c.note).where(*inside).order_by(table.c.first.desc()).limit(1))
