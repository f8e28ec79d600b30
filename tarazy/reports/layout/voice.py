"""How one report speaks in one language: its messages, figures, names and sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType

from tarazy.reports.content import Records, Rule
from tarazy.reports.document import Figure, Paragraph
from tarazy.reports.language import bitcoin, day, energy, has, instant, number, tenge, text

_SHARED = "accreditation"
"""Catalogue of the messages that every report has."""

NOTHING = "—"
"""Stands in a cell that has no value."""

_LISTED_RANGES = 40
"""Ranges of record numbers that a source line spells out; the JSON holds them all."""


_OFFSET = "+05:00"
"""Of legal time since 1 March 2024: the headings of tables say it once. Instants that have another carry it."""


def _places(value: int | Decimal) -> int:
    """Decimals that a number has."""
    return max(0, -int(value.as_tuple().exponent)) if isinstance(value, Decimal) else 0


class Voice:
    """Says the report's messages and values in `lang`."""

    def __init__(
        self,
        lang: str,
        names: Mapping[str, Mapping[str, str]],
        sites: Mapping[str, str] = MappingProxyType({}),
        catalogue: str = _SHARED,
    ) -> None:
        """`names`: of parties by language; `sites`: names of sites; `catalogue`: of the report's own messages."""
        self.lang = lang
        self._names = {party: each[lang] for party, each in names.items()}
        self._sites = sites
        self._catalogue = catalogue

    def say(self, key: str, /, **values: object) -> str:
        """The message `key` of the report's own catalogue, or of the accreditation report's, which all share."""
        own = f"{self._catalogue}.{key}"
        return text(self.lang, own if has(own) else f"{_SHARED}.{key}", **values)

    def word(self, kind: str, code: str) -> str:
        """The word of a code, such as a status; the code itself where the catalogue has no word for it."""
        key = f"words.{kind}.{code}"
        return text(self.lang, key) if has(key) else code

    def number(self, value: int | Decimal) -> str:
        """A number in the language's format."""
        return Figure(number(self.lang, value), value, _places(value))

    def day(self, value: date) -> str:
        """A calendar day."""
        return Figure(day(self.lang, value), value)

    def instant(self, value: datetime | None) -> str:
        """An instant in Almaty's time with its offset; a dash for none."""
        if value is None:
            return NOTHING
        return Figure(instant(self.lang, value).replace("(UTC", "").replace(")", ""), value)

    def when(self, key: str) -> str:
        """The heading of a column of instants, which `at` tells: with the offset that they share."""
        return f"{self.say(key)} (UTC{_OFFSET})"

    def at(self, value: datetime | None) -> str:
        """An instant for a cell under `when`, on one line; a dash for none."""
        if value is None:
            return NOTHING
        return Figure(self.instant(value).removesuffix(f" {_OFFSET}").replace(" ", "\xa0"), value)

    def bitcoin(self, satoshi: int) -> str:
        """An amount in BTC without the unit, which the column's heading names."""
        return Figure(bitcoin(self.lang, satoshi).rpartition("\xa0")[0], Decimal(satoshi).scaleb(-8), 8)

    def tenge(self, value: Decimal | None) -> str:
        """An amount in tenge without the unit, which the column's heading names; a dash for none."""
        return (
            NOTHING
            if value is None
            else Figure(tenge(self.lang, value).rpartition("\xa0")[0], value, max(2, _places(value)))
        )

    def energy(self, wh: int) -> str:
        """An energy in kWh without the unit, which the column's heading names."""
        return Figure(energy(self.lang, wh).rpartition("\xa0")[0], Decimal(wh).scaleb(-3), 3)

    def kilowatts(self, watts: int) -> str:
        """A power in kW without the unit, with as many decimals as it has."""
        return self.number(Decimal(f"{Decimal(watts).scaleb(-3).normalize():f}"))

    def party(self, party: str) -> str:
        """A party's name; its key where the registers of the report do not hold it."""
        return self._names.get(party, party)

    def site(self, site: str) -> str:
        """A site's name; its key where the registers of the report do not hold it."""
        return self._sites.get(site, site)

    def standing(self, rule: Rule) -> str:
        """Whether a rule is confirmed, unconfirmed or an assumption."""
        code = "assumed" if rule.assumed else "confirmed" if rule.confirmed else "unconfirmed"
        return self.word("rule_standing", code)

    def act(self, rule: Rule) -> str:
        """The rule's act, with the article where it is known."""
        article = "" if rule.article is None else ", " + self.say("rules.article", article=rule.article)
        return rule.act + article

    def source(self, records: Iterable[Records]) -> Paragraph:
        """The line that closes a section: which stored records it rests on."""
        return Paragraph(self.say("source.line", records="; ".join(map(self._records, records))), small=True)

    def _records(self, records: Records) -> str:
        if not records.count:
            return self.say("source.empty", table=records.table)
        if not records.numbers:
            return self.say("source.counted", table=records.table, count=records.count)
        ranges = [str(first) if first == last else f"{first}–{last}" for first, last in records.numbers]
        shown = ", ".join(ranges[:_LISTED_RANGES]) + (", …" if len(ranges) > _LISTED_RANGES else "")
        return self.say("source.numbered", table=records.table, numbers=shown)
