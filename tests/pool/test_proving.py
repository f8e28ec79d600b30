"""Records of final rounds as a server makes them: one that cannot be made holds up no other, and is made later."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from tarazy.accounting import tables
from tarazy.accounting.journal_file import JournalError
from tarazy.accounting.proof.record import spans_of, unproven
from tarazy.accounting.proof.shares import Hashed, hash_rounds, hash_shares
from tarazy.accounting.schemes import Terms
from tarazy.accreditation import audit
from tarazy.accreditation.heads import signing_key
from tarazy.config.settings import load_settings
from tarazy.database.engine import Database, open_engine
from tarazy.database.schema import upgrade
from tarazy.pool.demo.scenario import demo_settings
from tarazy.pool.proving import Proving, put_on_record
from tarazy.portal.accounts import receipt_of
from tarazy.portal.guard import Fault
from tests.pool.house import run_command
from tests.pool.rounds import FEE_PPM, KEY, TEMPLATE, Pool, bury
from tests.pool.test_round_proofs import run_verifier
from tests.pool.under_reactor import in_reactor


class Books:
    """Three final rounds without a record; the second alone has work of a second gateway."""

    def __init__(self, directory: Path) -> None:
        """What `make` made there."""
        self.file = directory / "tarazy.yaml"
        self.settings = settings = load_settings(self.file)
        self.journals, self.blocks = settings.journal_path.parent, settings.blocks_path.parent
        self.engine = open_engine(settings.database_url)
        self.clock = Clock()
        self.database = Database(self.engine, reactor)
        self.proving = Proving(self.clock, self.database, self.journals, self.blocks, lambda _: KEY)

    @staticmethod
    def make(directory: Path) -> None:
        """Make them."""
        (directory / "data" / "journal").mkdir(parents=True)
        (directory / "tarazy.yaml").write_text(json.dumps(demo_settings(peer_port=1)))
        settings = load_settings(directory / "tarazy.yaml")
        engine = open_engine(settings.database_url)
        upgrade(engine)
        journals, blocks = settings.journal_path.parent, settings.blocks_path.parent
        first, second = (Pool(journals, engine, gateway, blocks) for gateway in (1, 2))
        for pool in (first, second):
            pool.join("alpha", -32)
        found: list[str] = []
        for work in ((first,), (first, second), (first,)):
            for pool in work:
                pool.write(*(pool.miners[0].work(pool.jobs[-1])[0] for _ in range(2_000 if len(found) == 2 else 5)))
            if second in work:
                with engine.begin() as connection:
                    second.fold(connection)
            found.append(first.find(TEMPLATE))
            with engine.begin() as connection:
                first.fold(connection, Terms(FEE_PPM), second)
        bury(engine, *found)
        first.close()
        second.close()
        engine.dispose()

    def recorded(self) -> list[int]:
        """Rounds that have a record."""
        with self.engine.begin() as connection:
            return list(connection.scalars(select(tables.round_proof.c.round).order_by(tables.round_proof.c.round)))

    def command(self, *arguments: str) -> Any:
        """Of `tarazy`."""
        return run_command(*arguments, "-c", str(self.file))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of books that nobody changes."""
    made = tmp_path_factory.mktemp("books")
    Books.make(made)
    return made


@pytest.fixture
def books(directory: Path, tmp_path: Path) -> Iterator[Books]:
    """Their own for each test."""
    shutil.copytree(directory, tmp_path / "books")
    copied = Books(tmp_path / "books")
    yield copied
    copied.database.close()
    copied.engine.dispose()


def gone(journal: Path) -> None:
    journal.unlink()


def emptied(journal: Path) -> None:
    journal.write_bytes(b"")


