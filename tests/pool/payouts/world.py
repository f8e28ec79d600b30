"""A node process with the pool's wallet, books that fit it, and payers; a line between them that can misbehave."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from embit import ec, script
from embit.networks import NETWORKS
from sqlalchemy import Engine, insert

from tarazy.accounting import tables
from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.ledger import FEE, REMAINDER, REWARD, balances, in_wallet, payable, post
from tarazy.accounting.payouts import batches
from tarazy.accounting.payouts.batches import Batch
from tarazy.accounting.payouts.machine import BatchState, Destination, LeftOut
from tarazy.accounting.payouts.unbooked import book_own
from tarazy.config.settings import PayoutSettings
from tarazy.pool.chain.bitcoind.credentials import Credentials
from tarazy.pool.chain.transactions import block_transactions
from tarazy.pool.chain.wallet import ADDRESS
from tarazy.pool.payouts.payer import Payer
from tarazy.pool.payouts.wallet import NodeWallet
from tarazy.pool.templates import address_script
from tests.forked import Forked

ANNA, BOLAT = "anna", "bolat"
CREDITS = {"altyn": 3_000_000, "dala": 2_000_000, "samal": 1_000_000}
"""Satoshi of each party in each of two distributions."""
FEE_TAKEN, REMAINDER_LEFT = 700_000, 2
SETTINGS = PayoutSettings(wallet="demo", signing="wallet", threshold=100_000, first_payment=None)


def address(name: str) -> str:
    """An address of somebody on regtest."""
    key = ec.PrivateKey(sha256(name.encode()).digest())
    return str(script.p2wpkh(key.get_public_key()).address(NETWORKS["regtest"]))


def destinations(of: str = "") -> dict[str, Destination | LeftOut]:
    """Where the parties are paid to; other addresses for each `of`."""
    named = {party: address(party + of) for party in CREDITS}
    return {party: Destination(where, address_script(where, "regtest")) for party, where in named.items()}


class Node:
    """The node process."""

    def __init__(self, directory: Path) -> None:
        self._process = Forked("tarazy.pool.chain.peer", str(directory), "0", stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = json.loads(self._process.stdout.readline())["port"]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.call("generatetoaddress", 3, ADDRESS)
        self.mine(101)

    def call(self, method: str, *parameters: Any) -> Any:
        """The result of a call."""
        status, body = ask(self.url, json.dumps({"id": 0, "method": method, "params": parameters}).encode())
        assert status == 200, body
        return json.loads(body)["result"]

    def mine(self, blocks: int = 6) -> list[dict[bytes, int]]:
        """Mine for somebody else; what each transaction in these blocks paid to each script, coinbases aside."""
        found = []
        for name in self.call("generatetoaddress", blocks, address("somebody else")):
            _, *others = block_transactions(bytes.fromhex(self.call("getblock", name, 0)))
            found += [{each.script: each.value for each in transaction.outputs} for transaction in others]
        return found

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


def ask(url: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _pass_on(pass_on: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
    return pass_on()


class Line:
    """HTTP between a payer and the node. `ways`: method → what happens to a call instead of being passed on."""

    def __init__(self, node: Node) -> None:
        self.ways: dict[str, Callable[[Callable[[], tuple[int, bytes]]], tuple[int, bytes] | None]] = {}
        line = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                way = line.ways.get(json.loads(body)["method"], _pass_on)
                answer = way(lambda: ask(node.url, body))
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer[0])
                self.send_header("content-length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


def wallet(url: str) -> NodeWallet:
    """The pool's wallet behind a URL."""
    return NodeWallet(url, Credentials(user="u", password="p"), "demo", "regtest")


