#!/usr/bin/env python3
"""Verifies what a Tarazy pool publishes, with nothing of the pool's own: one file, Python 3.11, no packages.

python3 tarazy_verify.py DIRECTORY|FILE --key 'pool.example+f3abc142+AZvQ…'

A directory is the export of a round or of the audit log, a file is a receipt or a report; `docs/verification.md` tells
the layouts, what is proven and what cannot be. Exit code 0: all is as it is said; 1: something is not, the first fault
is named; 2: called wrongly.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from itertools import pairwise
from multiprocessing.pool import Pool
from pathlib import Path
from struct import Struct
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple, TypeVar

SHARE = Struct(">QIQ8sIIIbB")
"""Instant in microseconds, name, job, extranonce2, ntime, nonce, version, difficulty exponent, verdict."""
HEADER = Struct("<I32s32sIII")
"""Version, block before, merkle root, ntime, nbits, nonce."""
ACCEPTED = 0
LOWEST, HIGHEST = -32, 64
VERSION_BITS = 0x1FFFE000
NTIME_AHEAD, CLOCK_AHEAD = 7000, 7200
SEGMENT_MOST = 1_000
TASK_SHARES = 20_000
HEAPS = 64
MILLION = 1_000_000
WHOLE = (0xFFFF << 208) << 32
"""Weight times target of all the work that a block is expected to take."""
REGTEST = 0x207FFFFF
LINE_MOST = 16 * 2**20
BRANCH_MOST, COINBASE_MOST = 16, 1_000_000
"""A block of 4,000,000 weight units has less than 2^16 transactions, and 1,000,000 bytes without witness."""
NOTHING = bytes(32)
GATEWAY = "0|[1-9][0-9]{0,2}"

T = TypeVar("T")
R = TypeVar("R")
Json = dict[str, Any]
Fields = tuple[int, int, int, bytes, int, int, int, int, int]
"""Of a share."""


class Fault(Exception):
    """Something is not as it is said."""


# Reading: whatever a file holds, the answer is a value or a Fault.


def integer(row: Json, name: str, bits: int = 64) -> int:
    value = row.get(name)
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise Fault(f"{name} is no number of {bits} bits")
    return value


def count(row: Json, name: str) -> int:
    """A number that is written as text, because it may be larger than JSON readers can hold."""
    value = row.get(name)
    if not isinstance(value, str) or not re.fullmatch(r"0|[1-9][0-9]{0,38}", value) or int(value) >> 128:
        raise Fault(f"{name} is no number of 128 bits in quotes")
    return int(value)


def text(row: Json, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise Fault(f"{name} is no text")
    return value


def data(row: Json, name: str, size: int | None = None) -> bytes:
    return unhex(row.get(name), name, size)


def unhex(value: object, name: str, size: int | None = None) -> bytes:
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or (size is not None and len(found) != size):
        raise Fault(f"{name} is not hex{'' if size is None else f' of {size} bytes'}")
    return found


def listed(row: Json, name: str) -> list[Any]:
    value = row.get(name)
    if not isinstance(value, list):
        raise Fault(f"{name} is no list")
    return value


def objects(row: Json, name: str) -> list[Json]:
    value = listed(row, name)
    if not all(isinstance(each, dict) for each in value):
        raise Fault(f"{name} is no list of objects")
    return value


def mapped(row: Json, name: str) -> Json:
    value = row.get(name)
    if not isinstance(value, dict):
        raise Fault(f"{name} is no object")
    return value


def parsed(source: str | bytes, name: str) -> Json:
    try:
        value = json.loads(source)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Fault(f"{name} is no JSON object")
    return value


def content(path: Path) -> str:
    try:
        with opened(path) as file:
            return file.read().decode()
    except OSError as error:
        raise Fault(f"{path.name} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise Fault(f"{path.name} is no UTF-8 text") from None


def opened(path: Path) -> IO[bytes]:
    """A file to read. A pipe or a device in its place could be waited for, or read, for ever."""
    if path.exists() and not path.is_file():
        raise Fault(f"{path.name} is no file")
    return path.open("rb")


def lines(path: Path) -> Iterator[Json]:
    return lines_as(path, lambda row: row)


def lines_as(path: Path, read: Callable[[Json], R]) -> Iterator[R]:
    """What the lines of a file are read as; a fault names the line."""
    try:
        with opened(path) as file:
            number = 0
            while line := file.readline(LINE_MOST):
                number += 1
                with named(f"{path.name}, line {number}"):
                    value = read(parsed(line, "it"))
                yield value
    except OSError as error:
        raise Fault(f"{path.name} cannot be read ({error.strerror})") from None


@contextmanager
def named(place: str) -> Iterator[None]:
    """Let faults name where they were found."""
    try:
        yield
    except Fault as fault:
        raise Fault(f"{place}: {fault}") from None


# Ed25519 (RFC 8032), verification only.

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
"""Extended coordinates."""


def added(a: Point, b: Point) -> Point:
    m, n = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    o, p = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = n - m, p - o, p + o, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar: int, point: Point) -> Point:
    made: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            made = added(made, point)
        point = added(point, point)
        scalar >>= 1
    return made


def decompressed(raw: bytes) -> Point | None:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decompressed((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signed_by(key: bytes, message: bytes, signature: bytes) -> bool:
    if len(key) != 32 or len(signature) != 64 or BASE is None:
        return False
    a, r, s = decompressed(key), decompressed(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % Q
    left, right = times(s, BASE), added(r, times(k, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 == (left[1] * right[2] - right[1] * left[2]) % P


# Signed heads: the checkpoint of a transparency log in a signed note (C2SP).


class Key(NamedTuple):
    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n\x01" + self.key).digest()[:4]

    def of(self, part: str) -> Key:
        """The same key, as it signs a part of the log of its own."""
        return Key(f"{self.name}/{part}", self.key)


def read_key(told: str) -> Key:
    try:
        name, digits, encoded = told.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        key = Key(name, raw[1:])
        if raw[:1] == b"\x01" and len(raw) == 33 and digits == key.id.hex():
            return key
    except ValueError:
        pass
    raise Fault(f"{told.strip()[:100]!r} is no verifier key (name+hash+key)")


class Head(NamedTuple):
    name: str
    size: int
    root: bytes
    at: str


NOTE = re.compile(
    r"(?P<text>(?P<name>[^\s+\x00-\x20]{1,200})\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"at (?P<at>[0-9TZ:.-]{27})\n)\n"
    r"(?P<signatures>(?:\N{EM DASH} [^\s+\x00-\x20]{1,200} [A-Za-z0-9+/=]{1,8000}\n){1,16})"
)


def read_note(note: str, keys: Sequence[Key], name: str) -> Head:
    found = NOTE.fullmatch(note)
    if found is None:
        raise Fault(f"{name} is no signed head")
    for line in found["signatures"].splitlines():
        _, signer, encoded = line.split(" ")
        try:
            raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            raise Fault(f"{name} has a signature that is no Base64") from None
        for key in keys:
            if key.name == signer == found["name"] and raw[:4] == key.id:
                if not signed_by(key.key, found["text"].encode(), raw[4:]):
                    raise Fault(f"the signature of {name} does not fit: the head was forged or changed")
                return Head(signer, int(found["size"]), base64.b64decode(found["root"]), found["at"])
    raise Fault(f"{name} is signed by none of the keys given")


# Hash trees. In all of them the tree over n leaves splits at the largest power of two below n.


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A root over leaves that come one after the other."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        self.size = size
        self.full = list(hashes)
        if len(self.full) != size.bit_count():
            raise Fault(f"a tree of {size} leaves has other full subtrees")

    def add(self, leaf: bytes) -> list[bytes]:
        """The hashes of the full trees that it completes, its own first."""
        made, index = [leaf], self.size
        self.size += 1
        while index & 1:
            made.append(node(self.full.pop(), made[-1]))
            index >>= 1
        self.full.append(made[-1])
        return made

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add many, a level at a time."""
        level, full, size = list(leaves), [], self.size
        self.size += len(level)
        while size or level:
            if size & 1:
                level.insert(0, self.full.pop())
            if len(level) & 1:
                full.append(level.pop())
            level = paired(level)
            size >>= 1
        self.full = full[::-1]

    def root(self) -> bytes:
        if not self.full:
            return sha256().digest()
        root = self.full[-1]
        for left in reversed(self.full[:-1]):
            root = node(left, root)
        return root


def paired(level: Sequence[bytes]) -> list[bytes]:
    """The nodes over pairs of a level; an odd one at its end is left out."""
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]


