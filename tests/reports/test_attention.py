"""What waits for somebody, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tarazy.accounting.ledger import payable
from tarazy.accreditation.consistency import contradictions, disputed_networks
from tarazy.accreditation.entries import FindingKind, FindingState, Severity, Wallet, WalletStatus
from tarazy.accreditation.evidence import EvidenceRule
from tarazy.accreditation.expiry import Ending, Expiry
from tarazy.accreditation.findings import Condition, Patience, Watch
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import load_law
from tarazy.config.law.due_day import DueDay
from tarazy.config.settings import AccreditationSettings, ScheduledReport
from tarazy.reports.attention import finding_text, notices
from tarazy.reports.delivery.outbox import Delivery, DeliveryState
from tarazy.reports.language import LANGUAGES
from tarazy.reports.schedule import Progress, plan
from tarazy.reports.unaddressed import unaddressed
from tests.accreditation.world import NOW, certificate, machine, registers, site, world

LAW = load_law(())
ZERO = timedelta(0)


def opened(held: Registers, conditions: list[Condition]) -> list[str]:
    """The texts of findings opened for the conditions, in each language."""
    watch = Watch(Patience(ZERO, ZERO))
    return [finding_text(lang, row) for row in watch.look(held, conditions) for lang in LANGUAGES]


def test_real_findings_are_told_with_their_figures() -> None:
    """The evidence of the code that finds has every figure that the words want."""
    twin = replace(machine("sn_1", "guest", "site-host"), nominal_power_w=10**9)
    foreign = site("abroad", "guest", "8.8.8.0/24")
    held = registers([*world(), twin, foreign])
    rule = EvidenceRule.of(AccreditationSettings(server="server-1"))
    found = [*contradictions(held, LAW), *disputed_networks(held, rule)]
    kinds = {condition.kind for condition in found}
    assert kinds >= {FindingKind.MACHINE_TWICE, FindingKind.SITE_POWER}
    texts = opened(held, found)
    assert len(texts) == len(LANGUAGES) * len(found)
    assert any("1,000,00" in text and "kW" in text for text in texts)
    assert not any("{" in text for text in texts)


def test_the_worst_comes_first_and_what_is_settled_not_at_all() -> None:
    """Findings by severity; an end within a week is serious, one in 90 days a warning."""
    held = registers([*world(), replace(machine("sn_1", "guest", "site-host"))])
    watch = Watch(Patience(ZERO, ZERO))
    (twice,) = [row for row in watch.look(held, contradictions(held, LAW)) if row.kind is FindingKind.MACHINE_TWICE]
    numbered = registers([*world(), twice, replace(twice, finding="other", state=FindingState.DISMISSED)])
    week = Expiry(Ending("certificate", certificate().certificate, NOW), 6)
    months = Expiry(Ending("token", "desk", NOW), 80)
    rows = notices(numbered, [months, week], [])
    assert (rows[0].kind, str(rows[0].severity)) == ("ending", "serious")
    assert {row.kind for row in rows} == {"finding", "ending"}
    assert len(rows) == 3
    assert set(rows[0].text) == set(LANGUAGES)


@pytest.mark.parametrize(("rate", "told"), [(9 * 10**14, "900"), (1_500, "1,500"), (0, "0")])
def test_rates_are_told_in_their_unit(rate: int, told: str) -> None:
    """TH/s for a rack, H/s for a test."""
    held = registers(world())
    about = ("party", "guest", "guest")
    condition = Condition(FindingKind.NO_WALLET, Severity.WARNING, *about, evidence={"hash_rate_hs": rate, "hours": 24})
    english = opened(held, [condition])[2]
    assert told in english
    assert "(mean of 24 h)" in english, "the pages tell rates of other spans"


def test_instants_and_states_of_meters_are_told_in_the_readers_words() -> None:
    """Almaty's time, a day as a day, and what is no instant as it is."""
    held = registers(world())
    evidence = {"status": "silent", "since": "2026-11-27T18:14:28.542685+00:00"}
    condition = Condition(FindingKind.METER_SILENT, Severity.WARNING, "meter", "m-1", evidence=evidence)
    _, russian, english = opened(held, [condition])
    assert "не даёт показаний (не отвечает); последнее: 27.11.2026 23:14:28 (UTC+05:00): проверьте" in russian
    assert "gives no reading (silent); the last one: 27 Nov 2026 23:14:28 (UTC+05:00): check" in english
    for since, said in (
        ("2026-11-02", "2 Nov 2026"),
        ("-", "none yet"),
        ("2026-11-27T18:14:28", "2026-11-27T18:14:28"),
    ):
        (told,) = opened(held, [replace(condition, evidence={**evidence, "since": since})])[2:]
        assert f"the last one: {said}: check" in told


