"""Admission compiled for speed: the same answers as `decide`, in microseconds, from memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tarazy.accreditation.admission import Decision, Located, at_site, judge
from tarazy.accreditation.geo import Geo, Origin, origin_of, parse_address, range_of
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


class CompiledRegisters:
    """Registers with their networks laid out, and the decisions already made on them."""

    def __init__(self, registers: Registers) -> None:
        self.registers = registers
        self.accounts = registers.accounts
        self.sites = SiteMap(registers)
        self.valid_from, self.valid_until = registers.constant_from, registers.constant_until
        self.decisions: dict[tuple[str | None, bool, Located, Origin], Decision] = {}
        """By account, None for every unknown one, so that invented names take no room."""


class AdmissionIndex:
    """Answers admission from the registers last installed; refuses everybody before that.

    `CompiledRegisters(registers.at(now))` may be made on any thread; `install` swaps it in at once.
    """

    def __init__(self, server: str, geo: Geo, demo_addresses: Sequence[DemoAddress] = ()) -> None:
        self._server = server
        self._geo = geo
        self._demo_addresses = tuple(demo_addresses)
        self._compiled = CompiledRegisters(Registers({}, datetime.fromisoformat("2000-01-01T00:00:00Z")))

    def install(self, compiled: CompiledRegisters) -> None:
        """Answer from `compiled` from now on."""
        self._compiled = compiled

    def decide(self, account: str, worker: str, peer: str, now: datetime, site: str = "") -> Decision:
        """The same as `admission.decide`, exact to the instant: what ended before `now` counts as ended."""
        compiled = self._compiled
        if not compiled.valid_from <= now < compiled.valid_until:
            compiled = self._compiled = CompiledRegisters(compiled.registers.at(now))
        address = parse_address(peer)
        located: tuple[str, ...] = ()
        origin = Origin.FOREIGN
        if address is not None:
            located = compiled.sites.containing(address)
            origin = origin_of(address, self._geo, self._demo_addresses)
        known = account if account in compiled.accounts else None
        question = (known, is_login(account, worker), at_site(located, site), origin)
        decision = compiled.decisions.get(question)
        if decision is None:
            decision = judge(
                compiled.registers, account, question[1], question[2], origin, self._server, self._geo.country
            )
            compiled.decisions[question] = decision
        return decision

    def next_change(self, now: datetime) -> datetime | None:
        """The next instant at which answers may change by the mere passing of time."""
        return self._compiled.registers.next_change(now)