def root_of(leaves: Sequence[bytes]) -> bytes:
    level = list(leaves)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = paired(level) + odd
    return level[0] if level else sha256().digest()


def in_tree(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    last, made = size - 1, leaf
    for sibling in path:
        while index == last and not index & 1 and last:
            index, last = index >> 1, last >> 1
        if last == 0:
            return False
        made = node(sibling, made) if index & 1 else node(made, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and made == root


class Sum(NamedTuple):
    hash: bytes
    weight: int
    credit: int

    def packed(self) -> bytes:
        return self.hash + self.weight.to_bytes(16, "big") + self.credit.to_bytes(8, "big")


def sum_leaf(commit: bytes, weight: int, credit: int, fee_ppm: int) -> Sum:
    packed = Sum(commit, weight, credit).packed() + fee_ppm.to_bytes(4, "big")
    return Sum(sha256(b"\x00" + packed).digest(), weight, credit)


def sum_node(left: Sum, right: Sum) -> Sum:
    weight, credit = left.weight + right.weight, left.credit + right.credit
    if weight >> 128 or credit >> 64:
        raise Fault("the sums of the sum tree overflow")
    return Sum(sha256(b"\x01" + left.packed() + right.packed()).digest(), weight, credit)


def sum_root(leaves: Sequence[Sum]) -> Sum:
    level = list(leaves)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [sum_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)] + odd
    return level[0] if level else Sum(sha256().digest(), 0, 0)


# Bitcoin.


def double(raw: bytes) -> bytes:
    return sha256(sha256(raw).digest()).digest()


def target_of(exponent: int) -> int:
    if exponent >= 0:
        return 0xFFFF << 208 >> exponent
    return min(0xFFFF << 208 << -exponent, (1 << 256) - 1)


def block_target(nbits: int) -> int:
    size, mantissa = nbits >> 24, nbits & 0x7FFFFF
    return mantissa << 8 * (size - 3) if size > 3 else mantissa >> 8 * (3 - size)


TARGETS = [target_of(exponent) for exponent in range(LOWEST, HIGHEST + 1)]


def subsidy(height: int, nbits: int) -> int:
    """What a block may create; regtest is known by its difficulty, which no other network has."""
    halvings = height // (150 if nbits == REGTEST else 210_000)
    return 5_000_000_000 >> halvings if halvings < 64 else 0


class Worth(NamedTuple):
    """What a share of weight 1 is paid by under FPPS, but for the average fee."""

    target: int
    subsidy: int


class Coinbase(NamedTuple):
    script: bytes
    script_end: int
    outputs: list[tuple[int, bytes]]


class Raw:
    """A transaction, read from its beginning; raises Fault where it ends too early or too late."""

    def __init__(self, raw: bytes, name: str) -> None:
        self.raw = raw
        self.name = name
        self.at = 0

    def take(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self.raw):
            raise Fault(f"{self.name} is cut off")
        return self.raw[self.at - size : self.at]

    def size(self) -> int:
        first = self.take(1)[0]
        return first if first < 0xFD else int.from_bytes(self.take(2 << first - 0xFD), "little")

    def outputs(self) -> list[tuple[int, bytes]]:
        return [(int.from_bytes(self.take(8), "little"), self.take(self.size())) for _ in range(self.size())]

    def end(self) -> None:
        if self.at != len(self.raw):
            raise Fault(f"bytes stand behind {self.name}")


def read_coinbase(raw: bytes) -> Coinbase:
    """A coinbase without witness. Raises Fault."""
    read = Raw(raw, "the coinbase")
    read.take(4)
    if read.size() != 1 or read.take(36) != bytes(32) + b"\xff" * 4:
        raise Fault("the coinbase is none")
    script = read.take(read.size())
    end = read.at
    read.take(4)
    outputs = read.outputs()
    read.take(4)
    read.end()
    return Coinbase(script, end, outputs)


class Transaction(NamedTuple):
    txid: str
    outputs: list[tuple[int, bytes]]
    confirmed: bool

    def pays(self, script: bytes) -> int:
        return sum(value for value, to in self.outputs if to == script)


def read_transaction(row: Json) -> Transaction:
    """A signed transaction, with witness or without."""
    told = text(row, "txid")[:64]
    raw = data(row, "raw")
    read = Raw(raw, f"transaction {told}")
    version = read.take(4)
    witness = raw[4:6] == b"\x00\x01" and bool(read.take(2))
    begin = read.at
    inputs = read.size()
    for _ in range(inputs):
        read.take(36)
        read.take(read.size())
        read.take(4)
    outputs = read.outputs()
    body = raw[begin : read.at]
    for _ in range(inputs if witness else 0):
        for _ in range(read.size()):
            read.take(read.size())
    locktime = read.take(4)
    read.end()
    txid = double(version + body + locktime)[::-1].hex()
    if txid != told:
        raise Fault(f"transaction {told} is in fact {txid}: it was changed")
    return Transaction(txid, outputs, row.get("confirmed") is True)


# The records of an export.


class Job(NamedTuple):
    number: int
    previous: bytes
    version: int
    nbits: int
    ntime: int
    mintime: int
    head: bytes
    tail: bytes
    end: bytes
    branch: tuple[bytes, ...]
    digest: bytes
    worth: Worth

    def coinb1(self, exponent: int) -> bytes:
        return self.head + bytes([exponent - LOWEST]) + self.number.to_bytes(8, "big") + self.tail


JOB = Struct(">QI32sIIII")
NAME = Struct(">BIQ4sQ32s")


def read_job(row: Json) -> Job:
    number, height = integer(row, "job"), integer(row, "height", 32)
    previous = data(row, "previous_block_hash", 32)
    version, nbits, ntime, mintime = (integer(row, each, 32) for each in ("version", "nbits", "ntime", "mintime"))
    head, tail, end = (data(row, each) for each in ("coinbase_head", "coinbase_tail", "coinbase_end"))
    branch = tuple(unhex(each, "branch", 32) for each in listed(row, "branch"))
    if len(branch) > BRANCH_MOST or len(head) + len(tail) + len(end) > COINBASE_MOST:
        raise Fault(f"job {number:016x} is larger than a block allows")
    raw = JOB.pack(number, height, previous, version, nbits, ntime, mintime)
    for part in (head, tail, end, b"".join(branch)):
        raw += len(part).to_bytes(4, "big") + part
    digest, worth = sha256(b"\x13" + raw).digest(), Worth(block_target(nbits), subsidy(height, nbits))
    return Job(number, previous, version, nbits, ntime, mintime, head, tail, end, branch, digest, worth)


class Name(NamedTuple):
    extranonce1: bytes
    at_us: int
    alias: bytes
    digest: bytes


def read_name(gateway: int, row: Json, alias: bytes) -> Name:
    number, connection, at_us = integer(row, "name", 32), integer(row, "connection"), integer(row, "at_us")
    extranonce1 = data(row, "extranonce1", 4)
    raw = NAME.pack(gateway, number, connection, extranonce1, at_us, alias)
    return Name(extranonce1, at_us, alias, sha256(b"\x12" + raw).digest())


class Segment(NamedTuple):
    first: int
    last: int
    root: bytes


def read_segment(row: Json) -> Segment:
    segment = Segment(integer(row, "first"), integer(row, "last"), data(row, "root", 32))
    if not segment.first <= segment.last < segment.first + SEGMENT_MOST:
        raise Fault(f"a segment of shares {segment.first} to {segment.last}")
    return segment


def next_head(before: bytes, segment: Segment) -> bytes:
    ends = segment.first.to_bytes(8, "big") + segment.last.to_bytes(8, "big")
    return sha256(b"\x02" + before + segment.root + ends).digest()


def chain(gateway: str, told: Json, segments: Sequence[Segment]) -> tuple[list[bytes], int]:
    """The heads behind each segment, and how many numbers have no share. Raises Fault."""
    after, until = integer(told, "after"), integer(told, "until")
    missing = {
        tuple(each)
        for each in listed(told, "missing")
        if isinstance(each, list) and all(type(number) is int for number in each)
    }
    head, last, heads, gaps = data(told, "before", 32), after, [], []
    for segment in segments:
        if segment.first <= last:
            raise Fault(f"gateway {gateway}: shares {segment.first} to {segment.last} stand behind share {last}")
        if segment.first > last + 1:
            gaps.append((last + 1, segment.first - 1))
        head = next_head(head, segment)
        heads.append(head)
        last = segment.last
    if last > until:
        raise Fault(f"gateway {gateway}: share {last} lies behind the cut at {until}")
    if last < until:
        gaps.append((last + 1, until))
    for gap in gaps:
        if gap not in missing:
            raise Fault(f"gateway {gateway}: a gap: shares {gap[0]} to {gap[1]} are not there")
    if head != data(told, "head", 32):
        raise Fault(f"gateway {gateway}: the segments do not lead to the head of the record: one was changed")
    return heads, sum(end - begin + 1 for begin, end in gaps)


# The shares, many processes at once.


class Gateway(NamedTuple):
    """What shares of a gateway are looked at with."""

    number: int
    path: str
    names: dict[int, Name]
    jobs: dict[int, Job]


class Task(NamedTuple):
    base: str
    """Of the files: gateway-1, window-1."""
    segments: list[Segment]
    offset: int


class Done(NamedTuple):
    faults: dict[int, str]
    """By check, the first of each."""
    hashes: list[bytes]
    """In heaps by their first byte."""
    work: dict[tuple[bytes, Worth], int]
    """By alias and worth."""
    shares: int
    accepted: int


_gateways: dict[str, Gateway] = {}


def _prepare(gateways: dict[str, Gateway]) -> None:
    _gateways.clear()
    _gateways.update(gateways)


def work(task: Task) -> Done:
    """Hash the shares of some segments again."""
    gateway = _gateways[task.base]
    looked = Looked(gateway)
    total = 0
    with open(gateway.path, "rb") as file:
        file.seek(task.offset)
        for segment in task.segments:
            size = segment.last - segment.first + 1
            packed = file.read(size * SHARE.size)
            if len(packed) != size * SHARE.size:
                looked.faults.setdefault(1, f"gateway {gateway.number}: shares are missing at the end of the file")
                break
            looked.segment(segment, packed)
            total += size
    heaps = [b"".join(heap) for heap in looked.heaps]
    return Done(looked.faults, heaps, looked.work, total, sum(map(len, looked.heaps)))


class Looked:
    """What some shares of a gateway come to."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.faults: dict[int, str] = {}
        self.heaps: list[list[bytes]] = [[] for _ in range(HEAPS)]
        self.work: dict[tuple[bytes, Worth], int] = {}
        """By alias and worth."""

    def segment(self, segment: Segment, packed: bytes) -> None:
        names, jobs = self.gateway.names, self.gateway.jobs
        bound: dict[tuple[int, int], bytes] = {}
        accepted: dict[int, list[tuple[int, Fields]]] = {}
        leaves, at = [], 0
        for sequence, fields in enumerate(SHARE.iter_unpack(packed), segment.first):
            own = fields[1], fields[2]
            if own not in bound:
                name, job = names.get(own[0]), jobs.get(own[1])
                if name is None or job is None:
                    self.fault(1, sequence, f"the export has no record of its {'job' if name else 'connection'}")
                bound[own] = name.digest + job.digest if name and job else b""
            share = packed[at : at + SHARE.size]
            leaves.append(sha256(b"\x00" + sequence.to_bytes(8, "big") + share + bound[own]).digest())
            at += SHARE.size
            if fields[8] == ACCEPTED and bound[own]:
                accepted.setdefault(own[1], []).append((sequence, fields))
        if root_of(leaves) != segment.root:
            told = f"shares {segment.first} to {segment.last} are not those in the chain"
            why = "one was altered, removed, added, moved or booked to another"
            self.faults.setdefault(1, f"gateway {self.gateway.number}: {told}: {why}")
        for number, shares in accepted.items():
            self.accepted(jobs[number], shares)

    def accepted(self, job: Job, shares: list[tuple[int, Fields]]) -> None:
        """Hash the shares of a job again, a level of its branch for all of them after the other."""
        begun: dict[tuple[int, int], bytes] = {}
        counted: dict[tuple[int, int], int] = {}
        fit, roots = [], []
        for sequence, fields in shares:
            own = number, exponent = fields[1], fields[7]
            if own not in begun:
                if not LOWEST <= exponent <= HIGHEST:
                    self.fault(2, sequence, f"no difficulty is 2^{exponent}")
                    continue
                begun[own] = job.coinb1(exponent) + self.gateway.names[number].extranonce1
            counted[own] = counted.get(own, 0) + 1
            fit.append((sequence, fields))
            roots.append(sha256(sha256(begun[own] + fields[3] + job.end).digest()).digest())
        for element in job.branch:
            roots = [sha256(sha256(root + element).digest()).digest() for root in roots]
        for root, (sequence, fields) in zip(roots, fit, strict=True):
            self.header(sequence, fields, job, root)
        for (number, exponent), count_ in counted.items():
            of = self.gateway.names[number].alias, job.worth
            self.work[of] = self.work.get(of, 0) + (count_ << exponent - LOWEST)

    def header(self, sequence: int, fields: Fields, job: Job, root: bytes) -> None:
        at_us, number, _, _, ntime, nonce, version, exponent, _ = fields
        header = HEADER.pack(version, job.previous, root, ntime, job.nbits, nonce)
        hash_ = sha256(sha256(header).digest()).digest()
        if int.from_bytes(hash_, "little") > TARGETS[exponent - LOWEST]:
            self.fault(2, sequence, f"its hash does not meet difficulty 2^{exponent}, at which it is booked")
        elif not job.mintime <= ntime <= job.ntime + NTIME_AHEAD:
            self.fault(2, sequence, "its ntime lies outside of its job's bounds")
        elif (ntime - CLOCK_AHEAD) * MILLION > at_us:
            self.fault(2, sequence, "its ntime lies too far in the future")
        elif (version ^ job.version) & ~VERSION_BITS:
            self.fault(2, sequence, "its version differs outside of the bits that miners may roll")
        if self.gateway.names[number].at_us > at_us:
            self.fault(3, sequence, "its name was admitted after it")
        self.heaps[hash_[0] * HEAPS >> 8].append(hash_)

    def fault(self, check: int, sequence: int, told: str) -> None:
        self.faults.setdefault(check, f"gateway {self.gateway.number}, share {sequence}: {told}")


# Verifying.


class Report:
    """What was looked at: a line each."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.checks: list[Json] = []

    def say(self, check: str, fine: bool, told: str) -> None:
        told = printable(told)
        self.checks.append({"check": check, "fine": fine, "told": told})
        if not self.as_json:
            print(f"{check:<14} {'fine ' if fine else 'FAULT'} {told}", flush=True)

    def look(self, check: str, look: Callable[[Round], str], seen: Round) -> None:
        """Do one check. Raises its Fault."""
        try:
            told = look(seen)
        except Fault as fault:
            self.say(check, False, str(fault))
            raise
        self.say(check, True, told)

    def note(self, told: str) -> None:
        print(f"note: {told}", file=sys.stderr)


def printable(told: str) -> str:
    """What can be shown on any terminal: control characters of an export are told, not carried out."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in told)


def progress(done: int, of: int, began: float) -> None:
    """A bar on a terminal, with the time that is left."""
    if sys.stderr.isatty():
        left = (time.monotonic() - began) * (of - done) / max(done, 1)
        bar = "#" * (30 * done // max(of, 1))
        print(f"\r[{bar:<30}] {done:,} of {of:,} shares, {left:.0f} s left\033[K", end="", file=sys.stderr, flush=True)
        if done >= of:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


PROP, SOLO, PPLNS, FPPS = "prop", "solo", "pplns", "fpps"


def scheme_of(record: Json) -> str:
    name = text(record, "scheme")
    if name not in (PROP, SOLO, PPLNS, FPPS):
        raise Fault(f"scheme {name[:40]!r} is none that this verifier knows")
    return name


class Part(NamedTuple):
    """What a party is credited."""

    commit: bytes
    alias: bytes
    weight: int
    credit: int
    fee_ppm: int

    @property
    def shown(self) -> str:
        return self.commit.hex()[:16]


def read_part(row: Json) -> Part:
    weight, credit, fee_ppm = count(row, "weight"), integer(row, "credit"), integer(row, "fee_ppm", 20)
    return Part(data(row, "commit", 32), data(row, "alias", 32), weight, credit, fee_ppm)


def due(record: Json, who: str, weight: int, total: int, fee_ppm: int) -> tuple[int, int]:
    """Credit and fee of a part, rounded down; the fee is 0 where one is taken from the whole."""
    reward = integer(record, "reward")
    if not total:
        raise Fault(f"party {who} has a part, though nobody did any work")
    if record.get("own_fees") is True:
        gross = reward * weight // total
        fee = gross * fee_ppm // MILLION
        return gross - fee, fee
    if fee_ppm != integer(record, "fee_ppm", 20):
        raise Fault(f"party {who}: a fee of {fee_ppm} ppm, where all pay {record['fee_ppm']}")
    return (reward - whole_fee(record)) * weight // total, 0


def paid_by_share(record: Json, who: str, work: dict[Worth, int], fee_ppm: int) -> tuple[int, int]:
    """Credit and fee of a part by FPPS: its work by what it is worth, each rounded down."""
    if record.get("own_fees") is not True and fee_ppm != integer(record, "fee_ppm", 20):
        raise Fault(f"party {who}: a fee of {fee_ppm} ppm, where all pay {record['fee_ppm']}")
    average = integer(record, "average_fee")
    owed = sum((worth.subsidy + average) * weight * worth.target // WHOLE for worth, weight in work.items())
    fee = owed * fee_ppm // MILLION
    return owed - fee, fee


def read_work(row: Json) -> dict[Worth, int]:
    work: dict[Worth, int] = {}
    for each in objects(row, "work"):
        work[Worth(int.from_bytes(data(each, "target", 32), "big"), integer(each, "subsidy"))] = count(each, "weight")
    return work


def whole_fee(record: Json) -> int:
    return integer(record, "reward") * integer(record, "fee_ppm", 20) // MILLION


def audited(proof: Json, record: str, keys: Sequence[Key]) -> str:
    """That a record lies in the signed audit log; says where."""
    row = mapped(proof, "row")
    if row.get("kind") != "round_proof" or row.get("body") != record:
        raise Fault("the record is not the one in the audit log")
    return in_log(proof, keys)


def in_log(proof: Json, keys: Sequence[Key]) -> str:
    """That the row of a proof lies in the signed audit log; says where."""
    row = mapped(proof, "row")
    head = read_note(text(proof, "note"), keys, "the head of the audit log")
    path = [unhex(each, "path", 32) for each in listed(proof, "path")]
    sequence = integer(row, "sequence")
    if not in_tree(audit_leaf(row), sequence - 1, head.size, path, head.root):
        raise Fault(f"row {sequence} does not lie in the head of the audit log")
    return f"row {sequence} of the audit log, whose head {head.name} signed at {head.at}"


def audit_leaf(row: Json) -> bytes:
    def canonical(part: Json) -> str:
        return json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    ahead = canonical({"account": row.get("account"), "at": text(row, "at")})
    behind = canonical({"kind": text(row, "kind"), "party": row.get("party"), "sequence": integer(row, "sequence")})
    return sha256(b"\x00" + f'{ahead[:-1]},"body":{text(row, "body")},{behind[1:]}'.encode()).digest()


# A round. Each `look_…` is one check: what it found in words, or a Fault.


class Round:
    """An export, and what the checks so far have read of it."""

    def __init__(self, directory: Path, keys: Sequence[Key], script: bytes | None, processes: int) -> None:
        self.directory = directory
        self.keys = keys
        self.script = script
        """The pool's, from who asks."""
        self.processes = processes
        self.open = ExitStack()
        """What is to be closed in the end."""
        self.heaps = [self.open.enter_context(TemporaryFile()) for _ in range(HEAPS)]  # noqa: SIM115
        """The hashes of the accepted shares, by their first byte."""
        self.pool: Pool | None = None
        self.record: Json = {}
        self.told_gateways: dict[int, Json] = {}
        self.gateways: dict[str, Gateway] = {}
        """Of the round and of its window, by the base of their files."""
        self.segments: dict[str, list[Segment]] = {}
        self.window: Json | None = None
        """Of PPLNS, where the record has one."""
        self.chained = 0
        self.missing = 0
        self.faults: dict[int, str] = {}
        """Of the shares, by check, the first of each."""
        self.work: dict[bytes, dict[Worth, int]] = {}
        """By alias and worth."""
        self.accepted = 0
        self.parts: list[Part] = []

    @property
    def payee(self) -> bytes:
        return self.script or data(self.record, "script")

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """What a function makes of items, in their order, by processes that know the gateways."""
        if self.processes == 1:
            _prepare(self.gateways)
            return map(function, items)
        if self.pool is None:
            made = multiprocessing.get_context("spawn").Pool(self.processes, _prepare, (self.gateways,))
            self.pool = self.open.enter_context(made)
        return self.pool.imap(function, items)

    def file(self, name: str) -> Json:
        return parsed(content(self.directory / name), name)


def verify_round(directory: Path, keys: Sequence[Key], script: bytes | None, report: Report, processes: int) -> None:
    """All checks of a round, one line each. Raises Fault behind the line of the first that fails."""
    seen = Round(directory, keys, script, processes)
    with seen.open:
        for name, look in CHECKS:
            report.look(name, look, seen)


def look_record(seen: Round) -> str:
    told = content(seen.directory / "round.json")
    record = seen.record = parsed(told, "round.json")
    proof = seen.file("audit.json")
    with named("audit.json"):
        where = audited(proof, told, seen.keys)
    for name, value in mapped(record, "gateways").items():
        if not re.fullmatch(GATEWAY, name) or int(name) > 255 or not isinstance(value, dict):
            raise Fault("gateways names no gateways")
        seen.told_gateways[int(name)] = value
    return f"round {integer(record, 'round')} is {where}"


def look_chain(seen: Round) -> str:
    read_gateways(seen)
    hash_shares(seen)
    gaps = f", {seen.missing} numbers without a share, as the record says" if seen.missing else ""
    count_ = sum(map(len, seen.segments.values()))
    held = f"{seen.chained} shares in {count_} segments of {len(seen.told_gateways)} gateways"
    return fine(seen, 1, f"{held} lead from head to head{gaps}")


def read_gateways(seen: Round) -> None:
    """Their chains, names and jobs, all but the shares."""
    for gateway, told in seen.told_gateways.items():
        heads = read_span(seen, gateway, f"gateway-{gateway}", told)
        look_note(seen, gateway, heads)
    if seen.record.get("window") is not None:
        read_window(seen)


def read_span(seen: Round, gateway: int, name: str, told: Json) -> dict[int, bytes]:
    """Some shares of a gateway: their chain, names and jobs; the heads by the last share before each."""
    base = seen.directory / name
    segments = list(lines_as(base.with_suffix(".segments.jsonl"), read_segment))
    heads, gaps = chain(str(gateway), told, segments)
    size = sum(each.last - each.first + 1 for each in segments)
    seen.segments[name] = segments
    seen.gateways[name] = read_gateway(gateway, base, size)
    seen.missing += gaps
    seen.chained += size
    return dict(zip((segment.last for segment in segments), heads, strict=True))


def read_window(seen: Round) -> None:
    """The work before the round that its window reaches; it leads to where the round begins."""
    told = content(seen.directory / "window.json")
    if sha256(told.encode()).hexdigest() != text(mapped(seen.record, "window"), "digest"):
        raise Fault("window.json is not the window that the record was made with")
    window = seen.window = parsed(told, "window.json")
    for name, ends in mapped(window, "gateways").items():
        begin = seen.told_gateways.get(int(name)) if re.fullmatch(GATEWAY, name) else None
        if begin is None or not isinstance(ends, dict):
            raise Fault("the window names no gateways")
        if ends.get("until") != begin.get("after") or ends.get("head") != begin.get("before"):
            raise Fault(f"gateway {name}: the window does not lead to where the round begins")
        read_span(seen, int(name), f"window-{name}", ends)


def look_note(seen: Round, gateway: int, heads: dict[int, bytes]) -> None:
    """That the head that a gateway signed is one of the chain."""
    note = seen.directory / f"gateway-{gateway}.note"
    if note.exists():
        of_gateway = [key.of(f"gateway-{gateway}") for key in seen.keys]
        head = read_note(content(note), of_gateway, f"the head of gateway {gateway}")
        if heads.get(head.size) != head.root:
            raise Fault(f"gateway {gateway}: the chain does not have the head that was signed at {head.at}")


def read_gateway(gateway: int, base: Path, size: int) -> Gateway:
    """A gateway's names and jobs, and where its shares are; there are as many as the chain has."""
    file = base.with_suffix(".shares")
    if not file.is_file() or file.stat().st_size != size * SHARE.size:
        raise Fault(f"{file.name} does not hold the {size} shares that the chain has")
    names: dict[int, Name] = {}

    def take(row: Json) -> None:
        made = read_name(gateway, row, data(row, "alias", 32))
        if names.setdefault(integer(row, "name", 32), made) != made:
            raise Fault(f"gateway {gateway}: two records of name {row['name']}")

    for _ in lines_as(base.with_suffix(".names.jsonl"), take):
        pass
    jobs = {job.number: job for job in lines_as(base.with_suffix(".jobs.jsonl"), read_job)}
    return Gateway(gateway, str(file), names, jobs)


def hash_shares(seen: Round) -> None:
    """Hash all shares again; their hashes go into the heaps, what is wrong with them into the faults."""
    todo = list(tasks(seen.segments))
    seen.processes = max(1, min(seen.processes, len(todo)))
    done, began = 0, time.monotonic()
    for task, result in zip(todo, seen.each(work, todo), strict=True):
        done += result.shares
        progress(done, seen.chained, began)
        for number, fault in result.faults.items():
            seen.faults.setdefault(number, fault)
        if task.base.startswith("window"):
            continue
        for heap, hashes in zip(seen.heaps, result.hashes, strict=True):
            heap.write(hashes)
        for (alias, worth), weight in result.work.items():
            own = seen.work.setdefault(alias, {})
            own[worth] = own.get(worth, 0) + weight
        seen.accepted += result.accepted


def fine(seen: Round, check: int, told: str) -> str:
    """What is told where the shares have no fault of that check. Raises it."""
    if check in seen.faults:
        raise Fault(seen.faults[check])
    return told


def look_shares(seen: Round) -> str:
    jobs = [job for gateway in seen.gateways.values() for job in gateway.jobs.values()]
    for job in jobs:
        look_job(job, seen.payee)
    done = f"{seen.accepted} accepted shares of {len(jobs)} jobs"
    return fine(seen, 2, f"{done} meet the difficulty inside their coinbase")


def look_connections(seen: Round) -> str:
    names = sum(len(gateway.names) for gateway in seen.gateways.values())
    return fine(seen, 3, f"{names} names were admitted before their work")


def look_unique(seen: Round) -> str:
    record, tree = seen.record, Tree()
    for leaves in seen.each(leaves_of, map(drained, seen.heaps)):
        tree.extend([leaves[i : i + 32] for i in range(0, len(leaves), 32)])
    if tree.size != integer(record, "shares"):
        raise Fault(f"{tree.size} accepted shares are there, the record says {record['shares']}")
    if tree.root() != data(record, "share_root", 32):
        raise Fault("the accepted shares are not those that the record was made of")
    return f"{tree.size} different hashes make the root of the shares"


def drained(heap: IO[bytes]) -> bytes:
    heap.seek(0)
    return heap.read()


def leaves_of(heap: bytes) -> bytes:
    """The leaves over hashes in their order, joined. Raises Fault where one is there twice."""
    hashes = sorted(heap[i : i + 32] for i in range(0, len(heap), 32))
    for one, other in pairwise(hashes):
        if one == other:
            raise Fault(f"the share with the hash {one[::-1].hex()} is there twice")
    return b"".join([sha256(b"\x00" + hash_).digest() for hash_ in hashes])


def look_cut(seen: Round) -> str:
    record = seen.record
    if record.get("previous") is None:
        if integer(record, "first_round") == 1 and not any(g["after"] for g in seen.told_gateways.values()):
            return "the first round; nothing came before"
        return "no earlier round has a record, so nothing is said of shares before this one"
    told = content(seen.directory / "previous.json")
    if sha256(told.encode()).hexdigest() != text(mapped(record, "previous"), "digest"):
        raise Fault("previous.json is not the record that this one follows")
    before = parsed(told, "previous.json")
    last, first = integer(before, "round"), integer(record, "first_round")
    if last >= first:
        raise Fault(f"round {last} ends, and round {first} begins")
    ended = mapped(before, "gateways")
    for name in {*ended, *mapped(record, "gateways")}:
        end = mapped(ended, name) if name in ended else {"until": 0, "head": NOTHING.hex()}
        begin = seen.told_gateways.get(int(name)) if re.fullmatch(GATEWAY, name) else None
        next_ = last + 1 == first
        if begin is None or (
            next_ and (begin.get("after") != end.get("until") or begin.get("before") != end.get("head"))
        ):
            raise Fault(f"gateway {name}: round {last} ends elsewhere than this one begins")
        if integer(begin, "after") < integer(end, "until"):
            raise Fault(f"gateway {name}: round {last} ends behind where this one begins")
    if last + 1 == first:
        return f"round {last} ends where this one begins, on every gateway"
    return f"round {last} ends before this one begins; of rounds {last + 1} to {first - 1} there was no record yet"


def look_block(seen: Round) -> str:
    record = seen.record
    block = seen.file("block.json")
    with named("block.json"):
        header, coinbase = look_proven(block)
    shown = double(header)[::-1].hex()
    if shown != text(record, "block_hash"):
        raise Fault(f"block.json is block {shown}, not {str(record['block_hash'])[:64]}")
    if seen.payee != data(record, "script"):
        raise Fault(f"the record names script {record['script']}, not the pool's: the address was swapped")
    paid = sum(value for value, to in coinbase.outputs if to == seen.payee)
    left = scheme_of(record) == FPPS and record.get("stays") is False
    if left and integer(record, "reward"):
        raise Fault(f"the block left the main chain, as the record says, and yet {record['reward']} sat came in")
    if not left and paid != integer(record, "reward"):
        raise Fault(f"the block pays {paid} sat to the pool's script, the record divides {record['reward']}")
    height = script_height(coinbase.script)
    if height != integer(record, "height"):
        raise Fault(f"the block is of height {height}, the record says {record['height']}")
    if left:
        return f"it left the main chain, so the reserve pays the round; ask any node whether {shown} did"
    return f"its coinbase pays {paid} sat; ask any node whether {shown} is on the main chain at {height}"


def look_amounts(seen: Round) -> str:
    record = seen.record
    scheme = scheme_of(record)
    parts = seen.parts = read_parts(seen.directory / "parties.jsonl")
    look_weights(seen, scheme)
    total = sum(part.weight for part in parts)
    if total != count(record, "total_weight") or len(parts) != integer(record, "parties"):
        raise Fault(f"{len(parts)} parties did {total}; the record says {record['parties']}, {record['total_weight']}")
    average = look_average(seen) if scheme == FPPS else ""
    fees = 0 if scheme == FPPS or (record.get("own_fees") is True and total) else whole_fee(record)
    for part in parts:
        if scheme == FPPS:
            credit, fee = paid_by_share(record, part.shown, seen.work.get(part.alias, {}), part.fee_ppm)
        else:
            credit, fee = due(record, part.shown, part.weight, total, part.fee_ppm)
        fees += fee
        if part.credit != credit:
            after = f"after a fee of {part.fee_ppm} ppm"
            raise Fault(f"party {part.shown}: {credit} sat are due {after}, {part.credit} are credited")
    if fees != integer(record, "fee"):
        raise Fault(f"the fee is {fees} sat, the record says {record['fee']}")
    credits = sum(part.credit for part in parts)
    rest = brought(record) - fees - credits
    if rest != integer(record, "remainder"):
        raise Fault(f"the remainder is {rest} sat, the record says {record['remainder']}")
    unseen = "; whose work lies in the window is not in the export" if scheme == PPLNS and not seen.window else ""
    return f"{len(parts)} parties by {scheme}: {credits} sat, fee {fees}, remainder {rest}{unseen}{average}"


def brought(record: Json) -> int:
    """What is divided: the reward, under FPPS what is owed, of which the reserve gives what the reward lacks."""
    return integer(record, "owed" if scheme_of(record) == FPPS else "reward")


def look_average(seen: Round) -> str:
    """That the average fee is that of the blocks before this one, each by its own coinbase; and what the work is worth.

    On regtest a pool may ask more than the chain's difficulty: there the target is the record's word.
    """
    record = seen.record
    previous = data(seen.file("block.json"), "header", 80)[4:36]
    wanted = min(integer(record, "fee_blocks", 32), integer(record, "height") - 1)
    fees = []
    for row in lines(seen.directory / "fee-blocks.jsonl"):
        header, coinbase = look_proven(row)
        if double(header) != previous:
            raise Fault(f"fee-blocks.jsonl: {double(header)[::-1].hex()} is not the block before the one before it")
        height, nbits = script_height(coinbase.script), int.from_bytes(header[72:76], "little")
        fees.append(max(0, sum(value for value, _ in coinbase.outputs) - subsidy(height, nbits)))
        previous = header[4:36]
    if len(fees) != wanted:
        raise Fault(f"fee-blocks.jsonl holds {len(fees)} blocks, the fees of {wanted} are averaged")
    average = sum(fees) // len(fees) if fees else 0
    if average != integer(record, "average_fee"):
        raise Fault(
            f"the {wanted} blocks before paid {average} sat of fees each, the record says {record['average_fee']}"
        )
    told = read_work(record)
    for alias, work in seen.work.items():
        seen.work[alias] = {valued(worth, told): weight for worth, weight in work.items()}
    done: dict[Worth, int] = {}
    for work in seen.work.values():
        for worth, weight in work.items():
            done[worth] = done.get(worth, 0) + weight
    if done != told:
        raise Fault("the record says another difficulty, subsidy or work than the jobs of the shares have")
    gives = integer(record, "owed") - integer(record, "reward")
    moved = f"the reserve gives {gives} sat" if gives >= 0 else f"the reserve takes {-gives} sat"
    return f", {average} sat of fees a block over {wanted}; {moved}"


def valued(worth: Worth, told: dict[Worth, int]) -> Worth:
    """A worth as the record has it: the same, but for regtest's target."""
    if worth.target == block_target(REGTEST) and len(told) == 1:
        return worth._replace(target=next(iter(told)).target)
    return worth


def look_proven(row: Json) -> tuple[bytes, Coinbase]:
    """The header of a block, which meets its own target, and the coinbase, which lies in the block."""
    header, raw = data(row, "header", 80), data(row, "coinbase")
    if int.from_bytes(double(header), "little") > block_target(int.from_bytes(header[72:76], "little")):
        raise Fault(f"block {double(header)[::-1].hex()} does not meet its own target")
    root = double(raw)
    for element in listed(row, "branch"):
        root = double(root + unhex(element, "branch", 32))
    if root != header[36:68]:
        raise Fault(f"the coinbase does not lie in block {double(header)[::-1].hex()}")
    return header, read_coinbase(raw)


def read_parts(path: Path) -> list[Part]:
    parts = list(lines_as(path, read_part))
    for before, after in pairwise(parts):
        if before.commit >= after.commit:
            raise Fault("the parties are not in the order of their commitments, or one is there twice")
    if len({part.alias for part in parts}) != len(parts):
        raise Fault("a party has two parts")
    return parts


def look_weights(seen: Round, scheme: str) -> None:
    """That the parts have the work of the shares that the scheme counts."""
    if scheme in (PROP, FPPS):
        look_work(seen.parts, {alias: sum(work.values()) for alias, work in seen.work.items()})
    elif scheme == PPLNS and seen.window:
        look_work(seen.parts, window_work(seen, seen.window))
    elif scheme == SOLO and seen.parts:
        solver = read_coinbase(data(seen.file("block.json"), "coinbase")).script[-12:-8]
        names = (name for gateway in seen.gateways.values() for name in gateway.names.values())
        finders = {name.alias for name in names if name.extranonce1 == solver}
        if len(seen.parts) > 1 or seen.parts[0].alias not in finders:
            raise Fault("the reward is not credited to the one on whose connection the block was found")


def look_work(parts: Sequence[Part], weights: dict[bytes, int]) -> None:
    """That the parts have the work that was done."""
    for part in parts:
        if (done := weights.get(part.alias, 0)) != part.weight:
            raise Fault(f"party {part.shown}: its shares weigh {done}, not {part.weight}")
    if left := weights.keys() - {part.alias for part in parts}:
        raise Fault(f"the work of {len(left)} parties is not divided for")


class Run(NamedTuple):
    """Shares that follow each other in the order of record: their places in a file."""

    base: str
    begin: int
    end: int


def window_work(seen: Round, window: Json) -> dict[bytes, int]:
    """The work in a window by alias, from the newest share back until the window is full, the oldest in part."""
    left = count(mapped(seen.record, "window"), "weight")
    weights: dict[bytes, int] = {}
    for run in reversed(read_order(seen, window)):
        for alias, weight in newest_first(seen.gateways[run.base], run):
            if left <= 0:
                return weights
            weights[alias] = weights.get(alias, 0) + min(weight, left)
            left -= weight
    return weights


def read_order(seen: Round, window: Json) -> list[Run]:
    """The runs of a window: those before the round come first, and none of their shares is left out."""
    order: list[Run] = []
    begins, ends = places_of(seen.segments)
    for row in listed(window, "order"):
        if not isinstance(row, list) or len(row) != 3 or any(type(each) is not int for each in row):
            raise Fault("the order of the window holds no runs of shares")
        gateway, first, last = row
        before = last <= integer(seen.told_gateways.get(gateway, {}), "after")
        base = f"{'window' if before else 'gateway'}-{gateway}"
        if (base, first) not in begins or (base, last) not in ends or first > last:
            raise Fault(f"gateway {gateway}: no segments of the window are shares {first} to {last}")
        order.append(Run(base, begins[base, first], ends[base, last]))
    earlier = [run.base.startswith("window") for run in order]
    if earlier != sorted(earlier, reverse=True):
        raise Fault("shares of the round stand before those of earlier rounds in the window")
    for base, segments in seen.segments.items():
        runs = [run for run in order if run.base == base]
        size = sum(segment.last - segment.first + 1 for segment in segments)
        begin = 0 if any(earlier) else runs[0].begin if runs else size
        if [begin, *(run.end for run in runs)] != [*(run.begin for run in runs), size]:
            raise Fault(f"{base}: the order of the window leaves shares out, or has some twice")
    return order


def places_of(segments: dict[str, list[Segment]]) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], int]]:
    """Where in its file each segment begins, by its first share, and where it ends, by its last."""
    begins, ends = {}, {}
    for base, each in segments.items():
        at = 0
        for segment in each:
            begins[base, segment.first] = at
            at += segment.last - segment.first + 1
            ends[base, segment.last] = at
    return begins, ends


