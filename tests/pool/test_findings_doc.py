"""docs/findings.md knows every kind, and the settings know them too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from tarazy.accreditation.entries import FindingKind
from tarazy.accreditation.expiry import EXPIRING
from tarazy.config.settings import FindingName
from tarazy.reports.language import has

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def test_every_kind_is_described_settable_and_told() -> None:
    """In the same order everywhere, with words and a cure in each language."""
    kinds = [str(kind) for kind in FindingKind]
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == kinds
    assert list(get_args(FindingName)) == kinds
    assert [kind for kind in kinds if not has(f"attention.finding.{kind}") or not has(f"attention.cure.{kind}")] == []
    assert [name for name in EXPIRING if not has(f"attention.what.{name}")] == []
