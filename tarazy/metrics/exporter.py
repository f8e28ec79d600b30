"""The exporter: a private registry whose values are read at each scrape, served on loopback as `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tarazy.metrics import families
from tarazy.metrics.facts import Sources

log = structlog.get_logger()

MAXIMUM_SCRAPES = 4
"""Scrapes under way at once; one thread renders them, so more would only queue."""


class _ServerCollector(Collector):
    def __init__(self, sources: Sources) -> None:
        pairs = (
            ("gateway", sources.gateway, families.gateway),
            ("admission", sources.admission, families.admission),
            ("journal", sources.journal, families.journal),
            ("chain", sources.chain, families.chain),
            ("accounting", sources.accounting, families.accounting),
            ("payouts", sources.payouts, families.payouts),
            ("energy", sources.energy, families.energy),
            ("attention", sources.attention, families.attention),
            ("reports", sources.reports, families.reports),
            ("work", sources.work, families.work),
        )
        self._readers = {name: partial(_read, source, shape) for name, source, shape in pairs if source}

    def describe(self) -> list[Metric]:
        """Nothing at registration: the sources may not be running yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Series of every source; one that fails leaves its own out and shows as 0 in `tarazy_source_up`."""
        up = GaugeMetricFamily("tarazy_source_up", "1 when the source could be read.", labels=["source"])
        for name, read in self._readers.items():
            try:
                series = read()
            except Exception as error:
                log.error("metrics_source_failed", source=name, error=repr(error))
                series = None
            up.add_metric([name], float(series is not None))
            yield from series or ()
        yield up


def _read(source: Any, shape: Any) -> list[Metric]:
    return list(shape(source()))


def make_registry(sources: Sources, version: str) -> CollectorRegistry:
    """A private registry with the series of `sources`, the process, the platform and the collector."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    build = Gauge("tarazy_build_info", "Version of the running server.", ["version"], registry=registry)
    build.labels(version).set(1)
    registry.register(_ServerCollector(sources))
    return registry


class _Site(Site):
    def log(self, request: Any) -> None:
        """Nothing: an access log would hold addresses (invariant 12)."""


class Exporter(Resource):
    """Serves the series of `sources` on a loopback port, rendered in a thread of its own."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, reactor: Any, sources: Sources, version: str, host: str = "127.0.0.1", port: int = 9333) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.registry = make_registry(sources, version)
        self._reactor = reactor
        self._address = (host, port)
        self._threads = ThreadPool(minthreads=0, maxthreads=1, name="metrics")
        self._listener: Any = None
        self._scrapes = 0

    def start(self) -> int:
        """Listen; returns the port. Raises `CannotListenError` when it is taken."""
        host, port = self._address
        site = _Site(self, timeout=30, reactor=self._reactor)  # type: ignore[no-untyped-call]
        self._listener = self._reactor.listenTCP(port, site, interface=host)
        self._threads.start()
        bound: int = self._listener.getHost().port
        return bound

    def stop(self) -> Deferred[None]:
        """Close the port and end the thread."""
        listener, self._listener = self._listener, None
        if listener is None:
            return maybeDeferred(lambda: None)
        closed: Deferred[None] = maybeDeferred(listener.stopListening)
        return closed.addCallback(lambda _: self._threads.stop())

    def render(self, request: Any) -> Any:
        """Answer a scrape; any other path or method is told what there is."""
        if request.path != b"/metrics":
            return _plain(request, 404, b"only /metrics is here\n")
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            return _plain(request, 405, b"only GET and HEAD\n")
        if self._scrapes >= MAXIMUM_SCRAPES:
            return _plain(request, 503, b"too many scrapes at once\n")
        self._scrapes += 1
        gone: list[bool] = []
        request.notifyFinish().addErrback(lambda _: gone.append(True))
        rendered = deferToThreadPool(self._reactor, self._threads, generate_latest, self.registry)
        rendered.addBoth(self._answer, request, gone)
        return NOT_DONE_YET

    def _answer(self, body: bytes | Failure, request: Any, gone: list[bool]) -> None:
        self._scrapes -= 1
        if isinstance(body, Failure):
            log.error("metrics_failed", error=repr(body.value))
            request.setResponseCode(500)
            body = b"the series could not be rendered; see the log\n"
        else:
            request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode("ascii"))
        if not gone:
            request.setHeader(b"content-length", str(len(body)).encode("ascii"))
            request.write(b"" if request.method == b"HEAD" else body)
            request.finish()


def _plain(request: Any, status: int, text: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return text
