"""Figures as people of each language write them. Exact: no value passes through a float."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, localcontext
from functools import cache

from babel.core import Locale
from babel.numbers import get_decimal_symbol, get_group_symbol

from tarazy.config.law.calendar import ALMATY

_ENERGY_UNIT = {"kk": "кВт·сағ", "ru": "кВт·ч", "en": "kWh"}


def number(lang: str, value: int | Decimal) -> str:
    """`value` with the language's group and decimal signs; every digit of a `Decimal` is kept."""
    if isinstance(value, Decimal):
        return _decimal(lang, value, _places(value))
    return _decimal(lang, Decimal(value), 0)


def bitcoin(lang: str, satoshi: int) -> str:
    """An amount in satoshi as BTC with all eight decimals."""
    return f"{_decimal(lang, Decimal(satoshi).scaleb(-8), 8)}\xa0BTC"


def energy(lang: str, wh: int) -> str:
    """An energy in watt-hours as kilowatt-hours with all three decimals."""
    return f"{_decimal(lang, Decimal(wh).scaleb(-3), 3)}\xa0{_ENERGY_UNIT[lang]}"


def tenge(lang: str, value: Decimal) -> str:
    """Money in tenge. More than two decimals are kept, because rounding is the legal rule's business."""
    return f"{_decimal(lang, value, max(2, _places(value)))}\xa0₸"


def day(lang: str, value: date) -> str:
    """A calendar day, for example 22.11.2026; in English 22 Nov 2026."""
    if lang == "en":
        months = Locale.parse(lang).months["format"]["abbreviated"]
        return f"{value.day} {months[value.month]} {value.year}"
    return f"{value:%d.%m.%Y}"


def instant(lang: str, value: datetime) -> str:
    """An aware datetime in Almaty's time with its offset, for example 22.11.2026 14:05:09 (UTC+05:00)."""
    if value.tzinfo is None:
        raise ValueError("naive datetime: instants carry a time zone")
    local = value.astimezone(ALMATY)
    offset = f"{local:%z}"
    return f"{day(lang, local)} {local:%H:%M:%S} (UTC{offset[:3]}:{offset[3:]})"


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not a number that can be shown")
    return max(0, -exponent)


def _decimal(lang: str, value: Decimal, places: int) -> str:
    with localcontext(prec=80):  # sums of work have up to 39 digits, more than the default context keeps
        return f"{value:,.{places}f}".translate(_signs(lang))


@cache
def _signs(lang: str) -> dict[int, str]:
    """The language's group and decimal signs in place of those of Python."""
    return {ord(","): get_group_symbol(lang), ord("."): get_decimal_symbol(lang)}
