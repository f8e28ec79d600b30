"""`tarazy round`: what others verify a distribution from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tarazy.config.settings import Settings
from tarazy.pool.cli.common import NUMBER, Wanting, json_option, ledger, print_json, progress_bar, settings_option

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tarazy.accounting.proof.record import Proof


@click.group("round")
def round_() -> None:
    """Final rounds: everything they are verified from. A round has the number under which its block was found."""


@contextmanager
def _readable(settings: Settings) -> Iterator[Engine]:
    """The ledger; faults of what is read become one line."""
    from tarazy.accounting.journal_file import JournalError
    from tarazy.accounting.proof.shares import ProofError

    with ledger(settings) as engine:
        try:
            yield engine
        except (LookupError, ProofError, JournalError) as error:
            raise Wanting(str(error)) from None
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise Wanting(f"{place}{error.strerror}; free space, or name another place, and begin anew") from None


def _proof(connection: Connection, number: int, settings: Settings) -> Proof:
    """The record of a round. Raises `LookupError`, which says why it is not there, and `ProofError`."""
    from tarazy.accounting.proof.record import proof_of, unproven_round
    from tarazy.accounting.proof.shares import ProofError
    from tarazy.pool.proving import obstacle

    waiting = unproven_round(connection, number)
    if waiting is None:
        return proof_of(connection, number)
    why = obstacle(connection, waiting, settings.journal_path.parent, settings.blocks_path.parent)
    told = why or "a running server writes it within seconds; if it does not, its log says why (round_not_proven)"
    raise ProofError(f"round {number} is final but has no record yet: {told}")


@round_.command("export")
@click.argument("number", type=NUMBER)
@settings_option
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory.")
@json_option
def export_round(number: int, settings: Settings, output: Path, as_json: bool) -> None:
    """Write the round NUMBER: its record, shares, jobs, connections, block, and the proof from the audit log.

    Nobody is named in it. `tarazy verify round DIRECTORY`, or `verifier/tarazy_verify.py` without anything of ours,
    recomputes every satoshi from it.
    """
    from tarazy.accounting.proof.export import export
    from tarazy.accreditation.audit_proof import prove_row
    from tarazy.accreditation.heads import verifiers
    from tarazy.database.engine import reader
    from tarazy.pool.cli.output import whole_directory
    from tarazy.pool.proving import block_row, previous_of, read_block

    if output.exists() and any(output.iterdir()):
        raise Wanting(f"{output} is not empty; name another directory")
    with (
        _readable(settings) as engine,
        reader(engine).begin() as connection,
        whole_directory(output) as directory,
    ):
        proof = _proof(connection, number, settings)
        block = read_block(settings.blocks_path.parent, proof.record["block_hash"])
        with progress_bar("Writing the shares") as tell:
            parent, prove = previous_of(block), partial(prove_row, connection)
            shares = export(connection, proof, settings.journal_path.parent, directory, parent, prove, tell)
        (directory / "block.json").write_text(json.dumps(block_row(block)))
        keys = [str(key) for key in verifiers(connection)]
        (directory / "keys.txt").write_text("".join(f"{key}\n" for key in keys))
    if as_json:
        print_json({"round": number, "shares": shares, "directory": str(output), "verifier": keys[-1]})
    else:
        click.echo(f"{shares} shares in {output}; verify them with `tarazy verify round {output} --key {keys[-1]}`")


@round_.command("receipt")
@click.argument("number", type=NUMBER)
@click.argument("party")
@settings_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File.")
def write_receipt(number: int, party: str, settings: Settings, output: Path) -> None:
    """Write the receipt of PARTY for the round NUMBER, for that party alone: it tells what hides it elsewhere."""
    from tarazy.accounting.durable import write_durably
    from tarazy.accounting.proof.receipt import receipt
    from tarazy.accreditation.audit_proof import prove_row
    from tarazy.database.engine import reader

    with (
        _readable(settings) as engine,
        progress_bar("Reading the shares"),
        reader(engine).begin() as connection,
    ):
        proof = _proof(connection, number, settings)
        told = receipt(connection, proof, party, settings.journal_path.parent)
        told["audit"] = prove_row(connection, proof.audit_row)
        write_durably(output, json.dumps(told, ensure_ascii=False).encode(), 0o600)
    click.echo(f"{output}: {told['credit']} sat for {party}; verify it with `tarazy verify round {output} --key …`")
