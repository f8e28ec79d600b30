"""Versions of the record of distributed assets: each stays as it was issued, and a correction is another version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from tarazy.accounting.assets.tables import issued_record


@dataclass(frozen=True, slots=True)
class Issued:
    """A version of a period's record. `digest` is the SHA-256 of its canonical JSON."""

    version: int
    as_of: datetime
    digest: str
    why: str | None
    """Why it corrects the version before."""


def versions(connection: Connection, start: datetime, end: datetime) -> list[Issued]:
    """The versions issued for [start, end), the first one first."""
    table = issued_record
    query = select(table).where(table.c.start == start, table.c.end == end).order_by(table.c.version)
    return [Issued(row.version, row.as_of, row.digest, row.why) for row in connection.execute(query)]


class IssuedError(ValueError):
    """The version was issued with other content."""


def issue(
    connection: Connection, start: datetime, end: datetime, issued: Issued, issued_at: datetime, issued_by: str
) -> None:
    """Keep a version of the record of [start, end); one that is kept already stays as it is.

    Raises `IssuedError` where its number was issued with other content.
    """
    kept = {each.version: each for each in versions(connection, start, end)}.get(issued.version)
    if kept is None:
        values = {"start": start, "end": end, "issued_at": issued_at, "issued_by": issued_by}
        row = {"version": issued.version, "as_of": issued.as_of, "digest": issued.digest, "why": issued.why}
        connection.execute(insert(issued_record).values(**values, **row))
    elif kept != issued:
        raise IssuedError(
            f"version {kept.version} was issued as of {kept.as_of.isoformat()} with SHA-256 {kept.digest}, this is "
            f"{issued.digest}: a version is never changed; build a correction with --why as of now"
        )
