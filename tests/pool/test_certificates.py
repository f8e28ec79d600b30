"""Certificates of the TLS ports: loaded, looked at again, and never lost to a bad file."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs
from twisted.internet.task import Clock

from tarazy.config.settings import ListenerSettings, Settings, TlsSettings
from tarazy.pool.certificates import CertificateError, Certificates, make_context
from tarazy.pool.preflight import preflight
from tests.pool.house import House
from tests.stratum.authority import Authority


def shown(context: ssl.SSLContext) -> int:
    """Serial number of the certificate that a handshake with `context` shows."""
    miner = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    miner.check_hostname, miner.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = miner.wrap_bio(back, there), context.wrap_bio(there, back, server_side=True)
    for end in ends * 2:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    der = ends[0].getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def test_a_changed_file_is_taken_up(tmp_path: Path) -> None:
    """C-119: without a restart; a bad file keeps the old certificate and says so once, a mended one is taken."""
    authority, clock = Authority(tmp_path), Clock()
    settings = authority.server()
    listener = ListenerSettings(tls=settings)
    certificates = Certificates(clock, [ListenerSettings(port=1), listener])
    assert certificates.context_of(ListenerSettings()) is None
    context = certificates.context_of(listener)
    assert context is not None
    first = context()
    certificates.start()
    clock.advance(10)
    assert context() is first, "unchanged files are not read again"

    authority.issue("server", "pool")
    with capture_logs() as lines:
        clock.advance(10)
    assert [line["event"] for line in lines] == ["certificate_reloaded"]
    second = context()
    assert shown(first) != shown(second)

    good = settings.certificate.read_bytes()
    settings.certificate.write_bytes(b"half of a")
    with capture_logs() as lines:
        clock.advance(10)
        clock.advance(10)
    assert context() is second
    [line] = lines
    assert (line["log_level"], line["error"]) == (
        "error",
        f"CertificateError: {settings.certificate}: no certificate in PEM form",
    )

    settings.certificate.write_bytes(good)
    with capture_logs() as lines:
        clock.advance(10)
    assert [line["event"] for line in lines] == ["certificate_reloaded", "repeated_work_recovered"]
    assert shown(context()) == shown(second)


def test_a_bad_file_holds_up_no_other_port(tmp_path: Path) -> None:
    """C-119: whichever of them it is, the others' new certificates are taken up."""
    authority = Authority(tmp_path)
    files = [authority.server(name) for name in ("a", "b", "c")]
    listeners = [ListenerSettings(port=port, tls=tls) for port, tls in enumerate(files)]
    for bad in files:
        certificates = Certificates(Clock(), listeners)
        contexts = [certificates.context_of(listener) for listener in listeners]
        before = [shown(context()) for context in contexts if context]
        for name in ("a", "b", "c"):
            authority.issue(name, "pool")
        bad.certificate.unlink()
        with pytest.raises(CertificateError, match=str(bad.certificate)):
            certificates.reload()
        after = [shown(context()) for context in contexts if context]
        assert [old == new for old, new in zip(before, after, strict=True)] == [tls is bad for tls in files]
        authority.issue(bad.certificate.stem, "pool")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Each fault is one line with the file and what is wrong with it."""
    authority = Authority(tmp_path)
    settings = authority.server()
    other = authority.server("other")
    nothing, text = tmp_path / "nothing.pem", tmp_path / "text.pem"
    text.write_text("hello")
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(settings.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    for change, words in (
        ({"certificate": nothing}, f"{nothing}: No such file"),
        ({"certificate": text}, f"{text}: no certificate"),
        ({"key": nothing}, f"{nothing}: no key of this certificate: No such file"),
        ({"key": other.key}, f"{other.key}: no key of this certificate: KEY_VALUES_MISMATCH"),
        ({"key": locked}, "without a password"),
        ({"client_ca": nothing}, f"{nothing}: no certificates"),
        ({"client_ca": text}, f"{text}: no certificates"),
    ):
        with pytest.raises(CertificateError) as refused:
            make_context(settings.model_copy(update=change))
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)


def test_check_looks_at_the_certificate(tmp_path: Path) -> None:
    """`tarazy check`: good, ended, with another's key, missing."""
    authority = Authority(tmp_path)
    house = House(tmp_path / "pool")

    def finding(tls: TlsSettings) -> tuple[bool, str]:
        listener = ListenerSettings(host="127.0.0.1", port=0, tls=tls)
        stratum = house.settings.stratum.model_copy(update={"listeners": (listener,)})
        settings: Settings = house.settings.model_copy(update={"stratum": stratum})
        [found] = [found for found in preflight(settings, now) if found.subject == "TLS certificate"]
        assert found.fine or found.cure
        return found.fine, found.text

    now = datetime.now(UTC)
    tls = authority.server()
    assert finding(tls) == (True, f"{tls.certificate}, valid to {now + timedelta(days=30):%Y-%m-%d}")
    authority.issue("other", "pool")
    other_key = tmp_path / "other.key"
    mixed = tls.model_copy(update={"key": other_key})
    assert finding(mixed) == (False, f"{other_key}: no key of this certificate: KEY_VALUES_MISMATCH")
    without = tls.model_copy(update={"client_ca": other_key})
    assert finding(without) == (False, f"{other_key}: no certificates: NO_CERTIFICATE_OR_CRL_FOUND")
    authority.issue("server", "pool", days=-2)
    assert finding(tls) == (False, f"{tls.certificate} ended {now - timedelta(days=2):%Y-%m-%d}")
    tls.certificate.unlink()
    assert finding(tls) == (False, f"{tls.certificate}: No such file or directory")
