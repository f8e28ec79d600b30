"""The gateway: takes shares, keeps them, finds blocks. It needs the ledger only for fresh registers."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tarazy.accounting.journal import Journal
from tarazy.accounting.journal_file import UNKNOWN_FINDER, BlockRecord, JournalFile
from tarazy.config.settings import Settings, StratumSettings
from tarazy.pool.admissions import Admissions
from tarazy.pool.blocks import BlockStore, FoundBlock
from tarazy.pool.chain.interface import Chain
from tarazy.pool.clock import Clock
from tarazy.pool.follower import Mining, TemplateFollower
from tarazy.pool.reload import ReloadError
from tarazy.pool.templates import address_script, serialize_block
from tarazy.stratum.board import StratumRules
from tarazy.stratum.difficulty import exponent_of
from tarazy.stratum.job import Job, JobNumbers
from tarazy.stratum.server import StratumServer

_DRAIN_STEP = 0.05
_LAST_ANSWERS = 2.0
"""Seconds that a connection may still have to get its last answers."""
_RECORDED_SECONDS = 1.0
"""A block's share is given to the journal in the same turn as the block; by now it was, or never is."""

_log = structlog.get_logger()


class FoundBlocks:
    """Where the Stratum server brings solved work (a port of it): to the store, then to the journal.

    A block whose share never reached the journal, because the process was killed in between or nobody on the
    connection was admitted, is entered all the same, behind the last share: it closes a round like any other.
    """

    def __init__(
        self, store: BlockStore, follower: TemplateFollower, journal: Journal, entered: Iterable[bytes], clock: Clock
    ) -> None:
        """`entered`: hashes of the blocks that the journal has."""
        self._store = store
        self._follower = follower
        self._journal = journal
        self._clock = clock
        self._entered = {block_hash[::-1].hex() for block_hash in entered}

    def start(self) -> None:
        """Enter the blocks that an earlier process left behind."""
        for kept in self._store.blocks():
            self._adopt(kept)

    def found(self, header: bytes, coinbase: bytes, job: Job) -> None:
        """Complete the block and keep it, before anything else happens (invariant 5)."""
        template = self._follower.template_behind(job)
        if template is None:
            _log.error("block_template_gone", height=job.height, header=header.hex(), coinbase=coinbase.hex())
            return
        kept = self._store.found(serialize_block(header, coinbase, template))
        _log.info("block_found", block=kept.block_hash, height=kept.height)
        self._clock.callLater(_RECORDED_SECONDS, self._adopt, kept)

    def recorded(self, block_hash: bytes, sequence: int, name: int) -> None:
        """Let the journal close the round behind the solving share."""
        kept = self._store.get(block_hash[::-1].hex())
        if kept is not None:
            self._enter(kept, sequence, name)

    def _adopt(self, kept: FoundBlock) -> None:
        if kept.block_hash not in self._entered:
            self._enter(kept, self._journal.last_sequence, UNKNOWN_FINDER)

    def _enter(self, kept: FoundBlock, sequence: int, name: int) -> None:
        self._entered.add(kept.block_hash)
        block_hash = bytes.fromhex(kept.block_hash)[::-1]
        now_us = time.time_ns() // 1000
        self._journal.block(BlockRecord(block_hash, kept.height, kept.reward, sequence, name, now_us))


class Gateway:
    """Everything between the miners' sockets and the chain."""

    def __init__(
        self,
        reactor: Any,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        chain: Chain,
        admissions: Admissions,
        sockets: Sequence[socket.socket],
    ) -> None:
        """`sockets`: bound, one for each address to listen on, and the gateway's own from here on."""
        self.admissions = admissions
        self.chain = chain
        self.job: Job | None = None
        """The newest."""
        self.job_at = datetime.now(UTC)
        self.port = settings.stratum.port
        """The one it listens on, once started."""
        self._clock = reactor
        self._number = settings.gateway
        self._sockets = sockets
        settings.journal_path.parent.mkdir(parents=True, exist_ok=True)
        file = JournalFile(settings.journal_path, settings.gateway)
        numbers = JobNumbers(max(int(time.time()), (file.last_job() >> 32) + 1))
        entered = file.blocks()
        self.journal = Journal(file, loop.call_soon_threadsafe, lambda healthy, _: self.server.hand_out(healthy))
        payout_script = address_script(settings.pool.payout_address)
        self._blocks = BlockStore(settings.blocks_path, chain, reactor, payout_script)
        mask = int(settings.stratum.version_mask, 16)
        self.follower = TemplateFollower(
            chain,
            reactor,
            numbers,
            Mining(payout_script, settings.pool.coinbase_tag.encode(), mask),
            refresh=settings.stratum.job_refresh_seconds,
            publish=self._publish,
        )
        self._found = FoundBlocks(self._blocks, self.follower, self.journal, entered, reactor)
        self.server = StratumServer(
            loop,
            settings.stratum.host,
            settings.stratum.port,
            stratum_rules(settings.gateway, settings.stratum),
            admissions,
            self.journal,
            self._found,
            numbers,
        )
        self._first_job: Deferred[None] = Deferred()

    async def start(self) -> None:
        """Listen as soon as there is work to hand out."""
        self._found.start()
        self.follower.start()
        await self._first_job
        self.admissions.on_change(self.server.reconsider)
        self.port = self.server.start(*self._sockets)

    async def drain(self, seconds: float) -> None:
        """Take no more miners and let go those there are over so many seconds, each behind its last answer."""
        server, end = self.server, self._clock.seconds() + seconds
        server.stop_accepting()
        while (there := server.counters.connections) and (left := end - self._clock.seconds()) > -_LAST_ANSWERS:
            server.dismiss(math.ceil(there * _DRAIN_STEP / max(left, _DRAIN_STEP)))
            await deferLater(self._clock, _DRAIN_STEP)

    async def stop(self) -> None:
        """End the connections that are left, commit what waits, leave the chain."""
        self.follower.stop()
        self.server.stop()
        await self.journal.close()
        self._blocks.stop()

    def reload(self, settings: StratumSettings) -> None:
        """Follow new rules: connections made from now on, and the next job. Raises `ReloadError` instead."""
        rules = stratum_rules(self._number, settings)
        if self.job is not None and self.job.version & rules.version_mask:
            inside = f"the block version {self.job.version:08x} has bits inside {settings.version_mask}"
            raise ReloadError(f"stratum.version_mask: {inside}; narrow the mask")
        self.server.board.follow(rules)
        self.follower.follow(rules.version_mask, settings.job_refresh_seconds)

    def _publish(self, job: Job) -> None:
        self.server.publish(job)
        self.job_at = datetime.now(UTC)
        first = self.job is None
        self.job = job
        if first:
            self._first_job.callback(None)


def stratum_rules(gateway: int, settings: StratumSettings) -> StratumRules:
    """The settings in the terms of the wire: exponents instead of difficulties."""
    return StratumRules(
        gateway=gateway,
        version_mask=int(settings.version_mask, 16),
        minimum=exponent_of(settings.minimum_difficulty),
        maximum=exponent_of(settings.maximum_difficulty),
        start=exponent_of(settings.start_difficulty),
        share_interval=settings.share_interval_seconds,
    )
