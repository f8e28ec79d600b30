"""Passwords and numbers as miners write them."""

from __future__ import annotations

import math

import pytest

from tarazy.stratum.wishes import difficulty_wish, password_options, target_wish, version_mask


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("x", (None, None)),
        ("", (None, None)),
        (None, (None, None)),
        (17, (None, None)),
        ("d=0.001", (0.001, None)),
        ("x;diff=65536", (65536.0, None)),
        ("d=8,diff=16,md=4", (8.0, 4.0)),
        ("d=1e3", (None, None)),
        ("d=-1,d=0", (None, None)),
        ("d=0x10", (None, None)),
        ("d=１", (None, None)),
        ("d=nan;md=inf", (None, None)),
        ("d=" + "9" * 400, (None, None)),
    ],
)
def test_password_options(password: object, expected: tuple[float | None, float | None]) -> None:
    """C-036: options are read, junk is ignored."""
    assert password_options(password) == expected


@pytest.mark.parametrize(
    ("value", "difficulty"),
    [
        (1, 1.0),
        (0.0001, 0.0001),
        ("0.0001", 0.0001),
        ("1024", 1024.0),
        (".5", 0.5),
        (2**63, 2.0**63),
        (2**63 + 2**12, None),
        (10**30, None),
        (0, None),
        (-1, None),
        (True, None),
        (False, None),
        (math.nan, None),
        (math.inf, None),
        ("", None),
        (" 1", None),
        ("+1", None),
        ("1_000", None),
        ("0", None),
        ("NaN", None),
        (None, None),
        ([1], None),
        ({}, None),
    ],
)
def test_difficulty_wishes(value: object, difficulty: float | None) -> None:
    """C-063: numbers and decimal digits up to 2^63 are difficulties, all else is not."""
    assert difficulty_wish(value) == difficulty


def test_target_wishes() -> None:
    """A target of 64 hex digits is worth T1 / target."""
    assert target_wish(f"{0xFFFF << 208:064x}") == 1.0
    assert target_wish(f"{0xFFFF << 198:064X}") == 1024.0
    for junk in ("0" * 64, "f" * 63, "0x" + "f" * 62, 5, None):
        assert target_wish(junk) is None


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, 0xFFFFFFFF),
        ({"version-rolling.mask": "ffffffff"}, 0xFFFFFFFF),
        ({"version-rolling.mask": "1FFFE000"}, 0x1FFFE000),
        ({"version-rolling.mask": "e000"}, 0xE000),
        ({"version-rolling.mask": "0"}, 0),
        ({"version-rolling.mask": ""}, 0),
        ({"version-rolling.mask": "0xffff"}, 0),
        ({"version-rolling.mask": "123456789"}, 0),
        ({"version-rolling.mask": 7}, 0),
    ],
)
def test_masks(options: dict[str, object], mask: int) -> None:
    """C-067: one to eight hex digits, all bits by default."""
    assert version_mask(options) == mask
