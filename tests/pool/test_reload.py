"""The settings of several processes, and what a changed file means for a running server."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from tarazy.config.settings import Settings, SettingsError, load_settings
from tarazy.pool.reload import compare

RAW: dict[str, Any] = {
    "data": "data",
    "pool": {"name": "Demo pool", "payout_address": "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"},
    "chain": {"kind": "embedded"},
    "accreditation": {"server": "demo-server"},
}


def load(tmp_path: Path, **changes: Any) -> Settings:
    """The settings of the smallest file with changes."""
    path = tmp_path / "tarazy.yaml"
    path.write_text(yaml.safe_dump(RAW | changes))
    return load_settings(path)


def test_embedded_chain_is_for_one_process(tmp_path: Path) -> None:
    """Refused in one line with the cure."""
    with pytest.raises(SettingsError, match=r"processes: the embedded chain belongs to one process; remove the key"):
        load(tmp_path, processes=2)


def test_processes_share_a_port_that_is_named(tmp_path: Path) -> None:
    """What the system chose for one of them would not be the others'."""
    chain = {"kind": "bitcoind", "network": "regtest", "nodes": [{"url": "http://127.0.0.1:1", "cookie": "x"}]}
    for port in (3333, 0):
        with nullcontext() if port else pytest.raises(SettingsError, match=r"stratum\.listeners: with port 0"):
            load(tmp_path, chain=chain, processes=2, stratum={"listeners": [{"port": port}]})


def test_each_gateway_has_its_own_number_files_and_port(tmp_path: Path) -> None:
    """Nothing of one gateway process is another's."""
    settings = load(tmp_path, gateway=7).model_copy(update={"processes": 3})
    assert list(settings.gateways) == [7, 8, 9]
    each = [settings.of_gateway(number) for number in settings.gateways]
    assert [one.metrics.port for one in each] == [9334, 9335, 9336]
    assert len({one.journal_path for one in each}) == 3
    assert len({one.blocks_path for one in each}) == 3
    assert len({one.decisions_path for one in each}) == 3
    assert load(tmp_path, gateway=7).journal_path == each[0].journal_path


def test_change_of_the_file_is_divided(tmp_path: Path) -> None:
    """What takes hold, with its value; what waits for a restart; and waits still when the file is read once more."""
    running = load(tmp_path)
    wanted = load(
        tmp_path,
        stratum={"start_difficulty": 1024.0, "listeners": [{"port": 3334}]},
        log={"level": "debug"},
        database="postgresql://tarazy:secret@localhost/tarazy",
    )
    first = compare(running, wanted)
    assert first.changed == {"stratum.start_difficulty": 1024.0, "log.level": "debug"}
    assert first.waiting == ("database", "stratum.listeners")
    stratum = first.settings.stratum
    assert (stratum.start_difficulty, stratum.listeners[0].port) == (1024.0, 3333)
    again = compare(first.settings, wanted)
    assert again.changed == {}
    assert again.waiting == first.waiting
    assert compare(running, running) == compare(running, load(tmp_path))
