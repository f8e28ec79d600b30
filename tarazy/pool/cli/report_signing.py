"""`tarazy report sign`, `attach` and `diff`: what is done with a report that is built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Misuse, Wanting, folding_table, json_option, ledger, print_json, settings_option

if TYPE_CHECKING:
    from tarazy.reports.kept import Kept
    from tarazy.reports.signing.cms import Signature

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_LONGEST_CELL = 200


@click.command("sign")
@click.argument("file", type=FILE)
@settings_option
@json_option
def sign(file: Path, settings: Settings, as_json: bool) -> None:
    """Sign the report FILE (.json) with the key or the service of `signing` in the settings.

    The signature is detached CMS, kept beside it as .p7s; with signing.pdf the PDFs are signed too, as .signed.pdf.
    """
    kept, found = signed(file, settings)
    print_json(_told(kept, found)) if as_json else show(kept, found)


def signed(file: Path, settings: Settings) -> tuple[Kept, Signature]:
    """Sign a report and keep the signature; faults become one line."""
    from tarazy.pool.cli.register.shared import recorder
    from tarazy.pool.reporting.making import sign_report
    from tarazy.reports.kept import KeptFault, read_kept
    from tarazy.reports.signing import SigningFault

    if settings.signing is None:
        raise Misuse("the settings have no `signing`; sign elsewhere and bring the file with `tarazy report attach`")
    try:
        kept = read_kept(file)
        with ledger(settings) as engine:
            return kept, sign_report(engine, settings, kept, recorder())
    except (SigningFault, KeptFault) as error:
        raise Wanting(str(error)) from None


@click.command("attach")
@click.argument("file", type=FILE)
@click.argument("signature", type=FILE)
@settings_option
@json_option
def attach(file: Path, signature: Path, settings: Settings, as_json: bool) -> None:
    """Keep a SIGNATURE (.p7s) of the report FILE (.json) that was made elsewhere, for example with NCALayer.

    It is checked that it signs just this file, and told whose certificate signed it. Signatures of GOST cannot be
    checked here: that is told, and they are kept.
    """
    from tarazy.pool.cli.register.shared import recorder
    from tarazy.pool.reporting.making import attach_signature
    from tarazy.reports.kept import KeptFault, read_kept
    from tarazy.reports.signing.cms import LARGEST

    try:
        kept = read_kept(file)
        with signature.open("rb") as opened:
            given = opened.read(2 * LARGEST + 1)
        with ledger(settings) as engine:
            found = attach_signature(engine, kept, given, recorder())
    except (KeptFault, OSError) as error:
        raise Wanting(str(error)) from None
    print_json(_told(kept, found)) if as_json else show(kept, found)


def _told(kept: Kept, found: Signature) -> dict[str, object]:
    return {"file": str(kept.beside(".p7s")), "document": kept.digest, **signature_told(found)}


def signature_told(found: Signature) -> dict[str, object]:
    """A signature for scripts."""
    return {
        "standing": found.standing,
        "holder": found.holder,
        "issuer": found.issuer,
        "certificate": found.fingerprint,
        "signed_at": found.signed_at,
        "algorithm": found.algorithm,
    }


def show(kept: Kept, found: Signature) -> None:
    """A signature for people."""
    click.echo(f"{kept.beside('.p7s')}\nholder  {found.holder}\nissuer  {found.issuer}")
    click.echo(standing_text(found))


def standing_text(found: Signature) -> str:
    """What was found of a signature, and what that is worth."""
    from tarazy.reports.signing.cms import Standing

    at = f", signed at {moments.told(found.signed_at)} by the signer's clock" if found.signed_at else ""
    match found.standing:
        case Standing.UNREAD:
            return (
                f"NOT CHECKED: {found.algorithm} (GOST?) is not known here, not even whether this is the document; "
                "check it with NCANode or at the national certifying centre"
            )
        case Standing.FITS:
            return f"fits this document and that certificate{at}; who issued it was not asked (--ca of `verify report`)"
        case Standing.TRUSTED:
            return f"fits this document, and the certificate leads to the authority given{at}"


@click.command("diff")
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@json_option
def diff(before: Path, after: Path, as_json: bool) -> None:
    """List what differs between two reports of one kind (.json), figure by figure. Exit code 1 when something does."""
    from rich.console import Console

    from tarazy.reports.difference import differences
    from tarazy.reports.kept import KeptFault, read_kept

    try:
        old, new = read_kept(before), read_kept(after)
    except KeptFault as error:
        raise Misuse(str(error)) from None
    if old.kind != new.kind:
        raise Misuse(f"one is of kind {old.kind}, the other of kind {new.kind}")
    found = list(differences(old.told, new.told))
    if as_json:
        print_json([{"place": each.place, "before": each.before, "after": each.after} for each in found])
    elif found:
        table = folding_table("figure", "before", "after")
        for each in found:
            table.add_row(each.place, cell(each.before), cell(each.after))
        Console().print(table)
    if found:
        raise SystemExit(1)
    if not as_json:
        click.echo("the two say the same")


def cell(value: object) -> str:
    """A value of a document for people; long ones are shortened."""
    import json

    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_CELL else text[:_LONGEST_CELL] + "…"
