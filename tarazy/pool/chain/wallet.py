"""The embedded chain's wallet, in bitcoind's words: one key that everybody knows, for worthless coins only.

Addresses, scripts and signatures are embit's; the calls are those that payouts make of a bitcoind wallet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from embit import ec, script
from embit.base import EmbitError
from embit.finalizer import finalize_psbt
from embit.networks import NETWORKS
from embit.psbt import PSBT
from embit.transaction import Transaction as Written
from embit.transaction import TransactionInput, TransactionOutput

from tarazy.pool.chain.assembly import MATURITY
from tarazy.pool.chain.engine import Coin, Engine
from tarazy.pool.chain.pending import Pending, TransactionRefusedError
from tarazy.pool.chain.store import ChainStore
from tarazy.pool.chain.transactions import Transaction, decode_transaction, outpoint
from tarazy.stratum.job import displayed

COIN = 100_000_000
FEE_RATE = 2
"""Satoshi a virtual byte."""

_KEY = ec.PrivateKey(sha256(b"tarazy embedded chain, for worthless coins").digest())
_PUBLIC = _KEY.get_public_key()
_SCRIPT = script.p2wpkh(_PUBLIC)
ADDRESS: str = _SCRIPT.address(NETWORKS["regtest"])
"""The wallet's one address."""

_REPLACEABLE = 0xFFFFFFFD
_INPUT_VBYTES, _OUTPUT_VBYTES, _REST_VBYTES = 68, 9, 11
_DUST = 294


