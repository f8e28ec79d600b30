"""The migrations make the tables that the code declares, and nothing runs on another revision."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import tarazy.accounting.assets.tables
import tarazy.accounting.energy.tables
import tarazy.accounting.tables
import tarazy.accreditation.procedure.tables
import tarazy.accreditation.tables
import tarazy.portal.tables  # noqa: F401 - their tables join the metadata
from tarazy.database.engine import open_engine
from tarazy.database.schema import SchemaError, current_revision, expected_revision, require_schema, upgrade
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
