"""Every rejected share is counted once, by its reason; those that can be argued about are recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tarazy.stratum.board import REASONS
from tarazy.stratum.difficulty import target_of, weight_of
from tarazy.stratum.rejections import Rejected, Rejections
from tarazy.stratum.share import Verdict
from tests.stratum.house import EASY, Client, Pool

LOGIN = "acme.rig07"


def _stale(client: Client) -> Any:
    proof = client.solve()
    client.pool.publish(b"\x22" * 32)
    return client.submit(proof)


def _duplicate(client: Client) -> Any:
    proof = client.solve()
    client.submit(proof)
    return client.submit(proof)


def _shifted(client: Client, seconds: int) -> Any:
    assert client.job is not None
    return client.submit(client.solve(ntime=client.job.ntime + seconds))


def _not_ready(client: Client) -> Any:
    client.pool.journal.broken = True
    return client.submit(client.solve())


def _rate_limited(client: Client) -> Any:
    while not client.session.conduct.floods(client.pool.now):
        pass
    return client.submit(client.solve())


WAYS: dict[str, tuple[Callable[[Client], Any], bool]] = {
    "stale": (_stale, True),
    "duplicate": (_duplicate, True),
    "low-difficulty": (lambda client: client.submit(client.solve(lambda value: value > target_of(EASY))), True),
    "unauthorized": (lambda client: client.submit(client.solve(), "somebody.else"), True),
    "time-too-old": (lambda client: _shifted(client, -601), True),
    "time-too-new": (lambda client: _shifted(client, 7_201), True),
    "bad-version": (lambda client: client.submit(client.solve(bits=1)), True),
    "rate-limited": (_rate_limited, True),
    "unknown-job": (lambda client: client.submit(["f" * 16, *client.solve()[1:]]), False),
    "bad-params": (lambda client: client.submit(["x"]), False),
    "bad-extranonce2": (lambda client: client.submit([client.solve()[0], "00", *client.solve()[2:]]), False),
    "not-subscribed": (lambda client: Client(client.pool).submit(["0" * 16, "0" * 16, "0" * 8, "0" * 8]), False),
    "not-ready": (_not_ready, True),
}
"""Reason → how to come by it, and whether the share's weight is known by then."""


@pytest.mark.parametrize("reason", REASONS)
def test_a_rejected_share_is_counted_by_its_reason(reason: str) -> None:
    """C-083: in its own counter, with its weight, and in no other; the answer's first word is the reason."""
    client = Pool().connect(LOGIN)
    way, judged = WAYS[reason]
    assert way(client)[1].split(":")[0] == reason
    counters = client.pool.board.counters
    assert {word: count for word, count in counters.rejected.items() if count} == {reason: 1}
    accepted = 1 if reason == "duplicate" else 0
    assert counters.accepted == accepted
    weights = {"accepted": accepted * weight_of(EASY), reason: weight_of(EASY) if judged else 0}
    assert {word: weight for word, weight in counters.weight.items() if weight} == {
        w: v for w, v in weights.items() if v
    }
    told = {(key.account, key.worker, key.reason): count for key, count in client.pool.board.rejections.take().items()}
    assert told == ({} if reason == "not-subscribed" else {("acme", "rig07", reason): 1})


def test_counts_by_name_are_bounded_and_taken_once() -> None:
    """Beyond the limit a party's shares are counted without the name, and none is lost."""
    rejections = Rejections(limit=2)
    for login in ("a.x", "a.y", "a.z", "a.q", "a.x"):
        rejections.count("p", login, "s", "stale")
    assert rejections.take() == {
        Rejected("p", "a", "x", "s", "stale"): 2,
        Rejected("p", "a", "y", "s", "stale"): 1,
        Rejected("p", "", "", "s", "stale"): 2,
    }
    assert rejections.take() == {}


def test_every_reason_has_its_way() -> None:
    """C-083: the table above leaves none out."""
    assert set(WAYS) == set(REASONS)


def test_stale_shares_are_recorded_once_without_credit() -> None:
    """C-083, C-048: with everything it takes to judge them again; sent twice, recorded once."""
    client = Pool().connect(LOGIN)
    proof = client.solve()
    client.pool.publish(b"\x22" * 32)
    for _ in range(2):
        assert client.submit(proof) == [21, "stale", None]
    (record,) = client.pool.journal.shares
    assert (record.verdict, record.exponent, record.nonce) == (Verdict.STALE, EASY, int(proof[3], 16))
    assert client.pool.board.counters.rejected["stale"] == 2
