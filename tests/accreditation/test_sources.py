"""Files of every kind, sound, damaged and hostile, down to the country's addresses."""

from __future__ import annotations

import gzip
import os
from contextlib import suppress
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarazy.accreditation import sources
from tarazy.accreditation.geo import Ranges, ip_of, parse_address
from tarazy.accreditation.sources import SourceError, read_source
from tests.accreditation.lists import MARKER, RECORDS, country, database, statistics

DAY = date(2026, 11, 1)


def write(path: Path, content: str | bytes) -> Path:
    """The file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path, dated_on: date | None = None) -> str:
    """What the reader says against a file; it names the file."""
    with pytest.raises(SourceError) as caught:
        read_source(path, dated_on=dated_on)
    name, _, text = str(caught.value).partition(": ")
    assert name == path.name
    return text


def test_statistics_of_a_registry(tmp_path: Path) -> None:
    """Counts that are no power of two, IPv6 prefixes, states and kinds that are no addresses."""
    told = read_source(statistics(tmp_path / "delegated", RECORDS))
    assert (told.source, told.file, told.dated_on) == ("rir", "delegated", date(2026, 11, 20))
    networks = [
        "2.57.96.0/22",
        "2.72.0.0/13",
        "91.195.226.0/23",
        "91.195.228.0/24",
        "2001:678:98::/48",
        "2a00:12f8::/32",
    ]
    assert told.ranges == Ranges.of_networks(networks)
    assert told.ranges.ipv4_addresses == 1024 + 524288 + 768


def test_statistics_packed(tmp_path: Path) -> None:
    """Gzipped, the same is in it under another digest of the file."""
    plain = statistics(tmp_path / "delegated", RECORDS)
    packed = write(tmp_path / "delegated.gz", gzip.compress(plain.read_bytes()))
    one, other = read_source(plain), read_source(packed)
    assert one.ranges == other.ranges
    assert one.file_digest != other.file_digest


def test_blocks_with_comments(tmp_path: Path) -> None:
    """One block a line; the date comes from who brings it."""
    told = read_source(write(tmp_path / "kz.cidr", "# KZ\n2.57.96.0/22\r\n\n2001:678:98::/48\n"), dated_on=DAY)
    assert (told.source, told.dated_on) == ("blocks", DAY)
    assert told.ranges == Ranges.of_networks(["2.57.96.0/22", "2001:678:98::/48"])


@pytest.mark.parametrize("version", [4, 6])
def test_a_database(tmp_path: Path, version: int) -> None:
    """The country where the address is counts, not the one where it is registered; a day comes with it."""
    records = {
        "2.72.0.0/13": country("KZ"),
        "5.34.0.0/17": country("RU", registered="KZ"),
        "8.8.8.0/24": country("US"),
        "9.9.9.0/24": {"registered_country": {"iso_code": "KZ"}},
        "46.36.128.0/18": country("KZ", registered="NL"),
        "255.255.255.0/24": country("KZ"),
    }
    if version == 6:
        records |= {"2001:678:98::/48": country("KZ"), "ffff:ffff::/32": country("KZ"), "2a00::/16": country("DE")}
    told = read_source(database(tmp_path / "country.mmdb", records, version))
    wanted = ["2.72.0.0/13", "46.36.128.0/18", "255.255.255.0/24"]
    wanted += ["2001:678:98::/48", "ffff:ffff::/32"] if version == 6 else []
    assert told.source == "mmdb"
    assert told.ranges == Ranges.of_networks(wanted)
    assert told.dated_on == datetime.now(UTC).date()


def test_tunnelled_ipv4_is_no_ipv6_of_the_country(tmp_path: Path) -> None:
    """Where a database repeats IPv4 under mapped, 6to4 and Teredo prefixes, only IPv4 itself is taken."""
    told = read_source(database(tmp_path / "a.mmdb", {"2.72.0.0/13": country("KZ"), "2002:248::/32": country("KZ")}))
    assert told.ranges == Ranges.of_networks(["2.72.0.0/13"])


_V4 = st.builds(
    lambda base, bits: ip_network((base >> 32 - bits << 32 - bits, bits)), st.integers(0, 2**32 - 1), st.integers(4, 32)
)
_V6 = st.builds(
    lambda base, bits: ip_network(((0x2A << 120 | base) >> 128 - bits << 128 - bits, bits)),
    st.integers(0, 2**120 - 1),
    st.integers(12, 128),
)


@settings(max_examples=40)
@given(st.lists(st.tuples(_V4 | _V6, st.sampled_from(["KZ", "RU"])), min_size=1, max_size=10))
def test_any_database_is_read_as_it_answers(known: list[tuple[IPv4Network | IPv6Network, str]]) -> None:
    """At every edge of every network the reduced list says what a look-up of that address says."""
    records = {str(network): country(code) for network, code in [*known, (ip_network("2.72.0.0/24"), "KZ")]}
    with TemporaryDirectory() as folder:
        path = database(Path(folder) / "any.mmdb", records)
        ranges = read_source(path).ranges
        with maxminddb.open_database(path) as reader:
            for text in records:
                network = ip_network(text)
                for edge in (network[0], network[-1]):
                    address = parse_address(str(edge))
                    assert address is not None
                    answer = reader.get(ip_of(address))
                    inside = isinstance(answer, dict) and answer["country"]["iso_code"] == "KZ"  # type: ignore[index,call-overload]
                    assert (address in ranges) is inside


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(2**24, 2**32 - 2**20), st.integers(1, 2**20), st.sampled_from(["KZ", "DE"])),
        min_size=1,
        max_size=12,
    )
)
def test_any_counts_of_a_registry(known: list[tuple[int, int, str]]) -> None:
    """Whatever starts and counts are, the first, the last and no neighbour is covered."""
    records = [
        f"ripencc|{code}|ipv4|{ip_of(0xFFFF << 32 | start)}|{count}|20200101|allocated|x"
        for start, count, code in known
    ]
    records.append("ripencc|KZ|ipv4|1.0.0.0|1|20200101|allocated|x")
    with TemporaryDirectory() as folder:
        ranges = read_source(statistics(Path(folder) / "any", records)).ranges
    held = [(start, start + count - 1) for start, count, code in known if code == "KZ"] + [(1 << 24, 1 << 24)]
    for first, last in held:
        for address in (first - 1, first, (first + last) // 2, last, last + 1):
            assert ((0xFFFF << 32 | address) in ranges) is any(low <= address <= high for low, high in held)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ("ripencc|KZ|ipv4|2.72.0.0|-524288|20101108|allocated|x", "line 5: '-524288' is no whole number"),
        ("ripencc|DE|ipv4|2.72.0.0|1e3|20101108|allocated|x", "line 5: '1e3' is no whole number"),
        ("ripencc|KZ|ipv4|2.72.0.0|0|20101108|allocated|x", "line 5: 0 addresses from 2.72.0.0 on"),
        ("ripencc|KZ|ipv4|255.255.255.0|257|20101108|allocated|x", "line 5: 257 addresses from 255.255.255.0 on"),
        ("ripencc|KZ|ipv4|2.72.0|256|20101108|allocated|x", "line 5: '2.72.0|256' is no ipv4 network"),
        ("ripencc|KZ|ipv6|2001:678:98::|129|20101108|allocated|x", "line 5: '2001:678:98::|129' is no ipv6 network"),
        ("ripencc|KZ|ipv6|2001:678:98::1|48|20101108|allocated|x", "line 5: '2001:678:98::1|48' is no ipv6 network"),
        ("ripencc|KZ|ipv4", "line 5: expected registry|cc|type"),
        ("ripencc|KZ|ipv4|2.72.0.0|99999999999999999999|20101108|allocated|x", "line 5: '99999999999999999999' is no"),
        ("ripencc|KZ|ipv4|\u0662|256|20101108|allocated|x", "line 5: "),
    ],
)
def test_damaged_statistics_are_refused_by_line(tmp_path: Path, record: str, told: str) -> None:
    """Nothing is guessed, whatever country the line is of."""
    path = statistics(tmp_path / "delegated", RECORDS[:1])
    lines = path.read_text().splitlines()
    assert refused(write(path, "\n".join([*lines[:4], record, *lines[4:]]))).startswith(told)


def test_statistics_that_are_cut_off(tmp_path: Path) -> None:
    """Fewer records than the summary promises."""
    assert "promises 12 records of ipv4 and has 6" in refused(statistics(tmp_path / "short", RECORDS, promised=6))


def test_statistics_without_a_day(tmp_path: Path) -> None:
    """The version line has to tell it."""
    assert refused(statistics(tmp_path / "undated", RECORDS, end="00000000")).startswith("line 1: ")


def test_a_day_beside_that_of_the_file(tmp_path: Path) -> None:
    """It may be said again, not differently."""
    path = statistics(tmp_path / "delegated", RECORDS)
    assert read_source(path, dated_on=date(2026, 11, 20)).dated_on == date(2026, 11, 20)
    assert "says itself that it is of 2026-11-20" in refused(path, DAY)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "tells no date"),
        (b"2.57.96.0/22\n", "tells no date"),
        (b"hello\n", "line 1: 'hello' is no network"),
        (b"2.57.96.0/22\n2.57.97.0/22\n", "line 2: '2.57.97.0/22' is no network"),
        (b"\x00" * 2000, "line 1: longer than 1000 characters"),
        (b"2.57.96.0/22\n" + b"9" * 2000, "line 2: longer than 1000 characters"),
        (b"\x1f\x8bnot really", "is damaged or cut off"),
        (gzip.compress(b"2.57.96.0/22\n" * 99, mtime=0)[:-9], "is damaged or cut off"),
        (MARKER, "no sound database in MaxMind's format"),
        (Random(1).randbytes(4096) + MARKER + Random(2).randbytes(64), "no sound database in MaxMind's format"),
        (MARKER + b"\xe0" * 64, "no sound database in MaxMind's format"),
    ],
)
def test_what_is_no_list(tmp_path: Path, content: bytes, told: str) -> None:
    """Every kind of rubbish has its words."""
    assert refused(write(tmp_path / "file", content)).startswith(("a list of blocks " if "date" in told else "") + told)


def test_files_without_the_country(tmp_path: Path) -> None:
    """An empty answer is no answer."""
    assert "holds no network of KZ" in refused(statistics(tmp_path / "foreign", RECORDS[1:2]))
    assert "holds no network of KZ" in refused(database(tmp_path / "foreign.mmdb", {"8.8.8.0/24": country("US")}))
    assert "no country.iso_code" in refused(database(tmp_path / "asn.mmdb", {"2.72.0.0/13": {"asn": 9198}}))
    assert refused(write(tmp_path / "empty.cidr", "# nothing\n"), DAY).startswith("holds no network of KZ")


def test_what_is_no_file(tmp_path: Path) -> None:
    """A directory, a device without end and nothing at all."""
    assert "no ordinary file" in refused(tmp_path)
    assert "no ordinary file" in refused(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe")
    assert "no ordinary file" in refused(tmp_path / "pipe")
    assert "No such file" in refused(tmp_path / "missing")


def test_a_file_of_two_gigabytes(tmp_path: Path) -> None:
    """It is not even read."""
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    assert "larger than 512 MiB" in refused(path)


def test_a_packed_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to more text than any list has, is given up."""
    monkeypatch.setattr(sources, "MAXIMUM_TEXT", 1 << 20)
    bomb = write(tmp_path / "bomb.gz", gzip.compress(b"2.57.96.0/22\n" * 200_000))
    assert "more text than any list" in refused(bomb, DAY)
    monkeypatch.setattr(sources, "MAXIMUM_LINES", 1_000)
    assert "line 1001: more text than any list" in refused(bomb, DAY)


