"""What is known of one connection, and what methods and shares do to it; `session` adds the talking.

Answers leave in the order of the requests, also when one of them waits for the disk.
"""

from __future__ import annotations

from collections.abc import Callable

from tarazy.stratum import codec
from tarazy.stratum.agents import device_of, shows_messages
from tarazy.stratum.assignments import Assignments
from tarazy.stratum.board import Board
from tarazy.stratum.codec import RefusalError
from tarazy.stratum.conduct import Conduct
from tarazy.stratum.limits import Hit
from tarazy.stratum.login import split_login
from tarazy.stratum.ports import Admission, NameRecord, Peer

SECONDS_AFTER_REFUSAL = 5.0
"""Long enough for the reason to be read, and to slow the next attempt."""
SECONDS_AFTER_WITHDRAWAL = 0.5
OWN_JOB_PAUSE = 10.0
"""Seconds between jobs that a connection gets only because its difficulty changes."""
EXTRANONCE2_SIZE = 8
NOT_ASKED = "authorize a login first"

_NOT_DURABLE = codec.error_tail(codec.OTHER, "not-ready: the share could not be stored, send it again later")


def unheld() -> None:
    """There is no socket."""


class Name:
    """An admitted name of a connection; `refusal` is the reason once the admission was withdrawn."""

    __slots__ = ("login", "number", "party", "password", "refusal", "site")

    def __init__(self, login: str, password: str, party: str, site: str) -> None:
        self.login = login
        self.number = 0
        """The journal's, once there is an extranonce1."""
        self.password = password
        self.party = party
        self.site = site
        self.refusal: str | None = None


