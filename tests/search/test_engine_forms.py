"""Several photos, an item, an embedding, pages and facets; the pictures of test_engine."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import hemline.search.ranking as ranking_module
from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.store import Row
from hemline.errors import CatalogError, UsageError
from hemline.limits import MAX_PHOTOS
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine
from hemline.types import Box, SearchRequest, SearchResult


def picture(seed: int) -> np.ndarray:
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return np.kron(colours, np.ones((16, 16, 1), np.uint8)).astype(np.uint8)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """400 products of three pictures in memory."""
    bundle = Bundle.open(make_tiny_bundle(tmp_path_factory.mktemp("b") / "bundle"))
    made = Catalog.in_memory(bundle)
    images = [picture(n) for n in range(1200)]
    coded = made.encoder(1).encode_shop(images, [[] for _ in images])
    made.store.add(
        [
            Row(
                f"image{n}",
                f"item{n // 3}",
                coded.embedding[n],
                float(coded.norm[n]),
                category="dress" if n // 3 % 4 else "shirt",
                columns={"price": n // 3, "size": ["S", "M"] if n % 2 else "L"},
            )
            for n in range(1200)
        ]
    )
    return made


def names(result: SearchResult) -> list[tuple[str, str, float]]:
    return [(hit.item_id, hit.image_id, hit.score) for hit in result.hits]


@pytest.mark.parametrize("rerank", [True, False])
@pytest.mark.parametrize("where", [None, "price >= 40"])
def test_pages_fit_together(catalog: Catalog, rerank: bool, where: str | None) -> None:
    engine = Engine(catalog, rerank=rerank, rerank_top=64)
    whole = engine.search(picture(7), 400, where=where)
    count = 400 if where is None else 360
    assert len(whole.hits) == count
    assert not whole.more
    paged, offset = [], 0
    while True:
        page = engine.search(picture(7), 37, where=where, offset=offset)
        assert page.offset == offset
        assert [hit.rank for hit in page.hits] == list(
            range(offset + 1, offset + len(page.hits) + 1)
        )
        paged += names(page)
        offset += 37
        if not page.more:
            break
    assert paged == names(whole)
    scores = [score for _, _, score in paged]
    assert scores == sorted(scores, reverse=True)
    assert engine.search(picture(7), 5, where=where, offset=count).hits == ()
    assert engine.search(picture(7), 1, where=where, offset=count - 1).more is False
    assert engine.search(picture(7), 1, where=where, offset=count - 2).more is True


def test_growing_depths_give_the_order_of_one_deep_search(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    shallow = Engine(catalog, rerank_top=64).search(picture(3), 400)
    monkeypatch.setattr(ranking_module, "DEPTH", 1200)
    deep = Engine(catalog, rerank_top=64).search(picture(3), 400)
    assert [hit.item_id for hit in shallow.hits] == [hit.item_id for hit in deep.hits]
    np.testing.assert_allclose(
        [hit.score for hit in shallow.hits], [hit.score for hit in deep.hits], atol=1e-5
    )


@pytest.mark.parametrize("fusion", ["mean", "max"])
@pytest.mark.parametrize("rerank", [True, False])
def test_several_photos_equal_the_slow_way(catalog: Catalog, fusion: str, rerank: bool) -> None:
    photos = [picture(4), picture(5), picture(700)]
    result = Engine(catalog, fusion=fusion, rerank=rerank, rerank_top=64).search(photos, 20)
    encoder = catalog.encoder()
    query = encoder.encode_street(photos)
    assert query.local is not None
    rows = list(catalog.store.rows())
    vectors = np.stack([row.embedding for row in rows])
    if fusion == "mean":
        middle = query.embedding.sum(axis=0)
        first = vectors @ (middle / np.linalg.norm(middle))
    else:
        first = (vectors @ query.embedding.T).max(axis=1)
    order = np.argsort(-first, kind="stable")
    score = first[order].astype(np.float64)
    if rerank:
        top = order[:64]
        contexts = vectors[top] * np.array([[rows[i].norm] for i in top], np.float32)
        each = [1 - encoder.rerank(one, contexts).distance ** 2 / 2 for one in query.local]
        again = np.mean(each, axis=0) if fusion == "mean" else np.max(each, axis=0)
        score[64:] -= max(0.0, score[64] - again.min())
        score[:64] = again
    best: dict[str, float] = {}
    for place in np.argsort(-score, kind="stable"):
        best.setdefault(rows[order[place]].item_id, float(score[place]))
    assert [hit.item_id for hit in result.hits] == list(best)[:20]
    np.testing.assert_allclose(
        [hit.score for hit in result.hits], list(best.values())[:20], atol=1e-4
    )
    assert result.hits[0].attention is None


def test_one_photo_together_is_a_plain_search(catalog: Catalog) -> None:
    engine = Engine(catalog)
    assert names(engine.search([picture(8)], 9)) == names(engine.search(picture(8), 9))
    boxed = engine.search([picture(8)], 9, Box(0, 0, 16, 16))
    assert boxed.box == Box(0, 0, 16, 16)


def test_an_item_finds_its_like_and_not_itself(catalog: Catalog) -> None:
    engine = Engine(catalog)
    whole = engine.answer(SearchRequest(item_id="item9", k=399))
    assert "item9" not in {hit.item_id for hit in whole.hits}
    assert (len(whole.hits), whole.more) == (399, False)
    assert [hit.rank for hit in whole.hits] == list(range(1, 400))
    pages = [
        engine.answer(SearchRequest(item_id="item9", k=20, offset=offset)) for offset in (0, 20, 40)
    ]
    assert [name for page in pages for name in names(page)] == names(whole)[:60]
    assert all(page.more for page in pages)
    own = np.stack([row.embedding for row in catalog.store.items(["item9"])]).sum(axis=0)
    by_vector = engine.answer(SearchRequest(embeddings=own, k=10))
    assert [n for n in names(by_vector) if n[0] != "item9"][:9] == names(whole)[:9]
    cheap = engine.answer(SearchRequest(item_id="item9", k=5, where="price < 9"))
    assert cheap.hits[0].columns["price"] < 9
    with pytest.raises(CatalogError, match="has no product 'nothing'"):
        engine.answer(SearchRequest(item_id="nothing"))


def test_an_embedding_is_a_query(catalog: Catalog) -> None:
    engine = Engine(catalog, rerank=False)
    vector = catalog.encoder().encode_street([picture(21)]).embedding[0]
    assert names(engine.answer(SearchRequest(embeddings=7 * vector, k=5))) == names(
        engine.search(picture(21), 5)
    )
    for wrong in (vector[:3], np.zeros(8), np.full(8, np.nan), np.ones((MAX_PHOTOS + 1, 8))):
        with pytest.raises(UsageError, match=r"embeddings are \(8,\)|is finite and isn't zero"):
            engine.answer(SearchRequest(embeddings=np.asarray(wrong, np.float32)))


def test_facets_count_products_that_meet_the_condition(catalog: Catalog) -> None:
    result = Engine(catalog).search(
        picture(0), 3, where="price < 100", facets=["category", "price"]
    )
    assert result.facets["category"]["values"] == (("dress", 75), ("shirt", 25))
    price = result.facets["price"]
    assert (price["items"], price["low"], price["high"]) == (100, 0, 99)
    assert "facets" in result.timings_ms
    with pytest.raises(UsageError, match="colour"):
        Engine(catalog).search(picture(0), facets=["colour"])
    with pytest.raises(UsageError, match="no tag 'colour' to count"):
        Engine(catalog).search(picture(0), facets=["tags.colour"])


def test_lists_are_searched_by_their_elements(catalog: Catalog) -> None:
    engine = Engine(catalog)
    for where in ("'M' in size", "size = 'M'", "size in ('M', 'XL')"):
        hits = engine.search(picture(0), 50, where=where).hits
        assert len(hits) == 50
        assert all("M" in hit.columns["size"] for hit in hits)


def test_bad_use(catalog: Catalog) -> None:
    engine = Engine(catalog)
    with pytest.raises(UsageError, match="offset: .*greater than or equal to 0"):
        engine.search(picture(0), offset=-1)
    with pytest.raises(UsageError, match="offset . k is at most 10000; 9990"):
        engine.search(picture(0), offset=9990)
    with pytest.raises(UsageError, match=f"from 1 to {MAX_PHOTOS} photos.*not 0 of these"):
        engine.search([])
    with pytest.raises(UsageError, match="2 photos need as many boxes, not 1"):
        SearchRequest(photos=[picture(0)] * 2, boxes=[None])
    with pytest.raises(UsageError, match="mean or max, not 'sum'"):
        Engine(catalog, fusion="sum")


def test_hits_are_whole_though_products_leave_and_come(tmp_path: Path) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    shop = Catalog.create(tmp_path / "shop", bundle)
    shop.add(manifest(tmp_path / "data", 60))
    engine, stop = Engine(shop, threads=1), threading.Event()
    rows = list(shop.store.rows())

    def changing() -> None:
        n = 0
        with Catalog.open(tmp_path / "shop") as writer:
            while not stop.is_set():
                n = (n + 1) % 20
                writer.remove([f"item{n}"])
                writer.store.add([row for row in rows if row.item_id == f"item{n}"])

    thread = threading.Thread(target=changing)
    thread.start()
    try:
        for seed in range(60):
            hits = engine.search(picture(seed), 25).hits
            assert len({hit.item_id for hit in hits}) == len(hits) == 25
            assert [hit.rank for hit in hits] == list(range(1, 26))
    finally:
        stop.set()
        thread.join()
