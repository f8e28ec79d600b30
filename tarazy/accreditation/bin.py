"""The check digit of BIN and IIN, the twelve-digit numbers of legal entities and of people in Kazakhstan.

Weights 1…11 over the first eleven digits, modulo 11; if that gives 10, weights 3…11, 1, 2; if it gives 10
again the number is never issued. The layout is no ground for refusal: since decree 853 of 26.08.2013 the
digits of an IIN need not match birth date or sex.
"""

from __future__ import annotations

from tarazy.accreditation.problems import Problem

_FIRST_WEIGHTS = range(1, 12)
_SECOND_WEIGHTS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)


def check_digit(first_eleven: str) -> int | None:
    """The twelfth digit that belongs to eleven digits; None when such a number is never issued."""
    digits = [int(character) for character in first_eleven]
    for weights in (_FIRST_WEIGHTS, _SECOND_WEIGHTS):
        digit = sum(weight * value for weight, value in zip(weights, digits, strict=True)) % 11
        if digit < 10:
            return digit
    return None


def check_bin(number: str) -> str:
    """Give `number` back when it can be a BIN or IIN; otherwise raise ValueError with reason and cure."""
    if not (number.isascii() and number.isdigit()):
        raise ValueError(Problem("bin-digits"))
    if len(number) != 12:
        raise ValueError(Problem("bin-short" if len(number) < 12 else "bin-long", digits=len(number)))
    digit = check_digit(number[:11])
    if digit is None:
        raise ValueError(Problem("bin-never"))
    if digit != int(number[11]):
        raise ValueError(Problem("bin-check"))
    return number


def bin_layout_warning(number: str) -> Problem | None:
    """What is unusual in the layout of a legal entity's BIN, or None. A warning, never an error."""
    if not 1 <= int(number[2:4]) <= 12:
        return Problem("bin-month")
    if number[4] not in "456":
        return Problem("bin-kind")
    if number[5] not in "0123":
        return Problem("bin-part")
    return None
