"""Following the chain: a job from each template, which is kept while a share of that job may be a block."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tarazy.pool.chain.interface import Chain, Template
from tarazy.pool.clock import Clock, Timer
from tarazy.pool.templates import make_job
from tarazy.stratum.job import Job, JobNumbers

KEEP_SECONDS = 600.0
"""A template is kept this long, as shares of its job may still turn out to be blocks …"""
KEEP_AT_LEAST = 64
"""… and however old, while there are few: a connection remembers its last 40 jobs, and a block on any counts …"""
KEEP_JOBS = 4_096
"""… but never more than so many of them."""
RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Pauses after failed calls; the last one repeats."""
DRY_SECONDS = 120.0
"""So long without a template, and miners had better use another pool (C-103)."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mining:
    """What every coinbase of this pool carries, and what its miners may roll."""

    payout_script: bytes
    tag: bytes
    mask: int


class TemplateFollower:
    """Asks for a template on each change of the tip and every `refresh` seconds, and publishes jobs.

    Work goes on with the old job until the new template is in hand (C-050), or an empty one where the chain has that
    sooner. A wake-up during a call makes another call follow (C-095). A failed call is repeated after a short pause,
    and logged once until one succeeds again. `on_dry(True)` after `DRY_SECONDS` without a template, `on_dry(False)`
    when there is one again.
    """

    def __init__(
        self,
        chain: Chain,
        clock: Clock,
        numbers: JobNumbers,
        mining: Mining,
        *,
        refresh: float,
        publish: Callable[[Job], None],
        on_dry: Callable[[bool], None],
    ) -> None:
        self._chain = chain
        self._clock = clock
        self._numbers = numbers
        self._mining = mining
        self._refresh = refresh
        self._publish = publish
        self._on_dry = on_dry
        self.required = 0
        """Version bits that the chain requires of the newest job; miners may not roll them (C-099)."""
        self.work_delay = 0.0
        """Seconds between hearing of the newest block and publishing the first job on it."""
        self._heard_at: float | None = None
        """When a new tip was heard of that there is no work on yet."""
        self._withheld = 0
        """Those of the pool's mask among them, as last told."""
        self._newest: Template | None = None
        self._kept: OrderedDict[int, tuple[float, Job, Template]] = OrderedDict()
        self._previous: bytes | None = None
        self._timer: Timer | None = None
        self._dry_timer: Timer | None = None
        self._dry = False
        self._calling = False
        self._again = False
        self._failures = 0
        self._stopped = False

    def start(self) -> None:
        """Begin; the first job is published as soon as the chain answers."""
        self._chain.on_tip(self._tip_changed)
        self._dry_timer = self._clock.callLater(DRY_SECONDS, self._run_dry)
        self.wake()

    def stop(self) -> None:
        """Publish nothing any more."""
        self._stopped = True
        self._cancel_timer()
        self._cancel_dry_timer()

    def follow(self, mask: int, refresh: float) -> None:
        """Let miners roll other version bits, and refresh jobs otherwise; a changed mask makes a job at once."""
        changed = mask != self._mining.mask
        self._mining = replace(self._mining, mask=mask)
        self._refresh = refresh
        if changed:
            self.wake()

    @property
    def mask(self) -> int:
        """Version bits that miners may roll on the newest job."""
        return self._mining.mask & ~self.required

    @property
    def healthy(self) -> bool:
        """Whether the chain answered the last call."""
        return not self._failures

    def template_behind(self, job: Job) -> Template | None:
        """The template behind a job, also behind one that was given out again under a new number.

        What a job's merkle branch and the end of its coinbase commit to is the template's content.
        """
        for _, made, template in reversed(self._kept.values()):
            if _content(made) == _content(job):
                return template
        return None

    def kept(self) -> list[tuple[Job, Template]]:
        """The templates on the present previous block, each with its job, the newest first."""
        newest_first = reversed(self._kept.values())
        return [(job, template) for _, job, template in newest_first if job.previous_block_hash == self._previous]

    def take_over(self, kept: Iterable[tuple[Job, Template]]) -> None:
        """Before the start: keep what an earlier process gave by `kept`, for blocks on its jobs."""
        for job, template in reversed(list(kept)):
            self._previous = job.previous_block_hash
            self._keep(job, template)

    def wake(self) -> None:
        """Ask for a template now, or again right after the call that is running."""
        if self._stopped:
            return
        if self._calling:
            self._again = True
            return
        self._cancel_timer()
        self._calling = True
        asked: Deferred[Template] = self._chain.template()
        asked.addCallback(self._take).addCallbacks(self._succeeded, self._failed)

    def _tip_changed(self) -> None:
        """Ask for a template, and before it for an empty one: a node that makes the one may not answer the other."""
        if self._heard_at is None:
            self._heard_at = self._clock.seconds()
        if self._newest is None or self._stopped:
            self.wake()
            return
        asked = self._chain.empty_template(self._newest)
        asked.addCallback(self._take_empty).addErrback(self._empty_failed).addCallback(lambda _: self.wake())

    def _take_empty(self, template: Template | None) -> None:
        if template is not None and self._newest is not None and template.height > self._newest.height:
            self._take(template)

    def _empty_failed(self, failure: Failure) -> None:
        _log.error("empty_job_failed", reason=str(failure.value))

    def _take(self, template: Template) -> None:
        if self._stopped:
            return
        mask = self._mining.mask & ~template.required_version_bits
        job = make_job(
            template,
            number=self._numbers(),
            payout_script=self._mining.payout_script,
            tag=self._mining.tag,
            clean=template.previous_block_hash != self._previous,
            mask=mask,
        )
        self.required = template.required_version_bits
        self._tell_withheld()
        self._newest = template
        if template.previous_block_hash != self._previous and self._heard_at is not None:
            self.work_delay = self._clock.seconds() - self._heard_at
        if template.previous_block_hash != self._previous or not self._again:
            self._heard_at = None
        self._previous = template.previous_block_hash
        self._keep(job, template)
        self._publish(job)

    def _tell_withheld(self) -> None:
        withheld = self.required & self._mining.mask
        if withheld == self._withheld:
            return
        self._withheld = withheld
        if withheld:
            _log.warning("version_mask_narrowed", required=f"{withheld:08x}", mask=f"{self.mask:08x}")
        else:
            _log.info("version_mask_restored", mask=f"{self.mask:08x}")

    def _keep(self, job: Job, template: Template) -> None:
        now = self._clock.seconds()
        self._kept[job.number] = (now, job, template)
        while len(self._kept) > KEEP_JOBS or (
            len(self._kept) > KEEP_AT_LEAST and next(iter(self._kept.values()))[0] < now - KEEP_SECONDS
        ):
            self._kept.popitem(last=False)

    def _succeeded(self, _result: None) -> None:
        if self._failures:
            _log.info("template_restored", failed_calls=self._failures)
        self._failures = 0
        self._end_dry()
        self._next_call(self._refresh)

    def _failed(self, failure: Failure) -> None:
        if not self._failures and not self._stopped:
            _log.error("template_failed", reason=str(failure.value))
        pause = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        self._again = False
        self._next_call(pause)

    def _run_dry(self) -> None:
        self._dry = True
        _log.error("no_template", seconds=DRY_SECONDS, note="miners are sent away until there is one")
        self._on_dry(True)

    def _end_dry(self) -> None:
        self._cancel_dry_timer()
        if self._stopped:
            return
        self._dry_timer = self._clock.callLater(DRY_SECONDS, self._run_dry)
        if self._dry:
            self._dry = False
            self._on_dry(False)

    def _cancel_dry_timer(self) -> None:
        if self._dry_timer is not None and self._dry_timer.active():
            self._dry_timer.cancel()

    def _next_call(self, pause: float) -> None:
        self._calling = False
        if self._again:
            self._again = False
            self.wake()
        elif not self._stopped:
            self._timer = self._clock.callLater(pause, self.wake)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def _content(job: Job) -> tuple[bytes, tuple[bytes, ...], bytes]:
    return job.previous_block_hash, job.branch, job.coinbase_end
