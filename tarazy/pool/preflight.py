"""What `tarazy check` looks at before a server starts: each finding is one line, with a cure where it is wanting."""

from __future__ import annotations

import os
import resource
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from tarazy.accounting.ledger import check as check_ledger
from tarazy.accounting.payouts.batches import check as check_payouts
from tarazy.accounting.proof.record import last_round, unproven
from tarazy.accounting.reserve import reserve
from tarazy.accounting.schemes import Scheme
from tarazy.accreditation.entries import DocumentStatus, ReadBy
from tarazy.accreditation.evidence import INDICATION, EvidenceRule, disagreements, lists_in_force, stale
from tarazy.accreditation.heads import SigningError, load_key
from tarazy.accreditation.registers import as_of, newest_recorded_at
from tarazy.accreditation.server_evidence import findings, gather
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawError, load_law
from tarazy.config.settings import (
    BitcoindChainSettings,
    MqttSettings,
    PoolSettings,
    ServiceSigning,
    Settings,
    TlsSettings,
)
from tarazy.database.engine import open_engine, reader
from tarazy.database.schema import SchemaError, require_schema
from tarazy.pool import moments
from tarazy.pool.certificates import CertificateError, make_context, read_certificate
from tarazy.pool.chain.bitcoind.credentials import credentials_of
from tarazy.pool.chain.bitcoind.faults import CURES, NodeError
from tarazy.pool.chain.bitcoind.probe import probe
from tarazy.pool.machine import observe
from tarazy.pool.metered import meters_of
from tarazy.pool.payouts.wallet import wallet_of
from tarazy.pool.proving import obstacle
from tarazy.pool.reporting.post import Post
from tarazy.pool.templates import TemplateError, address_script
from tarazy.pool.terms import advised_blocks, schedule_of, terms_text
from tarazy.pool.watched import SilentError, overview_of
from tarazy.portal.second_factor import SealError, open_seal
from tarazy.reports.delivery.profile import ProfileError, load_profiles
from tarazy.reports.schedule import ScheduleError, plan
from tarazy.reports.signing import SigningFault
from tarazy.reports.signing.key import load_key as load_signing_key
from tarazy.reports.signing.signer import exposed

_DISK_RESERVE = 1 << 30
_DESCRIPTORS = 4096
_RECORDS = 10
"""Rounds without a record whose journals and blocks are looked at."""
_BROKER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    subject: str
    fine: bool
    text: str
    cure: str = ""


