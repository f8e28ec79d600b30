"""`tarazy register`: who may mine, from where, on what."""

from __future__ import annotations

import click

from tarazy.pool.cli.register.documents import attach, fetch
from tarazy.pool.cli.register.entries import correct, history, set_entry, withdraw
from tarazy.pool.cli.register.evidence import evidence
from tarazy.pool.cli.register.expiring import expiring
from tarazy.pool.cli.register.files import columns, export, import_files, show, template
from tarazy.pool.cli.register.geo import geo
from tarazy.pool.cli.register.licences import reissue, revoke, suspend
from tarazy.pool.cli.register.wallets import wallet


@click.group()
def register() -> None:
    """Registers: parties, wallets, licences, sites, placements, certificate, servers, equipment, meters, …

    Nothing in them is ever changed or removed; a new row says what holds from its `valid_from` on, and one that
    corrects another names it and says why.
    """


for _command in (
    import_files,
    export,
    template,
    columns,
    show,
    history,
    expiring,
    set_entry,
    correct,
    withdraw,
    attach,
    fetch,
    suspend,
    revoke,
    reissue,
    wallet,
    geo,
    evidence,
):
    register.add_command(_command)
