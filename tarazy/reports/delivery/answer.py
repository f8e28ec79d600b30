"""What an authority's answer means for a document. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from tarazy.reports.delivery.profile import Profile

LARGEST_ANSWER = 1 << 20
"""Bytes of an answer that are read; a longer one is none."""
_LONGEST_NUMBER = 200
_LONGEST_WORDS = 300
_LATER = frozenset({425, 429})
_UNKNOWN_THERE = frozenset({404, 410})
LONGEST_WAIT_SECONDS = 86_400


class Outcome(StrEnum):
    """What came of one attempt."""

    RECEIPT = "receipt"
    REFUSED = "refused"
    """The authority will not take it as it is; people must look."""
    NOT_TAKEN = "not-taken"
    """It surely did not arrive."""
    UNSURE = "unsure"
    """It may have arrived; there is no receipt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, or why there is none."""

    status: int | None
    body: bytes = b""
    fault: str | None = None
    """Why there is no whole answer."""
    sent: bool = True
    """Whether anything of the document may have left before that."""
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The meaning of an answer."""

    outcome: Outcome
    words: str
    """For people."""
    number: str | None = None
    """Of the receipt."""
    wait_seconds: int = 0
    """How long the authority wants to be left alone."""


def judge(profile: Profile, answer: Answer, sent: Mapping[str, str], now: datetime, *, asked: bool = False) -> Judged:
    """What the answer to a document means, or with `asked` that to an inquiry after it.

    `sent`: the values that a receipt may have to repeat.
    """
    if answer.status is None:
        outcome = Outcome.UNSURE if answer.sent or asked else Outcome.NOT_TAKEN
        return Judged(outcome, answer.fault or "no answer")
    told = _json(answer.body)
    words = f"it answers {answer.status}{_said(profile, told)}"
    if answer.fault is not None:
        return Judged(Outcome.UNSURE, f"{words}: {answer.fault}")
    if answer.status in profile.receipt.statuses:
        return _receipt(profile, told, sent, words)
    wait = _wait(answer.retry_after, now)
    if asked:
        known = answer.status not in _UNKNOWN_THERE
        return Judged(Outcome.UNSURE if known else Outcome.NOT_TAKEN, words, wait_seconds=wait)
    if answer.status in _LATER:
        return Judged(Outcome.NOT_TAKEN, words, wait_seconds=wait)
    if 300 <= answer.status < 500 and answer.status != 408:
        return Judged(Outcome.REFUSED, words)
    return Judged(Outcome.UNSURE, words, wait_seconds=wait)


def _receipt(profile: Profile, told: Any, sent: Mapping[str, str], words: str) -> Judged:
    number = _at(told, profile.receipt.number)
    if type(number) is int:
        number = str(number)
    if not isinstance(number, str) or not number.strip() or len(number) > _LONGEST_NUMBER or not number.isprintable():
        return Judged(Outcome.UNSURE, f"{words} without a receipt's number in {profile.receipt.number}")
    for pointer, name in profile.receipt.matches.items():
        if (found := _at(told, pointer)) != sent[name]:
            return Judged(Outcome.UNSURE, f"{words} with a receipt of another document: {pointer} is {_shown(found)}")
    return Judged(Outcome.RECEIPT, words, number)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _at(told: Any, pointer: str) -> Any:
    for name in pointer.split("."):
        told = told.get(name) if isinstance(told, dict) else None
    return told


def _said(profile: Profile, told: Any) -> str:
    said = _at(told, profile.fault) if profile.fault else None
    return "" if said is None else f" ({_shown(said)})"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else " " for each in text[:_LONGEST_WORDS])


def _wait(header: str | None, now: datetime) -> int:
    """Seconds of a Retry-After header, which holds them or a date."""
    if header is None:
        return 0
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]), LONGEST_WAIT_SECONDS)
    try:
        at = parsedate_to_datetime(text)
        seconds = (at - now).total_seconds() if at.tzinfo else 0.0
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0
    return int(min(max(0.0, seconds), LONGEST_WAIT_SECONDS))