def preflight(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Look at everything a start needs, without starting anything."""
    yield Finding("settings", True, "read and well-formed")
    yield _payout_address(settings)
    yield _law(settings)
    yield _data_directory(settings)
    yield from _database(settings, now)
    yield _audit_key(settings)
    yield from _signing(settings, now)
    yield from _reports(settings, now)
    yield from _portal(settings)
    yield from _ports(settings)
    for tls in dict.fromkeys(listener.tls for listener in settings.stratum.listeners if listener.tls is not None):
        yield _tls(tls, now)
    yield _descriptors()
    yield from _chain(settings)
    yield from _payouts(settings)


def _ports(settings: Settings) -> Iterator[Finding]:
    """Whether each port is free, and given to one part of the server only; its own server may hold them."""
    if _is_running(settings):
        yield Finding("ports", True, "this pool's server is running and holds them")
        return
    holders: dict[tuple[str, int], str] = {}
    for name, host, port in _addresses(settings):
        holder = holders.setdefault((host, port), name)
        if holder is not name and port:
            yield Finding(name, False, f"{host}:{port} is the {holder} too", "choose another in the settings")
        else:
            yield port_finding(name, host, port)


def _is_running(settings: Settings) -> bool:
    try:
        told: object = overview_of(settings)["pool"]["name"]
    except (SilentError, ValueError, KeyError, TypeError):
        return False
    return told == settings.pool.name


def _addresses(settings: Settings) -> Iterator[tuple[str, str, int]]:
    for listener in settings.stratum.listeners:
        yield "stratum port", listener.host, listener.port
    yield "portal port", settings.portal.host, settings.portal.port
    yield "metrics port", settings.metrics.host, settings.metrics.port
    for number in settings.gateways if settings.processes else ():
        metrics = settings.of_gateway(number).metrics
        yield f"metrics port of gateway {number}", metrics.host, metrics.port


def _payout_address(settings: Settings) -> Finding:
    try:
        address_script(settings.pool.payout_address, settings.chain.address_chain)
    except TemplateError as error:
        return Finding("payout address", False, str(error), "set pool.payout_address to an address of the chain in use")
    return Finding("payout address", True, "belongs to the chain in use")


def _rewards(registers: Registers, pool: PoolSettings, now: datetime) -> Finding:
    named = {party for terms in pool.terms for party in terms.fees}
    if strangers := sorted(named - registers.parties.keys()):
        text = f"pool.terms has a fee for {strangers[0]}, which is no party of the register"
        return Finding("rewards", False, text, "correct its key in the settings, or import the party")
    return Finding("rewards", True, terms_text(pool, now))


def meters_heard(registers: Registers, mqtt: MqttSettings | None) -> Iterator[Finding]:
    """Whether meters that are heard over MQTT have a topic, topics a meter, and the broker can be reached."""
    heard = {meter.meter for meter in meters_of(registers, ReadBy.MQTT)}
    told = set(mqtt.meters) if mqtt else set()
    for key in sorted(heard - told):
        yield Finding("meters", False, f"{key} has read_by mqtt and no topic", "add it to energy.mqtt.meters")
    for key in sorted(told - heard):
        cure = "set its read_by, or take it out of energy.mqtt.meters"
        yield Finding("meters", False, f"{key} has a topic, and no meter of that key has read_by mqtt", cure)
    if mqtt is None:
        return
    try:
        if mqtt.password is not None:
            mqtt.password.read_text(encoding="utf-8")
        socket.create_connection((mqtt.address.hostname or "", mqtt.port), _BROKER_SECONDS).close()
    except (OSError, UnicodeError) as error:
        yield Finding("mqtt broker", False, str(error), "check energy.mqtt.url and password, and that it runs")
    else:
        yield Finding("mqtt broker", True, f"{mqtt.url} answers; {len(told & heard)} meters")


def _reserve(connection: Connection, pool: PoolSettings, now: datetime) -> Iterator[Finding]:
    """What stands behind FPPS, where it is in force, announced, or was."""
    stands = reserve(connection)
    schedule = schedule_of(pool)
    fees = [terms.fee_ppm for terms in schedule.from_(now) if terms.scheme is Scheme.FPPS]
    text = f"{stands.final} satoshi, open rounds add {stands.immature}"
    if stands.final < 0:
        cure = "fund it with `tarazy reserve fund`: no payout is proposed until then"
        yield Finding("reserve", False, f"FPPS owes what it does not have: {text}", cure)
    elif fees:
        blocks = (
            f"some {advised_blocks(min(fees)):,} block rewards" if min(fees) else "no reserve is enough without a fee"
        )
        yield Finding("reserve", True, f"{text}; for a risk of ruin of 0.1 %: {blocks}")


def _law(settings: Settings) -> Finding:
    try:
        law = list(load_law(settings.law.assumptions, settings.law.directory))
    except LawError as error:
        return Finding("law", False, str(error), "mend the file named, or law.assumptions in the settings")
    assumed = f"; assumptions in use: {', '.join(settings.law.assumptions)}" if settings.law.assumptions else ""
    return Finding("law", True, f"{len(law)} rules{assumed}")


def _audit_key(settings: Settings) -> Finding:
    path = settings.audit_key_path
    if not path.exists():
        return Finding("audit key", True, f"{path} is made when the log's first head is signed")
    try:
        key = load_key(path, settings.audit.name)
    except SigningError as error:
        return Finding("audit key", False, str(error), "restore it from a copy, or set audit.key")
    if path.stat().st_mode & 0o077:
        return Finding("audit key", False, f"{path} can be read by others", f"chmod 600 {path}")
    return Finding("audit key", True, f"heads verify with {key.verifier}")


def _signing(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Whether reports can be signed as the settings say, and nobody else reads the secrets for it."""
    signing = settings.signing
    if signing is None:
        yield Finding("signing", True, "reports are signed elsewhere, see docs/operators.md")
        return
    secrets = (signing.key_file, signing.password_file, getattr(signing, "authorization_file", None))
    faults = [finding for path in secrets if path is not None and (finding := _secret("signing", path))]
    yield from faults
    if faults:
        return
    if isinstance(signing, ServiceSigning):
        yield Finding("signing", True, f"by {signing.url}; not asked now: it is asked to sign a report")
        return
    try:
        key = load_signing_key(signing.key_file, signing.password_file)
    except SigningFault as error:
        yield Finding("signing", False, str(error), "mend `signing` in the settings")
        return
    if key.ends <= now:
        yield Finding("signing", False, f"the certificate ended {key.ends:%Y-%m-%d}", "get another, and its key")
    else:
        yield Finding("signing", True, f"key opens, its certificate holds to {key.ends:%Y-%m-%d}; proves origin only")


def _secret(of: str, path: Path) -> Finding | None:
    """What is wrong with a file that holds a secret."""
    try:
        if not exposed(path):
            return None
    except OSError as error:
        return Finding(of, False, f"{path}: {error.strerror}", f"restore it, or mend the settings of {of}")
    return Finding(of, False, f"{path} can be read by others", f"chmod 600 {path}")


def _reports(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Whether the schedule can be kept, and documents delivered. The authorities are not asked."""
    schedule = settings.reports.schedule
    try:
        profiles = load_profiles(settings.reports.profiles)
        for profile in profiles.values():
            Post(None, profile)
        law = load_law(settings.law.assumptions, settings.law.directory)
    except (ProfileError, LawError) as error:
        yield Finding("reports", False, str(error), "mend the file named; docs/delivery.md explains profiles")
        return
    for profile in profiles.values():
        subject = f"delivery to {profile.name}"
        secrets = [getattr(profile.authentication, name, None) for name in ("value_file", "password_file", "key_file")]
        faults = [finding for path in secrets if path is not None and (finding := _secret(subject, path))]
        automatic = "nobody approves" if profile.approval == "automatic" else "after approval"
        yield from faults or [Finding(subject, True, f"{automatic}, to {profile.url}")]
    for entry in schedule:
        subject, to = f"schedule of {entry.kind}", profiles.get(entry.deliver_to or "")
        try:
            planned = list(plan(entry, law, now))
        except ScheduleError as error:
            yield Finding(subject, False, str(error), "see docs/law.md")
            continue
        if entry.deliver_to is not None and (to is None or entry.kind not in to.documents):
            cure = "add the profile to reports.profiles, or the kind to its documents"
            yield Finding(subject, False, f"no profile {entry.deliver_to} takes it", cure)
        elif to is not None and to.signature == "required" and settings.signing is None:
            yield Finding(subject, True, "each waits, when it is built, for a signature made elsewhere")
        else:
            known = "" if all(each.due for each in planned) else "; the last day is not known, so nothing warns"
            yield Finding(subject, True, f"{len(planned)} periods have ended since {entry.since}{known}")


def _portal(settings: Settings) -> Iterator[Finding]:
    """Whether people's passwords go over the network in clear, and the key of their second factors is usable."""
    host, url = settings.portal.host, settings.portal.public_url
    if url is None and host != "localhost" and not ip_address(host).is_loopback:
        cure = "put a proxy with TLS before it, set portal.public_url to its address, and listen on a loopback address"
        yield Finding("portal", False, f"passwords would come to {host} unencrypted", cure)
    path = settings.portal_key_path
    try:
        if path.exists():
            open_seal(path)
    except SealError as error:
        yield Finding("portal key", False, str(error), "restore it from a copy, or set portal.key")
    else:
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding("portal key", False, f"{path} can be read by others", f"chmod 600 {path}")


def _data_directory(settings: Settings) -> Finding:
    directory = settings.data
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return Finding(
            "data directory",
            False,
            f"{directory}: {error.strerror}",
            "set `data` to a directory the server may write",
        )
    if not os.access(directory, os.W_OK):
        return Finding(
            "data directory",
            False,
            f"{directory}: not writable",
            "give the server's user the right to write there",
        )
    if free < _DISK_RESERVE:
        return Finding(
            "data directory",
            False,
            f"{directory}: {free >> 20} MiB free",
            "free at least 1 GiB: without disk no share is accepted",
        )
    return Finding("data directory", True, f"{directory}, {free >> 30} GiB free")


def _database(settings: Settings, now: datetime) -> Iterator[Finding]:
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        yield Finding("database", False, "there is no ledger yet", "run `tarazy db upgrade -c FILE`")
        return
    engine = open_engine(settings.database_url)
    try:
        with reader(engine).begin() as connection:
            require_schema(connection)
            if faults := check_ledger(connection) + check_payouts(connection):
                yield Finding("ledger", False, faults[0], "stop the pool and find out who wrote to the database")
            yield Finding("database", True, "reachable, schema up to date")
            yield from _records(connection, settings)
            yield from _registers(connection, settings, now)
    except SchemaError as error:
        yield Finding("database", False, str(error).partition(";")[0], "run `tarazy db upgrade -c FILE`")
    except SQLAlchemyError as error:
        text = " ".join(str(error.__cause__ or error).split())
        yield Finding("database", False, text, "check `database` in the settings and that its server runs")
    finally:
        engine.dispose()


def _records(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """What keeps final rounds from their records, without which they are not paid."""
    waiting = unproven(connection)
    journals, blocks = settings.journal_path.parent, settings.blocks_path.parent
    for distribution in waiting[:_RECORDS]:
        if why := obstacle(connection, distribution, journals, blocks):
            text, _, cure = why.rpartition("; ")
            effect = f"{len(waiting)} final rounds have no record and are not paid" if len(waiting) > 1 else "not paid"
            yield Finding("records", False, f"round {last_round(connection, distribution)}: {text}; {effect}", cure)
            return
    if waiting:
        yield Finding("records", True, f"the server will write those of {len(waiting)} final rounds")


def _registers(connection: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    registers = as_of(connection, now)
    yield _rewards(registers, settings.pool, now)
    yield from _reserve(connection, settings.pool, now)
    yield from meters_heard(registers, settings.energy.mqtt)
    cure = "import it with `tarazy register import FILE`"
    server = registers.servers.get(settings.accreditation.server)
    if server is None:
        yield Finding("server", False, f"{settings.accreditation.server} is not in the register of servers", cure)
    else:
        yield Finding("server", True, f"{settings.accreditation.server} is registered in {server.country}")
    certificates = [entry for entry in registers.certificates.values() if entry.status is DocumentStatus.IN_FORCE]
    if certificates:
        yield Finding("certificate", True, "a certificate of accreditation is in force")
    else:
        yield Finding(
            "certificate",
            False,
            "no certificate of accreditation is in force; nobody would be admitted",
            cure,
        )
    for listener in settings.stratum.listeners:
        for site in sorted(set(listener.sites or ()) - registers.sites.keys()):
            text = f"port {listener.port} is for {site}, which is in no register of sites; nobody is admitted from it"
            yield Finding("listener", False, text, "register the site, or correct `sites` of the listener")
    yield from _evidence(registers, settings, now)
    newest = newest_recorded_at(connection)
    if newest is not None and newest > now + timedelta(minutes=1):
        yield Finding("clock", False, "it is behind the newest entry of the registers", "set the machine's clock (NTP)")
    else:
        yield Finding("clock", True, f"{moments.told(now)}, not behind the registers")


def _evidence(registers: Registers, settings: Settings, now: datetime) -> Iterator[Finding]:
    """How old the lists of addresses are, and what this machine shows about where it stands."""
    accreditation = settings.accreditation
    rule, lists = EvidenceRule.of(accreditation), lists_in_force(registers, accreditation.country)
    asked = {source: listed for source, listed in lists.items() if source in rule.sources}
    cure = "take a newer one with `tarazy register geo update FILE`"
    for old in stale(registers, rule, accreditation.evidence.maximum_age_days.model_dump(), now.date()):
        yield Finding("addresses", False, f"list {old.source} is of {old.dated_on}, {old.days} days old", cure)
    if asked:
        days = ", ".join(f"{source} of {listed.dated_on}" for source, listed in asked.items())
        yield Finding("addresses", True, f"{days}; {INDICATION}")
    else:
        text = f"none of {', '.join(rule.sources)} has a list; nobody would be admitted"
        yield Finding("addresses", False, text, "record one with `tarazy register geo update FILE`")
    disputed = sorted({f"{one.register} {one.key}" for one in disagreements(registers, rule)})
    if disputed:
        text = f"sources differ on networks of {', '.join(disputed)}"
        yield Finding("addresses", False, text, "see `tarazy register geo show`; mend the network or the lists")
    if accreditation.server in registers.servers:
        evidence = gather(registers, rule, accreditation.server, observe(settings), now)
        for found in findings(evidence):
            yield Finding("server evidence", found.fine, found.text, found.cure)


def port_finding(name: str, host: str, port: int) -> Finding:
    """Whether a server could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding(
                name,
                False,
                f"{host}:{port}: {error.strerror}",
                "stop what uses it, unless it is this server, or choose another in the settings",
            )
    return Finding(name, True, f"{host}:{port} is free")


def _tls(settings: TlsSettings, now: datetime) -> Finding:
    try:
        make_context(settings)
        ends = read_certificate(settings).not_valid_after_utc
    except CertificateError as error:
        return Finding("TLS certificate", False, str(error), "mend the files that stratum.listeners name")
    if ends <= now:
        return Finding("TLS certificate", False, f"{settings.certificate} ended {ends:%Y-%m-%d}", "renew it")
    return Finding("TLS certificate", True, f"{settings.certificate}, valid to {ends:%Y-%m-%d}")


def _chain(settings: Settings) -> Iterator[Finding]:
    chain = settings.chain
    if not isinstance(chain, BitcoindChainSettings):
        yield Finding("chain", True, "embedded regtest chain: for development and demos, not for real coins")
        return
    for number, node in enumerate(chain.nodes, 1):
        try:
            status = probe(node.url, credentials_of(node), chain.network, chain.pinned_blocks)
        except NodeError as error:
            yield Finding(f"node {number}", False, f"{error.fault}: {error.words}", CURES[error.fault])
        else:
            text = f"in sync on {status.chain} at block {status.tip.height}, {status.peers} peers"
            yield Finding(f"node {number}", True, text)


def _payouts(settings: Settings) -> Iterator[Finding]:
    """Whether the wallet answers; the embedded chain's is there only while the server runs."""
    if settings.payouts is None or not isinstance(settings.chain, BitcoindChainSettings):
        return
    try:
        held = wallet_of(settings).balances()
    except NodeError as error:
        yield Finding("payouts wallet", False, f"{error.fault}: {error.words}", CURES[error.fault])
    else:
        yield Finding("payouts wallet", True, f"{settings.payouts.wallet} answers at block {held.tip}")


def _descriptors() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _DESCRIPTORS:
        return Finding(
            "descriptors",
            False,
            f"at most {hard} connections and files",
            "raise the limit of open files (ulimit -Hn) to 65536",
        )
    return Finding("descriptors", True, f"up to {hard} open files")
