"""`tarazy audit`: the log of what was recorded, decided and told, and its proofs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import (
    NUMBER,
    InstantParam,
    Misuse,
    Wanting,
    json_option,
    ledger,
    print_json,
    progress_bar,
    settings_option,
)
from tarazy.pool.cli.verify import head_option, key_option, read_heads

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tarazy.accreditation.checkpoint import VerifierKey
    from tarazy.accreditation.heads import SigningKey

_LATEST = 50


@click.group()
def audit() -> None:
    """The audit log: every change, decision, refusal, finding and report.

    It is a Merkle tree whose heads are signed. Who keeps a head elsewhere can prove that nothing before it was changed
    or dropped since.
    """


@contextmanager
def signing(settings: Settings, engine: Engine) -> Iterator[tuple[Connection, SigningKey]]:
    """A transaction to sign in, and the key; faults become one line."""
    from tarazy.accreditation.heads import SigningError, signing_key

    try:
        with engine.begin() as connection:
            yield connection, signing_key(connection, settings.audit_key_path, settings.audit.name)
    except SigningError as error:
        raise Wanting(str(error)) from None


@audit.command("head")
@settings_option
@click.option("--sign", "sign", is_flag=True, help="Sign the log as it is now.")
@json_option
def head(settings: Settings, sign: bool, as_json: bool) -> None:
    """Print the newest signed head, to be kept elsewhere: by the ministry, an auditor, a miner."""
    from tarazy.accreditation.heads import newest_head, sign_head
    from tarazy.database.engine import reader

    with ledger(settings) as engine:
        if sign:
            with signing(settings, engine) as (connection, key):
                sign_head(connection, key, datetime.now(UTC))
        with reader(engine).begin() as connection:
            newest = newest_head(connection)
    if newest is None:
        raise Wanting("no head is signed yet; `tarazy serve` signs one each day, `--sign` signs one now")
    note = newest[1].note
    print_json({"note": note}) if as_json else click.echo(note, nl=False)


@audit.command("key")
@settings_option
def key(settings: Settings) -> None:
    """Print the verifier key that heads are checked with. Give it away where it cannot be swapped unnoticed."""
    with ledger(settings) as engine, signing(settings, engine) as (_, own):
        click.echo(str(own.verifier))


@audit.command("export")
@settings_option
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory.")
@click.option(
    "--since",
    type=InstantParam(),
    help="Leave out what an earlier export has: begin at the last head before this moment.",
)
@json_option
def export_log(settings: Settings, output: Path, since: datetime | None, as_json: bool) -> None:
    """Sign a head and write the log up to it. `tarazy verify audit` needs nothing else."""
    from tarazy.accreditation.audit import UnreadableRowError
    from tarazy.accreditation.audit_export import export
    from tarazy.accreditation.heads import sign_head
    from tarazy.database.engine import reader
    from tarazy.pool.cli.output import whole_directory

    with ledger(settings) as engine:
        with signing(settings, engine) as (connection, own):
            sign_head(connection, own, datetime.now(UTC))
        try:
            with (
                progress_bar("Writing the rows") as tell,
                reader(engine).begin() as connection,
                whole_directory(output) as directory,
            ):
                before, rows = export(connection, directory, since, tell)
        except (UnreadableRowError, LookupError) as error:
            raise Wanting(str(error)) from None
    if as_json:
        told = {"rows": rows, "rows_before": before, "directory": str(output), "verifier": str(own.verifier)}
        print_json(told)
    else:
        span = f"{rows} rows, after {before} earlier ones," if before else f"{rows} rows"
        click.echo(f"{span} in {output}; verify them with `tarazy verify audit {output} --key {own.verifier}`")


@audit.command("check")
@settings_option
@key_option
@head_option
@json_option
def check(settings: Settings, keys: tuple[VerifierKey, ...], heads: tuple[Path, ...], as_json: bool) -> None:
    """Look whether the database holds the log that was written, and the registers and cases that it knows of."""
    from itertools import islice

    from tarazy.accreditation.audit import rows_of, size_of, verify_rows
    from tarazy.accreditation.audit_export import counted
    from tarazy.accreditation.checkpoint import CheckpointError, verify_named
    from tarazy.accreditation.heads import verified_heads
    from tarazy.accreditation.procedure.witness import case_faults
    from tarazy.accreditation.witness import register_faults
    from tarazy.database.engine import reader

    known = [*keys, *own_key(settings)]
    if not known:
        raise Misuse(
            f"no key in {settings.audit_key_path}: name the log's with --key, or run this where the office runs"
        )
    kept = read_heads(heads)
    with ledger(settings) as engine, reader(engine).begin() as connection, progress_bar("Reading the log") as tell:
        try:
            signed = verified_heads(connection, known)
            elsewhere = [verify_named(name, note, known).head for name, note in kept.items()]
        except CheckpointError as error:
            raise Wanting(f"audit log: {error}") from None
        rows = size_of(connection)
        fault = verify_rows(counted(rows_of(connection), rows, tell), [*signed, *elsewhere])
        faults = [f"audit log: {fault.problem}"] if fault else []
        if fault is None:  # what rests on the log is held against a log that is whole
            faults += map(str, islice(register_faults(connection), 100))
            faults += map(str, islice(case_faults(connection), 100))
    if as_json:
        print_json({"rows": rows, "heads": len(signed), "faults": faults})
    else:
        click.echo(f"{rows} rows, {len(signed)} signed heads" + ("" if faults else ": as they were written"))
    if faults:
        raise Wanting("\n".join(faults))


def own_key(settings: Settings) -> list[VerifierKey]:
    """The key of this host, if it has one; faults become one line."""
    from tarazy.accreditation.heads import SigningError, load_key

    try:
        path = settings.audit_key_path
        return [load_key(path, settings.audit.name).verifier] if path.exists() else []
    except SigningError as error:
        raise Wanting(str(error)) from None


@audit.command("prove")
@click.argument("sequence", type=NUMBER)
@settings_option
def prove(sequence: int, settings: Settings) -> None:
    """Print a proof (JSON) that row SEQUENCE lies in the newest signed head; `tarazy verify audit FILE` checks it."""
    from tarazy.accreditation.audit_proof import prove_row
    from tarazy.database.engine import reader

    with ledger(settings) as engine, reader(engine).begin() as connection:
        try:
            proof = prove_row(connection, sequence)
        except LookupError as error:
            raise Wanting(str(error)) from None
    print_json(proof)


@audit.command("show")
@settings_option
@click.option("--kind", help="Only events of this kind.")
@click.option("--party", help="Only events about this party.")
@click.option("--from", "since", type=InstantParam(), help="Only events from this moment on.")
@click.option("--to", "until", type=InstantParam(), help="Only events before this moment.")
@click.option("--last", type=click.IntRange(1, 100_000), default=_LATEST, show_default=True, help="At most so many.")
@json_option
def show(
    settings: Settings,
    kind: str | None,
    party: str | None,
    since: datetime | None,
    until: datetime | None,
    last: int,
    as_json: bool,
) -> None:
    """Show the latest events, the newest last."""
    from rich.console import Console

    from tarazy.accreditation.audit import events_of
    from tarazy.database.engine import reader
    from tarazy.pool.cli.common import folding_table

    with ledger(settings) as engine, reader(engine).begin() as connection:
        rows = events_of(connection, kind=kind, party=party, since=since, until=until, last=last)
    if as_json:
        said = ((row, json.loads(row.body)) for row in rows)
        print_json([{"sequence": row.sequence, "at": row.at, "kind": row.kind, "party": row.party,
                     "account": row.account, "body": body} for row, body in said])  # fmt: skip
        return
    table = folding_table("row", moments.heading("at"), "kind", "party", "what")
    for row in rows:
        table.add_row(str(row.sequence), moments.cell(row.at), row.kind, row.party or "", row.body)
    Console().print(table)
