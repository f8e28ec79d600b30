"""`tarazy case`: a permit from the opening of its case to the register, and what is refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.accreditation.procedure.world import APPLICATION
from tests.pool.house import House, run_command

SERVICE = "secured_asset_permit"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Settings, ledger and registers, without a running server."""
    return House(tmp_path_factory.mktemp("cases") / "pool")


def answer(house: House, *arguments: str, code: int = 0) -> Any:
    """What a command prints as JSON."""
    result = house.command("case", *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def refusal(house: House, *arguments: str, code: int = 1) -> str:
    """What a command says on standard error when it refuses."""
    result = house.command("case", *arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stderr


@pytest.fixture
def application(tmp_path: Path) -> str:
    """A file with an application."""
    path = tmp_path / "application.yaml"
    path.write_text(yaml.safe_dump(APPLICATION, allow_unicode=True), encoding="utf-8")
    return str(path)


def test_a_permit_from_application_to_register(house: House, application: str, tmp_path: Path) -> None:
    """Each command answers with where the case stands and what may follow."""
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(b"%PDF-1.4 letter")
    assert answer(house, "open", "permit-1", "--service", SERVICE, "--party", "altyn")["stage"] == "opened"
    filed = house.command(
        *("case", "file", "permit-1", application, "--at", "2025-06-09T10:00:00+05:00"),
        *("--attach", f"node_guarantee={letter}"),
    )
    assert filed.exit_code == 0, filed.output
    assert "note: no document basis is attached" in filed.stderr
    assert "node_guarantee" not in filed.stderr
    assert "is empty" not in filed.stderr
    registered = answer(house, "event", "permit-1", "registered", "--set", "number=ЖТ-1", "--at", "2025-06-09")
    assert registered["stage"] == "registered"
    assert "granted" in registered["may_follow"]
    answer(house, "event", "permit-1", "documents_complete", "--at", "2025-06-11")
    granted = answer(
        house,
        *("event", "permit-1", "granted", "--set", "number=KZ-130-0001", "--set", "issued_by=Уполномоченный орган"),
        *("--at", "2025-06-16"),
    )
    assert granted["entered"] == {"register": "permit", "key": "KZ-130-0001"}
    rows = json.loads(house.command("register", "show", "permit", "--json").stdout)
    assert [(row["permit"], row["party"]) for row in rows] == [("KZ-130-0001", "altyn")]
    view = answer(house, "show", "permit-1")
    assert [row["kind"] for row in view["events"]] == ["filed", "registered", "documents_complete", "granted"]
    assert {row["progress"] for row in view["deadlines"]} == {"met", "closed"}
    paths = answer(house, "print", "permit-1", "grant", "-o", str(tmp_path / "forms"))["paths"]
    assert [Path(path).name for path in paths] == ["permit-1-grant.kk.pdf", "permit-1-grant.ru.pdf"]
    assert all(Path(path).read_bytes().startswith(b"%PDF-") for path in paths)
    people = house.command("case", "show", "permit-1")
    assert "granted" in people.stdout
    assert "terms of permit-1 (by service-secured-asset-permit-2023, unconfirmed):" in people.stdout
    assert "2025-06-16  whole service (provider): done in time; done on 2025-06-16" in people.stdout
    assert "permit-1" not in house.command("case", "list").stdout
    assert "permit-1" in house.command("case", "list", "--all").stdout


def test_deadlines_of_open_cases_and_their_exit_code(house: House, application: str) -> None:
    """1 while anything is overdue, as a monitor wants it; seen on another day it was not."""
    answer(house, "open", "permit-2", "--service", SERVICE, "--party", "altyn")
    house.command("case", "file", "permit-2", application, "--at", "2025-06-09T10:00:00+05:00")
    answer(house, "event", "permit-2", "registered", "--set", "number=ЖТ-2", "--at", "2025-06-09T11:00:00+05:00")
    early = answer(house, "deadlines", "--as-of", "2025-06-10T12:00:00+05:00")
    assert {row["step"]: row["due"] for row in early["deadlines"]["permit-2"]}["whole"] == "2025-06-16"
    late = answer(house, "deadlines", "permit-2", "--as-of", "2025-06-12T12:00:00+05:00", code=1)
    assert {"hearing_no_longer_fits", "overdue"} <= {row["kind"] for row in late["warnings"]}
    people = house.command("case", "deadlines", "--as-of", "2025-06-12T12:00:00+05:00")
    assert people.exit_code == 1
    assert "critical: permit-2: a lawful hearing no longer fits" in people.stdout


def test_accreditation_tells_what_to_fill_in(house: House, tmp_path: Path) -> None:
    """No day, no form: the act to read instead."""
    answer(house, "open", "pool-1", "--service", "pool_accreditation")
    path = tmp_path / "own.yaml"
    path.write_text("pool: Таразы\n")
    house.command("case", "file", "pool-1", str(path), "--at", "2026-11-02")
    shown = house.command("case", "show", "pool-1", "--as-of", "2026-11-10T12:00:00+05:00")
    assert "?           registration (provider): not known: fill in hours of the rule" in shown.stdout
    assert "when Order 142/НҚ of 11.04.2023" in shown.stdout
    assert "142/НҚ" in refusal(house, "print", "pool-1", "application")
    assert "142/НҚ" in house.command("case", "template", "pool_accreditation").stdout


def test_corrections_on_the_command_line(house: House, application: str) -> None:
    """A struck event and a corrected one; both need a reason."""
    answer(house, "open", "permit-3", "--service", SERVICE, "--party", "altyn")
    house.command("case", "file", "permit-3", application, "--at", "2025-06-09T10:00:00+05:00")
    answer(house, "event", "permit-3", "registered", "--set", "number=ЖТ-3", "--at", "2025-06-10")
    assert "says why" in refusal(
        house, "event", "permit-3", "registered", "--set", "number=ЖТ-4", "--at", "2025-06-10", "--corrects", "2"
    )
    answer(
        house,
        *("event", "permit-3", "registered", "--set", "number=ЖТ-4", "--at", "2025-06-10"),
        *("--corrects", "2", "--why", "misread"),
    )
    struck = answer(house, "event", "permit-3", "struck", "--corrects", "3", "--why", "another case")
    assert struck["stage"] == "filed"
    assert "corrects 3: another case" in house.command("case", "show", "permit-3").stdout


def test_a_template_can_be_filed(house: House, tmp_path: Path) -> None:
    """Its codes are the rule's; what was left empty is told and not kept."""
    path = tmp_path / "template.yaml"
    assert house.command("case", "template", SERVICE, "-o", str(path)).exit_code == 0
    answer(house, "open", "permit-4", "--service", SERVICE, "--party", "altyn")
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    plain = [{code.removesuffix("_kk").removesuffix("_ru") for code in codes} for codes in (given, APPLICATION)]
    assert plain[0] == plain[1]
    given["activity_addresses"][0]["city"] = "Астана"
    path.write_text(yaml.safe_dump(given, allow_unicode=True), encoding="utf-8")
    filed = house.command("case", "file", "permit-4", str(path))
    assert filed.exit_code == 0, filed.output
    assert "note: the field platform_name is empty" in filed.stderr
    assert "activity_addresses" not in filed.stderr
    (event,) = answer(house, "show", "permit-4")["events"]
    assert event["content"] == {"application": {"activity_addresses": [{"city": "Астана"}]}}


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (("open", "x-1", "--service", SERVICE), 1, "a party's: name it"),
        (("open", "x-1", "--service", "barber"), 2, "secured_asset_permit"),
        (("show", "nowhere"), 1, "see `case list`"),
        (("event", "nowhere", "withdrawn"), 1, "there is no case nowhere"),
        (("event", "x", "granted", "--set", "number"), 2, "write NAME=VALUE"),
        (("event", "x", "granted"), 1, "number: Field required"),
        (("event", "x", "refused", "--set", "grounds=two", "--set", "reasons=x"), 1, "grounds.0: Input should be"),
        (("event", "x", "withdrawn", "--at", "2025-06-09T10:00:00"), 2, "has no zone"),
        (("event", "x", "withdrawn", "--at", "soon"), 2, "is not an instant"),
        (("event", "x", "withdrawn", "--attach", "other=/nowhere"), 1, "write CODE=FILE"),
        (("event", "x", "withdrawn", "--set", "colour=red"), 1, "colour: Extra inputs"),
        (("print", "nowhere", "grant"), 1, "there is no case"),
    ],
)
def test_misuse_is_told(house: House, arguments: tuple[str, ...], code: int, fault: str) -> None:
    """Exit code and cure."""
    assert fault in refusal(house, *arguments, code=code)


def test_help_names_the_commands() -> None:
    """`tarazy case --help`."""
    text = run_command("case", "--help").stdout
    for command in ("open", "template", "file", "event", "show", "list", "deadlines", "print"):
        assert command in text


def test_a_case_changed_behind_the_logs_back_is_found(tmp_path: Path, application: str) -> None:
    """`tarazy audit check` looks at cases too."""
    house = House(tmp_path / "pool")
    answer(house, "open", "permit-1", "--service", SERVICE, "--party", "altyn")
    house.command("case", "file", "permit-1", application, "--at", "2025-06-09T10:00:00+05:00")
    house.command("audit", "head", "--sign")
    assert house.command("audit", "check").exit_code == 0
    with closing(sqlite3.connect(house.settings.data / "tarazy.db")) as database:
        database.execute("UPDATE case_event SET note = 'changed'")
        database.commit()
    found = house.command("audit", "check")
    assert found.exit_code == 1
    assert "case permit-1, event 1: it was changed after it was recorded" in found.stderr
