"""Files that tell where addresses lie, each reduced to the addresses of one country.

Three kinds are known by their content: a list of CIDR blocks; a statistics file of a regional Internet registry
(RIR statistics exchange format, also extended, also gzipped); a database in MaxMind's format (MaxMind DB 2.0). Whatever
a file holds, reading it takes bounded time and memory, and ends with the addresses or with `SourceError`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import BinaryIO

import maxminddb
from maxminddb.decoder import Decoder
from maxminddb.reader import Metadata

from tarazy.accreditation.entries import Source
from tarazy.accreditation.geo import IPV4, Ranges, Reduced, range_of

MAXIMUM_FILE = 512 * 2**20
MAXIMUM_TEXT = 256 * 2**20
"""Bytes of a text file once it is unpacked."""
MAXIMUM_LINES = 5_000_000
MAXIMUM_RANGES = 250_000
_LONGEST_LINE = 1_000
_GZIP = b"\x1f\x8b"
_MMDB_MARKER = b"\xab\xcd\xefMaxMind.com"
_MMDB_TAIL = 128 * 1024
_MMDB_SECONDS = 600.0
_STATISTICS = re.compile(rb"2(\.[0-9]+)?\|[a-z]+\|")

Progress = Callable[[int, int], None]
"""Told now and then how much of how much is done."""


class SourceError(ValueError):
    """A file that cannot be used: what is wrong with it, where, and the cure."""


def read_source(
    path: Path, country: str = "KZ", dated_on: date | None = None, progress: Progress = lambda done, total: None
) -> Reduced:
    """The addresses of `country` in a file of any known kind.

    `dated_on`: the day whose state a list of blocks tells; the other kinds say it themselves. Raises `SourceError`.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError("is no ordinary file; save it to the disk first")
        with path.open("rb") as file:
            before = _state(file)
            if before[0] > MAXIMUM_FILE:
                raise SourceError(f"larger than {MAXIMUM_FILE // 2**20} MiB; this is no list of addresses")
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            source, told_on, ranges = _read(path, file, country, before[0], progress)
            if _state(file) != before or (path.stat().st_size, path.stat().st_mtime_ns) != before:
                raise SourceError("it changed while it was read; try again when it is complete")
    except OSError as error:
        raise SourceError(f"{path.name}: {error.strerror or error}") from None
    except SourceError as error:
        raise SourceError(f"{path.name}: {error}") from None
    if told_on is not None and dated_on not in (None, told_on):
        raise SourceError(f"{path.name}: says itself that it is of {told_on}; leave the date out")
    day = told_on or dated_on
    if day is None:
        raise SourceError(f"{path.name}: a list of blocks tells no date; name the day whose state it is (--dated-on)")
    if not len(ranges):
        raise SourceError(f"{path.name}: holds no network of {country}; is it the right file?")
    return Reduced(source.value, path.name, digest, day, ranges)


def _state(file: BinaryIO) -> tuple[int, int]:
    state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns


def _read(
    path: Path, file: BinaryIO, country: str, size: int, progress: Progress
) -> tuple[Source, date | None, Ranges]:
    file.seek(max(0, size - _MMDB_TAIL))
    if _MMDB_MARKER in file.read(_MMDB_TAIL):
        return Source.MMDB, *_read_mmdb(path, country, progress)
    file.seek(0)
    packed = file.read(2) == _GZIP
    file.seek(0)
    lines = _lines(gzip.GzipFile(fileobj=file) if packed else file, lambda: progress(min(file.tell(), size), size))
    first = next(lines, (0, b""))
    if _STATISTICS.match(first[1]):
        return Source.RIR, *_read_statistics(first[1], lines, country)
    return Source.BLOCKS, None, _read_blocks(first, lines)


