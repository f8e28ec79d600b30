"""The shipped rules: exactly what the reference on Kazakhstan's law says, with its marks of certainty."""

from __future__ import annotations

import hashlib
from datetime import date

import pytest
import yaml

from tarazy.config.law import (
    AssetValuationRule,
    DigitalMiningFeeRule,
    DistributionReportRule,
    FeeDueRule,
    FlatFeeRule,
    LadderFeeRule,
    LawBook,
    MeteringIntervalRule,
    MinerLicenceRule,
    MiningAdmissionRule,
    NoRuleInForceError,
    ObligatorySaleRule,
    PoolAccreditationRule,
    Rule,
    load_law,
)
from tarazy.config.law.book import SHIPPED
from tarazy.config.law.topics import TOPICS, parse_rule

ASSUMPTION = "fee-2026-ladder-continued"


@pytest.fixture(scope="module")
def law() -> LawBook:
    """The shipped rules without assumptions."""
    return load_law()


def test_only_wordings_that_were_read_are_confirmed(law: LawBook) -> None:
    """Invariant 8: only marks A whose wording for those dates was read say confirmed."""
    assert {rule.id for rule in law if rule.confirmed} == {"fee-due-2023", "miner-licence-2023"}


def test_every_rule_names_act_and_source_and_is_no_assumption(law: LawBook) -> None:
    """Each shipped rule can be printed with where it comes from."""
    rules = list(law)
    assert rules
    assert all(rule.act and rule.source and not rule.assumed for rule in rules)
    assert {rule.topic for rule in rules} == set(TOPICS) - {
        "moved_days_off",
        "accreditation_report",
        "sale_report",
        "quarterly_report",
    }


def test_fee_of_2022_is_flat(law: LawBook) -> None:
    """Law 53-VII: one tenge per kWh through 2022, and nothing before."""
    rule = law.rule(DigitalMiningFeeRule, date(2022, 12, 31))
    assert isinstance(rule, FlatFeeRule)
    assert rule.flat_rate == 1
    with pytest.raises(NoRuleInForceError):
        law.rule(DigitalMiningFeeRule, date(2021, 12, 31))


def test_fee_of_2023_to_2025_is_the_ladder(law: LawBook) -> None:
    """Article 606-3 in the shape the reference gives, with the authority's reading as default."""
    rule = law.rule(DigitalMiningFeeRule, date(2023, 1, 1))
    assert rule is law.rule(DigitalMiningFeeRule, date(2025, 12, 31))
    assert isinstance(rule, LadderFeeRule)
    assert (rule.id, rule.article, rule.confirmed) == ("fee-2023-ladder", "606-3", False)
    assert (rule.basis, rule.bounds) == ("average_price_kzt_per_kwh", "lower_inclusive")
    assert rule.ladder.model_dump() == {"first_rate": 25, "step": 1, "last_from": 24, "last_rate": 1}
    assert rule.special.model_dump() == {
        "own_generation": 10,
        "own_renewable": 1,
        "no_or_faulty_meter": 25,
        "several": "highest",
    }


def test_fee_of_2026_is_refused_and_the_refusal_says_what_to_enter(law: LawBook) -> None:
    """Law 1.2: no rule in force names topic, day, the nearest rules, and what to do."""
    with pytest.raises(NoRuleInForceError) as refused:
        law.rule(DigitalMiningFeeRule, date(2026, 1, 1))
    text = str(refused.value)
    assert "\n" not in text
    for words in ("digital_mining_fee", "2026-01-01", "fee-2023-ladder (to 2025-12-31)", "none after"):
        assert words in text
    assert "law.directory" in text
    assert "law.assumptions" in text
    assert refused.value.topic == "digital_mining_fee"
    assert refused.value.day == date(2026, 1, 1)


def test_a_refusal_between_rules_names_both_neighbours(law: LawBook) -> None:
    """The nearest rule before and after a gap are both named."""
    rules = [rule for rule in law if rule.id != "fee-2023-ladder"]
    continued = next(rule for rule in load_law([ASSUMPTION]) if rule.assumed)
    with pytest.raises(NoRuleInForceError) as refused:
        LawBook([*rules, continued]).rule(DigitalMiningFeeRule, date(2024, 6, 1))
    assert refused.value.before is not None
    assert refused.value.after is not None
    assert (refused.value.before.id, refused.value.after.id) == ("fee-2022-flat", ASSUMPTION)


def test_the_assumption_for_2026_loads_only_by_name_and_says_what_it_is(law: LawBook) -> None:
    """The continued ladder is a file of its own, off by default, unconfirmed, and marked as assumed."""
    rule = load_law([ASSUMPTION]).rule(DigitalMiningFeeRule, date(2026, 11, 22))
    before = law.rule(DigitalMiningFeeRule, date(2025, 12, 31))
    assert isinstance(rule, LadderFeeRule)
    assert isinstance(before, LadderFeeRule)
    assert (rule.ladder, rule.special, rule.bounds) == (before.ladder, before.special, before.bounds)
    assert (rule.assumed, rule.confirmed) == (True, False)
    assert rule.note is not None
    assert rule.note.startswith("assumed")


