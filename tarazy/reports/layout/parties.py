"""Sections on who may mine: the pool and its servers, the miners and data centres, the decisions."""

from __future__ import annotations

from tarazy.reports.content import AccreditationReport, Miner
from tarazy.reports.document import Block, Column, Facts, Notice, Paragraph, Section, Table
from tarazy.reports.layout.voice import NOTHING, Voice


def accreditation(voice: Voice, report: AccreditationReport) -> Section:
    """The certificate and the servers."""
    section = report.accreditation
    blocks: tuple[Block, ...] = (
        _certificates(voice, report) if section.certificates else Notice(voice.say("pool.no_certificate")),
        _servers(voice, report) if section.servers else Notice(voice.say("pool.no_server")),
        Paragraph(voice.say("pool.location_remark"), small=True),
        voice.source(section.source),
    )
    return Section(voice.say("pool.title"), blocks)


def _certificates(voice: Voice, report: AccreditationReport) -> Table:
    rows = tuple(
        (
            certificate.number,
            certificate.issued_by,
            voice.day(certificate.issued_on),
            voice.word("certificate_status", certificate.status),
            voice.at(certificate.valid_from),
            voice.at(certificate.valid_to),
        )
        for certificate in report.accreditation.certificates
    )
    columns = (
        Column(voice.say("pool.certificate"), 20),
        Column(voice.say("pool.issued_by"), 32),
        Column(voice.say("issued_on"), 14),
        Column(voice.say("status"), 16),
        Column(voice.when("since"), 20),
        Column(voice.when("until"), 20),
    )
    return Table(voice.say("pool.certificates"), columns, rows)


def _servers(voice: Voice, report: AccreditationReport) -> Table:
    rows = tuple(
        (
            server.server,
            server.host,
            f"{server.country}, {server.location}, {server.address}",
            voice.at(server.valid_from),
            voice.at(server.valid_to),
        )
        for server in report.accreditation.servers
    )
    columns = (
        Column(voice.say("pool.server"), 14),
        Column(voice.say("pool.host"), 28),
        Column(voice.say("pool.location"), 40),
        Column(voice.when("since"), 20),
        Column(voice.when("until"), 20),
    )
    return Table(voice.say("pool.servers"), columns, rows)


def miners(voice: Voice, report: AccreditationReport) -> Section:
    """Who may mine at the stated moment, who may not and why, and the data centres."""
    section = report.miners
    admitted = [miner for miner in section.miners if miner.admitted]
    refused = [miner for miner in section.miners if not miner.admitted]
    blocks: tuple[Block, ...] = (
        _miners(voice, admitted) if admitted else Notice(voice.say("miners.none_admitted")),
        _refused(voice, refused) if refused else Paragraph(voice.say("miners.none_refused")),
        _sites(voice, report) if section.sites else Notice(voice.say("miners.no_sites")),
        voice.source(section.source),
    )
    return Section(voice.say("miners.title"), blocks)


def _miners(voice: Voice, admitted: list[Miner]) -> Table:
    rows = tuple(
        (
            voice.number(number),
            _identity(voice, miner),
            miner.bin,
            _licence(voice, miner),
            ", ".join(map(voice.site, miner.sites)),
            voice.number(miner.equipment),
            voice.kilowatts(miner.nominal_power_w),
        )
        for number, miner in enumerate(admitted, 1)
    )
    total = (
        "",
        voice.say("total"),
        "",
        "",
        "",
        voice.number(sum(miner.equipment for miner in admitted)),
        voice.kilowatts(sum(miner.nominal_power_w for miner in admitted)),
    )
    columns = (
        Column(voice.say("number"), 5, "right"),
        Column(voice.say("miners.miner"), 34),
        Column(voice.say("miners.bin"), 17),
        Column(voice.say("miners.licence"), 27),
        Column(voice.say("miners.sites"), 16),
        Column(voice.say("miners.equipment"), 13, "right"),
        Column(voice.say("miners.power"), 16, "right"),
    )
    return Table(voice.say("miners.admitted"), columns, rows, total)


