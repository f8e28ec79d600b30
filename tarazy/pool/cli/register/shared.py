"""What the commands on registers share: who records, what an import finds wrong, how changes are shown."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from tarazy.accreditation.entries import BY_HAND
from tarazy.config.settings import Settings
from tarazy.pool.cli.common import InstantParam, Wanting, ledger, print_json

if TYPE_CHECKING:
    from tarazy.accreditation.importing import ImportPlan
    from tarazy.accreditation.sheets import Line
    from tarazy.config.law import LawBook

KINDS = click.Choice(list(BY_HAND))
WHY = click.option("--why", required=True, help="Kept with the entry.")
AS_OF = click.option("--as-of", type=InstantParam(), default="now", show_default=True, help="Valid at this moment.")
KNOWN_AT = click.option(
    "--known-at", type=InstantParam(), help="As it was known at this moment; as known now if absent."
)


def recorder() -> str:
    """Who records from the command line: the user of the system."""
    return getpass.getuser()


def law_of(settings: Settings) -> LawBook:
    """The rules of this server; faults become one line each."""
    from tarazy.config.law import LawError, load_law

    try:
        return load_law(settings.law.assumptions, settings.law.directory)
    except LawError as error:
        raise Wanting(str(error)) from None


def record(
    settings: Settings, lines: Sequence[Line], *, why: str | None = None, event: dict[str, Any] | None = None
) -> ImportPlan:
    """Record lines, all or none, with an audit event `register-import` if one is given; faults become one line each."""
    from tarazy.accreditation import audit
    from tarazy.accreditation.importing import import_registers
    from tarazy.accreditation.sheets import RegisterImportError
    from tarazy.pool.usable import require_usable

    now, user, law = datetime.now(UTC), recorder(), law_of(settings)
    cooling = settings.accreditation.wallet_cooling
    with ledger(settings) as engine:
        try:
            require_usable(lines, settings.chain.address_chain)
            with engine.begin() as connection:
                plan = import_registers(connection, lines, now, user, law, why=why, cooling=cooling)
                if event is not None:
                    body = {**event, "added": plan.added, "by": user}
                    audit.append(connection, [audit.AuditEvent("register-import", body)], now)
        except (RegisterImportError, ValueError) as error:
            raise Wanting(f"nothing was recorded:\n{error}") from None
    return plan


def tell(plan: ImportPlan, as_json: bool, *, dry: bool = False, columns: bool = True) -> None:
    """Print what was or would be recorded: counts, and each change column by column."""
    warnings = [str(warning) for warning in plan.warnings]
    if as_json:
        changes = [
            {
                "register": change.entry.register,
                "key": change.entry.key,
                "corrects": change.entry.corrects,
                "columns": {name: list(pair) for name, pair in change.columns.items()},
            }
            for change in plan.changes
        ]
        counts = {"added": plan.added, "unchanged": plan.unchanged}
        print_json({"recorded": not dry, **counts, "changes": changes, "warnings": warnings})
        return
    if columns:
        _print_changes(plan)
    word = "to add" if dry else "added"
    for name in BY_HAND:
        if name in plan.added or name in plan.unchanged:
            click.echo(f"{name}: {plan.added.get(name, 0)} {word}, {plan.unchanged.get(name, 0)} there already")
    if dry:
        click.echo("nothing was recorded")
    for warning in warnings:
        click.echo(f"note: {warning}", err=True)


_SHOWN_CHANGES = 200


def _print_changes(plan: ImportPlan) -> None:
    from rich.console import Console

    from tarazy.pool.cli.common import folding_table

    if not plan.changes:
        return
    table = folding_table("register", "key", "how", "column", "before", "after")
    for change in plan.changes[:_SHOWN_CHANGES]:
        entry = change.entry
        how = f"corrects {entry.corrects}" if entry.corrects else "changes" if change.before else "new"
        head = [entry.register, entry.key, how]
        for name, (before, after) in change.columns.items():
            table.add_row(*head, name, before, after)
            head = ["", "", ""]
    Console().print(table)
    if len(plan.changes) > _SHOWN_CHANGES:
        click.echo(f"… and {len(plan.changes) - _SHOWN_CHANGES} more; --json tells them all")