def test_due_days_of_each_period(law: LawBook) -> None:
    """2022: no declaration, the 20th of the next month; from 2023: 15th and 25th of the second month."""
    first = law.rule(FeeDueRule, date(2022, 3, 31))
    assert (first.declare, first.pay.month, first.pay.day) == (None, 1, 20)
    for day in (date(2023, 3, 31), date(2025, 12, 31)):
        rule = law.rule(FeeDueRule, day)
        assert rule.declare is not None
        assert (rule.declare.month, rule.declare.day, rule.pay.month, rule.pay.day) == (2, 15, 2, 25)
        assert rule.shift_if_non_working is None
    with pytest.raises(NoRuleInForceError):
        law.rule(FeeDueRule, date(2026, 3, 31))


def test_an_amendment_nobody_read_ends_the_confirmation_of_the_licence_rule(law: LawBook) -> None:
    """Law 1.3: 231-VIII of November 2025 turns a confirmed rule back to unconfirmed."""
    before = law.rule(MinerLicenceRule, date(2025, 10, 31))
    after = law.rule(MinerLicenceRule, date(2025, 11, 1))
    assert (before.confirmed, after.confirmed) == (True, False)
    for rule in (before, after):
        assert rule.term_years == 3
        assert (rule.suspension_months_minimum, rule.suspension_months_maximum) == (1, 6)
        assert set(rule.kinds) == {"I", "II"}


def test_shares_to_be_sold(law: LawBook) -> None:
    """At least 50 % in 2024 and 75 % in 2025, on both bases; any share after 2025 is unknown."""
    assert law.rule(ObligatorySaleRule, date(2024, 12, 31)).minimum_percent == 50
    rule = law.rule(ObligatorySaleRule, date(2025, 1, 1))
    assert (rule.minimum_percent, rule.bases, rule.debtor, rule.period) == (75, ("sold", "mined"), None, None)
    with pytest.raises(NoRuleInForceError):
        law.rule(ObligatorySaleRule, date(2026, 1, 1))


def test_what_is_unknown_of_pools_stays_empty(law: LawBook) -> None:
    """Terms of accreditation, and frequency, deadline and later fields of the report, are null."""
    day = date(2026, 11, 22)
    accreditation = law.rule(PoolAccreditationRule, day)
    assert (accreditation.servers_in, accreditation.term_years) == ("KZ", None)
    report = law.rule(DistributionReportRule, day)
    assert report.fields is not None
    assert (len(report.fields), report.fields_complete) == (7, False)
    assert (report.frequency, report.deadline) == (None, None)
    assert law.rule(MiningAdmissionRule, day).requires == (
        "licensed_miner",
        "mining_data_centre",
        "accredited_pool",
    )
    assert law.rule(MeteringIntervalRule, day).minutes == 15
    assert law.rule(AssetValuationRule, day).assets is None


def test_digest_is_of_what_the_file_states() -> None:
    """The digest changes with any stated field, and not with key order or the spelling of yes and no."""
    path = SHIPPED / "fee.yaml"
    raw = next(rule for rule in yaml.safe_load(path.read_text()) if rule["id"] == "fee-2023-ladder")
    rule = parse_rule(raw, assumed=False)
    assert parse_rule(dict(reversed(raw.items())) | {"confirmed": "no"}, assumed=False).digest == rule.digest
    assert len(rule.digest) == 64
    for change in ({"bounds": "upper_inclusive"}, {"note": "read again"}, {"valid_to": date(2024, 12, 31)}):
        assert parse_rule(raw | change, assumed=False).digest != rule.digest
    assert parse_rule(raw, assumed=True).digest != rule.digest


def test_digest_can_be_recomputed_by_hand() -> None:
    """SHA-256 of canonical JSON: sorted keys, no spaces, UTF-8, dates as text."""
    rule: Rule = parse_rule(
        {
            "id": "m",
            "topic": "metering_interval",
            "valid_from": date(2025, 9, 28),
            "valid_to": None,
            "act": "Приказ",
            "article": None,
            "source": ["a"],
            "confirmed": False,
            "minutes": 15,
        },
        assumed=False,
    )
    text = (
        '{"act":"Приказ","article":null,"confirmed":false,"id":"m","minutes":15,"source":["a"],'
        '"topic":"metering_interval","valid_from":"2025-09-28","valid_to":null}'
    )
    assert rule.digest == hashlib.sha256(text.encode()).hexdigest()
