"""What the commands share: the settings option, the ledger, and answers for people or for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from rich.table import Table
    from sqlalchemy import Engine

    from tarazy.config.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

FOUND_WANTING = 1
MISUSE = 2


NUMBER = click.IntRange(1, 2**63 - 1)
"""A number as the database counts."""


class Wanting(click.ClickException):
    """What was asked for was looked at and found wanting: exit code 1."""

    exit_code = FOUND_WANTING


class Misuse(click.ClickException):
    """The command cannot be carried out as given: exit code 2."""

    exit_code = MISUSE


class _SettingsFile(click.ParamType["Settings"]):
    name = "file"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The shell's own names of files."""
        return [CompletionItem(incomplete, type="file")]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Settings:
        """Read the file; faults become one line each."""
        return read_settings(Path(value))


def read_settings(file: Path) -> Settings:
    """The settings in `file`; faults become one line each."""
    from tarazy.config.settings import SettingsError, load_settings

    try:
        return load_settings(file)
    except SettingsError as error:
        raise Misuse(str(error)) from None


def settings_option(command: F) -> F:
    """`-c FILE`: gives the command a `settings` argument."""
    return _file_option("settings", _SettingsFile())(command)


def file_option(command: F) -> F:
    """`-c FILE`: gives the command the path of the settings file as `file`, for reading it again and again."""
    return _file_option("file", click.Path(path_type=Path, resolve_path=True))(command)


def _file_option(name: str, kind: click.ParamType[Any]) -> Callable[[F], F]:
    return click.option(
        "-c",
        "--config",
        name,
        type=kind,
        default="tarazy.yaml",
        show_default=True,
        help="The server's settings file.",
    )


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
"""`--json`: gives the command an `as_json` argument."""


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


@contextmanager
def ledger(settings: Settings) -> Iterator[Engine]:
    """The ledger database with the schema this program needs; faults become one line and a cure."""
    from sqlalchemy.exc import SQLAlchemyError

    from tarazy.accounting.energy.figures import FoldedError
    from tarazy.database.engine import open_engine
    from tarazy.database.schema import SchemaError, require_schema

    engine = open_engine(settings.database_url)
    try:
        with engine.begin() as connection:
            require_schema(connection)
        yield engine
    except (SchemaError, FoldedError) as error:
        raise Wanting(str(error)) from None
    except SQLAlchemyError as error:
        raise Wanting(f"database: {' '.join(str(error.__cause__ or error).split())}") from None
    finally:
        engine.dispose()


class InstantParam(click.ParamType[datetime]):
    """An ISO 8601 instant with its zone, or `now`."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse; a value without a zone is refused, because a legal moment must not be guessed."""
        if isinstance(value, datetime):
            return value
        if value == "now":
            return datetime.now(UTC)
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not an instant; write it as 2026-03-03T12:00:00+05:00", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no zone; add +05:00 for Kazakhstan or Z for UTC", param, ctx)
        return instant.astimezone(UTC)


class MomentParam(click.ParamType["datetime | date"]):
    """An instant with its zone, `now`, or a legal day of Kazakhstan where the time of day is not known."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime | date:
        """Parse; a time of day without a zone is refused."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            return InstantParam().convert(value, param, ctx)


def folding_table(*columns: str) -> Table:
    """A table that cuts nothing off: what is too wide for the terminal is folded. Texts are shown as they are."""
    from tarazy.pool.terminal import PlainTable

    table = PlainTable()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


@contextmanager
def progress_bar(task: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal while work goes on; gives what to tell how much is done, of how much."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(task, total=None)
        yield lambda done, of: progress.update(bar, completed=done, total=of)
