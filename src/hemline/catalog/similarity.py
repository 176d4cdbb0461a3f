"""Arithmetic that all stores share: rounding, similarity and ranking."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.store import Ids, Neighbours, Row
from hemline.errors import CatalogError
from hemline.types import FloatArray


def rounded(row: Row, dim: int) -> Row:
    """A row with its embedding rounded to float16 and its norm to float32, as stores keep it.

    Raises:
        CatalogError: the vector's length isn't ``dim``, or a value isn't finite.
    """
    if row.embedding.shape != (dim,):
        raise CatalogError(f"a vector of {row.embedding.shape}, not ({dim},)")
    with np.errstate(over="ignore"):
        half = row.embedding.astype(np.float16)
        norm = np.float32(row.norm)
    if not (np.isfinite(half).all() and np.isfinite(norm)):
        raise CatalogError(
            f"the vector of {row.image_id!r} isn't finite as float16, or its norm as float32"
        )
    return replace(row, embedding=half.astype(np.float32), norm=float(norm))


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
