"""From which size on which way is taken. The defaults are measured (`benchmarks/README.md`)."""

from __future__ import annotations

from dataclasses import dataclass

from hemline.errors import UsageError


@dataclass(frozen=True, slots=True)
class Settings:
    """How a store of vectors is laid out and searched; the answers don't depend on it.

    Attributes:
        segment_rows: vectors to a segment file; fixed when a store is made.
        exact_rows: up to so many pictures are scanned exactly, without codes.
        subset_rows: up to so many pictures that meet a condition are scanned exactly; also
            1 / ``subset_part`` of all.
        subset_part: see there.
        train_rows: vectors that a codebook is learnt from (FAISS takes 4,096 of them for each part
            of the vector).
        parts_rows: from so many pictures on the codes are in two parts, searched at once.
        lists_rows: from so many pictures on the codes are in inverted lists.
        lists: how many inverted lists.
        probes: how many of them are looked into; more where a condition leaves less than half.
        grown: trained anew when there are so many times more vectors than at the training.
        drifted: trained anew when new vectors lose so many times more by coding than old ones.
        dead: built anew when such a share of the codes is of removed rows.
        stale: saved at closing when such a share of the rows changed since the last saving.
    """

    segment_rows: int = 65_536
    exact_rows: int = 50_000
    subset_rows: int = 4_000
    subset_part: int = 100
    train_rows: int = 16_384
    parts_rows: int = 400_000
    lists_rows: int = 4_000_000
    lists: int = 1024
    probes: int = 256
    grown: float = 4.0
    drifted: float = 1.5
    dead: float = 0.3
    stale: float = 0.02

    def __post_init__(self) -> None:
        for name in ("segment_rows", "subset_part", "train_rows", "lists", "probes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}")

    def sample(self, count: int) -> int:
        """How many of ``count`` vectors to learn from: lists need forty for each."""
        lists = 40 * self.lists if count >= self.lists_rows else 0
        return min(count, max(self.train_rows, lists))

    def candidates(self, k: int, count: int) -> int:
        """How many candidates of the codes are looked at exactly for ``k`` answers among ``count``.

        The more vectors there are, the more of them lie between an answer's code and its vector.
        Measured: among 200,000, 400 candidates give recall@20 1.000; among a million 0.981, and
        2,048 give 0.999. For 256 answers 2,048 give 0.994 among a million, 0.935 among ten.
        """
        few = 400 * max(1.0, count / 200_000) ** 0.6
        many = 8 * k * max(1.0, count / 1_000_000) ** 0.6
        return int(max(few, many))
