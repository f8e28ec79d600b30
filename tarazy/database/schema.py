"""The revision of the ledger's schema: asked for at start, changed only by `tarazy db upgrade`.

Alembic is imported to change it, not to ask for it: a start need not wait for that.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, column, inspect, select, table

if TYPE_CHECKING:
    from alembic.config import Config

_VERSION = table("alembic_version", column("version_num"))
"""Alembic's own table, of one row."""


class SchemaError(Exception):
    """The database does not have the schema this program works with. The text says what to do."""


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "tarazy.database:migrations")
    return config


def known_revisions() -> list[str]:
    """The revisions this program knows, the oldest first: each migration's file is named after its own."""
    names = (path.name.partition("_")[0] for path in files("tarazy.database.migrations.versions").iterdir())
    return sorted(name for name in names if name.isdigit())


def expected_revision() -> str:
    """The newest revision this program knows."""
    known = known_revisions()
    if not known:
        raise SchemaError("the package carries no migrations: install it again")
    return known[-1]


def current_revision(connection: Connection) -> str | None:
    """The database's revision; None for a database without tables of ours."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    revision: str | None = connection.scalar(select(_VERSION.c.version_num))
    return revision


def require_schema(connection: Connection) -> None:
    """Raise `SchemaError` unless the database has exactly the expected revision."""
    current, expected = current_revision(connection), expected_revision()
    if current == expected:
        return
    if current is not None and current not in known_revisions():
        raise SchemaError(f"the database has revision {current}, made by a newer Tarazy; update this program")
    raise SchemaError(
        f"the database has revision {current or 'none'}, this program needs {expected}; run `tarazy db upgrade -c FILE`"
    )


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Bring the database to the expected revision. Returns the revisions before and after."""
    from alembic import command

    config = _config()
    with engine.begin() as connection:
        before = current_revision(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, expected_revision()
