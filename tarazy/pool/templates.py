"""From a template to a job, and from a solved job to a block."""

from __future__ import annotations

from embit.base import EmbitError
from embit.networks import NETWORKS
from embit.script import address_to_scriptpubkey

from tarazy.pool.chain.interface import Template
from tarazy.pool.chain.transactions import (
    COMMITMENT_HEAD,
    Output,
    assemble_block,
    coinbase_transaction,
    decode_transaction,
    height_push,
    push,
)
from tarazy.stratum.job import Job, merkle_branch

EXTRANONCE_BYTES = 12
"""extranonce1 and extranonce2 together."""
MAX_COINBASE_SCRIPT = 100
MAX_COINBASE_BYTES = 400
"""Larger coinbases are refused by some devices (C-109)."""

_INPUT_PREFIX = 4 + 1 + 36 + 1
"""Bytes before the input's script: version, count, outpoint, length."""
_OWN_BYTES = 9
"""The difficulty exponent and the job's number, which `Job.coinb1` puts in."""


class TemplateError(Exception):
    """A template or address that cannot be mined on; the text says why."""


def make_job(template: Template, *, number: int, payout_script: bytes, tag: bytes, clean: bool, mask: int) -> Job:
    """The job for `template`, whose coinbase pays everything to `payout_script`.

    The coinbase's script is the height (BIP34), `tag`, a byte for the difficulty exponent (invariant 11) and
    the extranonces. `mask`: the version bits miners may roll; the job sets none of them (C-069). Raises
    `TemplateError` when the chain requires one of them (C-099), or when the coinbase that was built is not what
    the template asks for.
    """
    if required := template.required_version_bits & mask:
        raise TemplateError(
            f"the chain requires version bits {required:08x}, which miners may roll by the mask {mask:08x}: "
            f"it must be {mask & ~required:08x}"
        )
    before = height_push(template.height) + push(tag) + bytes([_OWN_BYTES])
    behind = bytes([EXTRANONCE_BYTES])
    script = before + bytes(_OWN_BYTES) + behind + bytes(EXTRANONCE_BYTES)
    coinbase = coinbase_transaction(
        script,
        [Output(template.coinbase_value, payout_script), Output(0, template.witness_commitment)],
        template.height - 1,
    )
    _check(coinbase, template, payout_script)
    own_at = _INPUT_PREFIX + len(before)
    extranonce_at = _INPUT_PREFIX + len(script) - EXTRANONCE_BYTES
    return Job(
        number=number,
        height=template.height,
        previous_block_hash=template.previous_block_hash,
        version=template.version & ~mask,
        nbits=template.nbits,
        target=template.target,
        ntime=template.curtime,
        mintime=template.mintime,
        coinbase_head=coinbase[:own_at],
        coinbase_tail=coinbase[own_at + _OWN_BYTES : extranonce_at],
        coinbase_end=coinbase[extranonce_at + EXTRANONCE_BYTES :],
        branch=merkle_branch([each.txid for each in template.transactions]),
        clean=clean,
    )


def _check(coinbase: bytes, template: Template, payout_script: bytes) -> None:
    """Decode the bytes that were built and hold them against the template."""
    if len(coinbase) >= MAX_COINBASE_BYTES:
        raise TemplateError(f"the coinbase has {len(coinbase)} bytes; some devices take no {MAX_COINBASE_BYTES}")
    try:
        decoded = decode_transaction(coinbase)
    except ValueError as error:
        raise TemplateError(f"the coinbase that was built cannot be decoded: {error}") from error
    script = decoded.inputs[0].script
    total = sum(output.value for output in decoded.outputs)
    holds = {
        f"its script has at most {MAX_COINBASE_SCRIPT} bytes": len(script) <= MAX_COINBASE_SCRIPT,
        f"it begins with height {template.height}": script.startswith(height_push(template.height)),
        f"it pays out {template.coinbase_value} satoshi": total == template.coinbase_value,
        "it pays the pool": decoded.outputs[0].script == payout_script,
        "its last output is the witness commitment": decoded.outputs[-1] == Output(0, template.witness_commitment),
        "the commitment is one of BIP141": template.witness_commitment.startswith(COMMITMENT_HEAD),
    }
    if broken := [rule for rule, kept in holds.items() if not kept]:
        raise TemplateError(f"of the coinbase that was built it does not hold that {', that '.join(broken)}")


def serialize_block(header: bytes, coinbase: bytes, template: Template) -> bytes:
    """The block of a solved job: its 80-byte header, its coinbase (without witness) and the transactions."""
    return assemble_block(header, coinbase, [each.data for each in template.transactions])


def address_script(address: str, chain: str) -> bytes:
    """The output script of an address on `chain` (main, test, signet or regtest).

    Raises `TemplateError` for what is no address, or one of another chain.
    """
    if address.isupper():  # bech32 may be written so
        address = address.lower()
    try:
        script = address_to_scriptpubkey(address)
        belongs = script is not None and script.address(NETWORKS[chain]) == address
    except (EmbitError, ValueError, TypeError, IndexError, KeyError) as error:
        raise TemplateError(f"{address!r} is not a Bitcoin address") from error
    if not belongs:
        raise TemplateError(f"{address} is not an address of the {chain} chain; give one that is")
    return bytes(script.data)
