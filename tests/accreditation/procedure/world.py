"""A permit's case for tests: its application, and a shorthand for what happens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.events import Attachment, Event, Kind, content_of
from tarazy.config.law import LawBook, load_law
from tarazy.config.law.services import SERVICES, Service, StateServiceRule
from tarazy.config.law.working_days import WorkingDays

ALMATY = ZoneInfo("Asia/Almaty")
LAW: LawBook = load_law()
DAYS = WorkingDays(LAW)
PERMIT: StateServiceRule = LAW.rule(SERVICES[Service.SECURED_ASSET_PERMIT], date(2025, 6, 2))

APPLICATION: dict[str, Any] = {
    "applicant_address": "140000, Павлодар, ул. Примерная, 1",
    "applicant_bin": "240140000001",
    "applicant_telephone": "8 7182 000000",
    "applicant_email": "office@altyn.example",
    "applicant_name_kk": "«Алтын қоры» ЖШС (ойдан шығарылған)",
    "applicant_name_ru": "ТОО «Алтын қоры» (вымышленное)",
    "authority_head_kk": "Басшы Ә. Өмірбекұлы",
    "authority_head_ru": "Руководитель А. Омирбеков",
    "authority_name_kk": "Уәкілетті орган",
    "authority_name_ru": "Уполномоченный орган",
    "authority_details_kk": "Астана қ., Мысал көшесі, 8",
    "authority_details_ru": "г. Астана, ул. Примерная, 8",
    "platform_name": "Дән",
    "purpose_kk": "Астық қолхаттарын растау және олардың айналымы",
    "purpose_ru": "Подтверждение зерновых расписок и их обращение",
    "activity_addresses": [
        {
            "postcode": "140000",
            "region": "Павлодар облысы",
            "city": "Павлодар",
            "district": "Ертіс",
            "settlement": "Жаңаауыл",
            "street": "Мысал",
            "building": "1",
        }
    ],
    "signatory_name": "Қайырбекқызы Ғалия Іңкәрқызы",
}
GRANT = {"number": "KZ-130-0001", "issued_by": "Уполномоченный орган", "signatory_name": "Омирбеков А."}
HEARING = {"hearing_at": "2025-06-12T10:00:00+05:00", "place": "бейнебайланыс", "grounds": [2]}
REFUSAL = {
    "grounds": [2, 5],
    "reasons": "Гарантийное письмо подтверждает 3 узла из 5.",
    "signatory_position": "Руководитель управления",
    "signatory_name": "Омирбеков А.",
}
CONTENTS: dict[Kind, dict[str, Any]] = {
    Kind.FILED: {"application": APPLICATION},
    Kind.REGISTERED: {"number": "ЖТ-2025-17"},
    Kind.DOCUMENTS_LACKING: {"lacking": ["node_guarantee"]},
    Kind.HEARING_CALLED: HEARING,
    Kind.HEARING_HELD: {"summary": "Возражений нет."},
    Kind.GRANTED: GRANT,
    Kind.REFUSED: REFUSAL,
    Kind.COMPLAINT_FILED: {"addressed_to": "provider", "against": "отказ"},
    Kind.COMPLAINT_REGISTERED: {"number": "Ж-1"},
    Kind.COMPLAINT_FORWARDED: {"to": "service_quality_authority"},
    Kind.COMPLAINT_DECIDED: {"outcome": "dismissed", "reasons": "Отказ обоснован."},
    Kind.COURT_CLAIM_FILED: {"court": "суд"},
    Kind.COURT_DECIDED: {"outcome": "satisfied", "reasons": "Отказ отменён."},
}
"""What an event of each kind says where nothing else is asked for."""


def at(text: str) -> datetime:
    """An instant by Almaty's clock, such as `2025-06-09 10:00`; a day alone is noon."""
    text = text if " " in text else f"{text} 12:00"
    return datetime.fromisoformat(text).replace(tzinfo=ALMATY)


def event(number: int, kind: Kind, when: str, /, *, corrects: int | None = None, **changes: Any) -> Event:
    """An event as a record holds it."""
    content = content_of(kind, {**CONTENTS.get(kind, {}), **changes})
    files = (Attachment("node_guarantee", "Гарантийное письмо", "0" * 64),) if kind is Kind.FILED else ()
    return Event(number=number, kind=kind, at=at(when), content=content, attachments=files, corrects=corrects)


def case(*steps: tuple[Kind, str], service: Service = Service.SECURED_ASSET_PERMIT) -> Case:
    """A case of `service` in which the steps happened."""
    party = "altyn" if service is Service.SECURED_ASSET_PERMIT else None
    made = Case("acme-1", service, party, at("2025-06-01"), "operator")
    return with_events(made, (event(number, kind, when) for number, (kind, when) in enumerate(steps, 1)))


def with_events(made: Case, events: Iterable[Event]) -> Case:
    """The case with more events in its record."""
    return replace(made, record=(*made.record, *events))
