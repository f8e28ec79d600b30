"""The messages of reports and pages.

Every YAML file in this folder is one catalogue, owned by one report or page; its name is the first part of
its messages' keys. Inside, mappings nest freely down to a message, which gives the text in each language:

    cover:
      title: {kk: …, ru: …, en: …}

is the message `accreditation.cover.title` of `accreditation.yaml`. Texts hold `{name}` placeholders. Where a
number decides the form, a language's text is a mapping of CLDR plural categories (kk, en: one, other;
ru: one, few, many, other), chosen by the value named `count`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Formatter
from typing import Any

import yaml
from babel.core import Locale

from tarazy.accreditation.problems import texts_file
from tarazy.config.yaml_file import SafeLoader
from tarazy.reports.language.figures import number

LANGUAGES = ("kk", "ru", "en")
"""The languages every message is written in, the state language first."""

Forms = Mapping[str, str]
"""One language's text by plural category; `other` alone where the number does not matter."""
Message = Mapping[str, Forms]
"""A message's forms by language."""


class CatalogueError(Exception):
    """A catalogue file is wrong; the text names the file, the key and the fault."""


def text(lang: str, key: str, /, **values: object) -> str:
    """The message `key` in `lang` with `values` in its placeholders, integers in the language's format.

    Raises `KeyError` for an unknown key or language and for a placeholder without a value.
    """
    form = _form(lang, messages()[key][lang], values)
    shown = {name: number(lang, value) if type(value) is int else value for name, value in values.items()}
    return form.format(**shown)


def _form(lang: str, forms: Forms, values: Mapping[str, object]) -> str:
    if len(forms) == 1:
        return forms["other"]
    count = values["count"]
    if type(count) is not int:
        raise TypeError("count must be an integer: it decides the plural form")
    return forms[Locale.parse(lang).plural_form(count)]


def has(key: str) -> bool:
    """Whether the catalogue knows the message `key`."""
    return key in messages()


@cache
def messages() -> Mapping[str, Message]:
    """Every message of every catalogue file by its key. Raises `CatalogueError`."""
    found: dict[str, Message] = {}
    folder = files("tarazy.reports.language")
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            found.update(read(file))
    found.update(read(texts_file()))
    return found


def read(file: Traversable) -> Mapping[str, Message]:
    """The messages of one catalogue file, each complete in every language. Raises `CatalogueError`."""
    try:
        tree = yaml.load(file.read_text(encoding="utf-8"), SafeLoader)  # noqa: S506 - it is
    except yaml.YAMLError as error:
        raise CatalogueError(f"{file.name}: not YAML: {' '.join(str(error).split())}") from None
    try:
        return dict(_walk(file.name.removesuffix(".yaml"), tree))
    except CatalogueError as error:
        raise CatalogueError(f"{file.name}: {error}") from None


def _walk(key: str, node: Any) -> Iterator[tuple[str, Message]]:
    if not isinstance(node, dict) or not node:
        raise CatalogueError(f"{key}: must be a mapping of messages, or of the languages {', '.join(LANGUAGES)}")
    if not any(lang in node for lang in LANGUAGES):
        for name, child in node.items():
            yield from _walk(f"{key}.{name}", child)
        return
    if set(node) != set(LANGUAGES):
        raise CatalogueError(f"{key}: has {', '.join(map(str, node))}; needs exactly {', '.join(LANGUAGES)}")
    message = {lang: _forms(f"{key}.{lang}", lang, node[lang]) for lang in LANGUAGES}
    if len({_placeholders(forms) for forms in message.values()}) > 1:
        raise CatalogueError(f"{key}: the languages do not use the same placeholders")
    yield key, message


def _forms(key: str, lang: str, node: Any) -> Forms:
    forms = node if isinstance(node, dict) else {"other": node}
    if not all(isinstance(form, str) and form.strip() for form in forms.values()):
        raise CatalogueError(f"{key}: must be text")
    wanted = set(Locale.parse(lang).plural_form.tags) | {"other"}
    if isinstance(node, dict) and set(node) != wanted:
        raise CatalogueError(f"{key}: needs exactly the plural forms {', '.join(sorted(wanted))}")
    return forms


def _placeholders(forms: Forms) -> frozenset[str]:
    names = {name for form in forms.values() for _, name, _, _ in Formatter().parse(form) if name is not None}
    return frozenset(names | ({"count"} if len(forms) > 1 else set()))
