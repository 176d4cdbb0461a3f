"""Arithmetic that all stores share: rounding, similarity and ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.store import Ids, Neighbours, Row
from hemline.errors import CatalogError
from hemline.types import FloatArray


def halves(rows: Sequence[Row], dim: int) -> tuple[npt.NDArray[np.float16], FloatArray]:
    """The vectors (n, D) float16 and norms (n,) float32 of rows, as stores keep them.

    Raises:
        CatalogError: a vector's length isn't ``dim``, or a value isn't finite.
    """
    for row in rows:
        if row.embedding.shape != (dim,):
            raise CatalogError(f"a vector of {row.embedding.shape}, not ({dim},)")
    with np.errstate(over="ignore"):
        half = np.array([row.embedding for row in rows], np.float32).astype(np.float16)
        norm = np.array([row.norm for row in rows], np.float64).astype(np.float32)
    half = half.reshape(len(rows), dim)  # also for no rows
    good = np.isfinite(half).all(axis=1) & np.isfinite(norm)
    if not good.all():
        row = rows[int(np.argmin(good))]
        raise CatalogError(
            f"the vector of {row.image_id!r} isn't finite as float16, or its norm as float32"
        )
    return half, norm


def rounded(row: Row, dim: int) -> Row:
    """A row with the vector and norm of `halves`. Raises as it does."""
    half, norm = halves([row], dim)
    return replace(row, embedding=half[0].astype(np.float32), norm=float(norm[0]))


def similarities(query: FloatArray, embedding: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Dot products (n,) float32 of ``query`` (D,) with ``embedding`` (n, D), of any precision.

    The sums are float64, so that the order of summation, which differs between machines and block
    sizes, doesn't change the float32 result.
    """
    exact = embedding.astype(np.float64) @ query.astype(np.float64)
    return np.asarray(exact, np.float32)


def ranked(ids: Ids, similarity: FloatArray) -> Neighbours:
    """Sorts by descending similarity, then by id."""
    order = np.lexsort((ids, -similarity))
    return Neighbours(ids[order], similarity[order])
