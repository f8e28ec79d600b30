"""A batch's transaction held against the batch: outputs, inputs and fee, before and after it is signed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from embit.psbt import PSBT

from tarazy.accounting.payouts.machine import PayoutError
from tarazy.pool.chain.transactions import Output, Transaction, decode_transaction

MAX_PSBT_BYTES = 20_000_000
"""Text of the largest PSBT that is read."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction that waits for its signatures."""

    transaction: Transaction
    """Without them."""
    spent: int
    """What its inputs are worth, satoshi."""

    @property
    def fee(self) -> int:
        """What the network gets, satoshi."""
        return self.spent - sum(each.value for each in self.transaction.outputs)


def read_psbt(text: str) -> Draft:
    """A transaction to be signed, base64 (BIP174). Raises `PayoutError`."""
    if len(text) > MAX_PSBT_BYTES:
        raise PayoutError("this is too large for a PSBT")
    try:
        psbt = PSBT.from_string(text.strip())
        psbt.verify(ignore_missing=True)
        spent = sum(psbt.utxo(index).value for index in range(len(psbt.inputs)))
        return Draft(decode_transaction(psbt.tx.serialize()), spent)
    except Exception as error:  # whatever the damage provokes in the parser
        raise PayoutError(f"this is no PSBT that names its inputs' amounts: {error}") from error


def require_pays(
    outputs: Iterable[Output],
    by_script: Mapping[bytes, int],
    fee: int,
    maximum_fee: int,
    is_ours: Callable[[bytes], bool],
) -> None:
    """Raise `PayoutError` unless outputs are exactly the payees' and at most one of change, and the fee is bounded."""
    owed = dict(by_script)
    change = []
    for output in outputs:
        if owed.get(output.script) == output.value:
            del owed[output.script]
        else:
            change.append(output)
    if owed:
        script, amount = min(owed.items())
        raise PayoutError(f"the transaction does not pay {amount} satoshi to script {script.hex()}")
    if len(change) > 1 or not all(is_ours(output.script) for output in change):
        stranger = change[-1]
        raise PayoutError(
            f"the transaction pays {stranger.value} satoshi to {stranger.script.hex()}, no payee's script"
        )
    if not 0 <= fee <= maximum_fee:
        raise PayoutError(f"the network fee is {fee} satoshi; payouts.maximum_fee is {maximum_fee}")


def require_same(wanted: Transaction, signed: Transaction) -> None:
    """Raise `PayoutError` unless `signed` is `wanted`, signatures aside."""
    if _unsigned(wanted) != _unsigned(signed):
        raise PayoutError("what came back is another transaction than the one to be signed")


def _unsigned(transaction: Transaction) -> tuple[object, ...]:
    inputs = tuple((each.outpoint, each.sequence) for each in transaction.inputs)
    return transaction.version, inputs, transaction.outputs, transaction.locktime


def require_signs_all(signed: Transaction) -> None:
    """Raise `PayoutError` unless each signature is over all inputs and outputs, so that nobody can change them later.

    A signature's last byte says what it is over (BIP143), unless it is one of 64 bytes, which is over all (BIP341).
    """
    for place, each in enumerate(signed.inputs):
        for item in each.witness or _pushed(each.script):
            ecdsa = len(item) > 8 and item[0] == _DER and item[1] == len(item) - 3
            if (ecdsa or len(item) == _SCHNORR_AND_TYPE) and item[-1] != _ALL:
                raise PayoutError(
                    f"the signature of input {place} leaves parts of the transaction open (type {item[-1]:#04x}); "
                    "sign it with SIGHASH_ALL"
                )


_DER, _SCHNORR_AND_TYPE, _ALL = 0x30, 65, 0x01


def _pushed(script: bytes) -> Iterator[bytes]:
    """What a script of plain pushes begins with, as those of spent P2PKH outputs are."""
    while script and script[0] < _PUSHDATA1:
        yield script[1 : 1 + script[0]]
        script = script[1 + script[0] :]


_PUSHDATA1 = 0x4C


def require_replaces(old: Transaction, new: Draft, old_fee: int) -> None:
    """Raise `PayoutError` unless at most one of both can confirm, and the newer one is preferred."""
    if missing := {each.outpoint for each in old.inputs} - {each.outpoint for each in new.transaction.inputs}:
        raise PayoutError(f"the replacement lacks {len(missing)} inputs of the transaction it replaces")
    if new.fee <= old_fee:
        raise PayoutError(f"the replacement's fee of {new.fee} satoshi is not above {old_fee}")


def rivals_of(blocked: Iterable[AbstractSet[bytes]], buried: Mapping[str, AbstractSet[bytes]]) -> list[str]:
    """The buried transactions for which none of some others can confirm; none when one of those still can.

    `blocked`: the inputs of each of those; `buried`: txid → inputs.
    """
    blocked = list(blocked)
    spent = frozenset[bytes]().union(*buried.values())
    if not blocked or not all(inputs & spent for inputs in blocked):
        return []
    return sorted(txid for txid, inputs in buried.items() if any(inputs & names for names in blocked))
