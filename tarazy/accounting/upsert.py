"""Insert or update, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], adding: bool = False) -> None:
    """Insert `rows`; where the primary key is taken, replace the other columns, or add to them."""
    if not rows:
        return
    here = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = here.insert(table)
    given = statement.excluded
    values = [column for column in table.columns if not column.primary_key]
    changes = {column.name: column + given[column.name] if adding else given[column.name] for column in values}
    connection.execute(statement.on_conflict_do_update(index_elements=table.primary_key, set_=changes), rows)
