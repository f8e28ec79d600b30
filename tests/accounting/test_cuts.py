"""Cut vectors: where a block ends its round in the journals of every gateway, by each gateway's own clock."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, func, select

from tarazy.accounting import tables
from tarazy.accounting.cursors import NotFoldedError, declare_lost
from tarazy.accounting.journal_file import FOREVER, Batch, BlockRecord
from tarazy.accounting.rounds import Closing, close_round
from tarazy.accounting.schemes import Schedule, Terms
from tests.accounting.books import FEE_PPM, INTERVAL, START, START_US, Gateway, require_site_sums, share

SKEWS = {1: 0.0, 2: 4.0, 3: -2.5}
"""Seconds by which the gateways' clocks are ahead."""


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[dict[int, Gateway]]:
    """Three gateways, each with a party of its own."""
    opened = {n: Gateway(tmp_path / f"gateway-{n}.sqlite", [f"party-{n}"], n) for n in SKEWS}
    yield opened
    for gateway in opened.values():
        gateway.close()


def found(gateway: Gateway, second: float) -> None:
    """Commit a share that solves a block, `second` seconds after `START` by the gateway's clock."""
    sequence = gateway.sequence + 1
    found_at_us = START_US + int(second * 1_000_000)
    block_hash = gateway.number.to_bytes(1, "big") + sequence.to_bytes(31, "big")
    gateway.write(share(second=second), block=BlockRecord(block_hash, 100, 1000, sequence, 1, found_at_us))


def close(connection: Connection, *gateways: Gateway) -> Closing:
    """Fold all that these gateways have and close a round, if that is possible."""
    for gateway in gateways:
        gateway.take_in(connection)
    return close_round(connection, {each.number: each.reader for each in gateways}, INTERVAL, Schedule(Terms(FEE_PPM)))


def cuts(connection: Connection) -> list[tuple[int, dict[str, int]]]:
    """Finder's gateway and cut vector of every closed round."""
    table = tables.round_
    query = select(table.c.gateway, table.c.cut).where(table.c.cut.is_not(None)).order_by(table.c.round)
    return [(row.gateway, row.cut) for row in connection.execute(query)]


def shares_of(connection: Connection) -> dict[tuple[int, str], int]:
    """Credited shares by round and party."""
    require_site_sums(connection)
    table = tables.tally
    query = select(table.c.round, table.c.party, func.sum(table.c.shares)).group_by(table.c.round, table.c.party)
    return {(number, party): int(shares) for number, party, shares in connection.execute(query)}


def recomputed(gateways: dict[int, Gateway]) -> list[tuple[int, dict[str, int]]]:
    """The cut vectors, from nothing but the journals: blocks by the time they were found, shares up to it."""
    shares = {number: list(gateway.reader.shares()) for number, gateway in gateways.items()}
    blocks = []
    for number, gateway in gateways.items():
        place = 0
        while following := gateway.reader.next_block(place):
            place, block = following
            blocks.append((block.found_at_us, number, block.sequence))
    ends = []
    for found_at_us, finder, sequence in sorted(blocks):
        cut = {}
        for number, given in shares.items():
            inside = 0
            for share_number, record in given:
                if record.at_us > found_at_us:
                    break
                inside = share_number
            cut[str(number)] = sequence if number == finder else inside
        ends.append((finder, cut))
    return ends


def test_cuts_are_reproduced_whatever_the_order_of_folding(engine: Engine, gateways: dict[int, Gateway]) -> None:
    """R-009: three gateways with skewed clocks; folds and closings at any moments; the vectors are those of the
    journals alone, and every share is in the round that they say."""
    chance = random.Random(9)
    for step in range(400):
        gateway = gateways[chance.choice([1, 1, 2, 3])]
        now = step + SKEWS[gateway.number] + chance.random()
        gateway.write(*(share(second=now) for _ in range(chance.randint(1, 3))))
        if chance.random() < 0.05:
            found(gateway, now + 0.2)
        if chance.random() < 0.3:
            with engine.begin() as connection:
                close(connection, *chance.sample(list(gateways.values()), 3))
    for gateway in gateways.values():
        gateway.mark(1000)
    with engine.begin() as connection:
        while close(connection, *gateways.values()).block_hash:
            pass
        stored = cuts(connection)
        assert stored == recomputed(gateways)
        assert len(stored) > 10
        ends = [{str(number): 0 for number in gateways}, *(cut for _, cut in stored)]
        ends.append({str(number): gateway.sequence for number, gateway in gateways.items()})
        for place in range(1, len(ends)):
            for number in gateways:
                inside = ends[place][str(number)] - ends[place - 1][str(number)]
                assert shares_of(connection).get((place, f"party-{number}"), 0) == inside


