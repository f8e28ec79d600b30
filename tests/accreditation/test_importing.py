"""Spreadsheets into the registers: everything checked first, nothing half done, hostile files answered."""

from __future__ import annotations

import io
import time
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy import Engine

from tarazy.accreditation import sheets
from tarazy.accreditation.checking import COOLING
from tarazy.accreditation.entries import (
    BY_HAND,
    EnergyBy,
    EnergySource,
    Party,
    Quota,
    Supply,
    Wallet,
    WalletStatus,
    fields_of,
)
from tarazy.accreditation.exporting import columns_of, to_csv, to_xlsx
from tarazy.accreditation.fields import read_coordinates, read_day, read_hash_rate
from tarazy.accreditation.importing import (
    ImportPlan,
    import_registers,
    plan_import,
)
from tarazy.accreditation.registers import append_all, as_of, registers_version, revoke_licence
from tarazy.accreditation.sheets import RegisterImportError, read_table
from tarazy.accreditation.tables import REGISTERS
from tarazy.config.law import load_law
from tests.accreditation.world import NOW, START, machine, meter, world

LAW = load_law()
PARTY = (
    "party;bin;kind;account;name_kk;name_ru;name_en;valid_from;valid_to;note\n"
    "acme;240140000001;legal;ACME;«Акме» ЖШС;ТОО\u00a0«Акме»;Acme LLP;2026-01-01;;\n"
)
LICENCE = (
    "licence,party,kind,issued_on,status,valid_from,valid_to\n"
    "ЦМ-0001,acme,I,01.02.2026,in_force,01.02.2026,31.01.2029\n"
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """A file for import."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(engine: Engine, *paths: Path, kind: str | None = None) -> ImportPlan:
    """Import files as one transaction."""
    lines = [line for path in paths for line in read_table(path, kind)]
    with engine.begin() as connection:
        return import_registers(connection, lines, NOW, "operator", LAW)


def faults(engine: Engine, *paths: Path) -> list[str]:
    """The lines of a refused import; nothing may have been recorded."""
    with pytest.raises(RegisterImportError) as raised:
        load(engine, *paths)
    with engine.connect() as connection:
        assert set(registers_version(connection)) == {0}
    return str(raised.value).splitlines()


def refusal(path: Path) -> str:
    """Why a file is no table."""
    with pytest.raises(RegisterImportError) as raised:
        read_table(path)
    return str(raised.value)


def test_csv_files_of_two_registers_import_together(tmp_path: Path, engine: Engine) -> None:
    """Either separator, byte order mark, days in both spellings; the licence may come before its party."""
    party = write(tmp_path, "party.csv", "\ufeff" + PARTY)
    licence = write(tmp_path, "Licence.csv", LICENCE)
    plan = load(engine, licence, party)
    assert (plan.added, plan.unchanged, plan.warnings) == ({"party": 1, "licence": 1}, {}, ())
    with engine.connect() as connection:
        registers = as_of(connection, NOW)
    assert registers.accounts["acme"].name_kk == "«Акме» ЖШС"
    assert registers.accounts["acme"].name_ru == "ТОО «Акме»"
    row = registers.licences["ЦМ-0001"]
    assert row.issued_on == date(2026, 2, 1)
    assert row.valid_from == datetime(2026, 1, 31, 19, tzinfo=UTC)
    assert row.valid_to == datetime(2029, 1, 31, 19, tzinfo=UTC), "the last valid day is valid to its end"


def test_importing_again_changes_nothing(tmp_path: Path, engine: Engine) -> None:
    """A second import leaves out what is recorded, and never revives what was revoked since."""
    paths = [write(tmp_path, "party.csv", PARTY), write(tmp_path, "licence.csv", LICENCE)]
    load(engine, *paths)
    with engine.begin() as connection:
        revoke_licence(connection, "ЦМ-0001", since=NOW, reason="x", recorded_at=NOW, recorded_by="y")
    plan = load(engine, *paths)
    assert (plan.added, plan.unchanged) == ({}, {"party": 1, "licence": 1})
    with engine.connect() as connection:
        assert as_of(connection, NOW).licences["ЦМ-0001"].status == "revoked"


def test_a_changed_row_corrects_for_a_reason(tmp_path: Path, engine: Engine) -> None:
    """What a file says otherwise from the same day is refused without a reason, and with one replaces the old row."""
    load(engine, write(tmp_path, "party.csv", PARTY))
    path = write(tmp_path, "party.csv", PARTY.replace("Acme LLP", "Akme LLP"))
    with pytest.raises(RegisterImportError, match="row 2, column corrects: entry 1 of acme begins at the same instant"):
        load(engine, path)
    with engine.begin() as connection:
        result = import_registers(connection, read_table(path), NOW, "operator", LAW, why="letter")
        party = as_of(connection, NOW).parties["acme"]
    assert result.added == {"party": 1}
    assert (party.name_en, party.corrects, party.why) == ("Akme LLP", 1, "letter")
    assert load(engine, path).unchanged == {"party": 1}, "the corrected file again"
    assert load(engine, write(tmp_path, "party.csv", PARTY)).unchanged == {"party": 1}, "the old file does not undo it"


@pytest.mark.parametrize(
    ("cell", "rate"),
    [("200 TH/s", 200 * 10**12), ("0.5PH/s", 5 * 10**14), ("110000", 110_000), (1.1e14, 110 * 10**12), ("10 H/s", 10)],
)
def test_hash_rates_read_as_on_the_plate(cell: str | float, rate: int) -> None:
    """A number of hashes per second, or with a unit."""
    assert read_hash_rate(cell) == rate


@pytest.mark.parametrize("cell", ["", "fast", "0", "-1", "1.5 H/s", "2000000 EH/s", 1.5, True, "1" * 500])
def test_what_is_no_hash_rate(cell: str | float) -> None:
    """Anything else is told what is expected."""
    with pytest.raises(ValueError, match="expected"):
        read_hash_rate(cell)


@pytest.mark.parametrize("cell", ["", "2026-02-30", "9997-01-01", "01.01.0026", date(2200, 1, 1), 45000])
def test_what_is_no_day_of_a_document(cell: str | date | int) -> None:
    """A slip of the year is told before terms are counted from it."""
    with pytest.raises(ValueError, match="expected a day"):
        read_day(cell)


@pytest.mark.parametrize(
    ("cell", "text"),
    [("51.7231, 75.3229", "51.7231, 75.3229"), ("51.7231;75.3229", "51.7231, 75.3229"), ("-1 -179.5", "-1, -179.5")],
)
def test_coordinates(cell: str, text: str) -> None:
    """Latitude and longitude in degrees, kept as written."""
    assert read_coordinates(cell) == text


@pytest.mark.parametrize("cell", ["", "51.7", "91, 0", "0, 181", "N51 E75", "51,7231, 75,3229"])
def test_what_are_no_coordinates(cell: str) -> None:
    """Anything else is told what is expected."""
    with pytest.raises(ValueError, match="expected latitude"):
        read_coordinates(cell)


def test_an_empty_valid_from_means_now_and_repeats_safely(tmp_path: Path, engine: Engine) -> None:
    """A file without days can be imported twice as well."""
    path = write(tmp_path, "party.csv", PARTY.replace("2026-01-01", ""))
    assert load(engine, path).added == {"party": 1}
    assert load(engine, path).unchanged == {"party": 1}
    with engine.connect() as connection:
        assert as_of(connection, NOW).parties["acme"].valid_from == NOW


def test_a_partys_first_address_counts_at_once_though_it_was_proposed(tmp_path: Path, engine: Engine) -> None:
    """There is none that it would replace: the one who proposed it may approve it, and it does not wait."""
    head, address = "wallet,party,address,status\n", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    load(engine, write(tmp_path, "party.csv", PARTY))
    for status in ("proposed", "approved"):
        lines = list(read_table(write(tmp_path, "wallet.csv", f"{head}acme-1,acme,{address},{status}\n")))
        at = NOW if status == "proposed" else NOW + timedelta(hours=1)
        with engine.begin() as connection:
            import_registers(connection, lines, at, "operator", LAW)
    with engine.connect() as connection:
        assert as_of(connection, at).wallet_by_party["acme"].wallet == "acme-1"


def test_an_address_approved_without_a_day_counts_when_its_waiting_time_is_over(tmp_path: Path, engine: Engine) -> None:
    """From then on and not before; a party's first one, which nobody has to propose, at once."""
    head, address = "wallet,party,address,status,valid_from\n", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    first = write(tmp_path, "wallet.csv", f"{head}acme-1,acme,{address},approved,\n")
    load(engine, write(tmp_path, "party.csv", PARTY), first)
    load(engine, write(tmp_path, "wallet.csv", f"{head}acme-2,acme,{address},proposed,\n"))
    lines = list(read_table(write(tmp_path, "wallet.csv", f"{head}acme-2,acme,{address},approved,\n")))
    at = NOW + timedelta(hours=5)
    with engine.begin() as connection:
        assert import_registers(connection, lines, at, "second", LAW).added == {"wallet": 1}
        assert as_of(connection, NOW).wallet_by_party["acme"].wallet == "acme-1"
        assert (
            as_of(connection, NOW + COOLING - timedelta(seconds=1)).in_force(Wallet)["acme-2"].status
            is WalletStatus.PROPOSED
        )
        assert as_of(connection, NOW + COOLING).in_force(Wallet)["acme-2"].status is WalletStatus.APPROVED


def test_every_fault_is_listed_by_row_and_column(tmp_path: Path, engine: Engine) -> None:
    """Bad values, unknown references, repeated keys and taken accounts, each with a cure."""
    good = PARTY.splitlines()[1]
    rows = [
        good.replace("240140000001", "240140000002").replace("legal", "llc"),
        good.replace("acme;", "other;", 1),
        good.replace("acme;", "third;", 1),
        good.replace("acme;", "Fourth Party;", 1).replace("ACME", "a.b"),
        good.replace("acme;", "fifth;", 1).replace("ACME", "fifth").replace("Acme LLP", "=HYPERLINK(1)"),
        good.replace("acme;", "sixth;", 1).replace("ACME", "sixth").replace("2026-01-01", "2026-13-01"),
        good.replace("acme;", "seventh;", 1).replace("ACME", "seventh").replace("2026-01-01;", ";2020-01-01"),
        "",
        ";;;;;;;;;",
    ]
    party = write(tmp_path, "party.csv", PARTY.splitlines()[0] + "\n" + "\n".join(rows))
    licence = write(tmp_path, "licence.csv", LICENCE + "L-2,nobody,III,2026-01-01,,2026-01-01,\n")
    listed = faults(engine, party, licence)
    assert [line.split(": ")[0] for line in listed] == [
        "party.csv, row 2, column bin",
        "party.csv, row 2, column kind",
        "party.csv, row 4, column account",
        "party.csv, row 5, column party",
        "party.csv, row 5, column account",
        "party.csv, row 6, column name_en",
        "party.csv, row 7, column valid_from",
        "party.csv, row 8, column valid_to",
        "licence.csv, row 3, column kind",
        "licence.csv, row 3, column status",
    ]
    assert "one of: legal, entrepreneur" in listed[1]
    assert "formula" in listed[5]
    assert "is empty; expected one of: in_force" in listed[-1]


def test_references_are_checked_against_file_and_register(tmp_path: Path, engine: Engine) -> None:
    """A party that is nowhere is a fault; one whose own row is faulty is not blamed twice."""
    licence = write(tmp_path, "licence.csv", LICENCE)
    assert faults(engine, licence) == [
        "licence.csv, row 2, column party: there is no party acme; enter it first, or correct the key"
    ]
    party = write(tmp_path, "party.csv", PARTY.replace("240140000001", "1"))
    assert [line.split(": ")[0] for line in faults(engine, party, licence)] == ["party.csv, row 2, column bin"]


def test_an_unusual_bin_layout_is_a_warning(tmp_path: Path, engine: Engine) -> None:
    """The import goes through and says so."""
    path = write(tmp_path, "party.csv", PARTY.replace("240140000001", "900101300007"))
    result = load(engine, path)
    assert result.added == {"party": 1}
    assert [(fault.row, fault.column) for fault in result.warnings] == [(2, "bin")]


def workbook(tables: dict[str, list[list[Any]]]) -> bytes:
    """An XLSX file with a sheet for each register."""
    book = Workbook()
    book.remove(book.active)
    for title, rows in tables.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


PARTY_ROW = ["acme", 240140000001, "legal", "acme", "Акме", "Акме", "Acme", *[None] * 6]
SITE_ROW = ["s-1", "acme", "Цех", "KZ", "Павлодар", "ул. 1", "2.72.0.0/24, 2.72.4.0/24", 5e6, "accredited", *[None] * 2]


def table(register: str, *rows: list[Any]) -> list[list[Any]]:
    """Header and rows, whose optional columns follow the needed ones."""
    return [list(fields_of(register)), *rows]


def test_xlsx_with_a_sheet_for_each_register(tmp_path: Path, engine: Engine) -> None:
    """Numbers and dates in cells, sheets in any order, blank rows."""
    site = [*SITE_ROW, "fixed", "b=30 a=62.50", None, datetime(2026, 1, 1), date(2026, 12, 31), None]  # noqa: DTZ001
    content = workbook({"site": table("site", [], site), "Party": table("party", [*PARTY_ROW, date(2026, 1, 1)])})
    result = load(engine, write(tmp_path, "book.xlsx", content))
    assert result.added == {"party": 1, "site": 1}
    with engine.connect() as connection:
        row = as_of(connection, NOW).sites["s-1"]
    assert row.networks == ("2.72.0.0/24", "2.72.4.0/24")
    assert (row.energy_by, row.energy_parts, row.energy_rest) == (EnergyBy.FIXED, "a=62.5 b=30", None)
    assert row.permitted_power_w == 5_000_000
    assert row.valid_from == datetime(2025, 12, 31, 19, tzinfo=UTC)
    assert row.valid_to == datetime(2026, 12, 31, 19, tzinfo=UTC)


def test_xlsx_faults_name_sheet_row_and_column(tmp_path: Path, engine: Engine) -> None:
    """Formulas are refused, fractions are no counts, a number that lost its zeros is told so."""
    party = [*PARTY_ROW, "=TODAY()"]
    party[1] = 60640000745
    site = [*SITE_ROW, None, None, None, date(2026, 1, 1)]
    site[7] = 1.5
    site[8] = True
    content = workbook({"party": table("party", party), "site": table("site", site)})
    listed = faults(engine, write(tmp_path, "book.xlsx", content))
    assert [line.split(": ")[0] for line in listed] == [
        "book.xlsx, sheet party, row 2, column bin",
        "book.xlsx, sheet party, row 2, column valid_from",
        "book.xlsx, sheet site, row 2, column permitted_power_w",
        "book.xlsx, sheet site, row 2, column status",
    ]
    assert "drops leading zeros" in listed[0]
    assert "a formula; paste its value" in listed[1]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("miners.csv", PARTY, "miners is no register; name the file, sheet or kind one of: party"),
        ("party.csv", "", "is empty"),
        ("party.csv", b"\x7fELF\0\0\0", "a binary file"),
        ("party.csv", PARTY.encode("cp1251", "replace"), "row 2: not UTF-8; save it as CSV UTF-8"),
        ("party.csv", PARTY.encode("utf-16"), "not UTF-8"),
        ("party.csv", PARTY.replace("account;", "login;"), "column login: no such column"),
        ("party.csv", PARTY.replace("account;", "login;"), "column account: missing from the header"),
        ("party.csv", PARTY.replace("account;", "bin;"), "column bin: stands in the header twice"),
        ("party.csv", PARTY.rstrip("\n") + ";more", "row 2: more cells than columns"),
        ("party.csv", PARTY + '"open', "row 3: not readable as CSV"),
        ("party.csv", "a;" * 1_000, "more than 40 columns"),
        ("party.csv", PARTY + "a" * 200_000, "longer than 65536"),
        ("party.xlsx", b"PK\x03\x04garbage", "a damaged XLSX file"),
        ("party.xlsx", "PK", "a damaged XLSX file"),
    ],
)
def test_what_is_no_table_is_refused_with_a_cure(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    """Wrong names, encodings, headers and damage (invariant 10)."""
    assert says in refusal(write(tmp_path, name, content))


def test_missing_files_directories_and_devices_are_refused(tmp_path: Path) -> None:
    """Only ordinary files are read."""
    for path in (tmp_path / "party.csv", tmp_path, Path("/dev/zero")):
        assert refusal(path).endswith(": no such file")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A gigabyte is refused after the limit (invariant 10)."""
    path = tmp_path / "party.csv"
    with path.open("wb") as file:
        file.truncate(2**30)
    assert "larger than 16 MiB; split it" in refusal(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """An XLSX that would unpack to more than the limit is refused by its directory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * (65 * 2**20))
    assert len(out.getvalue()) < 100_000
    assert "unpacks to more than 64 MiB" in refusal(write(tmp_path, "party.xlsx", out.getvalue()))


