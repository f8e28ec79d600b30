"""How the server logs: structured events to standard error, for people or as JSON."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

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
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Undaunted(sys.stderr))),
        cache_logger_on_first_use=True,
    )


class _Undaunted:
    """A stream for as long as it takes lines: a full disk under the log ends none of the work that it tells of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _drop_low(_logger: object, method: str, event: EventDict) -> EventDict:
    if _LEVELS.get(method.upper(), logging.ERROR) < _lowest:
        raise structlog.DropEvent
    return event
