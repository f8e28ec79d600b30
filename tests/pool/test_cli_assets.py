"""`tarazy value` and `tarazy sale`: files in, rows out, and every fault told in a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from tests.pool.house import House, wait_until

SOURCE = "kgd.gov.kz, 2025"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The demo's registers, without a running server."""
    return House(tmp_path_factory.mktemp("assets") / "pool")


def _file(directory: Path, text: str, name: str = "table.csv") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def _json(house: House, *arguments: str) -> Any:
    return json.loads(house.command(*arguments, "--json").stdout)


def test_values_are_imported_shown_and_corrected(house: House, tmp_path: Path) -> None:
    """CSV with commas in the numbers, then XLSX; the file is kept by digest, a correction needs a reason."""
    file = _file(tmp_path, "asset;day;value_kzt\nbtc;07.11.2025;53 000 000,10\nLitecoin;2025-11-07;50000\n")
    dry = house.command("value", "import", str(file), "--source", SOURCE, "--dry-run")
    assert (dry.exit_code, "2 added" in dry.stdout, "nothing was recorded" in dry.stdout) == (0, True, True), dry.stderr
    assert _json(house, "value", "import", str(file), "--source", SOURCE)["added"] == 2
    assert _json(house, "value", "import", str(file), "--source", SOURCE)["unchanged"] == 2
    sunday = _json(house, "value", "show", "2025-11-09")
    assert (sunday["value_day"], sunday["value_kzt"], sunday["source"]) == ("2025-11-07", "53000000.10", SOURCE)
    assert sunday["digest"] == sha256(file.read_bytes()).hexdigest()
    book = Workbook()
    book.active.append(["asset", "day", "value_kzt"])
    book.active.append(["Bitcoin", "2025-11-07", 53000000.25])
    book.save(tmp_path / "new.xlsx")
    refused = house.command("value", "import", str(tmp_path / "new.xlsx"), "--source", SOURCE)
    assert (refused.exit_code, "give --why to correct it" in refused.stderr) == (1, True)
    house.command("value", "import", str(tmp_path / "new.xlsx"), "--source", SOURCE, "--why", "published anew")
    assert _json(house, "value", "show", "2025-11-07")["value_kzt"] == "53000000.25"


def test_no_figure_says_why(house: House) -> None:
    """Exit code 1, and one line that says what to do."""
    shown = house.command("value", "show", "2025-11-11")
    assert (shown.exit_code, "import the published file" in shown.stderr) == (1, True)
    assert "no rule" in house.command("value", "show", "2024-01-10").stderr


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("Bitcoin;2025-11-07;53,000", "row 2, column value_kzt: expected tenge"),
        ("Bitcoin;2025-11-07;-5", "expected tenge"),
        ("Bitcoin;2025-11-07;0,00", "expected tenge"),
        ("Bitcoin;2025-11-07;1e9", "expected tenge"),
        ("Bitcoin;2025-11-07;" + "9" * 100, "expected tenge"),
        ("Bitcoin;2025-11-07;NaN", "expected tenge"),
        ("Bitcoin;2025-11-07;", "is empty"),
        ("Bitcoin;31.02.2025;5", "column day: expected a day"),
        ("=cmd();2025-11-07;5", "take for a formula"),
        ("Bitcoin;2025-11-07;5;6", "more cells than columns"),
        ("Bitcoin;2025-11-07;5\nBitcoin;2025-11-07;6", "two values"),
        ('Bitcoin;2025-11-07;"5', "check the quotes"),
        ("Bitcoin;2025-11-07;\0", "a binary file"),
    ],
)
def test_hostile_values_are_refused(house: House, tmp_path: Path, row: str, fault: str) -> None:
    """Nothing of the file is recorded, and the fault is named with its place."""
    file = _file(tmp_path, f"asset;day;value_kzt\n{row}\n")
    refused = house.command("value", "import", str(file), "--source", SOURCE)
    assert (refused.exit_code, fault in refused.stderr) == (1, True), refused.stderr


