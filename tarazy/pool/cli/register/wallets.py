"""Payout addresses: proposed by one person, approved by another, paid to after a while."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import click

from tarazy.accreditation.entries import Wallet, WalletStatus
from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Wanting, ledger, settings_option
from tarazy.pool.cli.register.shared import record, recorder


@click.group()
def wallet() -> None:
    """Payout addresses. A party's first counts at once; any other is proposed, approved by somebody else, and waits."""


@wallet.command("propose")
@click.argument("party")
@click.argument("key")
@click.argument("address")
@settings_option
def propose(party: str, key: str, address: str, settings: Settings) -> None:
    """Propose ADDRESS for PARTY, as wallet KEY. The first address of a party counts at once."""
    from tarazy.accreditation.payout_addresses import parties_with_address
    from tarazy.accreditation.sheets import Line

    with ledger(settings) as engine, engine.begin() as connection:
        is_first = not parties_with_address(connection, [party])
    status = WalletStatus.APPROVED if is_first else WalletStatus.PROPOSED
    cells = {"wallet": key, "party": party, "address": address, "status": status.value}
    record(settings, [Line(f"wallet {key}", None, "wallet", dict(cells))])
    if is_first:
        click.echo(f"wallet {key} is the first of {party} and counts from now on")
        return
    hours = settings.accreditation.wallet_cooling_hours
    click.echo(
        f"wallet {key} is proposed; somebody else must approve it, and it counts {hours} hours from now at the earliest"
    )


@wallet.command("approve")
@click.argument("key")
@settings_option
@click.option("--why", help="Kept with the entry.")
def approve(key: str, settings: Settings, why: str | None) -> None:
    """Approve wallet KEY; it counts when its waiting time is over, a party's first at once."""
    entry = _decide(settings, key, WalletStatus.APPROVED, why)
    click.echo(f"wallet {key} is approved and counts from {moments.told(entry.valid_from)}")


@wallet.command("reject")
@click.argument("key")
@settings_option
@click.option("--why", required=True, help="Kept with the entry.")
def reject(key: str, settings: Settings, why: str) -> None:
    """Reject wallet KEY, proposed or approved: from now on it is not paid to."""
    _decide(settings, key, WalletStatus.REJECTED, why)
    click.echo(f"wallet {key} is rejected")


def _decide(settings: Settings, key: str, status: WalletStatus, why: str | None) -> Wallet:
    from tarazy.accreditation.payout_addresses import parties_with_address
    from tarazy.accreditation.registers import append, versions_of

    now, cooling = datetime.now(UTC), settings.accreditation.wallet_cooling
    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                versions = versions_of(connection, "wallet", key)
                if not versions or not isinstance(newest := versions[0], Wallet):
                    raise LookupError(f"there is no wallet {key}; propose it first")
                if newest.status is status:
                    raise LookupError(f"wallet {key} is {status} already")
                begins = now
                is_first = not parties_with_address(connection, [newest.party])
                if status is WalletStatus.APPROVED and not is_first and newest.recorded_at is not None:
                    begins = max(now, newest.recorded_at + cooling)
                entry = replace(newest, status=status, valid_from=begins, valid_to=None, corrects=None, why=why)
                append(connection, entry, now, recorder(), cooling)
        except (LookupError, ValueError) as error:
            raise Wanting(str(error)) from None
    return entry
