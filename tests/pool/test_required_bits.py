"""Version bits that the chain requires: taken out of the mask before the job that has them, given back behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.pool.mining import MASK
from tests.pool.test_templates import TEMPLATE, Followed

BIT = 0x2000
REQUIRING = replace(TEMPLATE, version=TEMPLATE.version | BIT, required_version_bits=BIT | 1)


@pytest.fixture
def followed() -> Iterator[Followed]:
    """A follower that has published one job."""
    made = Followed()
    made.answer(TEMPLATE)
    yield made
    made.follower.stop()


def test_a_required_bit_is_in_the_job_and_not_in_the_mask(followed: Followed) -> None:
    """C-099, C-069: as long as templates require it; each way is told once."""
    follower = followed.follower
    assert follower.mask == MASK
    with capture_logs() as told:
        for template in (REQUIRING, REQUIRING, TEMPLATE, TEMPLATE):
            follower.wake()
            followed.answer(template)
            assert follower.mask == MASK & ~template.required_version_bits
    assert [job.version for job in followed.jobs[1:]] == [0x20002000, 0x20002000, 0x20000000, 0x20000000]
    assert [(line["event"], line["mask"]) for line in told] == [
        ("version_mask_narrowed", "1fffc000"),
        ("version_mask_restored", "1fffe000"),
    ]
    assert told[0]["required"] == "00002000", "bit 0 was no miner's to roll"


def test_another_mask_of_the_pool_respects_the_requirement(followed: Followed) -> None:
    """C-099: whether it has the bit or not; a mask without it is not narrowed."""
    follower = followed.follower
    follower.wake()
    followed.answer(REQUIRING)
    with capture_logs() as told:
        for mask in (0x0000C000, 0x0000E000):
            follower.follow(mask, 30.0)
            assert follower.mask == 0x0000C000
            followed.answer(REQUIRING)
            assert followed.jobs[-1].version == 0x20002000
    assert [line["event"] for line in told] == ["version_mask_restored", "version_mask_narrowed"]


def test_a_template_that_cannot_be_mined_on_changes_no_mask(followed: Followed) -> None:
    """C-099, C-050: the old job goes on, with the mask it was sent with."""
    followed.follower.wake()
    followed.answer(replace(REQUIRING, witness_commitment=b""))
    assert followed.follower.mask == MASK
    assert len(followed.jobs) == 1
