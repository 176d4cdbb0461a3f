"""What a search reads of its candidates: checksums of those that are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.segments import Segments
from hemline.catalog.store import Row
from hemline.errors import DamageError
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine
from hemline.types import SearchRequest

IMAGES = 100


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Images whose similarity to the first unit vector falls with their number."""
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    made = Catalog.create(tmp_path / "catalog", bundle)
    angles = np.linspace(0, np.pi / 2, IMAGES)
    vectors = np.zeros((IMAGES, bundle.info.embedding_dim), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    made.store.add([Row(f"image{n}", f"item{n}", vector, 1.0) for n, vector in enumerate(vectors)])
    return made


def request_of(catalog: Catalog, k: int, offset: int = 0) -> SearchRequest:
    query = np.zeros(catalog.bundle.info.embedding_dim, np.float32)
    query[0] = 1.0
    return SearchRequest(embeddings=query, k=k, offset=offset)


def test_checksums_are_compared_of_what_is_shown(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    sums = Segments._sums

    def counted(self: Segments, ids: np.ndarray, records: np.ndarray) -> np.ndarray:
        read.extend(ids.tolist())
        return sums(self, ids, records)

    monkeypatch.setattr(Segments, "_sums", counted)
    with catalog:
        engine = Engine(catalog, threads=1)
        hits = engine.answer(request_of(catalog, 5, 10)).hits
        assert [hit.item_id for hit in hits] == [f"item{n}" for n in range(10, 15)]
        there = catalog.store.search_exact(request_of(catalog, 1).embeddings, IMAGES)  # type: ignore[arg-type]
        assert read[:5] == there.ids[10:15].tolist()
        assert len(read) == 5 + IMAGES  # `search_exact` verifies all that it gives


def test_a_damaged_vector_is_refused_where_it_is_shown(catalog: Catalog) -> None:
    place = catalog.folder / "segments" / "000001.seg"  # type: ignore[operator]
    with catalog:
        record = Segments(catalog.folder, catalog.store.dim, 1).record_bytes  # type: ignore[arg-type]
        data = bytearray(place.read_bytes())
        data[20 * record + 2 * catalog.store.dim - 2] ^= 1  # the last number of the 21st image
        place.write_bytes(data)
        engine = Engine(catalog, threads=1)
        assert len(engine.answer(request_of(catalog, 20)).hits) == 20
        with pytest.raises(DamageError, match="has damaged vectors"):
            engine.answer(request_of(catalog, 21))


@pytest.mark.parametrize("step", ["search_many", "item_codes", "vectors"])
def test_rows_that_get_new_ids_during_a_search_are_still_found(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A compaction or an update between two steps of a search moves rows; none may be left out."""
    with catalog:
        engine, store = Engine(catalog, threads=1), catalog.store
        real, moved = getattr(store, step), []

        def then_moved(*args: object, **kwargs: object) -> object:
            done = real(*args, **kwargs)
            if not moved:
                moved.append(True)
                row = store.get(["image3"])["image3"]
                turned = row.embedding[::-1].copy()
                store.add([Row("image3", "item3", turned, 1.0)])  # a new vector: a new id
                store.add([Row("image3", "item3", row.embedding, 1.0)])
            return done

        monkeypatch.setattr(store, step, then_moved)
        hits = engine.answer(request_of(catalog, 5)).hits
        assert moved
        assert [hit.item_id for hit in hits] == [f"item{n}" for n in range(5)]
