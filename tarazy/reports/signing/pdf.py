"""PAdES signatures inside PDF files, by pyHanko: the extra `pades`."""

from __future__ import annotations

import io
from pathlib import Path

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
    password = read_secret(password_file).encode()
    signer = SimpleSigner.load_pkcs12(str(key_file), passphrase=password)  # type: ignore[no-untyped-call]
    if signer is None:
        raise SigningFault(f"{key_file}: no PKCS#12 key that opens with the password in {password_file}")
    metadata = PdfSignatureMetadata(field_name="Tarazy", subfilter=SigSeedSubFilter.PADES, md_algorithm="sha256")
    out: io.BytesIO = signed(IncrementalPdfFileWriter(io.BytesIO(content)), metadata, signer)
    return out.getvalue()