def newest_first(gateway: Gateway, run: Run) -> Iterator[tuple[bytes, int]]:
    """Alias and weight of the accepted shares of a run, which were hashed before."""
    with open(gateway.path, "rb") as file:
        for end in range(run.end, run.begin, -TASK_SHARES):
            begin = max(run.begin, end - TASK_SHARES)
            file.seek(begin * SHARE.size)
            for fields in reversed(list(SHARE.iter_unpack(file.read((end - begin) * SHARE.size)))):
                if fields[8] == ACCEPTED:
                    yield gateway.names[fields[1]].alias, 1 << fields[7] - LOWEST


def look_sums(seen: Round) -> str:
    root = sum_root([sum_leaf(part.commit, part.weight, part.credit, part.fee_ppm) for part in seen.parts])
    if root.hash != data(seen.record, "sum_root", 32):
        raise Fault("the parts do not make the root of the record: sums or fees were shifted between parties")
    return f"the root over {len(seen.parts)} parts is {root.hash.hex()}"


def look_payouts(seen: Round) -> str:
    told = list(
        lines_as(
            seen.directory / "transactions.jsonl",
            lambda row: (integer(row, "batch"), read_transaction(row), told_payments(row, seen.keys)),
        )
    )
    transactions = {batch: transaction for batch, transaction, _ in told}
    if len({each.txid for each in transactions.values()}) != len(transactions):
        raise Fault("a transaction is said to make the payments of two batches")
    due = {part.commit: part for part in seen.parts}
    settled: set[tuple[int, bytes]] = set()
    outputs: dict[tuple[int, bytes], int] = {}
    digests = {batch: sha256() for batch in transactions}
    for row in lines(seen.directory / "payments.jsonl"):
        batch, script = integer(row, "batch"), data(row, "script")
        if batch not in transactions:
            raise Fault(f"batch {batch} is said to be paid, but its transaction is not here")
        for credit in objects(row, "credits"):
            settle(credit, integer(seen.record, "round"), due, settled)
        amount = look_sum(row, f"a payment of batch {batch}")
        digests[batch].update(payment_line(row))
        outputs[batch, script] = outputs.get((batch, script), 0) + amount
    for (batch, script), amount in outputs.items():
        look_output(transactions[batch], script, amount)
    for batch, _, digest in told:
        if digests[batch].digest() != digest:
            raise Fault(
                f"the payments of batch {batch} are not those in the audit log: "
                "addresses were swapped, or one was altered, removed or added"
            )
    own = [part for part in seen.parts if (integer(seen.record, "round"), part.commit) in settled]
    paid, credits = sum(part.credit for part in own), sum(part.credit for part in seen.parts)
    unsure = sorted(each.txid for each in transactions.values() if not each.confirmed)
    ask = f"; not confirmed when this was written: {', '.join(unsure)}" if unsure else ""
    return (
        f"{paid} sat of {len(own)} parties are paid by {len(transactions)} transactions, "
        f"{credits - paid} sat of {len(seen.parts) - len(own)} are not paid yet{ask}"
    )


