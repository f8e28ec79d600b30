"""From templates to jobs and back to blocks, and the follower that asks for templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet import task
from twisted.internet.defer import Deferred, succeed

from tarazy.pool.chain.interface import Chain, SubmitVerdict, Template
from tarazy.pool.chain.regtest import RegtestChain
from tarazy.pool.chain.transactions import (
    Output,
    block_coinbase,
    coinbase_height,
    decode_transaction,
    height_push,
    witness_commitment,
)
from tarazy.pool.clock import Clock
from tarazy.pool.follower import KEEP_SECONDS, Mining, TemplateFollower
from tarazy.pool.templates import TemplateError, address_script, make_job, serialize_block
from tarazy.stratum.job import Job, JobNumbers
from tests.pool.mining import MASK, POOL_SCRIPT, job_of, solve

TEMPLATE = Template(
    height=8388608,
    previous_block_hash=bytes(range(32)),
    version=0x20000000,
    nbits=0x207FFFFF,
    target=1 << 240,
    curtime=1_800_000_000,
    mintime=1_799_999_000,
    coinbase_value=312_500_123,
    witness_commitment=witness_commitment(()),
    transactions=(),
)


@pytest.mark.parametrize("height", [1, 16, 17, 127, 128, 255, 256, 32767, 32768, 8388607, 8388608])
def test_coinbase_carries_height_tag_exponent_and_extranonces(height: int) -> None:
    """The parts of a job make one coinbase; its script reads height, tag, exponent, extranonces (C-105)."""
    job = job_of(replace(TEMPLATE, height=height))
    coinbase = decode_transaction(job.coinb1(-13) + b"\xaa" * 4 + b"\xbb" * 8 + job.coinbase_end)
    own = bytes([9, -13 + 32]) + job.number.to_bytes(8, "big")
    expected = height_push(height) + b"\x08/tarazy/" + own + b"\x0c" + b"\xaa" * 4 + b"\xbb" * 8
    assert coinbase.inputs[0].script == expected
    assert coinbase.inputs[0].sequence == 0xFFFFFFFE
    assert coinbase.locktime == height - 1
    assert coinbase_height(coinbase) == height
    assert coinbase.outputs == (
        Output(TEMPLATE.coinbase_value, POOL_SCRIPT),
        Output(0, TEMPLATE.witness_commitment),
    )
    assert (job.target, job.ntime, job.mintime) == (TEMPLATE.target, TEMPLATE.curtime, TEMPLATE.mintime)


def test_two_jobs_of_one_template_are_two_works() -> None:
    """T-05: a refreshed or reissued job differs in its coinbase, so a share of one is none of the other."""
    first, second = (job_of(TEMPLATE), replace(job_of(TEMPLATE), number=job_of(TEMPLATE).number + 1))
    assert first.coinb1(-13) != second.coinb1(-13)
    assert len(first.coinb1(-13)) == len(second.coinb1(-13))


def test_largest_coinbase_keeps_its_limits() -> None:
    """C-109: with the longest tag and output the script has at most 100 bytes, the whole under 400."""
    job = make_job(TEMPLATE, number=1, payout_script=bytes(34), tag=b"t" * 20, clean=True, mask=MASK)
    coinbase = job.coinb1(64) + bytes(12) + job.coinbase_end
    assert len(decode_transaction(coinbase).inputs[0].script) <= 100
    assert len(coinbase) < 400


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"coinbase_value": TEMPLATE.coinbase_value + 1}, "it pays out 312500123 satoshi"),
        ({"height": TEMPLATE.height + 1}, "it begins with height 8388608"),
        ({"witness_commitment": witness_commitment([b"x"])}, "its last output is the witness commitment"),
    ],
)
def test_self_check_finds_a_coinbase_that_is_not_the_templates(
    asked: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that were built are decoded and held against the template: built for another here."""
    other = job_of(replace(TEMPLATE, **asked))
    built = other.coinb1(0) + bytes(12) + other.coinbase_end
    monkeypatch.setattr("tarazy.pool.templates.coinbase_transaction", lambda *_: built)
    with pytest.raises(TemplateError, match=words):
        job_of(TEMPLATE)


def test_self_check_needs_a_coinbase_that_decodes_and_pays_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it does when the pool's script is missing, the bytes are cut off, or the whole is too large."""
    other = make_job(TEMPLATE, number=1, payout_script=b"\x51", tag=b"/tarazy/", clean=True, mask=MASK)
    built = other.coinb1(0) + bytes(12) + other.coinbase_end
    for wrong, words in ((built, "it pays the pool"), (built[:-1], "cannot be decoded")):
        monkeypatch.setattr("tarazy.pool.templates.coinbase_transaction", lambda *_, wrong=wrong: wrong)
        with pytest.raises(TemplateError, match=words):
            job_of(TEMPLATE)
    monkeypatch.undo()
    with pytest.raises(TemplateError, match="some devices"):
        make_job(TEMPLATE, number=1, payout_script=bytes(400), tag=b"t", clean=True, mask=MASK)
    with pytest.raises(TemplateError, match="one of BIP141"):
        job_of(replace(TEMPLATE, witness_commitment=b"\x6a"))


