"""What every store of a catalogue does: rows in and out, durably, and the nearest vectors.

A store numbers its rows with ids that are never used again: a row that is replaced gets a new id,
so an id always means one vector, and an index beside the truth only has to add and remove.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hemline.search.where import Where
from hemline.types import FloatArray

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of the catalogue.

    Attributes:
        image_id: unique in the catalogue.
        item_id: the product.
        embedding: (D,) float32, L2-normalised.
        norm: its length before normalisation; embedding × norm is the context of re-ranking.
        domain: ``shop``, or ``street`` where the gallery holds such pictures.
        category: or empty.
        tags: ``name=value`` strings.
        columns: further columns (price, title, url …), plain JSON values.
        source: digest of the picture as it came in, and of the crop; equal means "already there".
        picture: digest of the stored copy, or empty where none is kept.
    """

    image_id: str
    item_id: str
    embedding: FloatArray
    norm: float
    domain: str = "shop"
    category: str = ""
    tags: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    picture: str = ""

    def shown(self) -> dict[str, Any]:
        """The stored columns of a hit: category, tags and the further ones."""
        return {"category": self.category, "tags": list(self.tags), **self.columns}

    def values(self) -> dict[str, Any]:
        """What a `Where` is asked about."""
        return {**self.shown(), "image_id": self.image_id, "item_id": self.item_id}


class Neighbours(NamedTuple):
    """ids (n,) of rows and their similarity (n,) = dot product with the query, falling."""

    ids: Ids
    similarity: FloatArray


class Counts(NamedTuple):
    pictures: int
    items: int


class Store(Protocol):
    """Rows and their vectors. Every method may be called from several threads."""

    @property
    def fingerprint(self) -> str:
        """Of the bundle that made the vectors."""
        ...

    @property
    def dim(self) -> int:
        """D."""
        ...

    def writing(self) -> AbstractContextManager[bool]:
        """Holds the right to write; `add` and `remove` take it by themselves for one call.

        Gives True if the last writer died or failed while it held it.

        Raises:
            CatalogError: another process or thread writes.
        """
        ...

    def add(self, rows: Sequence[Row]) -> None:
        """Stores all of them, durably when it returns; a row of a known image_id replaces it.

        Raises:
            CatalogError: no room, another writer, or a vector of another length; nothing is stored.
        """
        ...

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        """Removes products; item_id → how many pictures it had, of those that were there."""
        ...

    def get(self, image_ids: Collection[str]) -> dict[str, Row]:
        """The rows of those of ``image_ids`` that are there."""
        ...

    def take(self, ids: Ids) -> list[Row | None]:
        """The rows of ``ids`` (n,) in their order; None for one that was removed meanwhile."""
        ...

    def rows(self) -> Iterator[Row]:
        """Every row, in the order they were stored."""
        ...

    def items(self, item_ids: Collection[str]) -> list[Row]:
        """Every row of these products."""
        ...

    def counts(self) -> Counts: ...

    def columns(self) -> tuple[str, ...]:
        """Names of the further columns that rows have, sorted."""
        ...

    def pictures(self) -> frozenset[str]:
        """Digests of the picture copies that rows refer to."""
        ...

    def search(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        """The ``k`` rows (fewer if there are not so many) nearest to ``query`` (D,).

        Equal similarities come in the order of their ids.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """How a store is made and found.

    Attributes:
        summary: one line.
        file: the file of a catalogue's folder that says it is this store's; empty if it keeps
            nothing on disk.
        create: (folder, fingerprint, dim) → an empty store.
        open: (folder) → the store that is there.
    """

    summary: str
    file: str
    create: Callable[[Path, str, int], Store]
    open: Callable[[Path], Store]


def ranked(ids: Ids, similarity: FloatArray) -> Neighbours:
    """Sorted by falling similarity, then by id."""
    order = np.lexsort((ids, -similarity))
    return Neighbours(ids[order], similarity[order])
