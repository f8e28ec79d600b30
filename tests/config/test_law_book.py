"""Rule files: every fault is one line with its path, overlaps are refused, assumptions load by name."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tarazy.config.law import LawBook, LawError, MeteringIntervalRule, load_law

RULE = """\
- id: {id}
  topic: metering_interval
  valid_from: {start}
  valid_to: {end}
  act: "An act"
  article: null
  source: ["https://example.invalid"]
  confirmed: {confirmed}
  minutes: {minutes}
"""


def _rule(
    id: str = "one",
    start: str = "2024-01-01",
    end: str = "2024-12-31",
    minutes: object = 15,
    confirmed: str = "no",
) -> str:
    return RULE.format(id=id, start=start, end=end, minutes=minutes, confirmed=confirmed)


def _load(directory: Path, *assumptions: str, **files: str) -> LawBook:
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load_law(assumptions, shipped=directory)


def _fault(directory: Path, *assumptions: str, **files: str) -> str:
    with pytest.raises(LawError) as refused:
        _load(directory, *assumptions, **files)
    [line] = str(refused.value).splitlines()
    return line


def test_both_ends_of_a_rule_are_in_force(tmp_path: Path) -> None:
    """valid_from and valid_to are the first and the last day; null is open."""
    law = _load(tmp_path, a=_rule() + _rule("two", "2025-01-01", "null", 30))
    assert law.rule(MeteringIntervalRule, date(2024, 1, 1)).id == "one"
    assert law.rule(MeteringIntervalRule, date(2024, 12, 31)).id == "one"
    assert law.rule(MeteringIntervalRule, date(2025, 1, 1)).id == "two"
    assert law.rule(MeteringIntervalRule, date(9999, 12, 31)).id == "two"


@pytest.mark.parametrize("written", ["yes", "true", '"yes"'])
def test_yes_may_be_a_word_or_a_boolean(tmp_path: Path, written: str) -> None:
    """YAML turns a bare yes into a boolean; both are accepted."""
    law = _load(tmp_path, a=_rule(confirmed=written))
    assert law.rule(MeteringIntervalRule, date(2024, 6, 1)).confirmed is True


def test_an_overlap_is_refused_with_a_cure(tmp_path: Path) -> None:
    """Law 1.2: at most one rule of a topic on a day, across files."""
    line = _fault(tmp_path, a=_rule(), b=_rule("two", "2024-12-31", "null"))
    assert line == (
        "law: metering_interval: one and two overlap from 2024-12-31; "
        "end one with valid_to: 2024-12-30, or remove one of them"
    )


def test_an_open_rule_overlaps_everything_later(tmp_path: Path) -> None:
    """A rule without an end is refused when a later one exists."""
    assert "overlap from 2025-01-01" in _fault(tmp_path, a=_rule(end="null") + _rule("two", "2025-01-01", "null"))


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (_rule(minutes="often"), "one.minutes: ", "valid integer"),
        (_rule(minutes=0), "one.minutes: ", "greater than or equal to 1"),
        (_rule(start="2024-13-01"), "not YAML: line 3, column 15: ", "2024-13-01 is no date"),
        (_rule(start="2025-06-01"), "one: ", "valid_to lies before valid_from"),
        (_rule(confirmed="perhaps"), "one.confirmed: ", "boolean"),
        (_rule() + "  colour: red\n", "one.colour: ", "Extra inputs"),
        (_rule().replace("  article: null\n", ""), "one.article: ", "required"),
        (_rule().replace("metering_interval", "weather"), "one.topic: ", "'weather' is none of"),
        (_rule() + "  assumed: true\n", "one.assumed: ", "assumptions/"),
        (_rule().replace("id: one", "id: One Rule"), "One Rule.id: ", "pattern"),
        (_rule() + _rule(start="2025-01-01", end="null"), "one.id: ", "twice"),
        ("rules: {}\n", "(top level): ", "list of rules"),
        (_rule() + "  minutes: 20\n", "not YAML: line 10, column 3: ", "minutes stands twice"),
        ("- [unclosed\n", "", "not YAML"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_path(tmp_path: Path, text: str, where: str, words: str) -> None:
    """The line begins with the file and the rule's id and field."""
    line = _fault(tmp_path, rules=text)
    assert line.startswith(f"{tmp_path / 'rules.yaml'}: {where}")
    assert words in line


def test_an_id_in_two_files_is_refused(tmp_path: Path) -> None:
    """An id names one rule."""
    line = _fault(tmp_path, a=_rule(), b=_rule(start="2025-01-01", end="null"))
    assert line == f"{tmp_path / 'b.yaml'}: one.id: another file has a rule of this id; rename one"


def test_an_assumption_loads_only_when_named(tmp_path: Path) -> None:
    """A file in assumptions/ is off by default, marks its rules, and cannot claim to be confirmed."""
    folder = tmp_path / "assumptions"
    folder.mkdir()
    (folder / "later.yaml").write_text(_rule("later", "2025-01-01", "null"))
    assert [rule.id for rule in _load(tmp_path, a=_rule())] == ["one"]
    assert [(rule.id, rule.assumed) for rule in _load(tmp_path, "later")] == [("one", False), ("later", True)]
    line = _fault(tmp_path, "sooner")
    assert line == "law.assumptions: there is no assumption 'sooner'; known: later"
    (folder / "later.yaml").write_text(_rule("later", "2025-01-01", "null", confirmed="yes"))
    assert "cannot be confirmed" in _fault(tmp_path, "later")


def test_an_operators_rule_replaces_the_shipped_one_of_its_id(tmp_path: Path) -> None:
    """A person who holds the act can confirm or correct a rule without touching the program."""
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    own.mkdir()
    (shipped / "a.yaml").write_text(_rule() + _rule("two", "2025-01-01", "null"))
    (own / "b.yaml").write_text(_rule(confirmed="yes", minutes=30))
    law = load_law(directory=own, shipped=shipped)
    rule = law.rule(MeteringIntervalRule, date(2024, 6, 1))
    assert (rule.minutes, rule.confirmed) == (30, True)
    assert law.rule(MeteringIntervalRule, date(2025, 1, 1)).id == "two"
    with pytest.raises(LawError, match="not a directory"):
        load_law(directory=tmp_path / "nowhere", shipped=shipped)
