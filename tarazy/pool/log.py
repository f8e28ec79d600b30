"""How the server logs: structured events to standard error, for people or as JSON."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.types import EventDict, Processor

from tarazy.config.settings import LogSettings

_LEVELS = logging.getLevelNamesMapping()
_lowest = logging.INFO


def set_level(level: str) -> None:
    """Log nothing below `level` from now on."""
    global _lowest
    _lowest = _LEVELS[level.upper()]


def configure_logging(settings: LogSettings, process: str = "") -> None:
    """Set up structlog once for the process, with its name on every line where there are several.

    Loggers are kept once they are used, so the level, which may change, is looked at for each event.
    """
    set_level(settings.level)
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )

    def name(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {"process": process, **event} if process else event

    structlog.configure(
        processors=[
            _drop_low,
            name,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _drop_low(_logger: object, method: str, event: EventDict) -> EventDict:
    if _LEVELS.get(method.upper(), logging.ERROR) < _lowest:
        raise structlog.DropEvent
    return event