def test_the_solving_share_of_another_is_never_cut_off(engine: Engine, gateways: dict[int, Gateway]) -> None:
    """R-008: two blocks in one moment: each one's solving share is in the round that it closes."""
    for number in (2, 1):
        found(gateways[number], 5)
    for number in (1, 3):
        gateways[number].mark(6)
    with engine.begin() as connection:
        while close(connection, *gateways.values()).block_hash:
            pass
        assert cuts(connection) == [(1, {"1": 1, "2": 0, "3": 0}), (2, {"1": 1, "2": 1, "3": 0})]


def test_an_idle_gateway_does_not_delay(engine: Engine, gateways: dict[int, Gateway]) -> None:
    """R-015: a mark is as good as a share, and one that ended in order is not waited for."""
    one, two, three = gateways.values()
    two.write(share(second=1))
    found(one, 5)
    three.file.write(Batch(0, mark=FOREVER))
    with engine.begin() as connection:
        assert close(connection, one, two, three) == Closing(waiting=(2,))
    two.mark(4.9)
    with engine.begin() as connection:
        assert close(connection, one, two, three).waiting == (2,)
    two.mark(5)
    with engine.begin() as connection:
        assert close(connection, one, two, three).block_hash
        assert cuts(connection) == [(1, {"1": 1, "2": 1, "3": 0})]


def test_a_late_gateway_delays_the_closing_only(engine: Engine, gateways: dict[int, Gateway]) -> None:
    """R-015: while a journal is away the others are folded; when it is back, the round closes at the exact cut."""
    one, two, _ = gateways.values()
    two.write(share(second=1))
    with engine.begin() as connection:
        close(connection, one, two)
    found(one, 5)
    one.write(share(second=6), share(second=7))
    two.write(share(second=2), share(second=9))
    with engine.begin() as connection:
        assert close(connection, one) == Closing(waiting=(2,))
        assert shares_of(connection) == {(1, "party-1"): 3, (1, "party-2"): 1}
    with engine.begin() as connection:
        assert close(connection, one, two).block_hash
        assert cuts(connection) == [(1, {"1": 1, "2": 2})]
        assert shares_of(connection) == {
            (1, "party-1"): 1, (1, "party-2"): 2, (2, "party-1"): 2, (2, "party-2"): 1,
        }  # fmt: skip


def test_a_lost_gateway(engine: Engine, gateways: dict[int, Gateway]) -> None:
    """R-015: declared lost, it delays nothing; what it delivers later joins the open round, marked; then it counts
    like any other again."""
    one, two, _ = gateways.values()
    two.write(share(second=1))
    with engine.begin() as connection:
        close(connection, one, two)
        with pytest.raises(NotFoldedError, match="gateway 3"):
            declare_lost(connection, 3, START)
    found(one, 5)
    two.write(share(second=2), share(second=3))
    found(two, 4)
    with engine.begin() as connection:
        declare_lost(connection, 2, START + timedelta(seconds=10))
        assert close(connection, one).block_hash
        assert cuts(connection) == [(1, {"1": 1, "2": 1})]
    one.write(share(second=20))
    two.write(share(second=30))
    with engine.begin() as connection:
        assert close(connection, one, two).block_hash
        late = connection.execute(select(tables.late)).one()
        assert (late.gateway, late.first_sequence, late.last_sequence) == (2, 2, 4)
        assert cuts(connection)[1:] == [(2, {"1": 2, "2": 4})]
        assert shares_of(connection) == {
            (1, "party-1"): 1, (1, "party-2"): 1, (2, "party-1"): 1, (2, "party-2"): 3, (3, "party-2"): 1,
        }  # fmt: skip
    found(one, 40)
    with engine.begin() as connection:
        assert close(connection, one, two).waiting == (2,)


def test_closing_reads_no_more_than_the_last_moments(engine: Engine, gateways: dict[int, Gateway]) -> None:
    """Where a cut can lie moves on with what all gateways have delivered, so that a long round costs no more."""
    one, two, _ = gateways.values()
    for second in range(50):
        one.write(share(second=second))
        two.write(share(second=second + 0.5))
        with engine.begin() as connection:
            close(connection, one, two)
    with engine.begin() as connection:
        certain = dict(connection.execute(select(tables.gateway.c.gateway, tables.gateway.c.certain)).all())
    assert certain == {1: 50, 2: 49}
