"""A catalogue of tens of millions of made vectors, streamed into the store: no second copy on disk.

Chunk n of `Made` gives the rows from n × 50,000 on, so the rows that the store has say which chunk
comes next: a killed ingest goes on where its last durable commit ended. As all rows are new, row n
is record n of the store's segments, from which the exact answers are computed.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _ours import BATCH, FINGERPRINT
from _system import memory
from _truth import CONDITIONS, Best, Condition, K, blocks
from _vectors import CHUNK, PRICES, Data, Floats, Ints, Made

from hemline.catalog.segments import Segments
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores import STORES

PRICED = tuple(
    sorted(
        [c for c in CONDITIONS if c.column == "price"]
        + [Condition("3%", "price", below=30), Condition("0.3%", "price", below=3)],
        key=lambda condition: -(condition.below or 0),
    )
)


def prices(rows: int) -> npt.NDArray[np.int16]:
    """The price (n,) of each row, as `_vectors.write` makes them."""
    return np.random.default_rng([rows, 5]).integers(0, PRICES, rows).astype(np.int16)


def rows_of(source: Made, number: int, price: npt.NDArray[np.int16]) -> list[Row]:
    """The rows of chunk ``number``, as a feed of a shop gives them."""
    part = source.chunk(number)
    first = number * CHUNK
    columns = part.category.tolist(), part.product.tolist(), price[first : first + CHUNK].tolist()
    return [
        Row(
            image_id=str(first + at),
            item_id=f"p{number}-{product}",
            embedding=part.vectors[at],
            norm=1.0,
            category=f"c{category}",
            columns={"price": cost},
        )
        for at, (category, product, cost) in enumerate(zip(*columns, strict=True))
    ]


def ingest(folder: Path, rows: int, dim: int) -> Iterator[dict[str, Any]]:
    """Adds what the store in ``folder`` lacks of ``rows``; the seconds of each chunk.

    ``add_cpu_s`` is the processor's time of the store alone, ``make_cpu_s`` that of the made rows.
    """
    spec, source, price = STORES["sqlite"], Made(dim), prices(rows)
    if not (folder / "catalog.sqlite").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        spec.create(folder, FINGERPRINT, dim).close()
    store: Any = spec.open(folder)
    there = store.counts().images
    for number in range(there // CHUNK, rows // CHUNK):
        made = time.process_time()
        part = rows_of(source, number, price)
        part = part[max(0, there - number * CHUNK) :]
        cpu, wall = time.process_time(), time.perf_counter()
        for at in range(0, len(part), BATCH):
            store.add(part[at : at + BATCH])
        yield {
            "from": number * CHUNK + CHUNK - len(part),
            "rows": len(part),
            "make_cpu_s": round(cpu - made, 3),
            "add_cpu_s": round(time.process_time() - cpu, 3),
            "add_s": round(time.perf_counter() - wall, 3),
        }
    # Not closed: that would build the index, which is a step of its own.


def logged(folder: Path, log: Path, rows: int, dim: int) -> None:
    """`ingest`, a line of JSON for each start and each chunk in ``log``."""
    with open(log, "a", encoding="utf-8") as file:
        file.write(json.dumps({"run": time.strftime("%Y-%m-%d %H:%M")}) + "\n")
        for line in ingest(folder, rows, dim):
            file.write(json.dumps(line) + "\n")
            file.flush()


class Stored(Data):
    """The vectors of a store that `ingest` filled, in place of a file of their own.

    ``rows.json`` in the folder has their number and dimension; the store lies in ``hemline``.
    """

    @functools.cached_property
    def shape(self) -> tuple[int, int]:
        rows, dim = json.loads((self.folder / "rows.json").read_text("utf-8"))
        return rows, dim

    @functools.cached_property
    def _segments(self) -> Segments:
        return Segments(self.folder / "hemline", self.shape[1], StoreSettings().segment_rows)

    def halves(self, rows: Ints) -> npt.NDArray[np.float16]:
        return self._segments.halves(rows + self._segments.rows)

    def block(self, start: int, stop: int) -> Floats:
        return self.halves(np.arange(start, stop)).astype(np.float32)

    def prefetch(self, rows: Ints) -> None:
        self._segments.prefetch(rows + self._segments.rows)

    def forget(self) -> None:
        """Unmaps the segments, so that their pages don't count as this process's."""
        self._segments.close()


def opened(folder: Path) -> Data:
    """A set of vectors, whichever way it is kept."""
    return Stored(folder) if (folder / "rows.json").is_file() else Data(folder)


def fresh(data: Data, commits: int, rows: int) -> Iterator[list[Row]]:
    """New rows of products ``new0``, ``new1`` …, those of each commit like one another."""
    chunks = data.shape[0] // CHUNK
    for number in range(commits):
        part = Made(data.shape[1]).chunk(chunks + number)
        yield [
            Row(f"new{number}-{at}", f"new{number}", vector, 1.0, columns={"price": 5})
            for at, vector in enumerate(part.vectors[:rows])
        ]


def prepare(folder: Path, rows: int, dim: int, asked: int, others: int) -> Stored:
    """The folder of a `Stored`, with its queries and the columns of its rows.

    The first ``asked`` queries get exact answers, the ``others`` are for times alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.json").write_text(json.dumps([rows, dim]), "utf-8")
    source = Made(dim)
    queries = [source.queries(rows // CHUNK, count) for count in (asked, others)]
    np.save(folder / "queries.npy", np.concatenate(queries))
    np.save(folder / "price.npy", prices(rows))
    return Stored(folder)


class Nearest(Best):
    """`Best` from similarities: only those above the present worst are looked at."""

    def take(self, similarity: Floats, rows: Ints) -> None:
        """Similarities (Q, n) of rows (n,), the numbers of which ascend from call to call."""
        query, place = np.nonzero(similarity > self.similarity[:, -1:])
        starts = np.searchsorted(query, np.arange(len(similarity) + 1))
        for at in np.unique(query).tolist():
            some = place[starts[at] : starts[at + 1]]
            near = np.concatenate([self.similarity[at], similarity[at, some]])
            order = np.argsort(-near, kind="stable")[:K]  # of equal ones the lower number is first
            self.similarity[at] = near[order]
            self.rows[at] = np.concatenate([self.rows[at], rows[some]])[order]


def truth(data: Stored, asked: int) -> dict[str, Ints]:
    """Name of a condition (empty: none) → the nearest rows (Q, K) by a scan of every vector.

    It is of the first ``asked`` queries, also under each condition of `PRICED`. Kept in the folder.
    """
    path = data.folder / "truth.npz"
    if not path.is_file():
        price, queries = data.array("price"), data.queries[:asked]
        found = {name: Nearest(asked) for name in ("", *(c.name for c in PRICED))}
        for numbers, vectors in blocks(data):
            similarity = queries @ vectors.T
            found[""].take(similarity, numbers)
            for condition in PRICED:
                chosen = condition.mask(price[numbers])
                found[condition.name].take(similarity[:, chosen], numbers[chosen])
            data.forget()
        kept: Any = {name or "all": best.rows for name, best in found.items()}
        np.savez(path, **kept)
    held = np.load(path)
    return {"" if name == "all" else name: held[name] for name in held}


def build_index(folder: Path) -> dict[str, Any]:
    """Builds and saves the index of the store in ``folder``, in this process."""
    empty, wall, cpu = memory(), time.perf_counter(), time.process_time()
    store: Any = STORES["sqlite"].open(folder)
    store.save()
    found = {"build_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return {**found, "memory": memory(), "empty": empty}


def evict(folder: Path) -> None:
    """Drops the pages of the files in ``folder`` that no process has mapped from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
