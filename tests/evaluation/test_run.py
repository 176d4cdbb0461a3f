from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.toy_encoder import ToyEncoder
from hemline.data.images import crop, open_image
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.datasets import build
from hemline.errors import DataError, UsageError
from hemline.evaluation.run import evaluate
from hemline.ranking.metrics import MISS


@pytest.fixture
def shop(tmp_path: Path) -> Manifest:
    return make_colour_shop(tmp_path / "shop")


def only(manifest: Manifest, **choices: object) -> Protocol:
    return build("default", manifest, Choices(**choices))[0]  # type: ignore[arg-type]


def slow_ranks(encoder: ToyEncoder, protocol: Protocol, rerank: bool) -> list[int]:
    """Query by query, picture by picture."""
    manifest = protocol.manifest

    def picture(row: int) -> np.ndarray:
        image = open_image(manifest.file(row))
        return crop(image, manifest[row].box) if protocol.crop == "box" else image

    shop = {r: encoder.encode_shop([picture(r)], [()]).embedding[0] for r in protocol.gallery}
    ranks = []
    for row in protocol.queries:
        street = encoder.encode_street([picture(row)])
        far = {r: float(np.linalg.norm(street.embedding[0] - v)) for r, v in shop.items()}
        if rerank:
            assert street.local is not None
            far = {
                r: float(encoder.rerank(street.local[0], shop[r][None]).distance[0]) for r in shop
            }
        items: list[str] = []
        for r in sorted(far, key=lambda r: far[r]):
            if manifest[r].item_id not in items:
                items.append(manifest[r].item_id)
        ranks.append(items.index(manifest[row].item_id) + 1)
    return ranks


@pytest.mark.parametrize("reranks", [False, True])
@pytest.mark.parametrize("how", ["none", "box"])
def test_ranks_are_those_of_the_slow_loop(shop: Manifest, reranks: bool, how: str) -> None:
    encoder, protocol = ToyEncoder(reranks), only(shop, crop=how)
    outcome = evaluate(encoder, protocol)
    assert outcome.ranks.tolist() == slow_ranks(encoder, protocol, reranks)
    assert (outcome.first_ranks is not None) == reranks
    assert outcome.top[:, 0].min() >= 0
    assert outcome.ndcg is not None
    assert 0 < outcome.ndcg.mean() <= 1
    assert len(outcome.items) == len(protocol.queries)


def test_only_the_first_are_reranked_and_the_rest_stay_behind(shop: Manifest) -> None:
    protocol = only(shop)
    plain = evaluate(ToyEncoder(True), protocol, rerank=False)
    few = evaluate(ToyEncoder(True), protocol, rerank_top=3)
    assert few.first_ranks is not None
    assert few.first_ranks.tolist() == plain.ranks.tolist()
    late = few.first_ranks > 3
    assert 2 <= late.sum() < len(late)
    assert few.ranks[late].tolist() == few.first_ranks[late].tolist()
    assert (few.ranks[~late] <= 3).all()


def test_within_category_searches_fewer(shop: Manifest) -> None:
    whole = evaluate(ToyEncoder(), only(shop))
    inside = evaluate(ToyEncoder(), only(shop, within_category=True))
    assert (inside.ranks <= whole.ranks).all()
    assert inside.ranks.max() <= 6


def test_a_broken_picture_is_a_named_miss_never_a_crash(shop: Manifest) -> None:
    (shop.root / "p03_1.png").write_bytes(b"no picture")
    (shop.root / "p04_0.png").unlink()
    protocol = only(shop)
    outcome = evaluate(ToyEncoder(), protocol)
    assert sorted(path for path, _ in outcome.skipped) == ["p03_1.png", "p04_0.png"]
    lost = [shop[int(r)].image_id for r in protocol.queries[outcome.ranks == MISS]]
    assert sorted(lost) == ["p03_1.png", "p04_1.png", "p04_2.png"]


def test_no_readable_picture_at_all_is_an_error(shop: Manifest) -> None:
    for file in shop.root.glob("*_0.png"):
        file.unlink()
    with pytest.raises(DataError, match="none of 12 shop pictures"):
        evaluate(ToyEncoder(), only(shop))


def test_embeddings_that_are_not_finite_are_no_hits(shop: Manifest) -> None:
    with pytest.raises(UsageError, match="NaN"):
        evaluate(ToyEncoder(spoil=True), only(shop))


def test_the_cache_is_read_by_the_same_model_and_data_only(shop: Manifest, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = ToyEncoder(True)
    wanted = evaluate(first, only(shop), cache=cache)
    assert first.calls == 36
    again = ToyEncoder(True)
    found = evaluate(again, only(shop), cache=cache)
    assert again.calls == 0
    assert found.ranks.tolist() == wanted.ranks.tolist()
    other = ToyEncoder(True, name="other")
    evaluate(other, only(shop), cache=cache)
    assert other.calls == 36
    whole = ToyEncoder(True)
    evaluate(whole, only(shop, crop="query"), cache=cache)
    assert whole.calls == 24  # the gallery is the same, the photos are not
    for file in cache.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:50])
    repaired = ToyEncoder(True)
    assert evaluate(repaired, only(shop), cache=cache).ranks.tolist() == wanted.ranks.tolist()
    assert repaired.calls == 36


def test_no_cache_is_written_unless_asked(shop: Manifest) -> None:
    before = sorted(shop.root.rglob("*"))
    evaluate(ToyEncoder(), only(shop))
    assert sorted(shop.root.rglob("*")) == before


def test_progress_reaches_the_end(shop: Manifest) -> None:
    told: list[tuple[int, int]] = []
    evaluate(ToyEncoder(), only(shop), advance=lambda done, total: told.append((done, total)))
    assert told[-1] == (36, 36)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
