"""Signatures of reports: made with a key or by a service, and checked by us and by other programs."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms

from tarazy.config.settings import KeySigning, ServiceSigning
from tarazy.reports.document import Document, Paragraph
from tarazy.reports.pdf import render_pdf
from tarazy.reports.signing import SigningFault, signer_of
from tarazy.reports.signing.cms import CmsFault, Standing, check, to_der
from tarazy.reports.signing.key import load_key
from tarazy.reports.signing.pdf import sign_pdf
from tarazy.reports.signing.service import Service
from tests.reports.keys import Made, make

CONTENT = '{"kind":"accreditation","pool":"Тараз"}\n'.encode()
GOST = "1.2.398.3.10.1.3.3"
"""Digest algorithm of the national certifying centre."""


@pytest.fixture(scope="module")
def authority() -> Made:
    """Who issues certificates."""
    return make("Made-up authority")


@pytest.fixture(scope="module", params=[True, False], ids=["P-256", "RSA"])
def signer(request: pytest.FixtureRequest, authority: Made) -> Made:
    """Who signs."""
    return make("«Тараз» ЖШС", authority, curve=request.param)


def _signed(signer: Made, directory: Path) -> bytes:
    key, password = signer.files(directory, "key")
    return signer_of(KeySigning(way="pkcs12", key_file=key, password_file=password)).sign(CONTENT)


def _openssl(directory: Path, content: bytes, signature: bytes, authority: Made) -> int:
    """The line of docs/verification.md, run on a set of files."""
    told = (Path(__file__).parents[2] / "docs" / "verification.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^openssl cms .*$", told, re.MULTILINE)
    for name, held in (("REPORT.json", content), ("REPORT.p7s", signature)):
        (directory / name).write_bytes(held)
    authority.pem(directory, "authorities")
    return subprocess.run(line.split(), cwd=directory, capture_output=True, check=False).returncode


def test_openssl_and_we_accept_a_signature_and_no_changed_byte(authority: Made, signer: Made, tmp_path: Path) -> None:
    """The holder is told; one byte of the document or of the signature fails both programs."""
    signature = _signed(signer, tmp_path)
    found = check(signature, CONTENT, [authority.certificate])
    assert (found.standing, found.holder) == (Standing.TRUSTED, "«Тараз» ЖШС, BIN100140000003")
    assert found.signed_at
    assert abs((datetime.now(UTC) - found.signed_at).total_seconds()) < 60
    assert _openssl(tmp_path, CONTENT, signature, authority) == 0
    changed = CONTENT.replace(b"accreditation", b"accreditatiom")
    broken = signature[:-1] + bytes([signature[-1] ^ 1])
    for content, der in ((changed, signature), (CONTENT, broken)):
        with pytest.raises(CmsFault):
            check(der, content)
        assert _openssl(tmp_path, content, der, authority) != 0


def test_a_certificate_leads_to_the_authority_and_held(authority: Made, tmp_path: Path) -> None:
    """Neither another authority, nor one that may issue none, nor an ended certificate is trusted."""
    own = make("own", authority)
    signature = _signed(own, tmp_path)
    assert check(signature, CONTENT).standing is Standing.FITS
    for other in (make("Made-up authority"), make("leaf", authority)):
        with pytest.raises(CmsFault, match="does not lead to an authority"):
            check(signature, CONTENT, [other.certificate])
    ended = _signed(make("ended", authority, ended=True), tmp_path)
    with pytest.raises(CmsFault, match="did not hold"):
        check(ended, CONTENT, [authority.certificate])


def test_what_cannot_be_checked_is_told(authority: Made, tmp_path: Path) -> None:
    """A signature of GOST is of whom it says, but nothing is proven; with an authority asked for it is refused."""
    told = cms.ContentInfo.load(_signed(make("own", authority), tmp_path))
    told["content"]["signer_infos"][0]["digest_algorithm"] = {"algorithm": GOST}
    gost = told.dump(force=True)
    found = check(gost, CONTENT)
    assert (found.standing, found.algorithm) == (Standing.UNREAD, GOST)
    with pytest.raises(CmsFault, match="cannot be checked here"):
        check(gost, CONTENT, [authority.certificate])


def test_an_enclosed_document_must_be_this_one(tmp_path: Path) -> None:
    """NCALayer may enclose the document: another one is not taken for it."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

    own = make("own")

    def enclosing(content: bytes) -> bytes:
        builder = PKCS7SignatureBuilder().set_data(content).add_signer(own.certificate, own.key, hashes.SHA256())
        return builder.sign(Encoding.DER, [PKCS7Options.Binary])

    assert check(enclosing(CONTENT), CONTENT).standing is Standing.FITS
    with pytest.raises(CmsFault, match="another document"):
        check(enclosing(b"other"), CONTENT)


def test_hostile_signatures_are_one_kind_of_fault(tmp_path: Path) -> None:
    """Whatever byte is changed or missing, nothing but `CmsFault` comes out; and no text passes for a signature."""
    signature = _signed(make("own"), tmp_path)
    for place in range(0, len(signature), 3):
        for held in (signature[:place], signature[:place] + b"\xff" + signature[place + 1 :]):
            try:
                check(held, CONTENT)
            except CmsFault:
                continue
            assert len(held) == len(signature), place
    for text in (b"", b"no signature", b"-----BEGIN CMS-----\n%%%\n-----END CMS-----", b"0" * 3_000_000):
        with pytest.raises(CmsFault):
            to_der(text)
    assert to_der(b"-----BEGIN CMS-----\n" + base64.encodebytes(signature) + b"-----END CMS-----\n") == signature
    assert to_der(base64.encodebytes(signature)) == signature


