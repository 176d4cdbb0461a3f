"""The protocol of stores, which keep a catalogue's rows durably and find the nearest vectors.

A store gives its rows ids that are never reused. A row with a new vector gets a new id, so an id
always means one vector, and an index only has to add and remove. A row of which only columns change
keeps its id.

Vectors are kept as float16. Every store rounds embeddings with `rounded` and computes the returned
similarities with `similarities`, so that all stores return the same numbers, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hemline.catalog.milvus.address import Address
from hemline.catalog.where.expression import Where
from hemline.types import FloatArray

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """One image of the catalogue.

    Attributes:
        image_id: unique in the catalogue.
        item_id: of its item.
        embedding: (D,) float32, L2-normalised; rounded to float16 by the store.
        norm: the length before normalisation (kept as float32); embedding × norm is the context of
            re-ranking.
        domain: ``shop``, or ``street`` for street photos in a gallery.
        category: or empty.
        tags: ``name=value`` strings.
        columns: further columns (price, title, url …), JSON values.
        source: digest of the original file and of the crop; it tells whether the image changed.
        image_digest: digest of the stored copy, or empty where there is none.
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
    image_digest: str = ""

    def shown(self) -> dict[str, Any]:
        """The columns of a hit: category, tags and the further ones."""
        return {"category": self.category, "tags": list(self.tags), **self.columns}

    def values(self) -> dict[str, Any]:
        """The columns that a `Where` reads."""
        return {**self.shown(), "image_id": self.image_id, "item_id": self.item_id}


class RowKey(NamedTuple):
    """Enough of a row to tell whether it is up to date, without vector and columns."""

    image_id: str
    item_id: str
    source: str
    image_digest: str


class Neighbours(NamedTuple):
    """ids (n,) of rows by descending similarity (n,), the dot product with the query.

    A store that has read their vectors anyway gives them, too: embedding (n, D) may be float16.
    Without ``verified`` their checksums are still to be compared (`Store.vectors`).
    """

    ids: Ids
    similarity: FloatArray
    vectors: Vectors | None = None
    verified: bool = True


class Counts(NamedTuple):
    """Numbers of images and of items."""

    images: int
    items: int

    def to_json(self) -> dict[str, int]:
        """The counts by their names in JSON."""
        return {"pictures": self.images, "items": self.items}


class ItemPage(NamedTuple):
    """Items in the order of their ids, whether ``more`` follow, and the counts of all pages."""

    item_ids: tuple[str, ...]
    counts: Counts
    more: bool


class Vectors(NamedTuple):
    """embedding (n, D) float32 and norm (n,) float32 of rows."""

    embedding: FloatArray
    norm: FloatArray