def test_version_leaves_the_mask_to_the_miners() -> None:
    """C-069, C-099: bits inside the mask are not sent; one that the chain requires does not fit the mask."""
    assert job_of(replace(TEMPLATE, version=0x30000004)).version == 0x20000004
    required = replace(TEMPLATE, version=0x30000004, required_version_bits=0x10000004)
    with pytest.raises(TemplateError, match="it must be 0fffe000"):
        job_of(required)
    narrower = make_job(required, number=1, payout_script=POOL_SCRIPT, tag=b"t", clean=True, mask=0x0FFFE000)
    assert narrower.version == 0x30000004


@pytest.mark.parametrize(
    ("address", "script"),
    [
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        ("BCRT1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KYGT080", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac"),
        ("2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", "a9144e9f39ca4688ff102128ea4ccda34105324305b087"),
    ],
)
def test_address_of_the_chain_gives_its_script(address: str, script: str) -> None:
    """Every kind of address of the test chain is understood."""
    assert address_script(address, "regtest").hex() == script


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "not an address of the regtest chain"),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "not an address of the regtest chain"),
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "not an address of the regtest chain"),
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", "not a Bitcoin address"),
        ("", "not a Bitcoin address"),
        ("тарazy", "not a Bitcoin address"),
    ],
)
def test_wrong_address_is_refused_with_the_reason(address: str, words: str) -> None:
    """Another chain's address and a mistyped one are told apart."""
    with pytest.raises(TemplateError, match=words):
        address_script(address, "regtest")


def test_solved_job_is_a_block_of_its_template(tmp_path: Path) -> None:
    """Header, coinbase with witness and transactions make a block that the engine accepts (C-107)."""
    chain = RegtestChain(tmp_path, -32)
    template = chain.template()
    block = solve(template, exponent=-13, extranonce=0xAABB)
    assert chain.submit(block).verdict is SubmitVerdict.ACCEPTED
    assert block_coinbase(block).inputs[0].witness == (bytes(32),)
    with pytest.raises(ValueError, match="80 bytes"):
        serialize_block(bytes(79), b"", template)
    chain.close()


class AskedChain:
    """A chain that answers when the test says so: the follower's own behaviour is under test here."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Template]] = []
        self.listeners: list[Callable[[], None]] = []

    def template(self) -> Deferred[Template]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def empty_template(self, last: Template) -> Deferred[Template | None]:
        return succeed(None)

    def on_tip(self, listener: Callable[[], None]) -> None:
        self.listeners.append(listener)


class Followed:
    """A follower on a chain and a clock of the test's, and the jobs it published."""

    def __init__(self, chain: AskedChain | None = None) -> None:
        self.chain = chain or AskedChain()
        self.clock = task.Clock()
        self.jobs: list[Job] = []
        self.dry: list[bool] = []
        self.follower = TemplateFollower(
            cast(Chain, self.chain),
            cast(Clock, self.clock),
            JobNumbers(1_800_000_000),
            Mining(POOL_SCRIPT, b"/tarazy/", MASK),
            refresh=30.0,
            publish=self.jobs.append,
            on_dry=self.dry.append,
        )
        self.follower.start()

    def answer(self, template: Template) -> None:
        """Answer the call that waits."""
        self.chain.asked[-1].callback(template)


@pytest.fixture
def followed() -> Iterator[Followed]:
    """A started follower whose first call waits for its answer."""
    made = Followed()
    yield made
    made.follower.stop()
    assert made.clock.getDelayedCalls() == []


def after(template: Template, number: int) -> Template:
    """A template on another block."""
    return replace(template, height=template.height + number, previous_block_hash=number.to_bytes(32, "little"))


def test_job_is_clean_only_on_a_new_previous_block(followed: Followed) -> None:
    """C-045, C-046: refreshed every 30 s without clean; a new block is clean; numbers rise."""
    followed.answer(TEMPLATE)
    followed.clock.advance(30)
    followed.answer(TEMPLATE)
    followed.follower.wake()
    followed.answer(after(TEMPLATE, 1))
    assert [job.clean for job in followed.jobs] == [True, False, True]
    assert [job.number for job in followed.jobs] == [(1_800_000_000 << 32) + i for i in (1, 2, 3)]
    assert followed.follower.template_behind(followed.jobs[1]) is TEMPLATE


