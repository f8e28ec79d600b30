"""`tarazy case`: applications for permits and for the pool's accreditation, from filing to the last appeal."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tarazy.accreditation.procedure.events import CONTENTS, Kind, content_of
from tarazy.config.law.calendar import legal_day
from tarazy.config.law.services import SERVICES, FormKind, Service
from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import (
    InstantParam,
    MomentParam,
    Wanting,
    json_option,
    ledger,
    print_json,
    settings_option,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tarazy.accreditation.procedure.case import Case
    from tarazy.accreditation.procedure.deadlines import Deadline
    from tarazy.accreditation.procedure.store import File, Report
    from tarazy.accreditation.procedure.warnings import CaseWarning
    from tarazy.config.law import LawBook
    from tarazy.config.law.services import StateServiceRule

F = TypeVar("F", bound=Callable[..., Any])

_SERVICE = click.Choice([service.value for service in Service])
_NOW = click.option("--as-of", type=InstantParam(), default="now", show_default=True, help="Seen on this day.")


@click.group()
def case() -> None:
    """Cases of state services: permits of parties, the pool's own accreditation and its renewal.

    A case is a record of what happened. Nothing in it is changed; a wrong event is corrected by another.
    """


def _reporting(command: F) -> F:
    """Options of a command that records an event."""
    options = [
        click.option(
            "--at",
            "when",
            type=MomentParam(),
            default="now",
            show_default=True,
            help="When it happened: an instant with its zone, or a day.",
        ),
        click.option(
            "--attach",
            "files",
            multiple=True,
            metavar="CODE=FILE",
            help="A document; CODE as `case template` names it, or `other`. May be repeated.",
        ),
        click.option("--corrects", type=int, help="Number of the event in whose place this one stands."),
        click.option("--why", help="Why it is corrected."),
        click.option("--note", help="Kept with the event."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@case.command("open")
@click.argument("key")
@settings_option
@click.option("--service", type=_SERVICE, required=True, help="The state service applied for.")
@click.option("--party", help="Whose permit it is; absent for the pool's own accreditation.")
@json_option
def open_(key: str, settings: Settings, service: str, party: str | None, as_json: bool) -> None:
    """Open case KEY."""
    from tarazy.accreditation.procedure.store import open_case

    with ledger(settings) as engine, _told(), engine.begin() as connection:
        open_case(connection, key, Service(service), party, datetime.now(UTC), getpass.getuser())
    if as_json:
        print_json({"case": key, "service": service, "party": party, "stage": "opened"})
    else:
        click.echo(f"case {key} is open; fill in what `tarazy case template {service}` writes, then `tarazy case file`")


@case.command("template")
@click.argument("service", type=_SERVICE)
@settings_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Standard output when absent.")
def template(service: str, settings: Settings, output: Path | None) -> None:
    """Write a file with every field that an application of SERVICE fills in, and the codes of its documents."""
    with _told():
        rule = _law(settings).rule(SERVICES[Service(service)], legal_day(datetime.now(UTC)))
    text = "\n".join(_template(rule)) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _template(rule: StateServiceRule) -> Iterator[str]:
    from tarazy.accreditation.procedure.filing import OTHER, fields_to_fill

    yield f"# Application by the rule {rule.id}. A field may be given for each language: purpose_kk, purpose_ru."
    if rule.forms is None:
        yield "# Its fields are not known: name your own."
        yield f"# Or fill in forms of the rule when {rule.unread or rule.act} has been read."
    for field in fields_to_fill(rule):
        yield f"# {field.name.ru} / {field.name.kk}"
        if field.parts is None:
            yield f'{field.code}: ""'
            continue
        yield f"{field.code}:"
        for number, code in enumerate(field.parts):
            yield f'  {"- " if number == 0 else "  "}{code}: ""'
    for document in rule.documents or ():
        codes = ", ".join(sorted(document.codes))
        yield f"# --attach CODE=FILE for {document.name.en}: {codes}"
    yield f"# --attach {OTHER}=FILE for anything else"


@case.command("file")
@click.argument("key")
@click.argument("application", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_option
@_reporting
@json_option
def file(
    key: str,
    application: Path,
    settings: Settings,
    when: datetime | date,
    files: tuple[str, ...],
    corrects: int | None,
    why: str | None,
    note: str | None,
    as_json: bool,
) -> None:
    """Record that the APPLICATION (a YAML file) of case KEY was filed. Empty fields and documents are told."""
    from tarazy.accreditation.procedure.filing import missing_documents, missing_fields
    from tarazy.accreditation.procedure.store import Report

    fields = _filled(_mapping(application))
    with _told():
        content = content_of(Kind.FILED, {"application": fields})
        attached = [_file(text) for text in files]
    report = Report(kind=Kind.FILED, when=when, content=content, files=attached, corrects=corrects, why=why, note=note)
    recorded = _record(settings, key, report, as_json)
    rule = recorded.rule(_law(settings), legal_day(datetime.now(UTC)))
    for code in missing_fields(recorded.application, rule):
        click.echo(f"note: the field {code} is empty", err=True)
    filed = recorded.course.first(Kind.FILED)
    for code in missing_documents((item.code for item in (filed.attachments if filed else ())), rule):
        click.echo(f"note: no document {code} is attached", err=True)


@case.command("event")
@click.argument("key")
@click.argument("kind", type=click.Choice([kind.value for kind in Kind if kind is not Kind.FILED]))
@settings_option
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="What the event says. May be repeated.")
@click.option("--data", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A YAML file with the same.")
@_reporting
@json_option
def event(
    key: str,
    kind: str,
    settings: Settings,
    values: tuple[str, ...],
    data: Path | None,
    when: datetime | date,
    files: tuple[str, ...],
    corrects: int | None,
    why: str | None,
    note: str | None,
    as_json: bool,
) -> None:
    """Record what happened in case KEY; `tarazy case show` names what may happen next and what each event says."""
    from tarazy.accreditation.procedure.store import Report

    given: dict[str, Any] = _mapping(data) if data else {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text!r}: write NAME=VALUE", param_hint="--set")
        given[name] = value if name not in given else [*_many(given[name]), value]
    with _told():
        report = Report(
            kind=Kind(kind),
            when=when,
            content=content_of(Kind(kind), given),
            files=[_file(text) for text in files],
            corrects=corrects,
            why=why,
            note=note,
        )
    _record(settings, key, report, as_json)


@case.command("show")
@click.argument("key")
@settings_option
@_NOW
@json_option
def show(key: str, settings: Settings, as_of: datetime, as_json: bool) -> None:
    """Show case KEY: its record, where it stands, what may come next, its terms and warnings."""
    shown = _load(settings, key)
    law, today = _law(settings), legal_day(as_of)
    with _told():
        view = _view(shown, law, today)
    if as_json:
        print_json(view)
        return
    click.echo(f"case {shown.key}: {shown.service}, {shown.party or 'the pool itself'}; {_stands(shown)}")
    for item in shown.record:
        corrects = f", corrects {item.corrects}: {item.why}" if item.corrects else ""
        click.echo(f"  {item.number}. {moments.told(item.at)} {item.side}: {item.kind}{corrects}")
        for name, value in item.plain["content"].items():
            click.echo(f"       {name}: {value}")
        for attached in item.attachments:
            click.echo(f"       {attached.code}: {attached.title} (sha256 {attached.digest})")
    click.echo("may follow:" if shown.course.allowed else "nothing may follow: the case is closed")
    for kind in shown.course.allowed:
        says = ", ".join(CONTENTS[kind][1].model_fields)
        click.echo(f"  {kind}" + (f" ({says})" if says else ""))
    _print_deadlines([(shown.key, view["deadlines"])])
    for warning in view["warnings"]:
        click.echo(f"{warning['severity']}: {warning['text']}")


@case.command("list")
@settings_option
@click.option("--all", "closed_too", is_flag=True, help="Closed cases too.")
@json_option
def list_(settings: Settings, closed_too: bool, as_json: bool) -> None:
    """List the open cases."""
    from tarazy.accreditation.procedure.store import all_cases

    found = [item for item in _read(settings, all_cases) if closed_too or item.course.open]
    if as_json:
        print_json([_summary(item) for item in found])
        return
    for item in found:
        click.echo(f"{item.key}: {item.service}, {item.party or 'the pool itself'}; {_stands(item)}")
    if not found:
        click.echo("no case" if closed_too else "no open case")


@case.command("deadlines")
@click.argument("key", required=False)
@settings_option
@_NOW
@json_option
def deadlines_(key: str | None, settings: Settings, as_of: datetime, as_json: bool) -> None:
    """Every term of case KEY, or of all open cases, and what there is to know of them. Exit code 1: one is overdue."""
    from tarazy.accreditation.procedure.store import all_cases
    from tarazy.accreditation.procedure.warnings import WarningKind, open_warnings, warnings_of
    from tarazy.config.law.working_days import WorkingDays

    law, today = _law(settings), legal_day(as_of)
    days = WorkingDays(law)
    if key is None:
        cases = [item for item in _read(settings, all_cases) if item.course.open]
        warnings = open_warnings(cases, law, days, today)
    else:
        cases = [_load(settings, key)]
        warnings = warnings_of(cases[0], law, days, today)
    terms = [(item.key, _terms(item, law, today)) for item in cases]
    if as_json:
        print_json({"deadlines": dict(terms), "warnings": [_warning(item) for item in warnings]})
    else:
        _print_deadlines(terms)
        for item in warnings:
            click.echo(f"{item.severity}: {item.case}: {_warning(item)['text']}")
    urgent = (WarningKind.OVERDUE, WarningKind.HEARING_NO_LONGER_FITS, WarningKind.HEARING_TOO_LATE)
    if any(item.kind in urgent for item in warnings):
        raise click.exceptions.Exit(Wanting.exit_code)


@case.command("print")
@click.argument("key")
@click.argument("form", type=click.Choice([form.value for form in FormKind]))
@settings_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Directory; DATA/cases if absent."
)
@json_option
def print_(key: str, form: str, settings: Settings, output: Path | None, as_json: bool) -> None:
    """Print a form of case KEY in Kazakh and Russian, filled in from its record. It is neither official nor signed."""
    from tarazy.reports.forms import write_forms

    shown = _load(settings, key)
    directory = output or settings.data / "cases"
    with _told():
        rule = shown.rule(_law(settings), legal_day(datetime.now(UTC)))
        try:
            paths = write_forms(shown, FormKind(form), rule, settings.pool.name, directory)
        except OSError as error:
            raise Wanting(f"{directory}: cannot be written: {error.strerror}; choose another with -o") from None
    if as_json:
        print_json({"case": key, "form": form, "paths": [str(path) for path in paths]})
        return
    for path in paths:
        click.echo(path)


@contextmanager
def _told() -> Iterator[None]:
    """Whatever is wrong with a case becomes a line for each fault, and exit code 1."""
    from pydantic import ValidationError

    from tarazy.config.law import NoRuleInForceError

    try:
        yield
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise Wanting("\n".join(lines)) from None
    except (ValueError, NoRuleInForceError) as error:
        raise Wanting(str(error)) from None


def _law(settings: Settings) -> LawBook:
    from tarazy.config.law import LawError, load_law

    try:
        return load_law(settings.law.assumptions, settings.law.directory)
    except LawError as error:
        raise Wanting(str(error)) from None


def _read(settings: Settings, read: Callable[[Connection], Any]) -> Any:
    from tarazy.database.engine import reader

    with ledger(settings) as engine, reader(engine).begin() as connection:
        return read(connection)


def _load(settings: Settings, key: str) -> Case:
    from tarazy.accreditation.procedure.store import load

    with _told():
        found: Case = _read(settings, lambda connection: load(connection, key))
    return found


def _record(settings: Settings, key: str, report: Report, as_json: bool) -> Case:
    from tarazy.accreditation.procedure.store import record

    law, now = _law(settings), datetime.now(UTC)
    with ledger(settings) as engine, _told(), engine.begin() as connection:
        recorded = record(connection, key, report, law, now, getpass.getuser())
    entered = recorded.entered
    if as_json:
        print_json(
            {
                **_summary(recorded.case),
                "event": recorded.event.number,
                "entered": None if entered is None else {"register": entered[0], "key": entered[1]},
            }
        )
        return recorded.case
    click.echo(f"event {recorded.event.number} ({recorded.event.kind}); {_stands(recorded.case)}")
    if entered is not None:
        click.echo(f"entered in the register: {entered[0]} {entered[1]}")
    return recorded.case


def _mapping(path: Path) -> dict[str, Any]:
    from tarazy.config.yaml_file import YamlFileError, read_yaml

    try:
        given = read_yaml(path)
    except YamlFileError as error:
        raise Wanting(str(error)) from None
    if not isinstance(given, dict):
        raise Wanting(f"{path}: must be a mapping of fields to values")
    return {str(name): value for name, value in given.items()}


def _filled(value: Any) -> Any:
    """A mapping without what a template left empty, at any depth."""
    if isinstance(value, dict):
        kept = {name: _filled(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if part not in ("", None, {}, [])}
    if isinstance(value, list):
        return [part for part in map(_filled, value) if part not in ("", None, {}, [])]
    return value


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _file(text: str) -> File:
    from tarazy.accreditation.procedure.store import File

    code, separator, name = text.partition("=")
    path = Path(name)
    if not separator or not path.is_file():
        raise ValueError(f"--attach {text}: write CODE=FILE with a file that is there")
    return File(code, path.name, path.read_bytes())


def _stands(item: Case) -> str:
    from tarazy.accreditation.procedure.machine import Appeal
    from tarazy.reports.language import text

    stage = text("en", f"cases.stage.{item.course.stage}")
    appeal = item.course.appeal
    return stage if appeal is Appeal.NONE else f"{stage}; {text('en', f'cases.appeal.{appeal}')}"


def _summary(item: Case) -> dict[str, Any]:
    course = item.course
    return {
        "case": item.key,
        "service": item.service,
        "party": item.party,
        "stage": course.stage,
        "appeal": course.appeal,
        "open": course.open,
        "may_follow": list(course.allowed),
    }


def _view(item: Case, law: LawBook, today: date) -> dict[str, Any]:
    from tarazy.accreditation.procedure.warnings import warnings_of
    from tarazy.config.law.working_days import WorkingDays

    warnings = warnings_of(item, law, WorkingDays(law), today)
    return {
        **_summary(item),
        "opened_at": item.opened_at,
        "opened_by": item.opened_by,
        "digest": item.digest,
        "events": [
            {**row.plain, "side": row.side, "recorded_at": row.recorded_at, "recorded_by": row.recorded_by}
            for row in item.record
        ],
        "deadlines": _terms(item, law, today),
        "warnings": [_warning(warning) for warning in warnings],
    }


def _terms(item: Case, law: LawBook, today: date) -> list[dict[str, Any]]:
    from tarazy.accreditation.procedure.deadlines import deadlines
    from tarazy.config.law import NoRuleInForceError
    from tarazy.config.law.working_days import WorkingDays

    try:
        return [_term(deadline, today) for deadline in deadlines(item, law, WorkingDays(law), today)]
    except NoRuleInForceError:
        return []


def _term(deadline: Deadline, today: date) -> dict[str, Any]:
    from tarazy.reports.cases import missing_text

    rule = deadline.rule
    return {
        "step": deadline.step,
        "who": deadline.who,
        "begins": deadline.begins.isoformat(),
        "due": None if deadline.due is None else deadline.due.isoformat(),
        "unknown": missing_text("en", deadline) if deadline.due is None else None,
        "done": None if deadline.done is None else deadline.done.isoformat(),
        "progress": deadline.progress(today),
        "doubts": sorted(deadline.doubts),
        "rule": {"id": rule.id, "act": rule.act, "article": rule.article, "confirmed": rule.confirmed},
    }


def _warning(warning: CaseWarning) -> dict[str, Any]:
    from tarazy.reports.cases import warning_text

    return {
        "case": warning.case,
        "kind": warning.kind,
        "severity": warning.severity,
        "step": warning.step,
        "due": None if warning.due is None else warning.due.isoformat(),
        "working_days_left": warning.days_left,
        "confirmed": warning.deadline is not None and warning.deadline.rule.confirmed,
        "text": warning_text("en", warning),
    }


def _print_deadlines(terms: list[tuple[str, list[dict[str, Any]]]]) -> None:
    from tarazy.reports.language import text

    for key, rows in terms:
        rules = {row["rule"]["id"]: row["rule"]["confirmed"] for row in rows}
        if rows:
            named = ", ".join(name if confirmed else f"{name}, unconfirmed" for name, confirmed in rules.items())
            click.echo(f"terms of {key} (by {named}):")
        for row in rows:
            step, who = text("en", f"cases.step.{row['step']}"), text("en", f"cases.side.{row['who']}")
            done = f"; done on {row['done']}" if row["done"] else ""
            progress = text("en", f"cases.progress.{row['progress']}")
            click.echo(f"  {row['due'] or '?':10}  {step} ({who}): {row['unknown'] or progress}{done}")
        for doubt in sorted({doubt for row in rows for doubt in row["doubts"]}):
            click.echo(f"  not certain: {text('en', f'cases.doubt.{doubt}')}")
