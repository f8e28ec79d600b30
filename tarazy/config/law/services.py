"""State services as data: terms, hours, documents, grounds of refusal and the fields of the forms.

What nobody has read is null. A deadline that would need it has no day, and says where to enter it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from tarazy.config.law.calendar import ALMATY
from tarazy.config.law.rules import Part, Rule
from tarazy.config.law.working_days import WorkingDays

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Clock = Annotated[time, Field(description="a time of day such as '09:00', in quotes")]


class Service(StrEnum):
    """A state service that cases are kept of."""

    SECURED_ASSET_PERMIT = "secured_asset_permit"
    POOL_ACCREDITATION = "pool_accreditation"
    POOL_ACCREDITATION_RENEWAL = "pool_accreditation_renewal"


class Words(Part):
    """A text in the three languages."""

    kk: str = Field(min_length=1)
    ru: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def in_language(self, lang: str) -> str:
        """The text in `kk`, `ru` or `en`."""
        return {"kk": self.kk, "ru": self.ru, "en": self.en}[lang]


class Term(Part):
    """A length of time in days; 0 is the same day."""

    days: Annotated[int, Field(ge=0, le=366)]
    unit: Literal["working", "calendar"]


class ServiceTerms(Part):
    """How long each step may take; null is unknown."""

    registration: Term | None
    """From acceptance to registration."""
    completeness: Term | None
    """From registration to the end of the check of completeness."""
    review: Term | None
    """From the finding that the documents are complete to the decision."""
    whole: Term | None
    """From registration to the decision."""
    hearing_notice: Term | None
    """At least so long before the whole term ends the applicant is called to a hearing on a preliminary refusal."""
    hearing: Term | None
    """From the notice to the hearing."""
    complaint_forwarding: Term | None
    """From a complaint's receipt by the provider to its passing on with the case file."""
    complaint_by_provider: Term | None
    """From a complaint's registration to the provider's decision."""
    complaint_by_service_quality_authority: Term | None
    """From a complaint's registration to the decision of the authority for the quality of state services."""


class OfficeHours(Part):
    """The provider's hours on working days, by Almaty's clock. Who files at lunch files on that day."""

    opens: Clock
    closes: Clock
    lunch_from: Clock
    lunch_to: Clock
    filed_before_opening: Literal["same_day", "next_working_day"]

    @model_validator(mode="after")
    def _in_order(self) -> OfficeHours:
        if not self.opens < self.lunch_from < self.lunch_to < self.closes:
            raise ValueError("opens < lunch_from < lunch_to < closes must hold")
        return self


class DocumentRequired(Part):
    """A document of an application; with `one_of`, any one of the kinds named."""

    code: Code
    name: Words
    one_of: dict[Code, Words] | None = None

    @property
    def codes(self) -> frozenset[str]:
        """The codes of files that are this document."""
        return frozenset(self.one_of) if self.one_of else frozenset((self.code,))


class FormField(Part):
    """A field of a form, in its place. `text` is printed as it stands, all else is filled in.

    A field with `parts` holds a list of groups, each with these parts.
    """

    code: Code
    name: Words
    text: Words | None = None
    parts: dict[Code, Words] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> FormField:
        if self.text is not None and self.parts is not None:
            raise ValueError("a field has either text or parts")
        return self


