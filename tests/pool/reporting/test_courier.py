"""Delivery over real sockets: every field looked at, every wrong answer, every place to die in."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from socket import create_server, socket
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Event, Thread
from typing import Any, cast

import pytest
import pytest_twisted
import yaml
from multipart import MultipartParser, parse_options_header  # type: ignore[import-untyped]
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, PrivateCertificate
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection

from tarazy.accreditation.audit import events_of
from tarazy.database.engine import Database
from tarazy.pool.reporting import courier as courier_module
from tarazy.pool.reporting.courier import Courier
from tarazy.reports.delivery import outbox
from tarazy.reports.delivery.answer import Judged, Outcome
from tarazy.reports.delivery.letter import compose
from tarazy.reports.delivery.outbox import DeliveryState
from tarazy.reports.delivery.profile import Profile, load_profile
from tarazy.reports.kept import Kept, read_kept
from tarazy.reports.signing.key import load_key
from tarazy.reports.signing.signer import Signer
from tests.pool.reporting import standin
from tests.pool.reporting.standin import Behaviour, StandIn, answer, saying, writing
from tests.pool.under_reactor import in_reactor
from tests.reports.keys import make
from tests.stratum.authority import Authority

EXAMPLE = Path(__file__).parents[3] / "deploy" / "delivery" / "tax-authority.yaml"
BEGUN = datetime(2026, 12, 2, 6, tzinfo=UTC)
STEM = "distributed-2026-11-v1-20261201T010000Z"
ROW = {
    "number": 1,
    "bin": "240140000011",
    "name": {"kk": "«Алтын Майнинг» ЖШС", "ru": "ТОО «Алтын Майнинг»", "en": "Altyn Mining LLP"},
    "licence": "L-1",
    "licence_issued_on": "2024-01-15",
    "wallet": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "distributed_on": "2026-11-19",
    "asset": "Bitcoin",
    "quantity": 154_687_500,
    "amount_kzt": "72703202.34",
}
DOCUMENT = {
    "kind": "distributed",
    "version": 1,
    "days": {"name": "2026-11", "first_day": "2026-11-01", "last_day": "2026-11-30"},
    "rows": [ROW, {**ROW, "number": 2, "bin": "900101300007", "quantity": 1, "amount_kzt": None}],
}


@cache
def signer(directory: Path) -> Signer:
    """Who signs."""
    return load_key(*make("«Тараз» ЖШС").files(directory, "report"))


def document(directory: Path, **changes: Any) -> Kept:
    """A signed record of distributed assets."""
    path = directory / f"{STEM}.json"
    path.write_text(json.dumps({**DOCUMENT, **changes}, ensure_ascii=False) + "\n", encoding="utf-8")
    kept = read_kept(path)
    path.with_suffix(".p7s").write_bytes(signer(directory).sign(kept.content))
    return kept


class Office:
    """A courier, its database, and a clock that is moved by hand."""

    def __init__(self, directory: Path, engine: Engine, stand_in: StandIn, **changes: Any) -> None:
        self.engine = engine
        self.now = BEGUN
        told = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
        told |= {"url": f"http://127.0.0.1:{stand_in.port}/v1/distributed-assets/{{period}}", "timeout_seconds": 0.6}
        (directory / "tax-authority.token").write_text("s3cret\n")
        file = directory / "profile.yaml"
        file.write_text(yaml.safe_dump(told | changes, sort_keys=False))
        self.profile = load_profile(file)
        self.database = Database(engine, reactor)
        self.courier = self.another()
        self.kept = document(directory)

    def another(self) -> Courier:
        """A courier that knows nothing, as after a restart."""
        return Courier(reactor, self.database, {self.profile.name: self.profile}, lambda: self.now)

    def propose(self, by: str = "tarazy") -> int:
        """Put the document into the outbox."""
        with self.engine.begin() as connection:
            letter = compose(self.kept, self.profile)
            return outbox.propose(connection, self.kept, letter, self.profile, self.now, by)

    def approved(self) -> int:
        """A delivery that may go."""
        number = self.propose()
        with self.engine.begin() as connection:
            outbox.approve(connection, number, self.now, "aigul")
        return number

    async def turn(self, hours: float = 0.0) -> outbox.Delivery:
        """A turn after so many hours; the delivery as it stands then."""
        self.now += timedelta(hours=hours)
        await self.courier.turn()
        return self.read()

    def read(self, number: int = 1) -> outbox.Delivery:
        """As it stands."""
        with self.engine.begin() as connection:
            return outbox.read(connection, number)

    def attempts(self) -> list[tuple[str, str | None]]:
        """Ways and outcomes."""
        with self.engine.begin() as connection:
            return [(each.way, each.outcome) for each in outbox.attempts(connection, 1)]

    def audited(self) -> list[str]:
        """What the audit log holds of deliveries."""
        with self.engine.begin() as connection:
            rows = list(events_of(connection, kind="delivery", last=50))
        return [json.loads(row.body)["what"] for row in sorted(rows, key=lambda row: row.sequence)]


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """The authority."""
    made = StandIn().start()
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.stop()))


@pytest.fixture
def build(tmp_path: Path, sqlite_engine: Engine, stand_in: StandIn) -> Iterator[Callable[..., Office]]:
    """Makes an office whose profile differs from the example."""
    offices: list[Office] = []

    def make(**changes: Any) -> Office:
        offices.append(Office(tmp_path, sqlite_engine, stand_in, **changes))
        return offices[-1]

    yield make
    for office in offices:
        office.database.close()


@in_reactor
async def test_every_field_arrives_and_the_receipt_is_kept(build: Callable[..., Office], stand_in: StandIn) -> None:
    """What the profile says, to the byte; nothing before a second person's approval, and nothing twice."""
    office = build()
    number = office.propose("aigul")
    await office.turn()
    with office.engine.begin() as connection, pytest.raises(outbox.DeliveryError, match="somebody else"):
        outbox.approve(connection, number, office.now, "aigul")
    await office.turn(1)
    assert stand_in.asked == []
    with office.engine.begin() as connection:
        outbox.approve(connection, number, office.now, "marat")
    made = await office.turn()
    assert (made.state, made.receipt, made.attempts) == (DeliveryState.RECEIVED, "KGD-1", 1)
    (asked,) = stand_in.asked
    assert (asked.method, asked.path) == ("POST", "/v1/distributed-assets/2026-11")
    expected = {
        "authorization": "Bearer s3cret",
        "content-type": "application/json",
        "idempotency-key": made.key,
        "x-document-sha256": office.kept.digest,
        "accept": "application/json",
    }
    assert {name: asked.headers[name] for name in expected} == expected
    told = json.loads(asked.body)
    files = {
        ending: b64decode(told["document"].pop(name)) for name, ending in (("content", ".json"), ("signature", ".p7s"))
    }
    assert files == {ending: office.kept.beside(ending).read_bytes() for ending in files}
    row = {
        "number": 1,
        "bin": "240140000011",
        "name": "ТОО «Алтын Майнинг»",
        "licence": "L-1",
        "licenceDate": "15.01.2024",
        "wallet": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "date": "19.11.2026",
        "asset": "Bitcoin",
        "quantity": "1.54687500",
        "value": "72703202.34",
    }
    assert told == {
        "sender": "240140000001",
        "period": "2026-11",
        "from": "01.11.2026",
        "to": "30.11.2026",
        "version": 1,
        "document": {"number": made.key, "sha256": office.kept.digest},
        "rows": [row, {**row, "number": 2, "bin": "900101300007", "quantity": "0.00000001", "value": None}],
    }
    assert office.audited() == ["proposed", "approved", "sent", "received"]
    with office.engine.begin() as connection:
        receipt = outbox.receipt_of(connection, 1)
        with pytest.raises(outbox.DeliveryError, match="is received"):
            outbox.propose(connection, office.kept, compose(office.kept, office.profile), office.profile, BEGUN, "x")
    assert receipt == json.dumps({"receipt": {"number": "KGD-1", "sha256": office.kept.digest}}).encode()
    await office.turn(48)
    assert len(stand_in.asked) == 1


