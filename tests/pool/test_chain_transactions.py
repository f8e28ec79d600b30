"""Encodings of the chain, and transactions that wait for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from embit.script import Script, Witness
from embit.transaction import Transaction, TransactionInput, TransactionOutput
from hypothesis import given
from hypothesis import strategies as st

from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.interface import SubmitVerdict, TemplateTransaction
from tarazy.pool.chain.pending import TransactionRefusedError
from tarazy.pool.chain.regtest import RegtestChain
from tarazy.pool.chain.transactions import (
    ANYONE_CAN_SPEND,
    block_coinbase,
    block_transactions,
    coinbase_height,
    coinbase_transaction,
    decode_transaction,
    height_push,
    outpoint,
    witness_commitment,
)
from tests.pool.mining import hash_of, solve, spend

SUBSIDY = 50 * 10**8


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[RegtestChain]:
    """A fresh chain whose own target is regtest's."""
    opened = RegtestChain(tmp_path, -32)
    yield opened
    opened.close()


def coins_of_first_blocks(chain: RegtestChain) -> list[bytes]:
    """Outpoints of the first coinbases, oldest first; one more matures with each block."""
    names = chain.engine.path(chain.engine.genesis(), chain.engine.tip().block_hash)[1]
    blocks = [chain.engine.block(name) or b"" for name in names]
    return [outpoint(block_coinbase(block).txid, 0) for block in blocks]


@pytest.mark.parametrize(
    ("height", "script"),
    [
        (1, "51"),
        (16, "60"),
        (17, "0111"),
        (127, "017f"),
        (128, "028000"),
        (255, "02ff00"),
        (256, "020001"),
        (32767, "02ff7f"),
        (32768, "03008000"),
        (8388607, "03ffff7f"),
        (8388608, "0400008000"),
    ],
)
def test_height_is_encoded_as_bip34_says(height: int, script: str) -> None:
    """C-105: small numbers by opcode, larger ones minimal, signed, little-endian; and read back."""
    assert height_push(height).hex() == script
    coinbase = coinbase_transaction(height_push(height) + b"\x01x", [], 0)
    assert coinbase_height(decode_transaction(coinbase)) == height


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_transaction(raw: bytes) -> None:
    """Decoding answers ValueError or a transaction of exactly these bytes (invariant 10)."""
    with suppress(ValueError):
        assert decode_transaction(raw).raw == raw


@given(st.data())
def test_damaged_transaction_is_refused_or_another(data: st.DataObject) -> None:
    """One changed byte never gives the same transaction with other bytes."""
    raw = bytearray(spend(bytes(36), 10_000))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(raw), bytes(raw[:position])):
        with suppress(ValueError):
            assert decode_transaction(damaged).raw == damaged


def test_pending_transaction_is_mined_with_its_fee(chain: RegtestChain) -> None:
    """It stands in the template, its fee in the coinbase's value, and is gone once it is mined."""
    coin = coins_of_first_blocks(chain)[0]
    txid = chain.add_transaction(spend(coin, SUBSIDY, fee=1234))
    assert chain.add_transaction(spend(coin, SUBSIDY, fee=1234)) == txid
    template = chain.template()
    assert [(each.txid, each.fee) for each in template.transactions] == [(txid, 1234)]
    assert template.coinbase_value == SUBSIDY + 1234
    block = solve(template)
    assert chain.submit(block).verdict is SubmitVerdict.ACCEPTED
    assert [each.txid for each in block_transactions(block)][1:] == [txid]
    assert chain.template().transactions == ()


def test_child_may_wait_behind_its_parent(chain: RegtestChain) -> None:
    """A transaction may spend what a waiting one pays; both are mined in one block, in order."""
    parent = spend(coins_of_first_blocks(chain)[0], SUBSIDY, outputs=2)
    parent_id = chain.add_transaction(parent)
    value = decode_transaction(parent).outputs[1].value
    child_id = chain.add_transaction(spend(outpoint(parent_id, 1), value))
    assert [each.txid for each in chain.template().transactions] == [parent_id, child_id]
    assert chain.submit(solve(chain.template())).verdict is SubmitVerdict.ACCEPTED


def test_orphaned_transaction_waits_again_and_survives_a_restart(tmp_path: Path) -> None:
    """When its block leaves the chain it is pending again, its coin unspent; also after a restart."""
    chain = RegtestChain(tmp_path, -32)
    coin = coins_of_first_blocks(chain)[0]
    empty = chain.template()
    txid = chain.add_transaction(spend(coin, SUBSIDY))
    block = solve(chain.template())
    assert chain.submit(block).verdict is SubmitVerdict.ACCEPTED
    assert chain.template().transactions == ()
    rival = solve(empty, extranonce=9)
    above = replace(empty, height=103, previous_block_hash=hash_of(rival), curtime=empty.curtime + 1)
    assert chain.relay(rival).verdict is SubmitVerdict.INCONCLUSIVE
    assert chain.relay(solve(above)).verdict is SubmitVerdict.ACCEPTED
    assert chain.engine.confirmations(hash_of(block)) == -1
    assert [each.txid for each in chain.template().transactions] == [txid]
    chain.close()
    again = RegtestChain(tmp_path, -32)
    assert [each.txid for each in again.template().transactions] == [txid]
    assert again.submit(solve(again.template())).verdict is SubmitVerdict.ACCEPTED
    assert again.template().transactions == ()
    again.close()