class Pool:
    """Books of two final distributions, and the wallet that holds what they say."""

    def __init__(self, engine: Engine, url: str, settings: PayoutSettings = SETTINGS, of: str = "") -> None:
        self.engine = engine
        self.wallet = wallet(url)
        self.settings = settings
        self.destinations = destinations(of)

    def payer(self, by: str = ANNA, holds: dict[str, str] | None = None) -> Payer:
        """Somebody who takes over."""
        return Payer(self.engine, self.wallet, self.settings, "regtest", by, holds or {})

    def open_books(self) -> None:
        """Book two distributions, and the rest of the wallet as the pool's own."""
        for number in (1, 2):
            self.distribute(number)
        with self.engine.begin() as connection:
            for txid in self.wallet.spent_by():
                book_own(connection, -1, txid, "of an earlier test", datetime.now(UTC))
        self.level()

    def level(self) -> None:
        """Book what the wallet has over the books, or lacks, as the pool's own."""
        self.payer().pay_in(self.wallet.balances().total - self.expected(), "in the wallet from the start")

    def distribute(self, number: int) -> None:
        """A final distribution of a block's reward."""
        now, total = datetime.now(UTC), sum(CREDITS.values()) + FEE_TAKEN + REMAINDER_LEFT
        name = f"{number:064x}"
        block = {"block_hash": name, "height": number, "round": number, "gateway": 1, "sequence": number}
        found = {"party": "altyn", "worker": "rig", "found_at": now, "state": "mature", "confirmations": 100}
        spread = {"block_hash": name, "first_round": number, "last_round": number, "reward": total, "fee_ppm": 10_000}
        with self.engine.begin() as connection:
            connection.execute(insert(tables.round_).values(round=number, opened_at=now, closed_at=now))
            connection.execute(insert(tables.block).values(**block, **found, reward=total, state_at=now))
            connection.execute(
                insert(tables.distribution).values(
                    distribution=number,
                    **spread,
                    fee=FEE_TAKEN,
                    remainder=REMAINDER_LEFT,
                    total_weight=6,
                    state=DistributionState.FINAL,
                    booked_at=now,
                    final_at=now,
                )
            )
            every = {"distribution": number, "weight": 1, "due": True}
            credits = [{**every, "party": party, "amount": amount} for party, amount in CREDITS.items()]
            connection.execute(insert(tables.credit), credits)
            connection.execute(
                insert(tables.round_proof).values(distribution=number, round=number, record="{}", audit_row=1)
            )
            postings = {payable(party): amount for party, amount in CREDITS.items()}
            postings |= {FEE: FEE_TAKEN, REMAINDER: REMAINDER_LEFT, REWARD: -total}
            post(connection, now, "maturity", str(number), "", postings)

    def expected(self) -> int:
        """What the books say is in the wallet, batches included."""
        with self.engine.begin() as connection:
            return in_wallet(connection)

    def balances(self) -> dict[str, int]:
        """Of the ledger, the empty ones aside."""
        with self.engine.begin() as connection:
            return {name: amount for name, amount in balances(connection).items() if amount}

    def approved(self) -> int:
        """A batch that two persons want."""
        number, _ = self.payer(ANNA).propose(self.destinations)
        assert number is not None
        self.payer(BOLAT).approve(number)
        return number

    def batch(self, number: int) -> Batch:
        """A batch as it stands."""
        with self.engine.begin() as connection:
            return batches.read(connection, number)

    def open(self) -> list[Batch]:
        """Batches that are neither settled nor given up."""
        with self.engine.begin() as connection:
            closed = (BatchState.CONFIRMED, BatchState.ABANDONED)
            return batches.batches(connection, [state for state in BatchState if state not in closed])


def paid_by(mined: list[dict[bytes, int]], batch: Batch) -> int:
    """How many of the mined transactions paid any of a batch's payees; each must have paid all of them in full."""
    payees = batch.by_script
    paying = [outputs for outputs in mined if outputs.keys() & payees.keys()]
    for outputs in paying:
        assert {to: outputs.get(to) for to in payees} == payees
    return len(paying)


@contextmanager
def line_to(node: Node) -> Iterator[Line]:
    """A line that is taken down in the end."""
    line = Line(node)
    try:
        yield line
    finally:
        line.stop()


def in_child(work: Callable[[], None]) -> int:
    """Do work in a process of its own; its exit status, negative for the signal that killed it."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