def _lines(file: BinaryIO | gzip.GzipFile, tell: Callable[[], None]) -> Iterator[tuple[int, bytes]]:
    """Number and text of each line that is neither empty nor a comment."""
    total = 0
    for number in range(1, MAXIMUM_LINES + 2):
        try:
            line = file.readline(_LONGEST_LINE + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise SourceError("is damaged or cut off; fetch it again") from None
        total += len(line)
        if not line:
            return
        if len(line) > _LONGEST_LINE:
            raise SourceError(f"line {number}: longer than {_LONGEST_LINE} characters; this is no list of addresses")
        if total > MAXIMUM_TEXT or number > MAXIMUM_LINES:
            raise SourceError(f"line {number}: more text than any list of addresses has")
        if number % 10_000 == 0:
            tell()
        line = line.strip()
        if line and not line.startswith(b"#"):
            yield number, line


class _Gathered:
    """Ranges found so far, not too many."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []

    def add(self, first: int, last: int) -> None:
        if self.ranges and self.ranges[-1][1] + 1 == first:
            self.ranges[-1] = self.ranges[-1][0], last
            return
        if len(self.ranges) >= MAXIMUM_RANGES:
            raise SourceError(f"more than {MAXIMUM_RANGES} ranges of one country; this is no list of addresses")
        self.ranges.append((first, last))


def _read_blocks(first: tuple[int, bytes], lines: Iterator[tuple[int, bytes]]) -> Ranges:
    found = _Gathered()
    for number, line in (first, *lines) if first[0] else ():
        try:
            block = range_of(ip_network(line.decode("ascii")))
        except ValueError:
            shown = line[:50].decode("ascii", "backslashreplace")
            raise SourceError(f"line {number}: {shown!r} is no network; expected one such as 2.57.96.0/22") from None
        found.add(*block)
    return Ranges(found.ranges)


def _read_statistics(head: bytes, lines: Iterator[tuple[int, bytes]], country: str) -> tuple[date, Ranges]:
    """version|registry|serial|records|startdate|enddate|UTCoffset, then summaries, then
    registry|cc|type|start|value|date|status[|…]. For IPv4 the value is a number of addresses, any; for IPv6 a prefix.
    """
    dated_on = _end_date(head)
    wanted = country.encode("ascii")
    found = _Gathered()
    promised: Counter[bytes] = Counter()
    seen: Counter[bytes] = Counter()
    for number, line in lines:
        words = line.split(b"|")
        if len(words) == 6 and words[5] == b"summary":
            promised[words[2]] = _whole(number, words[4])
            continue
        if len(words) < 7:
            raise SourceError(f"line {number}: expected registry|cc|type|start|value|date|status")
        kind = words[2]
        seen[kind] += 1
        if kind not in (b"ipv4", b"ipv6"):
            continue
        value = _whole(number, words[4])
        if words[1].upper() == wanted and words[6] in (b"allocated", b"assigned"):
            found.add(*_delegated(number, kind, words[3], value))
    for kind, count in promised.items():
        if seen[kind] < count:
            name = kind.decode("ascii", "backslashreplace")
            raise SourceError(f"promises {count} records of {name} and has {seen[kind]}; it is cut off, fetch it again")
    return dated_on, Ranges(found.ranges)


def _end_date(head: bytes) -> date:
    words = head.split(b"|")
    try:
        return datetime.strptime(words[5].decode("ascii"), "%Y%m%d").replace(tzinfo=UTC).date()
    except (IndexError, ValueError):
        raise SourceError("line 1: expected version|registry|serial|records|startdate|enddate|UTCoffset") from None


def _whole(number: int, word: bytes) -> int:
    if not word.isdigit() or len(word) > 12:
        shown = word[:20].decode("ascii", "backslashreplace")
        raise SourceError(f"line {number}: {shown!r} is no whole number; the file is damaged, fetch it again")
    return int(word)


def _delegated(number: int, kind: bytes, start: bytes, value: int) -> tuple[int, int]:
    try:
        if kind == b"ipv6":
            return range_of(ip_network(f"{IPv6Address(start.decode('ascii'))}/{value}"))
        first = IPV4[0] | int(IPv4Address(start.decode("ascii")))
    except ValueError:
        shown = b"|".join((start, str(value).encode()))[:60].decode("ascii", "backslashreplace")
        raise SourceError(f"line {number}: {shown!r} is no {kind.decode()} network; fetch the file again") from None
    last = first + value - 1
    if not first <= last <= IPV4[1]:
        raise SourceError(f"line {number}: {value} addresses from {start.decode()} on are not to be had")
    return first, last


_TUNNELS = ("::ffff:0:0/96", "2001::/32", "2002::/16", "64:ff9b::/96")
"""IPv4 addresses once more, as tunnels and translators carry them: they say nothing of where an IPv6 peer is."""
_V4_IN_V6 = (0, 0xFFFF_FFFF)
"""Where a database of both families has IPv4."""


def _read_mmdb(path: Path, country: str, progress: Progress) -> tuple[date, Ranges]:
    """By the library's reader in Python: the one in C ends the process on some damaged files."""
    try:
        with maxminddb.open_database(path, maxminddb.MODE_MMAP) as reader:
            metadata = reader.metadata()
        dated_on = datetime.fromtimestamp(metadata.build_epoch, UTC).date()
        if metadata.ip_version not in (4, 6):
            raise SourceError(f"IP version {metadata.ip_version}; expected 4 or 6")
        found = _Tree(path.read_bytes(), metadata, country).walk(progress)
    except SourceError:
        raise
    except Exception as error:  # a damaged database ends the library's reader in many ways
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SourceError(f"no sound database in MaxMind's format: {reason}") from None
    if metadata.ip_version == 4:
        return dated_on, Ranges((IPV4[0] | first, IPV4[0] | last) for first, last in found)
    carried = Ranges([_V4_IN_V6, *map(range_of, _TUNNELS)])
    mapped = ((IPV4[0] | first, IPV4[0] | last) for first, last in found & Ranges([_V4_IN_V6]))
    return dated_on, Ranges([*mapped, *(found - carried)])


class _Tree:
    """The search tree of a database: a leaf is a network, its value where the network's record begins."""

    def __init__(self, content: bytes, metadata: Metadata, country: str) -> None:
        self._content = content
        self._nodes = metadata.node_count
        self._width = metadata.record_size // 4
        self._bits = 32 if metadata.ip_version == 4 else 128
        self._tree_bytes = self._nodes * self._width
        self._decoder = Decoder(content, self._tree_bytes + 16)
        self._country = country
        self._inside: dict[int, bool] = {}
        self._located = False

    def walk(self, progress: Progress) -> Ranges:
        """The country's networks as the tree numbers addresses. No node is worth more than two visits: a tree has none,
        and what repeats IPv4 is left out.
        """
        left_out = {(first, 128 - (last ^ first).bit_length()) for first, last in map(range_of, _TUNNELS)}
        found = _Gathered()
        deadline = time.monotonic() + _MMDB_SECONDS
        visits, waiting = 0, [(0, 0, 0)]
        while waiting:
            node, depth, first = waiting.pop()
            if self._bits == 128 and (first, depth) in left_out:
                continue
            if node < self._nodes:
                visits += 1
                if depth == self._bits or visits > 2 * self._nodes:
                    raise SourceError("its tree has loops or shared branches; it is damaged, fetch it again")
                left, right = self._branches(node)
                waiting.append((right, depth + 1, first | 1 << self._bits - depth - 1))
                waiting.append((left, depth + 1, first))
            elif node > self._nodes and self._is_inside(node):
                found.add(first, first | (1 << self._bits - depth) - 1)
            if visits % 1_000 == 0:
                progress(min(visits, self._nodes), self._nodes)
                if time.monotonic() > deadline:
                    raise SourceError(f"not read within {_MMDB_SECONDS:g} s; use a country database, which is smaller")
        if not self._located:
            raise SourceError("its records have no country.iso_code; expected a country or city database")
        return Ranges(found.ranges)

    def _branches(self, node: int) -> tuple[int, int]:
        """MaxMind DB 2.0: two records of 24, 28 or 32 bits; of 28, the middle byte has the upper bits of both."""
        words = self._content[node * self._width : (node + 1) * self._width]
        half = len(words) // 2
        left, right = int.from_bytes(words[:half], "big"), int.from_bytes(words[-half:], "big")
        if self._width == 7:
            left, right = left | (words[3] & 0xF0) << 20, right | (words[3] & 0x0F) << 24
        return left, right

    def _is_inside(self, node: int) -> bool:
        known = self._inside.get(node)
        if known is None:
            record, _ = self._decoder.decode(node - self._nodes + self._tree_bytes)
            named = record.get("country") if isinstance(record, dict) else None
            code = named.get("iso_code") if isinstance(named, dict) else None
            self._located = self._located or isinstance(code, str)
            known = self._inside[node] = code == self._country
        return known
