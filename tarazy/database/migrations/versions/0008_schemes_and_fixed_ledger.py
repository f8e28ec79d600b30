"""The terms that a round closed under, the windows of PPLNS, and a ledger that the database keeps fixed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0008"
down_revision = "0007"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Rounds closed so far were PROP at one fee."""
    op.add_column("round", sa.Column("fees", sa.JSON(), nullable=True))
    op.add_column("round", sa.Column("scheme", sa.String(length=16), nullable=True))
    op.add_column("round", sa.Column("window", types.BigCount(length=40), nullable=True))
    op.add_column("distribution", sa.Column("scheme", sa.String(length=16), nullable=False, server_default="prop"))
    op.add_column("distribution", sa.Column("fees", sa.JSON(), nullable=True))
    op.create_table(
        "stretch",
        sa.Column("stretch", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("weight", types.BigCount(length=40), nullable=False),
        sa.Column("weights", sa.JSON(), nullable=False),
        sa.Column("shares", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("stretch", name=op.f("pk_stretch")),
    )
    op.create_table(
        "window_weight",
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("weight", types.BigCount(length=40), nullable=False),
        sa.ForeignKeyConstraint(["round"], ["round.round"], name=op.f("fk_window_weight_round_round")),
        sa.PrimaryKeyConstraint("round", "party", name=op.f("pk_window_weight")),
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    (_defer_on_sqlite if sqlite else _defer_on_postgresql)()
    for statement in _SQLITE if sqlite else _POSTGRESQL:
        op.execute(statement)


def _defer_on_sqlite() -> None:
    op.drop_index("ix_ledger_posting_account", "ledger_posting")
    op.rename_table("ledger_posting", "ledger_posting_before")
    op.create_table(
        "ledger_posting",
        sa.Column("entry", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=96), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_ledger_posting_amount")),
        sa.ForeignKeyConstraint(
            ["entry"],
            ["ledger_entry.entry"],
            name=op.f("fk_ledger_posting_entry_ledger_entry"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("entry", "account", name=op.f("pk_ledger_posting")),
    )
    op.execute("INSERT INTO ledger_posting SELECT entry, account, amount FROM ledger_posting_before")
    op.drop_table("ledger_posting_before")
    op.create_index("ix_ledger_posting_account", "ledger_posting", ["account", "entry"], unique=False)


def _defer_on_postgresql() -> None:
    name = op.f("fk_ledger_posting_entry_ledger_entry")
    op.execute(f"ALTER TABLE ledger_posting ALTER CONSTRAINT {name} DEFERRABLE INITIALLY DEFERRED")


_SQLITE = (
    """CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry
        BEGIN SELECT RAISE(ABORT, 'the ledger is never changed: a correction is a new entry'); END""",
    """CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry
        BEGIN SELECT RAISE(ABORT, 'the ledger is never changed: a correction is a new entry'); END""",
    """CREATE TRIGGER ledger_posting_no_update BEFORE UPDATE ON ledger_posting
        BEGIN SELECT RAISE(ABORT, 'the ledger is never changed: a correction is a new entry'); END""",
    """CREATE TRIGGER ledger_posting_no_delete BEFORE DELETE ON ledger_posting
        BEGIN SELECT RAISE(ABORT, 'the ledger is never changed: a correction is a new entry'); END""",
    """CREATE TRIGGER ledger_posting_open BEFORE INSERT ON ledger_posting
        WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE entry = NEW.entry)
        BEGIN SELECT RAISE(ABORT, 'the entry is closed: it takes no more postings'); END""",
    """CREATE TRIGGER ledger_entry_balanced BEFORE INSERT ON ledger_entry
        WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE entry = NEW.entry)
        OR coalesce((SELECT sum(amount) FROM ledger_posting WHERE entry = NEW.entry), 1) <> 0
        BEGIN SELECT RAISE(ABORT, 'an entry follows postings that add up to zero'); END""",
)
_POSTGRESQL = (
    """CREATE OR REPLACE FUNCTION ledger_fixed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE integrity_constraint_violation USING MESSAGE = 'the ledger is never changed: a correction is a new entry';
        END $$""",
    """CREATE OR REPLACE FUNCTION ledger_open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM ledger_entry WHERE entry = NEW.entry) THEN
            RAISE integrity_constraint_violation USING MESSAGE = 'the entry is closed: it takes no more postings';
        END IF;
        RETURN NEW;
        END $$""",
    """CREATE OR REPLACE FUNCTION ledger_balanced() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF coalesce((SELECT sum(amount) FROM ledger_posting WHERE entry = NEW.entry), 1) <> 0 THEN
            RAISE integrity_constraint_violation USING MESSAGE = 'an entry follows postings that add up to zero';
        END IF;
        RETURN NEW;
        END $$""",
    """CREATE TRIGGER ledger_entry_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_fixed()""",
    """CREATE TRIGGER ledger_posting_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_posting
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_fixed()""",
    """CREATE TRIGGER ledger_posting_open BEFORE INSERT ON ledger_posting
        FOR EACH ROW EXECUTE FUNCTION ledger_open()""",
    """CREATE TRIGGER ledger_entry_balanced BEFORE INSERT ON ledger_entry
        FOR EACH ROW EXECUTE FUNCTION ledger_balanced()""",
)