def test_numbers_of_persons_in_titles_of_documents_are_not_told() -> None:
    """The page is read without a token; what an operator writes into a title may hold a BIN or IIN."""
    evidence: dict[str, Any] = {"titles": ["Identity card, IIN 900101300123", "Order 130"], "count": 2}
    condition = Condition(FindingKind.DOCUMENT_EXPIRED, Severity.WARNING, "party", "guest", "guest", evidence=evidence)
    for told in opened(registers(world()), [condition]):
        assert "900101300123" not in told
        assert "Order 130" in told


def test_reports_and_deliveries_that_wait_are_told_in_every_state() -> None:
    """A report that is near, overdue or late in building; a delivery to approve, mend, find out about or doubt."""
    entry = ScheduledReport(kind="sale", since=NOW.date().replace(year=NOW.year - 1, month=1, day=1), every="year")
    (planned,) = plan(entry, LAW, NOW)
    deliveries = [
        Delivery(7, "kgd", "sale", "2026", "x.json", "d", "k", "https://x", "b", state, NOW, NOW, "a", None, None, 1)
        for state in DeliveryState
    ]
    held = registers(world())
    told = set()
    for days in (3, -3, None):
        last = NOW.date() + timedelta(days=days) if days else None
        due = DueDay(last, last, frozenset(), False) if last else None
        rows = [Progress(replace(planned, due=due, deliver_to="kgd"), None, None, None, None, None)]
        rows += [Progress(rows[0].planned, "x.json", "d", None, None, each) for each in (None, *deliveries)]
        told |= {row.text["en"].rpartition(": ")[2] for row in notices(held, [], [], rows)}
        assert all("{" not in text for row in notices(held, [], [], rows) for text in row.text.values())
    assert {text.partition("; ")[2] or text for text in told} == {
        "not built, tarazy report due says why",
        "built, not proposed for delivery",
        "waits for approval",
        "approved, being sent",
        "sent, no receipt",
        "refused by the authority",
        "its delivery was given up",
    }
    waiting = [each for each in deliveries if each.state not in (DeliveryState.APPROVED, DeliveryState.ABANDONED)]
    found = notices(held, [], [], [], waiting)
    assert [str(row.severity) for row in found] == ["serious", "serious", "serious", "info"]
    assert len({row.text["kk"] for row in found}) == 4


def test_who_is_owed_and_has_no_address_waits_for_somebody() -> None:
    """Not one that has an address, or will have one."""
    address: dict[str, Any] = {"address": "1" * 34, "status": WalletStatus.APPROVED}
    later = Wallet(wallet="later", party="later", valid_from=NOW + timedelta(days=1), **address)
    held = registers([*world(), Wallet(wallet="paid", party="paid", valid_from=NOW, **address), later])
    owed = unaddressed(
        held, {payable(party): 150_000_000 for party in ("guest", "later", "paid")} | {payable("none"): 0}
    )
    assert [(row.party, row.begins) for row in owed] == [("guest", None), ("later", later.valid_from)]
    (notice,) = notices(registers([]), [], [], owed=owed)
    assert (notice.kind, notice.party) == ("payment", "guest")
    assert notice.text["en"].startswith("guest is owed 1.50000000\xa0BTC and has no approved payout address")
