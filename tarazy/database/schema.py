"""The revision of the ledger's schema: asked for at start, changed only by `tarazy db upgrade`."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine


class SchemaError(Exception):
    """The database does not have the schema this program works with. The text says what to do."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "tarazy.database:migrations")
    return config


def expected_revision() -> str:
    """The newest revision this program knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaError("the package carries no migrations: install it again")
    return head


def current_revision(connection: Connection) -> str | None:
    """The database's revision; None for a database without tables of ours."""
    return MigrationContext.configure(connection).get_current_revision()


def require_schema(connection: Connection) -> None:
    """Raise `SchemaError` unless the database has exactly the expected revision."""
    current, expected = current_revision(connection), expected_revision()
    if current == expected:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise SchemaError(f"the database has revision {current}, made by a newer Tarazy; update this program")
    raise SchemaError(
        f"the database has revision {current or 'none'}, this program needs {expected}; run `tarazy db upgrade -c FILE`"
    )


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Bring the database to the expected revision. Returns the revisions before and after."""
    config = _config()
    with engine.begin() as connection:
        before = current_revision(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, expected_revision()
