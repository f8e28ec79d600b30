"""In-country evidence on a whole server: over the real entrance, behind a proxy, followed while it runs."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tarazy.accreditation.registers import restate
from tarazy.config.settings import ListenerSettings
from tarazy.database.engine import open_engine
from tarazy.pool.demo.prepare import free_ports
from tarazy.pool.demo.scenario import EKIBASTUZ, SERVER
from tarazy.pool.machine import interface_addresses, key_fingerprint, web_clock
from tests.accreditation.lists import RECORDS, country, database, statistics
from tests.pool.house import Client, House, wait_until
from tests.stratum.authority import Authority


def said(house: House, *arguments: str) -> dict[str, object]:
    """The JSON that a command prints."""
    done = house.command(*arguments, "--json")
    told: dict[str, object] = json.loads(done.stdout)
    return told


def move_site(house: House, *networks: str) -> None:
    """The site has these networks from now on."""
    engine = open_engine(house.settings.database_url)
    now = datetime.now(UTC)
    with engine.begin() as connection:
        restate(connection, "site", EKIBASTUZ, networks=networks, valid_from=now, recorded_at=now, recorded_by="test")
    engine.dispose()


def through_proxy(port: int, source: str) -> Client:
    """A miner whose address a proxy tells."""
    client = Client(port)
    family = "TCP6" if ":" in source else "TCP4"
    target = "::1" if ":" in source else "127.0.0.1"
    client.send(f"PROXY {family} {source} {target} 1 2\r\n".encode())
    return client


def test_evidence_over_the_entrance(build_house: Callable[..., House], tmp_path: Path) -> None:
    """IPv4 and IPv6 behind PROXY: agreed, disputed once another list comes, and agreed again after the next.

    Connections that rested on the old list end within a second (invariant 4), and each source's word is in the log.
    """
    house = build_house()
    [port] = free_ports(1)
    raw = yaml.safe_load(house.prepared.path.read_text())
    raw["stratum"]["listeners"].append({"host": "127.0.0.1", "port": port, "proxy_from": ["127.0.0.1/32"]})
    house.prepared.path.write_text(yaml.safe_dump(raw))
    move_site(house, "2.72.9.0/24", "2001:678:98::/64", "8.8.8.0/24")
    house.start()
    miners = {source: through_proxy(port, source) for source in ("2.72.9.1", "2001:678:98::5")}
    for miner in miners.values():
        assert miner.login("altyn.rig")["result"] is True
    answer = through_proxy(port, "8.8.8.8").login("altyn.rig")
    assert "unclear whether address is in Kazakhstan" in answer["error"][1]
    assert "not in Kazakhstan" in through_proxy(port, "9.9.9.9").login("altyn.rig")["error"][1]

    wrong = statistics(tmp_path / "wrong", [RECORDS[0], RECORDS[3]])
    assert said(house, "register", "geo", "update", str(wrong))["recorded"] is True
    recorded = time.monotonic()
    for miner in miners.values():
        miner.socket.settimeout(5)
        while miner.read() is not None:
            pass
    assert time.monotonic() - recorded < 1.5, "a change takes hold within a second"
    for source in miners:
        answer = through_proxy(port, source).login("altyn.rig")
        assert "unclear whether address is in Kazakhstan" in answer["error"][1]
    right = statistics(tmp_path / "right", RECORDS, end="20261121")
    assert said(house, "register", "geo", "update", str(right))["recorded"] is True
    for source in miners:
        wait_until(lambda source=source: through_proxy(port, source).login("altyn.rig")["result"] is True)  # type: ignore[misc]
    assert house.stop() == 0
    refused = [json.loads(body) for (body,) in house.ledger("SELECT body FROM audit WHERE kind = 'refused'")]
    disputed = {
        tuple(sorted(body["evidence"].items())) for body in refused if body["reasons"][0] == "evidence-disagrees"
    }
    assert disputed == {
        (("blocks", "inside"), ("mmdb", "unknown"), ("rir", "outside"), ("site", "inside")),
        (("blocks", "outside"), ("mmdb", "unknown"), ("rir", "unknown"), ("site", "inside")),
    }
    assert any(["geo", "rir", 2] in body["entries"] for body in refused)


def test_updates_of_lists(build_house: Callable[..., House], tmp_path: Path) -> None:
    """Dry run, objections, force, the same again; what is refused leaves nothing behind."""
    house = build_house()
    move_site(house, "2.72.9.0/24")
    good = statistics(tmp_path / "delegated", RECORDS)
    dry = said(house, "register", "geo", "update", str(good), "--dry-run")
    assert (dry["recorded"], dry["moved"]) == (False, [])
    assert house.ledger("SELECT count(*) FROM geo") == [(0,)]
    assert said(house, "register", "geo", "update", str(good))["recorded"] is True
    again = said(house, "register", "geo", "update", str(good))
    assert (again["recorded"], again["already_recorded"]) == (False, True)
    less = statistics(tmp_path / "less", RECORDS[3:], end="20261122")
    refused = house.command("register", "geo", "update", str(less))
    assert refused.exit_code == 1
    assert "more than half would be gone" in refused.stdout
    assert f"site {EKIBASTUZ}: 2.72.9.0/24 home → disputed" in refused.stdout
    everything = tmp_path / "all.cidr"
    everything.write_text("0.0.0.0/0\n::/0\n")
    refused = house.command("register", "geo", "update", str(everything), "--dated-on", "2026-11-22")
    assert refused.exit_code == 1
    assert "claims 4,294,967,296 IPv4 addresses" in refused.stdout
    garbage = tmp_path / "garbage.mmdb"
    garbage.write_bytes(os.urandom(1000) + b"\xab\xcd\xefMaxMind.com\xe9")
    refused = house.command("register", "geo", "update", str(garbage))
    assert refused.exit_code == 1
    assert "nothing was recorded: garbage.mmdb: no sound database" in refused.output
    assert house.ledger("SELECT count(*) FROM geo") == [(1,)]
    assert house.ledger("SELECT count(*) FROM document_content") == [(1,)], "nothing half done"
    forced = said(house, "register", "geo", "update", str(less), "--force")
    assert forced["recorded"] is True
    [(note,)] = house.ledger("SELECT note FROM geo WHERE entry = 2")
    assert note.startswith("recorded in spite of: keeps ")
    home = database(tmp_path / "country.mmdb", {"2.72.0.0/13": country("KZ")})
    assert said(house, "register", "geo", "update", str(home))["source"] == "mmdb"

    told = said(house, "register", "geo", "explain", "2.72.9.1")
    assert told["sources"] == {"blocks": "inside", "rir": "outside", "mmdb": "inside", "site": "inside"}
    assert told["origin"] == "disputed"
    assert "indication, never legal proof" in house.command("register", "geo", "explain", "8.8.8.8").stdout
    assert house.command("register", "geo", "explain", "nowhere").exit_code == 2
    shown = said(house, "register", "geo", "show")
    assert [(one["source"], one["too_old"]) for one in shown["lists"]] == [  # type: ignore[attr-defined]
        ("blocks", False),
        ("rir", False),
        ("mmdb", False),
    ]
    assert [one["key"] for one in shown["disagreements"]] == [EKIBASTUZ]  # type: ignore[attr-defined]
    table = house.command("register", "geo", "show").stdout
    assert f"site {EKIBASTUZ}: 2.72.9.0-2.72.9.255 is disputed" in table
    checked = house.command("check").stdout
    assert f"sources differ on networks of site {EKIBASTUZ}" in checked


def test_old_lists_are_told(build_house: Callable[..., House]) -> None:
    """`check` says so with a cure."""
    house = build_house()
    raw = yaml.safe_load(house.prepared.path.read_text())
    raw["accreditation"]["evidence"] = {"maximum_age_days": {"blocks": 30}}
    house.prepared.path.write_text(yaml.safe_dump(raw))
    checked = house.command("check")
    assert checked.exit_code == 1
    assert "list blocks is of 2025-09-04" in checked.stdout
    raw["accreditation"]["evidence"] = {"sources": ["rir", "site"]}
    house.prepared.path.write_text(yaml.safe_dump(raw))
    assert "none of rir, site has a list; nobody would be admitted" in house.command("check").stdout


def test_evidence_of_the_server(build_house: Callable[..., House]) -> None:
    """Taken at the start and on demand, kept, shown; the shipped blocks are in the ledger once the server ran."""
    house = build_house()
    assert "no evidence of server" in house.command("register", "evidence", "show").output
    taken = said(house, "register", "evidence", "take")
    assert taken["entry"]["location"] == "Астана, демо машинасы"  # type: ignore[index]
    assert house.command("register", "evidence", "show", "another").exit_code == 1
    house.start()
    wait_until(lambda: "server_evidence_taken" in house.logged())
    shown = said(house, "register", "evidence", "show", SERVER)
    assert shown["digest"] != taken["digest"]
    assert "127.0.0.1 (bound and host and interface), loopback" in house.command("register", "evidence", "show").stdout
    assert house.stop() == 0
    assert house.ledger("SELECT geo, dated_on FROM geo") == [("blocks", "2025-09-04")]
    assert house.ledger("SELECT count(*) FROM audit WHERE kind = 'server-evidence'") == [(2,)]
    assert said(house, "register", "show", "geo")


def test_an_unregistered_server_says_so_aloud(
    build_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its start, in the log and to the service manager."""
    house = build_house()
    raw = yaml.safe_load(house.prepared.path.read_text())
    raw["accreditation"]["server"] = "nobody-knows"
    house.prepared.path.write_text(yaml.safe_dump(raw))
    path = house.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        house.start()
        told = manager.recv(4096).decode()
    assert told.startswith("STATUS=server nobody-knows is not in the register of servers: nobody is admitted")
    assert "server_not_registered" in house.logged()
    assert house.stop() == 0


