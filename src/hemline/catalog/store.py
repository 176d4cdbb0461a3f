"""What every store of a catalogue does: rows in and out, durably, and the nearest vectors.

A store numbers its rows with ids that are never used again: a row that gets another vector gets
another id, so an id always means one vector, and an index beside the truth only has to add and
remove. A row whose columns alone change keeps its id.

Vectors are kept as float16. `rounded` is what every store makes of an embedding before anything is
compared, and `similarities` is the one way in which the similarity that is answered is worked out,
so that all stores give equal answers, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hemline.catalog.where.expression import Where
from hemline.types import FloatArray

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of the catalogue.

    Attributes:
        image_id: unique in the catalogue.
        item_id: the product.
        embedding: (D,) float32, L2-normalised; what a store gives back is rounded to float16.
        norm: its length before normalisation (kept as float32); embedding × norm is the context of
            re-ranking.
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


class Key(NamedTuple):
    """What tells whether a row is there and up to date, without its vector and columns."""

    image_id: str
    item_id: str
    source: str
    picture: str


class Neighbours(NamedTuple):
    """ids (n,) of rows and their similarity (n,) = dot product with the query, falling."""

    ids: Ids
    similarity: FloatArray


class Counts(NamedTuple):
    pictures: int
    items: int


class ItemPage(NamedTuple):
    """Some products by id, rising; ``more`` follow them. ``counts`` is of all that are meant."""

    item_ids: tuple[str, ...]
    counts: Counts
    more: bool


class Vectors(NamedTuple):
    """embedding (n, D) float32 and norm (n,) float32 of rows."""

    embedding: FloatArray
    norm: FloatArray


class Bin(NamedTuple):
    """How many products have a number from ``low`` to below ``high`` (the last bin: to it)."""

    low: float
    high: float
    items: int


@dataclass(frozen=True, slots=True)
class Facet:
    """What values a column has, counted in products: one counts once for each of its values.

    Attributes:
        items: products that have a value.
        values: (value, products), most products first, then by value; cut off at the limit.
        more: how many further values there are.
        low: of a column of numbers, or None.
        high: of a column of numbers, or None.
        bins: of a column of numbers: ten or fewer, with about as many products in each.
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
        moved: pictures whose vector was moved.
        segments: segment files that are gone.
        bytes_freed: of the store's files, on the disk.
    """

    moved: int = 0
    segments: int = 0
    bytes_freed: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `Store.verify` found.

    Attributes:
        part: ``database``, ``segment``, ``index`` or ``columns``.
        path: the file, relative to the catalogue's folder.
        found: what is wrong, one line.
        repaired: it was put right.
    """

    part: str
    path: str
    found: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `Store.verify` found.

    Attributes:
        pictures: how many vectors were checked.
        problems: what is wrong.
        lost: image_ids of rows whose vector is lost; adding them again with a vector heals them.
    """

    pictures: int
    problems: tuple[Problem, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong (any more)."""
        return not self.lost and all(problem.repaired for problem in self.problems)