PARTS = {
    "period": {"from": "days.name"},
    "version": {"from": "version"},
    "nobody[0]": {"from": "nobody", "required": False},
    "nothing": {"value": ""},
    "about": {"fields": {"number": {"from": "$key"}}},
    "quantities": {"each": "rows", "fields": {"quantity": {"from": "quantity", "as": "bitcoin"}}},
    "document": {"file": ".json"},
    "signature": {"file": ".p7s"},
}


@in_reactor
async def test_a_form_of_parts_arrives_to_the_byte(tmp_path: Path, engine: Engine, stand_in: StandIn) -> None:
    """Each part with its name, type and content, read by another library; again after a cut, the same bytes and key."""
    stand_in.script = [stand_in.after(standin.hanging_up)]
    office = Office(tmp_path, engine, stand_in, body={"parts": PARTS})
    office.kept = document(tmp_path, nobody=None)
    office.approved()
    assert (await office.turn()).state is DeliveryState.SENT
    made = await office.turn(1)
    assert (made.state, made.receipt) == (DeliveryState.RECEIVED, "KGD-1")
    first, again = stand_in.asked
    assert (first.body, first.headers["idempotency-key"]) == (again.body, again.headers["idempotency-key"])
    told, options = parse_options_header(again.headers["content-type"])
    assert told == "multipart/form-data"
    parts = list(MultipartParser(BytesIO(again.body), options["boundary"], strict=True))
    json_type, signature_type = "application/json", "application/pkcs7-signature"
    assert [(part.name, part.filename, part.headers.get("Content-Type"), part.raw) for part in parts] == [
        ("period", None, None, b"2026-11"),
        ("version", None, None, b"1"),
        ("about", None, json_type, json.dumps({"number": made.key}, separators=(",", ":")).encode() + b"\n"),
        ("quantities", None, json_type, b'[{"quantity":"1.54687500"},{"quantity":"0.00000001"}]\n'),
        ("document", f"{STEM}.json", json_type, office.kept.content),
        ("signature", f"{STEM}.p7s", signature_type, office.kept.beside(".p7s").read_bytes()),
    ]
    office.database.close()


