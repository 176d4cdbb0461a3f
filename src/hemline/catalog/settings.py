"""Thresholds that choose the search strategy by size; measured (`benchmarks/README.md`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hemline.errors import UsageError


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a store of vectors is laid out and searched.

    Attributes:
        segment_rows: vectors in one segment file; fixed when a store is created.
        exact_rows: the most images that are searched exactly, without codes.
        subset_rows: the most images meeting a condition that are searched exactly; a share of
            1 / ``subset_part`` of all images is searched exactly, too.
        subset_part: see ``subset_rows``.
        train_rows: vectors to train a codebook on (FAISS uses 4,096 of them for each sub-vector).
        parts_rows: the least images for which the codes are split into two parts, searched in
            parallel.
        lists_rows: the least images for which the codes are in inverted lists.
        lists: number of inverted lists.
        probes: number of lists to scan; more where fewer than half of the images meet a condition.
        huge_rows: the least images for which there are more lists, and finer codes that rank the
            candidates before their vectors are read.
        list_rows: images of an inverted list there; the number of lists is a power of two.
        fine_part: as ``subset_part`` there, where finer codes choose which are read.
        huge_part: the lists over those that are scanned there; more as for ``probes``.
        wider: under a condition that a share s of the images meets, (0.5 / s) to the power of this
            times as many lists are scanned.
        huge_wider: the same there, where more are scanned if these have fewer candidates than
            wanted. Of fifty million 0 and 0.5 give the same recall under conditions that have
            nothing to do with the vectors.
        retrain_growth: the codebook is retrained when the vectors are this many times those at its
            training.
        retrain_loss: and when the quantisation error of new vectors is this many times that of the
            old ones.
        removed_share: the codes are rebuilt when this share of them belongs to removed rows.
        stale_share: the index is saved on close when this share of the rows has changed since the
            last save.
    """

    segment_rows: int = 65_536
    exact_rows: int = 10_000
    subset_rows: int = 4_000
    subset_part: int = 100
    train_rows: int = 16_384
    parts_rows: int = 400_000
    lists_rows: int = 4_000_000
    lists: int = 1024
    probes: int = 256
    huge_rows: int = 20_000_000
    list_rows: int = 20_000
    fine_part: int = 500
    huge_part: int = 32
    wider: float = 0.5
    huge_wider: float = 0.1
    retrain_growth: float = 4.0
    retrain_loss: float = 1.5
    removed_share: float = 0.3
    stale_share: float = 0.02

    def __post_init__(self) -> None:
        positive = ("list_rows", "fine_part", "huge_part")
        for name in (*positive, "segment_rows", "subset_part", "train_rows", "lists", "probes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}")

    def sample(self, count: int) -> int:
        """How many of ``count`` vectors to train on; each inverted list needs forty."""
        lists = 40 * self.lists_for(count) if count >= self.lists_rows else 0
        return min(count, max(self.train_rows, lists))

    def lists_for(self, count: int) -> int:
        """The number of inverted lists of ``count`` vectors."""
        if count < self.lists_rows:
            return 1
        if count < self.huge_rows:
            return self.lists
        return max(self.lists, 1 << round(math.log2(count / self.list_rows)))

    def candidates(self, k: int, count: int, among: int | None = None) -> int:
        """How many candidates of the codes to re-score exactly for ``k`` of ``count`` vectors.

        It grows with ``count``, as more vectors lie within the quantisation error of a result.
        Measured: in 200,000 vectors 400 candidates give recall@20 1.000; in a million 0.981, where
        2,048 give 0.999. For k = 256, 2,048 give 0.994 in a million and 0.935 in ten million.
        Twice as many of huge stores, where `Fine` codes rank them and `reread` are re-scored; there
        eight times those of ``among`` vectors alone, if that is fewer, where only these are asked
        for. A photo far from all of them needs the eight: its nearest are in many lists, and lists
        are scanned until so many are found. Measured in two million, in one category: with eight
        0.996, four 0.974, one 0.88.
        """
        if count < self.huge_rows:
            return self._near(k, count)
        whole = 2 * self._near(k, count)
        return whole if among is None else min(whole, 16 * self._near(k, among))

    def _near(self, k: int, count: int) -> int:
        few = 400 * max(1.0, count / 200_000) ** 0.6
        many = 8 * k * max(1.0, count / 1_000_000) ** 0.6
        return int(max(few, many))

    def reread(self, k: int, count: int) -> int:
        """How many of them to re-score exactly where `Fine` codes have ranked them."""
        return int(max(300, 6 * k) * max(1.0, count / 50_000_000) ** 0.3)