class WalletError(Exception):
    """A refusal, with bitcoind's number for it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Owned:
    name: bytes
    coin: Coin


class Wallet:
    """The wallet of one chain; used by the engine's thread alone. Every public method is a call of bitcoind's."""

    def __init__(self, engine: Engine, store: ChainStore, pending: Pending) -> None:
        self._engine = engine
        self._store = store
        self._pending = pending
        self._locked: set[bytes] = set()

    @staticmethod
    def spends(transaction: Transaction) -> bool:
        """Whether a transaction spends coins of this wallet."""
        return any(each.witness and each.witness[-1] == _PUBLIC.sec() for each in transaction.inputs)

    def call(self, method: str, *parameters: Any) -> Any:
        """The answer to a call of `CALLS`. Raises `WalletError`."""
        try:
            return getattr(self, method)(*parameters)
        except (EmbitError, ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError) as error:
            raise WalletError(-8, f"Invalid parameter: {error}") from error

    def getbalances(self) -> Any:
        """What the wallet holds: spendable with its own unconfirmed change, and immature."""
        tip = self._engine.tip()
        spendable = sum(each.coin.output.value for each in self._coins() if self._is_mature(each.coin))
        immature = sum(each.coin.output.value for each in self._coins() if not self._is_mature(each.coin))
        mine = {"trusted": spendable / COIN, "untrusted_pending": 0.0, "immature": immature / COIN}
        return {"mine": mine, "lastprocessedblock": {"hash": displayed(tip.block_hash), "height": tip.height}}

    def getaddressinfo(self, address: str) -> Any:
        """Whether an address is the wallet's."""
        return {"address": address, "ismine": address == ADDRESS}

    def lockunspent(self, unlock: bool, outputs: list[Any] | None = None) -> Any:
        """Keep coins from being chosen, or let them be chosen again."""
        names = {_name(each) for each in outputs} if outputs is not None else set(self._locked)
        if unlock:
            self._locked -= names
        elif names & self._locked:
            raise WalletError(-8, "Invalid parameter, output already locked")
        else:
            self._locked |= names
        return True

    def listlockunspent(self) -> Any:
        """The coins kept back."""
        return [_place(name) for name in sorted(self._locked)]

    def walletcreatefundedpsbt(
        self, inputs: list[Any], outputs: list[Any], locktime: int = 0, _options: Any = None
    ) -> Any:
        """A transaction that pays `outputs` from coins of the wallet, the change to itself; always at `FEE_RATE`."""
        if inputs or locktime:
            raise WalletError(-8, "inputs and lock times are not offered here")
        wanted = [TransactionOutput(_satoshi(value), _script(to)) for each in outputs for to, value in each.items()]
        if any(each.value < _DUST for each in wanted):
            raise WalletError(-6, "Transaction amount too small")
        amount = sum(each.value for each in wanted)
        chosen: list[_Owned] = []
        total = 0
        free = [each for each in self._coins() if self._is_mature(each.coin) and each.name not in self._locked]
        for each in sorted(free, key=lambda owned: (-owned.coin.output.value, owned.name)):
            chosen.append(each)
            total += each.coin.output.value
            fee = _fee(len(chosen), [*wanted, TransactionOutput(0, _SCRIPT)], FEE_RATE)
            if total >= amount + fee:
                break
        else:
            raise WalletError(-6, "Insufficient funds")
        if (change := total - amount - fee) >= _DUST:
            wanted.append(TransactionOutput(change, _SCRIPT))
        psbt = _psbt([(each.name, each.coin.output.value) for each in chosen], wanted)
        paid = total - sum(each.value for each in wanted)
        return {"psbt": psbt.to_string(), "fee": paid / COIN, "changepos": len(wanted) - 1 if change >= _DUST else -1}

    def psbtbumpfee(self, txid: str, options: Any = None) -> Any:
        """A waiting transaction again, with a higher fee taken from its change."""
        old = self._pending.transaction(_hash(txid))
        if old is None:
            raise WalletError(-5, "Invalid or non-wallet transaction id")
        spent = [(each.outpoint, self._value(each.outpoint)) for each in old.inputs]
        outputs = [TransactionOutput(each.value, script.Script(each.script)) for each in old.outputs]
        before = sum(value for _, value in spent) - sum(each.value for each in outputs)
        fee = _fee(len(spent), outputs, int((options or {}).get("fee_rate", 2 * FEE_RATE)))
        change = next((each for each in outputs if each.script_pubkey == _SCRIPT), None)
        if fee <= before:
            raise WalletError(-8, f"Insufficient total fee {fee}, must be more than {before}")
        if change is None or change.value - (fee - before) < _DUST:
            raise WalletError(-4, "Unable to create transaction. The change does not cover the fee")
        change.value -= fee - before
        psbt = _psbt(spent, outputs)
        return {"psbt": psbt.to_string(), "origfee": before / COIN, "fee": fee / COIN, "errors": []}

    def walletprocesspsbt(self, text: str) -> Any:
        """A transaction with the wallet's signatures."""
        psbt = _read(text)
        psbt.sign_with(_KEY)
        return {"psbt": psbt.to_string(), "complete": finalize_psbt(psbt) is not None}

    def finalizepsbt(self, text: str) -> Any:
        """A signed transaction as it is sent."""
        final = finalize_psbt(_read(text))
        if final is None:
            return {"psbt": text, "complete": False}
        return {"hex": final.serialize().hex(), "complete": True}

    def testmempoolaccept(self, raws: list[str]) -> Any:
        """Whether each transaction could wait for a block now, and for what fee."""
        header = self._engine.header(self._engine.tip().block_hash)
        place = (self._engine.tip().height + 1, header.median_time if header else 0)
        answers = []
        for raw in raws:
            transaction = decode_transaction(bytes.fromhex(raw))
            answer: dict[str, Any] = {"txid": displayed(transaction.txid)}
            try:
                fee = self._pending.fee_of(transaction, *place)
            except TransactionRefusedError as error:
                answer |= {"allowed": False, "reject-reason": str(error).partition(":")[0]}
            else:
                answer |= {"allowed": True, "fees": {"base": fee / COIN}}
            answers.append(answer)
        return answers

    def getmempoolentry(self, txid: str) -> Any:
        """That a transaction waits for a block."""
        if self._pending.transaction(_hash(txid)) is None:
            raise WalletError(-5, "Transaction not in mempool")
        return {"bip125-replaceable": True}

    def gettransaction(self, txid: str) -> Any:
        """A transaction that spent coins of the wallet; -1 confirmations when it is neither waiting nor in a block."""
        known = self._store.own(_hash(txid))
        if known is None:
            raise WalletError(-5, "Invalid or non-wallet transaction id")
        raw, fee = known
        confirmations = self._confirmations(decode_transaction(raw))
        return {"txid": txid, "confirmations": confirmations, "fee": -fee / COIN, "hex": raw.hex()}

    def listsinceblock(self) -> Any:
        """Every transaction that spent coins of the wallet."""
        found = [decode_transaction(raw) for raw in self._store.all_own()]
        return {
            "transactions": [
                {"txid": displayed(each.txid), "category": "send", "confirmations": self._confirmations(each)}
                for each in found
            ]
        }

    def _coins(self) -> Iterator[_Owned]:
        """Unspent coins of the wallet, those of waiting transactions too."""
        for name, coin in self._store.coins_of(_SCRIPT.data):
            if not self._pending.spends(name):
                yield _Owned(name, coin)
        height = self._engine.tip().height + 1
        for transaction in self._pending.transactions():
            for index, output in enumerate(transaction.outputs):
                name = outpoint(transaction.txid, index)
                if output.script == _SCRIPT.data and self.spends(transaction) and not self._pending.spends(name):
                    yield _Owned(name, Coin(output, height, coinbase=False))

    def _is_mature(self, coin: Coin) -> bool:
        return not coin.coinbase or self._engine.tip().height - coin.height >= MATURITY

    def _confirmations(self, transaction: Transaction) -> int:
        if self._pending.transaction(transaction.txid) is not None:
            return 0
        for index in range(len(transaction.outputs)):
            if coin := self._store.coin(outpoint(transaction.txid, index)):
                return self._engine.tip().height - coin.height + 1
        return -1

    def _value(self, name: bytes) -> int:
        coin = self._store.coin(name)
        if coin is not None:
            return coin.output.value
        parent = self._pending.transaction(name[:32])
        if parent is None:
            raise WalletError(-4, "an input is unknown")
        return parent.outputs[int.from_bytes(name[32:], "little")].value