def _refused(voice: Voice, refused: list[Miner]) -> Table:
    rows = tuple(
        (
            voice.number(number),
            _identity(voice, miner),
            miner.bin,
            _licence(voice, miner),
            "; ".join(voice.word("reason", reason) for reason in miner.reasons),
        )
        for number, miner in enumerate(refused, 1)
    )
    columns = (
        Column(voice.say("number"), 5, "right"),
        Column(voice.say("miners.miner"), 30),
        Column(voice.say("miners.bin"), 17),
        Column(voice.say("miners.licence"), 30),
        Column(voice.say("miners.reasons"), 44),
    )
    return Table(voice.say("miners.refused"), columns, rows)


def _identity(voice: Voice, miner: Miner) -> str:
    return f"{voice.party(miner.party)} ({voice.word('party_kind', miner.kind)})"


def _licence(voice: Voice, miner: Miner) -> str:
    licence = miner.licence
    if licence is None:
        return voice.say("miners.no_licence")
    stated = voice.say(
        "miners.licence_value",
        number=licence.number,
        kind=licence.kind,
        issued=voice.day(licence.issued_on),
        last=NOTHING if licence.last_day is None else voice.day(licence.last_day),
    )
    reason = f" ({licence.reason})" if licence.reason else ""
    return f"{stated}; {voice.word('licence_status', licence.status)}{reason}"


def _sites(voice: Voice, report: AccreditationReport) -> Table:
    rows = tuple(
        (
            f"{site.name} ({site.site})",
            voice.party(site.owner),
            f"{site.country}, {site.region}, {site.address}",
            " ".join(site.networks),
            voice.kilowatts(site.permitted_power_w),
            voice.word("site_status", site.status),
        )
        for site in report.miners.sites
    )
    columns = (
        Column(voice.say("miners.centre"), 24),
        Column(voice.say("miners.owner"), 24),
        Column(voice.say("miners.address"), 34),
        Column(voice.say("miners.networks"), 20),
        Column(voice.say("miners.permitted_power"), 18, "right"),
        Column(voice.say("status"), 17),
    )
    return Table(voice.say("miners.centres"), columns, rows)


def admission(voice: Voice, report: AccreditationReport) -> Section:
    """Decisions of the period: counts, refusals by reason and by login."""
    section = report.admission
    counts = Facts(
        (
            (voice.say("admission.admissions"), voice.number(section.admissions)),
            (voice.say("admission.refusals"), voice.number(section.refusals)),
        )
    )
    blocks: list[Block] = [counts]
    if section.refused:
        blocks += [
            _reasons(voice, report),
            Paragraph(voice.say("admission.several"), small=True),
            _logins(voice, report),
        ]
    else:
        blocks.append(Paragraph(voice.say("admission.none")))
    if section.refused_not_listed:
        blocks.append(Paragraph(voice.say("admission.not_listed", count=section.refused_not_listed)))
    together = section.refusals_of_strangers_not_told_apart
    if together:
        blocks.append(Paragraph(voice.say("admission.together", count=together)))
    return Section(voice.say("admission.title"), (*blocks, voice.source(section.source)))


def _reasons(voice: Voice, report: AccreditationReport) -> Table:
    rows = tuple(
        (voice.word("reason", count.reason), count.reason, voice.number(count.refusals))
        for count in report.admission.reasons
    )
    columns = (
        Column(voice.say("admission.reason"), 60),
        Column(voice.say("admission.code"), 30),
        Column(voice.say("admission.count"), 16, "right"),
    )
    return Table(voice.say("admission.by_reason"), columns, rows)


def _logins(voice: Voice, report: AccreditationReport) -> Table:
    rows = tuple(
        (
            refused.login or NOTHING,
            voice.party(refused.party) if refused.party else voice.say("admission.unregistered"),
            "; ".join(voice.word("reason", reason) for reason in refused.reasons),
            voice.number(refused.refusals),
            voice.at(refused.first_at),
            voice.at(refused.last_at),
        )
        for refused in report.admission.refused
    )
    columns = (
        Column(voice.say("admission.login"), 18),
        Column(voice.say("miners.miner"), 28),
        Column(voice.say("admission.reason"), 34),
        Column(voice.say("admission.count"), 13, "right"),
        Column(voice.when("admission.first"), 20),
        Column(voice.when("admission.last"), 20),
    )
    return Table(voice.say("admission.by_login"), columns, rows)
