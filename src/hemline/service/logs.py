"""The log: JSON lines on standard error; it has no image data."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

LOGGER = logging.getLogger("hemline.service")


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
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False, default=str)
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def log(event: str, exc: BaseException | None = None, **fields: Any) -> None:
    """Writes a line, at level ERROR with an exception and INFO without."""
    level = logging.ERROR if exc else logging.INFO
    LOGGER.log(level, event, extra={"fields": fields}, exc_info=exc)


def set_up() -> None:
    """Sends the service's and uvicorn's messages to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("hemline.service", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.setLevel(logging.INFO if name == "hemline.service" else logging.WARNING)
        logger.propagate = name == "uvicorn.error"