class State:
    """One connection. Times are the reactor's, in seconds."""

    __slots__ = (
        "_changed",
        "_close_at",
        "_earlier_extranonces",
        "_earlier_numbers",
        "_job_at",
        "_next_extranonce1",
        "_offered_mask",
        "_out",
        "_own_job_at",
        "_refusals",
        "admitted",
        "agent",
        "assignments",
        "board",
        "closed",
        "conduct",
        "ended",
        "extranonce_changes",
        "flush",
        "names",
        "peer",
        "ready",
        "refusal",
        "subscribed",
        "talking",
        "waiting",
    )

    def __init__(self, board: Board, peer: Peer, now: float, flush: Callable[[], None] = unheld) -> None:
        """`peer` is for the gate. `flush` belongs to whoever holds the socket: it sends `output`."""
        self.board = board
        self.peer = peer
        self.flush = flush
        self.assignments = Assignments(board, now)
        self.conduct = Conduct(board.rules.limits, now)
        self.names: dict[str, Name] = {}
        self.admitted = 0
        """How many of the names are admitted now."""
        self.subscribed = False
        self.agent = ""
        self.extranonce_changes = False
        """Whether the miner takes mining.set_extranonce (C-042)."""
        self.ready = False
        self.ended = False
        """Send `output`, then close."""
        self.closed = False
        self.talking = False
        """On the board's list of those that have something to send."""
        self.refusal = NOT_ASKED
        self.waiting: list[Commit | Delayed | bytes] = []
        """Answers in order, from the first one on that waits for the disk, or for its time."""
        self._changed = False
        """There is something to announce directly before the next job."""
        self._offered_mask = 0
        """Version bits that the miner wants to roll, and the pool let it."""
        self._next_extranonce1 = b""
        self._earlier_extranonces: frozenset[bytes] = frozenset()
        self._earlier_numbers: dict[tuple[bytes, int], int] = {}
        """Numbers of names for work under an earlier extranonce1, by their present number."""
        self._out: list[bytes] = []
        self._own_job_at = now
        self._job_at = now
        """When the last job left, and bytes with it."""
        self._close_at: float | None = now + board.rules.limits.unready_seconds
        self._refusals = 0

    def output(self) -> bytes:
        """Everything that may leave now, once."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def send_job(self, now: float) -> None:
        """Hand out the board's job to a connection that is ready."""
        if self.ready and self.admitted and not self.ended and self.assignments.due():
            if self._changed:
                self._announce_changes(now)
            self._job_at = now
            self._out.append(self.assignments.next(now))

    def reconsider(self, now: float) -> bool:
        """Ask the gate about every name again. True if none is left, and the connection will end."""
        for login, name in self.names.items():
            admission = self.board.gate.admit(login, name.password, self.peer)
            if not admission.admitted:
                if name.refusal is None:
                    self.admitted -= 1
                    self.board.count_refusal(admission)
                name.refusal = admission.text
            elif name.refusal is not None or (name.party, name.site) != (admission.party, admission.site):
                self.admit(login, name.password, admission, now)
        if not self.ready or self.admitted:
            return False
        self._close_at = now + SECONDS_AFTER_WITHDRAWAL
        return True

    def close(self, now: float) -> None:
        """The socket is gone. Shares that were handed to the journal stay valid; the connection may be resumed."""
        if self.closed:
            return
        self.closed = self.ended = True
        board = self.board
        if self.ready:
            board.remember(next(iter(self.names)), self.assignments.vardiff.lasting, now)
            board.counters.ready -= 1
            board.counters.devices[device_of(self.agent)] -= 1
        board.hurried.discard(self)
        parked = self.assignments.park(now)
        for extranonce1 in (self.extranonce1, self._next_extranonce1, *self._earlier_extranonces):
            board.extranonces.release(extranonce1)
        if parked is not None:
            board.extranonces.park(parked)

    # The extranonce.

    @property
    def extranonce1(self) -> bytes:
        """The present one; empty before subscribe."""
        return self.assignments.extranonce1

    def subscribe(self, agent: str, session_id: object, now: float) -> None:
        """Take an extranonce1, that of an earlier connection if `session_id` brings it back. Raises NotReadyError."""
        extranonces = self.board.extranonces
        parked = extranonces.resume(session_id, now)
        if parked is None:
            self.assignments.extranonce1 = extranonces.take()
        else:
            self.assignments.resume(parked)
        self.subscribed = True
        self.agent = agent
        self._record_names(now)

    def renumber(self) -> bool:
        """Have another extranonce1 from the next job on, which is hurried (C-041).

        False if the miner did not ask to be told (C-042). Raises NotReadyError when none can be had.
        """
        if not (self.ready and self.extranonce_changes):
            return False
        if not self._next_extranonce1:
            self._next_extranonce1 = self.board.extranonces.take()
        self._changed = True
        self.board.hurried.add(self)
        return True

    def _announce_changes(self, now: float) -> None:
        """Say what holds from the next job on: extranonce1, version mask."""
        self._changed = False
        assignments = self.assignments
        mask = self._offered_mask & self.board.rules.version_mask
        if self._offered_mask and assignments.roll(mask):
            self._out.append(codec.encode_request(None, "mining.set_version_mask", [f"{mask:08x}"]))
        if self._next_extranonce1:
            former = {*self._earlier_extranonces, self.extranonce1}
            self._earlier_extranonces = assignments.renumber(self._next_extranonce1)
            for extranonce1 in former - self._earlier_extranonces:
                self.board.extranonces.release(extranonce1)
            self._next_extranonce1 = b""
            self._earlier_numbers = {}
            self._record_names(now)
            announced = [self.extranonce1.hex(), EXTRANONCE2_SIZE]
            self._out.append(codec.encode_request(None, "mining.set_extranonce", announced))

    # Version rolling.

    def offer_mask(self, offered: int) -> int:
        """Let the miner roll those of the offered bits that the pool has free; these (C-067)."""
        mask = offered & self.board.rules.version_mask
        self._offered_mask = offered if mask else 0
        self.assignments.roll(mask)
        return mask

    def mask_changed(self) -> None:
        """The board's mask is another: tell the miner, if it rolls versions, with its next job (C-074)."""
        self._changed = True

    def farewell(self, text: str) -> None:
        """Ask a ready miner to come back to this same host, and show it why if it can. Who calls closes, in time."""
        if self.ready and not self.ended:
            if shows_messages(self.agent):
                self._out.append(codec.encode_request(None, "client.show_message", [codec.one_line(text)]))
            self._out.append(codec.encode_request(None, "client.reconnect", []))

    # Names.

    def admit(self, login: str, password: str, admission: Admission, now: float) -> None:
        """Enter an admitted name."""
        known = self.names.get(login)
        if known is None or known.refusal is not None:
            self.admitted += 1
        name = self.names[login] = Name(login, password, admission.party, admission.site)
        if self.subscribed:
            name.number = self._record(name, self.extranonce1, now)
        self._refusals = 0
        if self.ready:
            self._close_at = None

    def number(self, name: Name | None, extranonce1: bytes, now: float) -> int:
        """The journal's number for work of a name under an extranonce1; of the first name where there is none."""
        if name is None:
            name = next(iter(self.names.values()))
        if extranonce1 == self.extranonce1:
            return name.number
        key = extranonce1, name.number
        number = self._earlier_numbers.get(key)
        if number is None:
            number = self._earlier_numbers[key] = self._record(name, extranonce1, now)
        return number

    def _record_names(self, now: float) -> None:
        for name in self.names.values():
            name.number = self._record(name, self.extranonce1, now)

    def _record(self, name: Name, extranonce1: bytes, now: float) -> int:
        """Enter a name with the extranonce1 of its work, by which each share can be computed again."""
        connection = int.from_bytes(extranonce1[1:], "big")
        at_us = self.board.unix_us(now)
        return self.board.journal.name(
            NameRecord(connection, extranonce1, *split_login(name.login), name.party, name.site, at_us)
        )

    def count_rejection(self, reason: str, weight: int = 0, name: Name | None = None) -> None:
        """Count a rejected share of a name; of the connection's first where it is not known."""
        self.board.count_rejection(reason, weight)
        name = name or next(iter(self.names.values()), None)
        if name is not None:
            self.board.rejections.count(name.party, name.login, name.site, reason)

    def refused(self, admission: Admission, now: float) -> RefusalError:
        """The answer to a name that is not admitted; ends the connection soon if it has no other.

        Where many are refused to one address it comes late, but holds up no connection that may mine (C-121).
        """
        board = self.board
        board.count_refusal(admission)
        delay = board.addresses.refusal_delay(self.peer.address, now)
        if self.ready:
            delay = 0.0
        elif delay or self.refusal == NOT_ASKED:
            self._close_at = now + delay + SECONDS_AFTER_REFUSAL
        self._refusals += 1
        if self._refusals >= board.rules.limits.refused_logins:
            self.end(Hit.REFUSED_LOGINS)
        self.refusal = admission.text
        text = f"unauthorized: {admission.text}"
        if not delay:
            return RefusalError(codec.UNAUTHORIZED, text)
        board.hit(Hit.SLOWED_LOGINS)
        return LateRefusalError(codec.UNAUTHORIZED, text, now + delay)

    def end(self, hit: Hit) -> None:
        """End the connection at a limit."""
        if not self.ended:
            self.board.hit(hit)
        self.ended = True

    def count_share(self, exponent: int, now: float) -> None:
        """Tell vardiff of an accepted share."""
        self.conduct.invalid = 0
        vardiff = self.assignments.vardiff
        vardiff.share(exponent, now)
        if vardiff.wanted != vardiff.exponent:
            self.hurry(now)

    def hurry(self, now: float) -> None:
        """Ask for a job of our own if a change of difficulty is too large to wait for the next."""
        if self.ready and self.assignments.vardiff.hurried and now >= self._own_job_at:
            self._own_job_at = now + OWN_JOB_PAUSE
            self.board.hurried.add(self)

    def settle(self) -> None:
        """Release the answers whose turn has come."""
        waiting = self.waiting
        settled = 0
        for entry in waiting:
            reply = entry if isinstance(entry, bytes) else entry.reply
            if reply is None:
                break
            self._out.append(reply)
            settled += 1
        del waiting[:settled]
        if settled and not self.talking and not self.closed:
            self.board.speak(self)


