"""The migrations make the tables that the code declares, and nothing runs on another revision."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

import tarazy.accounting.assets.tables
import tarazy.accounting.energy.tables
import tarazy.accounting.payouts.tables
import tarazy.accounting.tables
import tarazy.accreditation.procedure.tables
import tarazy.accreditation.quarterly
import tarazy.accreditation.tables
import tarazy.portal.tables
import tarazy.reports.tables  # noqa: F401 - their tables join the metadata
from tarazy.database.engine import open_engine
from tarazy.database.schema import (
    SchemaError,
    _config,
    current_revision,
    expected_revision,
    known_revisions,
    require_schema,
    upgrade,
)
from tarazy.database.types import metadata


def test_migrations_and_declared_tables_agree(database_url: str) -> None:
    """After the upgrade nothing is left to generate."""
    engine = open_engine(database_url)
    assert upgrade(engine) == (None, expected_revision())
    assert upgrade(engine) == (expected_revision(), expected_revision())
    with engine.connect() as connection:
        require_schema(connection)
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert differences == []


def test_migrations_are_one_line_in_the_order_of_their_files() -> None:
    """What the program takes for its revisions without Alembic is what Alembic would run."""
    chain = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]
    assert known_revisions() == chain[::-1]


def test_migrations_and_declared_tables_guard_the_ledger_alike(database_url: str) -> None:
    """The triggers, and the functions behind them, are the same in either way of making the tables."""
    engine = open_engine(database_url)
    upgrade(engine)
    migrated = _guards(engine)
    metadata.drop_all(engine)
    assert _guards(engine) == []
    metadata.create_all(engine)
    assert _guards(engine) == migrated != []
    engine.dispose()


def _guards(engine: Engine) -> list[tuple[str, ...]]:
    query = "SELECT sql FROM sqlite_master WHERE type = 'trigger'"
    if engine.dialect.name != "sqlite":
        query = "SELECT pg_get_triggerdef(oid) || prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
        query = query.replace("(oid)", "(pg_trigger.oid)") + " WHERE NOT tgisinternal"
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.exec_driver_sql(query))


def test_another_revision_is_refused_with_a_cure(database_url: str) -> None:
    """An empty database names the command; a newer one asks for a newer program."""
    engine = open_engine(database_url)
    with engine.connect() as connection, pytest.raises(SchemaError, match="tarazy db upgrade"):
        require_schema(connection)
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with engine.connect() as connection, pytest.raises(SchemaError, match="newer Tarazy"):
        require_schema(connection)
    with engine.connect() as connection:
        assert current_revision(connection) == "9999"
    engine.dispose()
