"""What is wrong with lines of the registers: a code and its values, told in the languages of `data/problems.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml

from tarazy.config.yaml_file import SafeLoader


class Problem(str):
    """A fault and its cure: in English as text, for other languages by its code and values."""

    code: str
    values: Mapping[str, str | int]

    def __new__(cls, code: str, **values: str | int) -> Problem:
        """Raises `KeyError` for a code or a value that the texts do not have."""
        made = super().__new__(cls, _english()[code].format(**values))
        made.code, made.values = code, values
        return made


def problem_of(error: ValueError) -> Problem:
    """What a reader of a column raised."""
    problem = error.args[0]
    assert isinstance(problem, Problem), f"a reader raises a problem, not {problem!r}"
    return problem


def texts_file() -> Traversable:
    """The catalogue of all problems, which the language room reads too."""
    return files("tarazy.accreditation") / "data" / "problems.yaml"


@cache
def _english() -> Mapping[str, str]:
    told = yaml.load(texts_file().read_text(encoding="utf-8"), SafeLoader)  # noqa: S506 - it is
    return {code: forms["en"] for code, forms in told.items()}
