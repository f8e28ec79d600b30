"""The pages for people, against the program: columns, commands and links that they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tarazy.accreditation.entries import BY_HAND, fields_of
from tarazy.pool.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATORS = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
_WORDS = re.compile(r"`([^`]+)`")


def table_rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first line is `heading`, without that line."""
    table = OPERATORS.split(heading + "\n", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]


def test_the_registers_have_the_columns_told() -> None:
    """Each register, its needed columns and those that may be empty, in order; nothing more, nothing less."""
    rows = table_rows("| register | one row is | needed columns | may be empty |")
    shared = [_WORDS.findall(row[0])[0] for row in table_rows("| column | meaning |")]
    told = {_WORDS.findall(row[0])[0]: (_WORDS.findall(row[2]), _WORDS.findall(row[3])) for row in rows}
    assert list(told) == list(BY_HAND)
    for register, (needed, optional) in told.items():
        columns = fields_of(register)
        assert list(columns)[-len(shared) :] == shared
        assert needed == [name for name, field in columns.items() if field.required], register
        assert [*optional, *shared] == [name for name, field in columns.items() if not field.required], register


def commands() -> Iterator[tuple[str, list[str]]]:
    """Page and words of every command line that a page shows."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        shown = [*lines, *_WORDS.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\n", " "))]
        for line in shown:
            found = re.match(r"(?:\$ )?(?:\S*/bin/)?tarazy ([a-z].*)", line.strip())
            if found:
                yield page.name, shlex.split(found[1], comments=True)


@pytest.mark.parametrize(("page", "words"), [pytest.param(*each, id=" ".join(each[1])[:60]) for each in commands()])
def test_a_command_told_is_one(page: str, words: list[str]) -> None:
    """Its words lead to a command, and it takes the options shown."""
    command: click.Command = main
    rest = list(words)
    context = click.Context(main)
    while isinstance(command, click.Group) and rest and re.fullmatch("[a-z|-]+", rest[0]):
        (named, *others) = rest.pop(0).split("|")
        group = command
        found = [group.get_command(context, name) for name in (named, *others)]
        assert None not in found, f"{page}: {' '.join(words)}"
        command = next(each for each in found if each is not None)
    known = {name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)}
    for option in (word.strip("[]").partition("=")[0] for word in rest if word.strip("[").startswith("-")):
        assert option in known, f"{page}: {' '.join(words)}"


def anchors(page: Path) -> set[str]:
    """What links into a page may name, as GitHub makes it of headings."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL), re.M
    )
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that is there, and in a page to a heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"
