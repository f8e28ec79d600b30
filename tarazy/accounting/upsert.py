"""Insert many rows, insert or update: on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Select, Table, Text, cast, func, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite


def upsert(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]] | Select[Any], adding: bool = False
) -> None:
    """Insert `rows`; where the primary key is taken, replace the other columns, or add to them.

    A query for rows names all columns of the table in order, and has a WHERE, which SQLite needs here.
    """
    if not isinstance(rows, Select) and not rows:
        return
    here = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = here.insert(table)
    if isinstance(rows, Select):
        statement = statement.from_select(list(table.columns), rows)
    given = statement.excluded
    values = [column for column in table.columns if not column.primary_key]
    changes = {column.name: column + given[column.name] if adding else given[column.name] for column in values}
    complete = statement.on_conflict_do_update(index_elements=table.primary_key, set_=changes)
    connection.execute(complete, None if isinstance(rows, Select) else rows)


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
    given: Iterable[Any] = zip(*columns, strict=True)
    if not dialect.positional:
        names = [column.name for column in table.columns]
        given = (dict(zip(names, row, strict=True)) for row in given)
    connection.exec_driver_sql(_upsert_text(table, dialect), list(given))


@lru_cache(maxsize=32)
def _upsert_text(table: Table, dialect: Dialect) -> str:
    statement = (sqlite if dialect.name == "sqlite" else postgresql).insert(table)
    values = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    complete = statement.on_conflict_do_update(index_elements=table.primary_key, set_=values)
    return str(complete.compile(dialect=dialect))
