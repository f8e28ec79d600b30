"""Reports at the command line: built, signed, attached, verified, compared; and by a stranger without Tarazy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tarazy.reports.signing.key import load_key
from tests.pool.house import House, run_command, wait_until
from tests.reports.keys import PASSWORD, Made, make

VERIFIER = Path(__file__).parents[2] / "verifier" / "tarazy_verify.py"


@pytest.fixture(scope="module")
def signer() -> Made:
    """Who signs: an authority of its own, for short."""
    return make("«Тараз» ЖШС", curve=False)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, signer: Made) -> House:
    """A pool that signs with a key of its own."""
    made = House(tmp_path_factory.mktemp("house"))
    key, password = signer.files(made.directory, "report")
    signing = {"way": "pkcs12", "key_file": key.name, "password_file": password.name, "pdf": True}
    settings = made.prepared.path
    settings.write_text(settings.read_text(encoding="utf-8") + yaml.safe_dump({"signing": signing}), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def built(house: House) -> Path:
    """A report, built and signed: its JSON."""
    where = house.directory / "out"
    command = ("report", "build", "accreditation", "--sign", "-o", str(where), "--json")
    paths = json.loads(wait_until(lambda: house.command(*command).stdout))["paths"]
    names = [Path(path).name for path in paths]
    stem = names[0].removesuffix(".json")
    ends = [".sha256", ".audit", ".p7s", *(f".{lang}.signed.pdf" for lang in ("en", "kk", "ru"))]
    assert names[-6:] == [stem + end for end in ends]
    return where / names[0]


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """The report's set, to be changed; renderings but one are left behind, as a reader may."""
    for file in built.parent.iterdir():
        if file.suffix in (".json", ".sha256", ".audit", ".p7s") or file.name.endswith(".kk.csv"):
            shutil.copy(file, tmp_path)
    return tmp_path / built.name


def _key(house: House) -> str:
    return house.command("audit", "key").stdout.strip()


