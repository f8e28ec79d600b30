"""An empty job ahead of the whole one, over real HTTP: when there is one, and that its blocks are good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.bitcoind.empty import BestBlock, empty_template, read_best
from tarazy.pool.chain.bitcoind.faults import NodeError
from tarazy.pool.chain.bitcoind.template import parse_template
from tarazy.pool.chain.interface import SubmitVerdict, Template
from tarazy.pool.chain.transactions import ANYONE_CAN_SPEND, block_hash, witness_commitment
from tarazy.pool.follower import TemplateFollower
from tarazy.pool.proposals import unsolved_block
from tarazy.stratum.job import Job
from tests.pool.bitcoind.recorded import RecordedNode, open_chain, raw_answer, result, until
from tests.pool.bitcoind.test_chain import NEVER, OTHER_TIPS, Publisher, template_of, tip_of
from tests.pool.bitcoind.test_consensus import JudgingNode, follow, pending
from tests.pool.mining import job_of, solve, solve_job
from tests.pool.under_reactor import in_reactor

LAST = parse_template(result("getblocktemplate-small"))
"""At height 157."""
BEST = BestBlock(bytes(range(32)), height=157, median_time=1_800_000_000, nbits=LAST.nbits, work=400)


def test_an_empty_template_is_what_the_next_block_has_to_be() -> None:
    """C-106: subsidy alone, its own commitment, times above the new tip's median; the rest as in the last template."""
    made = empty_template(BEST, LAST, 1_800_000_600, 150)
    assert made is not None
    assert made == replace(
        LAST,
        height=158,
        previous_block_hash=BEST.block_hash,
        curtime=1_800_000_600,
        mintime=1_800_000_001,
        coinbase_value=25 * 10**8,
        witness_commitment=witness_commitment(()),
        transactions=(),
    )
    early = empty_template(BEST, LAST, 1_700_000_000, 150)
    assert early is not None
    assert early.curtime == early.mintime == 1_800_000_001


@pytest.mark.parametrize(
    ("last", "height", "value"),
    [
        (839_998, 839_999, 625_000_000),
        (839_999, 840_000, 312_500_000),
        (839_999, 840_003, 312_500_000),
        (13_439_999, 13_440_000, 0),
        (2_014, 2_015, 50_0000_0000),
        (2_015, 2_016, None),
        (2_014, 2_017, None),
        (4_033, 4_031, None),
        (4_033, 4_033, None),
    ],
)
def test_subsidy_by_height_and_no_guess_over_a_change_of_difficulty(last: int, height: int, value: int | None) -> None:
    """Where a difficulty period begins, or began in between, only the node knows nbits; the height never goes back."""
    made = empty_template(replace(BEST, height=height - 1), replace(LAST, height=last), 0, 210_000)
    assert (made and made.coinbase_value) == value


def test_a_branch_with_another_difficulty_waits_for_the_template() -> None:
    """A reorganisation over the beginning of a period may bring other nbits within it."""
    assert empty_template(replace(BEST, nbits=LAST.nbits - 1), LAST, 0, 150) is None


def test_only_the_tip_of_the_nodes_chain_is_built_on() -> None:
    """C-100: a block that is not, or no longer, its best and valid one is none."""
    words = result("getblockheader")
    tip = bytes.fromhex(words["hash"])[::-1]
    assert read_best(tip, words) == BestBlock(tip, 154, 1795315941, 0x207FFFFF, 0x136)
    for confirmations in (-1, 0, 2, None):
        assert read_best(tip, words | {"confirmations": confirmations}) is None
    for nonsense in ({"confirmations": 1}, None, words | {"mediantime": "x"}):
        with pytest.raises(NodeError, match="not-json"):
            read_best(tip, nonsense)


def hold(node: RecordedNode) -> Callable[[], None]:
    """Let the node's next templates wait; the call returned answers those that do, as of the moment they were asked."""
    prompt = node.answers["getblocktemplate"]
    held: list[tuple[Deferred[Any], Any]] = []

    def template(request: dict[str, Any]) -> Any:
        if "longpollid" in request or "mode" in request:
            return prompt(request)
        held.append((Deferred(), prompt(request)))
        return held[-1][0]

    def release() -> None:
        node.answers["getblocktemplate"] = prompt
        for waiting, answer in held:
            waiting.callback(answer)

    node.answers["getblocktemplate"] = template
    return release