def test_more_ranges_than_there_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their text has to fit into the ledger."""
    monkeypatch.setattr(sources, "MAXIMUM_RANGES", 100)
    text = "".join(f"2.72.{number}.0/25\n" for number in range(101))
    assert "more than 100 ranges" in refused(write(tmp_path / "many", text), DAY)


def _tree(path: Path) -> tuple[bytearray, int, int]:
    """A database's bytes, how many nodes its tree has, and bytes a node."""
    with maxminddb.open_database(path) as reader:
        metadata = reader.metadata()
    return bytearray(path.read_bytes()), metadata.node_count, metadata.record_size // 4


@pytest.mark.parametrize("bits", [28, 32])
def test_records_of_every_width(tmp_path: Path, bits: int) -> None:
    """The same tree, its branches written in other widths, as larger databases have them."""
    records = {"2.72.0.0/13": country("KZ"), "8.8.8.0/24": country("US"), "2001:678:98::/48": country("KZ")}
    narrow = database(tmp_path / "narrow.mmdb", records)
    content, nodes, width = _tree(narrow)
    assert width == 6
    tree = bytearray()
    for node in range(nodes):
        left, right = (int.from_bytes(content[node * 6 + side : node * 6 + side + 3], "big") for side in (0, 3))
        if bits == 28:
            middle = bytes([left >> 24 << 4 | right >> 24])
            tree += (left & 0xFFFFFF).to_bytes(3, "big") + middle + (right & 0xFFFFFF).to_bytes(3, "big")
        else:
            tree += left.to_bytes(4, "big") + right.to_bytes(4, "big")
    rest = bytes(content[nodes * 6 :])
    place = rest.index(b"record_size") + len(b"record_size") + 1
    assert rest[place] == 24
    wide = write(tmp_path / "wide.mmdb", bytes(tree) + rest[:place] + bytes([bits]) + rest[place + 1 :])
    with maxminddb.open_database(wide) as reader:
        assert reader.get("2.72.0.1") == records["2.72.0.0/13"]
    assert read_source(wide).ranges == read_source(narrow).ranges


