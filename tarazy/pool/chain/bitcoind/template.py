"""From getblocktemplate's words to a template (BIP22, BIP23, BIP9, BIP145): pure, and safe to run on any thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.interface import Template, TemplateTransaction

MAX_TRANSACTIONS = 100_000
MAX_BLOCK_BYTES = 4_000_000
MAX_VALUE = 21_000_000 * 100_000_000
"""All satoshi there will ever be."""

KNOWN_RULES = frozenset({"csv", "segwit", "taproot", "signet"})
ANYONES_SIGNET = "51"
"""The challenge of a signet whose blocks need no signature: OP_TRUE."""

_BITS_32 = (1 << 32) - 1


def parse_template(words: Any) -> Template:
    """The template in getblocktemplate's result. Raises `NodeError` (bad-template) when it cannot be mined on."""
    if not isinstance(words, dict):
        raise _refused("getblocktemplate answered no object")
    _check_rules(words)
    try:
        return _read(words)
    except KeyError as error:
        raise _refused(f"{error.args[0]} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise _refused(str(error)) from error


def long_poll_id(words: Any) -> str | None:
    """What to wait with for the next template (BIP22); None when the node offers no waiting."""
    name = words.get("longpollid") if isinstance(words, dict) else None
    return name if isinstance(name, str) and len(name) <= 1_000 else None


def _check_rules(words: Mapping[str, Any]) -> None:
    """BIP9: a rule marked `!` changes what a valid block is; who does not know it must not mine."""
    rules = words.get("rules", [])
    if not isinstance(rules, list):
        raise _refused("rules is no list")
    if unknown := [str(rule) for rule in rules if str(rule)[:1] == "!" and str(rule)[1:] not in KNOWN_RULES]:
        raise _refused(
            f"the chain has a rule this version does not know ({', '.join(unknown)}): update Tarazy before mining on"
        )
    if words.get("signet_challenge", ANYONES_SIGNET) != ANYONES_SIGNET:
        raise _refused("blocks of this signet need its signature; only a signet with the challenge 51 can be mined on")
    if "default_witness_commitment" not in words:
        raise _refused("default_witness_commitment is missing: the node did not accept the segwit rule")


def _read(words: Mapping[str, Any]) -> Template:
    nbits = int(words["bits"], 16)
    target = int(words["target"], 16)
    if not 0 < target <= target_of_nbits(nbits):
        raise ValueError(f"target {target:064x} does not belong to bits {nbits:08x}")
    required = _number(words, "vbrequired", _BITS_32) if "vbrequired" in words else 0
    curtime, mintime = _number(words, "curtime", _BITS_32), _number(words, "mintime", _BITS_32)
    if curtime < mintime:
        raise ValueError(f"curtime {curtime} is before mintime {mintime}")
    previous = bytes.fromhex(words["previousblockhash"])
    if len(previous) != 32:
        raise ValueError("previousblockhash is no block hash")
    return Template(
        height=_number(words, "height", _BITS_32 >> 1),
        previous_block_hash=previous[::-1],
        version=_number(words, "version", _BITS_32) | required,
        nbits=nbits,
        target=target,
        curtime=curtime,
        mintime=mintime,
        coinbase_value=_number(words, "coinbasevalue", MAX_VALUE),
        witness_commitment=bytes.fromhex(words["default_witness_commitment"]),
        transactions=_transactions(words["transactions"]),
        required_version_bits=required,
    )


def target_of_nbits(nbits: int) -> int:
    """The target that a header's compact form stands for; 0 for a form that stands for none."""
    size, mantissa = nbits >> 24, nbits & 0x7FFFFF
    return 0 if nbits & 0x800000 or size > 32 else mantissa << 8 * size >> 24


def _transactions(listed: Any) -> tuple[TemplateTransaction, ...]:
    if not isinstance(listed, list) or len(listed) > MAX_TRANSACTIONS:
        raise ValueError(f"transactions is no list of at most {MAX_TRANSACTIONS}")
    read = tuple(_each(listed))
    if sum(len(each.data) for each in read) > MAX_BLOCK_BYTES:
        raise ValueError("the transactions are larger than a block")
    return read


def _each(listed: Iterable[Any]) -> Iterable[TemplateTransaction]:
    unhex = bytes.fromhex
    for words in listed:
        txid = unhex(words["txid"])  # not `hash`, which covers the witness: the merkle tree is over txids
        if len(txid) != 32:
            raise ValueError("a txid is no hash")
        yield TemplateTransaction(unhex(words["data"]), txid[::-1], words.get("fee", 0))


def _number(words: Mapping[str, Any], name: str, most: int) -> int:
    value = words[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{name} is {str(value)[:40]}, not a number from 0 to {most}")
    return value


def _refused(text: str) -> NodeError:
    return NodeError(Fault.BAD_TEMPLATE, text)
