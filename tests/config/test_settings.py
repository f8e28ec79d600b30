"""Settings: whatever is wrong with the file is one line with the file, the path inside it, and the cure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tarazy.config.settings import LimitSettings, Settings, SettingsError, load_settings
from tarazy.stratum.limits import Limits

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def _smallest() -> dict[str, Any]:
    return {
        "data": "data",
        "pool": {"name": "Demo pool", "payout_address": ADDRESS},
        "chain": {"kind": "embedded"},
        "accreditation": {"server": "demo-server"},
    }


def _terms(year: int, **changes: object) -> dict[str, object]:
    return {"since": f"{year}-01-01T00:00:00+05:00", "fee_ppm": 10_000, **changes}


def _load(path: Path, raw: object) -> Settings:
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load_settings(path)


def _faults(tmp_path: Path, raw: object) -> list[str]:
    path = tmp_path / "tarazy.yaml"
    with pytest.raises(SettingsError) as refused:
        _load(path, raw)
    lines = str(refused.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def _scheduled(**values: object) -> dict[str, object]:
    return {"schedule": [{"kind": "sale", "since": "2026-01-01"} | values]}


def test_the_smallest_file_gives_the_defaults(tmp_path: Path) -> None:
    """Only what nobody can guess is required; paths are relative to the file."""
    settings = _load(tmp_path / "tarazy.yaml", _smallest())
    assert settings.data == tmp_path / "data"
    assert settings.database_url == f"sqlite:///{tmp_path / 'data' / 'tarazy.db'}"
    assert settings.journal_path == tmp_path / "data" / "journal" / "gateway-1.sqlite"
    [listener] = settings.stratum.listeners
    assert (listener.host, listener.port, listener.tls, listener.proxy_from) == ("0.0.0.0", 3333, None, None)
    assert (settings.portal.port, settings.metrics.port) == (8080, 9333)
    assert settings.law.assumptions == ()


def test_the_operators_rules_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    """`law.directory` is relative to the settings file, like `data`."""
    settings = _load(tmp_path / "tarazy.yaml", _smallest() | {"law": {"directory": "rules"}})
    assert settings.law.directory == tmp_path / "rules"


def test_terms_come_into_force_at_their_instants(tmp_path: Path) -> None:
    """An instant is written as people write it, with its zone; what is not said has its default."""
    path = tmp_path / "tarazy.yaml"
    raw = yaml.safe_dump(_smallest() | {"pool": _smallest()["pool"] | {"terms": [_terms(2027, fees={"a": 5})]}})
    path.write_text(raw.replace("'2027-01-01T00:00:00+05:00'", "2027-01-01T00:00:00+05:00"), encoding="utf-8")
    [terms] = load_settings(path).pool.terms
    assert terms.since == datetime(2026, 12, 31, 19, tzinfo=UTC)
    assert (terms.scheme, terms.window, terms.fee_ppm, terms.fees) == ("prop", None, 10_000, {"a": 5})


def test_certificate_files_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    """The files of a TLS port are relative to the settings file."""
    tls = {"certificate": "tls/pool.pem", "key": "/etc/pool.key"}
    [listener] = _load(
        tmp_path / "tarazy.yaml", _smallest() | {"stratum": {"listeners": [{"tls": tls}]}}
    ).stratum.listeners
    assert listener.tls is not None
    assert (listener.tls.certificate, listener.tls.key) == (tmp_path / "tls/pool.pem", Path("/etc/pool.key"))
    assert listener.tls.client_ca is None


def test_limits_have_the_servers_own_defaults() -> None:
    """Nothing is limited otherwise than the Stratum server documents it unless the file says so."""
    assert LimitSettings().model_dump() == asdict(Limits())


def test_a_wrong_key_is_named_with_its_path(tmp_path: Path) -> None:
    """An unknown key is an error at its place, not ignored."""
    raw = _smallest()
    raw["pool"]["fee"] = 1
    assert _faults(tmp_path, raw) == ["pool.fee: unknown key; remove it or check its spelling (got 1)"]


def test_a_missing_key_is_named_with_its_path(tmp_path: Path) -> None:
    """A required key that is absent is named."""
    raw = _smallest()
    del raw["accreditation"]["server"]
    assert _faults(tmp_path, raw) == ["accreditation.server: required key is missing; add it"]


@pytest.mark.parametrize(
    ("section", "value", "where", "words"),
    [
        ("stratum", {"listeners": [{"port": "many"}]}, "stratum.listeners.0.port", "valid integer"),
        ("stratum", {"listeners": [{"port": 70000}]}, "stratum.listeners.0.port", "65535"),
        ("stratum", {"listeners": []}, "stratum.listeners", "at least one"),
        ("stratum", {"listeners": [{}, {}]}, "stratum", "same host and port"),
        ("stratum", {"listeners": [{"minimum_difficulty": 0.5}]}, "stratum", "listeners.0.minimum_difficulty"),
        ("stratum", {"listeners": [{"proxy_from": []}]}, "stratum.listeners.0.proxy_from", "at least one"),
        ("stratum", {"listeners": [{"proxy_from": ["x"]}]}, "stratum.listeners.0.proxy_from.0", "127.0.0.1/32"),
        ("stratum", {"listeners": [{"tls": {"key": "k"}}]}, "stratum.listeners.0.tls.certificate", "is missing"),
        ("stratum", {"limits": {"unready_seconds": 0}}, "stratum.limits.unready_seconds", "greater than"),
        ("stratum", {"limits": {"invalid_seconds": 30}}, "stratum.limits", "fresh_job_seconds"),
        ("stratum", {"start_difficulty": 3}, "stratum.start_difficulty", "power of two"),
        ("stratum", {"minimum_difficulty": 131072}, "stratum", "minimum_difficulty ≤ start_difficulty"),
        ("stratum", {"version_mask": "xyz"}, "stratum.version_mask", "8 hex digits"),
        ("stratum", {"version_mask": 2000}, "stratum.version_mask", "put it in quotes"),
        ("energy", {"interval_seconds": 700}, "energy", "divide an hour"),
        ("chain", {"kind": "litecoind"}, "chain", "embedded"),
        ("metrics", {"host": "0.0.0.0"}, "metrics.host", "127.0.0.1"),
        ("law", {"assumptions": "fee"}, "law.assumptions", "must be a list"),
        ("stratum", {"listeners": [{"host": "miners.example"}]}, "stratum.listeners.0.host", "for example 127.0.0.1"),
        ("portal", {"host": "127.0.0.300"}, "portal.host", "for example 127.0.0.1"),
        ("gateway", 256, "gateway", "255"),
        ("language", "de", "language", "'kk', 'ru' or 'en'"),
        ("pool", "Demo", "pool", "must be a mapping"),
        ("pool", {"terms": [{"since": "2027-01-01", "fee_ppm": 1}]}, "pool.terms.0.since", "timezone"),
        ("pool", {"terms": [_terms(2027, scheme="pplns")]}, "pool.terms.0", "pplns needs one"),
        ("pool", {"terms": [_terms(2027, window=2)]}, "pool.terms.0", "no other scheme has one"),
        ("pool", {"terms": [_terms(2027, scheme="pplns", window=65)]}, "pool.terms.0.window", "64"),
        ("pool", {"terms": [_terms(2027, scheme="pps")]}, "pool.terms.0.scheme", "'prop', 'pplns', 'solo' or 'fpps'"),
        ("pool", {"terms": [_terms(2027, scheme="fpps")]}, "pool.terms.0", "fee_blocks: fpps needs them"),
        ("pool", {"terms": [_terms(2027, fees={"a": 1_000_001})]}, "pool.terms.0.fees.a", "1000000"),
        ("pool", {"terms": [_terms(2028), _terms(2027)]}, "pool", "after the one before it"),
        ("pool", {"terms": [_terms(2027), _terms(2027)]}, "pool", "after the one before it"),
        ("log", None, "log", "must be a mapping"),
        ("reports", _scheduled(deadline={"month": 1, "day": 31}), "reports.schedule.0.deadline.day", "28"),
        ("reports", _scheduled(deadline=5), "reports.schedule.0.deadline", "mapping"),
        ("reports", _scheduled(deadline={"working_days": 0}), "reports.schedule.0.deadline.working_days", "greater"),
        ("reports", _scheduled(kind="fee"), "reports.schedule.0.kind", "'sale'"),
        ("reports", {"profiles": "tax.yaml"}, "reports.profiles", "must be a list"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_path(
    tmp_path: Path, section: str, value: object, where: str, words: str
) -> None:
    """A value of a wrong type or out of range is one line: the path, and what is expected."""
    raw = _smallest()
    raw[section] = raw[section] | value if section in raw and isinstance(value, dict) else value
    [line] = _faults(tmp_path, raw)
    assert line.startswith((f"{where}: ", f"{where}."))
    assert words in line


def test_a_wrong_address_says_what_an_address_looks_like(tmp_path: Path) -> None:
    """A network that is none, or that is not loopback, is refused at its place in the list."""
    raw = _smallest()
    raw["accreditation"]["demo_addresses"] = [
        {"network": "127.0.0.1/32", "country": "KZ"},
        {"network": "127.0.0.300", "country": "KZ"},
        {"network": "10.0.0.0/8", "country": "KZ"},
    ]
    network, public = _faults(tmp_path, raw)
    assert network.startswith("accreditation.demo_addresses.1.network: ")
    assert "127.0.0.1/32" in network
    assert public.startswith("accreditation.demo_addresses.2: demo addresses are loopback networks")


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """Two faults, two lines: nobody has to start three times to learn of three mistakes."""
    raw = _smallest() | {"gateway": -1, "portal": {"port": "x"}}
    assert len(_faults(tmp_path, raw)) == 2


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    """No file: one line with its name and the cure."""
    path = tmp_path / "nowhere.yaml"
    with pytest.raises(SettingsError) as refused:
        load_settings(path)
    assert str(refused.value).splitlines() == [f"{path}: no such file; name one with -c, or run `tarazy demo`"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"pool: [unclosed", "not YAML"),
        (b"- a\n- list", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"name: \x07", "not YAML"),
        (b"data: a\ndata: b", "line 2, column 1: the key data stands twice"),
        (b"data: 2024-02-30", "2024-02-30 is no date"),
    ],
)
def test_a_file_that_is_no_settings_is_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    """Broken YAML, another kind of YAML, and bytes that are no text each give one line."""
    path = tmp_path / "tarazy.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load_settings(path)
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert words in line


def test_a_directory_instead_of_a_file_is_one_line(tmp_path: Path) -> None:
    """A path that cannot be read gives the system's reason."""
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path)