def _bare(house: House, report: Path) -> subprocess.CompletedProcess[str]:
    """The one file, with a Python that sees no package and no Tarazy."""
    command = [sys.executable, "-I", "-S", str(VERIFIER), str(report), "--key", _key(house)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def _verify(house: House, report: Path, *more: str) -> tuple[int, str]:
    told = run_command("verify", "report", str(report), *more)
    return told.exit_code, told.output + told.stderr


def test_a_report_is_verified(house: House, copy: Path, signer: Made) -> None:
    """Its bytes, its set, the audit log, the signature and the figures; by us, by the one file, and by openssl."""
    authority = signer.pem(copy.parent, "ca")
    code, told = _verify(house, copy, "-c", str(house.prepared.path), "--ca", str(authority))
    assert code == 0, told
    assert [line.split("  ")[0] for line in told.splitlines()] == [
        "document", "audit log", "files", "signature", "figures"
    ]  # fmt: skip
    assert "leads to the authority given" in told
    assert "the same bytes" in told
    bare = _bare(house, copy)
    assert bare.returncode == 0, bare.stderr
    assert "3 files are those that the audit log names; 11 others" in bare.stdout
    assert "openssl cms -verify" in bare.stderr


@pytest.mark.parametrize("ending", [".json", ".kk.csv", ".audit", ".sha256", ".p7s"])
def test_one_changed_byte_is_found(house: House, copy: Path, ending: str) -> None:
    """In whichever file of the set; all but the signature by the one file too."""
    path = copy.with_name(copy.name.removesuffix(".json") + ending)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    code, told = _verify(house, copy, "--key", _key(house))
    assert code == 1, told
    assert _bare(house, copy).returncode == (0 if ending == ".p7s" else 1)


def test_a_report_made_up_whole_is_not_in_the_log(house: House, copy: Path) -> None:
    """Its list of digests can be made to fit, the log cannot."""
    from tarazy.reports.canonical import digest

    before, sums = copy.read_bytes(), copy.with_suffix(".sha256")
    copy.write_bytes(before.replace(b'"kind":"accreditation"', b'"kind":"accreditation","x":1', 1))
    forged = json.loads(copy.read_text(encoding="utf-8"))
    copy.write_text(
        json.dumps(forged, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    sums.write_text(sums.read_text().replace(digest(before), digest(copy.read_bytes())))
    code, told = _verify(house, copy, "--key", _key(house))
    assert (code, "proves another document" in told) == (1, True), told
    assert "proves another document" in _bare(house, copy).stderr
    copy.with_suffix(".audit").unlink()
    assert _bare(house, copy).returncode == 1


def test_figures_that_differ_from_the_database_are_listed(house: House, copy: Path, tmp_path: Path) -> None:
    """Of a database that says otherwise; the same with another report of the kind."""
    other = tmp_path / "other.yaml"
    settings = yaml.safe_load(house.prepared.path.read_text(encoding="utf-8"))
    files = {name: str(house.directory / settings["signing"][name]) for name in ("key_file", "password_file")}
    settings["signing"] |= files
    settings |= {"data": str(house.prepared.settings.data), "pool": settings["pool"] | {"name": "Another pool"}}
    other.write_text(yaml.safe_dump(settings), encoding="utf-8")
    code, told = _verify(house, copy, "-c", str(other))
    assert code == 1
    assert "pool.name: the report has Tarazy demo, the database Another pool" in told
    assert "1 figures differ" in told
    changed = copy.with_name("changed.json")
    changed.write_bytes(copy.read_bytes().replace(b"Tarazy demo", b"Another pool"))
    found = run_command("report", "diff", str(copy), str(changed), "--json")
    assert (found.exit_code, json.loads(found.stdout)) == (
        1, [{"place": "pool.name", "before": "Tarazy demo", "after": "Another pool"}]
    )  # fmt: skip
    assert run_command("report", "diff", str(copy), str(copy)).exit_code == 0


def test_a_signature_from_elsewhere_is_attached_once(house: House, copy: Path, signer: Made, tmp_path: Path) -> None:
    """Only one of this very document, and whose it is is told; the audit log names it."""
    outside = make("Директор", signer)
    signed = tmp_path / "outside"
    signed.write_bytes(load_key(*outside.files(tmp_path, "outside")).sign(copy.read_bytes()))
    refused = house.command("report", "attach", str(copy), str(signed))
    assert (refused.exit_code, "is signed once" in refused.stderr) == (1, True)
    copy.with_suffix(".p7s").unlink()
    other = tmp_path / "another.json"
    other.write_bytes(copy.read_bytes().replace(b"Tarazy demo", b"Tarazy dema"))
    refused = house.command("report", "attach", str(other), str(signed))
    assert (refused.exit_code, "another document" in refused.stderr) == (1, True)
    assert not other.with_suffix(".p7s").exists()
    told = house.command("report", "attach", str(copy), str(signed))
    assert told.exit_code == 0, told.stderr
    assert "holder  Директор, BIN100140000003" in told.stdout
    (event,) = json.loads(house.command("audit", "show", "--kind", "report-signed", "--last", "1", "--json").stdout)
    assert (event["body"]["file"], event["body"]["standing"]) == (copy.name, "fits")
    code, told_again = _verify(house, copy, "--key", _key(house))
    assert (code, "Директор" in told_again) == (0, True)


def test_preflight_looks_at_the_key(house: House) -> None:
    """It opens, nobody else may read it, and what it proves is said."""

    def finding() -> str:
        told = house.command("check").stdout
        (line,) = (line for line in told.splitlines() if "signing:" in line)
        return line

    password = house.directory / "report.password"
    assert "proves origin only" in finding()
    password.chmod(0o644)
    assert "can be read by others" in finding()
    password.chmod(0o600)
    password.write_text("wrong")
    try:
        assert "another password" in finding()
    finally:
        password.write_text(PASSWORD, encoding="utf-8")
