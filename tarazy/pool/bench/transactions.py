"""Real pending transactions for the bench: a coin split into many outputs, each then spent by a transaction of its own.

They reach the server's chain by the door of its peers, JSON-RPC in bitcoind's words.
"""

from __future__ import annotations

import time

from embit.script import Script, Witness
from embit.transaction import Transaction, TransactionInput, TransactionOutput

from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.bitcoind.template import parse_template
from tarazy.pool.chain.transactions import ANYONE_CAN_SPEND, block_coinbase
from tarazy.pool.demo.network import Client, empty_template

_FEE = 1_000


def _spend(txid: bytes, index: int, values: list[int]) -> Transaction:
    spent = TransactionInput(txid, index, witness=Witness([b"\x51"]))
    paid = Script(ANYONE_CAN_SPEND)
    return Transaction(2, [spent], [TransactionOutput(value, paid) for value in values])


def fill_pending(peer: str, count: int) -> int:
    """Let `count` independent transactions wait for a block; returns the levels of the template's merkle branch."""
    call = Client(peer)
    header = call("getblockheader", call("getbestblockhash"))
    while header["height"] > 1:
        header = call("getblockheader", header["previousblockhash"])
    coinbase = block_coinbase(bytes.fromhex(call("getblock", header["hash"], 0)))
    share = (coinbase.outputs[0].value - _FEE * count) // count
    split = _spend(coinbase.txid[::-1], 0, [share] * count)
    call("sendrawtransaction", split.serialize().hex())
    template = parse_template(call("getblocktemplate", {"rules": ["segwit"]}))
    call("submitblock", build_block(template, ANYONE_CAN_SPEND, b"/bench/").hex())
    for index in range(count):
        call("sendrawtransaction", _spend(split.txid(), index, [share - _FEE]).serialize().hex())
    new_block(peer)
    return count.bit_length()


def new_block(peer: str) -> float:
    """An empty block on the tip, so that what waits goes on waiting; returns when it was offered (Unix seconds)."""
    call = Client(peer)
    tip = call("getblockheader", call("getbestblockhash"))
    template = empty_template(tip["hash"], tip["height"] + 1, max(tip["mediantime"] + 1, int(time.time())))
    block = build_block(template, ANYONE_CAN_SPEND, time.time_ns().to_bytes(8, "big"))
    offered = time.time()
    call("submitblock", block.hex())
    return offered
