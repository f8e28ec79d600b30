"""Lay a report out in one language: content in, document out."""

from tarazy.reports.layout.cover import lay_out

__all__ = ["lay_out"]
