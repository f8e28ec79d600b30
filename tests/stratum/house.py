"""A pool in memory for the tests of this room: real boards and sessions, and neighbours that do as they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from tarazy.stratum.board import Board, StratumRules
from tarazy.stratum.difficulty import target_of
from tarazy.stratum.job import Job, JobNumbers
from tarazy.stratum.limits import Limits
from tarazy.stratum.login import is_login, split_login
from tarazy.stratum.miner import MinerJob
from tarazy.stratum.ports import Admission, NameRecord, Peer
from tarazy.stratum.session import Session
from tarazy.stratum.share import ShareRecord, hash_value, header_of

NOW = 1_800_000_000.0
EASY = -24
"""Every 256th hash is a share."""
MASK = 0x1FFFE000
RULES = StratumRules(gateway=7, version_mask=MASK, minimum=EASY, maximum=40, start=EASY, share_interval=6.0)
PATIENT = Limits(
    refusals_per_second=1e9, fresh_job_seconds=1e9, invalid_seconds=1e9, submits_per_second=1e9, submit_burst=10**9
)
"""Limits that end or slow nobody for its conduct: for models of the conversation alone."""
NEVER = target_of(40)
"""A block target no test ever meets."""


def is_easy(value: int) -> bool:
    """Whether a hash is a share at the tests' difficulty."""
    return value <= target_of(EASY)


def solve(
    job: MinerJob,
    extranonce1: bytes,
    accept: Callable[[int], bool] = is_easy,
    extranonce2: int = 0,
    bits: int = 0,
    ntime: int | None = None,
) -> list[str]:
    """Parameters of a share, behind the login, whose hash pleases `accept`."""
    ntime = job.ntime if ntime is None else ntime
    wire = extranonce2.to_bytes(8, "big")
    coinbase = job.coinb1 + extranonce1 + wire + job.coinb2
    header = header_of(coinbase, job.branch, job.version | bits, job.previous_block_hash, ntime, job.nbits, 0)
    for nonce in range(1 << 20):
        if accept(hash_value(header[:76] + nonce.to_bytes(4, "little"))):
            proof = [job.job_id, wire.hex(), f"{ntime:08x}", f"{nonce:08x}"]
            return [*proof, f"{bits:08x}"] if bits else proof
    raise AssertionError("no such hash")


class Gate:
    """Admits every login but those in `refusals`; keeps what it was asked and refused."""

    def __init__(self) -> None:
        self.refusals: dict[str, str] = {}
        self.refused: list[tuple[str, str]] = []
        self.peers: list[Peer] = []

    def admit(self, name: str, password: str, peer: Peer) -> Admission:
        """The decision."""
        self.peers.append(peer)
        account, worker = split_login(name)
        text = self.refusals.get(name)
        if text is None and not is_login(account, worker):
            text = "bad name"
        if text is not None:
            self.refused.append((name, peer.address))
            reason = "licence-expired" if name in self.refusals else "bad-name"
            return Admission(False, text, account, worker, reasons=(reason,))
        return Admission(True, "", account, worker, f"party-{account}", "site-1")


class Journal:
    """Keeps everything in lists. Commits at once, or with `slow` when `settle` is called."""

    def __init__(self, slow: bool = False) -> None:
        self.slow = slow
        self.broken = False
        self.connections = 0
        self.names: list[NameRecord] = []
        self.jobs: list[Job] = []
        self.shares: list[ShareRecord] = []
        self.waiting: list[Callable[[bool], None]] = []

    def open_connection(self) -> int:
        """The next number."""
        self.connections += 1
        return self.connections

    def name(self, record: NameRecord) -> int:
        """The place in the list, from 1."""
        self.names.append(record)
        return len(self.names)

    def job(self, job: Job) -> None:
        """Keep it."""
        self.jobs.append(job)

    def share(self, record: ShareRecord, done: Callable[[bool], None]) -> int:
        """Keep it unless broken."""
        if not self.broken:
            self.shares.append(record)
        if self.slow:
            self.waiting.append(done)
        else:
            done(not self.broken)
        return len(self.shares)

    def settle(self, committed: bool = True) -> None:
        """End the commit everything waits for."""
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(committed)