def test_keys_that_do_not_open(tmp_path: Path) -> None:
    """Another password, no key, a file that is none: one line with a cure."""
    key, password = make("own").files(tmp_path, "key")
    assert load_key(key, password).ends > datetime.now(UTC)
    other = tmp_path / "other"
    other.write_text("wrong\n")
    with pytest.raises(SigningFault, match="another password"):
        load_key(key, other)
    with pytest.raises(SigningFault, match="No such file"):
        load_key(tmp_path / "none", password)
    other.write_text("two\nlines\n")
    with pytest.raises(SigningFault, match="one line"):
        load_key(key, other)


def test_pdfsig_accepts_a_signed_pdf_and_no_changed_byte(tmp_path: Path) -> None:
    """PAdES, by a second program."""
    blocks = (Paragraph("Қазақша: ₸"),)
    document = Document("kk", "Есеп", "Тараз", datetime(2026, 1, 1, tzinfo=UTC), "h", "f", "{page}", "d", blocks, ())
    paper = b"".join(render_pdf(document))
    signed = sign_pdf(paper, *make("«Тараз» ЖШС", curve=False).files(tmp_path, "key"))
    assert signed.startswith(paper)

    def seen(content: bytes) -> str:
        path = tmp_path / "signed.pdf"
        path.write_bytes(content)
        return subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False).stdout

    told = seen(signed)
    assert "Signature is Valid." in told
    assert "Total document signed" in told
    assert "ETSI.CAdES.detached" in told
    changed = signed.replace(b"/Title", b"/Titld", 1)
    assert changed != signed
    assert "Digest Mismatch" in seen(changed)


class _Answers(ThreadingHTTPServer):
    """A signing service that answers what it is told to, in turn, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, answers: list[tuple[int, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.ended = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: _Answers

    def do_POST(self) -> None:
        """The next answer; code 0 is none at all."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((dict(self.headers), body))
        code, told = self.server.answers[min(len(self.server.asked), len(self.server.answers)) - 1]
        if code == 0:
            self.server.ended.wait(5)
            return
        self.send_response(code)
        self.send_header("content-length", str(len(told)))
        if code == 302:
            self.send_header("location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def _service(*answers: tuple[int, bytes]) -> Iterator[_Answers]:
    with _Answers(list(answers)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


def _settings(server: _Answers, **changes: Any) -> ServiceSigning:
    url = f"http://127.0.0.1:{server.server_port}/cms/sign"
    return ServiceSigning(**{"way": "service", "url": url, "timeout_seconds": 0.2, **changes})


def test_ncanode_is_asked_and_its_signature_taken(tmp_path: Path) -> None:
    """The document, the key and its password go to it as its version 3 expects; a busy one is asked again."""
    own = make("own")
    key, password = own.files(tmp_path, "key")
    token = tmp_path / "token"
    token.write_text("Bearer abc\n")
    signature = _signed(own, tmp_path)
    told = json.dumps({"status": 200, "message": "OK", "cms": base64.b64encode(signature).decode()}).encode()
    waits: list[float] = []
    with _service((503, b"busy"), (200, told)) as server:
        settings = _settings(server, key_file=key, password_file=password, authorization_file=token)
        assert Service(settings, waits.append).sign(CONTENT) == signature
    assert waits == [1.0]
    (headers, first), (_, second) = server.asked
    assert first == second
    assert headers["Authorization"] == "Bearer abc"
    asked = json.loads(second)
    assert base64.b64decode(asked["data"]) == CONTENT
    assert (asked["detached"], asked["withTsp"]) == (True, True)
    (one,) = asked["signers"]
    assert base64.b64decode(one["key"]) == key.read_bytes()
    assert one["password"] == password.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize(
    ("answers", "told", "times"),
    [
        ([(503, b"busy")], "answers 503 (busy); asked 2 times", 2),
        ([(0, b"")], "timed out; asked 2 times", 2),
        ([(401, b"who are you?")], "answers 401 (who are you?)", 1),
        ([(302, b"")], "answers 302", 1),
        ([(200, b"<html>")], "none of NCANode", 1),
        ([(200, b"[" * 100_000)], "none of NCANode", 1),
        ([(200, b'{"status": 400, "message": "wrong\\npassword"}')], "signed nothing (wrong password)", 1),
        ([(200, b'{"cms": "%%%"}')], "none of NCANode", 1),
    ],
)
def test_a_service_that_fails_is_told_in_one_line(
    tmp_path: Path, answers: list[tuple[int, bytes]], told: str, times: int
) -> None:
    """Late, refusing, sending away, or answering nonsense: the line says which, and no secret is in it."""
    key, password = make("own").files(tmp_path, "key")
    with _service(*answers) as server:
        settings = _settings(server, key_file=key, password_file=password, attempts=2)
        with pytest.raises(SigningFault, match=re.escape(told)) as refused:
            Service(settings, lambda _: None).sign(CONTENT)
    assert len(server.asked) == times
    assert password.read_text(encoding="utf-8").strip() not in str(refused.value)


def test_a_raw_service_and_none_at_all(tmp_path: Path) -> None:
    """`raw`: bytes for bytes. A service that is not there is a line too."""
    with _service((200, b"0signature")) as server:
        settings = _settings(server, format="raw", attempts=1)
        assert signer_of(settings).sign(CONTENT) == b"0signature"
        assert server.asked[0][1] == CONTENT
    with pytest.raises(SigningFault, match="Connection refused"):
        signer_of(settings).sign(CONTENT)
