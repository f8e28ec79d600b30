"""Keys and certificates of made-up signers, and their PKCS#12 files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

PASSWORD = "құпия сөз"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Made:
    """A key and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate

    def pem(self, directory: Path, name: str) -> Path:
        """The certificate in a file."""
        path = directory / f"{name}.pem"
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path

    def files(self, directory: Path, name: str) -> tuple[Path, Path]:
        """The PKCS#12 file and that of its password, which their owner alone can read."""
        key, password = directory / f"{name}.p12", directory / f"{name}.password"
        closed = BestAvailableEncryption(PASSWORD.encode())
        key.write_bytes(serialize_key_and_certificates(b"key", self.key, self.certificate, None, closed))
        password.write_text(PASSWORD + "\n", encoding="utf-8")
        for path in (key, password):
            path.chmod(0o600)
        return key, password


def make(name: str, issuer: Made | None = None, *, curve: bool = True, ended: bool = False) -> Made:
    """A signer whose certificate `issuer` issued; an authority without one."""
    key: PrivateKey = ec.generate_private_key(ec.SECP256R1()) if curve else rsa.generate_private_key(65537, 2048)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "BIN100140000003"),
        ]
    )
    now = datetime.now(UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=-1 if ended else 30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Made(key, certificate)
