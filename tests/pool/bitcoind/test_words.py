"""Pure parts of the node client: answers, templates, the gate, and who leads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tarazy.pool.chain.bitcoind.faults import CURES, Fault, NodeError
from tarazy.pool.chain.bitcoind.gate import NodeStatus, gate, read_status
from tarazy.pool.chain.bitcoind.leadership import (
    LAG_SECONDS,
    RETURN_SECONDS,
    SPLIT_SECONDS,
    Candidate,
    Floor,
    Leadership,
)
from tarazy.pool.chain.bitcoind.template import parse_template, target_of_nbits
from tarazy.pool.chain.bitcoind.words import best_submission, result_of, submission_of
from tarazy.pool.chain.interface import Submission, SubmitVerdict, Tip
from tarazy.pool.chain.transactions import decode_transaction, witness_commitment
from tests.pool.bitcoind.recorded import raw_answer, result
from tests.pool.mining import job_of


def _error(code: int) -> bytes:
    return json.dumps({"result": None, "error": {"code": code, "message": "words"}, "id": "x"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (*raw_answer("starting-up"), Fault.WARMING_UP),
        (*raw_answer("getblocktemplate-no-segwit-rule"), Fault.BAD_CALL),
        (*raw_answer("unauthorized"), Fault.UNAUTHORIZED),
        (*raw_answer("method-not-found"), Fault.NOT_FOUND),
        (*raw_answer("getblock-missing"), Fault.UNKNOWN_BLOCK),
        (*raw_answer("submitblock-undecodable"), Fault.UNDECODABLE),
        (*raw_answer("parse-error"), Fault.REFUSED),
        (500, _error(-9), Fault.NO_PEERS),
        (500, _error(-10), Fault.INITIAL_DOWNLOAD),
        (500, _error(-25), Fault.UNDECIDED),
        (500, _error(-1), Fault.REFUSED),
        (403, b"", Fault.FORBIDDEN),
        (503, b"Work queue depth exceeded", Fault.BUSY),
        (404, b"", Fault.NOT_FOUND),
        (502, b"<html>", Fault.HTTP),
        (200, b"<html>", Fault.NOT_JSON),
        (200, b"[]", Fault.NOT_JSON),
        (200, b'{"result": null, "error": "text"}', Fault.REFUSED),
        (200, b'{"result": {"a": 1', Fault.NOT_JSON),
    ],
)
def test_every_error_has_its_name_and_cure(status: int, body: bytes, fault: Fault) -> None:
    """C-097: recorded and other errors of a node are told apart; each is one line with what to do."""
    with pytest.raises(NodeError) as failed:
        result_of("getblocktemplate", status, body)
    assert failed.value.fault is fault
    assert str(failed.value).startswith(f"{fault}: ")
    assert str(failed.value).endswith(CURES[fault])
    assert "\n" not in str(failed.value)


def test_a_nodes_words_are_cut_and_cleaned() -> None:
    """What a node says reaches the log as one short line."""
    error = NodeError(Fault.REFUSED, "a\nb\x1b[31m" + "x" * 10_000)
    assert str(error).startswith("refused: a b [31mx")
    assert len(error.words) <= 200


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (None, SubmitVerdict.ACCEPTED),
        (result("submitblock-duplicate"), SubmitVerdict.DUPLICATE),
        ("inconclusive", SubmitVerdict.INCONCLUSIVE),
        ("duplicate-inconclusive", SubmitVerdict.INCONCLUSIVE),
        ("duplicate-invalid", SubmitVerdict.REJECTED),
        (result("submitblock-bad"), SubmitVerdict.REJECTED),
        (result("submitblock-bad-merkle"), SubmitVerdict.REJECTED),
        (result("submitblock-unknown-parent"), SubmitVerdict.REJECTED),
        ("prev-blk-not-found", SubmitVerdict.REJECTED),
        ("something new", SubmitVerdict.REJECTED),
    ],
)
def test_what_submitblock_says(said: Any, verdict: SubmitVerdict) -> None:
    """C-112: every row of the table; a refusal keeps the node's word."""
    answer = submission_of(said)
    assert answer.verdict is verdict
    assert answer.reason == (said if verdict is SubmitVerdict.REJECTED else "")


def test_one_node_that_takes_a_block_wins() -> None:
    """C-112: accepted before duplicate before inconclusive before rejected, whatever the order."""
    answers = [Submission(verdict) for verdict in reversed(SubmitVerdict)]
    while answers:
        assert best_submission(answers) == answers[-1]
        answers.pop()


