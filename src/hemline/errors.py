"""Errors that a user can cause. The message says what was found, what was expected, what to do.

The command line prints one line of it and exits with ``exit_code``: 2 for bad use, 1 for a job that
failed (docs/interfaces.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class HemlineError(Exception):
    """Base of all errors that the user can correct."""

    exit_code = 1


class UsageError(HemlineError):
    """A wrong argument, option or setting."""

    exit_code = 2


class CostError(UsageError):
    """A query that would cost more than its limits allow; it hasn't begun."""


class TimeLimitError(HemlineError):
    """A query that was stopped because its time was over."""


class DataError(HemlineError):
    """An invalid manifest, list file or folder."""


class ImageError(DataError):
    """A file that can't be opened as an image."""


class BundleError(HemlineError):
    """A bundle that is missing, damaged, or of another format version."""


class OtherBundleError(BundleError):
    """Vectors of another bundle than the one they are to be searched with."""


class NoDetectorError(BundleError):
    """A bundle without a detector, where one is needed."""


class CatalogError(HemlineError):
    """A catalogue that is missing, damaged, locked, or made with another bundle."""


class DamageError(CatalogError):
    """Stored content that isn't what was written: a wrong checksum, or not readable at all."""


class UnknownItemError(CatalogError):
    """An item_id that a catalogue doesn't have."""


class CatalogBusy(CatalogError):
    """A catalogue that another process is writing to; retry later."""


class BusyError(HemlineError):
    """Too many calls are waiting, or one has waited too long; retry later."""


class DatabaseError(HemlineError):
    """A service's database that can't be used now; retry later."""


class MemoryLimitError(HemlineError):
    """A request that needs more memory than all requests together may use."""


class StoppedError(HemlineError):
    """Work that was stopped because nobody waits for its result."""


class TrainingError(HemlineError):
    """A recipe or run that can't be trained or resumed."""


#: Packages that an extra installs.
_EXTRAS = {
    "learn": "torch, torchvision, timm, lightning, onnx, onnxscript, safetensors, yaml, matplotlib",
    "synthetic": "cv2",
    "ray": "ray",
    "remote": "fsspec, aiohttp, s3fs, gcsfs",
    "database": "sqlalchemy, psycopg",
    "serve": "fastapi, starlette, uvicorn, httptools, prometheus_client, httpx2",
}


def missing_extra(error: ModuleNotFoundError, what: str) -> str | None:
    """The message that ``what`` needs an extra; None if the missing module is in none of them."""
    top = (error.name or "").split(".")[0]
    for extra, modules in _EXTRAS.items():
        if top in modules.split(", "):
            return f"{what} needs {error.name}: pip install 'hemline[{extra}]'"
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known word closest to ``name``, or lists them all."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(known)}." if known else "None is known."


def first_error(error: ValidationError) -> str:
    """The first problem that pydantic found, with the name of its field and a short value."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])[:100]
    given = first["input"]
    value = f", not {given!r}" if isinstance(given, int | float) else ""
    message = first["msg"].removeprefix("Value error, ")
    return f"{name}: {message}{value}" if name else f"{message}{value}"
