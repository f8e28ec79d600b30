"""Each new template is put to the chain as a whole block without work, to learn beforehand what it would refuse."""

from __future__ import annotations

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tarazy.pool.chain.interface import Chain, Template
from tarazy.pool.templates import EXTRANONCE_BYTES, serialize_block
from tarazy.stratum.job import Job
from tarazy.stratum.share import header_of

_NO_VERDICT = ("duplicate", "inconclusive")
"""How answers begin that say nothing against the block: it is known, or the tip has changed meanwhile."""

_log = structlog.get_logger()


class Proposals:
    """Proposes jobs as blocks (BIP23, C-108): one at a time and off the hot path, the newest of those that wait."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._busy = False
        self._next: tuple[Job, Template] | None = None
        self.healthy = True
        """Whether the chain would take the blocks that are being mined, as far as it was asked."""

    def offer(self, job: Job, template: Template) -> None:
        """Ask about a job that was given out."""
        self._next = job, template
        if not self._busy:
            self._begin()

    def _begin(self) -> None:
        if self._next is None:
            return
        (job, template), self._next = self._next, None
        self._busy = True
        asking = Deferred.fromCoroutine(self._ask(job, template))
        asking.addErrback(self._not_asked).addCallback(lambda _: self._end())

    def _end(self) -> None:
        self._busy = False
        self._begin()

    async def _ask(self, job: Job, template: Template) -> None:
        reason = await self._chain.propose(await deferToThread(unsolved_block, job, template))
        if reason is None or reason.startswith(_NO_VERDICT):
            if not self.healthy:
                _log.info("template_accepted_again", height=job.height)
            self.healthy = True
            return
        if self.healthy:
            _log.error("template_refused", height=job.height, reason=reason, note="blocks found now would be lost")
        self.healthy = False

    def _not_asked(self, failure: Failure) -> None:
        _log.warning("template_not_proposed", reason=failure.getErrorMessage())


def unsolved_block(job: Job, template: Template) -> bytes:
    """The block of a job as if a miner had solved it with zeros."""
    coinbase = job.coinb1(0) + bytes(EXTRANONCE_BYTES) + job.coinbase_end
    header = header_of(coinbase, job.branch, job.version, job.previous_block_hash, job.ntime, job.nbits, 0)
    return serialize_block(header, coinbase, template)
