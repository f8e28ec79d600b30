"""The pool's accreditation, its miners and their data centres, and the decisions on admission."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tarazy.accreditation.admission import Decision, Judge
from tarazy.accreditation.audit import head
from tarazy.accreditation.decisions import ADMITTED, REFUSED, DecisionSummary, decisions_between
from tarazy.accreditation.entries import Entry, LicenceKind, Party
from tarazy.accreditation.entries import Licence as LicenceEntry
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import legal_day
from tarazy.reports.content import (
    AdmissionSection,
    AuditHead,
    Certificate,
    Licence,
    Miner,
    MinersSection,
    Period,
    Pool,
    PoolSection,
    ReasonCount,
    Records,
    RefusedLogin,
    Server,
    Site,
)
from tarazy.reports.gather.records import numbered

LISTED_STRANGERS = 100
"""Refused logins of nobody registered that a report lists; anyone can invent more."""


def _cited(register: str, entries: Iterable[Entry]) -> Records:
    return numbered(register, (entry.entry for entry in entries))


def gather_accreditation(registers: Registers) -> PoolSection:
    """Certificates and servers in force at the registers' instant."""
    certificates = sorted(registers.certificates.values(), key=lambda row: row.key)
    servers = sorted(registers.servers.values(), key=lambda row: row.key)
    return PoolSection(
        certificates=tuple(
            Certificate(
                number=row.certificate,
                issued_by=row.issued_by,
                issued_on=row.issued_on,
                status=row.status,
                valid_from=row.valid_from,
                valid_to=row.valid_to,
            )
            for row in certificates
        ),
        servers=tuple(
            Server(
                server=row.server,
                host=row.host,
                address=row.address,
                country=row.country,
                location=row.location,
                valid_from=row.valid_from,
                valid_to=row.valid_to,
            )
            for row in servers
        ),
        source=(_cited("certificate", certificates), _cited("server", servers)),
    )


def gather_miners(registers: Registers, pool: Pool) -> MinersSection:
    """Every registered party with whether it may mine, and every data centre, at the registers' instant.

    A party is shown as admitted when at least one of its sites would admit it from the site's own network.
    """
    equipment: defaultdict[str, list[int]] = defaultdict(list)
    for machine in registers.equipment.values():
        equipment[machine.party].append(machine.nominal_power_w)
    parties = sorted(registers.parties.values(), key=lambda row: row.key)
    licences = [row for rows in registers.licences_by_party.values() for row in rows]
    judge = Judge(registers, pool.country)
    return MinersSection(
        miners=tuple(_miner(registers, judge, pool, party, equipment[party.party]) for party in parties),
        sites=tuple(_site(registers, key) for key in sorted(registers.sites)),
        source=(
            _cited("party", parties),
            _cited("licence", licences),
            _cited("site", registers.sites.values()),
            _cited("placement", registers.placements.values()),
            _cited("equipment", registers.equipment.values()),
        ),
    )


def _miner(registers: Registers, judge: Judge, pool: Pool, party: Party, machines: list[int]) -> Miner:
    def judged(located: Sequence[str]) -> Decision:
        return judge.decide_from_sites(party, located, pool.server)

    sites = registers.sites_by_party.get(party.party, ())
    decision = judged(sites)
    return Miner(
        party=party.party,
        bin=party.bin,
        kind=party.kind,
        licence=_licence(registers, decision),
        sites=tuple(site for site in sites if judged([site]).admitted) or sites,
        equipment=len(machines),
        nominal_power_w=sum(machines),
        admitted=decision.admitted,
        reasons=tuple(map(str, decision.reasons)),
    )


def _licence(registers: Registers, decision: Decision) -> Licence | None:
    """The licence that the decision rests on."""
    for reference in decision.entries:
        if reference.register == LicenceEntry.register:
            entry = next(
                row for row in registers.versions_of(reference.register, reference.key) if row.entry == reference.entry
            )
            if not isinstance(entry, LicenceEntry):
                raise TypeError(f"entry {reference} is not a licence")
            ends = entry.valid_to
            return Licence(
                number=entry.licence,
                kind=LicenceKind(entry.kind).value,
                issued_on=entry.issued_on,
                last_day=None if ends is None else legal_day(ends - datetime.resolution),
                status=_status(entry, registers.valid_at),
                reason=entry.reason,
            )
    return None


def _status(licence: LicenceEntry, instant: datetime) -> str:
    """What the register says, unless the licence has not begun or has ended by then."""
    if instant < licence.valid_from:
        return "not_begun"
    return licence.status.value if licence.holds(instant) else "expired"


def _site(registers: Registers, key: str) -> Site:
    row = registers.sites[key]
    return Site(
        site=row.site,
        owner=row.party,
        name=row.name,
        country=row.country,
        region=row.region,
        address=row.address,
        networks=tuple(row.networks),
        permitted_power_w=row.permitted_power_w,
        status=row.status,
    )


def names_of(registers: Registers) -> dict[str, dict[str, str]]:
    """The name in each language of every party ever registered, former ones by their last entry."""
    return {row.party: {"kk": row.name_kk, "ru": row.name_ru, "en": row.name_en} for row in registers.latest(Party)}


def gather_admission(connection: Connection, period: Period) -> AdmissionSection:
    """Decisions that the audit log recorded in the period."""
    summaries = decisions_between(connection, period.start, period.end)
    refused = [summary for summary in summaries if summary.kind == REFUSED]
    reasons: Counter[str] = Counter()
    for summary in refused:
        for reason in summary.reasons:
            reasons[reason] += summary.count
    listed = sorted(refused, key=lambda row: (not row.party, -row.count, row.account, row.reasons))
    known = sum(bool(row.party) for row in listed)
    return AdmissionSection(
        admissions=sum(row.count for row in summaries if row.kind == ADMITTED),
        refusals=sum(row.count for row in summaries if row.kind != ADMITTED),
        refusals_of_strangers_not_told_apart=sum(row.count for row in summaries if row.kind not in (ADMITTED, REFUSED)),
        reasons=tuple(
            ReasonCount(reason, count)
            for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ),
        refused=tuple(map(_refused, listed[: known + LISTED_STRANGERS])),
        refused_not_listed=max(0, len(listed) - known - LISTED_STRANGERS),
        source=(_rows(summaries),),
    )


def _rows(summaries: list[DecisionSummary]) -> Records:
    """The audit rows that decisions were read from; others stand between them."""
    if not summaries:
        return Records("audit", 0)
    first = min(row.first_sequence for row in summaries)
    last = max(row.last_sequence for row in summaries)
    return Records("audit", sum(row.rows for row in summaries), ((first, last),))


def _refused(summary: DecisionSummary) -> RefusedLogin:
    return RefusedLogin(
        login=f"{summary.account}.{summary.worker}" if summary.worker else summary.account,
        party=summary.party,
        reasons=summary.reasons,
        refusals=summary.count,
        first_at=summary.first,
        last_at=summary.last,
    )


def audit_head(connection: Connection, before: datetime) -> AuditHead | None:
    """The audit log as it was before an instant."""
    kept = head(connection, before)
    return AuditHead(kept.size, kept.root) if kept.size else None
