"""What may happen in a case, and what is kept of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)

from tarazy.accreditation.audit import canonical, instant_text
from tarazy.config.law.calendar import legal_day

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Number = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\W_][\w./ -]{0,63}$")]
Groups = Annotated[tuple[dict[Code, Text], ...], Field(min_length=1, max_length=50)]
Value = Annotated[
    Annotated[Text, Tag("text")] | Annotated[Groups, Tag("groups")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "groups"),
]
"""What a field of an application holds: a text, or groups of texts by the code of their part."""


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _numbers(value: Any) -> Any:
    """Codes as `2,5`, alone or several such texts, or as they are."""
    texts = _listed(value)
    if isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts):
        return [part.strip() for text in texts for part in text.split(",")]
    return value


Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1, max_length=50)]
Grounds = Annotated[tuple[int, ...], BeforeValidator(_numbers), Field(min_length=1, max_length=20)]


class Side(StrEnum):
    """Who does something in a case."""

    APPLICANT = "applicant"
    PROVIDER = "provider"
    BOTH = "both"
    REVIEWER = "reviewer"
    COURT = "court"
    KEEPER = "keeper"
    """The pool, which keeps the record."""


class Addressee(StrEnum):
    """Who decides a complaint."""

    PROVIDER = "provider"
    SERVICE_QUALITY_AUTHORITY = "service_quality_authority"
    HIGHER_BODY = "higher_body"


class Outcome(StrEnum):
    """What became of a complaint or claim."""

    SATISFIED = "satisfied"
    PARTLY = "partly"
    DISMISSED = "dismissed"


class Content(BaseModel):
    """What an event says beside its kind and its moment. This one says nothing more."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Filed(Content):
    """The application as it was filed."""

    application: Annotated[dict[Code, Value], Field(max_length=200)] = {}


class Registered(Content):
    """The provider's number of the application."""

    number: Number


class DocumentsLacking(Content):
    """What was incomplete or expired."""

    lacking: Texts


class HearingCalled(Content):
    """The preliminary refusal: on which grounds, and when and where, or how, the applicant is heard."""

    hearing_at: AwareDatetime
    place: Text
    grounds: Grounds


class HearingHeld(Content):
    """What was said."""

    summary: Text


class Granted(Content):
    """The document that was issued. `valid_to` is its last day where the service's rule does not say it."""

    number: Number
    issued_on: date | None = None
    """The day of the decision when absent."""
    issued_by: Text
    valid_to: date | None = None
    register_entry: Text | None = None
    signatory_position: Text | None = None
    signatory_name: Text | None = None


class Refused(Content):
    """The reasoned refusal."""

    grounds: Grounds
    reasons: Text
    signatory_position: Text | None = None
    signatory_name: Text | None = None


class Withdrawn(Content):
    """Why it was withdrawn."""

    reason: Text | None = None


class ComplaintFiled(Content):
    """Against which act or inaction, and addressed to whom."""

    addressed_to: Addressee
    against: Text


class ComplaintForwarded(Content):
    """To whom the complaint went on with the case file."""

    to: Addressee


class Decided(Content):
    """What was decided, and why."""

    outcome: Outcome
    reasons: Text


class CourtClaimFiled(Content):
    """With which court."""

    court: Text


class Kind(StrEnum):
    """What happened."""

    FILED = "filed"
    REGISTERED = "registered"
    DOCUMENTS_COMPLETE = "documents_complete"
    DOCUMENTS_LACKING = "documents_lacking"
    HEARING_CALLED = "hearing_called"
    HEARING_HELD = "hearing_held"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    COMPLAINT_FILED = "complaint_filed"
    COMPLAINT_REGISTERED = "complaint_registered"
    COMPLAINT_FORWARDED = "complaint_forwarded"
    COMPLAINT_DECIDED = "complaint_decided"
    COMPLAINT_WITHDRAWN = "complaint_withdrawn"
    COURT_CLAIM_FILED = "court_claim_filed"
    COURT_DECIDED = "court_decided"
    STRUCK = "struck"
    """Not of the case but of its record: an event was recorded that did not happen."""


CONTENTS: dict[Kind, tuple[Side, type[Content]]] = {
    Kind.FILED: (Side.APPLICANT, Filed),
    Kind.REGISTERED: (Side.PROVIDER, Registered),
    Kind.DOCUMENTS_COMPLETE: (Side.PROVIDER, Content),
    Kind.DOCUMENTS_LACKING: (Side.PROVIDER, DocumentsLacking),
    Kind.HEARING_CALLED: (Side.PROVIDER, HearingCalled),
    Kind.HEARING_HELD: (Side.BOTH, HearingHeld),
    Kind.GRANTED: (Side.PROVIDER, Granted),
    Kind.REFUSED: (Side.PROVIDER, Refused),
    Kind.WITHDRAWN: (Side.APPLICANT, Withdrawn),
    Kind.COMPLAINT_FILED: (Side.APPLICANT, ComplaintFiled),
    Kind.COMPLAINT_REGISTERED: (Side.REVIEWER, Registered),
    Kind.COMPLAINT_FORWARDED: (Side.PROVIDER, ComplaintForwarded),
    Kind.COMPLAINT_DECIDED: (Side.REVIEWER, Decided),
    Kind.COMPLAINT_WITHDRAWN: (Side.APPLICANT, Withdrawn),
    Kind.COURT_CLAIM_FILED: (Side.APPLICANT, CourtClaimFiled),
    Kind.COURT_DECIDED: (Side.COURT, Decided),
    Kind.STRUCK: (Side.KEEPER, Content),
}
"""Whose step each event is, and the type of what it says."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of an event: what it is (a code of the service's documents, or `other`), its title and SHA-256 in hex."""

    code: str
    title: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of a case's record. `at` is when it happened, `recorded_at` when the pool recorded it."""

    number: int
    kind: Kind
    at: datetime
    content: Content
    attachments: tuple[Attachment, ...] = ()
    corrects: int | None = None
    """Number of the event in whose place this one stands."""
    why: str | None = None
    """Why a correction is made."""
    note: str | None = None
    recorded_at: datetime | None = None
    recorded_by: str = ""

    @property
    def day(self) -> date:
        """The legal day on which it happened."""
        return legal_day(self.at)

    @property
    def side(self) -> Side:
        """Whose step it is."""
        return CONTENTS[self.kind][0]

    @property
    def plain(self) -> dict[str, Any]:
        """What a person said, as JSON values."""
        return {
            "number": self.number,
            "kind": self.kind.value,
            "at": instant_text(self.at),
            "content": self.content.model_dump(mode="json", exclude_none=True),
            "attachments": [[file.code, file.title, file.digest] for file in self.attachments],
            "corrects": self.corrects,
            "why": self.why,
            "note": self.note,
        }

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the canonical JSON of `plain`."""
        return hashlib.sha256(canonical(self.plain).encode()).hexdigest()


def content_of(kind: Kind, given: dict[str, Any]) -> Content:
    """The content of an event of `kind`. Raises pydantic's `ValidationError`."""
    return CONTENTS[kind][1].model_validate(given)
