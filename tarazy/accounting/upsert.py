"""Insert or update, on both databases, also very many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], adding: bool = False) -> None:
    """Insert `rows`; where the primary key is taken, replace the other columns, or add to them."""
    if rows:
        connection.execute(_upsert(connection, table, adding), rows)


def upsert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], adding: bool = False) -> None:
    """As `upsert`, for rows given as tuples in the order of the table's columns."""
    _execute_many(connection, _upsert(connection, table, adding), table, rows)


def insert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows given as tuples in the order of the table's columns."""
    _execute_many(connection, table.insert(), table, rows)


def _execute_many(connection: Connection, statement: Insert, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """The driver gets the rows at once: looking at each of them in Python costs more than writing it."""
    if not rows:
        return
    dialect = connection.dialect
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
    for place, column in enumerate(table.columns):
        process = column.type.dialect_impl(dialect).bind_processor(dialect)
        if process is not None:
            known = {value: process(value) for value in set(columns[place])}
            columns[place] = map(known.__getitem__, columns[place])
    values: Iterable[Any] = zip(*columns, strict=True)
    if not dialect.positional:
        names = [column.name for column in table.columns]
        values = (dict(zip(names, row, strict=True)) for row in values)
    connection.exec_driver_sql(str(statement.compile(dialect=dialect)), list(values))


def _upsert(connection: Connection, table: Table, adding: bool) -> Insert:
    here = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = here.insert(table)
    given = statement.excluded
    values = [column for column in table.columns if not column.primary_key]
    changes = {column.name: column + given[column.name] if adding else given[column.name] for column in values}
    upserting: Insert = statement.on_conflict_do_update(index_elements=table.primary_key, set_=changes)
    return upserting
