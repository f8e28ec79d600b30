"""Transactions and blocks as bytes: decode, compose, commit. Hashes are in internal byte order."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from embit import compact
from embit.base import EmbitError
from embit.transaction import Transaction as Decoder
from embit.transaction import TransactionInput

from tarazy.stratum.job import double_sha256, merkle_branch

HEADER_SIZE = 80
ANYONE_CAN_SPEND = b"\x00\x20" + sha256(b"\x51").digest()
"""P2WSH of the script OP_TRUE: any input with the witness `[OP_TRUE]` spends it."""

COMMITMENT_HEAD = bytes.fromhex("6a24aa21a9ed")
"""How the script of a witness commitment begins (BIP141)."""

_WITNESS_RESERVED = bytes(32)
_DECODE_ERRORS = (EmbitError, RuntimeError, ValueError, OverflowError, MemoryError)


@dataclass(frozen=True, slots=True)
class Input:
    """One input."""

    outpoint: bytes
    """36 bytes: txid, then the output's index in little-endian."""
    sequence: int
    script: bytes
    witness: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One output."""

    value: int
    """Satoshi."""
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A decoded transaction."""

    raw: bytes
    txid: bytes
    version: int
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    locktime: int


def block_hash(block: bytes) -> bytes:
    """Hash of a serialised block or header."""
    return double_sha256(block[:HEADER_SIZE])


def outpoint(txid: bytes, index: int) -> bytes:
    """The 36 bytes by which an input names the output it spends."""
    return txid + index.to_bytes(4, "little")


def _read(stream: io.BytesIO) -> Transaction:
    start = stream.tell()
    try:
        decoded = Decoder.read_from(stream)
    except _DECODE_ERRORS as error:
        raise ValueError("not a transaction") from error
    raw = stream.getvalue()[start : stream.tell()]
    if decoded.serialize() != raw:
        raise ValueError("not a transaction")
    return Transaction(
        raw=raw,
        txid=decoded.txid()[::-1],
        version=decoded.version,
        inputs=tuple(_input(each) for each in decoded.vin),
        outputs=tuple(Output(each.value, each.script_pubkey.data) for each in decoded.vout),
        locktime=decoded.locktime,
    )


def _input(decoded: TransactionInput) -> Input:
    return Input(
        outpoint=outpoint(decoded.txid[::-1], decoded.vout),
        sequence=decoded.sequence,
        script=decoded.script_sig.data,
        witness=tuple(decoded.witness.items),
    )


def decode_transaction(raw: bytes) -> Transaction:
    """Decode one transaction. Raises ValueError for bytes that are not exactly one."""
    transaction = _read(io.BytesIO(raw))
    if len(transaction.raw) != len(raw):
        raise ValueError("bytes behind the transaction")
    return transaction


def block_transactions(block: bytes) -> list[Transaction]:
    """The transactions of a serialised block, the coinbase first. Raises ValueError when undecodable."""
    stream = io.BytesIO(block)
    stream.seek(HEADER_SIZE)
    return [_read(stream) for _ in range(_count(stream))]


def block_coinbase(block: bytes) -> Transaction:
    """The coinbase of a serialised block. Raises ValueError when it cannot be decoded."""
    stream = io.BytesIO(block)
    stream.seek(HEADER_SIZE)
    if not _count(stream):
        raise ValueError("a block without transactions")
    return _read(stream)


def _count(stream: io.BytesIO) -> int:
    try:
        return int(compact.read_from(stream))
    except _DECODE_ERRORS as error:
        raise ValueError("not a block") from error


def push(data: bytes) -> bytes:
    """The script that pushes up to 75 bytes."""
    if len(data) > 75:
        raise ValueError(f"{len(data)} bytes do not fit a direct push")
    return bytes([len(data)]) + data


def height_push(height: int) -> bytes:
    """The height as it begins a coinbase's script (BIP34): OP_1 to OP_16, then minimal signed numbers."""
    if height <= 16:
        return bytes([0x50 + height]) if height else b"\x00"
    return push(height.to_bytes(height.bit_length() // 8 + 1, "little"))


def coinbase_height(coinbase: Transaction) -> int:
    """The height in a coinbase's script (BIP34). Raises ValueError when it does not begin with one."""
    script = coinbase.inputs[0].script
    height = script[0] - 0x50 if script[0] > 0x50 else int.from_bytes(script[1 : 1 + script[0]], "little")
    if not script.startswith(height_push(height)):
        raise ValueError("the coinbase does not begin with its height")
    return height


def witness_commitment(transactions: Iterable[bytes]) -> bytes:
    """Script of the commitment output (BIP141) for a block of these transactions behind its coinbase."""
    root = bytes(32)
    for element in merkle_branch([double_sha256(raw) for raw in transactions]):
        root = double_sha256(root + element)
    return COMMITMENT_HEAD + double_sha256(root + _WITNESS_RESERVED)


def coinbase_transaction(script: bytes, outputs: Iterable[Output], locktime: int) -> bytes:
    """A coinbase without witness; its input has `script` and sequence fffffffe, so that `locktime` counts."""
    written = [each.value.to_bytes(8, "little") + compact.to_bytes(len(each.script)) + each.script for each in outputs]
    return b"".join(
        (
            (2).to_bytes(4, "little") + b"\x01" + bytes(32) + b"\xff\xff\xff\xff",
            compact.to_bytes(len(script)) + script + b"\xfe\xff\xff\xff",
            compact.to_bytes(len(written)) + b"".join(written),
            locktime.to_bytes(4, "little"),
        )
    )


def assemble_block(header: bytes, coinbase: bytes, transactions: Sequence[bytes]) -> bytes:
    """A serialised block; the coinbase gets its witness, one item of 32 zero bytes."""
    if len(header) != HEADER_SIZE:
        raise ValueError(f"a header has {HEADER_SIZE} bytes, not {len(header)}")
    witness = b"\x01" + push(_WITNESS_RESERVED)
    complete = coinbase[:4] + b"\x00\x01" + coinbase[4:-4] + witness + coinbase[-4:]
    return b"".join((header, compact.to_bytes(1 + len(transactions)), complete, *transactions))