@pytest.mark.parametrize(("name", "count"), [("empty", 0), ("small", 6), ("longpoll", 0), ("large", 2_100)])
def test_recorded_templates_become_jobs(name: str, count: int) -> None:
    """C-106: the branch is over txids, not over `hash`; the commitment the node made is over `hash`."""
    words = result(f"getblocktemplate-{name}")
    template = parse_template(words)
    assert len(template.transactions) == count
    assert (template.height, template.nbits) == (words["height"], 0x207FFFFF)
    assert template.target == 0x7FFFFF << 232
    assert template.witness_commitment == witness_commitment(each.data for each in template.transactions)
    for each, said in list(zip(template.transactions, words["transactions"], strict=True))[:10]:
        assert each.txid == decode_transaction(each.data).txid
        assert each.txid[::-1].hex() == said["txid"] != said["hash"]
    job = job_of(template)
    assert job.version == 0x20000000, "bit 28, which the recorded node signals, lies inside the mask"
    assert len(job.branch) == count.bit_length()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rules": ["csv", "!segwit", "!covenants"]}, "a rule this version does not know (!covenants)"),
        ({"rules": "csv"}, "rules is no list"),
        ({"default_witness_commitment": None}, "default_witness_commitment is missing"),
        ({"signet_challenge": "512103ad5e"}, "signet"),
        ({"target": "f" * 64}, "does not belong to bits"),
        ({"target": "0" * 64}, "does not belong to bits"),
        ({"bits": "zz"}, "zz"),
        ({"height": -1}, "height is -1"),
        ({"height": True}, "height is True"),
        ({"coinbasevalue": 1e9}, "coinbasevalue is 1000000000.0"),
        ({"coinbasevalue": 2_100_000_000_000_001}, "coinbasevalue"),
        ({"curtime": 1}, "before mintime"),
        ({"previousblockhash": "00"}, "previousblockhash"),
        ({"transactions": {}}, "transactions"),
        ({"transactions": [{"data": "00"}]}, "txid is missing"),
        ({"transactions": [{"data": "00", "txid": "00"}]}, "txid"),
        ({"transactions": [{"data": "00" * 4_000_001, "txid": "00" * 32}]}, "larger than a block"),
        ({"transactions": [None]}, "NoneType"),
        ({"transactions": [{}] * 100_001}, "at most 100000"),
        ({"height": None}, "height is missing"),
    ],
)
def test_a_template_that_cannot_be_mined_on_is_refused(changes: dict[str, Any], words: str) -> None:
    """C-098: an unknown rule marked `!`, a missing commitment and nonsense are named. (None: the key is left out.)"""
    asked = result("getblocktemplate-small") | changes
    template = {name: value for name, value in asked.items() if value is not None}
    with pytest.raises(NodeError) as refused:
        parse_template(template)
    assert refused.value.fault is Fault.BAD_TEMPLATE
    assert words in str(refused.value)


def test_rules_that_are_known_or_not_marked_are_no_hindrance() -> None:
    """C-098: only `!` makes a rule one that must be known; an open signet may be mined on."""
    words = result("getblocktemplate-small")
    parse_template(words | {"rules": ["csv", "!segwit", "taproot", "!signet", "covenants"], "signet_challenge": "51"})


def test_required_version_bits_are_set() -> None:
    """C-099: what vbrequired names is in the version, also if the node forgot it there."""
    template = parse_template(result("getblocktemplate-small") | {"version": 0x20000000, "vbrequired": 0x5})
    assert (template.version, template.required_version_bits) == (0x20000005, 5)
    assert job_of(template).version == 0x20000005


@pytest.mark.parametrize(
    ("nbits", "target"),
    [(0x207FFFFF, 0x7FFFFF << 232), (0x1D00FFFF, 0xFFFF << 208), (0x17021A42, 0x021A42 << 160), (0x03000001, 1)],
)
def test_compact_targets(nbits: int, target: int) -> None:
    """The compact form of a header, as on main and on regtest."""
    assert target_of_nbits(nbits) == target
    assert target_of_nbits(0x1D80FFFF) == target_of_nbits(0xFF00FFFF) == 0


STATUS = NodeStatus("regtest", Tip(100, bytes(32)), 100, 1_000, initial_download=False, peers=0)


