"""Quantised vectors: FAISS 4-bit product quantisation with fast scan.

Each vector becomes D/2 codes of 4 bits. They are in one inverted list (whose layout supports
filters, which the flat layout doesn't, at the same speed) or, in very large stores, in a thousand
or more, of which the nearest are scanned. In large stores they are split into two parts that two
Python threads search in parallel: FAISS releases the GIL, and its own threads take milliseconds to
wake. Huge stores have `Fine` codes besides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hemline.catalog.index.column import Slots
from hemline.catalog.index.fine import Fine
from hemline.catalog.index.members import Members
from hemline.catalog.index.scan import pool, threads
from hemline.catalog.settings import StoreSettings
from hemline.types import FloatArray

_MEASURED = 2048  # vectors over which the loss of new ones is averaged
_EXTENSION = "faiss"
_WIDER = 4  # times as many lists where those that were scanned have too few candidates


class Codes:
    """Codes of the slots from 0 on. The caller must not search while it adds.

    Attributes:
        trained: the number of vectors at the training of the codebook.
        loss: the mean squared quantisation error at the training.
        new_loss: its moving average over the vectors added since.
        fine: finer codes of the same slots, in a huge store.
    """

    def __init__(
        self,
        parts: list[Any],
        trained: int,
        loss: float,
        settings: StoreSettings,
        fine: Fine | None = None,
    ) -> None:
        self._parts = parts
        self.fine = fine
        self.settings = settings
        self.trained = trained
        self.loss = loss
        self.new_loss = loss

    def __len__(self) -> int:
        return sum(int(part.ntotal) for part in self._parts)

    @classmethod
    def train(
        cls,
        sample: FloatArray,
        count: int,
        settings: StoreSettings,
        slots: int = 0,
        folder: Path | None = None,
    ) -> Codes:
        """Trains a codebook on ``sample`` (n, D), for ``count`` vectors to be added.

        Fine codes of a huge store have room for ``slots``, in a file in ``folder``.
        """
        import faiss

        dim = sample.shape[1]
        lists = settings.lists_for(count)
        kind = faiss.METRIC_INNER_PRODUCT
        coarse: Any = faiss.IndexFlatIP(dim)
        codes = dim // 2 if dim % 2 == 0 else dim
        part = faiss.IndexIVFPQFastScan(coarse, dim, lists, codes, 4, kind)
        coarse.this.disown()  # the index owns and deletes it
        part.own_fields = True
        part.by_residual = False  # one codebook, so that distances compare across lists and parts
        part.cp.niter = 10
        for means in (part.cp, part.pq.cp):
            means.min_points_per_centroid = 1  # FAISS warns of small stores otherwise
        with threads(1):
            part.train(np.ascontiguousarray(sample, np.float32))
        parts: list[Any] = [part]
        if count >= settings.parts_rows:
            parts.append(faiss.clone_index(part))
        fine = None
        if count >= settings.huge_rows and folder is not None:
            some = sample[:: max(1, len(sample) // settings.train_rows)]
            fine = Fine.train(some, slots, folder)
        return cls(parts, count, 0.0, settings, fine)

    def measure_loss(self, vectors: FloatArray) -> None:
        """Sets the quantisation error, measured on vectors (n, D) that represent all."""
        self.loss = self.new_loss = self._coding_loss(vectors)

    def _coding_loss(self, vectors: FloatArray) -> float:
        quantizer = self._parts[0].pq
        vectors = np.ascontiguousarray(vectors, np.float32)
        with threads(1):
            again = quantizer.decode(quantizer.compute_codes(vectors))
        return float(np.square(vectors - again).sum(1).mean())

    def add(self, slots: Slots, vectors: FloatArray) -> None:
        """Adds vectors (n, D) float32 at slots (n,)."""
        if not len(slots):
            return
        share = min(1.0, len(slots) / _MEASURED)
        lost = self._coding_loss(vectors[:: max(1, len(vectors) // 256)])
        self.new_loss += share * (lost - self.new_loss)
        with threads(1):
            for i, part in enumerate(self._parts):
                own = slots % len(self._parts) == i
                part.add_with_ids(np.ascontiguousarray(vectors[own]), slots[own])
        if self.fine is not None:
            self.fine.add(slots, vectors)

    @property
    def drifted(self) -> bool:
        """Whether new vectors are quantised much worse than those of the training."""
        return self.new_loss > self.settings.retrain_loss * max(self.loss, 1e-9)

    def fits(self, count: int) -> bool:
        """Whether ``count`` vectors would get this layout."""
        if count >= self.settings.huge_rows:
            return self.fine is not None
        lists = self.settings.lists if count >= self.settings.lists_rows else 1
        return int(self._parts[0].nlist) >= lists

    # Searching

    def candidates(
        self, queries: FloatArray, count: int, among: Members | None, total: int, wider: int = 1
    ) -> list[Slots]:
        """For each of ``queries`` (Q, D) float32 at most ``count`` slots with the nearest codes.

        Args:
            queries: (Q, D) float32.
            count: the most slots for a query.
            among: the slots that may be returned; None for all.
            total: the number of all slots.
            wider: so many times as many lists are scanned.
        """
        probes = self._probes(among, total, wider)
        if len(self._parts) == 1 or len(queries) > 1:
            found = [self._part(part, queries, count, among, probes) for part in self._parts]
        else:
            other = pool().submit(self._part, self._parts[1], queries, count, among, probes)
            found = [self._part(self._parts[0], queries, count, among, probes), other.result()]
        score = np.concatenate([score for score, _ in found], axis=1)
        slots = np.concatenate([slots for _, slots in found], axis=1)
        best = [_best(score[i], slots[i], count) for i in range(len(queries))]
        if self.fine is None or among is None or probes == int(self._parts[0].nlist):
            return best
        # Few of those that meet the condition are near such a query.
        wanted = min(count, among.size)
        return [
            one
            if len(one) >= wanted
            else self.candidates(queries[i : i + 1], count, among, total, wider * _WIDER)[0]
            for i, one in enumerate(best)
        ]

    def _part(
        self, part: Any, queries: FloatArray, count: int, among: Members | None, probes: int
    ) -> tuple[FloatArray, Slots]:
        import faiss

        make: Any = faiss.SearchParametersIVF
        options: dict[str, Any] = {"nprobe": probes}
        if among is not None:
            options["sel"] = faiss.IDSelectorBitmap(len(among.bits), faiss.swig_ptr(among.bits))
        with threads(1 if len(queries) == 1 else 2):
            score, slots = part.search(
                np.ascontiguousarray(queries, np.float32), count, params=make(**options)
            )
        return score, slots

    def _probes(self, among: Members | None, total: int, wider: int) -> int:
        """Lists to scan: under a condition more, as the nearest that meet it are spread wider."""
        lists = int(self._parts[0].nlist)
        if lists == 1:
            return 1
        share = 1.0 if among is None else max(among.size / max(total, 1), 1e-6)
        probes, power = self.settings.probes, self.settings.wider
        if self.fine is not None:
            probes, power = max(1, lists // self.settings.huge_part), self.settings.huge_wider
        return int(min(lists, wider * probes * max(1.0, (0.5 / share) ** power)))

    # Saving

    def metadata(self) -> dict[str, Any]:
        """What `read` needs besides the files."""
        return {"trained": self.trained, "loss": self.loss, "new_loss": self.new_loss}

    def write(self, folder: Path) -> None:
        """Writes its files into ``folder``."""
        import faiss

        for i, part in enumerate(self._parts):
            faiss.write_index(part, str(folder / f"codes-{i}.{_EXTENSION}"))
        if self.fine is not None:
            self.fine.write(folder)

    @classmethod
    def read(cls, folder: Path, metadata: dict[str, Any], settings: StoreSettings) -> Codes:
        """Reads what `write` wrote, with the `metadata` of that moment.

        Raises:
            RuntimeError: FAISS can't read it.
        """
        import faiss

        paths = sorted(folder.glob(f"codes-*.{_EXTENSION}"))
        parts = [faiss.read_index(str(path)) for path in paths]
        trained, loss = int(metadata["trained"]), float(metadata["loss"])
        codes = cls(parts, trained, loss, settings, Fine.read(folder))
        codes.new_loss = float(metadata["new_loss"])
        return codes


def _best(score: FloatArray, slots: Slots, count: int) -> Slots:
    there = slots >= 0
    score, slots = score[there], slots[there]
    if len(slots) <= count:
        return slots
    kept = np.argpartition(-score, count - 1)[:count]
    return np.asarray(slots[kept], np.int64)
