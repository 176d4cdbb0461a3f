"""Vectors on the disk: append-only segment files of fixed capacity, mapped into memory.

An image's id is the place of its vector: segment × capacity + offset. A record is D float16, the
norm as float32, and a CRC-32 of both that is seeded with the id, so that a misplaced record is
detected, too. The database has the number of valid records; those beyond it belong to a commit that
didn't complete, and the next writer overwrites them.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hemline.catalog.store import Ids
from hemline.errors import DamageError
from hemline.files import make_folder, open_regular, sync_folder
from hemline.types import FloatArray

FOLDER = "segments"
_WILL_NEED: int = getattr(mmap, "MADV_WILLNEED", 0)
Halves = npt.NDArray[np.float16]
Records = npt.NDArray[np.void]


class SegmentError(DamageError):
    """A segment file is missing or too short: damage, or deleted by a compaction since."""


class Segments:
    """The segment files of one store; several threads may read."""

    def __init__(self, folder: Path, dim: int, rows: int) -> None:
        self.folder = folder / FOLDER
        self.rows = rows
        self.dim = dim
        self._shown = folder
        self._type = np.dtype([("half", "<f2", (dim,)), ("norm", "<f4"), ("crc", "<u4")])
        self._maps: dict[int, Records] = {}

    @property
    def record_bytes(self) -> int:
        return self._type.itemsize

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.seg"

    def name(self, number: int) -> str:
        """Relative to the catalogue's folder."""
        return f"{FOLDER}/{self.path(number).name}"

    def numbers(self) -> list[int]:
        """The numbers of the existing files."""
        names = [p.stem for p in self.folder.glob("*.seg")] if self.folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdigit())

    # Writing

    def append(self, place: int, half: Halves, norm: FloatArray) -> Ids:
        """Writes half (n, D) and norm (n,) from id ``place`` on, synced; returns their ids (n,).

        Raises:
            OSError: the disk is full, or the file can't be written.
        """
        ids = np.arange(place, place + len(half), dtype=np.int64)
        records = np.zeros(len(half), self._type)
        records["half"], records["norm"] = half, norm
        records["crc"] = self._sums(ids, records)
        for number, start, stop in self._spans(ids):
            self._write(number, int(ids[start]) % self.rows, records[start:stop])
        return ids

    def _write(self, number: int, offset: int, records: Records) -> None:
        path = self.path(number)
        fresh = not path.exists()
        if fresh:
            make_folder(self.folder)
        elif not path.is_file():
            raise OSError(errno.EINVAL, "it is a pipe, socket or device", str(path))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            os.lseek(descriptor, offset * self.record_bytes, os.SEEK_SET)
            data = memoryview(records.tobytes())
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if fresh:
            sync_folder(self.folder)

    def _spans(self, ids: Ids) -> Iterator[tuple[int, int, int]]:
        """(segment, start, stop) of the runs of ascending ``ids`` within one segment."""
        numbers = ids // self.rows
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
            yield int(numbers[start]), int(start), int(stop)

    def _sums(self, ids: Ids, records: Records) -> npt.NDArray[np.uint32]:
        size, body = self.record_bytes, self.record_bytes - 4
        flat: Any = np.ascontiguousarray(records).view(np.uint8)
        data, crc32 = memoryview(flat), zlib.crc32
        seeds = (ids & 0xFFFFFFFF).tolist()
        starts = range(0, size * len(ids), size)
        sums = [crc32(data[i : i + body], id_) for i, id_ in zip(starts, seeds, strict=True)]
        return np.array(sums, np.uint32)

    def drop(self, number: int) -> int:
        """Deletes a file and returns its bytes; readers that have mapped it keep it."""
        self._maps.pop(number, None)
        path = self.path(number)
        try:
            size = path.stat().st_size
            path.unlink()
        except OSError:  # already deleted, or still mapped on Windows
            return 0
        return size

    # Reading

    def open(self, number: int, rows: int) -> BinaryIO:
        """Opens the file of a segment with at least ``rows`` vectors.

        Raises:
            SegmentError: it is missing or too short.
        """
        try:
            file = open_regular(self.path(number))
        except OSError as error:
            raise SegmentError(
                self.damage_message(number, f"can't be read: {error.strerror}")
            ) from None
        there = os.fstat(file.fileno()).st_size // self.record_bytes
        if there < rows:
            file.close()
            raise SegmentError(self.damage_message(number, f"has {there} vectors of {rows}"))
        return file

    def mapped(self, number: int, rows: int) -> Records:
        """The records of a segment, which can be read even after its file is deleted.

        Raises:
            SegmentError: it is missing or has fewer than ``rows``.
        """
        known = self._maps.get(number)
        if known is not None and len(known) >= rows:
            return known
        path = self.path(number)
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):  # mapping a pipe would wait for its writer
                raise OSError(errno.EINVAL, "it is a pipe, socket or device")
            there = found.st_size // self.record_bytes
            if there < max(rows, 1):  # nothing of an empty file can be mapped
                raise SegmentError(self.damage_message(number, f"has {there} vectors of {rows}"))
            mapped: Any = np.memmap(path, self._type, "r", shape=(there,))
        except OSError as error:
            raise SegmentError(
                self.damage_message(number, f"can't be read: {error.strerror or error}")
            ) from None
        records: Records = mapped.view(np.ndarray)
        self._maps[number] = records
        return records

    def damage_message(self, number: int, found: str) -> str:
        """One line that says what is wrong with a segment and what to do."""
        return (
            f"{self._shown / self.name(number)} {found}; "
            f"'hemline catalog check {self._shown} --repair' repairs what can be derived"
        )

    def records(self, ids: Ids) -> Records:
        """The records (n,) of ``ids`` (n,), copied.

        Raises:
            SegmentError: a file is missing or too short.
        """
        out = np.empty(len(ids), self._type)
        for number, places, offsets in self._groups(ids):  # `take` is faster than an index
            out[places] = self.mapped(number, int(offsets.max()) + 1).take(offsets)
        return out

    def halves(self, ids: Ids) -> Halves:
        """The vectors (n, D) float16 of ``ids`` (n,), copied.

        Raises:
            SegmentError: a file is missing or too short.
        """
        out = np.empty((len(ids), self.dim), np.float16)
        self.read(ids, out)
        return out

    def read(self, ids: Ids, out: Halves) -> None:
        """`halves` into ``out`` (n, D)."""
        if len(ids) and ids[-1] - ids[0] == len(ids) - 1 and bool((np.diff(ids) == 1).all()):
            for number, start, stop in self._spans(ids):  # a contiguous run
                first = int(ids[start]) % self.rows
                mapped = self.mapped(number, first + stop - start)
                out[start:stop] = mapped["half"][first : first + stop - start]
            return
        for number, places, offsets in self._groups(ids):
            out[places] = self.mapped(number, int(offsets.max()) + 1)["half"][offsets]

    def prefetch(self, ids: Ids) -> None:
        """Asks the system to read the records of ``ids`` (n,) from the disk, all at a time.

        Raises:
            SegmentError: a file is missing or too short.
        """
        if not _WILL_NEED:
            return
        size, page = self.record_bytes, mmap.PAGESIZE
        for number, offset in zip(
            (ids // self.rows).tolist(), (ids % self.rows).tolist(), strict=True
        ):
            base: Any = self.mapped(number, offset + 1)
            while isinstance(base, np.ndarray):
                base = base.base
            start = offset * size // page * page
            base.madvise(_WILL_NEED, start, (offset + 1) * size - start)

    def _groups(self, ids: Ids) -> Iterator[tuple[int, Any, Ids]]:
        """(segment, places in ``ids``, offsets in the segment)."""
        numbers = ids // self.rows
        if not len(ids):
            return
        if (numbers == numbers[0]).all():
            yield int(numbers[0]), slice(None), ids % self.rows
            return
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
            places = order[start:stop]
            yield int(ordered[start]), places, ids[places] % self.rows

    def verified(self, ids: Ids) -> Records:
        """The records (n,) of ``ids`` (n,), copied, with right checksums.

        Raises:
            SegmentError: a file is missing or too short, or a checksum is wrong.
        """
        records = self.records(ids)
        self._check(ids, self._sums(ids, records) == records["crc"])
        return records

    def verify(self, ids: Ids) -> None:
        """Verifies the checksums of records, as `intact` does.

        Raises:
            SegmentError: that of one of ``ids`` (n,) is wrong.
        """
        self._check(ids, self.intact(ids))

    def _check(self, ids: Ids, good: npt.NDArray[np.bool_]) -> None:
        if not good.all():
            number = int(ids[int(np.argmin(good))]) // self.rows
            raise SegmentError(self.damage_message(number, "has damaged vectors"))

    def intact(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Whether the record of each of ``ids`` (n,) exists and its checksum is right.

        The files are mapped again first.
        """
        good = np.zeros(len(ids), bool)
        for number, places, offsets in self._groups(ids):
            self._maps.pop(number, None)
            with contextlib.suppress(SegmentError):
                mapped = self.mapped(number, 0)
                there = np.flatnonzero(offsets < len(mapped))
                records = mapped[offsets[there]]
                chosen = np.arange(len(ids))[places][there]
                good[chosen] = self._sums(ids[chosen], records) == records["crc"]
        return good

    def close(self) -> None:
        self._maps.clear()
