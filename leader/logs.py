"""Structured logs on stderr: JSON lines, or readable ones where a person looks at a terminal."""

import logging
import re
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_TOKEN: Final = re.compile(r"\bib_[a-z]+_[A-Za-z0-9_-]{43}")
_URL_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]+@")


def set_up(level: str = "info") -> None:
    """Send structlog and the libraries' loggers through one pipeline to stderr, from ``level`` up."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn", "uvicorn.error", "pymongo", "celery", "kombu"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No bearer token and no password of an address reaches a log."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _URL_PASSWORD.sub("***@", _TOKEN.sub("ib_***", value))
    return event


def _rendering() -> list[Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if sys.stderr.isatty():
        plain = structlog.dev.plain_traceback  # the other kind shows every local, secrets too, and takes seconds
        return [remove_meta, structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    return [remove_meta, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
