"""Meter profiles: words on the wire ↔ watt-hours, exactly, and wrong profiles told by path."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.energy.profiles import DIRECTORY, ModbusProfile, ProfileError, load_modbus_profile, load_profile

GOOD = """\
registers: holding
address: 100
datatype: uint32
word_order: little
wh_per_count: "1/10"
rollover_counts: 1000000
maximum_power_w: 1000000
"""


def _profile(directory: Path, text: str) -> ModbusProfile:
    (directory / "kind.yaml").write_text(text)
    return load_modbus_profile("kind", directory)


def test_every_shipped_profile_loads() -> None:
    """What comes with the program can be used."""
    kinds = {path.stem: load_profile(path.stem) for path in DIRECTORY.glob("*.yaml")}
    assert {"tarazy-demo", "abb-b23", "schneider-iem3155", "gavazzi-em340"} <= kinds.keys()
    unread = {name for name, kind in kinds.items() if not isinstance(kind, ModbusProfile)}
    assert unread == {"register-kwh", "register-wh"}


def test_word_order_belongs_to_the_profile() -> None:
    """Vendors differ: big puts the most significant word first."""
    big = load_modbus_profile("tarazy-demo")
    little = load_modbus_profile("generic-uint32-100wh")
    assert big.count_of([0, 0, 1, 2]) == 65538
    assert little.count_of([2, 1]) == 65538
    assert little.words_of(65538) == [2, 1]


@given(st.integers(0, 10**12))
def test_words_and_counts_agree(count: int) -> None:
    """Writing and reading a count gives it back, after any number of rollovers."""
    profile = load_modbus_profile("generic-uint32-100wh")
    assert profile.count_of(profile.words_of(count)) == count % 1_000_000_000


def test_a_scale_is_an_exact_fraction(tmp_path: Path) -> None:
    """A tenth of a watt-hour per count is 1/10, rounded down only as a whole."""
    profile = _profile(tmp_path, GOOD)
    assert [profile.in_wh(count) for count in (9, 10, 999_999)] == [0, 1, 99_999]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tarazy-demo", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]),
        ("tarazy-demo", [0x8000, 0, 0, 0]),
        ("tarazy-demo", [0, 0, 1]),
        ("tarazy-demo", []),
        ("generic-uint32-100wh", [0xCA00, 0x3B9A]),
        ("generic-uint32-100wh", [0xFFFF, 0xFFFF]),
    ],
)
def test_words_that_cannot_be_a_register_are_none(name: str, words: list[int]) -> None:
    """All ones, a value beyond the rollover, beyond 63 bits, or too few words are no reading."""
    assert load_modbus_profile(name).count_of(words) is None


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        ('"1/10"', "0.1", "wh_per_count", 'for example "1/10"'),
        ('"1/10"', '"0"', "wh_per_count", "greater than 0"),
        ('"1/10"', '"1/0"', "wh_per_count", "must be a number"),
        ("uint32", "float32", "datatype", "uint16"),
        ("1000000\nmax", "5000000000\nmax", "(top level)", "beyond the range"),
        ("address: 100\n", "", "address", "required"),
        ("address: 100", "adress: 100", "address", "required"),
    ],
)
def test_a_wrong_profile_is_told_by_path(tmp_path: Path, old: str, new: str, where: str, words: str) -> None:
    """One line a fault: file, key, what is wrong."""
    with pytest.raises(ProfileError) as refused:
        _profile(tmp_path, GOOD.replace(old, new, 1))
    line = str(refused.value).splitlines()[0]
    assert line.startswith(f"{tmp_path / 'kind.yaml'}: {where}: ")
    assert words in line


def test_an_unknown_profile_names_the_known_ones() -> None:
    """The cure stands in the message."""
    with pytest.raises(ProfileError, match=r"no meter profile 'x'; known: abb-b23, .*tarazy-demo"):
        load_modbus_profile("x")
