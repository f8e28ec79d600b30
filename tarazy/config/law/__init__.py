"""The law as dated data: rules in YAML beside this file, and the engine that says which is in force on a day.

A rule is never a constant in code. Every figure names the rule it came from, with act, article, source and
whether a person has confirmed the wording (invariant 8).
"""

from tarazy.config.law.book import LawBook, LawError, NoRuleInForceError, load_law
from tarazy.config.law.rules import (
    AccreditationReportRule,
    AssetValuationRule,
    DigitalMiningFeeRule,
    DistributionReportRule,
    FeeDueRule,
    FlatFeeRule,
    Ladder,
    LadderFeeRule,
    MeteringIntervalRule,
    MinerLicenceRule,
    MiningAdmissionRule,
    ObligatorySaleRule,
    PeriodicReportRule,
    PoolAccreditationRule,
    QuarterlyReportRule,
    Rule,
    RuleReference,
    SaleReportRule,
    SpecialRates,
)

__all__ = [
    "AccreditationReportRule",
    "AssetValuationRule",
    "DigitalMiningFeeRule",
    "DistributionReportRule",
    "FeeDueRule",
    "FlatFeeRule",
    "Ladder",
    "LadderFeeRule",
    "LawBook",
    "LawError",
    "MeteringIntervalRule",
    "MinerLicenceRule",
    "MiningAdmissionRule",
    "NoRuleInForceError",
    "ObligatorySaleRule",
    "PeriodicReportRule",
    "PoolAccreditationRule",
    "QuarterlyReportRule",
    "Rule",
    "RuleReference",
    "SaleReportRule",
    "SpecialRates",
    "load_law",
]
