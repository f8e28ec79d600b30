"""One exchange with an authority over HTTP: bounded in time and size, TLS verified, redirects not followed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from OpenSSL.crypto import FILETYPE_PEM, load_certificate
from OpenSSL.SSL import Error as TlsError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import Agent, FileBodyProducer, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer  # type: ignore[import-untyped]

from tarazy.pool.bounded_body import BoundedBody, TooLongError
from tarazy.reports.delivery.answer import LARGEST_ANSWER, Answer
from tarazy.reports.delivery.profile import (
    BasicAuthentication,
    CertificateAuthentication,
    HeaderAuthentication,
    Profile,
    ProfileError,
)
from tarazy.reports.signing.signer import SigningFault, read_secret

_CONNECT_SECONDS = 10.0
_PEM_END = b"-----END CERTIFICATE-----"


class Post:
    """The way to one authority. Making it reads the files that the profile names; raises `ProfileError`."""

    def __init__(self, reactor: Any, profile: Profile) -> None:
        self._reactor = reactor
        self._profile = profile
        self._headers = _authentication(profile)
        agent: Any = Agent
        patience = min(_CONNECT_SECONDS, profile.timeout_seconds / 2)
        self._agent = agent.usingEndpointFactory(reactor, _Ways(reactor, _Policy(profile), patience))

    def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Deferred[Answer]:
        """The answer, or why there is none; within the profile's time. Cancelling it ends it as one without answer."""
        told = Headers({"Accept": ["application/json"], "User-Agent": ["tarazy"]})
        for name, value in {**headers, **self._headers}.items():
            told.setRawHeaders(name, [value])
        work: Deferred[Answer] = Deferred.fromCoroutine(self._exchange(method, url, told, body))

        def timed_out(_result: object, seconds: float) -> Answer:
            return Answer(None, fault=f"no whole answer within {seconds:g} s")

        work.addTimeout(self._profile.timeout_seconds, self._reactor, timed_out)
        return work.addErrback(self._without_answer)

    async def _exchange(self, method: str, url: str, headers: Headers, body: bytes | None) -> Answer:
        producer = None if body is None else FileBodyProducer(BytesIO(body))  # type: ignore[no-untyped-call]
        response = await self._agent.request(method.encode(), url.encode(), headers, producer)
        waits = (response.headers.getRawHeaders("retry-after") or [None])[0]
        reading = BoundedBody(LARGEST_ANSWER)
        response.deliverBody(reading)
        try:
            return Answer(response.code, await reading.whole, retry_after=waits)
        except TooLongError:
            return Answer(response.code, fault=f"its answer is longer than {LARGEST_ANSWER} bytes")
        except ResponseFailed:
            return Answer(response.code, fault="the connection ended before the whole answer")

    def _without_answer(self, failure: Any) -> Answer:
        """Every other way to fail. Where it is not sure that nothing left, something may have."""
        error = failure.value
        reasons = [getattr(each, "value", each) for each in getattr(error, "reasons", ())]
        if any(map(_is_distrust, (error, *reasons))):
            return Answer(None, fault="its TLS certificate does not hold, so nothing was sent", sent=False)
        if isinstance(error, (ConnectError, DNSLookupError)):
            return Answer(None, fault=f"cannot be reached: {error}", sent=False)
        if any(isinstance(each, CancelledError) for each in (error, *reasons)):
            return Answer(None, fault="the server was stopped before the answer came")
        return Answer(None, fault=f"no answer of HTTP: {'; '.join(map(str, reasons)) or error!r}"[:300])


def _is_distrust(error: object) -> bool:
    """Whether the server's certificate was refused: that comes before anything is sent."""
    return isinstance(error, VerificationError) or (
        isinstance(error, TlsError) and "certificate verify failed" in repr(error.args)
    )


def _authentication(profile: Profile) -> dict[str, str]:
    """The headers that say who sends. Raises `ProfileError`."""
    by = profile.authentication
    try:
        if isinstance(by, HeaderAuthentication):
            return {by.name: by.prefix + _line(by.value_file)}
        if isinstance(by, BasicAuthentication):
            return {"Authorization": f"Basic {b64encode(f'{by.user}:{_line(by.password_file)}'.encode()).decode()}"}
    except SigningFault as error:
        raise ProfileError(f"{profile.name}: authentication: {error}") from None
    return {}


def _line(path: Path) -> str:
    line = read_secret(path)
    if not line.isprintable():
        raise SigningFault(f"{path}: holds what no header may")
    return line


class _Limited(ProtocolWrapper):
    """A connection that is cut when more comes than the largest answer has, heads and all, or none is wanted any more.

    TLS would wait for ever for the other side's goodbye.
    """

    _received = 0

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - twisted's name
        self._received += len(data)
        if self._received > 2 * LARGEST_ANSWER:
            self.loseConnection()
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:  # noqa: N802 - twisted's name
        transport: Any = self.transport
        transport.abortConnection()


class _Way:
    """Where to connect to, with a bound on what comes."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def connect(self, factory: Any) -> Deferred[Any]:
        """The connection's protocol."""
        limited = WrappingFactory(factory)  # type: ignore[no-untyped-call]
        limited.protocol = _Limited
        connected: Deferred[Any] = self._endpoint.connect(limited)
        return connected.addCallback(lambda wrapper: wrapper.wrappedProtocol)


@implementer(IAgentEndpointFactory)
class _Ways:
    """How to connect to the host of an address."""

    def __init__(self, reactor: Any, policy: _Policy, patience: float) -> None:
        """`patience`: seconds for connecting, less than the whole may take: then it is known that nothing was sent."""
        self._reactor = reactor
        self._policy = policy
        self._patience = patience

    def endpointForURI(self, uri: Any) -> _Way:  # noqa: N802 - twisted's name
        """Plain, or by TLS."""
        endpoint: Any = HostnameEndpoint(self._reactor, uri.host.decode("ascii"), uri.port, timeout=self._patience)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(self._policy.creator(uri.host), endpoint)
        return _Way(endpoint)


class _Policy:
    """The server's certificate must lead to the profile's authorities, and name the host."""

    def __init__(self, profile: Profile) -> None:
        try:
            self._root: Any = platformTrust()  # type: ignore[no-untyped-call]
            if profile.authorities is not None:
                held = [Certificate.loadPEM(each) for each in _pems(profile.authorities)]
                self._root = trustRootFromCertificates(held)  # type: ignore[no-untyped-call]
            self._own: dict[str, Any] = {}
            by = profile.authentication
            if isinstance(by, CertificateAuthentication):
                first, *chain = _pems(by.certificate_file)
                own = PrivateCertificate.loadPEM(first + b"\n" + by.key_file.read_bytes())  # type: ignore[no-untyped-call]
                more = [load_certificate(FILETYPE_PEM, each) for each in chain]
                self._own = {
                    "clientCertificate": own,
                    "extraCertificateOptions": {"extraCertChain": more} if more else {},
                }
        except (OSError, ValueError, TlsError, IndexError) as error:
            raise ProfileError(f"{profile.name}: a certificate or key cannot be used: {error}") from None

    def creator(self, host: bytes) -> Any:
        """How to begin TLS with a host."""
        return optionsForClientTLS(host.decode("ascii"), trustRoot=self._root, **self._own)


def _pems(path: Path) -> list[bytes]:
    """The certificates of a PEM file. Raises `ValueError` when there is none."""
    found = [part + _PEM_END for part in path.read_bytes().split(_PEM_END)[:-1]]
    if not found:
        raise ValueError(f"{path} holds no certificate in PEM")
    return found
