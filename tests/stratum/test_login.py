"""The one rule for logins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.stratum.login import canonical_login, is_login, split_login


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("acme.rig07", "acme.rig07"),
        ("ACME.Rig07", "acme.Rig07"),
        ("acme", "acme"),
        ("acme.", "acme"),
        ("acme.a.b.c", "acme.a.b.c"),
        ("acme._x", "acme._x"),
        ("a b.c d", "a b.c d"),
        ("a" * 127, "a" * 127),
        ("a" * 63 + "." + "b" * 63, "a" * 63 + "." + "b" * 63),
    ],
)
def test_logins(text: str, canonical: str) -> None:
    """C-031, C-035: divided at the first dot, accounts in lower case, workers as they are."""
    assert is_login(*split_login(text))
    assert canonical_login(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", ".rig", "_acme.rig", "acme/rig", "acme.r/g", "acme\x00", "acme\n", "acme.rig\x7f"),
        *("қазақ.rig", "acme.rig０", "acme.\ud800", "a" * 128, "a" * 63 + "." + "b" * 64),
    ],
)
def test_what_is_no_login(text: str) -> None:
    """C-032: nor after it was brought into one form."""
    assert not is_login(*split_login(text))
    assert not is_login(*split_login(canonical_login(text)))


def test_no_foreign_sign_folds_into_a_letter() -> None:
    """C-035: the Kelvin sign is no k, though Unicode's lower case says so."""
    assert "\u212aelvin".lower() == "kelvin"
    assert not is_login(*split_login("\u212aelvin.rig"))


@given(st.text(max_size=140))
def test_one_form(text: str) -> None:
    """C-035: the canonical form stands for itself, and is a login only if the text is one."""
    canonical = canonical_login(text)
    assert canonical_login(canonical) == canonical
    assert is_login(*split_login(canonical)) == is_login(*split_login(text))