@pytest.mark.parametrize(
    ("header", "name", "fault"),
    [
        ("asset;day;value_kzt;\x1b[2Jx", "table.csv", r"column \x1b[2jx: no such column"),
        ("asset;day;value_kzt", "\x1b[2J.csv", r"\x1b[2J.csv: its name holds control characters"),
        ("asset;day;value_kzt", os.fsdecode(b"\xff.csv"), r"\udcff.csv: its name holds control characters"),
    ],
)
def test_nothing_of_a_file_is_carried_out_on_a_terminal(
    house: House, tmp_path: Path, header: str, name: str, fault: str
) -> None:
    """Names of files and columns are shown, and are kept only where every screen and page can show them."""
    file = _file(tmp_path, f"{header}\nBitcoin;2025-11-07;5\n", name)
    refused = house.command("value", "import", str(file), "--source", SOURCE)
    assert (refused.exit_code, fault in refused.stderr, "\x1b" in refused.stderr) == (1, True, False), refused.stderr


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_a_document_is_a_file_of_its_folder(house: House, tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A link would take in a file from elsewhere, a pipe would be waited for."""
    make(tmp_path / "deal.pdf")
    header = "party;exchange;exchange_licence;deal;asset;quantity;sold_at;document"
    table = _file(tmp_path, f"{header}\naltyn;E;;9;Bitcoin;5;2025-03-03;deal.pdf\n")
    refused = house.command("sale", "import", str(table))
    assert (refused.exit_code, "put the file itself there" in refused.stderr) == (1, True), refused.stderr


def test_sales_are_recorded_with_documents(house: House, tmp_path: Path) -> None:
    """One by one and by file; a correction is a new row, a quantity of 0 takes a sale back."""
    paper = _file(tmp_path, "Deal 7001", "7001.txt")
    columns = ("--party", "altyn", "--exchange", "Exchange", "--exchange-licence", "AFSA-1", "--deal", "7001")
    told = ("--quantity", "150000000", "--sold-at", "2025-03-02T15:00:00+05:00", "--document", str(paper))
    made = house.command("sale", "add", *columns, *told)
    assert (made.exit_code, "1 added" in made.stdout) == (0, True), made.stderr
    table = _file(
        tmp_path,
        "party;exchange;exchange_licence;deal;asset;quantity;sold_at;document\n"
        "altyn;Exchange;AFSA-1;7001;Bitcoin;150000000;2025-03-02T15:00;7001.txt\n"
        "altyn;Elsewhere;;1;Bitcoin;5;2025-03-03;\n",
    )
    assert _json(house, "sale", "import", str(table)) == {"recorded": True, "added": 1, "corrected": 0, "unchanged": 1}
    first, second = _json(house, "sale", "list", "--year", "2025")
    assert (first["deal"], first["document"]) == ("7001", sha256(paper.read_bytes()).hexdigest())
    assert (second["exchange_licence"], second["document"]) == (None, None)
    taken = ("--party", "altyn", "--exchange", "Elsewhere", "--deal", "1", "--quantity", "0", "--sold-at", "2025-03-03")
    assert "--why" in house.command("sale", "add", *taken).stderr
    house.command("sale", "add", *taken, "--why", "not a sale")
    assert [each["deal"] for each in _json(house, "sale", "list", "--party", "altyn")] == ["7001"]
    assert "missing" not in house.command("sale", "list").stdout


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("nobody;E;;9;Bitcoin;5;2025-03-03;", "no party nobody is registered"),
        ("altyn;E;;9;Bitcoin;0,5;2025-03-03;", "column quantity: expected a whole number"),
        ("altyn;E;;9;Bitcoin;0;2025-03-03;", "nothing was sold"),
        ("altyn;E;;9;Bitcoin;5;2199-01-01;", "lies in the future"),
        ("altyn;E;;9;Bitcoin;5;2025-03-03;../../etc/passwd", "without a path"),
        ("altyn;E;;9;Bitcoin;5;2025-03-03;none.pdf", "document none.pdf: No such file"),
        ("altyn;E;;9;Bitcoin;5;2025-03-03;\naltyn;E;;9;Bitcoin;6;2025-03-03;", "told twice"),
    ],
)
def test_hostile_sales_are_refused(house: House, tmp_path: Path, row: str, fault: str) -> None:
    """Nothing of the file is recorded."""
    header = "party;exchange;exchange_licence;deal;asset;quantity;sold_at;document"
    refused = house.command("sale", "import", str(_file(tmp_path, f"{header}\n{row}\n")))
    assert (refused.exit_code, fault in refused.stderr) == (1, True), refused.stderr
    assert not [each for each in _json(house, "sale", "list") if each["exchange"] == "E"]


def test_statements_and_records_are_built(house: House, tmp_path: Path) -> None:
    """Three languages of each; a record's next version needs a reason, and a period is told in one way."""
    where = ("-o", str(tmp_path))
    month = ("--from", "2026-03-01", "--to", "2026-03-31")
    command = ("report", "build", "statement", "--party", "altyn", *month, *where, "--json")
    built = wait_until(lambda: house.command(*command).stdout)  # the registers must be five seconds old
    assert [Path(path).suffix for path in json.loads(built)["paths"]] == [
        ".json",
        *[".pdf", ".xlsx", ".csv", ".html"] * 3,
        ".sha256",
        ".audit",
    ]
    first = ("report", "build", "distributed", "--period", "2026-03", *where)
    again = ("--as-of", _json(house, *first)["as_of"])
    assert house.command(*first, *again).exit_code == 0
    # within the second of the first it is the first built again
    refused = wait_until(lambda: (refused := house.command(*first)).exit_code and refused)
    assert (refused.exit_code, "say with --why" in refused.stderr) == (1, True)
    (second,) = (path for path in _json(house, *first, "--why", "licence corrected")["paths"] if path.endswith(".json"))
    told = json.loads(Path(second).read_text(encoding="utf-8"))
    assert (told["version"], told["corrects"]["version"], told["corrects"]["why"]) == (2, 1, "licence corrected")


@pytest.mark.parametrize(
    ("options", "code", "fault"),
    [
        (("--period", "2026-13"), 2, "write a year, quarter or month"),
        (("--from", "2026-03-01"), 2, "with both --from and --to"),
        (("--from", "2026-03-02", "--to", "2026-03-01"), 2, "before it begins"),
        (("--period", "2026", "--from", "2026-03-02", "--to", "2026-03-03"), 2, "either with --period"),
        ((), 1, "name a period, such as --period"),
        (("--period", "2026-03"), 1, "name it with --party"),
    ],
)
def test_a_period_is_told_in_one_way(house: House, options: tuple[str, ...], code: int, fault: str) -> None:
    """One line says how."""
    refused = house.command("report", "build", "statement", *options)
    assert (refused.exit_code, fault in refused.stderr) == (code, True), refused.stderr
