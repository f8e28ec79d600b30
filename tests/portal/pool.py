"""A pool with a plausible day behind it, in a real database: what the portal's tests look at."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert, update

from tarazy.accounting import tables
from tarazy.accounting.assets.issued import Issued, issue
from tarazy.accounting.assets.sales import Sale, record_sales
from tarazy.accounting.assets.values import BITCOIN
from tarazy.accounting.distribution import reconcile
from tarazy.accounting.energy import tables as energy_tables
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.energy.site_days import append_allocations, append_intervals
from tarazy.accounting.payouts.batches import approve, confirm, due, propose, sent, sign
from tarazy.accounting.payouts.holds import hold
from tarazy.accounting.payouts.machine import Destination, LeftOut, Limits
from tarazy.accounting.proof.record import keep
from tarazy.accreditation.audit import AuditEvent, append, instant_text
from tarazy.accreditation.entries import (
    Certificate,
    DocumentStatus,
    EnergySource,
    Entry,
    Equipment,
    Finding,
    FindingKind,
    FindingState,
    Licence,
    LicenceKind,
    Meter,
    MeterStatus,
    Party,
    PartyKind,
    Placement,
    Server,
    Severity,
    Site,
    SiteStatus,
)
from tarazy.accreditation.registers import append_all
from tarazy.config.law.calendar import Period
from tarazy.database.engine import open_engine
from tarazy.database.states import note_state
from tarazy.database.types import metadata
from tarazy.portal.users import let_in_demo_users

SINCE = datetime(2024, 1, 15, tzinfo=UTC)
INTERVAL = 900
EKIBASTUZ, KARAGANDA = "ekibastuz", "karaganda"
NAMES = {
    "altyn": ("240140000011", "«Алтын Майнинг» ЖШС", "ТОО «Алтын Майнинг»", "Altyn Mining LLP"),
    "dala": ("240240000025", "«Дала Хэш» ЖШС", "ТОО «Дала Хэш»", "Dala Hash LLP"),
    "samal": ("240340000039", "«Самал Энерго» ЖШС", "ТОО «Самал Энерго»", "Samal Energo LLP"),
    "kokshe": ("240440000042", "«Көкше Дата» ЖШС", "ТОО «Кокше Дата»", "Kokshe Data LLP"),
}
SITE_OF = {"altyn": EKIBASTUZ, "dala": EKIBASTUZ, "samal": KARAGANDA, "kokshe": KARAGANDA}
RATE = {"altyn": 42e15, "dala": 21e15, "samal": 13e15}
"""Hashes per second."""
TXIDS = (hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest())
"""Of the transaction that confirmed, and of the one that is under way."""
ADDRESS = "bcrt1qqz7xhvxhgz9mkazdn6dz0rrv9plhvq8evdcmyy"


def findings(now: datetime) -> list[Finding]:
    """Two open ones: a party too fast for its machines, and a site with more machines than power."""
    rates = {"hash_rate_hs": 9 * 10**14, "nominal_hs": 4 * 10**14, "machines": 2, "workers": 1, "busiest": "samal.rig"}
    about: dict[str, Any] = {"state": FindingState.OPEN, "valid_from": now - timedelta(minutes=50)}
    return [
        Finding(
            finding=f"hash-rate:party:samal:{KARAGANDA}",
            kind=FindingKind.HASH_RATE,
            severity=Severity.SERIOUS,
            of_register="party",
            of_key="samal",
            party="samal",
            site=KARAGANDA,
            evidence=rates,
            blocks=True,
            **about,
        ),
        Finding(
            finding=f"site-power:site:{EKIBASTUZ}",
            kind=FindingKind.SITE_POWER,
            severity=Severity.WARNING,
            of_register="site",
            of_key=EKIBASTUZ,
            site=EKIBASTUZ,
            owner="aida",
            evidence={"nominal_w": 5_400_000, "permitted_w": 5_000_000, "machines": 1500},
            **about,
        ),
    ]


def entries(now: datetime) -> Iterable[Entry]:
    """The registers: four parties on two sites, one with a licence that has ended."""
    for party, (number, kk, ru, en) in NAMES.items():
        yield Party(
            party=party,
            bin=number,
            kind=PartyKind.LEGAL,
            account=party,
            name_kk=kk,
            name_ru=ru,
            name_en=en,
            valid_from=SINCE,
        )
    for index, party in enumerate(NAMES, 1):
        ended = now - timedelta(hours=3) if party == "kokshe" else datetime(2030, 1, 15, tzinfo=UTC)
        yield Licence(
            licence=f"KZ-{index:04}",
            party=party,
            kind=LicenceKind.OWN_DATA_CENTRE if party in ("altyn", "samal") else LicenceKind.PLACED,
            issued_on=date(2024, 1, 15),
            status=DocumentStatus.IN_FORCE,
            valid_from=SINCE,
            valid_to=ended,
        )
    for site, owner, name, region in (
        (EKIBASTUZ, "altyn", "Екібастұз ДӨО", "Павлодар облысы"),
        (KARAGANDA, "samal", "Қарағанды ДӨО", "Қарағанды облысы"),
    ):
        yield Site(
            site=site,
            party=owner,
            name=name,
            country="KZ",
            region=region,
            address=f"{name}, 1",
            networks=("127.0.0.1/32",) if site == EKIBASTUZ else ("127.0.0.3/32",),
            permitted_power_w=5_000_000,
            status=SiteStatus.ACCREDITED,
            valid_from=SINCE,
        )
    for party in ("dala", "kokshe"):
        yield Placement(placement=f"{party}-1", party=party, site=SITE_OF[party], contract="1", valid_from=SINCE)
    yield Certificate(
        certificate="POOL-1",
        issued_by="Authority",
        issued_on=date(2024, 1, 15),
        status=DocumentStatus.IN_FORCE,
        valid_from=SINCE,
    )
    yield Server(
        server="astana-1",
        host="astana-1",
        address="127.0.0.1",
        country="KZ",
        location="Астана",
        valid_from=SINCE,
    )
    for index, party in enumerate(NAMES, 1):
        yield Equipment(
            equipment=f"SN-{index}",
            model="S21",
            party=party,
            site=SITE_OF[party],
            nominal_hash_rate_hs=200 * 10**12,
            nominal_power_w=3_500,
            valid_from=SINCE,
        )
    for index, site in enumerate((EKIBASTUZ, KARAGANDA), 1):
        yield Meter(
            meter=f"feeder-{index}",
            site=site,
            host="127.0.0.1",
            port=5020,
            unit=1,
            profile="tarazy-demo",
            source=EnergySource.GRID,
            price_tiyn_per_kwh=1800,
            status=MeterStatus.OK,
            valid_from=SINCE,
        )


def weight_of_rate(rate: float, seconds: int) -> int:
    """Work of `seconds` at `rate` hashes per second."""
    return int(rate * seconds)


def block_hash(number: int) -> str:
    """A displayed hash that looks like one."""
    return "00000000" + hashlib.sha256(str(number).encode()).hexdigest()[8:]


class Pool:
    """The database and what happens in it."""

    def __init__(self, directory: Path, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC)
        self.url = f"sqlite:///{directory / 'pool.db'}"
        self.engine: Engine = open_engine(self.url)
        metadata.create_all(self.engine)
        self.height = 843_210
        self.random = random.Random(7)
        self.rounds = 1
        with self.engine.begin() as connection:
            append_all(connection, list(entries(self.now)), SINCE, "test")
            append_all(connection, findings(self.now), self.now, "tarazy")
            self._rounds(connection)
            self._payouts(connection)
            self._assets(connection)
            self._work(connection)
            self._energy(connection)
            self._refusals(connection)
            let_in_demo_users(connection, "altyn", self.now)

    def _rounds(self, connection: Connection) -> None:
        opened = self.now - timedelta(hours=23)
        _insert(connection, tables.round_, round=1, opened_at=opened)
        for confirmations, state in ((150, "mature"), (130, "mature"), (0, "orphaned"), (47, "connected")):
            opened += timedelta(hours=5)
            self._find_block(connection, opened, state, confirmations)

    def _find_block(self, connection: Connection, at: datetime, state: str, confirmations: int) -> None:
        """Found, taken to stay, and then what `state` says."""
        self.height += 1
        name, number = block_hash(self.height), self.rounds
        closed = {"closed_at": at, "block_hash": name, "gateway": 1, "fee_ppm": 10_000, "cut": {"1": number * 1000}}
        connection.execute(update(tables.round_).where(tables.round_.c.round == number).values(**closed))
        for party, rate in RATE.items():
            _insert(connection, tables.round_work, round=number, target="", subsidy=0, party=party, weight=int(rate))
        reward = 312_500_000 + self.random.randrange(20_000_000)
        _insert(
            connection,
            tables.block,
            block_hash=name,
            height=self.height,
            round=number,
            gateway=1,
            sequence=number * 1000,
            party="altyn",
            worker="rig1",
            found_at=at,
            state="connected",
            confirmations=1,
            reward=reward,
            state_at=at,
        )
        note_state(connection, tables.block.name, name, "connected", at)
        self.rounds += 1
        _insert(connection, tables.round_, round=self.rounds, opened_at=at)
        reconcile(connection, at)
        told = {"state": state, "confirmations": confirmations}
        connection.execute(update(tables.block).where(tables.block.c.block_hash == name).values(**told))
        note_state(connection, tables.block.name, name, state, at + timedelta(minutes=30))
        reconcile(connection, at + timedelta(minutes=30))

    def _payouts(self, connection: Connection) -> None:
        """One payout confirmed, one sent, one that waits for approval, one party held; one round recorded."""
        keep(connection, {"distribution": 1, "round": 1, "shares": 2_000_000}, 1)
        at = self.now - timedelta(hours=4)
        hold(connection, "samal", "the address is disputed", at, "aida")
        for number, party in enumerate(("altyn", "dala"), 1):
            self._propose(connection, party, at, credits=1)
            approve(connection, number, at + timedelta(minutes=9), "bolat")
            sign(connection, number, at + timedelta(minutes=10), TXIDS[number - 1], "00", 2_000)
            sent(connection, number, at + timedelta(minutes=11), None)
        confirm(connection, 1, at + timedelta(hours=1), TXIDS[0])
        self._propose(connection, "altyn", self.now - timedelta(hours=1), credits=2)

    def _assets(self, connection: Connection) -> None:
        """The record of a month without distributions was issued; a sale lacks its document."""
        month = Period.parse(f"{self.now - timedelta(days=70):%Y-%m}")
        version = Issued(1, month.end, hashlib.sha256(b"record").hexdigest(), None)
        issue(connection, month.start, month.end, version, month.end, "aida")
        sale = Sale("dala", "Exchange", "AFSA-1", "D-17", BITCOIN, 40_000_000, self.now - timedelta(hours=2), None)
        record_sales(connection, [sale], self.now - timedelta(hours=1), "aida")

    def _propose(self, connection: Connection, party: str, at: datetime, credits: int) -> None:
        """A batch of a party's due credits, as many as there are up to `credits`."""
        due_now = [each.amount for each in due(connection, unproven=True) if each.party == party][:credits]
        limits = Limits(threshold=1, outputs=9, batch=sum(due_now), day=10**12, first=None)
        wanted: dict[str, Destination | LeftOut] = {party: Destination(ADDRESS, bytes.fromhex("0014" + "00" * 20))}
        number, _ = propose(connection, at, "aida", wanted, limits, (at, at), unproven=True)
        assert number is not None

    def _work(self, connection: Connection) -> None:
        start = floor_to(self.now, INTERVAL)
        for back in range(96):
            at = start - timedelta(seconds=back * INTERVAL)
            seconds = int((self.now - start).total_seconds()) if back == 0 else INTERVAL
            for party, rate in RATE.items():
                moved = rate * self.random.uniform(0.94, 1.05) * (0.55 if party == "samal" and back > 60 else 1)
                self.tally(connection, party, at, weight_of_rate(moved, seconds), seconds // 3)

    def tally(self, connection: Connection, party: str, at: datetime, weight: int, shares: int) -> None:
        """Add work of `party` in the interval that starts `at`."""
        place = {"round": self.rounds, "interval_start": at, "party": party, "site": SITE_OF[party]}
        done = {"weight": weight, "shares": shares, "stale_weight": weight // 400, "stale_shares": shares // 40}
        _insert(connection, tables.tally, **place, account=party, worker="rig1", **done)
        _insert(connection, tables.site_tally, **place, **done, heaviest=-(-weight // max(1, shares)))
        rejected = {"party": party, "account": party, "worker": "rig1", "site": SITE_OF[party], "gateway": 1}
        for reason, count in (("stale", shares // 40), ("low-difficulty", 2)):
            _insert(connection, tables.rejection, interval_start=at, process=1, **rejected, reason=reason, shares=count)

    def _energy(self, connection: Connection) -> None:
        start = floor_to(self.now, INTERVAL)
        for back in range(1, 95):
            at = start - timedelta(seconds=back * INTERVAL)
            for number, site in enumerate((EKIBASTUZ, KARAGANDA), 1):
                self._site_interval(connection, f"feeder-{number}", site, at, missing=number == 2 and back == 30)
        for number, power in ((1, 1_130_000), (2, 245_000)):
            for minutes in range(40, -1, -1):
                at = self.now - timedelta(minutes=minutes)
                register = 10**9 + power * (40 - minutes) // 60
                _insert(
                    connection,
                    energy_tables.reading,
                    meter=f"feeder-{number}",
                    at=at,
                    quantity="import",
                    register_count=register,
                    source="modbus",
                    status="ok",
                    recorded_at=at,
                )

    def _site_interval(self, connection: Connection, meter: str, site: str, at: datetime, missing: bool) -> None:
        here = [party for party in RATE if SITE_OF[party] == site]
        estimates = {party: int(RATE[party] / 1e12 * 17.5 / 4) for party in here}
        energy = 0 if missing else int(sum(estimates.values()) * self.random.uniform(1.02, 1.09))
        quality = "missing" if missing else "measured"
        common: dict[str, Any] = {
            "site": site,
            "interval_start": at,
            "version": 1,
            "seconds": INTERVAL,
            "energy_wh": energy,
            "quality": quality,
            "recorded_at": at,
        }
        append_intervals(connection, [{**common, "meter": meter}])
        parts: list[dict[str, Any]] = []
        rest = energy
        for party in here:
            part = energy * estimates[party] // sum(estimates.values())
            rest -= part
            given = {"energy_wh": part, "estimate_wh": estimates[party], "weight": 1}
            parts.append({**common, **given, "party": party})
        parts.append({**common, "energy_wh": rest, "estimate_wh": 0, "weight": 0, "party": ""})
        append_allocations(connection, parts)

    def _refusals(self, connection: Connection) -> None:
        for minutes, account, party, reasons, count in (
            (170, "kokshe", "kokshe", ["licence-expired"], 412),
            (40, "belgisiz", None, ["unknown-account"], 61),
            (12, "dala", "dala", ["foreign-address", "site-unknown"], 3),
        ):
            at = self.now - timedelta(minutes=minutes)
            self.refuse(connection, account, party, reasons, count, at)

    def refuse(
        self,
        connection: Connection,
        account: str,
        party: str | None,
        reasons: list[str],
        count: int,
        at: datetime,
    ) -> None:
        """Keep a refusal in the audit log."""
        body = {
            "reasons": reasons,
            "text": "refused",
            "site": "",
            "entries": [],
            "worker": "rig1",
            "peer": "192.0.2.7",
            "count": count,
            "first": instant_text(at),
            "last": instant_text(at),
        }
        append(connection, [AuditEvent("refused", body, party, account)], at)

    def find_block(self) -> int:
        """A block is found now; returns its height."""
        with self.engine.begin() as connection:
            at = datetime.now(UTC)
            self.height += 1
            number = self.rounds
            connection.execute(update(tables.round_).where(tables.round_.c.round == number).values(closed_at=at))
            _insert(
                connection,
                tables.block,
                block_hash=block_hash(self.height),
                height=self.height,
                round=number,
                gateway=1,
                sequence=number * 1000,
                party="dala",
                worker="rig1",
                found_at=at,
                state="connected",
                confirmations=1,
                reward=312_500_000,
                state_at=at,
            )
            note_state(connection, tables.block.name, block_hash(self.height), "connected", at)
            self.rounds += 1
            _insert(connection, tables.round_, round=self.rounds, opened_at=at)
        return self.height


def _insert(connection: Connection, table: Any, **values: Any) -> None:
    connection.execute(insert(table).values(**values))
