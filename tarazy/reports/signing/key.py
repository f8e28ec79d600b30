"""Signing with a PKCS#12 key on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
from cryptography.x509 import Certificate

from tarazy.reports.signing.signer import SigningFault, read_secret

_LARGEST_KEY = 1 << 20


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its certificate and those that lead to it."""

    private: RSAPrivateKey | EllipticCurvePrivateKey
    certificate: Certificate
    chain: tuple[Certificate, ...]

    @property
    def ends(self) -> datetime:
        """The last instant at which the certificate holds."""
        return self.certificate.not_valid_after_utc

    def sign(self, content: bytes) -> bytes:
        """The detached CMS signature of `content` as DER, with SHA-256 and the time of this machine."""
        builder = PKCS7SignatureBuilder().set_data(content)
        builder = builder.add_signer(self.certificate, self.private, hashes.SHA256())
        for certificate in self.chain:
            builder = builder.add_certificate(certificate)
        return builder.sign(Encoding.DER, [PKCS7Options.DetachedSignature, PKCS7Options.Binary])


def load_key(key_file: Path, password_file: Path) -> Key:
    """The key of a PKCS#12 file. Raises `SigningFault`."""
    password = read_secret(password_file)
    try:
        with key_file.open("rb") as file:
            content = file.read(_LARGEST_KEY + 1)
    except OSError as error:
        raise SigningFault(f"{key_file}: {error.strerror or error}") from None
    if len(content) > _LARGEST_KEY:
        raise SigningFault(f"{key_file}: too large for a key")
    try:
        private, certificate, chain = load_key_and_certificates(content, password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningFault(
            f"{key_file}: no PKCS#12 file, another password than in {password_file}, or a key of GOST, which this "
            "program cannot use: sign by a service, or elsewhere"
        ) from None
    if not isinstance(private, RSAPrivateKey | EllipticCurvePrivateKey) or certificate is None:
        raise SigningFault(f"{key_file}: expected a key of RSA or ECDSA with its certificate")
    return Key(private, certificate, tuple(chain))
