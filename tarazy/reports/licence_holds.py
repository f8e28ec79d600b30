"""Why the program itself holds payments: kept as one English line, told in every language."""

from __future__ import annotations

import re
from datetime import date

from tarazy.accreditation.entries import Licence
from tarazy.reports.language import LANGUAGES, day, text

_REASON = re.compile(r"licence (?P<licence>\S+) is (?P<status>suspended|revoked) since (?P<since>\d{4}-\d\d-\d\d)")


def hold_reason(licence: Licence) -> str:
    """The line that is kept for a licence that is not in force."""
    return f"licence {licence.licence} is {licence.status} since {licence.valid_from:%Y-%m-%d}"


def hold_texts(why: str) -> dict[str, str] | None:
    """Language → what such a line says; None for a reason that somebody wrote."""
    found = _REASON.fullmatch(why)
    if found is None:
        return None
    since = date.fromisoformat(found["since"])
    return {
        lang: text(
            lang,
            "portal.licence_hold",
            licence=found["licence"],
            status=text(lang, f"words.licence_status.{found['status']}"),
            day=day(lang, since),
        )
        for lang in LANGUAGES
    }
