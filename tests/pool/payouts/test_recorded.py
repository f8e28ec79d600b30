"""The wallet's calls over real HTTP against what a bitcoind answered, and the checks of its transactions."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tarazy.accounting.payouts.machine import Credit, Destination, Limits, PayoutError, Sending, select, sending
from tarazy.pool.chain.bitcoind.faults import CURES, Fault, NodeError
from tarazy.pool.chain.transactions import Output, decode_transaction
from tarazy.pool.payouts.review import read_psbt, require_pays, require_replaces, require_same, rivals_of
from tarazy.pool.payouts.wallet import Balances, NodeWallet
from tarazy.pool.templates import address_script
from tests.pool.bitcoind.recorded import raw_answer, result
from tests.pool.payouts.world import wallet

PAYEES = {
    address_script("bcrt1q67f955gf30fgpus9ssfeu879x9pe5pmagphwpr", "regtest"): 5_000_000,
    address_script("bcrt1qmk3yvuc4q039th5crm88hppu62kv6vkxacarg9", "regtest"): 6_000_000,
}
TXID = "5d54bd35756968bb64f7c4c13a99d380fa0dd1250ef61fe8484987560b451c20"
FEE = 3_440


@contextmanager
def answering(answer: str | bytes) -> Iterator[tuple[NodeWallet, list[str]]]:
    """A wallet at a server that gives one answer, recorded under a name or as it is, and the paths that were asked."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            status, body = raw_answer(answer) if isinstance(answer, str) else (200, answer)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield wallet(f"http://127.0.0.1:{server.server_port}/"), paths
    finally:
        server.shutdown()
        server.server_close()


def test_amounts_are_exact() -> None:
    """Bitcoins of JSON become satoshi without rounding; the call goes to the wallet's own path."""
    with answering("getbalances") as (known, paths):
        tip = "7208b347c757e58ffd2cc1c5ae0cbff6230c7ee52038c5eff5fedeeec1fbe12c"
        assert known.balances() == Balances(269_977_436_280, 485_022_563_720, tip)
        assert paths == ["/wallet/demo"]


@pytest.mark.parametrize(
    ("name", "confirmations"), [("gettransaction-confirmed", 1), ("gettransaction-unconfirmed", 0)]
)
def test_a_transaction_of_the_wallet(name: str, confirmations: int) -> None:
    """Confirmations, fee and bytes."""
    with answering(name) as (known, _):
        seen = known.seen(result(name)["txid"])
    assert seen is not None
    assert (seen.confirmations, seen.fee) == (confirmations, 5_400)
    assert sorted(each.value for each in seen.transaction.outputs)[:3] == [10_000_000, 20_000_000, 30_000_000]


def test_from_the_draft_to_the_signed_transaction() -> None:
    """The recorded PSBT pays the batch with its change, and comes back signed as the same transaction."""
    draft = read_psbt(result("walletcreatefundedpsbt")["psbt"])
    change = [each for each in draft.transaction.outputs if each.script not in PAYEES]
    assert draft.fee == FEE
    require_pays(draft.transaction.outputs, PAYEES, draft.fee, FEE, lambda script: script == change[0].script)
    signed = result("walletprocesspsbt")["psbt"]
    require_same(draft.transaction, read_psbt(signed).transaction)
    with answering("finalizepsbt") as (known, _):
        raw = known.finalized(signed)
    assert raw is not None
    final = decode_transaction(bytes.fromhex(raw))
    require_same(draft.transaction, final)
    assert final.txid[::-1].hex() == TXID
    with answering("testmempoolaccept") as (known, _):
        assert known.why_refused(raw) is None
    with answering("sendrawtransaction") as (known, _):
        known.send(raw)


