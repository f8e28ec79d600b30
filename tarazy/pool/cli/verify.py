"""`tarazy verify`: exports that prove themselves. Needs neither settings nor a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tarazy.pool.cli.common import Misuse, Wanting, json_option, print_json, progress_bar

if TYPE_CHECKING:
    from tarazy.accreditation.checkpoint import Checkpoint, VerifierKey


class _VerifierKeyParam(click.ParamType["VerifierKey"]):
    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> VerifierKey:
        """Parse; the fault is told."""
        from tarazy.accreditation.checkpoint import CheckpointError, VerifierKey

        try:
            return VerifierKey.parse(value)
        except CheckpointError as error:
            self.fail(str(error), param, ctx)


key_option = click.option(
    "--key",
    "keys",
    multiple=True,
    type=_VerifierKeyParam(),
    help="Verifier key, as the pool published it; may be repeated.",
)
"""`--key`: gives the command verifier keys as `keys`."""

head_option = click.option(
    "--head",
    "heads",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A signed head that was kept elsewhere; may be repeated.",
)
"""`--head`: gives the command files as `heads`, for `read_heads`."""


def read_heads(files: tuple[Path, ...]) -> dict[str, str]:
    """Signed notes by the names of their files."""
    from tarazy.accreditation.checkpoint import MAXIMUM_CHARACTERS

    return {str(path): _beginning(path, MAXIMUM_CHARACTERS) for path in files}


def _beginning(path: Path, maximum: int) -> str:
    """A small text file, or so much of it as is too much already."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read(maximum + 1)
    except UnicodeDecodeError:
        raise Misuse(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise Misuse(str(error)) from None


@click.group()
def verify() -> None:
    """Verify an export; exit code 1 names the first fault."""


@verify.command("audit")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@key_option
@head_option
@json_option
def verify_audit(path: Path, keys: tuple[VerifierKey, ...], heads: tuple[Path, ...], as_json: bool) -> None:
    """Verify the audit log exported to the directory PATH: that nothing in it was changed or dropped.

    Or verify the proof of one row in the file PATH, as `tarazy audit prove` prints it.
    """
    if path.is_dir():
        _verify_export(path, keys, heads, as_json)
    else:
        _verify_proof(path, keys, as_json)


def _verify_export(directory: Path, keys: tuple[VerifierKey, ...], heads: tuple[Path, ...], as_json: bool) -> None:
    from tarazy.accreditation.audit_export import ExportError, verify_export
    from tarazy.accreditation.checkpoint import CheckpointError

    try:
        with progress_bar("Verifying the rows") as tell:
            seen = verify_export(directory, keys, read_heads(heads), tell)
    except (ExportError, CheckpointError) as error:
        raise Wanting(f"{directory}: {error}") from None
    newest = max(seen.heads, key=lambda checkpoint: checkpoint.head.size)
    if as_json:
        fault = {"sequence": seen.fault.sequence, "problem": seen.fault.problem} if seen.fault else None
        told = {"rows": seen.rows, "rows_before": seen.before, "heads": len(seen.heads), "key_given": bool(keys)}
        print_json({**told, "newest_head": _told(newest), "fault": fault})
    if seen.fault:
        raise Wanting(f"{directory}: {seen.fault.problem}")
    if not as_json:
        span = (
            f"rows {seen.before + 1} to {seen.before + seen.rows}" if seen.rows else f"no rows after row {seen.before}"
        )
        rows = span if seen.before else f"{seen.rows} rows"
        click.echo(f"{rows} are what {len(seen.heads)} signed heads of {newest.origin} say, to {newest.at}")
        if not keys:
            click.echo("note: checked with the key in the export itself; give the pool's own with --key", err=True)
        if not heads:
            click.echo("note: whoever has the key can write another log; a head kept elsewhere (--head) excludes that",
                       err=True)  # fmt: skip


def _verify_proof(file: Path, keys: tuple[VerifierKey, ...], as_json: bool) -> None:
    from tarazy.accreditation.audit_proof import MAXIMUM_CHARACTERS, ProofError, verify_proof
    from tarazy.accreditation.checkpoint import CheckpointError

    if not keys:
        raise Misuse("a proof is worth what its key is: give the pool's own with --key")
    try:
        proven = verify_proof(_beginning(file, MAXIMUM_CHARACTERS), keys)
    except (ProofError, CheckpointError) as error:
        raise Wanting(f"{file}: {error}") from None
    if as_json:
        print_json({"sequence": proven.row.sequence, "head": _told(proven.head)})
    else:
        head = proven.head
        click.echo(f"row {proven.row.sequence} is one of the {head.head.size} that {head.origin} signed at {head.at}")


def _told(checkpoint: Checkpoint) -> dict[str, object]:
    head = checkpoint.head
    return {"size": head.size, "root": head.root, "at": checkpoint.at, "log": checkpoint.origin}


@verify.command("round")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@key_option
@click.option("--script", help="The pool's payout script in hex, which all work must pay.")
@click.option("--shares", is_flag=True, help="List the shares of a receipt, to compare with a log of one's own.")
@json_option
def verify_round(path: Path, keys: tuple[VerifierKey, ...], script: str | None, shares: bool, as_json: bool) -> None:
    """Verify the export of a round in the directory PATH: recompute every share, weight and satoshi.

    Or verify the receipt in the file PATH. It is `verifier/tarazy_verify.py` that looks, which runs without Tarazy too.
    """
    from tarazy_verify import main

    arguments = [str(path), *(f"--key={key}" for key in keys)]
    arguments += [f"--script={script}"] if script else []
    arguments += ["--shares"] * shares + ["--json"] * as_json
    raise SystemExit(main(arguments))