CALLS = (
    *("getbalances", "getaddressinfo", "lockunspent", "listlockunspent", "walletcreatefundedpsbt", "psbtbumpfee"),
    *("walletprocesspsbt", "finalizepsbt", "testmempoolaccept", "getmempoolentry", "gettransaction", "listsinceblock"),
)
"""The calls, by bitcoind's names."""


def _psbt(spent: list[tuple[bytes, int]], outputs: list[TransactionOutput]) -> PSBT:
    inputs = [
        TransactionInput(name[:32][::-1], int.from_bytes(name[32:], "little"), sequence=_REPLACEABLE)
        for name, _ in spent
    ]
    psbt = PSBT(Written(2, inputs, outputs))
    for written, (_, value) in zip(psbt.inputs, spent, strict=True):
        written.witness_utxo = TransactionOutput(value, _SCRIPT)
    return psbt


def _fee(inputs: int, outputs: list[TransactionOutput], rate: int) -> int:
    size = (
        _REST_VBYTES + inputs * _INPUT_VBYTES + sum(_OUTPUT_VBYTES + len(each.script_pubkey.data) for each in outputs)
    )
    return rate * size


def _read(text: str) -> PSBT:
    try:
        return PSBT.from_string(text)
    except (EmbitError, ValueError, RuntimeError, MemoryError) as error:
        raise WalletError(-22, "TX decode failed") from error


def _script(address: str) -> script.Script:
    found = script.address_to_scriptpubkey(address)
    if found is None or found.address(NETWORKS["regtest"]) != address:
        raise WalletError(-5, f"Invalid Bitcoin address: {address}")
    return found


def _satoshi(value: Any) -> int:
    return round(float(value) * COIN)


def _hash(txid: str) -> bytes:
    return bytes.fromhex(txid)[::-1]


def _name(place: Any) -> bytes:
    return outpoint(_hash(place["txid"]), int(place["vout"]))


def _place(name: bytes) -> dict[str, Any]:
    return {"txid": displayed(name[:32]), "vout": int.from_bytes(name[32:], "little")}
