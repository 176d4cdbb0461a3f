"""The log: JSON lines of bounded length on standard error; it has no image data."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from typing import Any

#: Characters of a text in a line of the log or the journal.
LONGEST = 500
LOGGER = logging.getLogger("hemline.service")


def bounded(text: str, limit: int = LONGEST) -> str:
    """A text of at most about ``limit`` characters: its beginning, its length and its digest.

    Texts with the same digest are the same, so they can still be counted and found.
    """
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return f"{text[:limit]}… ({len(text):,} characters, SHA-256 {digest})"


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, event, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        line = {n: bounded(v) if isinstance(v, str) else v for n, v in line.items()}
        if record.exc_info:
            line["trace"] = bounded(self.formatException(record.exc_info), 20 * LONGEST)
        text = json.dumps(line, ensure_ascii=False, default=str)
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def log(event: str, exc: BaseException | None = None, **fields: Any) -> None:
    """Writes a line, at level ERROR with an exception and INFO without."""
    level = logging.ERROR if exc else logging.INFO
    LOGGER.log(level, event, extra={"fields": fields}, exc_info=exc)


def set_up() -> None:
    """Sends all messages to standard error as JSON lines.

    Python would write other libraries' as they are, so that a text of a client could be a line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    others = [one for one in logging.root.handlers if not isinstance(one.formatter, JsonLines)]
    logging.root.handlers = [*others, handler]
    logging.captureWarnings(True)
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # its messages have the condition
    for name in ("hemline.service", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.setLevel(logging.INFO if name == "hemline.service" else logging.WARNING)
        logger.propagate = name == "uvicorn.error"