class LateRefusalError(RefusalError):
    """A refusal that is not answered before `due`."""

    def __init__(self, code: int, text: str, due: float) -> None:
        super().__init__(code, text)
        self.due = due


class Delayed:
    """Holds the place of an answer until its time comes, which makes `reply` of it."""

    __slots__ = ("answer", "due", "reply")

    def __init__(self, answer: bytes, due: float) -> None:
        self.answer = answer
        self.due = due
        self.reply: bytes | None = None


class Commit:
    """An accepted share on its way to the disk: holds the place of its answer, is called with the outcome."""

    __slots__ = ("_head", "_keys", "_seen", "_session", "_weight", "reply")

    def __init__(self, session: State, head: bytes, weight: int, seen: set[bytes], keys: tuple[bytes, bytes]) -> None:
        """`keys`: what `seen` must forget if the share is lost."""
        self._session = session
        self._head = head
        self._weight = weight
        self._seen = seen
        self._keys = keys
        self.reply: bytes | None = None

    def __call__(self, committed: bool) -> None:
        """The journal's word: only now the miner gets its answer (invariant 1)."""
        session = self._session
        board = session.board
        if committed:
            counters = board.counters
            counters.accepted += 1
            counters.weight["accepted"] += self._weight
            self.reply = self._head + codec.TRUE
        else:
            board.handing_out = False
            session.count_rejection("not-ready", self._weight)
            self._seen.difference_update(self._keys)
            self.reply = self._head + _NOT_DURABLE
        session.settle()
