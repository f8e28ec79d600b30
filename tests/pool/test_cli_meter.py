"""`tarazy meter`: files in, corrections, exchanges, and what the intervals say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from tarazy.pool.demo.scenario import EKIBASTUZ
from tests.accounting.energy.test_layout80020 import CODE, day_file
from tests.pool.house import House

HEADER = "meter;quantity;at;count\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The demo's registers with meters that are not read by the pool, without a running server."""
    directory = tmp_path_factory.mktemp("meters")
    made = House(directory / "pool")
    rows = "meter;site;host;port;unit;profile;source;price_tiyn_per_kwh;status;valid_from\n"
    for key in ("file-1", "file-2"):
        rows += f"{key};{EKIBASTUZ};127.0.0.1;502;1;register-kwh;grid;1800;ok;2026-01-01\n"
    file = directory / "meter.csv"
    file.write_text(rows)
    done = made.command("register", "import", str(file))
    assert done.exit_code == 0, done.stderr
    return made


def _json(house: House, *arguments: str) -> Any:
    return json.loads(house.command(*arguments, "--json").stdout)


def _file(directory: Path, text: str) -> str:
    path = directory / "readings.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_registers_come_in_are_corrected_and_fitted(house: House, tmp_path: Path) -> None:
    """A dry run first; twice is once; another count is refused with the cure; every change is witnessed."""
    at = [f"2026-02-01T{hour:02}:00:00+05:00" for hour in range(3)]
    file = _file(tmp_path, HEADER + f"file-1;;{at[0]};100\nfile-1;import;{at[1]};130\n")
    dry = house.command("meter", "import", file, "--dry-run")
    assert (dry.exit_code, "2 added" in dry.stdout, "nothing was recorded" in dry.stdout) == (0, True, True), dry.stderr
    assert _json(house, "meter", "import", file)["added"] == 2
    assert _json(house, "meter", "import", file)["unchanged"] == 2
    book = Workbook()
    for row in (["meter", "quantity", "at", "count"], ["file-1", None, at[1], 140], ["file-1", None, at[2], 150]):
        book.active.append(row)
    book.save(tmp_path / "more.xlsx")
    refused = house.command("meter", "import", str(tmp_path / "more.xlsx"))
    assert (refused.exit_code, "tarazy meter correct" in refused.stderr) == (1, True)
    wrong = house.command("meter", "correct", "file-1", at[1], "140", "--why", "misread")
    assert wrong.exit_code == 0, wrong.stderr
    fitted = house.command(
        "meter", "fit", "file-1", "--since", at[2], "--ct", "400/5", "--final", "150", "--initial", "0", "--why", "worn"
    )
    assert fitted.exit_code == 0, fitted.stderr
    shown = _json(house, "meter", "show", "file-1", "--from", at[0])
    assert [(each["ct_ratio"], each["final_import"]) for each in shown["devices"]] == [("80", 150)]
    assert house.command("meter", "check", "file-1").exit_code == 0
    kinds = house.command("meter", "list")
    assert "file-1" in kinds.stdout


def test_an_80020_file_is_imported_by_its_points(house: House, tmp_path: Path) -> None:
    """The measuring point's code is mapped to a registered meter; an unknown one is told."""
    path = tmp_path / "80020_240140000001_20260302_1056.xml"
    path.write_bytes(day_file([5] * 48))
    unknown = house.command("meter", "import", str(path))
    assert (unknown.exit_code, f"no meter {CODE} is registered" in unknown.stderr) == (1, True)
    assert _json(house, "meter", "import", str(path), "--point", f"{CODE}=file-2")["added"] == 48


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("file-1;;yesterday;5", "column at"),
        ("file-1;;2026-02-02T00:00:00+05:00;-5", "expected a number from 0"),
        ("file-1;both;2026-02-02T00:00:00+05:00;5", "import or export"),
        ("file-1;;2026-02-02T00:00:00+05:00;100000000", "runs to 99999999"),
        ("file-1;;2100-01-01T00:00:00+05:00;5", "lies in the future"),
        ("nobody;;2026-02-02T00:00:00+05:00;5", "no meter nobody is registered"),
    ],
)
def test_a_wrong_row_is_told_and_nothing_recorded(house: House, tmp_path: Path, row: str, words: str) -> None:
    """Exit code 1, one line for each fault."""
    refused = house.command("meter", "import", _file(tmp_path, HEADER + row + "\n"))
    assert (refused.exit_code, words in refused.stderr) == (1, True), refused.stderr