class Bin(NamedTuple):
    """The items with a number from ``low`` to below ``high``; the last bin includes ``high``."""

    low: float
    high: float
    items: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of a column, counted in items; an item counts once for each of its values.

    Attributes:
        items: the number of items that have a value.
        values: (value, items), by descending number of items, then by value; up to the limit.
        more: the number of further values.
        low: the least number of a column of numbers, otherwise None.
        high: the greatest.
        bins: for a column of numbers at most ten, with about equally many items.
    """

    items: int
    values: tuple[tuple[Any, int], ...] = ()
    more: int = 0
    low: float | None = None
    high: float | None = None
    bins: tuple[Bin, ...] = ()


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What `Store.compact` did.

    Attributes:
        moved: number of vectors moved.
        segments: number of segment files deleted.
        bytes_freed: bytes of the store's files freed on the disk.
    """

    moved: int = 0
    segments: int = 0
    bytes_freed: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `Store.verify` found.

    Attributes:
        part: ``database``, ``row``, ``segment``, ``index`` or ``columns``.
        path: the file, relative to the catalogue's folder.
        found: what is wrong, in one line.
        repaired: whether it was repaired.
    """

    part: str
    path: str
    found: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `Store.verify` found.

    Attributes:
        images: number of vectors checked.
        problems: what is wrong.
        lost: image_ids of rows whose vector is lost; adding them again repairs them.
        unsummed: number of rows without a checksum, as an earlier version wrote them.
    """

    images: int
    problems: tuple[Problem, ...] = ()
    lost: tuple[str, ...] = ()
    unsummed: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no problem, or none is left."""
        return not self.lost and all(problem.repaired for problem in self.problems)


#: A progress callback, called with (done, total).
Advance = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """A progress callback that does nothing."""


class Store(Protocol):
    """Rows and their vectors. Every method may be called from several threads."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the bundle that made the vectors."""

    @property
    def dim(self) -> int:
        """D, the length of the vectors."""

    def writing(self) -> AbstractContextManager[bool]:
        """Holds the write lock, which `add` and `remove` otherwise acquire for each call.

        Yields True if the last writer died or failed while it held the lock.

        Raises:
            CatalogError: another process or thread holds it.
        """

    def add(self, rows: Sequence[Row], removed: Collection[str] = ()) -> None:
        """Adds rows in one durable commit, in place of stored ones with the same image_id.

        The same commit removes the rows of the image_ids ``removed``, where they exist. A row whose
        rounded vector and norm equal the stored ones keeps its id: only its columns are written. Of
        several rows with one image_id the last counts.

        Raises:
            CatalogError: the disk is full, another process or thread writes, or a vector has the
                wrong length or isn't finite; nothing is stored.
        """

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        """Removes items; returns item_id → number of images, of those that existed."""

    def get(self, image_ids: Collection[str], vectors: bool = True) -> dict[str, Row]:
        """The rows of those ``image_ids`` that exist.

        Without ``vectors`` embeddings are empty and norms 0, also of rows whose vector is lost.

        Raises:
            DamageError: a stored row is damaged; so does every method that gives rows.
        """

    def take(self, ids: Ids, vectors: bool = True) -> list[Row | None]:
        """The rows of ``ids`` (n,) in their order; None for a removed one.

        ``vectors`` as in `get`.
        """

    def rows(self, since: int = 0) -> Iterator[Row]:
        """The rows written after the revision ``since`` (0: all), by id; more of them where a store
        doesn't know when they were written."""

    def row_keys(self) -> Iterator[RowKey]:
        """The keys of all rows, in the order of their ids, without reading vectors and columns."""

    def items(self, item_ids: Collection[str], vectors: bool = True) -> list[Row]:
        """All rows of these items; ``vectors`` as in `get`."""

    def item_page(self, limit: int, after: str = "", where: Where | None = None) -> ItemPage:
        """The first ``limit`` items after the id ``after`` that have an image meeting ``where``."""

    def counts(self) -> Counts:
        """The numbers of images and items."""

    def columns(self) -> tuple[str, ...]:
        """The names of the further columns, sorted; a removed row's may be among them."""

    def tag_names(self) -> tuple[str, ...]:
        """The names of the tags that rows have (``color`` of ``color=red``), sorted."""

    def image_digests(self) -> frozenset[str]:
        """The digests of the stored copies that rows refer to."""

    @property
    def revision(self) -> int:
        """The number of commits, by all processes."""

    def search(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        """The ``k`` rows nearest to ``query`` (D,), or fewer where there are fewer.

        The search is exact in small stores and where few rows meet ``where``; in large ones its
        recall is at least 0.99 on average. The similarities are always exact, and equal ones are in
        the order of the ids.

        Raises:
            CatalogError: the store is damaged.
        """

    def search_many(
        self, queries: FloatArray, k: int, where: Where | None = None, verified: bool = True
    ) -> list[Neighbours]:
        """`search` for each of ``queries`` (Q, D), faster than one by one.

        Without ``verified`` a store may leave the checksums of their vectors to `vectors`.
        """

    def search_exact(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        """`search` over every vector, exact: the reference for tests and benchmarks."""

    def vectors(self, ids: Ids) -> Vectors:
        """The vectors of ``ids`` (n,) in their order, verified; a removed one's norm may be NaN."""

    def item_codes(self, ids: Ids) -> Ids:
        """A number for the item of each of ``ids`` (n,), -1 for a removed row; from memory only.

        Within one call the numbers are equal exactly where the items are.
        """

    def facets(
        self, columns: Sequence[str], where: Where | None = None, limit: int = 50
    ) -> dict[str, Facet]:
        """The values of ``columns``, counted in items.

        Args:
            columns: ``category``, ``item_id`` and further columns; ``tags.NAME`` counts the values
                of one tag, ``tags`` those of each.
            where: counts only images that meet it.
            limit: the most values to list for a column.

        Raises:
            UsageError: a column or tag that the catalogue doesn't have.
        """

    def save(self) -> None:
        """Saves the derived index and columns, so that the next open is fast.

        Closing does so where much has changed. Nothing is done where another process writes or the
        folder can't be written to."""

    def compact(self, advance: Advance = silent) -> CompactReport:
        """Frees the space of removed rows while others search; rows that move get new ids.

        Raises:
            CatalogError: the disk is full, another process or thread writes, or the store is
                damaged.
        """

    def verify(self, repair: bool = False, advance: Advance = silent) -> CheckReport:
        """Verifies the checksums of every row and vector and that all parts agree.

        Args:
            repair: repairs what can be derived from intact parts, accepts the loss of commits that
                are missing, and gives older rows their checksums; acquires the write lock.
            advance: called with (vectors checked, vectors).

        Raises:
            CatalogError: ``repair`` while another process or thread writes.
        """

    def backup(self, folder: Path, advance: Advance = silent, damaged: bool = False) -> None:
        """Copies a consistent state to the empty ``folder`` while others may write.

        The caller syncs and publishes the folder. ``advance`` is called with (bytes copied, bytes).
        ``damaged`` copies a damaged store as it is.

        Raises:
            CatalogError: the disk is full, or the store is damaged or in memory.
        """

    def stats(self) -> dict[str, Any]:
        """Figures for people: ``revision`` and others."""

    def close(self) -> None:
        """Closes it; a second call does nothing."""


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """How a kind of store is created and recognised.

    Attributes:
        summary: one line.
        file: the file in a catalogue's folder by which it is recognised; empty for one in memory.
        create: (folder, fingerprint, dim) → a new, empty store.
        open: (folder) → the stored one.
        inspect: `open` for a store that misses acknowledged commits; None: it has no such state.
        address: (folder) → where the store is, for one that isn't in the folder.
        publish: (folder) → None, called before a rebuilt part becomes live.
        discard: (folder) → None, called before a part's folder is deleted: drops what the store
            keeps elsewhere.
    """

    summary: str
    file: str
    create: Callable[[Path, str, int], Store]
    open: Callable[[Path], Store]
    inspect: Callable[[Path], Store] | None = None
    address: Callable[[Path], Address] | None = None
    publish: Callable[[Path], None] | None = None
    discard: Callable[[Path], None] | None = None


NO_NEIGHBOURS = Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32))
