"""Lay a report out in one language: content in, document out."""

from tarazy.reports.coins import DistributedRecord, SaleReport, Statement
from tarazy.reports.content import AccreditationReport
from tarazy.reports.document import Document
from tarazy.reports.layout.cover import lay_out as lay_out_accreditation
from tarazy.reports.layout.distributed import lay_out_distributed
from tarazy.reports.layout.quarterly import lay_out_quarterly
from tarazy.reports.layout.sale import lay_out_sales
from tarazy.reports.layout.statement import lay_out_statement
from tarazy.reports.quarterly import QuarterlyReport

Report = AccreditationReport | Statement | SaleReport | DistributedRecord | QuarterlyReport
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
        case AccreditationReport():
            return lay_out_accreditation(report, digest, file, lang)


__all__ = ["Report", "lay_out"]