def test_a_lying_row_number_does_not_loop(tmp_path: Path) -> None:
    """A sheet that claims row 9,999,999,999 is refused after ten thousand blank rows (invariant 10)."""
    content = workbook({"party": table("party", [*PARTY_ROW, date(2026, 1, 1)])})
    forged = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(forged, "w") as target:
        for part in source.namelist():
            text = source.read(part)
            target.writestr(part, text.replace(b'<row r="2"', b'<row r="9999999999"'))
    assert "more than 10000 blank rows" in refusal(write(tmp_path, "book.xlsx", forged.getvalue()))


def test_rows_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than the limit are refused."""
    monkeypatch.setattr(sheets, "MAXIMUM_ROWS", 3)
    path = write(tmp_path, "party.csv", PARTY + PARTY.splitlines()[1] * 1 + "\n" + "acme\n" * 2)
    assert "row 5: more than 3 rows; split it" in refusal(path)


def test_many_faults_are_cut_short(tmp_path: Path, engine: Engine) -> None:
    """The first two hundred are listed, the rest counted."""
    path = write(tmp_path, "licence.csv", LICENCE.splitlines()[0] + "\n" + "x,,,,,,\n" * 300)
    listed = faults(engine, path)
    assert len(listed) == 201
    assert listed[-1] == "… and 1000 more"


@pytest.mark.parametrize("register", BY_HAND)
def test_the_template_is_itself_a_table(tmp_path: Path, register: str) -> None:
    """Every column of the printed template reads its own example."""
    (line,) = read_table(write(tmp_path, f"{register}.csv", to_csv(register)))
    for column in columns_of(register):
        if column.required:
            fields_of(register)[column.name].read(line.cells[column.name])  # type: ignore[arg-type]


def test_what_is_exported_imports_as_nothing_new(tmp_path: Path, engine: Engine) -> None:
    """Round trip of every register."""
    with engine.begin() as connection:
        append_all(connection, [*world(), meter()], START, "operator")
        registers = as_of(connection, NOW)
    paths = [
        write(tmp_path, f"{register}.csv", to_csv(register, registers.in_force(kind).values()))
        for register, kind in BY_HAND.items()
    ]
    result = load(engine, *paths)
    assert result.added == {}
    assert sum(result.unchanged.values()) == 9


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_was_corrected_is_exported_for_any_pool(tmp_path: Path, engine: Engine, form: str) -> None:
    """A row in force names no entry of this ledger, and an edited one does not pass for corrected by its old reason."""
    load(engine, write(tmp_path, "party.csv", PARTY))
    path = write(tmp_path, "party.csv", PARTY.replace("Acme LLP", "Akme LLP"))
    with engine.begin() as connection:
        import_registers(connection, read_table(path), NOW, "operator", LAW, why="letter")
        (party,) = as_of(connection, NOW).in_force(Party).values()
    exported = to_csv("party", [party]) if form == "csv" else to_xlsx({"party": [party]})
    path = write(tmp_path, f"party.{form}", exported)
    assert load(engine, path).unchanged == {"party": 1}
    with engine.begin() as connection:
        for table in REGISTERS.values():
            connection.execute(table.delete())
    assert load(engine, path).added == {"party": 1}, "another pool's ledger"
    (line,) = read_table(path)
    changed = replace(line, cells={**line.cells, "name_en": "Akmé LLP"})
    with engine.begin() as connection, pytest.raises(RegisterImportError, match="to correct it, name it here"):
        import_registers(connection, [changed], NOW, "operator", LAW)
    assert ";letter;" in to_csv("party", [party], history=True)


@pytest.mark.parametrize("at", [datetime(2026, 3, 1, 19, tzinfo=UTC), datetime(2026, 3, 1, 7, 30, 1, 250, tzinfo=UTC)])
def test_a_workbook_of_every_register_imports_as_nothing_new(tmp_path: Path, engine: Engine, at: datetime) -> None:
    """Days, instants to the microsecond, large numbers, texts that look like numbers or formulas' kin."""
    entries = [
        *(replace(entry, valid_to=at + timedelta(days=365)) for entry in [*world(), meter()]),
        replace(machine("0012", "guest", "site-host"), nominal_hash_rate_hs=10**18 - 1, valid_from=at, note="1e5"),
        Supply(supply="wind", site="site-host", source=EnergySource.OWN_RENEWABLE, priority=1, valid_from=at),
        Quota(quota="q", site="site-host", month="2026-03", energy_kwh=7_200_000, valid_from=at),
        Wallet(wallet="w", party="guest", address="1" * 34, status=WalletStatus.APPROVED, valid_from=at),
    ]
    with engine.begin() as connection:
        append_all(connection, entries, START, "operator")
        registers = as_of(connection, NOW)
        held = {register: list(registers.in_force(kind).values()) for register, kind in BY_HAND.items()}
    book = load_workbook(io.BytesIO(to_xlsx(held)))
    header, row = list(book["equipment"].iter_rows(values_only=True))[:2]
    told = dict(zip(header, row, strict=True))
    assert (told["equipment"], told["nominal_power_w"]) == ("0012", 3_500)
    path = write(tmp_path, "registers.xlsx", to_xlsx(held))
    plan = load(engine, path)
    assert plan.added == {}
    assert sum(plan.unchanged.values()) == len(entries)
    history = load_workbook(io.BytesIO(to_xlsx(held, history=True)))["licence"]
    assert [cell.value for cell in history[1]][:3] == ["entry", "recorded_at", "recorded_by"]


