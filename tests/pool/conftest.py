"""Running servers for the tests of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pool.house import House


@pytest.fixture(scope="module")
def standing_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for all tests of a module that leave it as it was."""
    house = House(tmp_path_factory.mktemp("standing") / "pool")
    house.start()
    yield house
    house.kill()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A server of its own for each test, ended with it."""
    house = House(tmp_path / "pool")
    house.start()
    yield house
    if house.process is not None and house.process.poll() is None:
        house.kill()
