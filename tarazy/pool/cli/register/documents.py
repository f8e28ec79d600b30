"""Files attached to entries."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from tarazy.config.settings import Settings
from tarazy.pool.cli.common import Wanting, ledger, settings_option
from tarazy.pool.cli.register.shared import KINDS, recorder


@click.command("attach")
@click.argument("kind", type=KINDS)
@click.argument("key")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_option
@click.option("--document", help="Key of the document; made from the entry's and the digest if absent.")
@click.option("--title", required=True, help="What it is.")
@click.option("--number", help="Number printed on it.")
@click.option("--issued-by", help="Who issued it.")
@click.option("--issued-on", help="Day on which it was issued.")
@click.option("--to", "valid_to", help="Its last valid day, which is warned about.")
def attach(
    kind: str,
    key: str,
    file: Path,
    settings: Settings,
    document: str | None,
    title: str,
    number: str | None,
    issued_by: str | None,
    issued_on: str | None,
    valid_to: str | None,
) -> None:
    """Keep FILE and attach it to an entry. PDF, PNG, JPEG, ZIP, PKCS#7 and text, each kept once."""
    from tarazy.accreditation.documents import MAXIMUM_BYTES, DocumentError, media_type_of, store
    from tarazy.accreditation.importing import import_registers
    from tarazy.accreditation.sheets import Line, RegisterImportError
    from tarazy.pool.cli.register.shared import law_of

    with file.open("rb") as opened:
        content = opened.read(MAXIMUM_BYTES + 1)
    now, law = datetime.now(UTC), law_of(settings)
    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                digest = store(connection, content, now)
                cells = {
                    "document": document or f"{kind}-{digest[:12]}",
                    "of_register": kind,
                    "of_key": key,
                    "title": title,
                    "number": number,
                    "issued_by": issued_by,
                    "issued_on": issued_on,
                    "valid_to": valid_to,
                    "digest": digest,
                    "media_type": media_type_of(content),
                    "size": len(content),
                }
                line = Line(f"document {cells['document']}", None, "document", dict(cells))
                import_registers(connection, [line], now, recorder(), law)
        except (DocumentError, RegisterImportError, ValueError) as error:
            raise Wanting(f"{file}: not attached: {error}") from None
    click.echo(f"document {cells['document']}, SHA-256 {digest}")


@click.command("fetch")
@click.argument("document")
@settings_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
def fetch(document: str, settings: Settings, output: Path) -> None:
    """Write the file of a document as it was attached; its digest is checked."""
    from tarazy.accreditation.documents import DocumentError, load
    from tarazy.accreditation.entries import Document
    from tarazy.accreditation.registers import versions_of
    from tarazy.database.engine import reader

    with ledger(settings) as engine, reader(engine).begin() as connection:
        versions = versions_of(connection, "document", document)
        if not versions or not isinstance(newest := versions[0], Document):
            raise Wanting(f"there is no document {document}")
        try:
            output.write_bytes(load(connection, newest.digest))
        except (DocumentError, LookupError) as error:
            raise Wanting(str(error)) from None
    click.echo(f"{output}: {newest.title}, {newest.media_type}, SHA-256 {newest.digest}")
