"""The first schema: registers, audit log, rounds, ledger, energy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""

    op.create_table(
        "allocation",
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("interval_start", types.Instant(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column("estimate_wh", sa.BigInteger(), nullable=True),
        sa.Column("weight", types.BigCount(length=40), nullable=False),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", "interval_start", "version", "party", name=op.f("pk_allocation")),
    )
    op.create_index("ix_allocation_interval_start", "allocation", ["interval_start", "site"], unique=False)
    op.create_table(
        "audit",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("at", types.Instant(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=True),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_table(
        "certificate",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("certificate", sa.String(), nullable=False),
        sa.Column("issued_by", sa.String(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_certificate")),
    )
    op.create_index(op.f("ix_certificate_certificate"), "certificate", ["certificate"], unique=False)
    op.create_table(
        "equipment",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("equipment", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("efficiency_mj_per_th", sa.BigInteger(), nullable=False),
        sa.Column("nominal_power_w", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_equipment")),
    )
    op.create_index(op.f("ix_equipment_equipment"), "equipment", ["equipment"], unique=False)
    op.create_table(
        "gateway",
        sa.Column("gateway", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("journal", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", name=op.f("pk_gateway")),
    )
    op.create_table(
        "interval",
        sa.Column("meter", sa.String(length=64), nullable=False),
        sa.Column("interval_start", types.Instant(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("meter", "interval_start", "version", name=op.f("pk_interval")),
    )
    op.create_index("ix_interval_interval_start", "interval", ["interval_start", "site"], unique=False)
    op.create_table(
        "ledger_account",
        sa.Column("account", sa.String(length=96), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_ledger_account")),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", types.Instant(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_ledger_entry")),
    )
    op.create_index("ix_ledger_entry_reference", "ledger_entry", ["kind", "reference"], unique=False)
    op.create_table(
        "licence",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("licence", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_licence")),
    )
    op.create_index(op.f("ix_licence_licence"), "licence", ["licence"], unique=False)
    op.create_table(
        "meter",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("meter", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("price_tiyn_per_kwh", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_meter")),
    )
    op.create_index(op.f("ix_meter_meter"), "meter", ["meter"], unique=False)
    op.create_table(
        "party",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("bin", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("name_kk", sa.String(), nullable=False),
        sa.Column("name_ru", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("payout_address", sa.String(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_party")),
    )
    op.create_index(op.f("ix_party_party"), "party", ["party"], unique=False)
    op.create_table(
        "placement",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("placement", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("contract", sa.String(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_placement")),
    )
    op.create_index(op.f("ix_placement_placement"), "placement", ["placement"], unique=False)
    op.create_table(
        "reading",
        sa.Column("reading", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("meter", sa.String(length=64), nullable=False),
        sa.Column("at", types.Instant(timezone=True), nullable=False),
        sa.Column("register_wh", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("reading", name=op.f("pk_reading")),
    )
    op.create_index("ix_reading_meter", "reading", ["meter", "at"], unique=False)
    op.create_table(
        "round",
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("opened_at", types.Instant(timezone=True), nullable=False),
        sa.Column("closed_at", types.Instant(timezone=True), nullable=True),
        sa.Column("block_hash", sa.String(length=64), nullable=True),
        sa.Column("gateway", sa.Integer(), nullable=True),
        sa.Column("cut", sa.JSON(), nullable=True),
        sa.Column("fee_ppm", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("round", name=op.f("pk_round")),
    )
    op.create_table(
        "server",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_server")),
    )
    op.create_index(op.f("ix_server_server"), "server", ["server"], unique=False)
    op.create_table(
        "site",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("networks", sa.JSON(), nullable=False),
        sa.Column("permitted_power_w", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_site")),
    )
    op.create_index(op.f("ix_site_site"), "site", ["site"], unique=False)
    op.create_table(
        "block",
        sa.Column("block_hash", sa.String(length=64), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("gateway", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column("found_at", types.Instant(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("confirmations", sa.Integer(), nullable=False),
        sa.Column("reward", sa.BigInteger(), nullable=False),
        sa.Column("state_at", types.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["round"], ["round.round"], name=op.f("fk_block_round_round")),
        sa.PrimaryKeyConstraint("block_hash", name=op.f("pk_block")),
        sa.UniqueConstraint("round", name=op.f("uq_block_round")),
    )
    op.create_index("ix_block_found_at", "block", ["found_at"], unique=False)
    op.create_table(
        "ledger_posting",
        sa.Column("entry", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=96), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_ledger_posting_amount")),
        sa.ForeignKeyConstraint(["entry"], ["ledger_entry.entry"], name=op.f("fk_ledger_posting_entry_ledger_entry")),
        sa.PrimaryKeyConstraint("entry", "account", name=op.f("pk_ledger_posting")),
    )
    op.create_index("ix_ledger_posting_account", "ledger_posting", ["account", "entry"], unique=False)
    op.create_table(
        "round_weight",
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("weight", types.BigCount(length=40), nullable=False),
        sa.ForeignKeyConstraint(["round"], ["round.round"], name=op.f("fk_round_weight_round_round")),
        sa.PrimaryKeyConstraint("round", "party", name=op.f("pk_round_weight")),
    )
    op.create_table(
        "tally",
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("interval_start", types.Instant(timezone=True), nullable=False),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("weight", types.BigCount(length=40), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("stale_weight", types.BigCount(length=40), nullable=False),
        sa.Column("stale_shares", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["round"], ["round.round"], name=op.f("fk_tally_round_round")),
        sa.PrimaryKeyConstraint("round", "interval_start", "party", "account", "worker", "site", name=op.f("pk_tally")),
    )
    op.create_index("ix_tally_interval_start", "tally", ["interval_start", "site"], unique=False)
    op.create_table(
        "distribution",
        sa.Column(
            "distribution", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("block_hash", sa.String(length=64), nullable=False),
        sa.Column("first_round", sa.Integer(), nullable=False),
        sa.Column("last_round", sa.Integer(), nullable=False),
        sa.Column("reward", sa.BigInteger(), nullable=False),
        sa.Column("fee_ppm", sa.Integer(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("remainder", sa.BigInteger(), nullable=False),
        sa.Column("total_weight", types.BigCount(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("booked_at", types.Instant(timezone=True), nullable=False),
        sa.Column("final_at", types.Instant(timezone=True), nullable=True),
        sa.Column("reversed_at", types.Instant(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["block_hash"], ["block.block_hash"], name=op.f("fk_distribution_block_hash_block")),
        sa.PrimaryKeyConstraint("distribution", name=op.f("pk_distribution")),
    )
    op.create_index("ix_distribution_booked_at", "distribution", ["booked_at"], unique=False)
    op.create_index("ix_distribution_state", "distribution", ["state", "last_round"], unique=False)
    op.create_index(
        "uq_distribution_block_hash",
        "distribution",
        ["block_hash"],
        unique=True,
        sqlite_where=sa.text("state <> 'reversed'"),
        postgresql_where=sa.text("state <> 'reversed'"),
    )
    op.create_index(
        "uq_distribution_first_round",
        "distribution",
        ["first_round"],
        unique=True,
        sqlite_where=sa.text("state <> 'reversed'"),
        postgresql_where=sa.text("state <> 'reversed'"),
    )
    op.create_table(
        "credit",
        sa.Column(
            "distribution", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("weight", types.BigCount(length=40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["distribution"], ["distribution.distribution"], name=op.f("fk_credit_distribution_distribution")
        ),
        sa.PrimaryKeyConstraint("distribution", "party", name=op.f("pk_credit")),
    )
