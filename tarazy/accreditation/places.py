"""Where each party may mine: every party with each site that it owns or is placed in, and what is against it there."""

from __future__ import annotations

from typing import NamedTuple

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