def told_payments(row: Json, keys: Sequence[Key]) -> bytes:
    """The SHA-256 of what a batch pays, as the signed audit log has it."""
    if row.get("audit") is None:
        raise Fault("the audit log tells nothing of what this batch pays: it was signed before the pool put that there")
    proof = mapped(row, "audit")
    entered = mapped(proof, "row")
    body = parsed(text(entered, "body"), "the row of the audit log")
    if entered.get("kind") != "payments" or body.get("batch") != integer(row, "batch"):
        raise Fault("its row of the audit log tells of something else")
    in_log(proof, keys)
    return data(body, "payments", 32)


def payment_line(row: Json) -> bytes:
    """A payment as it stands in `payments.jsonl`."""
    credits = [
        {
            "round": integer(each, "round"),
            "commit": data(each, "commit", 32).hex(),
            "credit": integer(each, "credit"),
        }
        for each in objects(row, "credits")
    ]
    told = {"batch": integer(row, "batch"), "script": data(row, "script").hex(), "amount": integer(row, "amount")}
    return (json.dumps({**told, "credits": credits}, separators=(",", ":")) + "\n").encode()


def settle(row: Json, own: int, due: dict[bytes, Part], settled: set[tuple[int, bytes]]) -> None:
    """Take a credit as paid: none is twice, and those of this round are what was divided."""
    round_, commit, credit = integer(row, "round"), data(row, "commit", 32), integer(row, "credit")
    shown = commit.hex()[:16]
    if (round_, commit) in settled:
        raise Fault(f"party {shown}: what is due of round {round_} is paid twice")
    settled.add((round_, commit))
    if round_ == own and (commit not in due or due[commit].credit != credit):
        told = f"{due[commit].credit} sat are credited" if commit in due else "nothing is credited"
        raise Fault(f"party {shown}: {told}, {credit} are paid for it")


