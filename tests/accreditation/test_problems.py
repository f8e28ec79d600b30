"""Every fault of a form or a spreadsheet has a text in every language, and every text a fault."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tarazy
from tarazy.accreditation.problems import Problem
from tarazy.reports.language import LANGUAGES, messages
from tarazy.reports.problems import problem_texts

ROOT = Path(tarazy.__file__).parent
SPEAKING = [
    *(
        ROOT / "accreditation" / f"{name}.py"
        for name in ("bin", "checking", "documents", "fields", "findings", "importing", "sheets")
    ),
    ROOT / "accreditation" / "licence_terms.py",
    *(ROOT / "portal" / f"{name}.py" for name in ("desk", "tokens", "users")),
    ROOT / "pool" / "usable.py",
    *(ROOT / "pool" / "payouts" / f"{name}.py" for name in ("desk", "facts")),
]
"""Whatever judges what a form or a spreadsheet brings to the portal."""
OWN_CODES = {"_matching": 1, "Problem": 0}
"""Who takes a code, and as which argument."""
PLAIN = {
    "ValueError": 0,
    "TableFault": 1,
    "EntryFault": 2,
    "Unreadable": 0,
    "_fail": 1,
    "DocumentError": 0,
    "FindingError": 0,
}
"""Who takes a problem, and as which argument."""


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """Calls of plain names in a file, by name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node


def words(node: ast.expr) -> list[str]:
    """The texts that an expression may be, `{…}` in place of what is put into them."""
    if isinstance(node, ast.IfExp):
        return [*words(node.body), *words(node.orelse)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_every_problem_has_a_text_in_each_language() -> None:
    """A code without texts is found here, before anybody meets it; so is a text that nobody says."""
    told = {key.removeprefix("problems.") for key in messages() if key.startswith("problems.")}
    said = {
        code.replace("{}", end)
        for file in SPEAKING
        for name, call in calls(file)
        if name in OWN_CODES
        for code in words(call.args[OWN_CODES[name]])
        for end in ("", "-unconfirmed")
        if end == "" or "{}" in code
    }
    said |= {"network", "network-host-bits"}
    assert said == told


def test_nothing_is_wrong_in_english_alone() -> None:
    """Who judges lines says it by code."""
    plain = [
        f"{file.name}:{call.lineno}"
        for file in SPEAKING
        for name, call in calls(file)
        if name in PLAIN and len(call.args) > PLAIN[name] and words(call.args[PLAIN[name]])
    ]
    assert plain == []


def test_a_problem_is_told_with_its_values() -> None:
    """In each language, the text that programs read being the English one; an unknown code is an error at once."""
    problem = Problem("reference", register="party", key="acme")
    assert problem == "there is no party acme; enter it first, or correct the key"
    texts = problem_texts(problem)
    assert texts["en"] == problem
    assert len(set(texts.values())) == len(LANGUAGES)
    assert all("acme" in each for each in texts.values())
    assert texts["ru"] == "в реестре «Организации» нет acme; сначала внесите запись или исправьте ключ"
    with pytest.raises(KeyError):
        Problem("no-such-code")
