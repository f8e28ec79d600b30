"""`tarazy verify`: exports that prove themselves. Needs neither settings nor a database."""

from __future__ import annotations

from pathlib import Path

import click

from tarazy.pool.cli.common import Misuse, Wanting, json_option, print_json, progress_bar


@click.group()
def verify() -> None:
    """Verify an export; exit code 1 names the first fault."""


@verify.command("audit")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--key", "keys", multiple=True, help="Verifier key, as the pool published it; may be repeated.")
@click.option(
    "--head",
    "heads",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A signed head that was kept elsewhere; may be repeated.",
)
@json_option
def verify_audit(directory: Path, keys: tuple[str, ...], heads: tuple[Path, ...], as_json: bool) -> None:
    """Verify the audit log exported to DIRECTORY: that nothing in it was changed or dropped."""
    from tarazy.accreditation.audit_export import ExportError, verify_export
    from tarazy.accreditation.checkpoint import MAXIMUM_BYTES, CheckpointError, VerifierKey

    try:
        trusted = [VerifierKey.parse(text) for text in keys]
        kept = [_beginning(path, MAXIMUM_BYTES) for path in heads]
    except CheckpointError as error:
        raise Misuse(str(error)) from None
    try:
        with progress_bar("Verifying the rows") as tell:
            seen = verify_export(directory, trusted, kept, tell)
    except (ExportError, CheckpointError) as error:
        raise Wanting(str(error)) from None
    newest = max(seen.heads, key=lambda checkpoint: checkpoint.head.size)
    if as_json:
        fault = {"sequence": seen.fault.sequence, "problem": seen.fault.problem} if seen.fault else None
        head = {"size": newest.head.size, "root": newest.head.root, "at": newest.at, "log": newest.origin}
        told = {"rows": seen.rows, "heads": len(seen.heads), "newest_head": head, "key_given": bool(keys)}
        print_json({**told, "fault": fault})
    if seen.fault:
        raise Wanting(f"{directory}: {seen.fault.problem}")
    if not as_json:
        click.echo(f"{seen.rows} rows are what {len(seen.heads)} signed heads of {newest.origin} say, to {newest.at}")
        if not keys:
            click.echo("note: checked with the key in the export itself; give the pool's own with --key", err=True)
        if not heads:
            click.echo("note: whoever has the key can write another log; a head kept elsewhere (--head) excludes that",
                       err=True)  # fmt: skip


def _beginning(path: Path, maximum: int) -> str:
    """A small text file, or so much of it as is too much already."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read(maximum + 1)
    except UnicodeDecodeError:
        raise Misuse(f"{path}: not a signed head") from None
