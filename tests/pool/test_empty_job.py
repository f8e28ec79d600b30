"""The follower with a chain that has an empty template sooner than a whole one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from tarazy.pool.chain.interface import Template, TemplateTransaction
from tarazy.pool.chain.transactions import witness_commitment
from tests.pool.test_templates import TEMPLATE, AskedChain, Followed, after

TRANSACTION = TemplateTransaction(data=b"\x01" * 60, txid=b"\x02" * 32, fee=123)


class QuickChain(AskedChain):
    """It answers both questions when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.empties: list[Deferred[Template | None]] = []

    def empty_template(self, last: Template) -> Deferred[Template | None]:
        self.empties.append(Deferred())
        return self.empties[-1]

    def tell_tip(self) -> None:
        """A new best block."""
        for listener in self.listeners:
            listener()


def whole(number: int) -> Template:
    """The template on another block."""
    made = after(TEMPLATE, number)
    commitment = witness_commitment([TRANSACTION.data])
    return replace(made, transactions=(TRANSACTION,), witness_commitment=commitment)


def empty(number: int) -> Template:
    """The empty one on the same block."""
    return replace(after(TEMPLATE, number), coinbase_value=TEMPLATE.coinbase_value - 123)


@pytest.fixture
def chain() -> QuickChain:
    """The chain of `followed`."""
    return QuickChain()


@pytest.fixture
def followed(chain: QuickChain) -> Iterator[Followed]:
    """A follower that has published one job."""
    made = Followed(chain)
    made.answer(whole(1))
    yield made
    made.follower.stop()
    assert made.clock.getDelayedCalls() == []


def test_the_empty_job_is_clean_and_the_whole_one_refreshes_it(chain: QuickChain, followed: Followed) -> None:
    """C-045: one clean job for one block; templates of both are kept for a block on either (C-113)."""
    chain.tell_tip()
    assert len(chain.asked) == 1, "not before the question that is answered at once"
    chain.empties[0].callback(empty(2))
    assert len(chain.asked) == 2
    followed.answer(whole(2))
    first, second = followed.jobs[1:]
    assert (first.clean, first.branch, second.clean, len(second.branch)) == (True, (), False, 1)
    assert followed.follower.template_behind(first) == empty(2)
    assert followed.follower.template_behind(second) == whole(2)
    assert [template for _, template in followed.follower.kept()] == [whole(2), empty(2)]


def test_it_comes_too_late(chain: QuickChain, followed: Followed) -> None:
    """C-052, C-100: the whole template, or one of a later block, is out already: nothing goes back."""
    chain.tell_tip()
    chain.tell_tip()
    followed.follower.wake()
    followed.answer(whole(2))
    chain.empties[0].callback(empty(2))
    followed.answer(whole(3))
    chain.empties[1].callback(empty(2))
    assert [(job.height - TEMPLATE.height, len(job.branch)) for job in followed.jobs] == [(1, 1), (2, 1), (3, 1)]


def test_without_one_everything_is_as_ever(chain: QuickChain, followed: Followed) -> None:
    """C-095, C-097: none, or an error, and the template is asked for; during a call once more behind it."""
    chain.tell_tip()
    chain.empties[0].callback(None)
    assert len(chain.asked) == 2
    chain.tell_tip()
    with capture_logs() as told:
        chain.empties[1].errback(ValueError("whatever"))
    assert [line["event"] for line in told] == ["empty_job_failed"]
    followed.answer(whole(2))
    assert len(chain.asked) == 3
    chain.tell_tip()
    chain.empties[2].callback(replace(empty(3), witness_commitment=b""))
    followed.answer(whole(3))
    assert [len(job.branch) for job in followed.jobs] == [1, 1, 1]


def test_required_bits_hold_for_the_empty_job_too(chain: QuickChain, followed: Followed) -> None:
    """C-099: it has the bits of the template before it."""
    followed.follower.wake()
    followed.answer(replace(whole(1), version=0x20002000, required_version_bits=0x2000))
    chain.tell_tip()
    chain.empties[0].callback(replace(empty(2), version=0x20002000, required_version_bits=0x2000))
    assert followed.jobs[-1].version == 0x20002000
    assert followed.follower.mask == 0x1FFFC000


def test_empty_jobs_alone_are_no_supply_of_templates(chain: QuickChain, followed: Followed) -> None:
    """C-103: without a whole template for 120 s miners are sent away all the same."""
    for number in range(2, 6):
        chain.tell_tip()
        chain.empties[-1].callback(empty(number))
        followed.clock.advance(31)
    assert followed.dry == [True]


def test_before_the_first_template_and_after_the_end_nothing_is_asked(chain: QuickChain) -> None:
    """There is nothing to make an empty one of; and nobody to work on it."""
    followed = Followed(chain)
    chain.tell_tip()
    followed.answer(whole(1))
    chain.tell_tip()
    followed.follower.stop()
    chain.empties[0].callback(empty(2))
    chain.tell_tip()
    assert (len(chain.empties), len(followed.jobs)) == (1, 1)
