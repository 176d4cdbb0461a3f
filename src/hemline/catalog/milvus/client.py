"""The connection to Milvus: retries, errors in one line, and the two collections of a catalogue.

Every call may be repeated: entities are written by upsert under ids that one writer gives once, and
deleted by id.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from hemline.budget import check_time
from hemline.catalog.milvus.address import Address
from hemline.catalog.milvus.rows import MAX_TEXT
from hemline.errors import CatalogError

LOG = "_log"  # ends the name of the collection of commits
_CALL = 10.0  # seconds of one try
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_IDS = 1000  # in one expression
_BYTES = 8 << 20  # of vectors in one call
#: What pymilvus raises for a call that no repetition makes right.
_PERMANENT = ("ParamError", "DataNotMatchException", "PrimaryKeyException", "FieldTypeException")
_GONE = ("can't find collection", "collection not found", "collection not exist", "not exist")
_LARGE = ("larger than max", "message length too large", "resource_exhausted")
#: HNSW: neighbours of a node, and candidates while it is built (Malkov & Yashunin's M, efC).
INDEX = {"M": 16, "efConstruction": 200}

_open_files: dict[str, int] = {}
_opening = threading.Lock()

Found = list[dict[str, Any]]


class Client:
    """Calls of one collection and its log, each repeated until the address's time-out.

    Raises:
        CatalogError: pymilvus isn't installed, or Milvus doesn't answer.
    """

    def __init__(self, address: Address, collection: str) -> None:
        self.address, self.collection = address, collection
        self.place = f"{address.shown}, collection {collection}"
        self._api = _api(address)
        self._closed = False
        self._client: Any = None
        with _opening:
            if address.is_lite:
                _open_files[address.uri] = _open_files.get(address.uri, 0) + 1
        try:
            self.call("list_collections")
        except BaseException:
            self.close()
            raise

    def _connected(self) -> Any:
        if self._client is None:
            with _opening:
                if self._client is None:
                    options: dict[str, Any] = {}
                    if not self.address.is_lite:
                        wait = min(_CALL, self.address.timeout)
                        options = {"token": self.address.token, "timeout": wait}
                    self._client = self._api.MilvusClient(self.address.uri, **options)
        return self._client

    def call(self, name: str, *given: Any, **options: Any) -> Any:
        """Calls a method of `pymilvus.MilvusClient` until it succeeds or the time is over.

        Raises:
            CatalogError: it failed; what the call was to write may or may not be written.
            TimeLimitError: the present query's time is over.
        """
        end = time.monotonic() + self.address.timeout
        pause = _FIRST_PAUSE
        while True:
            check_time()
            left = max(0.1, min(_CALL, end - time.monotonic()))
            try:
                return getattr(self._connected(), name)(*given, timeout=left, **options)
            except Exception as error:
                self._check(error)
                if time.monotonic() + pause > end:
                    raise CatalogError(
                        f"Milvus at {self.address.shown} didn't do '{name}' within "
                        f"{self.address.timeout:g} s: {_line(error)}. What was acknowledged is "
                        "kept; once it runs, give the same command again"
                    ) from error
                self._mend(error)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _check(self, error: Exception) -> None:
        """Raises for an error that a repetition doesn't mend."""
        text = str(error).lower()
        if any(large in text for large in _LARGE):
            raise _TooLarge from error
        if any(gone in text for gone in _GONE) and "collection" in text and self._is_gone():
            raise CatalogError(
                f"{self.place} isn't there: it was dropped, or the catalogue was rebuilt from "
                "another folder; open the folder of that rebuild"
            ) from error
        grpc = type(error).__module__.startswith("grpc")
        ours = isinstance(error, self._api.MilvusException | OSError | ValueError)
        if not (grpc or ours):
            raise error
        if type(error).__name__ in _PERMANENT:
            raise CatalogError(f"{self.place}: {_line(error)}") from error

    def _is_gone(self) -> bool:
        """Whether Milvus says that the collection isn't there; one that starts says nothing."""
        with contextlib.suppress(Exception):
            return not self._connected().has_collection(self.collection, timeout=_CALL)
        return False

    def _mend(self, error: Exception) -> None:
        """Before the next try: connects again, and loads what a restarted server hasn't loaded."""
        with contextlib.suppress(Exception):
            if "load" in str(error).lower():
                for name in (self.collection, self.collection + LOG):
                    self._connected().load_collection(name, timeout=_CALL)
            elif not self.address.is_lite:
                self._client.close()
                self._client = None

    def close(self) -> None:
        """Closes the connection; the last of a file of milvus-lite also closes the file."""
        if self._closed:
            return
        self._closed = True
        with _opening:
            with contextlib.suppress(Exception):
                if self._client is not None:
                    self._client.close()
            if self.address.is_lite:
                _open_files[self.address.uri] -= 1
                if not _open_files[self.address.uri]:
                    from milvus_lite.server_manager import server_manager_instance

                    server_manager_instance.release_server(self.address.uri)

    # Collections

    def create(self, dim: int, description: str) -> None:
        """Creates the collection and its log, and loads both."""
        kinds = self._api.DataType
        for name, width, log in ((self.collection, dim, False), (self.collection + LOG, 2, True)):
            schema = self._api.MilvusClient.create_schema(
                auto_id=False, enable_dynamic_field=False, description=description
            )
            schema.add_field("id", kinds.INT64, is_primary=True)
            if not log:
                for field in ("vector_id", "checksum", "vector_checksum"):
                    schema.add_field(field, kinds.INT64)
                schema.add_field("norm", kinds.FLOAT)
            schema.add_field("payload", kinds.VARCHAR, max_length=MAX_TEXT)
            schema.add_field("vector", kinds.FLOAT_VECTOR, dim=width)
            index = self._api.MilvusClient.prepare_index_params()
            if log:
                index.add_index("vector", index_type="FLAT", metric_type="IP", params={})
            else:
                index.add_index("vector", index_type="HNSW", metric_type="IP", params=INDEX)
            if not self.call("has_collection", name):
                self.call(
                    "create_collection",
                    name,
                    schema=schema,
                    index_params=index,
                    consistency_level=self.address.consistency,
                )

    def drop(self) -> None:
        """Drops the collection and its log."""
        for name in (self.collection, self.collection + LOG):
            if self.call("has_collection", name):
                self.call("drop_collection", name)

    @property
    def exists(self) -> bool:
        """Whether the collection is there."""
        return bool(self.call("has_collection", self.collection))

    @property
    def is_taken(self) -> bool:
        """Whether the catalogue's name stands for a collection."""
        return bool(self.call("has_collection", self.address.name))

    @property
    def has_alias(self) -> bool:
        """Whether the catalogue's name stands for this collection."""
        found = self.call("list_aliases", self.collection)
        return self.address.name in found.get("aliases", ())

    def make_alias(self) -> None:
        """Lets the catalogue's name stand for this collection, in one step."""
        if not self.has_alias:
            change = "alter_alias" if self.is_taken else "create_alias"
            self.call(change, self.collection, self.address.name)

    # Entities

    def upsert(self, entities: Sequence[dict[str, Any]], log: bool = False) -> None:
        """Writes entities in calls of a bounded size."""
        name = self.collection + (LOG if log else "")
        size = 500 if log or not entities else max(1, _BYTES // (4 * len(entities[0]["vector"])))
        for some in _chunks(entities, min(500, size)):
            self.call("upsert", name, list(some))

    def delete(self, ids: Sequence[int], log: bool = False) -> None:
        """Deletes entities; missing ones are ignored."""
        for some in _chunks(ids, _IDS):
            self.call("delete", self.collection + (LOG if log else ""), ids=list(some))

    def query(
        self, condition: str, fields: Sequence[str], *, log: bool = False, strong: bool = False
    ) -> Found:
        """The entities that meet a condition."""
        level = "Strong" if strong else self.address.consistency
        found = self.call(
            "query",
            self.collection + (LOG if log else ""),
            filter=condition,
            output_fields=list(fields),
            consistency_level=level,
        )
        return list(found)

    def fetch(
        self, ids: Sequence[int], fields: Sequence[str], *, log: bool = False, strong: bool = False
    ) -> dict[int, dict[str, Any]]:
        """id → entity, of those that exist."""
        found: dict[int, dict[str, Any]] = {}
        for some in _chunks(ids, _IDS):
            try:
                asked = f"id in {list(some)}"
                for one in self.query(asked, ["id", *fields], log=log, strong=strong):
                    found[int(one["id"])] = one
            except _TooLarge:
                if len(some) == 1:
                    raise
                for half in _chunks(some, -(-len(some) // 2)):
                    found |= self.fetch(half, fields, log=log, strong=strong)
        return found

    def scan(
        self,
        low: int,
        high: int | None,
        fields: Sequence[str],
        *,
        log: bool = False,
        strong: bool = False,
    ) -> Found:
        """The entities with ids from ``low`` to below ``high`` (None: all later ones), by id."""
        end = "" if high is None else f" and id < {high}"
        try:
            found = self.query(f"id >= {low}{end}", ["id", *fields], log=log, strong=strong)
            return sorted(found, key=lambda one: int(one["id"]))
        except _TooLarge:
            last = high or int(self.scan(low, None, ["id"], log=log, strong=strong)[-1]["id"]) + 1
            if last - low < 2:
                raise
            half = (low + last) // 2
            return [
                one
                for start, stop in ((low, half), (half, high))
                for one in self.scan(start, stop, fields, log=log, strong=strong)
            ]

    def search(
        self, queries: Any, limit: int, ef: int, fields: Sequence[str], condition: str = ""
    ) -> list[Found]:
        """The nearest entities of each query, of those that meet a condition."""
        found = self.call(
            "search",
            self.collection,
            list(queries),
            limit=limit,
            filter=condition,
            output_fields=list(fields),
            search_params={"metric_type": "IP", "params": {"ef": ef}},
            consistency_level=self.address.consistency,
        )
        return [[{"distance": hit["distance"], **hit["entity"]} for hit in hits] for hits in found]


class _TooLarge(CatalogError):
    """An answer that is larger than a message may be."""

    def __init__(self) -> None:
        super().__init__("Milvus' answer is larger than a message may be; ask for fewer rows")


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[i : i + size] for i in range(0, len(values), size))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _api(address: Address) -> Any:
    """The module pymilvus.

    Raises:
        CatalogError: it, or milvus-lite where that is asked for, isn't installed.
    """
    try:
        import pymilvus

        if address.is_lite:
            import milvus_lite  # noqa: F401
    except ImportError:
        raise CatalogError(
            f"{address.text}: pymilvus isn't installed; pip install 'hemline[milvus]' brings it"
        ) from None
    # It prints each failed try with its stack; `Client.call` says the last one in a line.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus
