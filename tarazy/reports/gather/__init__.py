"""Gather a report's content from the stored records, everything as it was known at the stated moment."""

from tarazy.reports.gather.accreditation import gather

__all__ = ["gather"]