def test_the_fingerprint_of_a_key(tmp_path: Path) -> None:
    """SHA-256 of the SubjectPublicKeyInfo; a file that cannot be read has none."""
    tls = Authority(tmp_path).server()
    certificate = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key_fingerprint(tls) == hashlib.sha256(key).hexdigest()
    tls.certificate.unlink()
    assert key_fingerprint(ListenerSettings(tls=tls).tls or tls) is None


def test_addresses_of_this_machine() -> None:
    """Loopback is among them, link-local ones and zones are not."""
    found = interface_addresses()
    assert "127.0.0.1" in found
    assert not [address for address in found if address.startswith("fe80") or "%" in address or address.count(":") == 5]


def test_the_clock_of_a_web_server() -> None:
    """Its Date header, also beside an error; nothing sensible is a fault, not a guess."""
    answers = iter([(200, formatdate(time.time() - 3600, usegmt=True)), (405, formatdate(usegmt=True)), (200, "soon")])

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            status, date = next(answers)
            self.send_response_only(status)
            self.send_header("Date", date)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Be silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        late, right, wrong = (web_clock(url) for _ in range(3))
        server.shutdown()
    assert late.offset_ms is not None
    assert abs(late.offset_ms + 3_600_000) < 2_500
    assert right.offset_ms is not None
    assert abs(right.offset_ms) < 2_500
    assert (wrong.offset_ms, bool(wrong.fault)) == (None, True)
    [gone] = free_ports(1)
    assert web_clock(f"http://127.0.0.1:{gone}/").offset_ms is None
