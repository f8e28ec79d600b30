"""Problems of lines of the registers, in every language."""

from __future__ import annotations

from datetime import datetime

from tarazy.accreditation.problems import Problem
from tarazy.reports.language import LANGUAGES, has, instant, text


def problem_texts(problem: str) -> dict[str, str]:
    """Language → what it says; a plain text, of a file that no page takes, is the same in each."""
    if not isinstance(problem, Problem):
        return dict.fromkeys(LANGUAGES, problem)
    return {lang: text(lang, f"problems.{problem.code}", **_told(lang, problem)) for lang in LANGUAGES}


def _told(lang: str, problem: Problem) -> dict[str, str | int]:
    """The values of a problem, instants in Almaty's time; registers by their headings, but in what programs read."""
    return {name: _value(lang, name, value) for name, value in problem.values.items()}


def _value(lang: str, name: str, value: str | int) -> str | int:
    if name == "instant":
        return instant(lang, datetime.fromisoformat(str(value)))
    if name == "register" and lang != "en" and has(f"words.register.{value}"):
        return text(lang, f"words.register.{value}")
    return value
