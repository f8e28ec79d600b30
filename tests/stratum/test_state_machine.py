"""Random legal and illegal behaviour of several peers and of the pool around them, against the model of `play`.

A longer search: `pytest -n 0 tests/stratum/test_state_machine.py --hypothesis-profile=search`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tarazy.stratum.difficulty import target_of
from tarazy.stratum.limits import Limits
from tests.stratum.house import MASK, NEVER, PATIENT, RULES, Pool
from tests.stratum.play import Answer, Model, Peer, Sent, proofs

LOWEST, HIGHEST = -30, -27
"""Every fourth to every 32nd hash is a share."""
LOGINS = ("acme.rig1", "acme.rig2", "birlik.rig1")
EXTENSIONS: dict[str, Any] = {"version-rolling": True, "info": True, "nonsense": False}
PEERS = 4
SILENCE = 900.0

peers = st.integers(0, PEERS - 1)
logins = st.sampled_from(LOGINS)


class Play(RuleBasedStateMachine):
    """C-017, C-021, C-023, C-028, C-033, C-034, C-045, C-047, C-048, C-051, C-053, C-054, C-055, C-057, C-073, C-079,
    C-081, C-083, C-084, C-087, C-113: whatever order things happen in."""

    def __init__(self) -> None:
        super().__init__()
        rules = replace(RULES, limits=PATIENT, minimum=LOWEST, start=LOWEST, maximum=HIGHEST)
        self.pool = Pool(rules, slow=True, work=False)
        self.model = Model(self.pool)
        self.extranonce2 = 0
        self.said: list[tuple[Peer, str, Sent, list[str]]] = []
        """Shares that were submitted once."""
        self.heard: dict[Peer, float] = {}

    # The pool.

    @initialize(connections=st.integers(0, 2))
    def begin(self, connections: int) -> None:
        """There is work before anybody connects, and then a few do."""
        self._publish(NEVER)
        for login in LOGINS[:connections]:
            self.connect(login, True)

    @rule(what=st.sampled_from(["refresh", "refresh", "block", "easy block"]))
    def next_job(self, what: str) -> None:
        """Another job on the same block, or on a new one; every second share solves an easy one."""
        if what == "refresh":
            self._publish(self.model.target)
        else:
            self.model.blocks += 1
            self._publish(target_of(LOWEST + 1) if what == "easy block" else NEVER)

    def _publish(self, target: int) -> None:
        model, pool = self.model, self.pool
        model.expires = pool.now + 600.0
        model.target = target
        job = pool.make_job(bytes([model.blocks % 251]) * 32, target)
        pool.board.publish(job, pool.now)
        for peer in model.peers:
            peer.session.send_job(pool.now)
            assert model.listen(peer) == (peer.working and pool.board.handing_out)

    @rule(login=st.sampled_from(LOGINS[1:]))
    def withdraw_or_readmit(self, login: str) -> None:
        """The admission of a login ends, or is given again; every connection is asked at once."""
        model = self.model
        model.withdrawn ^= {login}
        self.pool.gate.refusals = dict.fromkeys(model.withdrawn, "licence ended: renew it")
        for peer in model.peers:
            peer.session.reconsider(self.pool.now)
            if login in peer.names:
                peer.names[login] = login not in model.withdrawn

    @rule(committed=st.sampled_from([True, True, True, False]))
    def end_commit(self, committed: bool) -> None:
        """The journal commits what waits, or fails; after a failure no work is handed out until it commits again."""
        pool, model = self.pool, self.model
        failing = bool(model.waiting) and not committed
        again = not pool.board.handing_out and committed
        model.end_commit(committed)
        pool.journal.settle(committed)
        for talker in pool.board.talkative:
            talker.talking = False
        pool.board.talkative.clear()
        assert not failing or not pool.board.handing_out
        if again:
            pool.board.handing_out = True
        for peer in model.peers:
            while peer.session.receive(b"", pool.now) and peer.session._unread and not peer.session.ended:
                model.listen(peer)
            if again:
                peer.session.send_job(pool.now)

    @rule(seconds=st.sampled_from([1, 1, 6, 6, 16, 61, 610]))
    def pass_time(self, seconds: int) -> None:
        """Ticks as the server gives them."""
        pool = self.pool
        end = pool.now + seconds
        while pool.now < end:
            pool.now = min(end, pool.now + 15.0)
            for peer in self.model.peers:
                if not peer.session.ended:
                    peer.perhaps_ready()
                    peer.session.tick(pool.now)
                    self._still_wanted(peer)
            hurried, pool.board.hurried = pool.board.hurried, set()
            if hurried and pool.board.reissue():
                for talker in hurried:
                    talker.send_job(pool.now)
            for peer in self.model.peers:
                self.model.listen(peer)

    def _still_wanted(self, peer: Peer) -> None:
        """Who works and is heard of is not sent away."""
        if peer.working and self.pool.now - self.heard[peer] < SILENCE and peer.refusals < 20:
            assert not peer.session.ended

    # The peers.

    @rule(login=logins, right=st.sampled_from([True, True, False]))
    @precondition(lambda self: len(self.model.peers) < PEERS)
    def connect(self, login: str, right: bool) -> None:
        """A new connection, which does everything right at once or says nothing yet."""
        peer = Peer(self.pool)
        self.heard[peer] = self.pool.now
        self.model.peers.append(peer)
        if right:
            for what in ("configure", "subscribe", "authorize"):
                self.ask(len(self.model.peers) - 1, what, login, MASK, 0)

    @rule(number=peers)
    @precondition(lambda self: len(self.model.peers) > 1)
    def disconnect(self, number: int) -> None:
        """A socket closes. Shares on their way stay valid; what must outlive a connection to be resumed begins here."""
        peer = self._peer(number)
        if peer is not None:
            self._drop(peer)

    @rule(
        number=peers,
        what=st.sampled_from(["configure", "subscribe", "authorize", "authorize", "suggest"]),
        login=logins,
        mask=st.sampled_from([0, 0x00002000, 0x0000E000, MASK, 0xFFFFFFFF]),
        exponent=st.integers(LOWEST - 1, HIGHEST + 1),
    )
    def ask(self, number: int, what: str, login: str, mask: int, exponent: int) -> None:
        """Again or for the first time, in any order."""
        peer = self._peer(number)
        if peer is None:
            return
        if what == "configure":
            self._configure(peer, mask)
        elif what == "subscribe":
            peer.subscribed = True
            self._request(peer, "mining.subscribe", ["x"], Answer(0))
        elif what == "authorize":
            self._authorize(peer, login)
        else:
            self._request(peer, "mining.suggest_difficulty", [2.0**exponent], Answer(0, True))

    def _authorize(self, peer: Peer, login: str) -> None:
        if peer.names.get(login) or login not in self.model.withdrawn:
            if not peer.names.get(login):
                peer.refusals = 0
            peer.names[login] = True
            self._request(peer, "mining.authorize", [login, "x"], Answer(0, True))
        else:
            peer.refusals += 1
            self._request(peer, "mining.authorize", [login, "x"], Answer(0, code=24, word="unauthorized"))

    def _configure(self, peer: Peer, mask: int) -> None:
        peer.mask = mask & MASK
        result: dict[str, Any] = {**EXTENSIONS, "version-rolling": bool(peer.mask)}
        if peer.mask:
            result["version-rolling.mask"] = f"{peer.mask:08x}"
        options = {"version-rolling.mask": f"{mask:x}"}
        self._request(peer, "mining.configure", [list(EXTENSIONS), options], Answer(0, result))

    @rule(number=peers, count=st.sampled_from([1, 2, 80]))
    def ping(self, number: int, count: int) -> None:
        """Requests in one packet, as many as a session reads while a share waits, or more."""
        peer = self._peer(number)
        if peer is not None and (peer.ready or count < 3):
            self._packet(peer, [("mining.ping", [], Answer(0, "pong"))] * count)

    @rule(
        number=peers,
        line=st.sampled_from(
            [
                (b"junk", -32700, "parse-error"),
                (b"[]", -32600, "invalid-request"),
                (b'{"id":1,"id":2}', -32700, "parse-error"),
                (b'{"id":null,"method":5}', -32600, "invalid-request"),
                (b'{"result":true}', None, ""),
                (b'{"method":"pong"}', None, ""),
                (b'{"method":"mining.nonsense","params":{}}', None, ""),
                (b"", None, ""),
            ]
        ),
    )
    def nonsense(self, number: int, line: tuple[bytes, int | None, str]) -> None:
        """What is no request, and what is none that must be answered."""
        peer = self._peer(number)
        if peer is None:
            return
        data, code, word = line
        if code == -32700 or data == b"[]":
            peer.malformed += 1
        elif data:
            peer.malformed = 0
        if code is not None:
            peer.owed.append(Answer(0, code=code, word=word))
            peer.owed[-1].ident = None  # type: ignore[assignment]
        self._send(peer, data + b"\n")

    @rule(
        number=peers,
        login=st.sampled_from([*LOGINS, "nobody.x"]),
        good=st.sampled_from([True, True, True, False]),
        age=st.sampled_from([0, 0, 0, 1, 2, 39]),
        bits=st.sampled_from([0, 0, 0x00002000, 0x10000000, 0x00000001]),
    )
    def submit_anything(self, number: int, login: str, good: bool, age: int, bits: int) -> None:
        """A share, or a hash that is none, on the newest job or an older one, in any name."""
        peer = self._peer(number)
        if peer is not None:
            self._search(peer, login, good, age, bits)

    @rule(number=peers, count=st.integers(1, 4), age=st.sampled_from([0, 0, 0, 1]), then=st.booleans())
    def mine(self, number: int, count: int, age: int, then: bool) -> None:
        """What a miner is there for, in the names it authorized; the commit follows at once or some time."""
        for nth in range(count):
            peer = self._peer(number)
            if peer is not None and peer.names:
                self._search(peer, list(peer.names)[nth % len(peer.names)], True, age, 0)
        if then:
            self.end_commit(True)

    def _search(self, peer: Peer, login: str, good: bool, age: int, bits: int) -> None:
        sent = list(peer.jobs.values())[-1 - age] if age < len(peer.jobs) else None
        if sent is None:
            self._submit(peer, login, None, ["00000000ffffffff", "0" * 16, "6b49d200", "0" * 8, "0" * 8])
            return
        self.extranonce2 += 1
        target = target_of(sent.exponent)
        proof = next(p for p, value in proofs(peer, sent, self.extranonce2, bits) if (value <= target) == good)
        self.said.append((peer, login, sent, proof))
        self._submit(peer, login, sent, proof)

    @rule(back=st.integers(1, 6), upper=st.booleans())
    @precondition(lambda self: self.said)
    def submit_again(self, back: int, upper: bool) -> None:
        """The very same, or in other letters: at once, after its commit failed, after its job grew old."""
        peer, login, sent, proof = self.said[-min(back, len(self.said))]
        if peer in self.model.peers and peer is self._peer(self.model.peers.index(peer)):
            self._submit(peer, login, sent, proof, upper)

    def _submit(self, peer: Peer, login: str, sent: Sent | None, proof: list[str], upper: bool = False) -> None:
        answer = self.model.share_answer(peer, 0, login, sent, proof)
        self._request(peer, "mining.submit", [login, *(part.upper() if upper else part for part in proof)], answer)

    def _peer(self, number: int) -> Peer | None:
        """One that is there, and from which the server would read."""
        if not self.model.peers:
            return None
        peer = self.model.peers[number % len(self.model.peers)]
        said_enough = not peer.ready and peer.lines >= Limits().unready_messages - 2
        return None if said_enough or peer.session.ended or peer.session.crowded else peer

    def _request(self, peer: Peer, method: str, params: list[Any], answer: Answer) -> None:
        self._packet(peer, [(method, params, answer)])

    def _packet(self, peer: Peer, requests: list[tuple[str, list[Any], Answer]]) -> None:
        data = b""
        peer.malformed = 0
        for method, params, answer in requests:
            peer.requests += 1
            if method != "mining.submit":
                peer.perhaps_ready()
            peer.owed.append(replace(answer, ident=peer.requests))
            data += orjson.dumps({"id": peer.requests, "method": method, "params": params}) + b"\n"
        self._send(peer, data)

    def _send(self, peer: Peer, data: bytes) -> None:
        self.heard[peer] = self.pool.now
        peer.lines += data.count(b"\n")
        peer.client.send(data)
        if peer.malformed < 5:
            self._still_wanted(peer)

    def _drop(self, peer: Peer) -> None:
        self.model.listen(peer)
        self.model.peers.remove(peer)
        peer.session.close(self.pool.now)

    # After each step.

    @invariant()
    def holds(self) -> None:
        """Listen to everybody; close what ended, as the server does; compare."""
        for peer in list(self.model.peers):
            self.model.listen(peer)
            if peer.session.ended:
                self._drop(peer)
        self.model.check()


TestPlay = Play.TestCase
TestPlay.settings = settings(max_examples=max(200, settings().max_examples), stateful_step_count=50)
