"""`tarazy payout`: from what is due to a confirmed transaction, each step by whoever may take it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import (
    NUMBER,
    Misuse,
    Wanting,
    folding_table,
    json_option,
    ledger,
    print_json,
    settings_option,
)
from tarazy.pool.cli.register.shared import WHY, recorder

if TYPE_CHECKING:
    from tarazy.accounting.payouts.batches import Batch
    from tarazy.accreditation.snapshot import Registers
    from tarazy.pool.payouts.payer import Payer

_T = TypeVar("_T")
_NUMBER = click.argument("number", type=NUMBER, metavar="BATCH")
_LANGUAGE = click.option(
    "--language",
    type=click.Choice(("kk", "ru", "en")),
    help="Which the reason is written in; pages tell their readers.",
)


@click.group()
def payout() -> None:
    """Payouts: batches, proposed by one person and approved by another, until their transactions are confirmed."""


@payout.command("propose")
@settings_option
@click.option("--unproven", is_flag=True, help="Also pay rounds whose record is not in the audit log.")
@json_option
def propose(settings: Settings, unproven: bool, as_json: bool) -> None:
    """Move what is due into a new batch, to the addresses in force now."""
    from tarazy.accounting.proof.record import unproven as without_record
    from tarazy.database.engine import reader
    from tarazy.pool.payouts.facts import destinations

    def act(payer: Payer, registers: Registers) -> dict[str, Any]:
        number, selection = payer.propose(destinations(registers, settings.chain.address_chain), unproven)
        paid = {each.party: each.amount for each in selection.payments}
        first = {each.party: each.rest for each in selection.payments if each.rest is not None}
        made = {"batch": number, "amount": sum(paid.values()), "payments": paid, "left_out": selection.left_out}
        return {**made, "first_payments": first}

    made = _pay(settings, act)
    with ledger(settings) as engine, reader(engine).begin() as connection:
        made["unproven"] = without_record(connection)
    if as_json:
        print_json(made)
        return
    for party, why in made["left_out"].items():
        click.echo(f"{party}: {why}", err=True)
    if made["unproven"] and not unproven:
        waiting = "final distributions wait for their record in the audit log; the server's log says why if it lasts"
        click.echo(f"{len(made['unproven'])} {waiting}", err=True)
    if made["batch"] is None:
        click.echo("nothing is due")
    else:
        click.echo(f"batch {made['batch']} pays {made['amount']} satoshi to {len(made['payments'])} parties")
        for party, rest in made["first_payments"].items():
            click.echo(f"{party}: the first payment to this address; {rest} satoshi follow when it is confirmed")
        click.echo("somebody else must approve it")


@payout.command("list")
@settings_option
@click.option("--all", "everything", is_flag=True, help="Also the confirmed and abandoned ones.")
@json_option
def list_batches(settings: Settings, everything: bool, as_json: bool) -> None:
    """Show the batches under way, whose payments are held, and whether payouts are stopped."""
    from rich.console import Console

    from tarazy.accounting.payouts import batches, fence
    from tarazy.accounting.payouts.holds import holds
    from tarazy.accounting.payouts.machine import BatchState
    from tarazy.database.engine import reader

    closed = () if everything else (BatchState.CONFIRMED, BatchState.ABANDONED)
    with ledger(settings) as engine, reader(engine).begin() as connection:
        found = batches.batches(connection, [state for state in BatchState if state not in closed])
        held, standing = holds(connection), fence.standing(connection)
    if as_json:
        back = [{name: getattr(each, name) for name in ("party", "why", "language", "since")} for each in held]
        checked = {"checked_at": standing.checked_at, "difference": standing.difference}
        print_json(
            {
                "batches": [_plain(each) for each in found],
                "holds": back,
                "stopped": standing.stopped_why,
                **checked,
            }
        )
        return
    table = folding_table("batch", "state", moments.heading("since"), "parties", "satoshi", "trouble")
    for each in found:
        moved = moments.cell(each.state_at)
        table.add_row(str(each.number), each.state, moved, str(len(each.payouts)), str(each.amount), each.trouble or "")
    if found:
        Console().print(table)
    else:
        click.echo("no batch is under way", err=True)
    for kept in held:
        click.echo(f"held since {moments.told(kept.since)}: {kept.party}, {kept.why}")
    if standing.stopped_why:
        click.echo(f"payouts are stopped: {standing.stopped_why}")


@payout.command("show")
@_NUMBER
@settings_option
@json_option
def show(number: int, settings: Settings, as_json: bool) -> None:
    """Show what a batch pays to whom, who wanted it, and its transactions."""
    from tarazy.accounting.payouts import batches
    from tarazy.accounting.payouts.machine import PayoutError
    from tarazy.database.engine import reader

    with ledger(settings) as engine, reader(engine).begin() as connection:
        try:
            batch = batches.read(connection, number)
        except PayoutError as error:
            raise Wanting(str(error)) from None
    plain = _plain(batch)
    if as_json:
        print_json(plain)
        return
    for name, value in plain.items():
        if name not in ("payments", "transactions"):
            click.echo(f"{name}: {moments.plain(value)}")
    for paid in plain["payments"]:
        click.echo(f"  {paid['party']}: {paid['amount']} satoshi to {paid['address']}")
    for sent in plain["transactions"]:
        confirmed = f", confirmed {moments.told(sent['confirmed_at'])}" if sent["confirmed_at"] else ""
        click.echo(f"  transaction {sent['txid']}, fee {sent['fee']}{confirmed}")


@payout.command("approve")
@_NUMBER
@settings_option
def approve(number: int, settings: Settings) -> None:
    """Let a batch that somebody else proposed be paid."""
    _pay(settings, lambda payer, _: payer.approve(number))
    click.echo(f"batch {number} is approved")


@payout.command("export")
@_NUMBER
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@settings_option
def export(number: int, file: Path, settings: Settings) -> None:
    """Write a batch's transaction to FILE, a PSBT to be signed elsewhere."""
    psbt = _pay(settings, lambda payer, _: payer.export(number))
    try:
        file.write_text(psbt + "\n", encoding="ascii")
    except OSError as error:
        raise Misuse(f"{file}: {error.strerror}") from None
    click.echo(f"{file}: sign it, then `tarazy payout import {number} FILE`")


