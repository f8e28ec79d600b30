"""The office: folds the journals, books what was earned, reads the meters; its transactions stay off the reactor."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from tarazy.accounting.blocks import BlockStateError, open_blocks, set_block_state
from tarazy.accounting.cursors import FoldError
from tarazy.accounting.distribution import reconcile
from tarazy.accounting.energy.allocation import Sharing, fleet_efficiency
from tarazy.accounting.energy.balance import settle
from tarazy.accounting.energy.meter import Meter, Reading
from tarazy.accounting.energy.mqtt import MqttListener
from tarazy.accounting.energy.poller import MeterPoller
from tarazy.accounting.energy.profiles import is_usable
from tarazy.accounting.journal_file import JournalError
from tarazy.accounting.proof.payments import last_audit_row
from tarazy.accounting.proof.sealing import keep_note, unsigned
from tarazy.accounting.queries import work_by_site_interval
from tarazy.accounting.reserve import reserve
from tarazy.accreditation.audit import AuditHead
from tarazy.accreditation.checkpoint import sign
from tarazy.accreditation.entries import ReadBy
from tarazy.accreditation.heads import SigningError, SigningKey, sign_due_head, signing_key
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import Settings
from tarazy.database.engine import Database
from tarazy.pool.admissions import Admissions
from tarazy.pool.blocks import FoundBlock
from tarazy.pool.chain.interface import Chain
from tarazy.pool.clock import Clock
from tarazy.pool.followed import FollowedBlocks
from tarazy.pool.journals import Journals
from tarazy.pool.metered import meters_of, sharing_of, take_readings
from tarazy.pool.pricing import Pricing
from tarazy.pool.proving import Proving
from tarazy.pool.repeat import Repeat
from tarazy.pool.terms import schedule_of

_FOLD_SECONDS = 2.0
_FOLD_REST = 20.0
"""A fold costs by the workers it touches: with many of them it comes less often and takes more shares at once."""
_PATIENCE_SECONDS = 30.0
"""How long a found block waits for another gateway's journal before the log says so."""
_LATE = timedelta(seconds=2)
"""How long readings and work may take to reach the ledger before their interval is settled."""
_BETWEEN_PARTS_SECONDS = 0.15
"""Pause after a part of a long settlement: those who wait to write to SQLite look ten times a second."""
_HEAD_SECONDS = 60.0
_PROOF_SECONDS = 2.0
_PROOF_REST = 5.0
"""A run of the process that makes records costs its start: where rounds come often, it takes more of them at once."""
_PRICE_SECONDS = 5.0
_READINGS_HELD = 100_000
"""Readings that wait while the database is away; the oldest go first, the cumulative register makes up for them."""

_log = structlog.get_logger()


