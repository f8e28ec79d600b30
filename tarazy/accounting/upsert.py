"""Insert many rows, insert or update: on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Select,
    Table,
    Text,
    cast,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert `rows`; where the primary key is taken, replace the other columns."""
    if rows:
        connection.execute(_upserting(table, connection.dialect.name), rows)


def upsert_sums(connection: Connection, table: Table, query: Select[Any], **values: object) -> None:
    """Insert what `query` finds; where the primary key is taken, add to the other columns.

    The query is one of few, with `values` for its parameters. It names all columns of the table in order, and has a
    WHERE, which SQLite needs here.
    """
    connection.execute(_upserting(table, connection.dialect.name, query), values)


@lru_cache(maxsize=32)
def _upserting(table: Table, dialect: str, query: Select[Any] | None = None) -> Insert:
    """Made once: making a statement costs more than writing a row by it."""
    statement: sqlite.Insert | postgresql.Insert = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    if query is not None:
        statement = statement.from_select(list(table.columns), query)
    given = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    changes = given if query is None else {name: table.c[name] + value for name, value in given.items()}
    return statement.on_conflict_do_update(index_elements=table.primary_key, set_=changes)


def insert_many(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Insert rows of `columns` by one statement: a hundred thousand in a fraction of a second.

    Values are what JSON holds; integers of a `BigCount` are given as text.
    """
    given = literal(json.dumps(list(rows)), Text)
    if connection.dialect.name == "sqlite":
        row = func.json_each(given).table_valued("value").c.value
        cells: list[ColumnElement[Any]] = [func.json_extract(row, f"$[{place}]") for place in range(len(columns))]
    else:
        row = func.json_array_elements(cast(given, postgresql.JSON)).table_valued("value").c.value
        cells = [cast(row.op("->>")(place), table.c[name].type) for place, name in enumerate(columns)]
    connection.execute(insert(table).from_select(list(columns), select(*cells)))


def upsert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """As `upsert`, for very many rows, given as tuples in the order of the table's columns.

    The driver gets them at once: looking at each of them in Python costs more than writing it.
    """
    if not rows:
        return
    dialect = connection.dialect
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
    for place, column in enumerate(table.columns):
        process = column.type.dialect_impl(dialect).bind_processor(dialect)
        if process is not None:
            known = {value: process(value) for value in set(columns[place])}
            columns[place] = map(known.__getitem__, columns[place])
    if dialect.name == "sqlite":
        connection.exec_driver_sql(_upsert_text(table, dialect), list(zip(*columns, strict=True)))
    else:
        names = [column.name for column in table.columns]
        given = {name: list(column) for name, column in zip(names, columns, strict=True)}
        connection.exec_driver_sql(_upsert_arrays(table, dialect), given)


@lru_cache(maxsize=32)
def _upsert_text(table: Table, dialect: Dialect) -> str:
    return str(_upserting(table, dialect.name).compile(dialect=dialect))


@lru_cache(maxsize=32)
def _upsert_arrays(table: Table, dialect: Dialect) -> str:
    """One statement for all rows, each column given as an array: PostgreSQL takes them sooner than one by one."""
    kinds = [(column.name, column.type.dialect_impl(dialect).compile(dialect)) for column in table.columns]
    arrays = ", ".join(f"%({name})s::{kind.partition('(')[0]}[]" for name, kind in kinds)
    head, _, tail = _upsert_text(table, dialect).partition(" VALUES (")
    conflict = tail[tail.index(" ON CONFLICT") :]
    return f"{head} SELECT * FROM unnest({arrays}){conflict}"  # noqa: S608 - names and types of our own tables
