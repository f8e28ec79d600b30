"""The terms of the settings, as the books take them and as people read them."""

from __future__ import annotations

import math
from datetime import datetime

from tarazy.accounting.schemes import PPM, Schedule, Scheme, Terms
from tarazy.config.settings import PoolSettings
from tarazy.pool import moments


def schedule_of(pool: PoolSettings) -> Schedule:
    """PROP at `fee_ppm` until the first entry of `terms`, then each from its instant on."""
    later = (
        (each.since, Terms(each.fee_ppm, each.fees, Scheme(each.scheme), each.window, each.fee_blocks))
        for each in pool.terms
    )
    return Schedule(Terms(pool.fee_ppm), tuple(later))


def advised_blocks(fee_ppm: int) -> int:
    """Block rewards that a reserve of FPPS wants for a risk of ruin of 0.1 %, ln(1000) / 2f (arXiv 1112.4980, C)."""
    return math.ceil(math.log(1000) * PPM / (2 * fee_ppm))


def terms_text(pool: PoolSettings, now: datetime) -> str:
    """One line: what is in force, and what is announced."""
    schedule = schedule_of(pool)
    announced = (f"; from {moments.told(since)} {_text(terms)}" for since, terms in schedule.later if since > now)
    return _text(schedule.at(now)) + "".join(announced)


def _text(terms: Terms) -> str:
    window = f" over {terms.window} network difficulties" if terms.window else ""
    average = f" with the fees of {terms.fee_blocks} blocks" if terms.fee_blocks else ""
    others = f", {len(terms.fees)} with a fee of their own" if terms.fees else ""
    return f"{terms.scheme.upper()}{window}{average}, fee {terms.fee_ppm} ppm{others}"