Advance = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Tells nobody how far it is."""


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

    def add(self, rows: Sequence[Row], gone: Collection[str] = ()) -> None:
        """Stores all of them, durably when it returns; a row of a known image_id replaces it.

        In the same commit the rows of the image_ids ``gone`` are removed, those that are there.

        A row whose vector and norm (as they are kept) are those stored keeps its id: only its
        columns are written, so a changed price costs no vector. Of several rows with one image_id
        the last counts.

        Raises:
            CatalogError: no room, another writer, or a vector of another length or that isn't
                finite; nothing is stored.
        """
        ...

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        """Removes products; item_id → how many pictures it had, of those that were there."""
        ...

    def get(self, image_ids: Collection[str], vectors: bool = True) -> dict[str, Row]:
        """The rows of those of ``image_ids`` that are there.

        Without ``vectors`` their embedding is empty and their norm 0; this works for a row whose
        vector is lost, too.
        """
        ...

    def take(self, ids: Ids, vectors: bool = True) -> list[Row | None]:
        """The rows of ``ids`` (n,) in their order; None for one that was removed meanwhile.

        ``vectors`` as in `get`.
        """
        ...

    def rows(self) -> Iterator[Row]:
        """Every row, in the order they were stored."""
        ...

    def row_keys(self) -> Iterator[Key]:
        """The key of every row, in the order they were stored; reads no vector and no column."""
        ...

    def items(self, item_ids: Collection[str], vectors: bool = True) -> list[Row]:
        """Every row of these products; ``vectors`` as in `get`."""
        ...

    def item_page(self, limit: int, after: str = "", where: Where | None = None) -> ItemPage:
        """At most ``limit`` products whose ids come behind ``after``, in the order of the ids.

        They have a picture that meets ``where``. Fast in a large store, too.
        """
        ...

    def counts(self) -> Counts: ...

    def columns(self) -> tuple[str, ...]:
        """Names of the further columns that rows have, sorted."""
        ...

    def tag_names(self) -> tuple[str, ...]:
        """The names of the tags that rows have (``color`` of ``color=red``), sorted."""
        ...

    def pictures(self) -> frozenset[str]:
        """Digests of the picture copies that rows refer to."""
        ...

    @property
    def revision(self) -> int:
        """How many commits were made to what is stored, by any process."""
        ...

    def search(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        """The ``k`` rows (fewer if there are not so many) nearest to ``query`` (D,).

        Exact in small stores and for conditions that few rows meet; in large ones the share of the
        exact answer that is found is at least 0.99 on average. The similarities are always exact.
        Equal similarities come in the order of their ids.

        Raises:
            CatalogError: the store is damaged.
        """
        ...

    def search_many(
        self, queries: FloatArray, k: int, where: Where | None = None
    ) -> list[Neighbours]:
        """`search` for each of ``queries`` (Q, D), in less time than one by one."""
        ...

    def search_exact(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        """`search` by looking at every vector: the oracle for checks and benchmarks."""
        ...

    def vectors(self, ids: Ids) -> Vectors:
        """The vectors of ``ids`` (n,), in their order; norm NaN for one that is gone.

        Cheap: what is removed meanwhile may still be given, as its id means the same vector.
        """
        ...

    def item_codes(self, ids: Ids) -> Ids:
        """A number for the product of each of ``ids`` (n,): equal within one call exactly where
        the product is; -1 for a row that was removed. Cheap, as it asks the memory only.
        """
        ...

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
        ...

    def save(self) -> None:
        """Brings what is derived (index, columns) to the disk, so that the next open is fast.

        Not needed for anything to be kept. A store does so by itself when it is closed and much
        has changed. Does nothing where another process writes or the folder can't be written to.
        """
        ...

    def compact(self, advance: Advance = silent) -> CompactReport:
        """Gives the room of removed rows back, while others search; rows that move get new ids.

        Raises:
            CatalogError: no room, another writer, or a damaged store.
        """
        ...

    def verify(self, repair: bool = False, advance: Advance = silent) -> CheckReport:
        """Checks every vector's checksum and that all parts agree.

        Args:
            repair: puts right what can be derived from what is whole (takes the right to write).
            advance: told (pictures checked, pictures).

        Raises:
            CatalogError: to be repaired while another process writes.
        """
        ...

    def backup(self, folder: Path, advance: Advance = silent) -> None:
        """A copy of one moment's state in ``folder``, which is empty; others may write meanwhile.

        The caller sees to it that the folder appears whole or not at all. ``advance`` is told
        (bytes copied, bytes).

        Raises:
            CatalogError: no room, a damaged store, or one that keeps nothing on disk.
        """
        ...

    def stats(self) -> dict[str, Any]:
        """What there is to know of its state, for people: ``revision`` and further ones."""
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


NO_NEIGHBOURS = Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32))
