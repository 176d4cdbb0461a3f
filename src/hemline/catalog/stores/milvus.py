"""The store on Milvus: rows and vectors in a collection, columns also in each process's memory.

For catalogues that one machine's disk or processor is too small for, and for several service
processes before one catalogue. The folder keeps the address (``catalog.milvus``), the write lock,
the bundle and the copies of images. `hemline.catalog.milvus` has the parts; docs/milvus.md says
what it does, what it costs and what it refuses.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from hemline.catalog.facets import facet_columns
from hemline.catalog.milvus.address import parse
from hemline.catalog.milvus.client import Client
from hemline.catalog.milvus.reader import Reader
from hemline.catalog.milvus.rows import BARE, VECTOR, WHOLE, damage, intact, to_row, vector
from hemline.catalog.milvus.search import Searcher
from hemline.catalog.milvus.writer import Writer, begin
from hemline.catalog.store import (
    Advance,
    CheckReport,
    CompactReport,
    Counts,
    Facet,
    Ids,
    ItemPage,
    Neighbours,
    Problem,
    Row,
    RowKey,
    StoreSpec,
    Vectors,
    silent,
)
from hemline.catalog.stores._facet_columns import count_columns
from hemline.catalog.where.expression import Where
from hemline.documents import read_document, write_document
from hemline.errors import CatalogError, DamageError
from hemline.types import FloatArray

FILE = "catalog.milvus"
FORMAT_VERSION = 1
_LITE = "milvus-lite:catalog.db"  # where no address is given
_READ = 1000  # rows read at a time
_TRIES = 5


class MilvusStore:
    """A collection and its log on Milvus, and what is in memory of them."""

    def __init__(self, folder: Path) -> None:
        self._settings = _settings(folder)
        self.fingerprint: str = self._settings["fingerprint"]
        self.dim: int = self._settings["dim"]
        self._client = _client(folder, self._settings)
        try:
            self._reader = Reader(self._client, self.dim)
        except BaseException:
            self._client.close()
            raise
        self._writer = Writer(self._client, self._reader, folder, self.dim)
        self._searcher = Searcher(self._client, self._reader, self.vectors)

    @classmethod
    def create(cls, folder: Path, fingerprint: str, dim: int) -> MilvusStore:
        """Creates the collection that ``catalog.milvus`` of the folder, or of the one above, names.

        Raises:
            CatalogError: the name is in use, or Milvus doesn't answer.
        """
        first, text = _address(folder)
        address = parse(text, folder)
        collection = f"{address.name}_{uuid.uuid4().hex[:12]}"
        settings = {
            "format_version": FORMAT_VERSION,
            "address": text,
            "collection": collection,
            "fingerprint": fingerprint,
            "dim": dim,
        }
        client = _client(folder, settings)
        try:
            if first and client.is_taken:
                raise CatalogError(
                    f"{address.shown} has a catalogue {address.name} already; choose another name, "
                    "or copy that catalogue's folder to use it from here"
                )
            client.create(dim, f"hemline catalogue {address.name}, bundle {fingerprint[:12]}")
            begin(client)
            write_document(folder / FILE, settings)
            if first:
                client.make_alias()
        finally:
            client.close()
        return cls(folder)

    # Writing

    def writing(self) -> AbstractContextManager[bool]:
        return self._writer.holding()

    def add(self, rows: Sequence[Row], removed: Collection[str] = ()) -> None:
        self._writer.add(rows, removed)

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        return self._writer.remove(item_ids)

    # Reading

    def _rows(
        self, choose: Callable[[], tuple[Ids, Ids]], vectors: bool
    ) -> list[tuple[int, Row | None]]:
        """(vector id, row) of the slots that ``choose`` gives with the ids of their entities.

        None for a row that was removed while this read.
        """
        for attempt in range(_TRIES):
            if attempt:  # rows were replaced meanwhile
                self._reader.sync(strong=True)
            ids, entities = choose()
            found = self._client.fetch(entities.tolist(), WHOLE if vectors else BARE)
            if len(found) == len(entities):
                break
        place = self._client.place
        rows = [
            to_row(found[id_], place, vectors) if id_ in found else None
            for id_ in entities.tolist()
        ]
        return list(zip(ids.tolist(), rows, strict=True))

    def get(self, image_ids: Collection[str], vectors: bool = True) -> dict[str, Row]:
        def choose() -> tuple[Ids, Ids]:
            with self._reader.mirror() as mirror:
                slots = mirror.of_images(image_ids)
                return mirror.index.ids.data[slots], mirror.entities(slots)

        asked = set(image_ids)
        found = [row for _, row in self._rows(choose, vectors)]
        return {row.image_id: row for row in found if row is not None and row.image_id in asked}

    def take(self, ids: Ids, vectors: bool = True) -> list[Row | None]:
        asked = np.asarray(ids, np.int64)

        def choose() -> tuple[Ids, Ids]:
            with self._reader.mirror() as mirror:
                slots = mirror.slots_of(asked)
                there = slots >= 0
                return asked[there], mirror.entities(slots[there])

        rows = dict(self._rows(choose, vectors))
        return [rows.get(id_) for id_ in asked.tolist()]

    def items(self, item_ids: Collection[str], vectors: bool = True) -> list[Row]:
        def choose() -> tuple[Ids, Ids]:
            with self._reader.mirror() as mirror:
                slots = mirror.of_items(item_ids)
                return mirror.index.ids.data[slots], mirror.entities(slots)

        return [row for _, row in self._rows(choose, vectors) if row is not None]

    def rows(self, since: int = 0) -> Iterator[Row]:
        return self._walk(since, vectors=True)

    def _walk(self, since: int, vectors: bool) -> Iterator[Row]:
        """The rows written after a revision; those removed while this reads are left out."""
        if since:
            self._reader.sync()
        with self._reader.mirror() as mirror:
            ids = mirror.index.ids.data[mirror.since(since)].copy()
        for start in range(0, len(ids), _READ):
            found = self.take(ids[start : start + _READ], vectors)
            yield from (row for row in found if row is not None)

    def row_keys(self) -> Iterator[RowKey]:
        rows = self._walk(0, vectors=False)
        return (RowKey(r.image_id, r.item_id, r.source, r.image_digest) for r in rows)

    def image_digests(self) -> frozenset[str]:
        return frozenset(r.image_digest for r in self._walk(0, vectors=False) if r.image_digest)

    def item_page(self, limit: int, after: str = "", where: Where | None = None) -> ItemPage:
        with self._reader.mirror() as mirror:
            return mirror.item_page(limit, after, where)

    def counts(self) -> Counts:
        with self._reader.mirror() as mirror:
            return mirror.counts()

    def columns(self) -> tuple[str, ...]:
        with self._reader.mirror() as mirror:
            return mirror.columns

    def tag_names(self) -> tuple[str, ...]:
        with self._reader.mirror(flushed=True) as mirror:
            return mirror.index.tag_names()

    @property
    def revision(self) -> int:
        """The number of commits, of other processes up to a second ago."""
        with self._reader.mirror() as mirror:
            return mirror.commits

    def vectors(self, ids: Ids) -> Vectors:
        asked = np.asarray(ids, np.int64)
        embedding = np.zeros((len(asked), self.dim), np.float32)
        norm = np.full(len(asked), np.nan, np.float32)
        with self._reader.mirror() as mirror:
            slots = mirror.slots_of(asked)
            there = np.flatnonzero(slots >= 0)
            entities = mirror.entities(slots[there]).tolist()
        found = self._client.fetch(entities, VECTOR)
        for place, id_ in zip(there.tolist(), entities, strict=True):
            if id_ in found:
                embedding[place], norm[place] = vector(found[id_])
        return Vectors(embedding, norm)

    # Searching

    def search(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        return self.search_many(np.asarray(query).reshape(1, -1), k, where)[0]

    def search_many(
        self, queries: FloatArray, k: int, where: Where | None = None, verified: bool = True
    ) -> list[Neighbours]:
        return self._searcher.search_many(queries, k, where)

    def search_exact(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        return self._searcher.search_many(np.asarray(query).reshape(1, -1), k, where, exact=True)[0]

    def item_codes(self, ids: Ids) -> Ids:
        with self._reader.mirror() as mirror:
            slots = mirror.slots_of(ids)
            if not len(mirror.index):
                return slots
            return np.where(slots >= 0, mirror.index.items.data[slots], -1)

    def facets(
        self, columns: Sequence[str], where: Where | None = None, limit: int = 50
    ) -> dict[str, Facet]:
        with self._reader.mirror(flushed=True) as mirror:
            index = mirror.index
            assert index.columns is not None
            names = facet_columns(columns, mirror.columns, index.tag_names())
            slots = np.flatnonzero(mirror.mask(where))
            return count_columns(index.columns, slots, index.items.data[slots], names, limit)

    # Maintenance

    def save(self) -> None:
        pass

    def compact(self, advance: Advance = silent) -> CompactReport:
        self._writer.checkpoint()
        self._client.call("compact", self._client.collection)
        return CompactReport()

    def verify(self, repair: bool = False, advance: Advance = silent) -> CheckReport:
        self._reader.sync(strong=True)
        problems: list[Problem] = []
        lost: list[str] = []
        with self._reader.mirror() as mirror:
            entities = mirror.entities(np.flatnonzero(mirror.mask(None)))
            seen = mirror.revision
        for start in range(0, len(entities), _READ):
            some = entities[start : start + _READ].tolist()
            found = self._client.fetch(some, [*WHOLE, "vector_checksum"], strong=True)
            if len(found) < len(some) and self._newer(seen):
                return self.verify(repair, advance)
            for id_ in some:
                problem = self._problem(id_, found.get(id_), lost)
                if problem is not None:
                    problems.append(problem)
            advance(min(start + _READ, len(entities)), len(entities))
        if repair and not problems:
            self._writer.purge()
        return CheckReport(len(entities), tuple(problems), tuple(lost))

    def _newer(self, revision: int) -> bool:
        self._reader.sync(strong=True)
        with self._reader.mirror() as mirror:
            return mirror.revision > revision

    def _problem(
        self, id_: int, found: Mapping[str, Any] | None, lost: list[str]
    ) -> Problem | None:
        """What is wrong with a row; ``lost`` gets the image whose vector is."""
        if found is None:
            return Problem("row", self._client.place, f"the row {id_} is missing")
        try:
            row = to_row(found, self._client.place, vectors=False)
        except DamageError as error:
            return Problem("row", self._client.place, str(error))
        if intact(found):
            return None
        lost.append(row.image_id)
        return Problem("row", self._client.place, damage(found, self._client.place))

    def backup(self, folder: Path, advance: Advance = silent, damaged: bool = False) -> None:
        raise CatalogError(
            f"{self._client.place}: a store on Milvus can't be copied at one revision while others "
            "write; stop the writers and run 'hemline catalog copy' into a new folder, or use "
            "milvus-backup"
        )

    def stats(self) -> dict[str, Any]:
        with self._reader.mirror() as mirror:
            return {
                "revision": mirror.commits,
                "milvus": self._client.address.shown,
                "collection": self._client.collection,
                "log_records": self._reader.records,
            }

    def close(self) -> None:
        self._writer.close()
        self._client.close()


def _settings(folder: Path) -> dict[str, Any]:
    """What ``catalog.milvus`` says.

    Raises:
        CatalogError: it is damaged, or of another format version.
    """
    path = folder / FILE
    try:
        found = read_document(path)
        version = found["format_version"]
        if version == FORMAT_VERSION and found["collection"] and found["dim"] > 0:
            return dict(found)
    except (OSError, DamageError, LookupError, TypeError) as error:
        raise DamageError(f"{path} can't be read: {error}; create the catalogue again") from None
    raise CatalogError(f"{path} is of format {version}, this hemline reads {FORMAT_VERSION}")


def _client(folder: Path, settings: Mapping[str, Any]) -> Client:
    return Client(parse(settings["address"], folder), settings["collection"])


def _address(folder: Path) -> tuple[bool, str]:
    """Whether this is the catalogue's first part, and its address."""
    for place in (folder, folder.parent):
        if (place / FILE).is_file():
            text = read_document(place / FILE)["address"]
            return place == folder, str(text)
    return True, _LITE


def _publish(folder: Path) -> None:
    """Lets the catalogue's name stand for the collection of a part."""
    client = _client(folder, _settings(folder))
    try:
        client.make_alias()
    finally:
        client.close()


def _discard(folder: Path) -> None:
    """Drops the collection of a part that isn't live any more."""
    client = _client(folder, _settings(folder))
    try:
        if client.exists and not client.has_alias:
            client.drop()
    finally:
        client.close()


STORES: Mapping[str, StoreSpec] = {
    "milvus": StoreSpec(
        summary="rows and vectors on a Milvus server, or in a file of milvus-lite",
        file=FILE,
        create=MilvusStore.create,
        open=MilvusStore,
        address=lambda folder: parse(_settings(folder)["address"], folder),
        publish=_publish,
        discard=_discard,
    )
}