def look_sum(row: Json, name: str) -> int:
    """The amount of a payment, which is the sum of the credits that it settles."""
    amount, credits = integer(row, "amount"), sum(integer(each, "credit") for each in objects(row, "credits"))
    if amount != credits:
        raise Fault(f"{name} is of {amount} sat, the credits that it settles add up to {credits}")
    return amount


def look_output(transaction: Transaction, script: bytes, amount: int) -> None:
    """That a transaction pays exactly an amount to a script."""
    paid = transaction.pays(script)
    if paid != amount:
        why = "" if paid else ": the address was swapped, or nothing was paid"
        raise Fault(f"transaction {transaction.txid} pays {paid} sat to script {script.hex()}, {amount} are due{why}")


CHECKS: tuple[tuple[str, Callable[[Round], str]], ...] = (
    ("record", look_record),
    ("1 chain", look_chain),
    ("2 shares", look_shares),
    ("3 connections", look_connections),
    ("4 uniqueness", look_unique),
    ("5 cut", look_cut),
    ("6 block", look_block),
    ("7 amounts", look_amounts),
    ("8 sum tree", look_sums),
    ("9 payouts", look_payouts),
)


def tasks(segments: dict[str, list[Segment]]) -> Iterator[Task]:
    for base, each in segments.items():
        offset, held, size = 0, [], 0
        for segment in each:
            held.append(segment)
            size += segment.last - segment.first + 1
            if size >= TASK_SHARES:
                yield Task(base, held, offset)
                offset, held, size = offset + size * SHARE.size, [], 0
        if held:
            yield Task(base, held, offset)