def test_a_plan_tells_what_would_change_and_records_nothing(tmp_path: Path, engine: Engine) -> None:
    """Column by column, against the version that is corrected or in force."""
    load(engine, write(tmp_path, "party.csv", PARTY))
    moved = PARTY.replace("Acme LLP;2026-01-01", "Akme LLP;2026-03-01")
    lines = read_table(write(tmp_path, "party.csv", moved + PARTY.splitlines()[1] + "\n"))
    with engine.begin() as connection:
        before = registers_version(connection)
        plan = plan_import(connection, lines, NOW, "operator", LAW)
        assert registers_version(connection) == before
    (change,) = plan.changes
    assert change.columns == {"name_en": ("Acme LLP", "Akme LLP"), "valid_from": ("2026-01-01", "2026-03-01")}
    assert (plan.added, plan.unchanged) == ({"party": 1}, {"party": 1})


def test_a_licence_ends_when_the_law_says(tmp_path: Path, engine: Engine) -> None:
    """Three years after its issue where the file names no end; for a day without a rule the end must be told."""
    party = write(tmp_path, "party.csv", PARTY)
    load(engine, party, write(tmp_path, "licence.csv", LICENCE.replace("31.01.2029", "")))
    with engine.connect() as connection:
        assert as_of(connection, NOW).licences["ЦМ-0001"].valid_to == datetime(2029, 1, 31, 19, tzinfo=UTC)
    early = write(
        tmp_path, "licence.csv", LICENCE.replace("2026", "2022").replace("0001", "2").replace("31.01.2029", "")
    )
    with pytest.raises(RegisterImportError, match="row 2, column valid_to: is empty, and no rule"):
        load(engine, early)


