"""What the pool's servers show about where they stand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from tarazy.config.settings import Settings
from tarazy.database.engine import reader
from tarazy.pool import moments
from tarazy.pool.cli.common import Wanting, json_option, ledger, print_json, settings_option


@click.group()
def evidence() -> None:
    """Evidence of where the pool's servers stand: addresses by every source, clocks, keys, documents."""


@evidence.command("take")
@settings_option
@json_option
def take(settings: Settings, as_json: bool) -> None:
    """Take the evidence of this server now, and keep it."""
    from tarazy.pool.machine import observe
    from tarazy.pool.proof import take as take_evidence

    observed = observe(settings)
    with ledger(settings) as engine, engine.begin() as connection:
        digest, content = take_evidence(connection, settings, observed, datetime.now(UTC))
    _tell(digest, content, as_json)


@evidence.command("show")
@click.argument("server", required=False)
@settings_option
@json_option
def show(server: str | None, settings: Settings, as_json: bool) -> None:
    """Show the evidence taken last of SERVER; of this server when absent."""
    from tarazy.accreditation.server_evidence import latest

    name = server or settings.accreditation.server
    with ledger(settings) as engine, reader(engine).begin() as connection:
        try:
            found = latest(connection, name)
        except ValueError as error:
            raise Wanting(str(error)) from None
    if found is None:
        raise Wanting(f"no evidence of server {name} was taken; run `tarazy register evidence take` on it")
    _tell(*found, as_json)


def _tell(digest: str, content: dict[str, Any], as_json: bool) -> None:
    from tarazy.accreditation.server_evidence import findings

    found = findings(content)
    if as_json:
        told = [{"code": one.code, "fine": one.fine, "text": one.text, "cure": one.cure} for one in found]
        print_json({"digest": digest, **content, "findings": told})
        return
    click.echo(
        f"server {content['server']}, {moments.told(datetime.fromisoformat(content['taken_at']))}, digest {digest}"
    )
    entry = content["entry"]
    if entry:
        attested = f", attested by {entry['attested_by']} on {entry['attested_on']}" if entry["attested_by"] else ""
        click.echo(f"registered at {entry['address']}, {entry['location']}, {entry['country']}{attested}")
    for one in content["addresses"]:
        said = ", ".join(f"{source} {verdict}" for source, verdict in one.get("sources", {}).items())
        registered = "registered" if one["registered"] else "not registered"
        click.echo(
            f"  {one['address']} ({' and '.join(one['seen'])}), {one['scope']}, {registered}: {said or 'no evidence'}"
        )
    for source, listed in content["lists"].items():
        click.echo(f"  list {source} is of {listed['dated_on']}")
    for port in content["listening"]:
        click.echo(f"  port {port['host']}:{port['port']}" + (f", key {port['key']}" if port["key"] else ", no TLS"))
    for paper in content["documents"]:
        click.echo(f"  document {paper['document']}: {paper['title']}, {paper['digest']}")
    for finding in found:
        mark = "fine" if finding.fine else "WANTING"
        click.echo(f"{mark:8} {finding.text}" + (f" → {finding.cure}" if finding.cure else ""))
    click.echo(content["remark"])