def look_job(job: Job, script: bytes) -> None:
    """That the coinbase of a job is sound and pays the pool; raises Fault."""
    coinb1 = job.coinb1(0)
    try:
        coinbase = read_coinbase(coinb1 + bytes(12) + job.end)
    except Fault as fault:
        raise Fault(f"job {job.number:016x}: {fault}") from None
    if len(coinb1) + 12 > coinbase.script_end or len(job.head) < coinbase.script_end - len(coinbase.script):
        raise Fault(f"job {job.number:016x}: difficulty and extranonces do not lie in the coinbase's script")
    if any(value and to != script for value, to in coinbase.outputs) or not any(v for v, _ in coinbase.outputs):
        raise Fault(f"job {job.number:016x}: its coinbase pays another than the pool's script: the address was swapped")


def script_height(script: bytes) -> int:
    """The height with which the script of a coinbase begins (BIP34)."""
    if not script:
        raise Fault("the coinbase tells no height")
    return script[0] - 0x50 if script[0] > 0x50 else int.from_bytes(script[1 : 1 + script[0]], "little")


def rebuilt(first: int, end: int, own: dict[int, bytes], others: Iterator[bytes]) -> bytes:
    """The root over leaves `first` to `end` - 1, of which those in `own` are known, and trees without any of them."""
    wanted = [index for index in own if first <= index < end]
    if not wanted:
        return next(others, b"")
    if end - first == 1:
        return own[first]
    split = first + (1 << (end - first - 1).bit_length() - 1)
    return node(rebuilt(first, split, own, others), rebuilt(split, end, own, others))