@pytest.mark.parametrize(
    ("status", "valid_from", "valid_to", "says"),
    [
        ("in_force", "2026-02-01", "2029-01-31", None),
        ("in_force", "2026-02-01", "2029-02-01", "ends later than 3 years after its issue (Law 193-VII"),
        ("suspended", "2026-03-01", "2026-03-31", None),
        ("suspended", "2026-03-01", "2026-03-30", "is suspended for other than 1 to 6 months (Law 193-VII"),
        ("suspended", "2026-03-01", "2026-09-01", None),
        ("suspended", "2026-03-01", "2026-09-03", "is suspended for other than 1 to 6 months"),
        ("suspended", "2026-03-01", "", "is suspended for other than"),
        ("revoked", "2026-03-01", "", None),
    ],
)
def test_terms_other_than_the_laws_are_recorded_with_a_warning(
    tmp_path: Path, engine: Engine, status: str, valid_from: str, valid_to: str, says: str | None
) -> None:
    """Facts are facts; the act is named, and whether its wording is confirmed."""
    row = f"L-1,acme,I,2026-02-01,{status},{valid_from},{valid_to}\n"
    plan = load(
        engine, write(tmp_path, "party.csv", PARTY), write(tmp_path, "licence.csv", LICENCE.split("\n")[0] + "\n" + row)
    )
    assert plan.added["licence"] == 1
    warnings = [warning.problem for warning in plan.warnings]
    assert len(warnings) == (says is not None)
    assert all(says in warning and "not confirmed" in warning for warning in warnings if says)


