"""PAdES signatures inside PDF files, by pyHanko: the extra `pades`."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asn1crypto.cms import CMSAttributeType

from tarazy.reports.signing.signer import SigningFault, read_secret


def sign_pdf(content: bytes, key_file: Path, password_file: Path) -> bytes:
    """The PDF with a signature of level B-B, without a visible stamp. Raises `SigningFault`."""
    try:
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.sign.fields import SigSeedSubFilter
        from pyhanko.sign.signers import PdfSignatureMetadata, SimpleSigner
        from pyhanko.sign.signers import sign_pdf as signed
    except ImportError:
        raise SigningFault("PDF files are signed by pyHanko: install Tarazy with the extra `pades`") from None
    # asn1crypto keeps the names of attributes as it knew them when it read the first; pyHanko adds to them.
    CMSAttributeType._reverse_map = {name: oid for oid, name in CMSAttributeType._map.items()}
    password = read_secret(password_file).encode()
    signer = SimpleSigner.load_pkcs12(str(key_file), passphrase=password)  # type: ignore[no-untyped-call]
    if signer is None:
        raise SigningFault(f"{key_file}: no PKCS#12 key that opens with the password in {password_file}")
    metadata = PdfSignatureMetadata(field_name="Tarazy", subfilter=SigSeedSubFilter.PADES, md_algorithm="sha256")
    with ThreadPoolExecutor(1) as thread:  # pyHanko runs an event loop of its own, which this thread may have already
        out: io.BytesIO = thread.submit(
            signed, IncrementalPdfFileWriter(io.BytesIO(content)), metadata, signer
        ).result()
    return out.getvalue()