def verify_receipt(told: Json, keys: Sequence[Key], report: Report, show: bool) -> None:
    """That a receipt proves what it says; raises Fault."""
    body = text(told, "record")
    record = parsed(body, "the record")
    report.say("record", True, f"round {integer(record, 'round')} is {audited(mapped(told, 'audit'), body, keys)}")
    party, salt = text(told, "party"), data(told, "salt", 32)
    hidden = sha256(party.encode()).digest() + salt
    weight, credit, fee_ppm = count(told, "weight"), integer(told, "credit"), integer(told, "fee_ppm", 20)
    commit = sha256(b"\x10" + integer(record, "round").to_bytes(8, "big") + hidden).digest()
    made, index, last = (
        sum_leaf(commit, weight, credit, fee_ppm),
        integer(told, "index"),
        integer(record, "parties") - 1,
    )
    if not 0 <= index <= last:
        raise Fault("the sum tree has no such leaf")
    for row in objects(told, "path"):
        beside = Sum(data(row, "hash", 32), count(row, "weight"), integer(row, "credit"))
        while index == last and not index & 1 and last:
            index, last = index >> 1, last >> 1
        made = sum_node(beside, made) if index & 1 else sum_node(made, beside)
        index, last = index >> 1, last >> 1
    net = brought(record) - integer(record, "fee")
    if last or made.hash != data(record, "sum_root", 32):
        raise Fault(f"{party} with {weight}, {credit} sat and a fee of {fee_ppm} ppm is no leaf of the sum tree")
    if made.weight != count(record, "total_weight") or made.credit != net - integer(record, "remainder"):
        raise Fault("the sum tree does not add up to what the record says")
    report.say("leaf", True, f"{party} has {weight} of {made.weight} in the sum tree")
    scheme = scheme_of(record)
    if scheme == FPPS:
        own_work, worths = read_work(told), read_work(record)
        if sum(own_work.values()) != weight or any(own_work[each] > worths.get(each, 0) for each in own_work):
            raise Fault("the work of the receipt by difficulty and subsidy is not a part of that in the record")
        credited, _ = paid_by_share(record, party, own_work, fee_ppm)
    else:
        credited, _ = due(record, party, weight, made.weight, fee_ppm)
    if credit != credited:
        raise Fault(f"{credited} sat are due, {credit} are credited")
    report.say("credit", True, f"{credit} sat of {integer(record, 'reward')} by {scheme}, fee {fee_ppm} ppm")
    report.say("payment", True, look_payment(record, told))
    alias = sha256(b"\x11" + hidden).digest()
    shares = total = 0
    parts = mapped(told, "gateways")
    for gateway, ends in mapped(record, "gateways").items():
        part = mapped(parts, gateway)
        rows = objects(part, "segments")
        chain(gateway, ends, [read_segment(row) for row in rows])
        names = {integer(row, "name", 32): (read_name(int(gateway), row, alias), row) for row in objects(part, "names")}
        for row in rows:
            if "shares" in row:
                own = receipt_shares(gateway, row, names, show)
                if sum(own) != count(row, "weight"):
                    raise Fault(f"gateway {gateway}: shares {row['first']} to {row['last']}: they weigh {sum(own)}")
                shares += len(own)
                total += sum(own)
    if scheme in (PROP, FPPS) and total != weight:
        raise Fault(f"the shares of the receipt weigh {total}, {weight} is credited: compare them with your own log")
    report.say("shares", True, f"{shares} accepted shares lie in the chain and weigh {total}")


