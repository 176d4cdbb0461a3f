"""Short codes of the vectors: FAISS 4-bit product quantisation, scanned fast.

Each vector becomes D/2 codes of 4 bits. All lie in one inverted list (its layout takes filters,
which the flat one doesn't, and is as fast) or, in very large stores, in a thousand, of which the
likeliest are looked into. Large ones are in two parts, searched by two threads at once: FAISS gives
Python's lock free, and its own threads take milliseconds to wake.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.catalog.index.column import Slots
from hemline.catalog.index.scan import threads
from hemline.catalog.settings import Settings
from hemline.types import FloatArray

_MEASURED = 2048  # vectors on which the loss of coding is measured
_EXTENSION = "faiss"


@functools.lru_cache(1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of one process: a forked child would wait for those of its parent for ever."""
    return ThreadPoolExecutor(2, thread_name_prefix="hemline-codes")


class Subset(NamedTuple):
    """Slots that may be answered: how many, and a bit for each slot."""

    size: int
    bits: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_]) -> Subset:
        return cls(int(np.count_nonzero(mask)), np.packbits(mask, bitorder="little"))


class Codes:
    """Codes of the slots from 0 on; its owner sees that nobody searches while it grows.

    Attributes:
        trained: how many vectors there were when the codebook was learnt.
        loss: mean squared difference of a vector and its code, when the codebook was learnt.
        new_loss: the same of those that came since, the latest counting most.
    """

    def __init__(self, parts: list[Any], trained: int, loss: float, settings: Settings) -> None:
        self._parts = parts
        self.settings = settings
        self.trained = trained
        self.loss = loss
        self.new_loss = loss

    def __len__(self) -> int:
        return sum(int(part.ntotal) for part in self._parts)

    @classmethod
    def train(cls, sample: FloatArray, count: int, settings: Settings) -> Codes:
        """A codebook from ``sample`` (n, D), for ``count`` vectors to come."""
        import faiss

        dim = sample.shape[1]
        lists = settings.lists if count >= settings.lists_rows else 1
        kind = faiss.METRIC_INNER_PRODUCT
        coarse: Any = faiss.IndexFlatIP(dim)
        codes = dim // 2 if dim % 2 == 0 else dim
        part = faiss.IndexIVFPQFastScan(coarse, dim, lists, codes, 4, kind)
        coarse.this.disown()  # the index deletes it
        part.own_fields = True
        part.by_residual = False  # one codebook for all lists, so that parts and lists compare
        part.cp.niter = 10
        for means in (part.cp, part.pq.cp):
            means.min_points_per_centroid = 1  # FAISS warns of small stores otherwise
        with threads(1):
            part.train(np.ascontiguousarray(sample, np.float32))
        parts: list[Any] = [part]
        if count >= settings.parts_rows:
            parts.append(faiss.clone_index(part))
        return cls(parts, count, 0.0, settings)

    def rate(self, vectors: FloatArray) -> None:
        """Measures what coding loses of vectors (n, D) like all that are there."""
        self.loss = self.new_loss = self._lost(vectors)

    def _lost(self, vectors: FloatArray) -> float:
        quantizer = self._parts[0].pq
        vectors = np.ascontiguousarray(vectors, np.float32)
        with threads(1):
            again = quantizer.decode(quantizer.compute_codes(vectors))
        return float(np.square(vectors - again).sum(1).mean())

    def add(self, slots: Slots, vectors: FloatArray) -> None:
        """slots (n,), vectors (n, D) float32."""
        if not len(slots):
            return
        share = min(1.0, len(slots) / _MEASURED)
        lost = self._lost(vectors[:: max(1, len(vectors) // 256)])
        self.new_loss += share * (lost - self.new_loss)
        with threads(1):
            for i, part in enumerate(self._parts):
                own = slots % len(self._parts) == i
                part.add_with_ids(np.ascontiguousarray(vectors[own]), slots[own])

    @property
    def drifted(self) -> bool:
        return self.new_loss > self.settings.drifted * max(self.loss, 1e-9)

    def suits(self, count: int) -> bool:
        """Whether so many vectors would be laid out like this."""
        lists = self.settings.lists if count >= self.settings.lists_rows else 1
        return int(self._parts[0].nlist) >= lists

    # Searching

    def candidates(
        self, queries: FloatArray, count: int, among: Subset | None, total: int
    ) -> list[Slots]:
        """For each of ``queries`` (Q, D) at most ``count`` slots whose codes are nearest.

        Args:
            queries: float32.
            count: how many.
            among: slots that may come; None for all.
            total: slots in all.
        """
        if len(self._parts) == 1 or len(queries) > 1:
            found = [self._part(part, queries, count, among, total) for part in self._parts]
        else:
            pool = _pool(os.getpid())
            other = pool.submit(self._part, self._parts[1], queries, count, among, total)
            found = [self._part(self._parts[0], queries, count, among, total), other.result()]
        score = np.concatenate([score for score, _ in found], axis=1)
        slots = np.concatenate([slots for _, slots in found], axis=1)
        return [_best(score[i], slots[i], count) for i in range(len(queries))]

    def _part(
        self, part: Any, queries: FloatArray, count: int, among: Subset | None, total: int
    ) -> tuple[FloatArray, Slots]:
        import faiss

        make: Any = faiss.SearchParametersIVF
        options: dict[str, Any] = {"nprobe": self._probes(part, among, total)}
        if among is not None:
            options["sel"] = faiss.IDSelectorBitmap(len(among.bits), faiss.swig_ptr(among.bits))
        with threads(1 if len(queries) == 1 else 2):
            score, slots = part.search(
                np.ascontiguousarray(queries, np.float32), count, params=make(**options)
            )
        return score, slots

    def _probes(self, part: Any, among: Subset | None, total: int) -> int:
        """Few rows that may come are spread over more lists than the nearest ones of all."""
        lists = int(part.nlist)
        if lists == 1:
            return 1
        share = 1.0 if among is None else max(among.size / max(total, 1), 1e-6)
        return int(min(lists, self.settings.probes * max(1.0, (0.5 / share) ** 0.5)))

    # Keeping

    def about(self) -> dict[str, Any]:
        """What is to be kept beside its files."""
        return {"trained": self.trained, "loss": self.loss, "new_loss": self.new_loss}

    def write(self, folder: Path) -> None:
        """Writes its files into ``folder``."""
        import faiss

        for i, part in enumerate(self._parts):
            faiss.write_index(part, str(folder / f"codes-{i}.{_EXTENSION}"))

    @classmethod
    def read(cls, folder: Path, about: dict[str, Any], settings: Settings) -> Codes:
        """What `write` wrote, with what `about` said.

        Raises:
            RuntimeError: FAISS can't read it.
        """
        import faiss

        paths = sorted(folder.glob(f"codes-*.{_EXTENSION}"))
        parts = [faiss.read_index(str(path)) for path in paths]
        codes = cls(parts, int(about["trained"]), float(about["loss"]), settings)
        codes.new_loss = float(about["new_loss"])
        return codes


def _best(score: FloatArray, slots: Slots, count: int) -> Slots:
    there = slots >= 0
    score, slots = score[there], slots[there]
    if len(slots) <= count:
        return slots
    kept = np.argpartition(-score, count - 1)[:count]
    return np.asarray(slots[kept], np.int64)