GARBAGE = b"\x16\x03\x01\x00\xff not http at all \r\n\r\n"
TAKEN: list[tuple[str, Behaviour]] = [
    ("never", standin.never),
    ("cut", standin.hanging_up),
    ("endless", standin.endless),
    ("endless head", standin.endless_head),
    ("dribbling", standin.dribbling),
    ("garbage", writing(GARBAGE)),
    ("half", writing(answer(200, {"receipt": {"number": "A"}})[:-9])),
    ("html", saying(200, b"<html>maintenance</html>")),
    ("deep", saying(200, b"[" * 100_000)),
    ("no number", saying(200, {"receipt": {"number": None}})),
    ("long number", saying(200, {"receipt": {"number": "9" * 5000, "sha256": "x"}})),
    ("another's", saying(200, {"receipt": {"number": "KGD-9", "sha256": "0" * 64}})),
    ("accepted", saying(202, {"status": "queued"})),
    ("500", saying(500, {"error": {"message": "\x1b[31mboom\n"}})),
    ("503", saying(503, b"", "Retry-After: 99999999999")),
]


@pytest.mark.parametrize("behaviour", [pytest.param(each, id=name) for name, each in TAKEN])
@in_reactor
async def test_a_lost_receipt_is_fetched_by_the_same_key(
    build: Callable[..., Office], stand_in: StandIn, behaviour: Behaviour
) -> None:
    """The authority took it and did not say so: it is sent again, and taken once."""
    office = build()
    office.approved()
    stand_in.script = [stand_in.after(behaviour)]
    made = await office.turn()
    assert made.state is DeliveryState.SENT
    assert made.trouble
    assert made.trouble.isprintable()
    assert ("within" in made.trouble) is (behaviour in (standin.never, standin.dribbling))
    assert made.next_at is not None
    assert BEGUN + timedelta(seconds=60) <= made.next_at <= BEGUN + timedelta(days=1)
    assert (await office.turn()).attempts == 1, "it rests first"
    made = await office.turn(25)
    assert (made.state, made.receipt, made.trouble) == (DeliveryState.RECEIVED, "KGD-1", None)
    first, second = stand_in.asked
    assert (first.body, first.headers) == (second.body, second.headers)
    assert stand_in.taken == {made.key: "KGD-1"}
    assert office.audited() == ["proposed", "approved", "sent", "sent", "received"]