def _workbook(path: Path, part: str, xml: bytes) -> Path:
    """A real workbook with one part replaced."""
    workbook = Workbook()
    assert workbook.active is not None
    workbook.active.title = "party"
    plain = io.BytesIO()
    workbook.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, xml if name == part else old.read(name))
    return path


@pytest.mark.parametrize(
    ("part", "xml", "says"),
    [
        ("xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row>" + b"<c/>" * 3_000_000, "row has more than"),
        ("xl/worksheets/sheet1.xml", b"<worksheet><sheetData>" + b"<row><c/></row>" * 1_500_000, "too many cells"),
        ("xl/styles.xml", b"<styleSheet>" + b"<xf/>" * 1_500_000, "styles.xml is too large"),
    ],
)
def test_small_files_with_millions_of_elements_cost_little(tmp_path: Path, part: str, xml: bytes, says: str) -> None:
    """Invariant 10: a few kilobytes that unpack to millions of elements are refused before they are parsed."""
    path = _workbook(tmp_path / "bomb.xlsx", part, xml)
    began = time.process_time()
    with pytest.raises(RegisterImportError, match=says):
        read_table(path)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("xml", [b"<row>" + b"<si/><c/>" * 500_000, b"<x:row>" + b"<c/>" * 500_000])
def test_a_sheet_under_the_name_of_the_texts_costs_little(tmp_path: Path, xml: bytes) -> None:
    """Invariant 10: the bounds of a sheet cannot be left by giving its part another name."""
    plain, path = _workbook(tmp_path / "plain.xlsx", "", b""), tmp_path / "renamed.xlsx"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if "worksheets" not in name:
                new.writestr(name, old.read(name).replace(b"worksheets/sheet1.xml", b"sharedStrings.xml"))
        new.writestr("xl/sharedStrings.xml", b"<sst><sheetData>" + xml)
    with pytest.raises(RegisterImportError, match=r"sharedStrings\.xml is too large"):
        read_table(path)


def test_a_table_of_millions_of_texts_is_refused(tmp_path: Path) -> None:
    """Invariant 10: the parser would hold each of them before it reads a cell."""
    path = _workbook(tmp_path / "texts.xlsx", "", b"")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b"<sst>" + b"<si/>" * 4_000_001)
    with pytest.raises(RegisterImportError, match="too many cells"):
        read_table(path)


def test_endless_lines_are_refused(tmp_path: Path) -> None:
    """Invariant 10: a header of nothing but separators is no register."""
    path = tmp_path / "party.csv"
    path.write_text(";" * 10_000_000)
    with pytest.raises(RegisterImportError, match="longer than"):
        read_table(path)
