"""Problems of lines of the registers, in every language."""

from __future__ import annotations

from tarazy.accreditation.problems import Problem
from tarazy.reports.language import LANGUAGES, text


def problem_texts(problem: str) -> dict[str, str]:
    """Language → what it says; a plain text, of a file that no page takes, is the same in each."""
    if not isinstance(problem, Problem):
        return dict.fromkeys(LANGUAGES, problem)
    return {lang: text(lang, f"problems.{problem.code}", **problem.values) for lang in LANGUAGES}
