"""The gateway: takes shares, keeps them, finds blocks. It needs the ledger only for fresh registers."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from tarazy.accounting.journal import Journal
from tarazy.accounting.journal_file import UNKNOWN_FINDER, BlockRecord, JournalFile
from tarazy.config.settings import ListenerSettings, Settings, StratumSettings
from tarazy.pool.admissions import Admissions
from tarazy.pool.blocks import BlockStore, FoundBlock
from tarazy.pool.certificates import CertificateError, Certificates
from tarazy.pool.chain.interface import Chain
from tarazy.pool.clock import Clock
from tarazy.pool.follower import Mining, TemplateFollower
from tarazy.pool.handover import Left, load, save, session_secret
from tarazy.pool.proposals import Proposals
from tarazy.pool.reload import ReloadError
from tarazy.pool.templates import serialize_block
from tarazy.stratum.board import StratumRules
from tarazy.stratum.difficulty import exponent_of
from tarazy.stratum.job import Job, JobNumbers, displayed
from tarazy.stratum.limits import Limits
from tarazy.stratum.listeners import Listener
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
        self._entered = {displayed(block_hash) for block_hash in entered}

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
        kept = self._store.get(displayed(block_hash))
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
        certificates: Certificates,
        payout_script: bytes,
    ) -> None:
        """`sockets`: bound, one for each of the listeners in the settings, and the gateway's own from here on, as are
        their `certificates`."""
        self._reactor = reactor
        self._settings = settings
        self.admissions = admissions
        self.chain = chain
        self.job: Job | None = None
        """The newest."""
        self.job_at = datetime.now(UTC)
        self.port = 0
        """Of the first listener, once started."""
        self.certificates = certificates
        settings.journal_path.parent.mkdir(parents=True, exist_ok=True)
        file = JournalFile(settings.journal_path, settings.gateway)
        numbers = JobNumbers(max(int(time.time()), (file.last_job() >> 32) + 1))
        entered = file.blocks()
        self.journal = Journal(file, loop.call_soon_threadsafe, lambda healthy, _: self.server.hand_out(healthy))
        self._blocks = BlockStore(settings.blocks_path, chain, reactor, payout_script)
        mask = int(settings.stratum.version_mask, 16)
        self.follower = TemplateFollower(
            chain,
            reactor,
            numbers,
            Mining(payout_script, settings.pool.coinbase_tag.encode(), mask),
            refresh=settings.stratum.job_refresh_seconds,
            publish=self._publish,
            on_dry=self._go_dry,
        )
        self.proposals = Proposals(chain)
        self._found = FoundBlocks(self._blocks, self.follower, self.journal, entered, reactor)
        self.server = StratumServer(
            loop,
            [
                Listener(
                    bound,
                    self.certificates.context_of(listener),
                    listener.proxy_from,
                    floor_of(listener),
                    listener.sites or (),
                )
                for listener, bound in zip(settings.stratum.listeners, sockets, strict=True)
            ],
            stratum_rules(settings.gateway, settings.stratum),
            admissions,
            self.journal,
            self._found,
            numbers,
        )
        self.server.board.extranonces.secret = session_secret(settings.journal_path.with_suffix(".secret"))
        self._listening = False
        self._handover = settings.journal_path.with_suffix(".handover")
        self._first_job: Deferred[None] = Deferred()

    async def start(self) -> None:
        """Listen as soon as there is work to hand out."""
        self.certificates.start()
        await self._take_over()
        self._found.start()
        self.follower.start()
        await self._first_job
        self.admissions.on_change(self.server.reconsider)
        self.port = self.server.start()
        self._listening = True
        self._handover.unlink(missing_ok=True)

    async def drain(self, seconds: float) -> None:
        """Take no more miners and let go those there are over so many seconds, each behind its last answer."""
        server, end = self.server, self._reactor.seconds() + seconds
        server.pause()
        while (there := server.counters.connections) and (left := end - self._reactor.seconds()) > -_LAST_ANSWERS:
            server.dismiss(math.ceil(there * _DRAIN_STEP / max(left, _DRAIN_STEP)))
            await deferLater(self._reactor, _DRAIN_STEP)

    async def stop(self) -> None:
        """End the connections that are left, commit what waits, and leave to the next process what it can resume."""
        self.follower.stop()
        self.server.stop()
        await self.certificates.stop()
        connections = self.server.hand_over()
        await self.journal.close()
        self._blocks.stop()
        if self._listening:  # else what the process before left is still waiting for one that does
            try:
                save(self._handover, connections, self.follower.kept())
            except OSError as error:
                _log.error("handover_not_written", reason=str(error))

    def certificate_ends(self) -> dict[str, float]:
        """Unix time at which the certificate of each TLS port ends, by the port's number in the settings, from 1."""
        listeners = enumerate(self._settings.stratum.listeners, start=1)
        ends = ((number, self.certificates.ends_at(listener)) for number, listener in listeners)
        return {str(number): end.timestamp() for number, end in ends if end is not None}

    def reload(self, settings: StratumSettings) -> None:
        """Follow new rules: connections made from now on, and the next job. Raises `ReloadError` instead."""
        rules = stratum_rules(self._settings.gateway, settings)
        try:
            self.server.follow(replace(rules, version_mask=rules.version_mask & ~self.follower.required))
        except ValueError as error:
            raise ReloadError(f"stratum.version_mask: {error}; narrow the mask") from None
        self.follower.follow(rules.version_mask, settings.job_refresh_seconds)
        try:
            self.certificates.reload()
        except CertificateError as error:
            _log.error("certificate_not_reloaded", reason=str(error))

    async def _take_over(self) -> None:
        """Go on where the last process ended, or, if it left nothing, at least give its miners their extranonce1."""
        settings = self._settings
        try:
            left: Left | None = await deferToThreadPool(
                self._reactor,
                self._reactor.getThreadPool(),
                load,
                self._handover,
                settings.journal_path,
                settings.gateway,
            )
            if left is not None:
                connections = self.server.take_over(left.connections, left.jobs, left.judged)
                self.follower.take_over(left.kept)
                _log.info("connections_resumable", connections=connections)
                return
        except Exception as error:  # whatever is wrong with the file, the pool must start
            _log.error("handover_not_read", reason=repr(error))
        self.server.trust_earlier()

    def _publish(self, job: Job) -> None:
        """Hand it out; before it the mask loses bits that the job has, behind it gains those that are free again."""
        mask = self.follower.mask
        self._let_roll(mask & self.server.board.rules.version_mask)
        self.server.publish(job)
        self._let_roll(mask)
        self.job_at = datetime.now(UTC)
        first = self.job is None
        self.job = job
        if (template := self.follower.template_behind(job)) is not None:
            self.proposals.offer(job, template)
        if first:
            self._first_job.callback(None)

    def _let_roll(self, mask: int) -> None:
        self.server.follow(replace(self.server.board.rules, version_mask=mask))

    def _go_dry(self, dry: bool) -> None:
        """Send the miners to their other pools while there is nothing to mine on, and take them again (C-103)."""
        if not self._listening:
            return
        if dry:
            self.server.pause(refusing=True)
            self.server.close_connections()
        else:
            self.server.resume()


def stratum_rules(gateway: int, settings: StratumSettings) -> StratumRules:
    """The settings in the terms of the wire: exponents instead of difficulties."""
    return StratumRules(
        gateway=gateway,
        version_mask=int(settings.version_mask, 16),
        minimum=exponent_of(settings.minimum_difficulty),
        maximum=exponent_of(settings.maximum_difficulty),
        start=exponent_of(settings.start_difficulty),
        share_interval=settings.share_interval_seconds,
        limits=Limits(**settings.limits.model_dump()),
    )


def floor_of(listener: ListenerSettings) -> int | None:
    """Exponent of the lowest difficulty on a port, where it has its own."""
    return None if listener.minimum_difficulty is None else exponent_of(listener.minimum_difficulty)
