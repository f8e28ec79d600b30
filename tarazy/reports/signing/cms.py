"""Reading and checking detached CMS signatures (RFC 5652) of RSA and ECDSA. Others are told, not judged."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from asn1crypto import cms, core
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

LARGEST = 1 << 20
"""Bytes that a signature may have."""
_MOST_CERTIFICATES = 20
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_PEM = re.compile(rb"-----BEGIN (?:CMS|PKCS7)-----([A-Za-z0-9+/=\s]*)-----END (?:CMS|PKCS7)-----")


class CmsFault(ValueError):
    """No signature, or not one of the document; the text says which."""


class Standing(StrEnum):
    """What was found of a signature."""

    TRUSTED = "trusted"
    """It fits, and its certificate leads to one of the authorities given."""
    FITS = "fits"
    """It fits the document and the certificate in it; who issued that was not asked."""
    UNREAD = "unread"
    """Its algorithms, such as GOST, cannot be checked here: not even that it is of this document."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature tells of itself, and what was found."""

    standing: Standing
    holder: str
    issuer: str
    serial: str
    """Serial number of the certificate, in hex."""
    fingerprint: str
    """SHA-256 of the certificate, in hex."""
    signed_at: datetime | None
    """By the signer's own clock."""
    algorithm: str
    """Of the digest: its name, or its object identifier."""


def to_der(content: bytes) -> bytes:
    """A signature as DER, which may come as PEM or Base64 too. Raises `CmsFault`."""
    if len(content) > 2 * LARGEST:
        raise CmsFault("too long for a signature")
    if content[:1] == b"\x30":
        return content
    pem = _PEM.search(content)
    try:
        made = base64.b64decode(b"".join((pem[1] if pem else content).split()), validate=True)
    except ValueError:
        made = b""
    if made[:1] != b"\x30":
        raise CmsFault("neither DER, PEM nor Base64 of a CMS signature (.p7s)")
    return made


def check(signature: bytes, content: bytes, authorities: Sequence[x509.Certificate] = ()) -> Signature:
    """What the DER `signature` proves of `content`. With `authorities`, its certificate must lead to one of them.

    Raises `CmsFault` for what is no signature of `content`.
    """
    if len(signature) > LARGEST:
        raise CmsFault("too long for a signature")
    try:
        return _checked(signature, content, authorities)
    except CmsFault:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, UnsupportedAlgorithm) as error:
        raise CmsFault(f"no CMS signature that can be read ({type(error).__name__})") from None


