"""`tarazy report deliver`, `approve` and what follows: documents on their way to an authority, and the schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from tarazy.pool.cli.register.shared import WHY, law_of, recorder

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tarazy.reports.delivery.profile import Profile

_NUMBER = click.argument("number", type=NUMBER, metavar="DELIVERY")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_NEW_FILE = click.Path(path_type=Path, dir_okay=False)


def profiles_of(settings: Settings) -> dict[str, Profile]:
    """The delivery profiles of this server; faults become one line each."""
    from tarazy.reports.delivery.profile import ProfileError, load_profiles

    try:
        return load_profiles(settings.reports.profiles)
    except ProfileError as error:
        raise Wanting(str(error)) from None


@contextmanager
def _outbox(settings: Settings, *, reads: bool = False) -> Iterator[Connection]:
    """A transaction on the outbox; what cannot be done becomes one line."""
    from tarazy.database.engine import reader
    from tarazy.reports.delivery.outbox import DeliveryError

    with ledger(settings) as engine:
        try:
            with (reader(engine) if reads else engine).begin() as connection:
                yield connection
        except DeliveryError as error:
            raise Wanting(str(error)) from None


@click.command("deliver")
@click.argument("file", type=_FILE)
@settings_option
@click.option("--to", help="Name of the delivery profile; the only one when absent.")
@click.option("--show", is_flag=True, help="Only print the body that would be sent.")
@json_option
def deliver(file: Path, settings: Settings, to: str | None, show: bool, as_json: bool) -> None:
    """Propose the report FILE (.json) for delivery to an authority. Somebody else must approve it."""
    from tarazy.reports.delivery import outbox
    from tarazy.reports.delivery.letter import LetterError, compose
    from tarazy.reports.kept import KeptFault, read_kept

    profiles = profiles_of(settings)
    names = ", ".join(profiles)
    if not profiles:
        raise Misuse("the settings name no delivery profile: reports.profiles, see docs/operators.md, Delivery")
    if to is None and len(profiles) != 1:
        raise Misuse(f"name the delivery profile with --to: {names}")
    profile = profiles.get(to) if to else next(iter(profiles.values()))
    if profile is None:
        raise Misuse(f"there is no delivery profile {to}; known: {names}")
    try:
        kept = read_kept(file)
        letter = compose(kept, profile)
    except (KeptFault, LetterError) as error:
        raise Wanting(str(error)) from None
    if show:
        click.echo(letter.body, nl=False)
        return
    with _outbox(settings) as connection:
        number = outbox.propose(connection, kept, letter, profile, datetime.now(UTC), recorder())
        made = outbox.read(connection, number)
    if as_json:
        print_json(made.plain())
        return
    click.echo(f"delivery {number} of {made.name} to {made.profile} is {made.state}")
    if made.state == "proposed":
        click.echo(f"somebody else must approve it: tarazy report approve {number}")


@click.command("approve")
@_NUMBER
@settings_option
@json_option
def approve(number: int, settings: Settings, as_json: bool) -> None:
    """Let a document that somebody else proposed be sent."""
    from tarazy.reports.delivery import outbox

    _change(settings, number, partial(outbox.approve, by=recorder()), "approved; the server sends it", as_json)


@click.command("resend")
@_NUMBER
@settings_option
@WHY
@json_option
def resend(number: int, settings: Settings, why: str, as_json: bool) -> None:
    """Send a refused document, or one without a receipt, once more: the same bytes under the same key."""
    from tarazy.reports.delivery import outbox

    _change(settings, number, partial(outbox.send_again, by=recorder(), why=why), "sent again", as_json)


@click.command("abandon")
@_NUMBER
@settings_option
@WHY
@json_option
def abandon(number: int, settings: Settings, why: str, as_json: bool) -> None:
    """Give a delivery up. One that may have arrived may still be taken there."""
    from tarazy.reports.delivery import outbox

    _change(settings, number, partial(outbox.abandon, by=recorder(), why=why), "given up", as_json)


def _change(settings: Settings, number: int, act: Callable[..., None], done: str, as_json: bool) -> None:
    """Change a delivery, and say how it stands."""
    from tarazy.reports.delivery import outbox

    with _outbox(settings) as connection:
        act(connection, number, datetime.now(UTC))
        made = outbox.read(connection, number)
    print_json(made.plain()) if as_json else click.echo(f"delivery {number} is {done}")


@click.command("deliveries")
@settings_option
@click.option("--all", "everything", is_flag=True, help="Also the received and abandoned ones.")
@json_option
def deliveries(settings: Settings, everything: bool, as_json: bool) -> None:
    """Show the deliveries under way, with what holds them up."""
    from rich.console import Console

    from tarazy.reports.delivery import outbox
    from tarazy.reports.delivery.outbox import DeliveryState

    closed = () if everything else (DeliveryState.RECEIVED, DeliveryState.ABANDONED)
    with _outbox(settings, reads=True) as connection:
        found = outbox.deliveries(connection, [state for state in DeliveryState if state not in closed])
    if as_json:
        print_json([each.plain() for each in found])
        return
    if not found:
        click.echo("no delivery is under way", err=True)
        return
    table = folding_table("no.", "report", "to", "state", moments.heading("since"), "tries", "receipt or trouble")
    for each in found:
        since, trouble = moments.cell(each.state_at), each.trouble or each.receipt or ""
        of = f"{each.kind} {each.period}"
        table.add_row(str(each.number), of, each.profile, each.state, since, str(each.attempts), trouble)
    Console().print(table)


@click.command("delivery")
@_NUMBER
@settings_option
@click.option("--body", type=_NEW_FILE, help="Write there what is sent, to the byte.")
@click.option("--receipt", type=_NEW_FILE, help="Write the receipt there.")
@json_option
def delivery(number: int, settings: Settings, body: Path | None, receipt: Path | None, as_json: bool) -> None:
    """Show a delivery, who wanted it, its attempts and its receipt."""
    from tarazy.reports.build import write_all
    from tarazy.reports.delivery import outbox

    with _outbox(settings, reads=True) as connection:
        made, tried = outbox.read(connection, number), outbox.attempts(connection, number)
        answer = outbox.receipt_of(connection, number) if receipt else None
        letter = outbox.letter_of(connection, number)
    if receipt is not None and answer is None:
        raise Wanting(f"delivery {number} has no receipt")
    for path, content in ((body, letter.body), (receipt, answer)):
        try:
            if path is not None and content is not None:
                write_all(path.absolute().parent, {path.name: content})
        except OSError as error:
            raise Misuse(f"{path}: {error.strerror}") from None
    plain = made.plain()
    attempts = [
        {
            "attempt": each.attempt,
            "way": each.way,
            "begun_at": each.begun_at,
            "ended_at": each.ended_at,
            "outcome": each.outcome,
            "status": each.status,
            "words": each.words,
        }
        for each in tried
    ]
    if as_json:
        print_json({**plain, "tried": attempts})
        return
    for name, value in plain.items():
        click.echo(f"{name}: {moments.plain(value)}")
    for each in tried:
        outcome = f"{each.outcome}: {each.words}" if each.outcome else "under way"
        click.echo(f"  attempt {each.attempt} ({each.way}) {moments.told(each.begun_at)}: {outcome}")


@click.command("due")
@settings_option
@click.option("--all", "everything", is_flag=True, help="Also those that are done.")
@json_option
def due(settings: Settings, everything: bool, as_json: bool) -> None:
    """Show which reports of the schedule are due by when, and how far each has come."""
    from rich.console import Console

    from tarazy.config.law.calendar import legal_day
    from tarazy.reports.schedule import Standing, progress

    now = datetime.now(UTC)
    today = legal_day(now)
    with _outbox(settings, reads=True) as connection:
        rows, faults = progress(connection, settings.reports.schedule, law_of(settings), now)
    shown = [row for row in rows if everything or row.standing(today) is not Standing.DONE]
    if as_json:
        print_json({"reports": [row.plain(now) for row in shown], "faults": faults})
        return
    for fault in faults:
        click.echo(fault, err=True)
    if not shown:
        click.echo("nothing is due" if settings.reports.schedule else "reports.schedule is empty", err=True)
        return
    table = folding_table("report", "period", "due", "standing", "state", "trouble")
    for row in shown:
        plain = row.plain(now)
        last = _last_day(plain)
        table.add_row(plain["kind"], plain["period"], last, plain["standing"], plain["state"], plain["trouble"] or "")
    Console().print(table)


def _last_day(plain: dict[str, Any]) -> str:
    """The last day, and whose it is."""
    if plain["due"] is None:
        return "not known"
    rule = plain["rule"]
    source = "by the settings" if rule is None else rule + ("" if plain["confirmed"] else ", unconfirmed")
    return f"{plain['due']} ({source}{', not certain' if plain['doubts'] else ''})"
