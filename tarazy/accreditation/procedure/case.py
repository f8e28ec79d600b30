"""A case: its service, whose it is, and its record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from tarazy.accreditation.audit import canonical
from tarazy.accreditation.procedure.events import Event, Filed, Kind, Value
from tarazy.accreditation.procedure.machine import Course, follow
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import legal_day
from tarazy.config.law.services import SERVICES, Service, StateServiceRule


@dataclass(frozen=True)
class Case:
    """A case as it is kept. `party` is None for the pool's own; `record` holds every event, corrections too."""

    key: str
    service: Service
    party: str | None
    opened_at: datetime
    opened_by: str
    record: tuple[Event, ...] = ()

    @cached_property
    def course(self) -> Course:
        """Where it stands. Raises `IllegalEventError` for a record that nobody could have recorded here."""
        return follow(self.record)

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the canonical JSON of the whole record."""
        plain = [self.key, self.service.value, self.party, [event.plain for event in self.record]]
        return hashlib.sha256(canonical(plain).encode()).hexdigest()

    @property
    def application(self) -> Mapping[str, Value]:
        """The fields of the application as filed, by their code."""
        filed = self.course.content(Kind.FILED, Filed)
        return filed.application if filed else {}

    def field(self, code: str, lang: str) -> Value | None:
        """What the application says in the field `code`: for that language where it says it in each, else for all."""
        return self.application.get(f"{code}_{lang}", self.application.get(code))

    def rule(self, book: LawBook, today: date) -> StateServiceRule:
        """The service's rule for this case: that of the day of filing, before it that of `today`.

        Raises `NoRuleInForceError`.
        """
        filed = self.course.first(Kind.FILED)
        return book.rule(SERVICES[self.service], legal_day(filed.at) if filed else today)