def test_a_recorded_node_passes_the_gate() -> None:
    """The words of a real node: height, work, peers."""
    status = read_status(result("getblockchaininfo"), result("getnetworkinfo"))
    assert (status.chain, status.tip.height, status.work, status.peers) == ("regtest", 152, 0x132, 0)
    assert gate(status, "regtest") is None
    with pytest.raises(NodeError, match="lacks something"):
        read_status({}, {})


@pytest.mark.parametrize(
    ("changes", "network", "fault"),
    [
        ({}, "main", Fault.WRONG_CHAIN),
        ({"chain": "test"}, "testnet4", Fault.WRONG_CHAIN),
        ({"initial_download": True}, "regtest", Fault.INITIAL_DOWNLOAD),
        ({"headers": 102}, "regtest", Fault.OUT_OF_SYNC),
        ({"chain": "main"}, "main", Fault.NO_PEERS),
        ({"chain": "signet"}, "signet", Fault.NO_PEERS),
    ],
)
def test_the_gate_names_what_is_wanting(changes: dict[str, Any], network: str, fault: Fault) -> None:
    """C-102: wrong chain, initial download, blocks behind headers, no peers (regtest needs none)."""
    wanting = gate(replace(STATUS, **changes), network)
    assert wanting is not None
    assert wanting.fault is fault
    assert gate(replace(STATUS, headers=101), "regtest") is None
    assert gate(replace(STATUS, chain="testnet4", peers=8), "testnet4") is None


def node(work: int = 100, tip: int = 1, since: float = 0.0) -> Candidate:
    """A well node."""
    return Candidate(replace(STATUS, work=work, tip=Tip(work, tip.to_bytes(32, "big"))), since)


ILL = Candidate(None, 0.0)


def test_the_first_well_node_leads_and_comes_back() -> None:
    """C-100: at once to the next when ill; back to the first when it was well for some time."""
    leadership = Leadership()
    assert leadership.choose([ILL, ILL], None, 0.0) is None
    assert leadership.choose([node(), node()], None, 1.0) == 0
    assert leadership.choose([ILL, node()], None, 2.0) == 1
    well = node(since=3.0)
    assert leadership.choose([well, node()], None, 3.0) == 1
    assert leadership.choose([well, node()], None, 3.0 + RETURN_SECONDS - 0.1) == 1
    assert leadership.choose([well, node()], None, 3.0 + RETURN_SECONDS) == 0


def test_a_leader_that_falls_behind_is_replaced() -> None:
    """C-100: a short lag is no reason, a longer one is; who is behind does not come back."""
    leadership = Leadership()
    assert leadership.choose([node(100), node(100)], None, 0.0) == 0
    assert leadership.choose([node(100), node(101)], None, 1.0) == 0
    assert leadership.choose([node(101), node(101)], None, 1.5) == 0
    assert leadership.choose([node(101), node(102)], None, 2.0) == 0
    assert leadership.choose([node(101), node(102)], None, 2.0 + LAG_SECONDS + 0.1) == 1
    assert leadership.choose([node(101), node(102)], None, 1_000.0) == 1
    assert leadership.choose([node(102), node(102)], None, 1_001.0) == 0


def test_a_lagging_node_never_moves_work_backwards() -> None:
    """C-100: rather no node than one with less work than was mined on; a node may take its own chain back."""
    leadership = Leadership()
    floor = Floor(work=102, node=0)
    assert leadership.choose([node(102), node(101)], floor, 0.0) == 0
    assert leadership.choose([ILL, node(101)], floor, 1.0) is None
    assert leadership.choose([node(100), node(101)], floor, 2.0) == 0
    assert leadership.choose([ILL, node(102)], floor, 3.0) == 1


def test_a_leader_alone_on_another_block_is_replaced() -> None:
    """C-101: at equal work the block of most nodes wins after 30 s; between two the first one's stays."""
    leadership = Leadership()
    split = [node(tip=1), node(tip=2), node(tip=2)]
    assert leadership.choose([node(tip=1)] * 3, None, 0.0) == 0
    assert leadership.choose(split, None, 10.0) == 0
    assert leadership.choose(split, None, 10.0 + SPLIT_SECONDS) == 0
    assert leadership.choose(split, None, 10.1 + SPLIT_SECONDS) == 1
    assert leadership.choose(split, None, 1_000.0) == 1
    two = Leadership()
    assert two.choose([node(tip=1), node(tip=2)], None, 0.0) == 0
    assert two.choose([node(tip=1), node(tip=2)], None, 1_000.0) == 0
