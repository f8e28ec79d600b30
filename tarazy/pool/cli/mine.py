"""`tarazy mine`: a small CPU miner, for trying a pool out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import click

from tarazy.pool.cli.common import Misuse


@click.command()
@click.argument("url", metavar="URL")
@click.option("--user", required=True, help="Login: account.worker")
@click.option("--password", default="x", show_default=True, help="x, or options such as d=0.001")
@click.option(
    "--hashrate",
    type=click.FloatRange(min=1),
    help="Hashes per second at most; as fast as it goes when absent.",
)
@click.option("--source-address", help="Local address to connect from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event.")
def mine(url: str, user: str, password: str, hashrate: float | None, source_address: str | None, as_json: bool) -> None:
    """Mine on a Stratum server, such as stratum+tcp://127.0.0.1:3333, until Ctrl-C.

    A CPU earns nothing on a real chain: this is for testing a pool.
    """
    from tarazy.stratum.miner_client import mine as run_miner

    target = urlsplit(url if "//" in url else f"stratum+tcp://{url}")
    try:
        port = target.port
    except ValueError:
        port = None
    if target.scheme not in ("stratum+tcp", "stratum+ssl") or not target.hostname or port is None:
        raise Misuse(f"{url}: write the address as stratum+tcp://HOST:PORT, or stratum+ssl:// for a TLS port")
    tls = ssl.create_default_context() if target.scheme == "stratum+ssl" else None

    def show(event: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps(event, ensure_ascii=False))
        else:
            click.echo("  ".join(f"{key}={value}" if key != "event" else str(value) for key, value in event.items()))

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_miner(target.hostname, port, user, password, hashrate, source_address, show, tls))
