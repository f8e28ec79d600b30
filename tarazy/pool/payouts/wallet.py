"""A node's wallet for payouts. Calls block: they are made by commands and on threads, never in the reactor's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from embit.networks import NETWORKS
from embit.script import Script

from tarazy.config.settings import BitcoindChainSettings, Settings
from tarazy.pool.chain.bitcoind.credentials import Credentials, credentials_of
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.bitcoind.probe import call
from tarazy.pool.chain.transactions import Transaction, decode_transaction
from tarazy.stratum.job import displayed

COIN = 100_000_000
CALL_SECONDS = 30.0
ANSWER_BYTES = 64_000_000

_UNKNOWN = -5


@dataclass(frozen=True, slots=True)
class Balances:
    """What a wallet holds, satoshi."""

    spendable: int
    """Confirmed, and its own unconfirmed change."""
    immature: int
    tip: str
    """The block they were taken at."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.spendable + self.immature


@dataclass(frozen=True, slots=True)
class Seen:
    """A transaction as the wallet knows it."""

    txid: str
    confirmations: int
    """0 unconfirmed, negative when another one that spends the same has so many."""
    transaction: Transaction
    fee: int
    """Satoshi."""


class NodeWallet:
    """A wallet at a node. Every method raises `NodeError`."""

    def __init__(self, url: str, credentials: Credentials, name: str, chain: str) -> None:
        """`chain`: the one whose addresses are used."""
        self._url = url
        self._credentials = credentials
        self._path = f"/wallet/{name}"
        self._chain = chain

    def call(self, method: str, *parameters: Any) -> Any:
        """The result of a call."""
        known = self._url, self._credentials
        return call(*known, method, parameters, path=self._path, seconds=CALL_SECONDS, limit=ANSWER_BYTES)

    def balances(self) -> Balances:
        """What it holds now."""
        words = self.call("getbalances")
        with _reading("getbalances"):
            mine, tip = words["mine"], words["lastprocessedblock"]["hash"]
            return Balances(satoshi(mine["trusted"]), satoshi(mine["immature"]), str(tip))

    def draft(self, amounts: Mapping[str, int], blocks: int) -> str:
        """A PSBT that pays `amounts` by address, to be confirmed within so many blocks. It locks nothing (`lock`)."""
        outputs = [{address: _coins(amount)} for address, amount in amounts.items()]
        options = {"conf_target": blocks, "replaceable": True}
        return _text(self.call("walletcreatefundedpsbt", [], outputs, 0, options), "psbt")

    def draft_replacement(self, txid: str, rate: int) -> str:
        """A PSBT that replaces a sent transaction at `rate` satoshi a virtual byte."""
        return _text(self.call("psbtbumpfee", txid, {"fee_rate": rate}), "psbt")

    def lock(self, outpoints: Iterable[bytes]) -> None:
        """Keep these coins from being chosen; a restarted node has forgotten what was locked."""
        words = self.call("listlockunspent")
        with _reading("listlockunspent"):
            locked = {(each["txid"], each["vout"]) for each in words}
        places = [(displayed(each[:32]), int.from_bytes(each[32:], "little")) for each in outpoints]
        wanted = [{"txid": txid, "vout": vout} for txid, vout in places if (txid, vout) not in locked]
        for place in wanted:
            try:
                self.call("lockunspent", False, [place])
            except NodeError as error:
                if error.code is None:  # else it is spent already, or not the wallet's: nobody can choose it
                    raise

    def signed(self, psbt: str) -> str:
        """A PSBT with the wallet's signatures."""
        return _text(self.call("walletprocesspsbt", psbt), "psbt")

    def finalized(self, psbt: str) -> str | None:
        """The transaction of a PSBT as it is sent, hex; None while signatures are missing."""
        words = self.call("finalizepsbt", psbt)
        with _reading("finalizepsbt"):
            return bytes.fromhex(words["hex"]).hex() if words["complete"] else None

    def why_refused(self, raw: str) -> str | None:
        """Why a node would not take a transaction; None when it would."""
        words = self.call("testmempoolaccept", [raw])
        with _reading("testmempoolaccept"):
            return None if words[0]["allowed"] is True else str(words[0].get("reject-reason", "no reason given"))

    def send(self, raw: str) -> None:
        """Give a transaction to the network."""
        self.call("sendrawtransaction", raw)

    def seen(self, txid: str) -> Seen | None:
        """A transaction of this wallet; None when it knows none of this id."""
        try:
            words = self.call("gettransaction", txid)
        except NodeError as error:
            if error.code == _UNKNOWN:
                return None
            raise
        with _reading("gettransaction"):
            transaction = decode_transaction(bytes.fromhex(words["hex"]))
            return Seen(txid, int(words["confirmations"]), transaction, -satoshi(words.get("fee", 0.0)))

    def waits(self, txid: str) -> bool:
        """Whether a transaction is in the node's mempool."""
        try:
            self.call("getmempoolentry", txid)
        except NodeError as error:
            if error.code == _UNKNOWN:
                return False
            raise
        return True

    def spent_by(self) -> list[str]:
        """Every transaction that spent coins of this wallet and stands."""
        words = self.call("listsinceblock")
        with _reading("listsinceblock"):
            made = words["transactions"]
            standing = (each for each in made if each["category"] == "send" and each["confirmations"] >= 0)
            return [*dict.fromkeys(str(each["txid"]) for each in standing)]

    def owns(self, script: bytes) -> bool:
        """Whether an output with this script is the wallet's."""
        address = address_of(script, self._chain)
        if address is None:
            return False
        words = self.call("getaddressinfo", address)
        with _reading("getaddressinfo"):
            return words["ismine"] is True


def wallet_of(settings: Settings) -> NodeWallet:
    """The wallet that the settings name; `settings.payouts` is there."""
    payouts, chain = settings.payouts, settings.chain
    assert payouts is not None
    if payouts.node is None and not isinstance(chain, BitcoindChainSettings):
        url, credentials = f"http://127.0.0.1:{chain.peer_port}/", Credentials(user="demo", password="demo")  # noqa: S106
    else:
        node = payouts.node or chain.nodes[0]  # type: ignore[union-attr]
        url, credentials = node.url, credentials_of(node)
    return NodeWallet(url, credentials, payouts.wallet, chain.address_chain)


def address_of(script: bytes, chain: str) -> str | None:
    """The address of a script; None where it has none."""
    try:
        return str(Script(script).address(NETWORKS[chain]))
    except (ValueError, TypeError):
        return None


def satoshi(coins: float) -> int:
    """Satoshi of an amount as JSON has it."""
    return int((Decimal(repr(coins)) * COIN).to_integral_exact())


def _coins(amount: int) -> str:
    return f"{amount // COIN}.{amount % COIN:08d}"


@contextmanager
def _reading(method: str) -> Iterator[None]:
    """Take an answer apart: whatever is not as it should be is the node's fault."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise NodeError(Fault.NOT_JSON, f"{method} answers otherwise than a node does: {error!r}") from error


def _text(words: Any, name: str) -> str:
    if not isinstance(words, dict) or not isinstance(words.get(name), str):
        raise NodeError(Fault.NOT_JSON, f"the answer lacks {name}")
    return str(words[name])
