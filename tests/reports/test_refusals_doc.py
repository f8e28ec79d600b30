"""docs/refusals.md says of each reason what the programs say of it."""

from __future__ import annotations

import re
from pathlib import Path

from tarazy.accreditation.admission import Reason
from tarazy.reports.language import LANGUAGES, text

PAGE = Path(__file__).parents[2] / "docs" / "refusals.md"


def test_the_page_says_what_the_programs_say() -> None:
    """Every reason in every language, in the order in which reasons are told, and nothing else."""
    written = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| `", line)]
    assert written == [
        f"| `{reason}` | {text(lang, f'words.reason.{reason}')} | {text(lang, f'portal.cure.{reason}')} |"
        for lang in LANGUAGES
        for reason in Reason
    ]
