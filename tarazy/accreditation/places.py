"""Where each party may mine: every party with each site that it owns or is placed in, and what is against it there."""

from __future__ import annotations

from typing import Any, NamedTuple

from tarazy.accreditation.admission import Decision, Judge
from tarazy.accreditation.entries import Equipment, Party
from tarazy.accreditation.snapshot import Registers


class Place(NamedTuple):
    """A party at a site."""

    party: Party
    site: str
    """Key of the site; empty for a party that has none."""
    machines: tuple[Equipment, ...]
    """The party's own there."""
    decision: Decision
    """On the party, were it to connect from the site's network."""

    def rested_on(self, register: str) -> str:
        """Key of the entry of a register that the decision rested on; empty if on none."""
        return next((entry.key for entry in self.decision.entries if entry.register == register), "")

    def plain(self) -> dict[str, Any]:
        """As JSON values; hash rate in hashes per second, power in watts."""
        return {
            "party": self.party.party,
            "bin": self.party.bin,
            "name": self.party.name_en,
            "site": self.site,
            "admitted": self.decision.admitted,
            "reasons": list(self.decision.reasons),
            "licence": self.rested_on("licence"),
            "certificate": self.rested_on("certificate"),
            "machines": [machine.equipment for machine in self.machines],
            "nominal_hash_rate_hs": sum(machine.nominal_hash_rate_hs for machine in self.machines),
            "nominal_power_w": sum(machine.nominal_power_w for machine in self.machines),
            "entries": [entry._asdict() for entry in self.decision.entries],
        }


def places(registers: Registers, server: str, country: str) -> list[Place]:
    """All of them at the registers' instant, for who asks at `server`, in order of parties and sites."""
    judge = Judge(registers, country)
    found = []
    for key, party in registers.parties.items():
        for site in registers.sites_by_party.get(key, ("",)):
            machines = tuple(registers.machines_by_site.get((key, site), ()))
            decision = judge.decide_from_sites(party, (site,) if site else (), server)
            found.append(Place(party, site, machines, decision))
    return found
