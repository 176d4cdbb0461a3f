"""Finer codes of very large stores: 4 bits for each number, which rank the candidates again.

Where the vectors don't fit into memory each exact score is a read from the disk. These codes are
four times smaller than float16 and lie in a mapped file, by slot; their error is a tenth of that of
`Codes`. So thousands of candidates are ranked in memory, and some hundred are read from the disk.
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.budget import check_time
from hemline.catalog.index.column import Slots
from hemline.catalog.index.scan import pool, threads
from hemline.types import FloatArray

Bytes = npt.NDArray[np.uint8]
_BLOCK = 16_384  # slots ranked at a time
_CODES, _QUANTIZER = "fine.npy", "fine.faiss"


class Fine:
    """Codes (n, D/2) of the slots from 0 on: mapped ones, and newer ones in memory.

    The caller must not search while it adds.
    """

    def __init__(self, quantizer: Any, mapped: Bytes) -> None:
        self._quantizer = quantizer
        self._mapped = mapped
        self._newer = np.zeros((0, mapped.shape[1]), np.uint8)
        self._length = len(mapped)
        self._scratch = threading.local()

    def __len__(self) -> int:
        return self._length

    @classmethod
    def train(cls, sample: FloatArray, count: int, folder: Path) -> Fine:
        """Trains on ``sample`` (n, D), with room for ``count`` slots.

        The room is a file without a name in ``folder``, so that it isn't the process's own memory;
        where the folder can't be written to, it is memory.
        """
        import faiss

        kind, metric = faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_INNER_PRODUCT
        quantizer: Any = faiss.IndexScalarQuantizer(sample.shape[1], kind, metric)
        quantizer.sq.rangestat = faiss.ScalarQuantizer.RS_optim
        with threads(1):
            quantizer.train(np.ascontiguousarray(sample, np.float32))
        return cls(quantizer, _room(folder, (count, int(quantizer.code_size))))

    def add(self, slots: Slots, vectors: FloatArray) -> None:
        """Adds vectors (n, D) float32 at ``slots`` (n,), ascending."""
        if not len(slots):
            return
        with threads(1):
            codes = self._quantizer.sa_encode(np.ascontiguousarray(vectors, np.float32))
        first, length = len(self._mapped), int(slots[-1]) + 1
        if length - first > len(self._newer):
            grown = np.zeros(((length - first) * 5 // 4, codes.shape[1]), np.uint8)
            grown[: len(self._newer)] = self._newer
            self._newer = grown
        split = int(np.searchsorted(slots, first))
        if split:  # what was read from a saved index has all slots of its time
            self._mapped[slots[:split]] = codes[:split]
        self._newer[slots[split:] - first] = codes[split:]
        self._length = max(self._length, length)

    def _take(self, slots: Slots) -> Bytes:
        """The codes (n, D/2) of ``slots`` (n,), ascending."""
        first = len(self._mapped)
        split = int(np.searchsorted(slots, first))
        if split == len(slots):
            return self._mapped.take(slots, axis=0)
        newer = self._newer.take(slots[split:] - first, axis=0)
        return np.concatenate([self._mapped.take(slots[:split], axis=0), newer])

    def best(self, query: FloatArray, slots: Slots, count: int) -> Slots:
        """The ``count`` of ``slots`` (n,), ascending, whose codes are nearest to ``query`` (D,).

        Raises:
            TimeLimitError: the present query's time is over.
        """
        if len(slots) <= count:
            return slots
        half = len(slots) // 2
        other = pool().submit(self._nearest, query, slots[:half], count)
        score, found = self._nearest(query, slots[half:], count)
        others, also = other.result()
        score, found = np.concatenate([others, score]), np.concatenate([also, found])
        return np.sort(found[np.argpartition(-score, count - 1)[:count]])

    def _nearest(self, query: FloatArray, slots: Slots, count: int) -> tuple[FloatArray, Slots]:
        """Scores and slots of the ``count`` nearest of each block of ``slots`` (n,), ascending."""
        scores, found = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
        for start in range(0, len(slots), _BLOCK):
            check_time()
            some = slots[start : start + _BLOCK]
            score, place = self._rank(query, self._take(some), count)
            scores.append(score)
            found.append(some[place])
        return np.concatenate(scores), np.concatenate(found)

    def _rank(self, query: FloatArray, codes: Bytes, count: int) -> tuple[FloatArray, Slots]:
        import faiss

        index: Any = getattr(self._scratch, "index", None)
        if index is None:
            index = self._scratch.index = faiss.clone_index(self._quantizer)
        index.reset()
        index.add_sa_codes(codes)
        with threads(1):
            score, found = index.search(
                np.ascontiguousarray(query[None], np.float32), min(count, len(codes))
            )
        return score[0], found[0]

    # Saving

    def write(self, folder: Path) -> None:
        """Writes its files into ``folder``."""
        import faiss

        faiss.write_index(self._quantizer, str(folder / _QUANTIZER))
        kept = min(len(self._mapped), self._length)
        shape = (self._length, self._mapped.shape[1])
        about: Any = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with open(folder / _CODES, "wb") as file:
            np.lib.format.write_array_header_1_0(file, about)
            for part in (self._mapped[:kept], self._newer[: self._length - kept]):
                for start in range(0, len(part), _BLOCK):
                    file.write(part[start : start + _BLOCK].tobytes())

    @classmethod
    def read(cls, folder: Path) -> Fine | None:
        """Maps what `write` wrote; None where nothing is there.

        Raises:
            OSError, ValueError, RuntimeError: it can't be read.
        """
        import faiss

        if not (folder / _CODES).is_file():
            return None
        codes = np.load(folder / _CODES, mmap_mode="r").view(np.ndarray)
        return cls(faiss.read_index(str(folder / _QUANTIZER)), codes)


def _room(folder: Path, shape: tuple[int, int]) -> Bytes:
    """Zeros of ``shape``, in a file where that is possible and the disk has the space."""
    allocate = getattr(os, "posix_fallocate", None)
    try:
        if allocate is None:
            raise OSError(errno.ENOSYS, "the space can't be reserved")
        with tempfile.TemporaryFile(dir=folder) as file:
            allocate(file.fileno(), 0, shape[0] * shape[1])  # a mapped hole would end the process
            mapped: Any = np.memmap(file, np.uint8, "r+", shape=shape)
            return np.asarray(mapped.view(np.ndarray), np.uint8)
    except (OSError, ValueError):
        return np.zeros(shape, np.uint8)
