"""Admission compiled for speed: the same answers as `decide`, in microseconds, from memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from tarazy.accreditation.admission import Decision, Judge, Part, Question
from tarazy.accreditation.evidence import (
    NOWHERE,
    Evidence,
    EvidenceRule,
    ListMap,
    Verdict,
    lists_in_force,
    loopback_origin,
    site_verdict,
)
from tarazy.accreditation.geo import is_loopback, parse_address, range_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import DemoAddress


class SiteMap:
    """The whole address space cut where any site's network begins or ends: one search finds all sites."""

    def __init__(self, registers: Registers) -> None:
        changes: dict[int, Counter[str]] = {}
        for key, site in registers.sites.items():
            for first, last in map(range_of, site.networks):
                changes.setdefault(first, Counter())[key] += 1
                changes.setdefault(last + 1, Counter())[key] -= 1
        self._starts = [0]
        self._sites: list[tuple[str, ...]] = [()]
        open_networks: Counter[str] = Counter()
        for start in sorted(changes):
            for key, change in changes[start].items():
                open_networks[key] += change
                if not open_networks[key]:
                    del open_networks[key]
            self._starts.append(start)
            self._sites.append(tuple(sorted(open_networks)))

    def containing(self, address: int) -> tuple[str, ...]:
        """Keys of the sites whose networks contain the address, sorted."""
        return self._sites[bisect_right(self._starts, address) - 1]


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
        same_sites = earlier is not None and earlier.registers.sites is registers.sites
        same_lists = earlier is not None and earlier._digests == self._digests
        self._sites: SiteMap = earlier._sites if earlier and same_sites else SiteMap(registers)
        self._lists: ListMap = earlier._lists if earlier and same_lists else ListMap(lists)
        self._verdicts: dict[tuple[str, ...], Verdict] = {}
        self._origins: dict[tuple[int, str], tuple[Evidence, Part]] = {}
        self._nowhere = NOWHERE, self._judge.origin(NOWHERE)

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
            return self._judge.decide(question, (), *self._nowhere)
        located = self._sites.containing(address)
        return self._judge.decide(question, located, *self._origin(address, located))

    def _origin(self, address: int, located: tuple[str, ...]) -> tuple[Evidence, Part]:
        """What is known of where an address in the networks of these sites lies, and what comes of it."""
        if is_loopback(address):
            origin = loopback_origin(address, self._rule.country, self._demo_addresses)
            assert origin is not None
            evidence = Evidence(origin)
            return evidence, self._judge.origin(evidence)
        verdict = self._verdicts.get(located)
        if verdict is None:
            verdict = site_verdict([self.registers.sites[key] for key in located], self._rule.country)
            self._verdicts[located] = verdict
        key = self._lists.number(address), verdict.value
        known = self._origins.get(key)
        if known is None:
            evidence = self._rule.weigh(self._lists.verdicts(key[0]), verdict)
            known = self._origins[key] = evidence, self._judge.origin(evidence)
        return known


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
