"""The demo's parties, on whatever day it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tarazy.accreditation.admission import Question, decide
from tarazy.accreditation.evidence import EvidenceRule
from tarazy.accreditation.registers import as_of
from tarazy.database.engine import open_engine
from tarazy.pool.demo.prepare import prepare
from tarazy.pool.demo.scenario import EXPIRES_AFTER, PARTIES, demo_settings
from tarazy.stratum.login import split_login

REFUSED = {"alys": ("foreign-address", "site-unknown"), "belgisiz": ("no-licence",)}


@pytest.mark.parametrize("year", [2026, 2030, 2050])
def test_those_are_admitted_who_are_to_be(year: int, tmp_path: Path) -> None:
    """In any year: all that have a licence and connect from their site, the one whose licence ends until it does."""
    now = datetime(year, 2, 3, 7, tzinfo=UTC)
    prepared = prepare(tmp_path, demo_settings(peer_port=1), now)
    assert prepared.without_licence == []
    engine = open_engine(prepared.settings.database_url)
    with engine.begin() as connection:
        registers = as_of(connection, now)
    engine.dispose()
    own = prepared.settings.accreditation

    def reasons(at: datetime) -> dict[str, tuple[str, ...]]:
        asked = {each.party: Question(*split_login(each.login), each.source_address, own.server) for each in PARTIES}
        rule = EvidenceRule.of(own)
        told = {party: decide(registers, question, at, rule, own.demo_addresses) for party, question in asked.items()}
        return {party: decision.reasons for party, decision in told.items() if not decision.admitted}

    assert reasons(now) == REFUSED
    assert reasons(now + EXPIRES_AFTER) == {**REFUSED, "kokshe": ("licence-expired",)}
