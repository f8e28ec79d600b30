"""Admission compiled for speed: the same answers as `decide`, in microseconds, from memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tarazy.accreditation.admission import Decision, Located, at_site, judge
from tarazy.accreditation.evidence import (
    NOWHERE,
    Evidence,
    EvidenceRule,
    ListMap,
    Origin,
    Verdict,
    lists_in_force,
    loopback_origin,
    site_verdict,
)
from tarazy.accreditation.geo import is_loopback, parse_address, range_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import DemoAddress
from tarazy.stratum.login import is_login


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


Place = Evidence | tuple[int, Verdict]
"""What an address is taken for: evidence, or the number of what the lists say with what its sites say."""


class CompiledRegisters:
    """Registers with their networks and lists laid out, and the decisions already made on them."""

    def __init__(self, registers: Registers, country: str = "KZ", earlier: CompiledRegisters | None = None) -> None:
        """`earlier`: whose map of the lists is taken over if the same lists are in force."""
        self.registers = registers
        self.accounts = registers.accounts
        self.sites = SiteMap(registers)
        self.country = country
        lists = lists_in_force(registers, country)
        self._in_force = {source: listed.digest for source, listed in lists.items()}
        self.lists: ListMap
        if earlier is not None and (earlier.country, earlier._in_force) == (country, self._in_force):
            self.lists = earlier.lists
        else:
            self.lists = ListMap({source: listed.ranges for source, listed in lists.items()})
        self._site_verdicts: dict[tuple[str, ...], Verdict] = {}
        self.valid_from, self.valid_until = registers.constant_from, registers.constant_until
        self.decisions: dict[tuple[str | None, bool, Located, Place], Decision] = {}
        """By account, None for every unknown one, so that invented names take no room."""

    def site_verdict(self, located: tuple[str, ...]) -> Verdict:
        """What the register of sites says of an address in these sites."""
        known = self._site_verdicts.get(located)
        if known is None:
            known = site_verdict([self.registers.sites[key] for key in located], self.country)
            self._site_verdicts[located] = known
        return known


class AdmissionIndex:
    """Answers admission from the registers last installed; refuses everybody before that.

    `CompiledRegisters(registers.at(now))` may be made on any thread; `install` swaps it in at once.
    """

    def __init__(self, server: str, rule: EvidenceRule, demo_addresses: Sequence[DemoAddress] = ()) -> None:
        self._server = server
        self._rule = rule
        self._demo_addresses = tuple(demo_addresses)
        self._compiled = CompiledRegisters(Registers({}, datetime.fromisoformat("2000-01-01T00:00:00Z")))

    def install(self, compiled: CompiledRegisters) -> None:
        """Answer from `compiled` from now on."""
        self._compiled = compiled

    def decide(self, account: str, worker: str, peer: str, now: datetime, site: str = "") -> Decision:
        """The same as `admission.decide`, exact to the instant: what ended before `now` counts as ended."""
        compiled = self._compiled
        if not compiled.valid_from <= now < compiled.valid_until:
            compiled = self._compiled = CompiledRegisters(compiled.registers.at(now), compiled.country, compiled)
        address = parse_address(peer)
        located: tuple[str, ...] = ()
        place: Place = NOWHERE
        if address is not None:
            located = compiled.sites.containing(address)
            if is_loopback(address):
                origin = loopback_origin(address, self._rule.country, self._demo_addresses)
                place = Evidence(origin or Origin.LOOPBACK)
            else:
                place = compiled.lists.number(address), compiled.site_verdict(located)
        known = account if account in compiled.accounts else None
        question = (known, is_login(account, worker), at_site(located, site), place)
        decision = compiled.decisions.get(question)
        if decision is None:
            evidence = (
                place if isinstance(place, Evidence) else self._rule.weigh(compiled.lists.verdicts(place[0]), place[1])
            )
            decision = judge(
                compiled.registers, account, question[1], question[2], evidence, self._server, self._rule.country
            )
            compiled.decisions[question] = decision
        return decision

    def next_change(self, now: datetime) -> datetime | None:
        """The next instant at which answers may change by the mere passing of time."""
        return self._compiled.registers.next_change(now)
