"""The rest of a demo network: a process that mines bursts, sends transactions and orphans some blocks."""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from embit.script import Script, Witness
from embit.transaction import Transaction, TransactionInput, TransactionOutput

from tarazy.accounting.worth import REGTEST_HALVING_BLOCKS, subsidy
from tarazy.pool.chain.assembly import (
    BLOCK_VERSION,
    MATURITY,
    REGTEST_NBITS,
    REGTEST_TARGET,
    build_block,
)
from tarazy.pool.chain.bitcoind.template import parse_template
from tarazy.pool.chain.interface import Template
from tarazy.pool.chain.transactions import (
    ANYONE_CAN_SPEND,
    block_coinbase,
    block_hash,
    outpoint,
    witness_commitment,
)
from tarazy.stratum.job import displayed

TIMEOUT_SECONDS = 10.0
LOOK_SECONDS = 0.25
"""How often somebody else's new blocks are looked for between bursts."""
BURIED = MATURITY + 20
"""So many blocks above the first one of somebody else, its reward and a few more are final."""
UNHURRIED = 10
"""Times longer pauses between bursts from then on."""
REMEMBERED_BLOCKS = 1_000
TRANSACTION_CHANCE = 0.2
"""Of sending a transaction before a block of ours."""
TRANSACTION_FEE = 10_000

_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
_LOOK_BACK = MATURITY + 50
_log = structlog.get_logger()


class AwayError(Exception):
    """The server does not answer."""


class RefusedError(Exception):
    """The server answered with an error, or refused a block."""


