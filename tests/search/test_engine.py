from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.bundle import ScoreThresholds
from hemline.catalog.catalog import Catalog
from hemline.catalog.store import Row
from hemline.data.images import encode_jpeg
from hemline.data.preprocess import PreparedImage, Preprocessing
from hemline.errors import CatalogError, ImageError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder
from hemline.search.engine import Engine
from hemline.search.ranking import rescore
from hemline.types import Box
from hemline.views.hits import write_hits
from hemline.views.sheet import CAPTION, SIDE


def picture(seed: int) -> np.ndarray:
    """Four flat quarters of a random colour each."""
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return np.kron(colours, np.ones((16, 16, 1), np.uint8)).astype(np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(make_tiny_bundle(tmp_path_factory.mktemp("b") / "bundle"))


def filled(bundle: Bundle, items: int = 60, each: int = 3) -> Catalog:
    catalog = Catalog.in_memory(bundle)
    images = [picture(n) for n in range(items * each)]
    coded = catalog.encoder(1).encode_shop(images, [[] for _ in images])
    rows = [
        Row(
            f"image{n}",
            f"item{n // each}",
            coded.embedding[n],
            float(coded.norm[n]),
            category="dress" if n % 2 else "shirt",
            columns={"price": n},
        )
        for n in range(len(images))
    ]
    catalog.store.add(rows)
    return catalog


@pytest.fixture(scope="module")
def catalog(bundle: Bundle) -> Catalog:
    return filled(bundle)


def test_equals_the_slow_way(catalog: Catalog) -> None:
    """First search, re-ranking of the top and products once each, by plain loops."""
    engine = Engine(catalog, rerank_top=20)
    photo = picture(7)
    result = engine.search(photo, k=30)
    encoder = catalog.encoder()
    query = encoder.encode_street([photo])
    assert query.local is not None
    first = sorted(
        ((float(row.embedding @ query.embedding[0]), row) for row in catalog.store.rows()),
        key=lambda pair: -pair[0],
    )
    contexts = np.stack([row.embedding * row.norm for _, row in first[:20]]).astype(np.float32)
    distance = encoder.rerank(query.local[0], contexts).distance
    scored = [(1 - float(d) ** 2 / 2, row) for d, (_, row) in zip(distance, first, strict=False)]
    last = min(score for score, _ in scored)
    shift = max(0.0, first[20][0] - last)
    scored += [(score - shift, row) for score, row in first[20:]]
    scored.sort(key=lambda pair: -pair[0])
    best: dict[str, tuple[float, str]] = {}
    for score, row in scored:
        best.setdefault(row.item_id, (score, row.image_id))
    wanted = list(best.items())[:30]
    assert [hit.item_id for hit in result.hits] == [item for item, _ in wanted]
    assert [hit.image_id for hit in result.hits] == [image for _, (_, image) in wanted]
    np.testing.assert_allclose(
        [hit.score for hit in result.hits], [score for _, (score, _) in wanted], atol=1e-5
    )


def test_the_answer_is_whole(catalog: Catalog) -> None:
    result = Engine(catalog).search(picture(0), k=20)
    assert len(result.hits) == len({hit.item_id for hit in result.hits}) == 20
    assert [hit.rank for hit in result.hits] == list(range(1, 21))
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert set(result.timings_ms) == {
        "decode", "encode", "search", "rerank", "rows", "total",
    }  # fmt: skip
    assert result.timings_ms["total"] >= result.timings_ms["encode"] > 0
    assert result.hits[0].columns["category"] in ("dress", "shirt")
    attention = result.hits[0].attention
    assert attention is not None
    assert float(attention.sum()) == pytest.approx(1.0, abs=1e-5)


def test_without_reranking_its_own_picture_is_first_with_score_one(catalog: Catalog) -> None:
    result = Engine(catalog, rerank=False).search(picture(12), k=3)
    assert result.hits[0].image_id == "image12"
    assert result.hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert result.hits[0].attention is None


def test_k_products_are_found_though_one_has_most_pictures(bundle: Bundle) -> None:
    catalog = Catalog.in_memory(bundle)
    coded = catalog.encoder(1).encode_shop([picture(0)], [[]])
    vector, norm = coded.embedding[0], float(coded.norm[0])
    many = [Row(f"same{n}", "same", vector, norm) for n in range(900)]
    others = [Row(f"other{n}", f"other{n}", -vector, norm) for n in range(3)]
    catalog.store.add([*many, *others])
    result = Engine(catalog).search(picture(0), k=4)
    assert [hit.item_id for hit in result.hits] == ["same", "other0", "other1", "other2"]
    assert result.hits[1].attention is None  # beyond the re-ranked 256


def test_where_keeps_k_full(catalog: Catalog) -> None:
    result = Engine(catalog).search(picture(3), k=30, where="category = 'dress' and price < 100")
    assert len(result.hits) == 30
    for hit in result.hits:
        assert hit.columns["category"] == "dress"
        assert hit.columns["price"] < 100
    assert Engine(catalog).search(picture(3), where="category = 'hat'").hits == ()


def test_thresholds_are_looked_up_again_after_a_change_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: where they don't hold, each search read 50 products of the store."""
    alike = ScoreThresholds(same=2.0, similar=-2.0, data={"items": ["new", "other"]})
    shop = filled(bundle, items=3)
    monkeypatch.setattr(shop.bundle, "info", bundle.info.model_copy(update={"alike": alike}))
    engine, asked = Engine(shop), []
    items = shop.store.items
    monkeypatch.setattr(shop.store, "items", lambda *a, **k: asked.append(a) or items(*a, **k))
    for _ in range(3):
        assert {hit.alike for hit in engine.search(picture(1), 2).hits} == {None}
    assert len(asked) == 1
    (vector,) = shop.encoder(1).encode_shop([picture(9)], [[]]).embedding
    shop.store.add([Row("image", "new", vector, 1.0)])
    for _ in range(3):
        assert {hit.alike for hit in engine.search(picture(1), 2).hits} == {"similar"}
    assert len(asked) == 2


def test_a_box_is_what_is_searched(catalog: Catalog) -> None:
    photo = np.concatenate([picture(5), picture(44)], axis=1)
    engine = Engine(catalog, rerank=False)
    result = engine.search(photo, k=1, box=Box(32, -5, 64, 32))
    assert result.hits[0].image_id == "image44"
    assert result.box == Box(32, 0, 64, 32)


def test_photos_may_be_files_or_bytes(catalog: Catalog, tmp_path: Path) -> None:
    data = encode_jpeg(picture(9), quality=100)
    (tmp_path / "photo.jpg").write_bytes(data)
    engine = Engine(catalog, rerank=False)
    one, two = engine.search(data, 3), engine.search(tmp_path / "photo.jpg", 3)
    assert [h.item_id for h in one.hits] == [h.item_id for h in two.hits]
    with pytest.raises(ImageError):
        engine.search(b"no picture")


def test_bad_use(catalog: Catalog, tmp_path: Path) -> None:
    engine = Engine(catalog)
    with pytest.raises(UsageError, match="k: .*greater than or equal to 1, not 0"):
        engine.search(picture(0), k=0)
    with pytest.raises(UsageError, match="leaves no pixel"):
        engine.search(picture(0), box=Box(100, 100, 120, 120))
    with pytest.raises(UsageError, match="no column 'prize'.*price"):
        engine.search(picture(0), where="prize < 3")
    other = Bundle.open(make_tiny_bundle(tmp_path / "other", seed=1))
    with pytest.raises(CatalogError, match="isn't the one that made"):
        Engine(catalog, BundleEncoder(other))


def test_a_warm_engine_has_all_its_graphs(bundle: Bundle, catalog: Catalog) -> None:
    fresh = Bundle.open(bundle.folder)
    engine = Engine(catalog, BundleEncoder(fresh, threads=1))
    engine.warm()
    assert {role for role, _ in fresh._sessions} == {"street", "rerank"}


def test_an_empty_catalogue_answers_nothing(bundle: Bundle) -> None:
    assert Engine(Catalog.in_memory(bundle)).search(picture(0)).hits == ()


def test_the_tail_never_passes_the_reranked(catalog: Catalog) -> None:
    encoder = catalog.encoder()
    query = encoder.encode_street([picture(1)])
    assert query.local is not None
    contexts = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    first = np.linspace(0.99, 0.5, 12).astype(np.float32)
    scores = rescore(encoder, query.local, contexts, first, "mean").score
    assert scores[5:].max() <= scores[:5].min()
    np.testing.assert_allclose(np.diff(scores[5:]), np.diff(first[5:]), atol=1e-6)
    low = rescore(encoder, query.local, contexts, first - 5, "mean").score
    np.testing.assert_array_equal(low[5:], (first - 5)[5:])  # low enough already: left alone


def test_draws_photo_and_hits(catalog: Catalog, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encode_jpeg(picture(2)))
    answer = Engine(catalog).search(photo, 3, box=Box(2, 2, 20, 30))
    path = tmp_path / "new" / "hits.png"
    write_hits(path, catalog, [(photo, answer)] * 2)
    drawn = cv2.imread(str(path))
    assert drawn.shape[0] > 2 * (SIDE + CAPTION)
    assert drawn.std() > 10
    assert [p.name for p in path.parent.iterdir()] == ["hits.png"]


@pytest.mark.parametrize("box", [None, Box(200, 100, 1400, 1100)])
def test_a_large_photo_is_decoded_smaller_and_found_alike(
    bundle: Bundle, box: Box | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes and boxes stay those of the whole photo; the numbers are the same but for rounding."""
    noise = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    large = cv2.resize(noise, (1600, 1200), interpolation=cv2.INTER_CUBIC)
    photo = encode_jpeg(np.asarray(large, np.uint8), 92)
    opened: list[tuple[int, ...]] = []
    square = PreparedImage.of.__func__

    def seen(cls: type[PreparedImage], image: np.ndarray, spec: Preprocessing) -> PreparedImage:
        opened.append(image.shape)
        return square(cls, image, spec)

    monkeypatch.setattr(PreparedImage, "of", classmethod(seen))
    with filled(bundle) as catalog:
        engine = Engine(catalog, threads=1)
        reduced = engine.search(photo, box=box)
        monkeypatch.setattr("hemline.search.reading.reduction", lambda *_: 1.0)
        whole = engine.search(photo, box=box)
    assert opened[0][0] < opened[1][0] / 7
    assert (reduced.size, reduced.box) == (whole.size, whole.box) == ((1600, 1200), box)
    gap = [a.score - b.score for a, b in zip(reduced.hits, whole.hits, strict=True)]
    assert np.abs(gap).max() < 0.01
