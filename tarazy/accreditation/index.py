"""Admission compiled for speed: the same answers as `decide`, in microseconds, from memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain

from tarazy.accreditation.admission import Decision, Judge, Question, Whereabouts
from tarazy.accreditation.evidence import (
    NOWHERE,
    EvidenceRule,
    ListMap,
    Origin,
    evidence_of,
    lists_in_force,
    loopback_origin,
)
from tarazy.accreditation.geo import LOOPBACK, parse_address, range_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import DemoAddress


class AddressMap:
    """The whole address space cut where any site's network begins or ends, and where `cuts` do: one search finds the
    part that an address lies in."""

    def __init__(self, registers: Registers, cuts: Iterable[tuple[int, int]] = ()) -> None:
        """`cuts`: first and last address of ranges that sites know nothing of."""
        changes: dict[int, Counter[str]] = {0: Counter()}
        for first, last in cuts:
            changes.setdefault(first, Counter())
            changes.setdefault(last + 1, Counter())
        for key, site in registers.sites.items():
            for first, last in map(range_of, site.networks):
                changes.setdefault(first, Counter())[key] += 1
                changes.setdefault(last + 1, Counter())[key] -= 1
        self.starts = sorted(changes)
        """First address of each part."""
        self.sites: list[tuple[str, ...]] = []
        """Of each part the keys of the sites whose networks contain it, sorted."""
        open_networks: Counter[str] = Counter()
        for start in self.starts:
            for key, change in changes[start].items():
                open_networks[key] += change
                if not open_networks[key]:
                    del open_networks[key]
            self.sites.append(tuple(sorted(open_networks)))

    def part(self, address: int) -> int:
        """The number of the part that the address lies in."""
        return bisect_right(self.starts, address) - 1


class CompiledRegisters:
    """Registers with their networks and lists laid out, and whatever answers have in common worked out once.

    It keeps nothing that strangers say, so it grows no further than the registers.
    """

    def __init__(
        self,
        registers: Registers,
        rule: EvidenceRule,
        demo_addresses: Sequence[DemoAddress] = (),
        earlier: CompiledRegisters | None = None,
    ) -> None:
        """`earlier`: made by the same rule; its maps are taken over where they rest on the same."""
        self.registers = registers
        self.valid_from, self.valid_until = registers.constant_from, registers.constant_until
        self._rule = rule
        self._demo_addresses = demo_addresses
        self._judge = Judge(registers, rule.country)
        lists = {source: listed.ranges for source, listed in lists_in_force(registers, rule.country).items()}
        self._digests = {source: ranges.digest for source, ranges in lists.items()}
        same_lists = earlier is not None and earlier._digests == self._digests
        self._lists: ListMap = earlier._lists if earlier and same_lists else ListMap(lists)
        if earlier and same_lists and earlier.registers.sites is registers.sites:
            self._map: AddressMap = earlier._map
        else:
            demo = [range_of(declared.network) for declared in demo_addresses]
            self._map = AddressMap(registers, [*LOOPBACK, *demo, *chain.from_iterable(lists.values())])
        self._parts: list[Whereabouts | None] = [None] * len(self._map.starts)
        self._distinct: dict[tuple[tuple[str, ...], int, Origin | None], Whereabouts] = {}
        self._nowhere = self._judge.whereabouts((), NOWHERE)

    def at(self, instant: datetime) -> CompiledRegisters:
        """The same knowledge at another instant."""
        return self.with_registers(self.registers.at(instant))

    def with_registers(self, registers: Registers) -> CompiledRegisters:
        """Others, decided on by the same rule."""
        return CompiledRegisters(registers, self._rule, self._demo_addresses, self)

    def decide(self, question: Question) -> Decision:
        """The decision at any instant from `valid_from` until `valid_until`."""
        address = parse_address(question.peer)
        if address is None:
            return self._judge.decide(question, self._nowhere)
        part = self._map.part(address)
        return self._judge.decide(question, self._parts[part] or self._located(part))

    def _located(self, part: int) -> Whereabouts:
        """Parts of which the same is known are one whereabouts."""
        address, located = self._map.starts[part], self._map.sites[part]
        loopback = loopback_origin(address, self._rule.country, self._demo_addresses)
        known = located, self._lists.number(address), loopback
        whereabouts = self._distinct.get(known)
        if whereabouts is None:
            sites = [self.registers.sites[key] for key in located]
            evidence = evidence_of(address, self._lists, sites, self._rule, self._demo_addresses)
            whereabouts = self._distinct[known] = self._judge.whereabouts(located, evidence)
        self._parts[part] = whereabouts
        return whereabouts


class AdmissionIndex:
    """Answers admission from the registers last installed; refuses everybody before that.

    What it is given may be made on any thread; giving it takes no time.
    """

    def __init__(self, rule: EvidenceRule, demo_addresses: Sequence[DemoAddress] = ()) -> None:
        self.compiled = CompiledRegisters(Registers({}, datetime.now(UTC)), rule, demo_addresses)
        """What is answered from."""
        self._upcoming: CompiledRegisters | None = None

    def install(self, compiled: CompiledRegisters) -> None:
        """Answer from `compiled` from now on."""
        self.compiled, self._upcoming = compiled, None

    def foresee(self, upcoming: CompiledRegisters) -> None:
        """Have at hand what `compiled` will be once time has passed, so that nobody waits for it then."""
        self._upcoming = upcoming

    def decide(self, question: Question, now: datetime) -> Decision:
        """The same as `admission.decide`, exact to the instant: what ended before `now` counts as ended."""
        compiled = self.compiled
        if not compiled.valid_from <= now < compiled.valid_until:
            compiled = self._turn(now)
        return compiled.decide(question)

    def _turn(self, now: datetime) -> CompiledRegisters:
        ahead = self._upcoming
        if ahead is None or not ahead.valid_from <= now < ahead.valid_until:
            ahead = self.compiled.at(now)
        self.install(ahead)
        return ahead

    def next_change(self, now: datetime) -> datetime | None:
        """The next instant at which answers may change by the mere passing of time."""
        return self.compiled.registers.next_change(now)
