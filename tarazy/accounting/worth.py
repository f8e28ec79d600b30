"""What a share is worth to FPPS: the target its block had to meet, and the subsidy of that block. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

from tarazy.stratum.job import Job

HALVING_BLOCKS = 210_000
REGTEST_HALVING_BLOCKS = 150
_REGTEST_NBITS = 0x207FFFFF
"""No other network has a target as easy; by it a job tells how often its chain halves."""
_FIRST_SUBSIDY = 50_0000_0000
_HALVINGS = 64


class Worth(NamedTuple):
    """Shares of one weight and one worth are paid alike."""

    target: int
    """What a block of their job had to meet."""
    subsidy: int
    """Satoshi of that block, without transaction fees."""


def halving_blocks(nbits: int) -> int:
    """Blocks between halvings on the chain whose blocks have this difficulty."""
    return REGTEST_HALVING_BLOCKS if nbits == _REGTEST_NBITS else HALVING_BLOCKS


def subsidy(height: int, halving: int) -> int:
    """What a chain that halves every `halving` blocks pays for the block at `height` without its fees, satoshi."""
    halvings = height // halving
    return _FIRST_SUBSIDY >> halvings if halvings < _HALVINGS else 0


def worth_of(job: Job) -> Worth:
    """The worth of shares of a job."""
    return Worth(job.target, subsidy(job.height, halving_blocks(job.nbits)))