@payout.command("import")
@_NUMBER
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@settings_option
def import_signed(number: int, file: Path, settings: Settings) -> None:
    """Take a batch's signed PSBT from FILE, check it against the batch, keep it and send it."""
    from tarazy.pool.payouts.review import MAX_PSBT_BYTES

    with file.open("rb") as opened:
        signed = opened.read(MAX_PSBT_BYTES + 1).decode("ascii", "replace")
    txid = _pay(settings, lambda payer, _: payer.accept(number, signed))
    click.echo(f"batch {number} is signed: {txid}")


@payout.command("broadcast")
@_NUMBER
@settings_option
def broadcast(number: int, settings: Settings) -> None:
    """Sign a batch by the node's wallet where that signs, and send it; the same bytes every time."""
    _pay(settings, lambda payer, _: payer.broadcast(number))
    click.echo(f"batch {number} is on its way")


@payout.command("bump")
@_NUMBER
@click.option("--rate", type=click.IntRange(1, 10_000), required=True, help="Satoshi a virtual byte.")
@settings_option
def bump(number: int, rate: int, settings: Settings) -> None:
    """Replace a sent transaction by one with the same inputs and payees and a higher fee, from the change."""
    txid = _pay(settings, lambda payer, _: payer.bump(number, rate))
    click.echo(f"replaced by {txid}" if txid else f"the replacement waits: `tarazy payout export {number} FILE`")


@payout.command("abandon")
@_NUMBER
@WHY
@settings_option
def abandon(number: int, why: str, settings: Settings) -> None:
    """Give a batch up. Once it may be signed: by two persons, after another transaction spent its inputs for good."""
    done = _pay(settings, lambda payer, _: payer.abandon(number, why))
    click.echo(f"batch {number} is abandoned" if done else "somebody else must say so too")


@payout.command("hold")
@click.argument("party")
@WHY
@_LANGUAGE
@settings_option
def hold(party: str, why: str, language: str | None, settings: Settings) -> None:
    """Keep PARTY's payments back; what it is owed stays due."""
    from tarazy.pool.payouts.facts import require_party

    def act(payer: Payer, registers: Registers) -> None:
        require_party(registers, party)
        payer.hold(party, why, language)

    _pay(settings, act)
    click.echo(f"payments of {party} are held")


@payout.command("release")
@click.argument("party")
@WHY
@settings_option
def release(party: str, why: str, settings: Settings) -> None:
    """Let PARTY's payments go again, by a decision; a licence that is held for is not held for again."""
    _pay(settings, lambda payer, _: payer.release(party, why))
    click.echo(f"payments of {party} are released")