class Form(Part):
    """A form: where it stands in the act, its title, its fields in order."""

    appendix: str
    title: Words
    fields: tuple[FormField, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Form:
        codes = [field.code for field in self.fields]
        for code in codes:
            if codes.count(code) > 1:
                raise ValueError(f"fields: {code} stands twice")
        return self


class FormKind(StrEnum):
    """What a form is for."""

    APPLICATION = "application"
    GRANT = "grant"
    REFUSAL = "refusal"


class StateServiceRule(Rule):
    """One state service. Which, its topic says."""

    act_name: Words
    """The act as forms name it."""
    unread: str | None = None
    """The act to read where something is null."""
    terms: ServiceTerms
    hours: OfficeHours | None
    first_day_counted: Literal["next_day", "same_day"] | None
    """The day that a term counts as its first: the day after its beginning, or that day itself.

    In terms of working days the first working one of these.
    """
    shift_if_non_working: Literal["next_working_day", "none"] | None
    """Whether a term in calendar days that ends on a day off goes on to the next working day."""
    permit_years: Annotated[int, Field(ge=1, le=50)] | None
    """For how long what is granted holds, from the day of issue."""
    documents: tuple[DocumentRequired, ...] | None
    grounds: dict[int, Words] | None
    """Grounds of refusal by their code."""
    forms: dict[FormKind, Form] | None

    @model_validator(mode="after")
    def _countable(self) -> StateServiceRule:
        known = [term for name in ServiceTerms.model_fields if (term := getattr(self.terms, name)) is not None]
        if known and self.first_day_counted is None:
            raise ValueError("first_day_counted: terms are given, so say next_day or same_day")
        return self

    def form(self, kind: FormKind) -> Form | None:
        """The form for `kind`; None where it is unknown."""
        return (self.forms or {}).get(kind)

    def document_codes(self) -> Iterator[str]:
        """The codes of all documents that may be asked for."""
        for document in self.documents or ():
            yield from sorted(document.codes)

    def accepted_on(self, filed: datetime, days: WorkingDays) -> date | None:
        """The day on which something filed at the instant `filed` is accepted; None where the hours are unknown.

        Filed after hours or on a day off, it is accepted on the next working day.
        """
        if self.hours is None:
            return None
        local = filed.astimezone(ALMATY)
        day = local.date()
        early = local.time() < self.hours.opens and self.hours.filed_before_opening == "next_working_day"
        if early or local.time() >= self.hours.closes:
            day += timedelta(days=1)
        return days.on_or_after(day)

    def last_day(self, term: Term, begins: date, days: WorkingDays) -> date:
        """The last day of `term` that begins with what happened on `begins`.

        A term in calendar days ends earlier rather than later where it is unknown whether its end moves.
        """
        counted = term.days - (1 if self.first_day_counted == "same_day" and term.days else 0)
        if term.unit == "working":
            if term.days == 0 or self.first_day_counted == "same_day":
                begins = days.on_or_after(begins)
            return days.after(begins, counted)
        last = begins + timedelta(days=counted)
        return days.on_or_after(last) if self.shift_if_non_working == "next_working_day" else last

    def latest_day_before(self, term: Term, end: date, days: WorkingDays) -> date:
        """The last day from which at least `term` is left until the day `end`."""
        if term.unit == "working":
            return days.before(end, term.days)
        return end - timedelta(days=term.days)

    def last_valid_day(self, issued: date) -> date | None:
        """The last day on which what was granted on `issued` holds: the day before the anniversary."""
        if self.permit_years is None:
            return None
        year = issued.year + self.permit_years
        leap_day = (issued.month, issued.day) == (2, 29) and not _is_leap(year)
        return (date(year, 2, 28) if leap_day else issued.replace(year=year)) - timedelta(days=1)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


class SecuredAssetPermitRule(StateServiceRule):
    """The permit to issue and circulate secured digital assets."""

    topic: Literal["service_secured_asset_permit"]


class PoolAccreditationServiceRule(StateServiceRule):
    """The accreditation of a mining pool."""

    topic: Literal["service_pool_accreditation"]


class PoolAccreditationRenewalRule(StateServiceRule):
    """The renewal of a mining pool's accreditation."""

    topic: Literal["service_pool_accreditation_renewal"]


SERVICES: dict[Service, type[StateServiceRule]] = {
    Service.SECURED_ASSET_PERMIT: SecuredAssetPermitRule,
    Service.POOL_ACCREDITATION: PoolAccreditationServiceRule,
    Service.POOL_ACCREDITATION_RENEWAL: PoolAccreditationRenewalRule,
}
"""The type of each service's rule."""
