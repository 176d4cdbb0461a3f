"""The embeddings of a gallery: in memory while they are small, else in a mapped file.

A gallery of 500,000 images has gigabytes of embeddings. They are written once, and read in chunks
of which the system keeps as many in memory as there is room for.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemline.evaluation.embed import Block
from hemline.ranking.distances import euclidean_distances, squared_lengths
from hemline.types import FloatArray

#: Bytes of embeddings that are kept in memory, and rows that are compared at once.
IN_MEMORY, CHUNK = 2**28, 2**14


class GalleryVectors:
    """The embeddings of the G readable images of a gallery.

    Attributes:
        good: (N,) whether each image of the gallery could be read; G are.
        norms: (G,) lengths before normalisation.
        skipped: (path, reason) of the images that could not be read.
    """

    def __init__(
        self, blocks: Iterable[Block], count: int, dim: int, folder: Path | None = None
    ) -> None:
        """
        Args:
            blocks: of the gallery's N images, in order.
            count: N.
            dim: D.
            folder: of the file, where the embeddings need one; by default the system's.

        Raises:
            OSError: the folder has no room for them.
            UsageError: an embedding isn't finite.
        """
        self.good = np.zeros(count, bool)
        self.skipped: list[tuple[str, str]] = []
        rows, norms, squares, end = _room(count, dim, folder), [], [], 0
        for block in blocks:
            self.skipped.extend(block.skipped)
            self.good[block.start : block.start + len(block.good)] = block.good
            some = block.arrays["embedding"][block.good]
            if len(some):
                squares.append(squared_lengths(some))
                norms.append(block.arrays["norm"][block.good])
                rows[end : end + len(some)] = some
                end += len(some)
        self._rows, self._squares = rows[:end], np.concatenate(squares)
        self.norms = np.concatenate(norms)

    @property
    def dimensions(self) -> int:
        """D."""
        return int(self._rows.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def distances(self, queries: FloatArray) -> npt.NDArray[np.float32]:
        """(Q, D) → (Q, G) Euclidean distances."""
        far = np.empty((len(queries), len(self)), np.float32)
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            far[:, part] = euclidean_distances(queries, self._rows[part], self._squares[part])
        return far

    def contexts(self, places: npt.NDArray[np.int64]) -> FloatArray:
        """(K,) places → (K, D) embedding × norm, as a re-ranker takes them."""
        rows: FloatArray = np.asarray(self._rows[places]) * self.norms[places, None]
        return rows


def _room(count: int, dim: int, folder: Path | None) -> FloatArray:
    size = count * dim * 4
    if size <= IN_MEMORY:
        return np.empty((count, dim), np.float32)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        # A write into a mapped file on a full disk would kill the process; this raises instead.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.memmap(file, np.float32, "r+", shape=(count, dim))
