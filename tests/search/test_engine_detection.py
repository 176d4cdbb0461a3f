"""Searching with what a detector finds: the best garment, or each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector, street
from hemline.catalog.catalog import Catalog
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.errors import BundleError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.search import reading
from hemline.search.engine import Engine
from hemline.types import Record, SearchRequest


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("engine")
    bundle = make_tiny_bundle(root / "bundle")
    put_tiny_detector(bundle)
    records = []
    for name, colour in (("red", "red"), ("blue", "blue"), ("green", "green")):
        image = np.zeros((40, 40, 3), np.uint8)
        image[..., ["red", "green", "blue"].index(colour)] = 255
        (root / f"{name}.jpg").write_bytes(encode_jpeg(image, 95))
        records.append(Record(name, f"{name}.jpg", name, "shop"))
    opened = Catalog.create(root / "catalog", Bundle.open(bundle))
    opened.add(Manifest.from_records(records, root))
    return opened


def test_the_best_garment_is_searched_with(catalog: Catalog) -> None:
    engine = Engine(catalog, threads=1, rerank=False)
    photo = street((1, 1, "red"), (3, 3, "green"))
    answer = engine.search(photo, 3, detect=True)
    assert answer.hits[0].item_id == "red"
    assert {d.category for d in answer.detections} == {"t-shirt", "bag"}
    assert answer.box is not None
    assert tuple(answer.box) == pytest.approx((60.8, 60.8, 131.2, 131.2), abs=0.1), "and a margin"
    assert set(answer.timings_ms) >= {"decode", "detect", "encode", "search", "total"}
    whole = engine.search(photo, 3)
    assert whole.detections == ()
    assert whole.box is None
    assert "detect" not in whole.timings_ms


def test_a_given_box_wins_and_nothing_found_means_the_whole(catalog: Catalog) -> None:
    from hemline.types import Box

    engine = Engine(catalog, threads=1, rerank=False)
    photo = street((1, 1, "red"), (2, 2, "blue"))
    given = engine.search(photo, 3, Box(128, 128, 192, 192), detect=True)
    assert given.hits[0].item_id == "blue"
    empty = np.full((30, 50, 3), 128, np.uint8)
    answer = engine.search(empty, 3, detect=True)
    assert answer.box is None
    assert len(answer.hits) == 3
    only_bag = engine.search(street((0, 0, "green")), 3, detect=True)
    assert only_bag.box is None, "a bag is no clothes"
    assert len(only_bag.detections) == 1


def test_each_garment_has_its_answer(catalog: Catalog) -> None:
    engine = Engine(catalog, threads=1, rerank=False)
    photo = street((1, 0, "red"), (2, 2, "blue"), (0, 3, "green"))
    answers = engine.answer_each(SearchRequest(photos=photo, k=1))
    assert sorted(answer.hits[0].item_id for answer in answers) == ["blue", "red"]
    assert all(len(answer.detections) == 3 for answer in answers)
    assert "detect" in answers[0].timings_ms
    (whole,) = engine.answer_each(SearchRequest(photos=np.full((9, 9, 3), 128, np.uint8), k=1))
    assert whole.box is None


def test_every_garment_and_the_whole_are_searched_with(catalog: Catalog) -> None:
    """A product's score is the highest of the whole photo's and of each garment's."""
    engine = Engine(catalog, threads=1, rerank=False)
    photo = street((1, 0, "red"), (2, 2, "blue"), (0, 3, "green"))
    answer = engine.search(photo, 3, every=True)
    alone = [*engine.answer_each(SearchRequest(photos=photo, k=3)), engine.search(photo, 3)]
    best = {
        name: max(hit.score for one in alone for hit in one.hits if hit.item_id == name)
        for name in ("red", "blue", "green")
    }
    assert {hit.item_id: hit.score for hit in answer.hits} == pytest.approx(best, abs=1e-6)
    assert {hit.item_id for hit in answer.hits[:2]} == {"red", "blue"}, "green is a bag"
    assert answer.box is None
    assert len(answer.detections) == 3
    assert set(answer.timings_ms) >= {"decode", "detect", "encode", "search", "total"}


def test_every_of_a_photo_without_garments_is_the_whole_photo(catalog: Catalog) -> None:
    engine = Engine(catalog, threads=1, rerank=False)
    for photo in (np.full((30, 50, 3), 128, np.uint8), street((0, 0, "green"))):
        answer, whole = engine.search(photo, 3, every=True), engine.search(photo, 3)
        assert [(h.item_id, h.score) for h in answer.hits] == [
            (h.item_id, pytest.approx(h.score, abs=1e-6)) for h in whole.hits
        ]


def test_every_pages_fit_together_and_a_model_that_reranks_answers(catalog: Catalog) -> None:
    photo = street((1, 0, "red"), (2, 2, "blue"))
    for rerank in (False, True):
        engine = Engine(catalog, threads=1, rerank=rerank)
        whole = engine.search(photo, 3, every=True).hits
        pages = [engine.search(photo, 1, every=True, offset=at).hits[0] for at in range(3)]
        assert [hit.item_id for hit in pages] == [hit.item_id for hit in whole]
        scores = [hit.score for hit in whole]
        assert scores == sorted(scores, reverse=True)


def test_only_the_surest_garments_are_searched_with(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_GARMENTS", 1)
    engine = Engine(catalog, threads=1, rerank=False)
    photo = street((1, 0, "red"), (2, 2, "blue"))
    encoder, asked = engine.encoder, []
    encode = encoder.encode_street
    monkeypatch.setattr(encoder, "encode_street", lambda im: asked.append(len(im)) or encode(im))
    engine.search(photo, 3, every=True)
    assert asked == [2], "the whole photo and one garment"


@pytest.mark.parametrize(
    "more", [{"detect": True}, {"boxes": [(0, 0, 9, 9)]}, {"photos": [b"a", b"b"]}]
)
def test_every_is_of_one_photo_without_a_box(more: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="every is of one photo, without a box"):
        SearchRequest(**{"photos": b"a", "every": True} | more)


def test_several_photos_together(catalog: Catalog) -> None:
    engine = Engine(catalog, threads=1, rerank=False)
    photos = [street((1, 0, "red")), street((3, 2, "red"))]
    assert engine.search(photos, 1, detect=True).hits[0].item_id == "red"


def test_a_bundle_without_detector_says_so(tmp_path: Path) -> None:
    catalog = Catalog.create(tmp_path / "c", Bundle.open(make_tiny_bundle(tmp_path / "b")))
    engine = Engine(catalog, threads=1)
    with pytest.raises(BundleError, match="has no detector"):
        engine.search(street((0, 0, "red")), 1, detect=True)
    with pytest.raises(BundleError, match="has no detector"):
        engine.search(street((0, 0, "red")), 1, every=True)
