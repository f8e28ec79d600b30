"""Signatures of reports: detached CMS over the report's JSON, made here, by a service or elsewhere, and their check."""

from tarazy.reports.signing.signer import Signer, SigningFault, signer_of

__all__ = ["Signer", "SigningFault", "signer_of"]
