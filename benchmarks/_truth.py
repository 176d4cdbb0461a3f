"""Exact answers, by a scan of every vector in float32; whole and under each condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from _vectors import CHUNK, Data, Floats, Ints

K = 256
FILTERED = 200  # queries that are also asked under each condition


@dataclass(frozen=True)
class Condition:
    """``column < below`` or ``column = equal``.

    ``price`` has nothing to do with the vectors; ``category`` has all to do with them, and most
    queries are not of that category.
    """

    name: str
    column: str
    below: int | None = None
    equal: int | None = None

    @property
    def text(self) -> str:
        """As `--where` says it."""
        if self.below is not None:
            return f"{self.column} < {self.below}"
        return f"{self.column} = 'c{self.equal}'"

    def mask(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        chosen = values < self.below if self.below is not None else values == self.equal
        return np.asarray(chosen, np.bool_)


CONDITIONS = (
    Condition("50%", "price", below=500),
    Condition("10%", "price", below=100),
    Condition("1%", "price", below=10),
    Condition("0.1%", "price", below=1),
    Condition("category", "category", equal=3),
)


class Best:
    """The best K of what came so far: similarity (Q, K) falling and row (Q, K), -1 where none."""

    def __init__(self, count: int) -> None:
        self.similarity = np.full((count, K), -np.inf, np.float32)
        self.rows = np.full((count, K), -1, np.int64)

    def see(self, queries: Floats, vectors: Floats, rows: Ints) -> None:
        if not len(vectors):
            return
        similarity, where = faiss.knn(
            queries, vectors, min(K, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT
        )
        both = np.concatenate([self.similarity, similarity], axis=1)
        ids = np.concatenate([self.rows, rows[where]], axis=1)
        order = np.lexsort((ids, -both), axis=1)[:, :K]
        self.similarity = np.take_along_axis(both, order, 1)
        self.rows = np.take_along_axis(ids, order, 1)


def blocks(data: Data) -> Iterator[tuple[Ints, Floats]]:
    """Row numbers (n,) and their unit vectors (n, D)."""
    total = data.shape[0]
    for start in range(0, total, CHUNK):
        stop = min(total, start + CHUNK)
        yield np.arange(start, stop), data.block(start, stop)


def answers(data: Data) -> dict[str, Ints]:
    """Name of a condition (empty: none) → rows (Q, K), -1 where fewer match. Kept in the folder."""
    path = data.folder / "truth.npz"
    if not path.is_file():
        queries = data.queries
        found = {"": Best(len(queries))} | {c.name: Best(FILTERED) for c in CONDITIONS}
        for rows, vectors in blocks(data):
            found[""].see(queries, vectors, rows)
            for condition in CONDITIONS:
                mask = condition.mask(data.array(condition.column)[rows])
                found[condition.name].see(queries[-FILTERED:], vectors[mask], rows[mask])
        spread = found[""].similarity[:, [0, 19, 255]]
        kept: Any = {name or "all": best.rows for name, best in found.items()}
        np.savez(path, similarity=spread, **kept)
    held = np.load(path)
    return {"" if name == "all" else name: held[name] for name in held if name != "similarity"}


def recall(found: Sequence[Ints], exact: Ints, k: int) -> float:
    """Mean share of the exact first ``k`` (fewer if fewer match) among the first ``k`` found."""
    shares = []
    for rows, right in zip(found, exact, strict=True):
        wanted = right[:k][right[:k] >= 0]
        if len(wanted):
            shares.append(np.isin(wanted, np.asarray(rows)[:k]).mean())
    return float(np.mean(shares)) if shares else 1.0