def test_a_tree_with_loops_and_one_without_end(tmp_path: Path) -> None:
    """Nodes that lead back, and nodes whose branches meet again so that paths double at each level."""
    path = database(tmp_path / "good.mmdb", {"2.72.0.0/13": country("KZ"), "2001:678:98::/48": country("KZ")})
    content, nodes, width = _tree(path)
    half = width // 2
    looping = bytearray(content)
    for node in range(1, nodes):
        looping[node * width : (node + 1) * width] = bytes(width)
    assert refused(write(tmp_path / "loop.mmdb", bytes(looping)))
    doubling = bytearray(content)
    for node in range(nodes):
        following = min(node + 1, nodes).to_bytes(half, "big")
        doubling[node * width : (node + 1) * width] = following + following
    assert refused(write(tmp_path / "doubling.mmdb", bytes(doubling)))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_to_a_database_ends_in_ranges_or_an_error(damage: list[tuple[float, int]]) -> None:
    """Bytes changed anywhere crash nothing, which the library's reader in C does, and cost a bounded time."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.mmdb"
        content = bytearray(_GOOD)
        for place, value in damage:
            content[int(place * len(content))] = value
        path.write_bytes(content)
        with suppress(SourceError):
            assert len(read_source(path).ranges)


def _good() -> bytes:
    with TemporaryDirectory() as folder:
        records = {f"2.{number}.0.0/16": country("KZ" if number % 2 else "RU") for number in range(64)}
        return database(Path(folder) / "good.mmdb", {**records, "2001:678:98::/48": country("KZ")}).read_bytes()


_GOOD = _good()


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded is what was read."""
    path = write(tmp_path / "growing", "2.57.96.0/22\n" * 20_000)

    def grow(done: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"8.8.8.0/24\n")

    with pytest.raises(SourceError, match="it changed while it was read"):
        read_source(path, dated_on=DAY, progress=grow)


def test_progress_is_told(tmp_path: Path) -> None:
    """Whoever waits sees how far it is."""
    told: list[tuple[int, int]] = []
    path = write(tmp_path / "long", "2.57.96.0/22\n" * 30_000)
    read_source(path, dated_on=DAY, progress=lambda done, total: told.append((done, total)))
    assert told
    assert all(0 < done <= total == path.stat().st_size for done, total in told)