def test_what_is_not_the_batch_is_refused() -> None:
    """A stranger's output, a payee's other amount, a high fee, other inputs, no higher fee: each is named."""
    draft = read_psbt(result("walletcreatefundedpsbt")["psbt"])
    outputs = draft.transaction.outputs
    thief = Output(1_000, b"\x00\x14" + bytes(20))

    def pays(outputs: tuple[Output, ...], limit: int = FEE) -> None:
        require_pays(outputs, PAYEES, draft.fee, limit, lambda script: script not in (*PAYEES, thief.script))

    pays(outputs)
    for wrong, limit, text in (
        ((*outputs, thief), FEE, "no payee's"),
        (tuple(replace(each, value=each.value - (each.script in PAYEES)) for each in outputs), FEE, "does not pay"),
        ((*outputs, outputs[1]), FEE, "no payee's"),
        (outputs[1:], FEE, "does not pay"),
        (outputs, FEE - 1, "maximum_fee"),
    ):
        with pytest.raises(PayoutError, match=text):
            pays(wrong, limit)
    other = replace(draft.transaction, inputs=(replace(draft.transaction.inputs[0], outpoint=bytes(36)),))
    with pytest.raises(PayoutError, match="another transaction"):
        require_same(draft.transaction, other)
    with pytest.raises(PayoutError, match="lacks 1 inputs"):
        require_replaces(other, draft, 0)
    with pytest.raises(PayoutError, match="is not above"):
        require_replaces(draft.transaction, draft, FEE)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"\x01\x0f\xff" + b"\xff" * 8, id="a value longer than any memory"),
        pytest.param(b"\x03\x16ab\x01\x00", id="a public key of two bytes"),
    ],
)
def test_a_damaged_psbt_is_a_wrong_psbt(fields: bytes) -> None:
    """Whatever the parser makes of what somebody brings, it is told as what it is."""
    transaction = b"\x02\x00\x00\x00\x01" + bytes(36) + b"\x00" + b"\xff" * 4 + b"\x01" + bytes(8) + b"\x00" + bytes(4)
    opening = b"psbt\xff\x01\x00" + bytes([len(transaction)]) + transaction + b"\x00"
    with pytest.raises(PayoutError, match="this is no PSBT"):
        read_psbt(b64encode(opening + fields + b"\x00\x00").decode())


@pytest.mark.parametrize(
    ("name", "code", "fault", "meaning"),
    [
        ("sendrawtransaction-already-mined", -27, Fault.REFUSED, Sending.TAKEN),
        ("sendmany-insufficient", -6, Fault.NO_FUNDS, Sending.AGAIN),
        ("sendmany-dust", -6, Fault.NO_FUNDS, Sending.AGAIN),
        ("wallet-locked", -13, Fault.WALLET_LOCKED, Sending.AGAIN),
        ("wallet-not-loaded", -18, Fault.NO_WALLET, Sending.AGAIN),
    ],
)
def test_refusals_by_number(name: str, code: int, fault: Fault, meaning: Sending) -> None:
    """(R-026) bitcoind's numbers as they were recorded; each is told with a cure."""
    with answering(name) as (known, _), pytest.raises(NodeError) as refused:
        known.send("00")
    assert (refused.value.code, refused.value.fault) == (code, fault)
    assert str(refused.value).endswith(CURES[fault])
    assert sending(refused.value.code) is meaning


def test_what_can_confirm_no_more() -> None:
    """A batch is dead when every one of its transactions lost an input to a buried one, not before."""
    one, two, three = b"1", b"2", b"3"
    assert rivals_of([{one}], {"x": {one, three}, "y": {three}}) == ["x"]
    assert rivals_of([{one}, {one, two}], {"x": {two}}) == [], "the first one lacks nothing"
    assert rivals_of([{one}, {one, two}], {"x": {one}}) == ["x"]
    assert rivals_of([{one}, {two}], {"y": {two}, "x": {one}}) == ["x", "y"]
    assert rivals_of([], {"x": {one}}) == []


@pytest.mark.parametrize("answer", ["[]", "7", "[{}]", '{"complete": true, "hex": "x"}'])
@pytest.mark.parametrize(
    "ask",
    [
        lambda known: known.balances(),
        lambda known: known.finalized("psbt"),
        lambda known: known.why_refused("00"),
        lambda known: known.seen(TXID),
        lambda known: known.spent_by(),
        lambda known: known.owns(next(iter(PAYEES))),
    ],
)
def test_a_node_that_answers_anything(ask: Callable[[NodeWallet], object], answer: str) -> None:
    """An answer of another shape is the node's fault, told in a line; never a payment, never a traceback."""
    with (
        answering(f'{{"result": {answer}, "error": null, "id": 0}}'.encode()) as (known, _),
        pytest.raises(NodeError, match="answers otherwise than a node does"),
    ):
        ask(known)


def test_a_credit_that_no_batch_can_pay() -> None:
    """Whole credits are paid, so one above the limit waits for the operator, and he is told so."""
    payee = Destination("bcrt1q67f955gf30fgpus9ssfeu879x9pe5pmagphwpr", next(iter(PAYEES)))
    limits = Limits(threshold=1_000, outputs=10, batch=5_000, day=9_000, first=None)
    made = select([Credit(1, "altyn", 5_001), Credit(2, "altyn", 10)], {"altyn": payee}, {}, limits, 0, {})
    assert made.left_out == {"altyn": "a credit of 5001 satoshi exceeds payouts.batch_limit; raise it"}