@pytest.mark.parametrize("way", ["asking", "long poll", "zmq"])
@in_reactor
async def test_it_is_out_before_the_node_has_made_a_template(way: str) -> None:
    """C-096, C-045: by whichever wake-up; clean, without transactions; then the whole one, as a refresh."""
    node, publisher = RecordedNode(), Publisher()
    look_seconds = 0.05 if way == "asking" else NEVER
    chain = open_chain(node.settings(zmq=publisher.endpoint), look_seconds=look_seconds, empty_job_first=True)
    follower, jobs = await follow(chain)
    await publisher.subscribed()
    await until(lambda: node.long_polls)
    release = hold(node)
    node.move(OTHER_TIPS[0])
    if way == "zmq":
        publisher.announce(node.tip)
    if way == "long poll":
        node.end_long_polls()
    await until(lambda: len(jobs) >= 2)
    assert (jobs[1].clean, jobs[1].branch, jobs[1].height) == (True, (), 158)
    assert jobs[1].previous_block_hash[::-1].hex() == node.tip
    release()
    await until(lambda: len(jobs) >= 3)
    assert (jobs[2].clean, len(jobs[2].branch)) == (False, 3)
    assert jobs[2].previous_block_hash == jobs[1].previous_block_hash
    follower.stop()
    await chain.close()
    publisher.close()
    await node.stop()


@in_reactor
async def test_a_late_template_on_the_block_before_is_not_gone_back_to() -> None:
    """C-100: one that was begun before the block came, and answered after the empty job, is asked for again."""
    node = RecordedNode()
    chain = open_chain(node.settings(), empty_job_first=True)
    follower, jobs = await follow(chain)
    release = hold(node)
    asked = node.calls.count("getblocktemplate")
    follower.wake()
    await until(lambda: node.calls.count("getblocktemplate") > asked)
    node.move(OTHER_TIPS[0])
    await until(lambda: len(jobs) >= 2)
    release()
    await until(lambda: len(jobs) >= 4)
    assert [job.height for job in jobs[:4]] == [157, 158, 158, 158]
    follower.stop()
    await chain.close()
    await node.stop()


@in_reactor
async def test_a_late_answer_about_a_template_lowers_nothing() -> None:
    """C-100: the same while it is still asked how much work is behind a template."""
    node = RecordedNode()
    chain = open_chain(node.settings(), look_seconds=NEVER, empty_job_first=True)
    last = await template_of(chain)
    node.move(OTHER_TIPS[0])
    header = node.answers["getblockheader"]
    held: Deferred[Any] = Deferred()
    older = header(OTHER_TIPS[0])
    node.answers["getblockheader"] = lambda name: held if name == OTHER_TIPS[0] else header(name)
    headers = node.calls.count("getblockheader")
    asked = chain.template()
    await until(lambda: node.calls.count("getblockheader") > headers)
    node.move(OTHER_TIPS[1])
    made = await chain.empty_template(last)
    assert made is not None
    held.callback(older)
    assert tip_of(await asked) == OTHER_TIPS[1]
    await chain.close()
    await node.stop()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda node: node.answers.update(getblockheader=lambda name: node._header(name) | {"confirmations": -1}),
        lambda node: node.answers.update(getblockheader=lambda name: node._header(name) | {"confirmations": 2}),
        lambda node: node.answers.update(getblockheader=raw_answer("getblock-missing")),
        lambda node: node.answers.update(getblockheader=lambda name: node._header(name) | {"chainwork": "138"}),
        lambda node: node.answers.update(getblockheader=lambda name: node._header(name) | {"height": 2_015}),
        lambda node: node.answers.update(getbestblockhash="hang"),
        lambda node: node.answers.update(getblockheader="hang"),
    ],
    ids=["off-chain", "no-tip", "unknown", "no-more-work", "period", "silent", "silent-header"],
)
@in_reactor
async def test_there_is_none(spoil: Callable[[RecordedNode], None]) -> None:
    """C-100, C-097: on no block but the tip, with more work; not where nbits may change; not of a silent node."""
    node = RecordedNode()
    chain = open_chain(node.settings(), look_seconds=NEVER, empty_job_first=True)
    last = await template_of(chain)
    node.move(OTHER_TIPS[0])
    spoil(node)
    assert await chain.empty_template(last) is None
    await chain.close()
    await node.stop()


@in_reactor
async def test_zmq_alone_is_no_ground_to_build_on() -> None:
    """C-100: a block that the node announces and does not call its best brings a question, and no work on it."""
    node, publisher = RecordedNode(), Publisher()
    chain = open_chain(node.settings(zmq=publisher.endpoint), look_seconds=NEVER, empty_job_first=True)
    follower, jobs = await follow(chain)
    await publisher.subscribed()
    publisher.announce(OTHER_TIPS[0])
    await until(lambda: len(jobs) >= 2)
    assert jobs[1].previous_block_hash == jobs[0].previous_block_hash
    follower.stop()
    await chain.close()
    publisher.close()
    await node.stop()