def overwritten(journal: Path) -> None:
    content = bytearray(journal.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    journal.write_bytes(content)


def shares_cut(journal: Path) -> None:
    change(journal, "UPDATE segment SET shares = substr(shares, 1, 50)")


def jobs_lost(journal: Path) -> None:
    change(journal, "DELETE FROM job")


def names_lost(journal: Path) -> None:
    change(journal, "DELETE FROM name")


def no_difficulty(journal: Path) -> None:
    change(journal, "UPDATE segment SET shares = CAST(substr(shares, 1, 40) || x'7F00' || substr(shares, 43) AS BLOB)")


def another_gateways(journal: Path) -> None:
    shutil.copyfile(journal.with_name("gateway-1.sqlite"), journal)


def change(journal: Path, statement: str) -> None:
    """Let a journal hold something else."""
    with sqlite3.connect(journal) as connection:
        connection.execute(statement)
    connection.close()


@in_reactor
async def test_a_lost_journal_holds_up_its_own_round_only(books: Books, tmp_path: Path) -> None:
    """What can be recorded is; the rest is told once, rests, and is recorded when the journal is back. All verify."""
    journal = books.journals / "gateway-2.sqlite"
    kept = journal.rename(tmp_path / "copy")
    with capture_logs() as logs:
        await books.proving.prove()
        assert books.recorded() == [1, 3]
        for _ in range(2):
            books.clock.advance(59)
            await books.proving.prove()
            books.clock.advance(1)
            await books.proving.prove()
    told = [each for each in logs if each["event"] == "round_not_proven"]
    assert [(each["round"], each["reason"]) for each in told] == [
        (2, f"{journal}: is gone; bring a copy of the journal back")
    ]
    kept.rename(journal)
    await books.proving.prove()
    assert books.recorded() == [1, 3], "it rests, longer each time"
    books.clock.advance(120)
    await books.proving.prove()
    assert books.recorded() == [1, 2, 3]
    for number, cut in ((1, "the first round"), (2, "round 1 ends where"), (3, "of rounds 2 to 2 there was no record")):
        made = books.command("round", "export", str(number), "-o", str(tmp_path / f"export-{number}"))
        assert made.exit_code == 0, made.output
        checked = run_verifier(tmp_path / f"export-{number}")
        assert (checked.returncode, cut in checked.stdout) == (0, True), checked.stdout + checked.stderr


@in_reactor
async def test_what_is_under_way_at_the_end_is_finished(books: Books) -> None:
    """A server that ends waits a little; then nothing more is begun."""
    running = Deferred.fromCoroutine(books.proving.prove())
    while books.proving._hashing is None:
        await deferLater(reactor, 0.01)
    books.proving.stop()
    await running
    assert books.recorded() == [1, 2, 3]


@in_reactor
async def test_what_takes_too_long_at_the_end_is_left(books: Books) -> None:
    """It is not told as a fault, and the next start takes it up."""
    running = Deferred.fromCoroutine(books.proving.prove())
    while books.proving._hashing is None:
        await deferLater(reactor, 0.001)
    with capture_logs() as logs:
        books.proving.stop()
        books.clock.advance(3)
        await running
    assert (logs, books.recorded()) == ([], [])
    again = Proving(books.clock, books.database, books.journals, books.blocks, lambda _: KEY)
    await again.prove()
    assert books.recorded() == [1, 2, 3]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (gone, "is gone"),
        (emptied, "no such table"),
        (overwritten, "malformed"),
        (shares_cut, "are not whole"),
        (jobs_lost, "which it does not have"),
        (names_lost, "which it does not have"),
        (no_difficulty, "of no difficulty"),
        (another_gateways, "belongs to gateway 1"),
    ],
)
def test_each_damage_of_a_journal_is_a_line(books: Books, damage: Callable[[Path], None], told: str) -> None:
    """Named with its file where the shares are hashed; nothing is raised that a process could not hand back."""
    journal = books.journals / "gateway-2.sqlite"
    damage(journal)
    with books.engine.begin() as connection:
        rounds = [spans_of(connection, number, books.journals) for number in unproven(connection)]
    first, second, third = hash_rounds(rounds)
    assert (type(first), type(second), type(third)) == (Hashed, JournalError, Hashed)
    assert str(second).startswith(str(journal))
    assert told in str(second)


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Files cannot grow beyond so many bytes, which to a program is what a full disk is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("command", [("round", "export", "3"), ("audit", "export")])
@pytest.mark.parametrize("existing", [False, True])
def test_an_export_is_whole_or_not_there(
    books: Books, tmp_path: Path, command: tuple[str, ...], existing: bool
) -> None:
    """A full disk is one line; nothing half-done stays, not even beside it. With room the same command succeeds."""
    with books.engine.begin() as connection:
        key = signing_key(connection, books.settings.audit_key_path, books.settings.audit.name)
        for distribution in unproven(connection):
            spans = spans_of(connection, distribution, books.journals)
            put_on_record(connection, distribution, spans, hash_shares(spans), books.blocks, key)
        audit.append(connection, [audit.AuditEvent("told", {"text": "x" * 300})] * 200, datetime.now(UTC))
    books.engine.dispose()
    place = tmp_path / "place"
    place.mkdir()
    output = place / "made"
    if existing:
        output.mkdir()
    before = sorted(place.rglob("*"))
    with disk_of(60_000):
        failed = books.command(*command, "-o", str(output))
    assert (failed.exit_code, failed.stderr.count("\n")) == (1, 1), failed.output
    assert "File too large; free space, or name another place" in failed.stderr
    assert str(output) in failed.stderr
    assert "partial" not in failed.stderr
    assert sorted(place.rglob("*")) == before
    assert books.command(*command, "-o", str(output)).exit_code == 0
    assert run_verifier(output, "--key", str(KEY.verifier), key=str(key.verifier)).returncode == 0
    assert [path.name for path in place.iterdir()] == ["made"]


