"""Random small register worlds: what was recorded in them, in order, corrections among it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network

from hypothesis import strategies as st

from tarazy.accreditation.admission import Question
from tarazy.accreditation.entries import DocumentStatus, Entry, Placement, SiteStatus
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import DemoAddress
from tests.accreditation.world import HOME, NOW, SERVER, certificate, licence, machine, party, server, site, world

KEYS = st.sampled_from(["a", "b", "guest"])
SITES = st.sampled_from(["a", "b", "site-host"])
NETWORKS = st.lists(
    st.sampled_from(["2.72.0.0/16", "2.72.0.0/24", "2.72.0.128/25", "8.8.8.0/24", "127.0.0.0/30", "2001:678:98::/64"]),
    min_size=1,
    max_size=3,
    unique=True,
)
INSTANTS = st.integers(-3, 3).map(lambda days: NOW + timedelta(days=days))
PEERS = st.sampled_from(
    [
        *("2.72.0.1", "2.72.0.200", "2.72.9.9", "2.73.0.1", "8.8.8.8", "9.9.9.9", "127.0.0.1", "127.0.0.2"),
        *("::ffff:2.72.0.1", "2001:678:98::1", "::1", "nonsense", HOME, HOME),
    ]
)
DEMO = (DemoAddress(network=ip_network("127.0.0.1/32"), country="KZ"),)
QUESTIONS = st.builds(
    Question,
    KEYS | st.sampled_from(["x/y", "stranger"]),
    st.just("rig"),
    PEERS,
    st.sampled_from([SERVER, SERVER, SERVER, "elsewhere"]),
    SITES | st.sampled_from(["", "", "nowhere"]),
    st.just(()) | st.lists(SITES, min_size=1, max_size=2).map(tuple),
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry of a small world, valid for some days around now."""
    key, place, status = draw(KEYS), draw(SITES), draw(st.sampled_from([*DocumentStatus, DocumentStatus.IN_FORCE]))
    accredited = draw(st.sampled_from([*SiteStatus, SiteStatus.ACCREDITED]))
    entry: Entry = draw(
        st.sampled_from(
            [
                party(key, account=draw(KEYS)),
                licence(f"L-{draw(KEYS)}", key, status=status),
                certificate(status=status),
                server(draw(st.sampled_from(["KZ", "KZ", "RU"]))),
                site(place, key, *draw(NETWORKS), status=accredited),
                Placement(placement=f"P-{draw(KEYS)}", party=key, site=place, contract="1", valid_from=NOW),
                machine(f"SN-{draw(KEYS)}", key, place),
            ]
        )
    )
    begin = draw(INSTANTS)
    return replace(entry, valid_from=begin, valid_to=draw(st.none() | st.just(begin + timedelta(days=2))))


@st.composite
def histories(draw: st.DrawFn, most: int = 20) -> list[Entry]:
    """What was recorded, one entry a second, up to `NOW`: a world that admits, more entries, and corrections."""
    found = [*world(), *draw(st.lists(entries(), max_size=most))]
    numbered = numbers(found)
    corrected: set[tuple[str, int]] = set()
    for chosen in draw(st.lists(st.integers(0, len(found) - 1), max_size=5, unique=True)):
        wrong = numbered[chosen]
        if (wrong.register, wrong.entry) in corrected:
            continue
        corrected.add((wrong.register, wrong.entry))
        taken_back = draw(st.booleans())
        ends = wrong.valid_from if taken_back else wrong.valid_from + timedelta(days=draw(st.integers(1, 4)))
        numbered = numbers([*numbered, replace(wrong, corrects=wrong.entry, why="a mistake", valid_to=ends)])
    return numbered


def numbers(entries: Iterable[Entry]) -> list[Entry]:
    """As a ledger numbers them: each register for itself, a second apart, the last at `NOW`."""
    entries = list(entries)
    count: Counter[str] = Counter()
    found = []
    for place, entry in enumerate(entries):
        count[entry.register] += 1
        at = NOW - timedelta(seconds=len(entries) - 1 - place)
        found.append(replace(entry, entry=count[entry.register], recorded_at=at, recorded_by="test"))
    return found


def registers_of(history: Sequence[Entry], valid_at: datetime = NOW) -> Registers:
    """The registers after all of `history`."""
    versions: dict[str, dict[str, list[Entry]]] = {}
    for entry in history:
        versions.setdefault(entry.register, {}).setdefault(entry.key, []).insert(0, entry)
    return Registers(versions, valid_at)


def by_register(history: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries by register, in their order."""
    found: dict[str, list[Entry]] = {}
    for entry in history:
        found.setdefault(entry.register, []).append(entry)
    return found