@in_reactor
async def test_none_once_the_template_is_there_and_none_unless_wanted() -> None:
    """The whole template of the same block makes it superfluous; without the setting the node is not asked."""
    node = RecordedNode()
    chain, plain = open_chain(node.settings(), look_seconds=NEVER, empty_job_first=True), open_chain(node.settings())
    last = await template_of(chain)
    await template_of(plain)
    node.move(OTHER_TIPS[0])
    assert await plain.empty_template(last) is None
    await template_of(chain)
    assert await chain.empty_template(last) is None
    await chain.close()
    await plain.close()
    await node.stop()


@in_reactor
async def test_another_node_with_less_work_does_not_take_over_after_an_empty_job() -> None:
    """C-100: what was mined on counts, be it an empty job."""
    first, second = RecordedNode(), RecordedNode()
    chain = open_chain(first.settings(), second.settings(), empty_job_first=True)
    follower, jobs = await follow(chain)
    await until(lambda: all(chain.nodes_up().values()))
    hold(first)
    first.move(OTHER_TIPS[0])
    await until(lambda: len(jobs) >= 2)
    await first.stop()
    await until(lambda: not chain.nodes_up()["1"])
    assert chain._leader is None
    second.move(OTHER_TIPS[0])
    await until(lambda: len(jobs) >= 3)
    assert (jobs[2].clean, jobs[2].previous_block_hash) == (False, jobs[1].previous_block_hash)
    follower.stop()
    await chain.close()
    await second.stop()


@in_reactor
async def test_the_node_would_take_its_block_and_takes_it(tmp_path: Path) -> None:
    """C-106, C-107, C-108: by proposal and by the consensus engine, over the halving at height 150; one satoshi more
    is refused."""
    node = await JudgingNode.open(tmp_path)
    chain = open_chain(node.settings, empty_job_first=True, look_seconds=NEVER)
    await until(lambda: chain._leader)
    for number in range(45):
        await node.others_mine(b"early%d" % number)
    values = []
    for height in (148, 150, 152):
        last = await chain.template()
        await node.others_mine(b"%d" % height)
        made = await chain.empty_template(last)
        assert made is not None
        assert made.height == height
        values.append(made.coinbase_value)
        assert await chain.propose(unsolved_block(job_of(made), made)) is None
        greedy = replace(made, coinbase_value=made.coinbase_value + 1)
        assert await chain.propose(unsolved_block(job_of(greedy), greedy)) == "bad-cb-amount"
        assert (await chain.submit(solve(greedy))).reason == "bad-cb-amount"
        assert made == replace(await chain.template(), curtime=made.curtime)
        assert (await chain.submit(solve(made))).verdict is SubmitVerdict.ACCEPTED
    assert values == [50 * 10**8, 25 * 10**8, 25 * 10**8]
    await chain.close()
    await node.close()


def block_on(job: Job, follower: TemplateFollower) -> bytes:
    """A solved job, from the template that was kept for it."""
    template = follower.template_behind(job)
    assert template is not None
    return solve_job(job, template)


@in_reactor
async def test_a_block_is_found_on_an_empty_job_while_the_node_is_still_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-107, C-113: with transactions waiting, so that the whole template is another; both are good for blocks."""
    node = await JudgingNode.open(tmp_path)
    chain = open_chain(node.settings, empty_job_first=True)
    follower, jobs = await follow(chain)
    await pending(node, 3)
    follower.wake()
    await until(lambda: len(jobs) >= 2)
    prompt, at_work = node.chain.template, True
    bare = replace(await prompt(), transactions=(), witness_commitment=witness_commitment(()))
    above = build_block(replace(bare, coinbase_value=50 * 10**8), ANYONE_CAN_SPEND, b"above")

    async def slow() -> Template:
        await until(lambda: not at_work)
        return await prompt()

    monkeypatch.setattr(node.chain, "template", lambda: Deferred.fromCoroutine(slow()))
    assert (await node.chain.relay(above)).verdict is SubmitVerdict.ACCEPTED
    await until(lambda: len(jobs) >= 3)
    solved = block_on(jobs[2], follower)
    assert (await chain.submit(solved)).verdict is SubmitVerdict.ACCEPTED
    await until(lambda: len(jobs) >= 4)
    assert [(job.clean, len(job.branch)) for job in jobs[2:4]] == [(True, 0), (True, 0)]
    assert jobs[3].previous_block_hash == block_hash(solved)
    at_work = False
    await until(lambda: len(jobs) >= 5)
    assert (jobs[4].clean, len(jobs[4].branch)) == (False, 2)
    assert (await chain.submit(block_on(jobs[4], follower))).verdict is SubmitVerdict.ACCEPTED
    follower.stop()
    await chain.close()
    await node.close()