def test_what_cannot_be_mined_is_refused_with_its_reason(chain: RegtestChain) -> None:
    """Unknown, immature or spent inputs, too much output, a script that fails, a lock time ahead, junk."""
    coins = coins_of_first_blocks(chain)
    good = decode_transaction(spend(coins[0], SUBSIDY))

    def changed(*, sequence: int = 0xFFFFFFFF, locktime: int = 0, value: int = SUBSIDY, times: int = 1) -> bytes:
        spent = TransactionInput(coins[0][:32][::-1], 0, sequence=sequence, witness=Witness([b"\x51"]))
        paid = TransactionOutput(value, Script(ANYONE_CAN_SPEND))
        return bytes(Transaction(2, [spent] * times, [paid], locktime).serialize())

    refused = [
        (b"", "TX decode failed"),
        (b"\xff" * 100, "TX decode failed"),
        (good.raw + b"\x00", "TX decode failed"),
        (spend(outpoint(bytes(32), 7), 10**6), "missingorspent"),
        (spend(coins[2], SUBSIDY), "premature-spend-of-coinbase: mature at height 103"),
        (spend(coins[0], SUBSIDY, fee=-1), "in-belowout"),
        (spend(coins[0], SUBSIDY, witness=b"\x00"), "script-verify-flag-failed"),
        (changed(sequence=0, locktime=102), "non-final"),
        (changed(sequence=5), "non-BIP68-final"),
        (changed(value=21_000_001 * 10**8), "bad-txns: breaks a consensus rule"),
        (changed(times=2), "bad-txns: breaks a consensus rule"),
    ]
    for raw, reason in refused:
        with pytest.raises(TransactionRefusedError, match=reason):
            chain.add_transaction(raw)
    chain.add_transaction(good.raw)
    with pytest.raises(TransactionRefusedError, match="txn-mempool-conflict"):
        chain.add_transaction(spend(coins[0], SUBSIDY, fee=5))
    assert len(chain.template().transactions) == 1


def test_pending_transaction_spent_elsewhere_is_dropped(chain: RegtestChain) -> None:
    """A block with a rival spending of its coin removes it, and what waited behind it."""
    coin = coins_of_first_blocks(chain)[0]
    rival = decode_transaction(spend(coin, SUBSIDY, fee=77))
    template = replace(
        chain.template(),
        coinbase_value=SUBSIDY + 77,
        witness_commitment=witness_commitment([rival.raw]),
        transactions=(TemplateTransaction(rival.raw, rival.txid, 77),),
    )
    waiting = chain.add_transaction(spend(coin, SUBSIDY, fee=5))
    chain.add_transaction(spend(outpoint(waiting, 0), SUBSIDY - 5))
    assert len(chain.template().transactions) == 2
    assert chain.submit(solve(template)).verdict is SubmitVerdict.ACCEPTED
    assert chain.template().transactions == ()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 200])
def test_commitment_and_values_hold_for_any_number_of_transactions(chain: RegtestChain, count: int) -> None:
    """C-106, C-107: the engine accepts the pool's block with so many transactions and their fees."""
    name, value = coins_of_first_blocks(chain)[0], SUBSIDY
    if count > 3:
        fan = decode_transaction(spend(name, value, outputs=100))
        chain.add_transaction(fan.raw)
        for index, output in enumerate(fan.outputs[:-1]):
            chain.add_transaction(spend(outpoint(fan.txid, index), output.value, fee=100 + index))
        for each in chain.template().transactions[1:]:
            paid = decode_transaction(each.data).outputs[0].value
            chain.add_transaction(spend(outpoint(each.txid, 0), paid))
        name, value = outpoint(fan.txid, 99), fan.outputs[99].value
    while len(chain.template().transactions) < count:
        waiting = decode_transaction(spend(name, value, fee=7))
        chain.add_transaction(waiting.raw)
        name, value = outpoint(waiting.txid, 0), waiting.outputs[0].value
    template = chain.template()
    assert len(template.transactions) == count
    fees = sum(each.fee for each in template.transactions)
    assert template.coinbase_value == SUBSIDY + fees
    block = solve(template)
    assert chain.submit(block).verdict is SubmitVerdict.ACCEPTED
    assert sum(output.value for output in block_coinbase(block).outputs) == SUBSIDY + fees
    assert len(block_transactions(block)) == count + 1


def test_transaction_that_spoils_a_block_does_not_stand_in_the_next(chain: RegtestChain) -> None:
    """Should a rule have been missed when it was taken, one refused block is the whole damage."""
    chain.add_transaction(spend(coins_of_first_blocks(chain)[0], SUBSIDY))
    template = chain.template()
    spoilt = replace(template, coinbase_value=template.coinbase_value + 1)
    assert chain.submit(solve(spoilt)).reason == "bad-cb-amount"
    assert chain.template().transactions == ()
    assert chain.submit(solve(chain.template())).verdict is SubmitVerdict.ACCEPTED


def test_number_of_pending_transactions_is_bounded(chain: RegtestChain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound a transaction is refused; room comes with the next block (invariant 10)."""
    monkeypatch.setattr("tarazy.pool.chain.pending.MAX_PENDING", 1)
    first, second = coins_of_first_blocks(chain)[:2]
    chain.add_transaction(spend(first, SUBSIDY))
    with pytest.raises(TransactionRefusedError, match="mempool-full"):
        chain.add_transaction(spend(second, SUBSIDY))
    block = build_block(chain.template(), ANYONE_CAN_SPEND, b"nobody")
    assert chain.relay(block).verdict is SubmitVerdict.ACCEPTED
    chain.add_transaction(spend(second, SUBSIDY))
