"""Every topic a rule may have, and how one mapping of a file becomes a typed rule."""

from __future__ import annotations

from typing import Any

from tarazy.config.law.rules import (
    AccreditationReportRule,
    AssetValuationRule,
    DigitalMiningFeeRule,
    DistributionReportRule,
    FeeDueRule,
    FlatFeeRule,
    LadderFeeRule,
    MeteringIntervalRule,
    MinerLicenceRule,
    MiningAdmissionRule,
    ObligatorySaleRule,
    PoolAccreditationRule,
    QuarterlyReportRule,
    Rule,
    SaleReportRule,
)
from tarazy.config.law.services import SERVICES
from tarazy.config.law.working_days import MovedDaysOffRule

_TYPES: tuple[type[Rule], ...] = (
    DigitalMiningFeeRule,
    FeeDueRule,
    MinerLicenceRule,
    MiningAdmissionRule,
    PoolAccreditationRule,
    ObligatorySaleRule,
    MeteringIntervalRule,
    DistributionReportRule,
    AccreditationReportRule,
    SaleReportRule,
    QuarterlyReportRule,
    AssetValuationRule,
    *SERVICES.values(),
    MovedDaysOffRule,
)

TOPICS: dict[str, type[Rule]] = {kind.topic_name(): kind for kind in _TYPES}
"""Every topic and the type of its rules."""


def parse_rule(raw: dict[str, Any], *, assumed: bool) -> Rule:
    """The typed rule stated by one mapping of a file.

    Raises pydantic's `ValidationError`, or `ValueError` for an unknown topic.
    """
    kind = TOPICS.get(str(raw.get("topic")))
    if kind is None:
        raise ValueError(f"topic: {raw.get('topic')!r} is none of {', '.join(TOPICS)}")
    if kind is DigitalMiningFeeRule:
        kind = FlatFeeRule if "flat_rate" in raw else LadderFeeRule
    if "assumed" in raw:
        raise ValueError("assumed: is not written in a file; a file in assumptions/ makes its rules assumed")
    return kind.model_validate({**raw, "assumed": True} if assumed else raw)
