"""Load the rule files and answer which rule of a topic is in force on a day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tarazy.config.law.rules import Rule
from tarazy.config.law.topics import parse_rule
from tarazy.config.yaml_file import YamlFileError, read_yaml

R = TypeVar("R", bound=Rule)

SHIPPED = Path(__file__).parent
"""Directory of the rules that come with the program."""


class LawError(Exception):
    """The rule files cannot be used. One line of text for each fault: file, path inside it, what is wrong."""


class NoRuleInForceError(Exception):
    """No rule of a topic covers a day, so nothing is computed. The text names what to enter."""

    def __init__(self, topic: str, day: date, before: Rule | None, after: Rule | None) -> None:
        self.topic, self.day, self.before, self.after = topic, day, before, after
        earlier = f"the nearest before is {before.id} (to {before.valid_to})" if before else "none before"
        later = f"the nearest after is {after.id} (from {after.valid_from})" if after else "none after"
        super().__init__(
            f"no rule in force: {topic} on {day}; {earlier}, {later}. Enter the act's rule for that day in a "
            "YAML file of the directory named by law.directory, or for a trial name one of the assumption "
            "files in law.assumptions"
        )


class LawBook:
    """All rules of one server, by topic. At most one rule of a topic is in force on a day."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Raises `LawError` when two rules of a topic overlap or share an id."""
        self._topics: dict[str, list[Rule]] = {}
        for rule in sorted(rules, key=lambda rule: rule.valid_from):
            self._topics.setdefault(rule.topic, []).append(rule)
        faults = [*self._overlaps(), *self._twins()]
        if faults:
            raise LawError("\n".join(faults))

    def __iter__(self) -> Iterator[Rule]:
        for rules in self._topics.values():
            yield from rules

    def _overlaps(self) -> Iterator[str]:
        for topic, rules in self._topics.items():
            for earlier, later in pairwise(rules):
                if earlier.in_force(later.valid_from):
                    eve = later.valid_from - timedelta(days=1)
                    cure = f"end {earlier.id} with valid_to: {eve}, or remove one of them"
                    yield f"law: {topic}: {earlier.id} and {later.id} overlap from {later.valid_from}; {cure}"

    def _twins(self) -> Iterator[str]:
        seen: set[str] = set()
        for rule in self:
            if rule.id in seen:
                yield f"law: {rule.topic}: two rules have the id {rule.id}; rename one"
            seen.add(rule.id)

    def rule(self, kind: type[R], day: date) -> R:
        """The rule of `kind` in force on the Kazakhstan calendar day `day`.

        Raises `NoRuleInForceError`.
        """
        topic = kind.topic_name()
        rules = self._topics.get(topic, [])
        for rule in rules:
            if rule.in_force(day) and isinstance(rule, kind):
                return rule
        before = [rule for rule in rules if rule.valid_from < day]
        after = [rule for rule in rules if rule.valid_from > day]
        raise NoRuleInForceError(topic, day, before[-1] if before else None, after[0] if after else None)


def _faults(path: Path, name: str, error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        where = ".".join([name, *(part for part in map(str, fault["loc"]) if not part.startswith("<"))])
        yield f"{path}: {where}: {fault['msg'].removeprefix('Value error, ')}"


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        raw = read_yaml(path)
    except YamlFileError as error:
        raise LawError(str(error)) from None
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise LawError(f"{path}: (top level): must be a list of rules, each a mapping that begins with - id:")
    return raw


def _rules(path: Path, *, assumed: bool) -> dict[str, Rule]:
    rules: dict[str, Rule] = {}
    faults: list[str] = []
    for number, raw in enumerate(_read(path)):
        name = str(raw.get("id", f"[{number}]"))
        try:
            rule = parse_rule(raw, assumed=assumed)
        except ValidationError as error:
            faults.extend(_faults(path, name, error))
        except ValueError as error:
            faults.append(f"{path}: {name}.{error}")
        else:
            if rule.id in rules:
                faults.append(f"{path}: {name}.id: stands twice in this file; rename one")
            rules[rule.id] = rule
    if faults:
        raise LawError("\n".join(faults))
    return rules


def _assumption(name: str, directories: Iterable[Path]) -> Path:
    files = {path.stem: path for folder in directories for path in sorted(folder.glob("assumptions/*.yaml"))}
    if name not in files:
        known = ", ".join(files) or "none"
        raise LawError(f"law.assumptions: there is no assumption {name!r}; known: {known}")
    return files[name]


def load_law(assumptions: Iterable[str] = (), directory: Path | None = None, shipped: Path = SHIPPED) -> LawBook:
    """Read the shipped rules, the operator's own in `directory`, and the assumption files that are named.

    An operator's rule with the id of a shipped one replaces it: so a rule is corrected or confirmed.
    An assumption file is loaded only when `assumptions` names it (file name without `.yaml`).
    Raises `LawError`.
    """
    if directory is not None and not directory.is_dir():
        raise LawError(f"law.directory: {directory} is not a directory; make it or remove the setting")
    directories = [shipped] if directory is None else [shipped, directory]
    rules: dict[str, Rule] = {}
    for folder in directories:
        own: dict[str, Rule] = {}
        for path in sorted(folder.glob("*.yaml")):
            _add(own, _rules(path, assumed=False), path)
        rules |= own
    for name in assumptions:
        path = _assumption(name, directories)
        _add(rules, _rules(path, assumed=True), path)
    return LawBook(rules.values())


def _add(rules: dict[str, Rule], more: Mapping[str, Rule], path: Path) -> None:
    for name in more.keys() & rules.keys():
        raise LawError(f"{path}: {name}.id: another file has a rule of this id; rename one")
    rules.update(more)
