"""Sockets that miners connect to, and a whole server with a port of each kind."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tarazy.config.settings import ListenerSettings
from tarazy.pool.demo.prepare import free_ports
from tarazy.pool.demo.scenario import ADDRESS_OF, EKIBASTUZ, FOREIGN_ADDRESS, KARAGANDA
from tarazy.pool.gateway import floor_of
from tarazy.pool.sockets import open_listeners, stratum_url
from tests.pool.house import Client, House
from tests.stratum.authority import Authority


def local(port: int = 0) -> ListenerSettings:
    """A port of this machine."""
    return ListenerSettings(host="127.0.0.1", port=port)


def test_nobody_is_let_in_before_there_is_work() -> None:
    """Bound sockets do not listen."""
    for bound in open_listeners([local(), local()]):
        with bound, pytest.raises(ConnectionRefusedError):
            socket.create_connection(bound.getsockname())


def test_a_port_in_use_is_named() -> None:
    """The error says which, and the ports opened before it are free again."""
    first, second = free_ports(2)
    taken = pytest.raises(OSError, match=f"127.0.0.1:{second}: Address already in use")
    with socket.create_server(("127.0.0.1", second)), taken:
        open_listeners([local(first), local(second)])
    for bound in open_listeners([local(first)]):
        bound.close()


def test_processes_may_share_a_port() -> None:
    """With reuse_port, and not without."""
    [port] = free_ports(1)
    sockets = [bound for _ in range(2) for bound in open_listeners([local(port)], reuse_port=True)]
    for bound in sockets:
        bound.listen()
    with pytest.raises(OSError, match="in use"):
        open_listeners([local(port)])
    for bound in sockets:
        bound.close()


def test_listening_socket_takes_both_families() -> None:
    """`::` is IPv6 and IPv4; accepted connections inherit keepalive and no delay."""
    try:
        [bound] = open_listeners([ListenerSettings(host="::", port=0)])
    except OSError:
        pytest.skip("no IPv6 on this machine")
    bound.listen()
    with bound, socket.create_connection(("127.0.0.1", bound.getsockname()[1])):
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_address_miners_are_told(tmp_path: Path) -> None:
    """By the registered name where there is one; TLS shows in the scheme."""
    assert stratum_url(local(), "pool.example", 3333) == "stratum+tcp://pool.example:3333"
    assert stratum_url(local(), "2001:db8::1", 3333) == "stratum+tcp://[2001:db8::1]:3333"
    secret = local().model_copy(update={"tls": Authority(tmp_path).server()})
    assert stratum_url(secret, None, 3334) == "stratum+ssl://127.0.0.1:3334"


def test_the_floor_of_a_port_is_an_exponent() -> None:
    """As the wire knows difficulties; None where the pool's own holds."""
    assert floor_of(local()) is None
    assert floor_of(ListenerSettings(minimum_difficulty=2.0**-3)) == -3


class TlsClient(Client):
    """A miner on a TLS port."""

    def __init__(self, port: int, authority: Authority, client: tuple[Path, Path]) -> None:
        super().__init__(port)
        context = ssl.create_default_context(cafile=str(authority.file))
        context.load_cert_chain(*client)
        self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self._lines = self.socket.makefile("rb")


def test_a_server_with_a_port_of_each_kind(build_house: Callable[..., House], tmp_path: Path) -> None:
    """C-117, C-118, C-119: plain, TLS with client certificates, behind a proxy, and TLS behind a proxy, for one site.

    A certificate's site, and a header's address, decide as the address of a plain connection does. A header without
    an address lets nobody in, even where the proxy itself stands at a site.
    """
    house, authority = build_house(), Authority(tmp_path)
    tls = {"certificate": str(tmp_path / "server.pem"), "key": str(tmp_path / "server.key")}
    authority.server()
    bound_port, proxy_port, open_port, reserved_port = free_ports(4)
    raw = yaml.safe_load(house.prepared.path.read_text())
    raw["stratum"]["listeners"] += [
        {"host": "127.0.0.1", "port": bound_port, "tls": tls | {"client_ca": str(authority.file)}},
        {"host": "127.0.0.1", "port": proxy_port, "proxy_from": ["127.0.0.1/32"]},
        {"host": "127.0.0.1", "port": open_port, "tls": tls},
        {"host": "127.0.0.1", "port": reserved_port, "sites": [KARAGANDA, "no-such-site"]},
    ]
    house.prepared.path.write_text(yaml.safe_dump(raw))
    checked = house.command("check").stdout
    assert "TLS certificate: " in checked
    assert f"port {reserved_port} is for no-such-site, which is in no register of sites" in " ".join(checked.split())
    house.start()

    plain = Client(house.stratum_port)
    assert plain.login("altyn.rig")["result"] is True
    at_home = TlsClient(bound_port, authority, authority.issue("home", EKIBASTUZ))
    assert at_home.login("altyn.rig")["result"] is True
    assert at_home.submit("altyn.rig")["result"] is True
    elsewhere = TlsClient(bound_port, authority, authority.issue("elsewhere", KARAGANDA))
    assert elsewhere.login("altyn.rig")["error"][:2] == [
        24,
        "unauthorized: address not in your TLS certificate's site: connect from that site [other-site]",
    ]
    nowhere = TlsClient(bound_port, authority, authority.issue("nowhere", "nowhere"))
    assert "[client-certificate-unknown]" in nowhere.login("altyn.rig")["error"][1]
    for login, source, fault in (
        ("altyn.rig", ADDRESS_OF[EKIBASTUZ], "[other-port]"),
        ("samal.rig", ADDRESS_OF[KARAGANDA], None),
    ):
        reserved = Client(reserved_port, source)
        answer = reserved.login(login)
        assert (answer["result"] is True) if fault is None else (fault in answer["error"][1])
    for source, login, fault in (
        (ADDRESS_OF[KARAGANDA], "samal.rig", None),
        (FOREIGN_ADDRESS, "samal.rig", "address not in Kazakhstan"),
    ):
        forwarded = Client(proxy_port)
        forwarded.send(f"PROXY TCP4 {source} 127.0.0.1 1 2\r\n".encode())
        answer = forwarded.login(login)
        assert (answer["result"] is True) if fault is None else (fault in answer["error"][1])
    hidden = Client(proxy_port, ADDRESS_OF[EKIBASTUZ])
    hidden.send(b"PROXY UNKNOWN\r\n")
    assert "address not in Kazakhstan" in hidden.login("altyn.rig")["error"][1], "though the proxy is at the site"
    with pytest.raises(ConnectionError):
        Client(proxy_port, ADDRESS_OF[KARAGANDA]).login("samal.rig")
    with pytest.raises(ConnectionError):
        Client(proxy_port).login("samal.rig")
    metrics = house.metrics()
    for hit in ("proxy-source", "proxy-header"):
        assert f'tarazy_limit_hits_total{{reason="{hit}"}} 1.0' in metrics
    assert 'tarazy_limit_hits_total{reason="rate-limited"} 0.0' in metrics
    assert 'tarazy_refusals_total{reason="other-site"} 1.0' in metrics

    miner = subprocess.Popen(
        [sys.executable, "-m", "tarazy", "mine", f"stratum+ssl://127.0.0.1:{open_port}", "--user", "altyn.rig9"],
        env=os.environ | {"SSL_CERT_FILE": str(authority.file)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert miner.stdout is not None
    with miner:
        assert any("accepted" in line for line in miner.stdout)
        miner.terminate()
    assert house.stop() == 0
