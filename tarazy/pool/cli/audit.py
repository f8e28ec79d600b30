"""`tarazy audit`: the log of what was recorded, decided and told, and its proofs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tarazy.config.settings import Settings
from tarazy.pool.cli.common import InstantParam, Wanting, json_option, ledger, print_json, progress_bar, settings_option

if TYPE_CHECKING:
    from tarazy.accreditation.heads import SigningKey

_LATEST = 50


@click.group()
def audit() -> None:
    """The audit log: every change, decision, refusal, finding and report.

    It is a Merkle tree whose heads are signed. Who keeps a head elsewhere can prove that nothing before it was changed
    or dropped since.
    """


def signing_key(settings: Settings) -> SigningKey:
    """The key that signs heads; faults become one line."""
    from tarazy.accreditation.heads import SigningKeyError, load_key

    try:
        return load_key(settings.audit_key_path, settings.audit.name)
    except SigningKeyError as error:
        raise Wanting(str(error)) from None


@audit.command("head")
@settings_option
@click.option("--sign", "signing", is_flag=True, help="Sign the log as it is now.")
@json_option
def head(settings: Settings, signing: bool, as_json: bool) -> None:
    """Print the newest signed head, to be kept elsewhere: by the ministry, an auditor, a miner."""
    from tarazy.accreditation.heads import newest_head, sign_head
    from tarazy.database.engine import reader

    key = signing_key(settings) if signing else None
    with ledger(settings) as engine:
        if key is not None:
            with engine.begin() as connection:
                note: str | None = sign_head(connection, key, datetime.now(UTC))
        else:
            with reader(engine).begin() as connection:
                note = newest_head(connection)
    if note is None:
        raise Wanting("no head is signed yet; `tarazy serve` signs one each day, `--sign` signs one now")
    print_json({"note": note}) if as_json else click.echo(note, nl=False)


@audit.command("key")
@settings_option
def key(settings: Settings) -> None:
    """Print the verifier key that heads are checked with. Give it away where it cannot be swapped unnoticed."""
    click.echo(str(signing_key(settings).verifier))


@audit.command("export")
@settings_option
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory.")
@json_option
def export_log(settings: Settings, output: Path, as_json: bool) -> None:
    """Write the whole log with its signed heads. `tarazy verify audit` needs nothing else."""
    from tarazy.accreditation.audit_export import export
    from tarazy.accreditation.heads import sign_head
    from tarazy.database.engine import reader

    key = signing_key(settings)
    with ledger(settings) as engine:
        with engine.begin() as connection:
            sign_head(connection, key, datetime.now(UTC))
        with progress_bar("Writing the rows") as tell, reader(engine).begin() as connection:
            rows = export(connection, output, tell)
    if as_json:
        print_json({"rows": rows, "directory": str(output), "verifier": str(key.verifier)})
    else:
        click.echo(f"{rows} rows in {output}; verify them with `tarazy verify audit {output} --key {key.verifier}`")


@audit.command("check")
@settings_option
@click.option("--key", "keys", multiple=True, help="Verifier key of an earlier signing key; may be repeated.")
@json_option
def check(settings: Settings, keys: tuple[str, ...], as_json: bool) -> None:
    """Look whether the database holds the log that was written, and the registers and cases that it knows of."""
    from itertools import islice

    from tarazy.accreditation.audit import rows_of, size_of, verify_rows
    from tarazy.accreditation.checkpoint import CheckpointError, VerifierKey
    from tarazy.accreditation.heads import verified_heads
    from tarazy.accreditation.procedure.witness import case_faults
    from tarazy.accreditation.witness import register_faults
    from tarazy.database.engine import reader

    own = signing_key(settings).verifier
    with ledger(settings) as engine, reader(engine).begin() as connection:
        try:
            heads = verified_heads(connection, [own, *map(VerifierKey.parse, keys)])
        except CheckpointError as error:
            raise Wanting(str(error)) from None
        rows = size_of(connection)
        fault = verify_rows(rows_of(connection), heads)
        faults = [f"audit log: {fault.problem}"] if fault else []
        faults += map(str, islice(register_faults(connection), 100))
        faults += map(str, islice(case_faults(connection), 100))
    if as_json:
        print_json({"rows": rows, "heads": len(heads), "faults": faults})
    else:
        click.echo(f"{rows} rows, {len(heads)} signed heads" + ("" if faults else ": as they were written"))
    if faults:
        raise Wanting("\n".join(faults))


@audit.command("prove")
@click.argument("sequence", type=click.IntRange(min=1))
@settings_option
def prove(sequence: int, settings: Settings) -> None:
    """Print a proof (JSON) that row SEQUENCE lies in the newest signed head: RFC 6962's audit path."""
    from tarazy.accreditation.audit import prove_row
    from tarazy.accreditation.checkpoint import CheckpointError, verify
    from tarazy.accreditation.heads import newest_head
    from tarazy.database.engine import reader

    key = signing_key(settings).verifier
    with ledger(settings) as engine, reader(engine).begin() as connection:
        note = newest_head(connection)
        if note is None:
            raise Wanting("no head is signed yet; sign one with `tarazy audit head --sign`")
        try:
            proof = prove_row(connection, sequence, verify(note, [key]).head.size)
        except CheckpointError as error:
            raise Wanting(str(error)) from None
        except LookupError:
            raise Wanting(f"row {sequence} is not in the newest signed head; sign a newer one first") from None
    print_json({**proof, "note": note})


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
    table = folding_table("row", "at (UTC)", "kind", "party", "what")
    for row in rows:
        instant = f"{row.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        table.add_row(str(row.sequence), instant, row.kind, row.party or "", row.body)
    Console().print(table)
