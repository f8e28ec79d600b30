"""Settings of bitcoind nodes: how to reach them, who we are to them, and that no password is ever shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tarazy.config.settings import BitcoindChainSettings, Settings, SettingsError, load_settings

MAIN_ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
COOKIE_NODE = {"url": "http://127.0.0.1:8332", "cookie": "bitcoin/.cookie", "zmq": "tcp://127.0.0.1:28332"}
PASSWORD_NODE = {"url": "http://[::1]:8332/", "user": "pool", "password": "very-secret"}


def load(tmp_path: Path, *, nodes: Any = (COOKIE_NODE,), **changes: Any) -> Settings:
    """Settings with nodes; `changes` replace keys of the chain or, where it is a mapping, sections."""
    raw: dict[str, Any] = {
        "data": "data",
        "pool": {"name": "Pool", "payout_address": MAIN_ADDRESS},
        "chain": {"kind": "bitcoind", "network": "main", "nodes": list(nodes)},
        "accreditation": {"server": "server"},
    }
    for name, value in changes.items():
        raw[name] = raw.get(name, {}) | value
    path = tmp_path / "tarazy.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load_settings(path)


def faults(tmp_path: Path, **changes: Any) -> str:
    """What is wrong, without the file's name."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, **changes)
    return str(refused.value).replace(f"{tmp_path / 'tarazy.yaml'}: ", "")


def test_nodes_are_read_in_order(tmp_path: Path) -> None:
    """A cookie is looked for beside the settings file; a url ends with a slash; the password is not in any text."""
    settings = load(tmp_path, nodes=[COOKIE_NODE, PASSWORD_NODE])
    assert isinstance(settings.chain, BitcoindChainSettings)
    first, second = settings.chain.nodes
    assert (first.url, first.cookie) == ("http://127.0.0.1:8332/", tmp_path / "bitcoin" / ".cookie")
    assert first.zmq == "tcp://127.0.0.1:28332"
    assert second.url == "http://[::1]:8332/"
    assert second.password is not None
    assert second.password.get_secret_value() == "very-secret"
    assert "very-secret" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("network", "test_chain", "address_chain"),
    [("main", False, "main"), ("testnet4", True, "test"), ("signet", True, "test"), ("regtest", True, "regtest")],
)
def test_only_main_has_real_coins(tmp_path: Path, network: str, test_chain: bool, address_chain: str) -> None:
    """testnet4 and signet write addresses alike; the chain is called a test chain unless it is main."""
    settings = load(tmp_path, chain={"network": network})
    assert settings.test_chain is test_chain
    assert settings.chain.address_chain == address_chain


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        ([], "chain: nodes: give at least one"),
        ([{**COOKIE_NODE, "url": "https://127.0.0.1:8332"}], "chain.nodes.0.url: must be http://host:port"),
        ([{**COOKIE_NODE, "url": "http://127.0.0.1"}], "chain.nodes.0.url: must be http://host:port"),
        ([{**COOKIE_NODE, "url": "http://u:p@127.0.0.1:1"}], "user and password are keys of their own"),
        ([{**COOKIE_NODE, "url": "http://127.0.0.1:99999"}], "chain.nodes.0.url: must be http://host:port"),
        ([{"url": "http://127.0.0.1:1"}], "chain.nodes.0: give either cookie, or user and password"),
        ([{**COOKIE_NODE, "user": "x"}], "chain.nodes.0: give either cookie, or user and password"),
        ([{**COOKIE_NODE, **PASSWORD_NODE}], "chain.nodes.0: give either cookie, or user and password"),
        ([{**COOKIE_NODE, "zmq": "127.0.0.1:28332"}], "chain.nodes.0.zmq: must be tcp://host:port"),
        ([{**COOKIE_NODE, "port": 1}], "chain.nodes.0.port: unknown key"),
        ([COOKIE_NODE, COOKIE_NODE], "chain: nodes: each needs a url of its own"),
    ],
)
def test_a_fault_is_one_line_with_its_path(tmp_path: Path, nodes: Any, line: str) -> None:
    """Every fault names its place in the file, without the kind, and what is expected."""
    told = faults(tmp_path, nodes=nodes)
    assert line in told
    assert "\n" not in told


def test_a_password_is_not_repeated_in_a_fault(tmp_path: Path) -> None:
    """A password that is no text is a fault like others, but is not shown."""
    told = faults(tmp_path, nodes=[{**PASSWORD_NODE, "password": 12345678}])
    assert told.startswith("chain.nodes.0.password: ")
    assert "12345678" not in told


def test_kind_network_and_pins_are_checked(tmp_path: Path) -> None:
    """A missing kind and a wrong one say what there is; a pin is a hash as displayed."""
    assert "chain: its kind is bitcoind" in faults(tmp_path, chain={"kind": "geth"})
    assert "chain.network: " in faults(tmp_path, chain={"network": "testnet3"})
    assert "chain.pinned_blocks.0: must be a block's hash, 64 hex digits" in faults(
        tmp_path, chain={"pinned_blocks": ["00"]}
    )


def test_an_empty_job_first_is_for_nodes_whose_difficulty_is_known(tmp_path: Path) -> None:
    """Off unless wanted; not on testnet4, and no key of the embedded chain."""
    for network in ("main", "signet", "regtest"):
        wanted = load(tmp_path, chain={"network": network, "empty_job_first": True})
        assert isinstance(wanted.chain, BitcoindChainSettings)
        assert wanted.chain.empty_job_first
    plain = load(tmp_path, chain={"network": "testnet4"})
    assert isinstance(plain.chain, BitcoindChainSettings)
    assert not plain.chain.empty_job_first
    told = faults(tmp_path, chain={"network": "testnet4", "empty_job_first": True})
    assert told.startswith("chain: empty_job_first: not on testnet4")


def test_demo_addresses_are_refused_on_the_main_chain(tmp_path: Path) -> None:
    """Loopback that is declared to lie in Kazakhstan admits anybody: never where coins are real."""
    demo = {"demo_addresses": [{"network": "127.0.0.1/32", "country": "KZ"}]}
    assert "not on the main chain" in faults(tmp_path, accreditation=demo)
    assert load(tmp_path, accreditation=demo, chain={"network": "regtest"}).test_chain