def look_payment(record: Json, told: Json) -> str:
    """That the transaction of a receipt pays the credit, together with others of the party."""
    if told.get("payment") is None:
        return "the credit is not paid yet"
    row = mapped(told, "payment")
    transaction, script = read_transaction(row), data(row, "script")
    rounds = [integer(each, "round") for each in objects(row, "credits")]
    if len(set(rounds)) != len(rounds):
        raise Fault("a credit is paid twice")
    own = {"round": integer(record, "round"), "credit": integer(told, "credit")}
    if own not in listed(row, "credits"):
        raise Fault(f"the payment does not settle {own['credit']} sat of round {own['round']}")
    amount = look_sum(row, "the payment")
    look_output(transaction, script, amount + integer(row, "shared"))
    state = "confirmed" if transaction.confirmed else "not confirmed yet"
    return f"{amount} sat of {len(rounds)} rounds to script {script.hex()} by {transaction.txid}, {state}"


def receipt_shares(gateway: str, row: Json, names: dict[int, tuple[Name, Json]], show: bool) -> list[int]:
    """The weights of one's own shares of a segment, which lead to its root."""
    segment = read_segment(row)
    own: dict[int, bytes] = {}
    weights = []
    for each in objects(row, "shares"):
        sequence, raw = integer(each, "sequence"), data(each, "share", SHARE.size)
        _, number, job, extranonce2, ntime, nonce, version, exponent, verdict = SHARE.unpack(raw)
        if number not in names or verdict != ACCEPTED or not segment.first <= sequence <= segment.last:
            raise Fault(f"gateway {gateway}, share {sequence}: not an accepted one of this party")
        if sequence - segment.first in own or not LOWEST <= exponent <= HIGHEST:
            raise Fault(f"gateway {gateway}, share {sequence}: there twice, or of no difficulty")
        name, told = names[number]
        binding = name.digest + data(each, "job_digest", 32)
        own[sequence - segment.first] = sha256(b"\x00" + sequence.to_bytes(8, "big") + raw + binding).digest()
        weights.append(1 << exponent - LOWEST)
        if show:
            who = f"{told.get('account')}.{told.get('worker')} {name.extranonce1.hex()}"
            print(f"{printable(who)} {job:016x} {extranonce2.hex()} {ntime:08x} {nonce:08x} {version:08x} 2^{exponent}")
    others = iter([unhex(each, "others", 32) for each in listed(row, "others")])
    if rebuilt(0, segment.last - segment.first + 1, own, others) != segment.root or next(others, None) is not None:
        raise Fault(f"gateway {gateway}: shares {segment.first} to {segment.last} do not lead to the root in the chain")
    return weights


REPORT_MOST = 2**30


def verify_report(path: Path, keys: Sequence[Key], report: Report) -> None:
    """That a report is as it was written and entered in the audit log, and its set with it; raises Fault."""
    body = report_bytes(path)
    told = parsed(body, path.name)
    canonical = json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
    if canonical.encode() != body:
        raise Fault(f"{path.name} is not written as the pool writes reports: it was changed")
    own = sha256(body).hexdigest()
    report.say("document", True, f"{text(told, 'kind')} as of {text(told, 'as_of')}, SHA-256 {own}")
    stem = path.name.removesuffix(".json")
    proof = parsed(content(path.with_name(f"{stem}.audit")), f"{stem}.audit")
    row = mapped(proof, "row")
    files = mapped(parsed(text(row, "body"), "the row of the audit log"), "files")
    if row.get("kind") != "report" or files.get(path.name) != own:
        raise Fault(f"{stem}.audit proves another document than {path.name}, or it was changed since")
    report.say("audit log", True, f"it is entered in {in_log(proof, keys)}")
    there, absent = look_set(path, files)
    missing = f"; {absent} others of the set are not here" if absent else ""
    report.say("files", True, f"{there} files are those that the audit log names{missing}")


def report_bytes(path: Path) -> bytes:
    with opened(path) as file:
        body = file.read(REPORT_MOST + 1)
    if len(body) > REPORT_MOST:
        raise Fault(f"{path.name} is too large for a report")
    return body


def look_set(path: Path, files: Json) -> tuple[int, int]:
    """How many files of a report's set are there, and how many not; each that is there must be as it was written."""
    there = absent = 0
    for name, told in files.items():
        if not re.fullmatch(r"[\w.-]{1,200}", name) or not name.startswith(path.name.removesuffix(".json")):
            raise Fault(f"{name[:40]!r} is no file of the set")
        if not path.with_name(name).exists():
            absent += 1
        elif file_digest(path.with_name(name)) != told:
            raise Fault(f"{name} is not what was entered in the audit log: it was changed")
        else:
            there += 1
    return there, absent


def file_digest(path: Path) -> str:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def verify_audit(directory: Path, keys: Sequence[Key], report: Report) -> None:
    """That the rows of an audit log are what its signed heads were taken of; raises Fault."""
    begin = parsed(content(directory / "begin.json"), "begin.json")
    tree = Tree(integer(begin, "size"), [unhex(each, "hashes", 32) for each in listed(begin, "hashes")])
    before = tree.size
    heads: dict[int, bytes] = {}
    for number, row in enumerate(lines(directory / "heads.jsonl"), integer(begin, "head")):
        if integer(row, "head") != number:
            raise Fault(f"signed head {number} is missing")
        head = read_note(text(row, "note"), keys, f"signed head {number}")
        if heads.setdefault(head.size, head.root) != head.root:
            raise Fault(f"two signed heads of {head.size} rows differ: two logs were told")
    if not heads or (before and before not in heads):
        raise Fault("no signed head shows that the log was not made up anew")
    if before in heads and tree.root() != heads[before]:
        raise Fault(f"the head of {before} rows is not of what this log begins with")
    for row in lines(directory / "audit.jsonl"):
        sequence = integer(row, "sequence")
        if sequence != tree.size + 1:
            raise Fault(f"row {tree.size + 1} is missing")
        made = tree.add(audit_leaf(row))
        if text(row, "hashes") != b"".join(made).hex():
            raise Fault(f"row {sequence} was changed, or one before it together with its own hash")
        if sequence in heads and tree.root() != heads[sequence]:
            raise Fault(f"among the rows up to {sequence} there is one that is not what the head was taken of")
    if tree.size != max(heads):
        raise Fault(f"the log ends with row {tree.size}, its newest head has {max(heads)}")
    report.say("audit log", True, f"rows {before + 1} to {tree.size} are what {len(heads)} signed heads say")


def tell_signature(path: Path, report: Report) -> None:
    """How to check the signature, which takes more than this file can."""
    stem = path.name.removesuffix(".json")
    if path.with_name(f"{stem}.p7s").exists():
        report.note(
            f"{stem}.p7s is not looked at here; check it with: openssl cms -verify -binary -inform DER "
            f"-in {stem}.p7s -content {path.name} -CAfile CA.pem -purpose any -out /dev/null"
        )
    else:
        report.note(f"it is not signed: there is no {stem}.p7s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify what the arguments name; the exit code."""
    parser = argparse.ArgumentParser(description="Verifies what a Tarazy pool publishes.")
    parser.add_argument(
        "path", type=Path, help="export of a round or of the audit log (directory), receipt or report (.json)"
    )
    parser.add_argument("--key", action="append", default=[], help="the pool's verifier key; may be repeated")
    parser.add_argument("--script", help="the pool's payout script in hex, that all work must pay")
    parser.add_argument("--shares", action="store_true", help="list the shares of a receipt, to compare with a log")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many work at once")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    options = parser.parse_args(arguments)
    path: Path = options.path
    report = Report(options.json)
    try:
        keys = [read_key(told) for told in options.key]
        script = unhex(options.script, "--script") if options.script else None
    except Fault as fault:
        parser.error(str(fault))
    if not path.exists():
        parser.error(f"{path}: there is no such file or directory")
    try:
        if path.is_dir():
            if not keys:
                keys = [read_key(line) for line in content(path / "keys.txt").splitlines()]
                report.note("checked with the key in the export itself; give the pool's own with --key")
            if (path / "audit.jsonl").exists():
                verify_audit(path, keys, report)
            else:
                verify_round(path, keys, script, report, max(1, options.processes))
        else:
            if not keys:
                parser.error("a receipt or report is worth what its key is: give the pool's own with --key")
            told = parsed(content(path), path.name)
            if "kind" in told and "as_of" in told:
                verify_report(path, keys, report)
                tell_signature(path, report)
            else:
                verify_receipt(told, keys, report, options.shares)
        fault_told = None
    except Fault as fault:
        fault_told = printable(str(fault))
    except Exception as error:  # whatever else a hostile file provokes
        fault_told = printable(f"cannot be verified ({type(error).__name__}: {error})")
    if options.json:
        print(json.dumps({"checks": report.checks, "fault": fault_told}, indent=2))
    elif fault_told:
        print(f"{path}: {fault_told}", file=sys.stderr)
    return 1 if fault_told else 0


if __name__ == "__main__":
    sys.exit(main())
