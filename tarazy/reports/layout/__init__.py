"""Lay a report out in one language: content in, document out."""

from tarazy.reports.coins import DistributedRecord, RewardsReport, SaleReport, Statement
from tarazy.reports.content import AccreditationReport
from tarazy.reports.document import Document
from tarazy.reports.expiring import ExpiringReport
from tarazy.reports.layout.cover import lay_out as lay_out_accreditation
from tarazy.reports.layout.distributed import lay_out_distributed
from tarazy.reports.layout.divided import lay_out_divided
from tarazy.reports.layout.expiring import lay_out_expiring
from tarazy.reports.layout.party_energy import lay_out_party_energy
from tarazy.reports.layout.quarterly import lay_out_quarterly
from tarazy.reports.layout.sale import lay_out_sales
from tarazy.reports.layout.statement import lay_out_statement
from tarazy.reports.party_energy import EnergyStatement
from tarazy.reports.quarterly import QuarterlyReport

Report = (
    AccreditationReport
    | Statement
    | SaleReport
    | DistributedRecord
    | QuarterlyReport
    | RewardsReport
    | EnergyStatement
    | ExpiringReport
)
"""Every kind of report."""


def lay_out(report: Report, digest: str, file: str, lang: str) -> Document:
    """The report as a document in `lang`. `digest` is that of its canonical JSON, `file` that file's name."""
    match report:
        case Statement():
            return lay_out_statement(report, digest, file, lang)
        case SaleReport():
            return lay_out_sales(report, digest, file, lang)
        case QuarterlyReport():
            return lay_out_quarterly(report, digest, file, lang)
        case DistributedRecord():
            return lay_out_distributed(report, digest, file, lang)
        case RewardsReport():
            return lay_out_divided(report, digest, file, lang)
        case EnergyStatement():
            return lay_out_party_energy(report, digest, file, lang)
        case ExpiringReport():
            return lay_out_expiring(report, digest, file, lang)
        case AccreditationReport():
            return lay_out_accreditation(report, digest, file, lang)


__all__ = ["Report", "lay_out"]