@pytest.mark.parametrize("status", [401, 422, 307])
@in_reactor
async def test_a_refusal_waits_for_people(build: Callable[..., Office], stand_in: StandIn, status: int) -> None:
    """It is told with the authority's words, never repeated by itself; redirects are not followed."""
    office = build()
    number = office.approved()
    elsewhere = f"Location: http://127.0.0.1:{stand_in.port}/stolen"
    stand_in.script = [saying(status, {"error": {"message": "БИН не найден"}}, elsewhere)]
    made = await office.turn()
    assert (made.state, made.next_at) == (DeliveryState.REFUSED, None)
    assert made.trouble == f"it answers {status} (БИН не найден)"
    await office.turn(48)
    assert len(stand_in.asked) == 1
    with office.engine.begin() as connection:
        outbox.send_again(connection, number, office.now, "marat", "the register of the authority was mended")
    assert (await office.turn()).state is DeliveryState.RECEIVED
    assert office.audited() == ["proposed", "approved", "sent", "refused", "again", "sent", "received"]


@in_reactor
async def test_twice_answered_is_once_received(build: Callable[..., Office], stand_in: StandIn) -> None:
    """Two answers on one line; and a receipt that comes after another process had given the attempt up."""
    office = build()
    office.approved()
    stand_in.script = [lambda line, asked: line.say(stand_in.receipt(asked) * 2)]
    assert (await office.turn()).receipt == "KGD-1"
    with office.engine.begin() as connection:
        for number, trouble in (("KGD-1", False), ("KGD-2", True)):
            found = Judged(Outcome.RECEIPT, "it answers 200", number)
            outbox.end(connection, 1, 1, office.profile, found, 200, b"{}", office.now)
            made = outbox.read(connection, 1)
            assert (made.receipt, made.trouble is not None) == ("KGD-1", trouble)
    assert office.audited()[-1] == "another receipt"


@in_reactor
async def test_what_never_left_is_sent_again_by_any_profile(build: Callable[..., Office], stand_in: StandIn) -> None:
    """Nobody listens, or wants to be left alone: it did not arrive, so even `stop` sends it again."""
    office = build(when_unsure="stop")
    office.approved()
    stand_in.script = [saying(429, b"", "Retry-After: 7200")]
    made = await office.turn()
    assert (made.state, made.next_at) == (DeliveryState.APPROVED, BEGUN + timedelta(hours=2))
    port = stand_in.port
    await stand_in.stop()
    made = await office.turn(3)
    assert (made.state, made.attempts) == (DeliveryState.APPROVED, 2)
    assert made.trouble is not None
    assert "cannot be reached" in made.trouble
    stand_in.start()
    assert stand_in.port != port
    assert office.attempts() == [("send", "not-taken"), ("send", "not-taken")]


@in_reactor
async def test_stop_asks_a_person_when_it_may_have_arrived(build: Callable[..., Office], stand_in: StandIn) -> None:
    """Where the authority does not know the key, nothing is sent a second time by itself."""
    office = build(when_unsure="stop")
    number = office.approved()
    stand_in.script = [standin.never]
    made = await office.turn()
    assert (made.state, made.next_at) == (DeliveryState.SENT, None)
    await office.turn(48)
    assert len(stand_in.asked) == 1
    with office.engine.begin() as connection:
        outbox.abandon(connection, number, office.now, "marat", "the authority has it under number 5")
    await office.turn(48)
    assert (office.read().state, len(stand_in.asked)) == (DeliveryState.ABANDONED, 1)


@in_reactor
async def test_a_profile_that_stops_from_now_on_sends_nothing_again(
    build: Callable[..., Office], stand_in: StandIn
) -> None:
    """Also what may have arrived by the profile of before waits for a person."""
    before = build()
    before.approved()
    stand_in.script = [standin.never]
    made = await before.turn()
    assert made.state is DeliveryState.SENT
    assert made.next_at is not None
    with before.engine.begin() as connection:
        stops = before.profile.model_copy(update={"when_unsure": "stop"})
        assert outbox.begin(connection, made, stops, made.next_at) is None
        assert outbox.read(connection, made.number).next_at is None