class Client:
    """bitcoind's JSON-RPC, one call at a time."""

    def __init__(self, url: str) -> None:
        if not url.startswith("http://127.0.0.1:"):
            raise ValueError(f"{url}: the rest of a demo network reaches a chain on http://127.0.0.1 only")
        self._url = url

    def __call__(self, method: str, *parameters: Any) -> Any:
        """The result of a call. Raises `AwayError` or `RefusedError`."""
        body = json.dumps({"id": 0, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(self._url, body, {"content-type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            raise RefusedError(f"{method}: {error.read(1000).decode(errors='replace')}") from error
        except (OSError, ValueError) as error:
            raise AwayError(str(error)) from error
        return answer["result"]


@dataclass(frozen=True, slots=True)
class _Coin:
    outpoint: bytes
    value: int
    height: int


class Network:
    """The rest of the network at one server. What it does follows from `seed` and the server's answers."""

    def __init__(self, call: Callable[..., Any], *, orphan_every: int, seed: int) -> None:
        """`call(method, *parameters)` asks the server; `orphan_every` = 0 orphans nothing."""
        self._call = call
        self._orphan_every = orphan_every
        self._random = random.Random(seed)  # noqa: S311 - a repeatable demo, no secret
        self._known: deque[str] = deque(maxlen=REMEMBERED_BLOCKS)
        self._coins: deque[_Coin] = deque(maxlen=REMEMBERED_BLOCKS)
        self._foreign = 0
        self._first_foreign: int | None = None
        self._highest = 0

    @property
    def buried(self) -> bool:
        """Whether the first block of somebody else that was found here lies deep enough."""
        return self._first_foreign is not None and self._highest - self._first_foreign >= BURIED

    def join(self) -> None:
        """Take the chain as it is: its blocks are nobody's, its anyone-can-spend coins may be spent."""
        self._known.clear()
        self._coins.clear()
        name = self._call("getbestblockhash")
        for _ in range(_LOOK_BACK):
            header = self._call("getblockheader", name)
            self._known.appendleft(name)
            if not header["height"]:
                break
            self._remember_coin(bytes.fromhex(self._call("getblock", name, 0)), header["height"], oldest=True)
            name = header["previousblockhash"]

    def burst(self, blocks: int) -> list[str]:
        """Mine `blocks` blocks on the best chain, sending a transaction now and then; answers as `look`."""
        orphaned = []
        for _ in range(blocks):
            if self._random.random() < TRANSACTION_CHANCE:
                self.send_transaction()
            template = self._template()
            while displayed(template.previous_block_hash) not in self._known:
                orphaned += self.look()
                template = self._template()
            self._mine(template)
        return orphaned

    def look(self) -> list[str]:
        """Find somebody else's new blocks, and orphan every `orphan_every`-th. Answers those orphaned."""
        orphaned = []
        for name, header in self._new_blocks():
            self._known.append(name)
            self._foreign += 1
            self._first_foreign = self._first_foreign or header["height"]
            if self._orphan_every and self._foreign % self._orphan_every == 0 and self._overtake(header):
                orphaned.append(name)
        return orphaned

    def send_transaction(self) -> str | None:
        """Spend the oldest mature coin to anyone; answers the txid, None when there is no such coin."""
        height = self._call("getblockheader", self._call("getbestblockhash"))["height"]
        while self._coins and height + 1 - self._coins[0].height >= MATURITY:
            coin = self._coins.popleft()
            if coin.value <= 2 * TRANSACTION_FEE:
                continue
            try:
                return str(self._call("sendrawtransaction", _spend(coin).hex()))
            except RefusedError as error:  # somebody spent it, or its block left the chain
                _log.debug("network_transaction_refused", reason=str(error))
        return None

    def _new_blocks(self) -> list[tuple[str, dict[str, Any]]]:
        """Blocks on the best chain that are not known yet, oldest first."""
        name = self._call("getbestblockhash")
        fresh: list[tuple[str, dict[str, Any]]] = []
        while name not in self._known and len(fresh) < _LOOK_BACK:
            header = self._call("getblockheader", name)
            fresh.append((name, header))
            if not header["height"]:
                break
            name = header["previousblockhash"]
        return fresh[::-1]

    def _template(self) -> Template:
        return parse_template(self._call("getblocktemplate", {"rules": ["segwit"]}))

    def _overtake(self, orphan: dict[str, Any]) -> bool:
        """Build on the parent of a block until that branch is the longest: two blocks if it was the tip."""
        best = self._call("getblockheader", self._call("getbestblockhash"))
        name = orphan["previousblockhash"]
        for height in range(orphan["height"], best["height"] + 2):
            moment = max(orphan["time"], self._call("getblockheader", name)["mediantime"] + 1)
            name = self._mine(empty_template(name, height, moment))
        return bool(self._call("getblockheader", orphan["hash"])["confirmations"] < 0)

    def _mine(self, template: Template) -> str:
        block = build_block(template, ANYONE_CAN_SPEND, b"/network/" + self._random.randbytes(8))
        name = displayed(block_hash(block))
        refusal = self._call("submitblock", block.hex())
        if refusal not in (None, "inconclusive", "duplicate"):
            raise RefusedError(f"submitblock: {refusal}")
        self._known.append(name)
        self._highest = max(self._highest, template.height)
        self._remember_coin(block, template.height)
        return name

    def _remember_coin(self, block: bytes, height: int, *, oldest: bool = False) -> None:
        coinbase = block_coinbase(block)
        if coinbase.outputs[0].script == ANYONE_CAN_SPEND:
            coin = _Coin(outpoint(coinbase.txid, 0), coinbase.outputs[0].value, height)
            (self._coins.appendleft if oldest else self._coins.append)(coin)


def empty_template(previous: str, height: int, moment: int) -> Template:
    """A block without transactions on the block `previous`, timed at `moment` (Unix seconds)."""
    return Template(
        height=height,
        previous_block_hash=bytes.fromhex(previous)[::-1],
        version=BLOCK_VERSION,
        nbits=REGTEST_NBITS,
        target=REGTEST_TARGET,
        curtime=moment,
        mintime=moment,
        coinbase_value=subsidy(height, REGTEST_HALVING_BLOCKS),
        witness_commitment=witness_commitment(()),
        transactions=(),
    )


def _spend(coin: _Coin) -> bytes:
    """A transaction of two outputs to anyone; the fee is fixed."""
    half = (coin.value - TRANSACTION_FEE) // 2
    paid = Script(ANYONE_CAN_SPEND)
    spent = TransactionInput(
        coin.outpoint[:32][::-1], int.from_bytes(coin.outpoint[32:], "little"), witness=Witness([b"\x51"])
    )
    outputs = [TransactionOutput(half, paid), TransactionOutput(coin.value - TRANSACTION_FEE - half, paid)]
    return bytes(Transaction(2, [spent], outputs).serialize())


def run_network(
    url: str, *, burst_blocks: int = 15, burst_seconds: float = 4.0, orphan_every: int = 7, seed: int = 1
) -> None:
    """Be the rest of the network at `url` until SIGTERM or SIGINT.

    It is in a hurry until rewards have matured before the reader's eyes; then it slows down, because regtest halves its
    subsidy every 150 blocks.

    A burst of `burst_blocks` blocks every `burst_seconds`; every `orphan_every`-th block of somebody else is
    orphaned (0: none). While the server is away it asks again, ever less often.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    network = Network(Client(url), orphan_every=orphan_every, seed=seed)
    failures = 0
    while not stopped.is_set():
        try:
            network.join()
            failures = 0
            _log.info("network_joined")
            _mine_until(stopped, network, burst_blocks, burst_seconds)
        except (AwayError, RefusedError) as error:
            if not failures:
                _log.warning("network_server_away", reason=str(error))
            stopped.wait(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1


def _mine_until(stopped: threading.Event, network: Network, blocks: int, seconds: float) -> None:
    orphaned: list[str] = []
    while not stopped.is_set():
        orphaned += network.burst(blocks)
        pause = seconds * UNHURRIED if network.buried else seconds
        for _ in range(max(1, round(pause / LOOK_SECONDS))):
            for name in orphaned:
                _log.info("network_orphaned", block=name)
            if stopped.wait(LOOK_SECONDS):
                return
            orphaned = network.look()


if __name__ == "__main__":
    run_network(sys.argv[1])