def _checked(signature: bytes, content: bytes, authorities: Sequence[x509.Certificate]) -> Signature:
    outer = cms.ContentInfo.load(signature, strict=True)
    if outer["content_type"].native != "signed_data":
        raise CmsFault("CMS, but not of signed data")
    data = outer["content"]
    if len(data["signer_infos"]) != 1:
        raise CmsFault(f"{len(data['signer_infos'])} signers; sign by one, or keep a file for each")
    enclosed = data["encap_content_info"]["content"]
    if enclosed.native is not None and bytes(enclosed) != content:
        raise CmsFault("it holds another document than this one")
    signer = data["signer_infos"][0]
    certificates = _certificates(data)
    own = _certificate_of(signer, certificates)
    attributes = _attributes(signer)
    algorithm = signer["digest_algorithm"]["algorithm"].native
    standing = Standing.UNREAD
    if algorithm in _HASHES and isinstance(_public_key(own), rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        _require_fit(signer, attributes, content, _HASHES[algorithm], own)
        standing = Standing.FITS
    elif enclosed.native is None and not attributes:
        raise CmsFault("it tells nothing of the document that it signs")
    told = attributes.get("signing_time")
    signed_at = told.native.astimezone(UTC) if told is not None and isinstance(told.native, datetime) else None
    if authorities:
        if standing is not Standing.FITS:
            raise CmsFault(f"its algorithm {algorithm} cannot be checked here, whoever issued its certificate")
        _require_trust(own, certificates, authorities, signed_at or datetime.now(UTC))
        standing = Standing.TRUSTED
    return Signature(
        standing=standing,
        holder=_named(own.subject),
        issuer=_named(own.issuer),
        serial=f"{own.serial_number:x}",
        fingerprint=own.fingerprint(hashes.SHA256()).hex(),
        signed_at=signed_at,
        algorithm=str(algorithm),
    )


def _certificates(data: cms.SignedData) -> list[x509.Certificate]:
    given = [each for each in data["certificates"] or () if each.name == "certificate"]
    if len(given) > _MOST_CERTIFICATES:
        raise CmsFault("too many certificates in it")
    return [x509.load_der_x509_certificate(each.chosen.dump()) for each in given]


def _certificate_of(signer: cms.SignerInfo, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    named = signer["sid"]
    for each in certificates:
        if named.name == "issuer_and_serial_number":
            told = named.chosen
            issuer = each.issuer.public_bytes()
            if told["serial_number"].native == each.serial_number and told["issuer"].dump() == issuer:
                return each
        elif x509.SubjectKeyIdentifier.from_public_key(each.public_key()).digest == named.chosen.native:
            return each
    raise CmsFault("the signer's certificate is not in it; sign so that it is")


def _attributes(signer: cms.SignerInfo) -> dict[str, core.Asn1Value]:
    found: dict[str, core.Asn1Value] = {}
    for each in signer["signed_attrs"] or ():
        name = each["type"].native
        if name in found or len(each["values"]) != 1:
            raise CmsFault(f"its attribute {name} is there twice")
        found[name] = each["values"][0]
    return found


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _digest(content: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    made = hashes.Hash(algorithm)
    made.update(content)
    return made.finalize()


def _require_fit(
    signer: cms.SignerInfo,
    attributes: dict[str, core.Asn1Value],
    content: bytes,
    algorithm: hashes.HashAlgorithm,
    certificate: x509.Certificate,
) -> None:
    """Raise `CmsFault` unless the key of the certificate signed `content`."""
    signed = content
    if attributes:
        told, kind = attributes.get("message_digest"), attributes.get("content_type")
        if told is None or kind is None:
            raise CmsFault("it lacks an attribute that every signature has")
        if told.native != _digest(content, algorithm):
            raise CmsFault("it is of another document, or the document was changed since")
        signed = signer["signed_attrs"].untag().dump(force=True)
    key, raw = certificate.public_key(), signer["signature"].native
    way = signer["signature_algorithm"]["algorithm"].native
    try:
        if isinstance(key, rsa.RSAPublicKey) and way in ("rsassa_pkcs1v15", f"{algorithm.name}_rsa"):
            key.verify(raw, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and way in ("ecdsa", f"{algorithm.name}_ecdsa"):
            key.verify(raw, signed, ec.ECDSA(algorithm))
        else:
            raise CmsFault(f"signed by {way}, which is not checked here; use RSA (PKCS #1 v1.5) or ECDSA")
    except InvalidSignature:
        raise CmsFault("the signature is not of the certificate in it, or was changed") from None


def _require_trust(
    own: x509.Certificate,
    certificates: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    """Raise `CmsFault` unless `own` leads to one of the authorities through certificates that held then."""
    current = own
    for _ in range(len(certificates) + 1):
        if not current.not_valid_before_utc <= at <= current.not_valid_after_utc:
            raise CmsFault(f"the certificate of {_named(current.subject)} did not hold at {at:%Y-%m-%d %H:%M:%S} UTC")
        if current in authorities:
            return
        above = next((each for each in (*authorities, *certificates) if _issued(each, current)), None)
        if above is None or above == current:
            break
        current = above
    raise CmsFault(f"the certificate of {_named(own.subject)} does not lead to an authority that was given")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _named(name: x509.Name) -> str:
    """What people call a holder: common name, organisation, and the number (IIN or BIN) where there is one."""
    wanted = (NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
    parts = [str(each.value) for oid in wanted for each in name.get_attributes_for_oid(oid)]
    told = ", ".join(parts) or name.rfc4514_string()
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in told)[:300]


def read_authorities(content: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file. Raises `CmsFault`."""
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise CmsFault("no certificates in PEM") from None
