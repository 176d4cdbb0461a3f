"""The journal of a check: results are appended as they are found, so a killed check resumes.

One line of JSON for each file, keyed by path, size and modification time, and one for each compared
pair, keyed by the images' pixel digests. An incomplete last line is dropped. A changed file is new.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from hemline.data.checking.inspection import InspectedImage
from hemline.errors import UsageError

_FORMAT = 1


class Journal:
    """The results of checks, kept in a file, or in memory only if ``path`` is None."""

    def __init__(self, path: Path | None, max_pixels: int) -> None:
        """Reads the existing lines.

        Raises:
            UsageError: the file can't be read or written.
        """
        self.seen: dict[tuple[str, int, int], InspectedImage] = {}
        self.pairs: dict[tuple[str, str], int] = {}
        self._head = {"hemline_check": _FORMAT, "max_pixels": max_pixels}
        self._stream = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = self._read(path)
            self._stream = path.open("r+b" if whole else "wb")
            if whole:
                self._stream.truncate(whole)
                self._stream.seek(whole)
            else:
                self._write(self._head)
        except OSError as error:
            raise UsageError(f"the check's cache {path} can't be used: {error.strerror}") from None

    def _read(self, path: Path) -> int:
        """Reads the complete lines → the number of their bytes."""
        if not path.is_file():
            return 0
        end = 0
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                try:
                    entry = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    entry = None
                if entry is None or (number == 0 and entry != self._head):
                    break
                end += len(line)
                if "pair" in entry:
                    one, other = entry["pair"]
                    self.pairs[one, other] = entry["points"]
                elif "file" in entry:
                    self.seen[tuple(entry["file"])] = InspectedImage(**entry["seen"])
        return end

    def key(self, file: Path) -> tuple[str, int, int] | None:
        """The key of a file, or None if it is missing."""
        try:
            status = os.stat(file)
        except (OSError, ValueError):
            return None
        return str(file), status.st_size, status.st_mtime_ns

    def record(self, key: tuple[str, int, int] | None, seen: InspectedImage) -> None:
        """Appends the result of a file."""
        if key is not None:
            self.seen[key] = seen
            self._write({"file": list(key), "seen": asdict(seen)})

    def compared(self, pair: tuple[str, str], points: int) -> None:
        """Appends the result of a pair."""
        self.pairs[pair] = points
        self._write({"pair": list(pair), "points": points})

    def _write(self, entry: Mapping[str, object]) -> None:
        if self._stream is not None:
            line = json.dumps(entry, ensure_ascii=True) + "\n"
            self._stream.write(line.encode("ascii"))
            self._stream.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()
