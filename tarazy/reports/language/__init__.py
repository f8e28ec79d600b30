"""What people read, in Kazakh, Russian and English: messages, and figures as each language writes them."""

from tarazy.reports.language.catalogue import LANGUAGES, CatalogueError, has, messages, text
from tarazy.reports.language.figures import bitcoin, day, energy, instant, number, tenge

__all__ = [
    "LANGUAGES",
    "CatalogueError",
    "bitcoin",
    "day",
    "energy",
    "has",
    "instant",
    "messages",
    "number",
    "tenge",
    "text",
]
