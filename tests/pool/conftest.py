"""Running servers for the tests of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
def build_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes servers, which do not run yet; whichever runs at the end of the test is ended."""
    houses: list[House] = []

    def build(**changes: Any) -> House:
        houses.append(House(tmp_path / f"pool-{len(houses)}", **changes))
        return houses[-1]

    yield build
    for house in houses:
        if house.process is not None and house.process.poll() is None:
            house.kill()


@pytest.fixture
def house(build_house: Callable[..., House]) -> House:
    """A server of its own for each test, running."""
    house = build_house()
    house.start()
    return house