@in_reactor
async def test_ask_looks_before_it_sends_again(build: Callable[..., Office], stand_in: StandIn) -> None:
    """The inquiry finds nothing, so it is sent; then it is asked until the receipt is there."""
    inquiry = {"url": f"http://127.0.0.1:{stand_in.port}/v1/status/{{key}}"}
    office = build(when_unsure="ask", inquiry=inquiry)
    office.approved()
    found = {"receipt": {"number": 77, "sha256": office.kept.digest}}
    stand_in.script = [standin.never, saying(404), saying(202), saying(503), saying(200, found)]
    states = [(await office.turn(7)).state for _ in range(5)]
    sent, approved = DeliveryState.SENT, DeliveryState.APPROVED
    assert states == [sent, approved, sent, sent, DeliveryState.RECEIVED]
    assert [asked.method for asked in stand_in.asked] == ["POST", "GET", "POST", "GET", "GET"]
    assert stand_in.asked[1].path == f"/v1/status/{office.read().key}"
    assert stand_in.asked[1].headers["authorization"] == "Bearer s3cret"
    assert office.read().receipt == "77"


@in_reactor
async def test_killed_after_sending_it_is_not_lost_and_not_doubled(
    build: Callable[..., Office], stand_in: StandIn
) -> None:
    """The attempt is on disk before the first byte; a process that dies there leaves it to the next."""
    office = build()
    office.approved()
    seen: list[tuple[str, str | None]] = []

    def dying(line: Any, asked: Any) -> None:
        seen.extend(office.attempts())
        stand_in.receipt(asked)
        office.courier._database = None  # type: ignore[assignment]

    stand_in.script = [dying]
    with pytest.raises(AttributeError):
        await office.courier.turn()
    assert seen == [("send", None)]
    office.courier = office.another()
    assert (await office.turn()).attempts == 1, "another process may still be at it"
    await office.turn(1)
    made = await office.turn(1)
    assert (made.state, made.receipt) == (DeliveryState.RECEIVED, "KGD-1")
    assert office.attempts()[0] == ("send", "unsure")
    assert stand_in.taken == {made.key: "KGD-1"}


def _gone(office: Office) -> Courier:
    return Courier(reactor, office.database, {}, lambda: office.now)


def _moved(office: Office) -> Courier:
    office.profile = office.profile.model_copy(update={"url": "https://new.example.invalid/v1"})
    return office.another()


def _unreadable(office: Office) -> Courier:
    (office.kept.path.parent / "tax-authority.token").unlink()
    return office.another()


@pytest.mark.parametrize(
    ("change", "again", "told"),
    [
        pytest.param(_gone, False, "the process ended before the answer came", id="gone"),
        pytest.param(_moved, True, "tax-authority sends to another host now", id="moved"),
        pytest.param(_unreadable, True, "tax-authority.token: cannot be read", id="unreadable"),
    ],
)
@in_reactor
async def test_a_lost_attempt_ends_whatever_became_of_its_profile(
    build: Callable[..., Office], stand_in: StandIn, change: Callable[[Office], Courier], again: bool, told: str
) -> None:
    """It may have arrived; the trouble is told, and a person may give it up. Without a profile it waits for one."""
    office = build()
    number = office.approved()
    stand_in.script = [_dying(office)]
    with pytest.raises(AttributeError):
        await office.courier.turn()
    office.courier = change(office)
    await office.turn()
    assert office.attempts() == [("send", None)], "another process may still be at it"
    made = await office.turn(1)
    assert (made.state, made.trouble) == (DeliveryState.SENT, "the process ended before the answer came")
    made = await office.turn(1)
    assert made.trouble is not None
    assert told in made.trouble
    assert (made.next_at is not None) is again
    with office.engine.begin() as connection:
        outbox.abandon(connection, number, office.now, "marat", "moved")
    assert office.read().state is DeliveryState.ABANDONED


def _dying(office: Office) -> Behaviour:
    """The process dies when the document is there."""

    def act(line: Any, asked: Any) -> None:
        office.courier._database = None  # type: ignore[assignment]
        line.hang_up()

    return act


@in_reactor
async def test_a_lost_attempt_can_be_given_up_with_the_server_down(
    build: Callable[..., Office], stand_in: StandIn
) -> None:
    """Once its time has run out, with no courier there to say so."""
    office = build()
    number = office.approved()
    stand_in.script = [_dying(office)]
    with pytest.raises(AttributeError):
        await office.courier.turn()
    for act in (outbox.abandon, outbox.send_again):
        with office.engine.begin() as connection, pytest.raises(outbox.DeliveryError, match="under way"):
            act(connection, number, office.now, "marat", "why")
    later = office.now + timedelta(hours=1)
    with office.engine.begin() as connection:
        outbox.send_again(connection, number, later, "marat", "the authority has nothing")
    assert (office.read().state, office.attempts()) == (DeliveryState.APPROVED, [("send", "unsure")])
    assert office.read().next_at == later


