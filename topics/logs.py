"""Logs: JSON lines on stderr, with job and trace ids, and no secret in them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

_REDACTED = "[redacted]"

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # The query of a URL signs it or carries a token; the path is what people search for.
    (re.compile(r"(?i)\b((?:https?|s3)://[^\s\"'<>?]+)\?[^\s\"'<>]*"), rf"\1?{_REDACTED}"),
    # The same for a path alone, as access logs write it.
    (
        re.compile(
            r"(?i)\?(?=[^\s\"'<>]*\b(?:signature|sig|token|credential|expires|key|x-amz-[a-z-]+)=)"
            r"[^\s\"'<>]*"
        ),
        f"?{_REDACTED}",
    ),
    # The address that a provider calls back for one job: whoever knows it can send hints.
    (re.compile(r"(/webhooks/suno/music/)[^\s\"'<>?]+"), rf"\1{_REDACTED}"),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), f"whsec_{_REDACTED}"),
    # API keys of ours keep the part that finds them; tokens (JWT) begin with {" in base64url.
    (re.compile(r"\b(mls_[0-9a-f]{12})_[A-Za-z0-9_-]{16,}"), rf"\1_{_REDACTED}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), _REDACTED),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {_REDACTED}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), _REDACTED),  # AWS access key ids
    (
        re.compile(
            r"(?i)\b([\w-]*(?:api[_-]?key|secret(?:[_-]\w+)?|password|passwd|access[_-]?token))"
            r"([\"']?\s*[=:]\s*[\"']?)[^\s\"',&;}]+"
        ),
        rf"\1\2{_REDACTED}",
    ),
)

_SECRET_NAMES = re.compile(
    r"(?i)(?:authorization|cookie|password|secret|api[_-]?key|access[_-]?token|credential)"
)


def redacted(text: str) -> str:
    """The text without signed queries, tokens and keys."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """structlog processor: every string of the entry, however deep, redacted."""
    return {name: _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: Any) -> Any:
    if _SECRET_NAMES.search(name):
        return _REDACTED
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, bytes):
        return redacted(value.decode(errors="replace"))
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean("", item) for item in value]
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    return redacted(str(value))


def configure(
    format: Literal["json", "console"] = "json",  # noqa: A002  (the setting's name)
    level: str = "INFO",
    stream: TextIO | None = None,
    **bound: str,
) -> None:
    """Send structlog's entries and those of the standard library to ``stream`` (stderr).

    ``bound`` is on every entry of the process (``service="worker"``). Raises `ValueError` for an
    unknown level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"LOG_LEVEL '{level}' is unknown; use DEBUG, INFO, WARNING or ERROR")

    def with_bound(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event.pop("color_message", None)  # uvicorn's own line again, with colours
        return {**bound, **event}

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        with_bound,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=(stream or sys.stderr).isatty())
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,  # behind everything that makes text, before the one that writes it
                last,
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # tests configure more than once
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
