"""Documents on their way to an authority: one that waits for approval, one refused, one received."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from tarazy.config.law.rules import DayAfter
from tarazy.config.settings import ScheduledReport
from tarazy.reports.delivery import outbox
from tarazy.reports.delivery.answer import Judged, Outcome
from tarazy.reports.delivery.letter import compose
from tarazy.reports.delivery.profile import Profile
from tarazy.reports.kept import read_kept

PROFILE = Profile.model_validate(
    {
        "name": "tax-authority",
        "documents": ["distributed"],
        "signature": "none",
        "url": "https://api.example.invalid/v1/records",
        "headers": {"Idempotency-Key": "{key}"},
        "authentication": {"way": "none"},
        "body": {"fields": {"period": {"from": "days.name"}}},
        "receipt": {"number": "number"},
        "when_unsure": "send_again",
    }
)
SCHEDULE = (
    ScheduledReport(
        kind="distributed",
        since=date(2026, 9, 1),
        every="month",
        deadline=DayAfter(month=1, day=15),
        deliver_to="tax-authority",
    ),
)


def sent(connection: Connection, reports: Path, now: datetime) -> list[int]:
    """Their numbers: proposed by the office, proposed by an operator, refused, received."""
    numbers = []
    for month, by, outcome in (
        ("2026-07", "tarazy", None),
        ("2026-08", "demo-operator", None),
        ("2026-05", "tarazy", Judged(Outcome.REFUSED, "it answers 422 (БИН не найден)")),
        ("2026-06", "tarazy", Judged(Outcome.RECEIPT, "it answers 201", "KGD-7")),
    ):
        path = reports / f"distributed-{month}-v1.json"
        told = {
            "kind": "distributed",
            "as_of": f"{month}-28T19:00:00Z",
            "version": 1,
            "days": {"name": month},
            "rows": [],
        }
        path.write_text(json.dumps(told) + "\n")
        kept = read_kept(path)
        number = outbox.propose(connection, kept, compose(kept, PROFILE), PROFILE, now - timedelta(hours=2), by)
        numbers.append(number)
        if outcome is not None:
            outbox.approve(connection, number, now - timedelta(hours=1), "marat")
            begun = outbox.begin(connection, outbox.read(connection, number), PROFILE, now)
            assert begun is not None
            outbox.end(connection, number, begun[0], PROFILE, outcome, 200, b"{}", now)
    return numbers