class Office:
    """Keeps the books of every gateway on this host, whether it runs in this process or in another."""

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        database: Database,
        admissions: Admissions,
        blocks: FollowedBlocks,
        chain: Chain,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._database = database
        self._admissions = admissions
        self._blocks = blocks
        self._journals = Journals(
            settings.journal_path.parent, settings.energy.interval_seconds, schedule_of(settings.pool)
        )
        self._waits_since: float | None = None
        """Since when the next block waits for gateways; infinity once that was said."""
        self.awaited_gateways = 0
        """For which it waits."""
        self._readings: list[Reading] = []
        self.readings_taken = self.readings_failed = 0
        """By the pool itself, since the start."""
        self.meters: list[Meter] = []
        """Those of a known profile."""
        self.meters_answer = True
        """Whether every meter has a known profile, and those that the pool asks gave a good reading last."""
        self._answers: dict[str, str] = {}
        self._stopped = False
        self._poller = MeterPoller(self._take_reading, lambda: datetime.now(UTC), settings.energy.poll_seconds)
        mqtt = settings.energy.mqtt
        self._listener = MqttListener(mqtt, self._take_reading, lambda: datetime.now(UTC)) if mqtt else None
        self.books = Repeat(clock, "keep_books", _FOLD_SECONDS, self.keep_books, rest=_FOLD_REST)
        self._signing: SigningKey | None = None
        self.heads = Repeat(clock, "sign_heads", _HEAD_SECONDS, self.sign_heads)
        journals, found = settings.journal_path.parent, settings.blocks_path.parent
        self._proving = Proving(clock, database, journals, found, self._signing_key)
        self._pricing = Pricing(database, chain, found)
        self.prices = Repeat(clock, "price_rounds", _PRICE_SECONDS, self._pricing.price)
        self.proofs = Repeat(clock, "prove_rounds", _PROOF_SECONDS, self._proving.prove, rest=_PROOF_REST)
        self.energy = Repeat(clock, "keep_energy", max(1.0, settings.energy.poll_seconds), self.keep_energy)

    @property
    def works(self) -> tuple[Repeat, ...]:
        """What it does again and again."""
        return self.books, self.energy, self.heads, self.prices, self.proofs

    async def check(self) -> None:
        """Raise `FoldError` when a journal is not the one that was folded so far. To be asked before miners come."""
        await self._database.run(self._journals.require)

    def start(self) -> None:
        """Begin."""
        for work in self.works:
            work.start()

    async def stop(self) -> None:
        """Fold everything that is in the journals, store what was read, and end.

        What is left of a long settlement of energy is for the next start.
        """
        self._stopped = True
        self._proving.stop()
        self._pricing.stop()
        await self.proofs.stop()
        await self.prices.stop()
        await self.heads.stop()
        await self.energy.stop()
        await self._poller.stop()
        if self._listener is not None:
            await self._listener.stop()
        await self.books.stop()
        try:
            await self._settle_energy()
            await self.keep_books()
        finally:
            self._journals.close()

    async def keep_books(self) -> None:
        """Fold what is new, close rounds, take over what the chain says of our blocks, book what follows.

        One whose journal cannot be folded holds up the closing of rounds, but the folding of no other.
        """
        self._blocks.look()
        faults: list[Exception] = []
        folded: list[int] = []
        for gateway in self._journals.gateways():
            try:
                while not (await self._database.run(self._journals.fold, gateway)).complete:
                    pass
                folded.append(gateway)
            except (FoldError, JournalError, sqlite3.Error) as error:
                faults.append(error)
        try:
            while (closing := await self._database.run(self._journals.close_round, folded)).block_hash:
                _log.info("round_closed", block=closing.block_hash)
            self._tell_waiting(closing.waiting)
            for gateway in folded:
                await self._database.run(self._sign_chain, gateway)
        except (FoldError, JournalError, SigningError, sqlite3.Error) as error:
            faults.append(error)
        for name in await self._database.run(_book, self._blocks.blocks()):
            self._blocks.archive(name)
        if faults:
            raise faults[0]

    def _tell_waiting(self, waiting: tuple[int, ...]) -> None:
        """Say it, once, when a found block waits long for gateways."""
        now = self._clock.seconds()
        self.awaited_gateways = len(waiting)
        if not waiting:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        elif now - self._waits_since > _PATIENCE_SECONDS:
            self._waits_since = math.inf
            cure = f"start it, or tell the books that it is lost: tarazy gateway lost {waiting[0]}"
            _log.warning("round_waits_for_gateways", gateways=list(waiting), cure=cure)

    async def sign_heads(self) -> None:
        """Sign the audit log's head as soon as the legal day has begun, and within a minute when something is paid."""
        await self._database.run(self._sign_head)

    def _sign_head(self, connection: Connection) -> None:
        key = self._signing_key(connection)
        if sign_due_head(connection, key, datetime.now(UTC), last_audit_row(connection)) is not None:
            _log.info("audit_head_signed", verifier=str(key.verifier))

    def _signing_key(self, connection: Connection) -> SigningKey:
        settings = self._settings
        self._signing = self._signing or signing_key(connection, settings.audit_key_path, settings.audit.name)
        return self._signing

    def _sign_chain(self, connection: Connection, gateway: int) -> None:
        """Sign the newest head of the chain over a gateway's shares."""
        link = unsigned(connection, gateway)
        if link is not None:
            key = self._signing_key(connection)
            name = f"{key.name}/gateway-{gateway}"
            keep_note(
                connection,
                gateway,
                link,
                sign(key.private, name, AuditHead(link.last, link.head.hex()), datetime.now(UTC)),
            )

    def unfolded_shares(self) -> int:
        """Shares on disk that are not folded yet. Asked on the database's thread."""
        return self._journals.unfolded()

    async def keep_energy(self) -> None:
        """Ask the meters of the day; store the readings that came in, settle the intervals that have ended."""
        registers = self._admissions.registers.at(datetime.now(UTC))
        registered, asked = meters_of(registers), meters_of(registers, ReadBy.POOL)
        self._poller.follow(asked)
        if self._listener is not None:
            self._listener.follow(each.meter for each in meters_of(registers, ReadBy.MQTT))
        self.meters = [meter for meter in registered if is_usable(meter.profile)]
        self.meters_answer = len(self.meters) == len(registered) and all(
            self._answers.get(meter.meter, "ok") == "ok" for meter in asked
        )
        await self._settle_energy()

    async def _settle_energy(self) -> None:
        now, readings = datetime.now(UTC), self._readings
        self._readings = []
        try:
            for reading, error in await self._database.run(take_readings, readings, self._admissions.registers, now):
                _log.warning("reading_refused", meter=reading.meter, at=reading.at.isoformat(), problem=str(error))
        except BaseException:
            self._readings = [*readings, *self._readings][-_READINGS_HELD:]
            raise
        rest: Sequence[Meter] = self.meters
        while rest := rest and await self._database.run(self._settle, rest, self._admissions.registers):
            if self._stopped:
                return
            pause: Deferred[None] = Deferred()
            self._clock.callLater(_BETWEEN_PARTS_SECONDS, pause.callback, None)
            await pause

    def _take_reading(self, reading: Reading) -> None:
        self._readings.append(reading)
        if reading.status == "ok":
            self.readings_taken += 1
        else:
            self.readings_failed += 1
        if reading.quantity == "import":
            self._answers[reading.meter] = reading.status

    def _settle(self, connection: Connection, meters: Sequence[Meter], registers: Registers) -> Sequence[Meter]:
        """Settle a part, in a transaction of its own; those that are not settled to the end."""
        now = datetime.now(UTC)

        def efficiency(_: Connection, site: str, party: str, at: datetime) -> int | None:
            machines = registers.at(at).machines_by_site.get((party, site), [])
            return fleet_efficiency((each.nominal_hash_rate_hs, each.nominal_power_w) for each in machines)

        def rule(site: str, at: datetime) -> Sharing:
            return sharing_of(registers.at(at), site)

        seconds = self._settings.energy.interval_seconds
        settled = settle(connection, meters, seconds, now - _LATE, work_by_site_interval, efficiency, now, rule)
        for meter, _ in settled.breaks:
            _log.warning("meter_register_not_believed", meter=meter.meter, site=meter.site)
        return settled.rest


def _book(connection: Connection, blocks: Iterable[FoundBlock]) -> list[str]:
    """Record the states of `blocks` that are still open, reconcile; names of those settled for good."""
    now = datetime.now(UTC)
    before = {block.block_hash: block for block in open_blocks(connection)}
    for found in blocks:
        known = before.get(found.block_hash)
        if known is None or (known.state, known.confirmations) == (found.state, max(0, found.confirmations)):
            continue
        try:
            set_block_state(connection, found.block_hash, found.state, found.confirmations, now)
        except BlockStateError as error:
            _log.error("block_state_refused", reason=str(error))
    short = reserve(connection).final < 0
    reconcile(connection, now)
    if not short and (stands := reserve(connection)).final < 0:
        cure = "fund it with `tarazy reserve fund`: no payout is proposed until then"
        _log.error("reserve_short", satoshi=-stands.final, cure=cure)
    after = {block.block_hash for block in open_blocks(connection)}
    return [name for name in before if name not in after]