def block_lost(books: Books) -> None:
    """No copy of the last round's block is there."""
    with books.engine.begin() as connection:
        name = connection.scalar(select(tables.block.c.block_hash).where(tables.block.c.round == 3))
    next(books.blocks.glob(f"*/{name}.block")).unlink()


def block_damaged(books: Books) -> None:
    """Its file is cut off."""
    with books.engine.begin() as connection:
        name = connection.scalar(select(tables.block.c.block_hash).where(tables.block.c.round == 3))
    path = next(books.blocks.glob(f"*/{name}.block"))
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("number", "damage", "told"),
    [
        (2, lambda books: gone(books.journals / "gateway-2.sqlite"), "is gone; bring a copy of the journal back"),
        (3, block_lost, "bring its file back from a copy"),
        (3, block_damaged, "damaged: not the whole block that its name says; bring its file back from a copy"),
        (1, lambda books: None, "a running server writes it within seconds"),
    ],
)
def test_commands_say_what_a_round_waits_for(
    books: Books, tmp_path: Path, number: int, damage: Callable[[Books], None], told: str
) -> None:
    """`tarazy round` and `tarazy check` name the round, the fault and the cure, before any server looked."""
    damage(books)
    for command in (("export", str(number)), ("receipt", str(number), "alpha")):
        asked = books.command("round", *command, "-o", str(tmp_path / "made"))
        assert (asked.exit_code, asked.stderr.count("\n")) == (1, 1), asked.output
        assert f"round {number} is final but has no record yet: " in asked.stderr
        assert told in asked.stderr
    assert not (tmp_path / "made").exists()
    found = {each["subject"]: each for each in json.loads(books.command("check", "--json").stdout)}
    if number == 1:
        assert (found["records"]["fine"], found["records"]["text"]) == (
            True,
            "the server will write those of 3 final rounds",
        )
    else:
        assert not found["records"]["fine"]
        assert found["records"]["text"].startswith(f"round {number}: ")
        assert found["records"]["text"].endswith("3 final rounds have no record and are not paid")
        assert found["records"]["cure"] in told


def test_a_receipt_is_not_made_of_lost_shares(books: Books, tmp_path: Path) -> None:
    """A journal that lost shares after the round was recorded: receipt and export say so and leave nothing."""
    with books.engine.begin() as connection:
        for distribution in unproven(connection):
            spans = spans_of(connection, distribution, books.journals)
            put_on_record(connection, distribution, spans, hash_shares(spans), books.blocks, KEY)
    change(books.journals / "gateway-2.sqlite", "DELETE FROM segment")
    for command in (("export", "2"), ("receipt", "2", "alpha")):
        asked = books.command("round", *command, "-o", str(tmp_path / "made"))
        assert asked.exit_code == 1
        assert "no longer all there; bring a copy of the journal back" in asked.stderr
    assert not (tmp_path / "made").exists()
    with books.engine.begin() as connection, pytest.raises(Fault, match="cannot be read now") as told:
        receipt_of(connection, "alpha", 2, books.journals)
    assert str(books.journals) not in str(told.value), "over the API nobody hears of the server's files"
