"""What a batch may become, and what goes into one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.payouts.machine import (
    BatchState,
    Credit,
    Destination,
    LeftOut,
    Limits,
    PayoutError,
    Sending,
    dust_limit,
    require_step,
    select,
    sending,
)

SCRIPTS = {
    294: b"\x00\x14" + bytes(20),
    330: b"\x00\x20" + bytes(32),
    546: b"\x76\xa9\x14" + bytes(20) + b"\x88\xac",
    540: b"\xa9\x14" + bytes(20) + b"\x87",
}
PLACE = Destination("a", SCRIPTS[294])


@pytest.mark.parametrize(("limit", "script"), [*SCRIPTS.items(), (330, b"\x51\x20" + bytes(32))])
def test_dust_by_script(limit: int, script: bytes) -> None:
    """(R-030) P2WPKH, P2WSH, P2PKH, P2SH and P2TR as nodes relay them; one satoshi less stays due."""
    assert dust_limit(script) == limit
    for amount, paid in ((limit - 1, False), (limit, True)):
        credits = [Credit(1, "a", amount)]
        chosen = select(credits, {"a": Destination("a", script)}, {}, Limits(1, 500, 10**9, 10**9, None), 0, {})
        assert bool(chosen.payments) is paid
        assert chosen.left_out == ({} if paid else {"a": f"below the threshold of {limit} satoshi"})


def test_the_way_of_a_batch() -> None:
    """It goes through every state in turn; from the end there is no way, and no step leads back."""
    way = [state for state in BatchState if state is not BatchState.ABANDONED]
    for before, after in pairwise(way):
        require_step(1, before, after)
        with pytest.raises(PayoutError, match="batch 1 is"):
            require_step(1, after, before)
    for state in BatchState:
        with pytest.raises(PayoutError):
            require_step(1, BatchState.CONFIRMED, state)
        with pytest.raises(PayoutError):
            require_step(1, BatchState.ABANDONED, state)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(-27, Sending.TAKEN), (-25, Sending.LOOK), (-26, Sending.LOOK), (-28, Sending.AGAIN), (None, Sending.AGAIN)],
)
def test_answers_to_a_sending(code: int | None, meaning: Sending) -> None:
    """(R-026) -27 is success; nothing makes a batch go back."""
    assert sending(code) is meaning


_PARTIES = st.sampled_from("abcdefgh")


@given(
    credits=st.lists(st.tuples(_PARTIES, st.integers(0, 10**6))),
    held=st.sets(_PARTIES),
    threshold=st.integers(1, 10**6),
    outputs=st.integers(1, 5),
    batch=st.integers(1, 10**7),
    day=st.integers(1, 10**7),
    spent=st.integers(0, 10**7),
    first=st.none() | st.integers(0, 10**6),
    tried=st.dictionaries(_PARTIES, st.booleans()),
)
def test_what_goes_into_a_batch(
    credits: list[tuple[str, int]],
    held: set[str],
    threshold: int,
    outputs: int,
    batch: int,
    day: int,
    spent: int,
    first: int | None,
    tried: dict[str, bool],
) -> None:
    """Whole credits, oldest first; within every limit; each other party with a reason."""
    owed = [Credit(number, party, amount) for number, (party, amount) in enumerate(credits)]
    places: dict[str, Destination | LeftOut] = dict.fromkeys("abcdefg", PLACE)
    limits = Limits(threshold, outputs, batch, day, first)
    chosen = select(owed, places, dict.fromkeys(held, "x"), limits, spent, tried)
    assert len(chosen.payments) <= outputs
    assert sum(each.amount for each in chosen.payments) <= max(0, min(batch, day - spent))
    for payment in chosen.payments:
        mine = [each for each in owed if each.party == payment.party]
        taken = mine[: len(payment.distributions)]
        assert payment.distributions == tuple(each.distribution for each in taken)
        assert payment.amount == sum(each.amount for each in taken) >= max(threshold, 294)
        assert payment.party not in held | {"h"}
        assert (payment.rest is None) == (first is None or payment.party in tried)
        if payment.rest is not None:
            assert first is not None
            assert payment.amount + payment.rest == sum(each.amount for each in mine)
            assert payment.amount <= first or payment.amount - taken[-1].amount < max(threshold, 294)
        else:
            assert first is None or tried[payment.party], "nothing follows before the first is confirmed"
    paid = {each.party for each in chosen.payments}
    assert paid | chosen.left_out.keys() == {each.party for each in owed}
    assert not paid & chosen.left_out.keys()


@pytest.mark.parametrize(
    ("first", "threshold", "paid", "rest"),
    [(0, 1_000, (1,), 9_000), (0, 3_000, (1, 2), 7_000), (6_500, 1_000, (1, 2, 3), 4_000), (None, 1_000, None, None)],
)
def test_a_first_payment_is_small(
    first: int | None, threshold: int, paid: tuple[int, ...] | None, rest: int | None
) -> None:
    """The oldest credits that reach the threshold, or up to a limit; what else is due waits for its confirmation."""
    credits = [Credit(number, "a", amount) for number, amount in enumerate((1_000, 2_000, 3_000, 4_000), 1)]
    limits = Limits(threshold, 500, 10**9, 10**9, first)
    (payment,) = select(credits, {"a": PLACE}, {}, limits, 0, {}).payments
    assert (payment.distributions, payment.rest) == (paid or (1, 2, 3, 4), rest)
    on_its_way = select(credits[1:], {"a": PLACE}, {}, limits, 0, {"a": False})
    confirmed = select(credits[1:], {"a": PLACE}, {}, limits, 0, {"a": True})
    assert [each.distributions for each in confirmed.payments] == [(2, 3, 4)]
    if first is not None:
        assert on_its_way.left_out == {"a": "the first payment to a is not confirmed yet"}
