"""The number of acknowledged commits, kept beside the database.

SQLite drops the end of a damaged write-ahead log without a word, and with it commits that were
acknowledged. This file tells: it is written after each commit, so it is never ahead of what the
database had, and a kill leaves it one behind at most. It has two places that are written in turn,
so that a torn write leaves the other one.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
import zlib
from pathlib import Path

from hemline.files import read_regular, write_durable

FILE = "catalog.commits"
_MAGIC = b"HMLcount"
_RECORD = struct.Struct("<8sQI")  # magic, count, CRC-32 of both
_PLACES = (0, 512)  # in different sectors
_SIZE = 1024
_SYNC = 1.0  # seconds


def read(folder: Path) -> int:
    """The greatest intact count; 0 where there is none, as in catalogues of earlier versions."""
    try:
        data = read_regular(folder / FILE)
    except OSError:
        return 0
    counts = [0]
    for place in _PLACES:
        if len(data) >= place + _RECORD.size:
            magic, count, crc = _RECORD.unpack_from(data, place)
            if magic == _MAGIC and crc == zlib.crc32(data[place : place + _RECORD.size - 4]):
                counts.append(count)
    return max(counts)


def words(missing: int) -> str:
    """What is wrong where the database has ``missing`` commits too few, and what to do."""
    return (
        f"the database is {missing} commit{'s' if missing > 1 else ''} behind what was "
        "acknowledged, as its write-ahead log was damaged or lost; restore a backup, or accept "
        "the loss with 'hemline catalog check --repair' and add or sync again"
    )


class Counter:
    """The file of one store, for the holder of its write lock.

    It is synced once a second at most, as that takes as long as a commit. After a kill it is
    complete; after a power cut it may be some seconds behind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced = float("-inf")
        self._unsynced = False

    def write(self, count: int) -> None:
        """Records that commit ``count`` is durable; where that fails, the file stays behind."""
        with contextlib.suppress(OSError):
            if not (self._folder / FILE).is_file() and self._folder.is_dir():
                reset(self._folder, count)  # of an earlier version
                return
            self._unsynced = time.monotonic() - self._synced < _SYNC
            self._open(_record(count), _PLACES[count % 2], not self._unsynced)

    def _open(self, data: bytes, place: int, sync: bool) -> None:
        descriptor = os.open(self._folder / FILE, os.O_WRONLY | getattr(os, "O_BINARY", 0))
        try:
            if data:
                os.lseek(descriptor, place, os.SEEK_SET)
                os.write(descriptor, data)
            if sync:
                os.fsync(descriptor)
                self._synced = time.monotonic()
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Syncs what isn't."""
        with contextlib.suppress(OSError):
            if self._unsynced:
                self._open(b"", 0, True)
            self._unsynced = False


def reset(folder: Path, count: int) -> None:
    """Writes the file anew, durably, with one count.

    Raises:
        OSError: it can't be written.
    """
    data = bytearray(_SIZE)  # written whole, so that no later write needs space
    _RECORD.pack_into(data, _PLACES[count % 2], *_RECORD.unpack(_record(count)))
    write_durable(folder / FILE, bytes(data))


def _record(count: int) -> bytes:
    body = _MAGIC + struct.pack("<Q", count)
    return body + struct.pack("<I", zlib.crc32(body))
