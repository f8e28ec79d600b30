"""`tarazy verify`: exports that prove themselves. Needs neither settings nor a database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tarazy.pool.cli.common import Misuse, Wanting, json_option, print_json, progress_bar

if TYPE_CHECKING:
    import tarazy_verify

    from tarazy.accreditation.checkpoint import Checkpoint, VerifierKey
    from tarazy.config.settings import Settings


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


@verify.command("report")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@key_option
@click.option("--ca", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="PEM of the authorities that the signer's certificate must lead to.")  # fmt: skip
@click.option("-c", "--config", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Build it again from this server's database, and compare every byte.")  # fmt: skip
@json_option
def verify_report(
    file: Path, keys: tuple[VerifierKey, ...], ca: Path | None, config: Path | None, as_json: bool
) -> None:
    """Verify the report FILE (.json): its bytes and those of its set, that the audit log has it, and its signature.

    What lies beside it is taken: .sha256, .audit and .p7s. With -c its figures are computed anew too, and those that
    differ are listed; the pool's key is then taken from that server. Exit code 1 names the first fault.
    """
    import tarazy_verify

    from tarazy.pool.cli.audit import own_key
    from tarazy.pool.cli.common import read_settings

    settings = read_settings(config) if config else None
    known = [*keys, *(own_key(settings) if settings else ())]
    if not known:
        raise Misuse("a report is worth what its key is: give the pool's own with --key")
    told = tarazy_verify.Report(as_json)
    fault = _fault_of(
        lambda: tarazy_verify.verify_report(file, [tarazy_verify.read_key(str(key)) for key in known], told)
    )
    signature = None
    if fault is None:
        fault, signature = _look_signature(file, ca, told)
    rebuilt: list[dict[str, Any]] = []
    if fault is None and settings is not None:
        fault, rebuilt = _look_figures(file, settings, told)
    if as_json:
        print_json({"checks": told.checks, "signature": signature, "differences": rebuilt, "fault": fault})
    if fault is not None:
        raise Wanting(f"{file}: {fault}")


def _fault_of(look: Callable[[], None]) -> str | None:
    from tarazy_verify import Fault, printable

    try:
        look()
    except Fault as fault:
        return printable(str(fault))
    except (OSError, ValueError, RecursionError) as error:
        return printable(f"cannot be verified ({error})")
    return None


def _look_signature(
    file: Path, ca: Path | None, told: tarazy_verify.Report
) -> tuple[str | None, dict[str, object] | None]:
    """The fault of the signature, or what it tells; a report without one has none."""
    from tarazy.pool.cli.report_signing import signature_told, standing_text
    from tarazy.reports.kept import KeptFault, read_kept
    from tarazy.reports.signing.cms import LARGEST, CmsFault, Standing, check, read_authorities

    try:
        kept = read_kept(file)
        path = kept.beside(".p7s")
        if not path.exists():
            if ca is not None:
                return f"there is no {path.name}: it is not signed", None
            told.say("signature", True, f"none: there is no {path.name}")
            return None, None
        with path.open("rb") as opened:
            der = opened.read(LARGEST + 1)
        found = check(der, kept.content, read_authorities(ca.read_bytes()) if ca else ())
    except CmsFault as error:
        told.say("signature", False, str(error))
        return f"the signature: {error}", None
    except (KeptFault, OSError) as error:
        return str(error), None
    told.say("signature", found.standing is not Standing.UNREAD, f"{found.holder}: {standing_text(found)}")
    return None, signature_told(found)


def _look_figures(
    file: Path, settings: Settings, told: tarazy_verify.Report
) -> tuple[str | None, list[dict[str, Any]]]:
    """The fault of the figures computed anew, and those that differ."""
    import json
    from datetime import UTC, datetime

    from tarazy.config.law import LawError, load_law
    from tarazy.database.engine import reader
    from tarazy.pool.cli.common import ledger
    from tarazy.pool.cli.report_signing import cell
    from tarazy.reports.build import ReportError, gather_report
    from tarazy.reports.canonical import canonical_json
    from tarazy.reports.difference import differences
    from tarazy.reports.kept import KeptFault, read_kept

    try:
        kept = read_kept(file)
        kind, as_of, asked = kept.request()
        law = load_law(settings.law.assumptions, settings.law.directory)
        with ledger(settings) as engine, reader(engine).begin() as connection:
            again = canonical_json(gather_report(connection, kind, as_of, settings, law, datetime.now(UTC), asked))
    except (KeptFault, ReportError, LawError) as error:
        return str(error), []
    if again == kept.content:
        told.say("figures", True, "built again from the database: the same bytes")
        return None, []
    found = list(differences(kept.told, json.loads(again)))
    told.say("figures", False, f"{len(found)} differ when it is built again")
    if not told.as_json:
        for each in found:
            click.echo(f"  {each.place}: the report has {cell(each.before)}, the database {cell(each.after)}")
    return f"{len(found)} figures differ from what the database gives", [
        {"place": each.place, "report": each.before, "database": each.after} for each in found
    ]