@in_reactor
async def test_a_receipt_outlives_an_absent_database(
    build: Callable[..., Office], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written is held and written when it can be; nothing else is sent before."""
    office = build(when_unsure="stop")
    office.approved()
    end = outbox.end

    def away(*_: Any) -> None:
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    monkeypatch.setattr(outbox, "end", away)
    for _ in range(2):
        with pytest.raises(OperationalError):
            await office.turn(3)
    assert office.read().state is DeliveryState.APPROVED
    monkeypatch.setattr(outbox, "end", end)
    assert (await office.turn()).receipt == "KGD-1"
    assert len(stand_in.asked) == 1


@in_reactor
async def test_the_end_of_the_server_breaks_an_attempt_off(build: Callable[..., Office], stand_in: StandIn) -> None:
    """It does not wait for a silent authority, and writes down what it knows."""
    office = build(timeout_seconds=300)
    office.approved()
    stand_in.script = [standin.never]
    office.courier.repeat.start()
    while not stand_in.asked:
        await deferLater(reactor, 0.01, lambda: None)
    await office.courier.stop()
    made = office.read()
    assert (made.state, made.trouble) == (DeliveryState.SENT, "the server was stopped before the answer came")


@in_reactor
async def test_a_silent_authority_holds_up_no_other(
    build: Callable[..., Office], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the turn that waits for it, nor in those that follow; at the server's end its attempt is written down."""
    monkeypatch.setattr(courier_module, "TURN_SECONDS", 0.05)
    office = build(timeout_seconds=300)
    silent = office.approved()
    stand_in.script = [standin.never]
    await office.turn()
    other = office.profile.model_copy(update={"name": "ministry"})
    with office.engine.begin() as connection:
        letter = compose(office.kept, other)
        number = outbox.propose(connection, office.kept, letter, other, office.now, "tarazy")
        outbox.approve(connection, number, office.now, "aigul")
    office.courier._profiles = {office.profile.name: office.profile, other.name: other}
    while office.read(number).state is not DeliveryState.RECEIVED:
        await office.turn()
    assert office.attempts() == [("send", None)], "begun once"
    await office.courier.stop()
    made = office.read(silent)
    assert (made.state, made.trouble) == (DeliveryState.SENT, "the server was stopped before the answer came")


@in_reactor
async def test_a_certificate_that_does_not_hold_gets_nothing(
    build: Callable[..., Office], stand_in: StandIn, tmp_path: Path
) -> None:
    """An authority of another's, then the right one, which asks for ours."""
    right = Authority(tmp_path, "right")
    wrong = Authority(tmp_path, "wrong")
    certificate, key = right.issue("server", "authority")
    own, own_key = right.issue("own", "tarazy")
    await stand_in.stop()
    server = PrivateCertificate.loadPEM(certificate.read_bytes() + key.read_bytes())  # type: ignore[no-untyped-call]
    stand_in.start(server.options(Certificate.loadPEM(right.file.read_bytes())))
    url = f"https://127.0.0.1:{stand_in.port}/v1/x"
    ours = {"way": "certificate", "certificate_file": str(own), "key_file": str(own_key)}
    office = build(url=url, authentication=ours, authorities=str(wrong.file), when_unsure="stop")
    office.approved()
    made = await office.turn()
    assert (made.state, stand_in.asked) == (DeliveryState.APPROVED, [])
    assert made.trouble == "its TLS certificate does not hold, so nothing was sent"
    office.profile = office.profile.model_copy(update={"authorities": right.file})
    office.courier = office.another()
    assert (await office.turn(1)).state is DeliveryState.RECEIVED


@in_reactor
async def test_a_peer_that_never_says_goodbye_keeps_no_connection(build: Callable[..., Office], tmp_path: Path) -> None:
    """By TLS, in the midst of an answer, silent for ever: after the attempt its connection is gone."""
    right = Authority(tmp_path, "right")
    certificate, key = right.issue("server", "authority")
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    over = Event()

    def serve(listener: socket) -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as line:
            line.recv(65_536)
            line.sendall(b"HTTP/1.1 201 X\r\nContent-Length: 1000\r\n\r\n")
            over.wait(30)

    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        office = build(url=f"https://127.0.0.1:{port}/v1/x", authorities=str(right.file), timeout_seconds=3)
        office.approved()
        made = await office.turn()
        await deferLater(reactor, 0.1, lambda: None)
        readers = cast(Any, reactor).getReaders()
        left = [each for each in readers if isinstance(each, Connection) and each.getPeer().port == port]  # type: ignore[no-untyped-call]
        over.set()
        thread.join()
    assert (made.trouble, left) == ("no whole answer within 3 s", [])


@in_reactor
async def test_a_profile_that_is_gone_holds_up_nothing_else(build: Callable[..., Office], stand_in: StandIn) -> None:
    """Its deliveries say so and wait; no attempt begins. The same for a secret that cannot be read."""
    office = build()
    office.approved()
    office.courier = Courier(reactor, office.database, {}, lambda: office.now)
    made = await office.turn()
    assert (made.attempts, made.trouble) == (
        0,
        "the settings have no delivery profile tax-authority; see reports.profiles",
    )
    (office.kept.path.parent / "tax-authority.token").unlink()
    office.courier = office.another()
    made = await office.turn(1)
    assert made.trouble is not None
    assert "tax-authority.token: cannot be read" in made.trouble
    assert (made.state, stand_in.asked) == (DeliveryState.APPROVED, [])


@in_reactor
async def test_a_profile_that_moved_gives_its_secret_to_no_old_host(
    build: Callable[..., Office], stand_in: StandIn
) -> None:
    """What was approved for one host is not sent there with what belongs to another."""
    office = build()
    office.approved()
    office.profile = office.profile.model_copy(update={"url": "https://new.example.invalid/v1"})
    office.courier = office.another()
    made = await office.turn()
    assert made.trouble == "tax-authority sends to another host now; abandon this and propose it anew"
    assert (made.attempts, stand_in.asked) == (0, [])


def test_two_couriers_begin_one_attempt(engine: Engine, tmp_path: Path) -> None:
    """On either database: the second sees the first's; after its time has run out it takes it for lost."""
    kept, profile = document(tmp_path), _profile()
    with engine.begin() as connection:
        number = outbox.propose(connection, kept, compose(kept, profile), profile, BEGUN, "tarazy")
        outbox.approve(connection, number, BEGUN, "aigul")
        (made,) = outbox.due(connection, BEGUN)
    with engine.begin() as connection:
        assert outbox.begin(connection, made, profile, BEGUN) == (1, "send")
    with engine.begin() as connection:
        assert outbox.begin(connection, made, profile, BEGUN) is None
        for act in (outbox.abandon, outbox.send_again):
            with pytest.raises(outbox.DeliveryError):
                act(connection, number, BEGUN, "marat", "why")
    later = BEGUN + timedelta(hours=1)
    with engine.begin() as connection:
        assert outbox.begin(connection, made, profile, later) is None
        made = outbox.read(connection, number)
        assert (made.state, made.trouble) == (DeliveryState.SENT, "the process ended before the answer came")
    with engine.begin() as connection:
        assert outbox.begin(connection, made, profile, later + timedelta(hours=1)) == (2, "send")
        found = Judged(Outcome.RECEIPT, "it answers 200", "R")
        outbox.end(connection, number, 1, profile, found, 200, b"late", later)
        assert (outbox.read(connection, number).receipt, outbox.receipt_of(connection, number)) == ("R", b"late")
        assert [each.number for each in outbox.waiting(connection)] == []
        assert outbox.counts(connection)[DeliveryState.RECEIVED] == 1


def test_automatic_profiles_need_nobody(build: Callable[..., Office]) -> None:
    """Only where the profile says so, and the log says by what."""
    office = build(approval="automatic")
    number = office.propose()
    made = office.read(number)
    assert (made.state, made.approved_by) == (DeliveryState.APPROVED, "profile tax-authority")
    assert office.audited() == ["proposed", "approved"]


def _profile() -> Profile:
    return load_profile(EXAMPLE)


def test_the_schema_beside_the_example_is_the_profiles() -> None:
    """For editors."""
    assert json.loads(EXAMPLE.with_name("profile.schema.json").read_text()) == Profile.model_json_schema()