def test_template_is_found_behind_a_job_given_out_again(followed: Followed) -> None:
    """A job under a new number is the same work: a block found on it is assembled from the same template."""
    followed.answer(TEMPLATE)
    followed.follower.wake()
    followed.answer(after(TEMPLATE, 1))
    again = replace(followed.jobs[0], number=followed.jobs[0].number + 77, clean=False)
    assert followed.follower.template_behind(again) is TEMPLATE
    assert followed.follower.template_behind(replace(again, branch=(bytes(32),))) is None


def test_wake_up_during_a_call_brings_another(followed: Followed) -> None:
    """C-095: however many wake-ups come while a call runs, exactly one more call follows it."""
    followed.follower.wake()
    followed.follower.wake()
    assert len(followed.chain.asked) == 1
    followed.answer(TEMPLATE)
    assert len(followed.chain.asked) == 2
    followed.answer(after(TEMPLATE, 1))
    assert len(followed.chain.asked) == 2
    assert [job.height for job in followed.jobs] == [TEMPLATE.height, TEMPLATE.height + 1]


def test_old_work_lives_until_the_new_template_is_in_hand(followed: Followed) -> None:
    """C-050, C-097: failed calls publish nothing and are repeated after pauses; then work goes on."""
    followed.answer(TEMPLATE)
    followed.follower.wake()
    followed.chain.asked[-1].errback(OSError("node away"))
    followed.clock.advance(0.2)
    assert len(followed.chain.asked) == 2
    followed.clock.advance(0.1)
    assert len(followed.chain.asked) == 3
    followed.answer(replace(TEMPLATE, witness_commitment=b""))
    assert len(followed.jobs) == 1
    assert followed.follower.template_behind(followed.jobs[0]) is TEMPLATE
    followed.clock.advance(0.5)
    followed.answer(after(TEMPLATE, 1))
    assert len(followed.jobs) == 2


def test_time_from_hearing_of_a_block_to_work_on_it_is_measured(followed: Followed) -> None:
    """It begins with the word of the tip, whatever fails in between; word of what is known already does not count."""
    (heard,) = followed.chain.listeners
    followed.answer(TEMPLATE)
    heard()
    followed.clock.advance(0.5)
    followed.chain.asked[-1].errback(OSError("node away"))
    followed.clock.advance(0.25)
    followed.answer(after(TEMPLATE, 1))
    assert followed.follower.work_delay == 0.75
    heard()
    followed.clock.advance(5)
    followed.answer(after(TEMPLATE, 1))
    heard()
    followed.clock.advance(0.125)
    followed.answer(after(TEMPLATE, 2))
    assert followed.follower.work_delay == 0.125


def test_wake_up_during_a_failing_call_is_answered_after_the_pause(followed: Followed) -> None:
    """A chain that is away and announces tips is not asked in a busy loop."""
    followed.follower.wake()
    followed.chain.asked[-1].errback(OSError("node away"))
    assert len(followed.chain.asked) == 1
    followed.clock.advance(0.25)
    assert len(followed.chain.asked) == 2


def test_two_minutes_without_a_template_are_told(followed: Followed) -> None:
    """C-103: told once when there was none for 120 s, whether calls fail or hang, and once when there is one."""
    followed.answer(TEMPLATE)
    followed.clock.advance(30)
    followed.answer(after(TEMPLATE, 1))
    followed.clock.advance(119)
    assert followed.dry == []
    followed.clock.advance(2)
    assert followed.dry == [True]
    followed.chain.asked[-1].errback(OSError("node away"))
    followed.clock.advance(200)
    assert followed.dry == [True]
    followed.answer(after(TEMPLATE, 2))
    assert followed.dry == [True, False]
    followed.clock.advance(119)
    assert followed.dry == [True, False]


def test_templates_are_kept_for_ten_minutes_and_in_bounded_number(followed: Followed) -> None:
    """C-053, C-113: over 10,000 refreshes no more than the bound is kept; the newest 64 however old they are."""
    for number in count():
        followed.answer(after(TEMPLATE, number))
        if number == 10_000:
            break
        followed.follower.wake()
    oldest, newest = followed.jobs[0], followed.jobs[-1]
    assert followed.follower.template_behind(oldest) is None
    assert followed.follower.template_behind(newest) == after(TEMPLATE, 10_000)
    assert len(followed.follower._kept) <= 4_096
    followed.clock.advance(KEEP_SECONDS + 1)
    followed.answer(TEMPLATE)
    assert followed.follower.template_behind(newest) is not None
    assert len(followed.follower._kept) == 64
