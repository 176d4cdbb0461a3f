"""Writing a file in one step: the old one or the new one, never half of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from uuid import uuid4


def write_whole(path: Path, data: bytes | str) -> None:
    """Writes ``path`` (text as UTF-8), and the folders above it where they lack.

    A file's name in the text may hold bytes that are no UTF-8; they become backslashes.

    Raises:
        OSError: it can't be written; what was there is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rough = path.with_name(f".{path.name[:80]}.{uuid4().hex[:8]}")
    try:
        rough.write_bytes(
            data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
        )
        os.replace(rough, path)
    except BaseException:
        with contextlib.suppress(OSError):
            rough.unlink(missing_ok=True)
        raise


def home() -> Path:
    """``HEMLINE_HOME``, or the platform's folder for a user's data."""
    named = os.environ.get("HEMLINE_HOME")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_dir

    return Path(user_data_dir("hemline", appauthor=False))
