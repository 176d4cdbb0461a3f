"""Thresholds that choose the search strategy by size; measured (`benchmarks/README.md`)."""

from __future__ import annotations

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
    retrain_growth: float = 4.0
    retrain_loss: float = 1.5
    removed_share: float = 0.3
    stale_share: float = 0.02

    def __post_init__(self) -> None:
        for name in ("segment_rows", "subset_part", "train_rows", "lists", "probes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}")

    def sample(self, count: int) -> int:
        """How many of ``count`` vectors to train on; each inverted list needs forty."""
        lists = 40 * self.lists if count >= self.lists_rows else 0
        return min(count, max(self.train_rows, lists))

    def candidates(self, k: int, count: int) -> int:
        """How many candidates of the codes to re-score exactly for ``k`` of ``count`` vectors.

        It grows with ``count``, as more vectors lie within the quantisation error of a result.
        Measured: in 200,000 vectors 400 candidates give recall@20 1.000; in a million 0.981, where
        2,048 give 0.999. For k = 256, 2,048 give 0.994 in a million and 0.935 in ten million.
        """
        few = 400 * max(1.0, count / 200_000) ** 0.6
        many = 8 * k * max(1.0, count / 1_000_000) ** 0.6
        return int(max(few, many))