class Blocks:
    """Keeps the order of events."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def found(self, header: bytes, coinbase: bytes, job: Job) -> None:
        """A block."""
        self.events.append(("found", header, coinbase, job.number))

    def recorded(self, block_hash: bytes, sequence: int, name: int) -> None:
        """Its share."""
        self.events.append(("recorded", block_hash, sequence, name))


class Pool:
    """A board with its neighbours, and a clock that is set by hand."""

    def __init__(
        self, rules: StratumRules = RULES, slow: bool = False, work: bool = True, start: int = int(NOW)
    ) -> None:
        self.now = NOW
        self.gate, self.journal, self.blocks = Gate(), Journal(slow), Blocks()
        self.numbers = JobNumbers(start)
        self.board = Board(rules, self.gate, self.journal, self.blocks, self.numbers)
        self.clients: list[Client] = []
        if work:
            self.publish()

    def make_job(self, previous: bytes = b"\x11" * 32, target: int = NEVER, clean: bool = False) -> Job:
        """A job of this moment."""
        return Job(
            number=self.numbers(),
            height=1_000_000,
            previous_block_hash=previous,
            version=0x20000000,
            nbits=0x17021A42,
            target=target,
            ntime=int(self.now),
            mintime=int(self.now) - 600,
            coinbase_head=b"\x02" * 50,
            coinbase_tail=b"\x03" * 9,
            coinbase_end=b"\x04" * 100,
            branch=(b"\x05" * 32, b"\x06" * 32),
            clean=clean,
        )

    def publish(self, previous: bytes = b"\x11" * 32, target: int = NEVER, clean: bool = False) -> Job:
        """Publish a job to all clients."""
        job = self.make_job(previous, target, clean)
        self.board.publish(job, self.now)
        for client in self.clients:
            client.session.send_job(self.now)
        return job

    def connect(self, login: str | None = None, rolling: bool = False) -> Client:
        """A new connection, with a login through its handshake."""
        client = Client(self)
        self.clients.append(client)
        if rolling:
            client.ask("mining.configure", [["version-rolling"], {}])
        if login is not None:
            client.ask("mining.subscribe", [])
            client.ask("mining.authorize", [login, "x"])
            client.hear()
        return client


class Client:
    """The other end of a session."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.session = Session(pool.board, Peer("10.0.0.1"), pool.now)
        self.job: MinerJob | None = None
        self.difficulties: list[float] = []

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.session.receive(data, self.pool.now)

    def hear(self) -> list[dict[str, Any]]:
        """Everything the pool says now, as messages."""
        data = self.session.output()
        assert data == b"" or data.endswith(b"\n")
        messages = [orjson.loads(line) for line in data.split(b"\n")[:-1]]
        for message in messages:
            if message.get("method") == "mining.notify":
                self.job = MinerJob.of(message["params"])
            elif message.get("method") == "mining.set_difficulty":
                self.difficulties.append(message["params"][0])
        return messages

    def ask(self, method: str, params: object, ident: object = 1) -> Any:
        """A request and its answer: the result, or the error."""
        self.send(orjson.dumps({"id": ident, "method": method, "params": params}) + b"\n")
        answers = [message for message in self.hear() if "method" not in message]
        assert len(answers) == 1
        assert answers[0]["id"] == ident
        return answers[0]["error"] or answers[0]["result"]

    def solve(
        self,
        accept: Callable[[int], bool] = is_easy,
        job: MinerJob | None = None,
        extranonce2: int = 0,
        bits: int = 0,
        ntime: int | None = None,
    ) -> list[str]:
        """`solve` for this connection, on its last job unless told otherwise."""
        job = job or self.job
        assert job is not None
        return solve(job, self.session.extranonce1, accept, extranonce2, bits, ntime)

    def submit(self, proof: list[str], login: str = "acme.rig07", ident: object = 4) -> Any:
        """Submit a share; True or the error."""
        return self.ask("mining.submit", [login, *proof], ident)