@payout.command("stop")
@WHY
@_LANGUAGE
@settings_option
def stop(why: str, language: str | None, settings: Settings) -> None:
    """Let nothing be proposed, signed or sent."""
    _pay(settings, lambda payer, _: payer.stop(why, language))
    click.echo("payouts are stopped")


@payout.command("resume")
@WHY
@settings_option
def resume(why: str, settings: Settings) -> None:
    """Let payments go out again, if no satoshi is missing and the books know every payment."""
    _pay(settings, lambda payer, _: payer.resume(why))
    click.echo("payouts go on")


@payout.command("check")
@settings_option
@json_option
def check(settings: Settings, as_json: bool) -> None:
    """Compare the wallet with the books, and name transactions that the books do not know."""

    def act(payer: Payer, _: Registers) -> dict[str, Any]:
        found = payer.check()
        numbers = {"wallet": found.wallet, "books": found.books, "difference": found.difference}
        return {**numbers, "unknown": list(found.unknown), "fault": found.fault}

    found = _pay(settings, act)
    if as_json:
        print_json(found)
    else:
        click.echo(f"wallet {found['wallet']}, books {found['books']}, difference {found['difference']} satoshi")
        for txid in found["unknown"]:
            click.echo(f"the books do not know transaction {txid}: `tarazy payout adopt`, or `own --taken-out`")
    if found["fault"]:
        raise click.exceptions.Exit(1)


@payout.command("adopt")
@click.argument("txid")
@settings_option
def adopt(txid: str, settings: Settings) -> None:
    """Take a payment into the books that are older than it, after a backup was restored."""

    def act(payer: Payer, registers: Registers) -> int:
        from tarazy.accreditation.entries import Wallet

        return payer.adopt(txid.lower(), {row.address: row.party for row in registers.latest(Wallet)})

    click.echo(f"transaction {txid} is that of batch {_pay(settings, act)}")


@payout.command("own")
@click.option("--paid-in", type=NUMBER, metavar="SATOSHI", help="What came into the wallet.")
@click.option("--taken-out", metavar="TXID", help="The transaction by which the pool took of its own, such as the fee.")
@WHY
@settings_option
def own(paid_in: int | None, taken_out: str | None, why: str, settings: Settings) -> None:
    """Book what the pool put into the wallet of its own, or took out of it."""
    if (paid_in is None) is (taken_out is None):
        raise Misuse("give either --paid-in or --taken-out")
    if taken_out is not None:
        amount = _pay(settings, lambda payer, _: payer.take_out(taken_out.lower(), why))
        click.echo(f"booked: {amount} satoshi left the wallet")
    elif paid_in is not None:
        _pay(settings, lambda payer, _: payer.pay_in(paid_in, why))
        click.echo(f"booked: {paid_in} satoshi came in")


def _pay(settings: Settings, act: Callable[[Payer, Registers], _T]) -> _T:
    """Do something as the payer; what is refused becomes one line."""
    from datetime import UTC, datetime

    from tarazy.accounting.ledger import LedgerError
    from tarazy.accounting.payouts.machine import PayoutError
    from tarazy.accreditation.registers import as_of
    from tarazy.pool.chain.bitcoind.faults import NodeError
    from tarazy.pool.payouts.facts import licence_holds
    from tarazy.pool.payouts.payer import Payer
    from tarazy.pool.payouts.wallet import wallet_of

    if settings.payouts is None:
        raise Misuse("the settings have no `payouts`; see docs/operators.md, Payouts")
    with ledger(settings) as engine:
        with engine.begin() as connection:
            registers = as_of(connection, datetime.now(UTC))
        chain = settings.chain.address_chain
        try:
            wallet = wallet_of(settings)
            payer = Payer(engine, wallet, settings.payouts, chain, recorder(), licence_holds(registers))
            return act(payer, registers)
        except (PayoutError, LedgerError, NodeError) as error:
            raise Wanting(str(error)) from None


def _plain(batch: Batch) -> dict[str, Any]:
    names = ("state", "amount", "state_at", "proposed_at", "proposed_by", "approved_at", "approved_by", "trouble")
    payments = [{"party": each.party, "address": each.address, "amount": each.amount} for each in batch.payouts]
    sent = [
        {"txid": each.txid, "fee": each.fee, "signed_at": each.signed_at, "confirmed_at": each.confirmed_at}
        for each in batch.transactions
    ]
    found = {"batch": batch.number, **{name: getattr(batch, name) for name in names}}
    return {**found, "payments": payments, "transactions": sent}
