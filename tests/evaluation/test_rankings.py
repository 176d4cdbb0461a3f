"""What a result keeps gives every measure again, without a second search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.toy_encoder import ToyEncoder
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.protocol import Published
from hemline.datasets import build
from hemline.errors import DataError, UsageError
from hemline.evaluation import vectors
from hemline.evaluation.embed import Block
from hemline.evaluation.ranker import Ranker
from hemline.evaluation.rankings import Rankings
from hemline.evaluation.report import per_query, report
from hemline.evaluation.run import EvaluationResult, evaluate
from hemline.ranking.metrics import MISS, item_distances, item_ranks


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_colour_shop(tmp_path_factory.mktemp("shop"), products=30, photos=3)


@pytest.fixture(scope="module")
def result(shop: Manifest) -> EvaluationResult:
    """Several right images for each query: all of its category."""
    (part,) = build("default", shop)
    items, words = shop.column("item_id"), shop.column("category")
    right = tuple(
        frozenset(items[g] for g in part.gallery if words[g] == words[q]) for q in part.queries
    )
    return evaluate(ToyEncoder(True), replace(part, relevant=right, gallery_sizes=(10,)))


def test_kept_ranks_survive_json_and_give_each_measure(result: EvaluationResult) -> None:
    kept = Rankings.from_json(report([result], ks=(1, 3, 20))["rankings"])
    direct = per_query([result], (1, 3, 7, 1000))
    for name, values in direct.items():
        assert kept.measure(name) == pytest.approx(values, rel=1e-6), name
    assert kept.measure("pictures@3").mean() == np.mean(result.image_ranks <= 3)
    assert kept.measure("recall@1234567").mean() == 1.0
    assert kept.arrays["ranks_by_size"][0].tolist() == [
        0 if rank > 30 else rank for rank in result.ranks_by_size[10]
    ]
    assert kept.arrays["top"].tolist() == result.top.tolist()


def test_precision_map_and_ndcg_are_those_of_the_slow_loop(
    shop: Manifest, result: EvaluationResult
) -> None:
    part, encoder = result.protocol, ToyEncoder(True)
    whole = evaluate(ToyEncoder(True), part, rerank_top=0)  # the order of the first search
    kept = Rankings.of([whole])
    images = [open_image(shop.file(int(row))) for row in part.gallery]
    gallery = encoder.encode_shop(images, [()] * len(images)).embedding
    items = shop.column("item_id")
    for place in range(0, len(part.queries), 7):
        row = int(part.queries[place])
        asked = encoder.encode_street([open_image(shop.file(row))]).embedding[0]
        order = np.argsort(np.linalg.norm(gallery - asked, axis=1), kind="stable")
        right = [items[part.gallery[g]] in part.relevant[place] for g in order]
        for k in (1, 5, 1000):
            precision = sum(right[:k]) / k
            assert kept.measure(f"precision@{k}")[place] == pytest.approx(precision)
            each = [sum(right[: n + 1]) / (n + 1) for n in range(min(k, len(right))) if right[n]]
            wanted = sum(each) / min(k, sum(right))
            assert kept.measure(f"map@{k}")[place] == pytest.approx(wanted)
            n = min(k, sum(right))  # the Universal Image Embedding Challenge's mP@k
            assert kept.measure(f"mp@{k}")[place] == pytest.approx(sum(right[:n]) / n)
        tags = set(shop[row].tags)
        gains = [len(tags & set(shop[int(part.gallery[g])].tags)) / len(tags) for g in order]
        discounts = 1 / np.log2(np.arange(2, 7))
        dcg = ((2.0 ** np.array(gains[:5]) - 1) * discounts).sum()
        best = ((2.0 ** np.array(sorted(gains)[::-1][:5]) - 1) * discounts).sum()
        assert kept.measure("ndcg@5")[place] == pytest.approx(dcg / best)


def test_ahbns_columns_count_images_on_the_protocols_it_measured(
    result: EvaluationResult,
) -> None:
    entry = Published("AHBN, TCSVT 2021", "AHBN", "acc@1", None, "")
    found = report([replace(result, protocol=replace(result.protocol, published=(entry,)))])
    assert result.image_ranks is not None
    assert found["accuracy"] == {
        f"acc@{k}": np.mean(result.image_ranks <= k) for k in (1, 10, 20, 30, 40, 50)
    }
    assert "accuracy" not in report([result])


def test_the_universal_protocol_reports_mean_precision_at_5(shop: Manifest) -> None:
    (part,) = build("universal", shop)
    one = evaluate(ToyEncoder(), part)
    found = report([one])
    assert found["mp@5"] == pytest.approx(Rankings.of([one]).measure("mp@5").mean())
    assert found["intervals"]["mp@5"][0] <= found["mp@5"] <= found["intervals"]["mp@5"][1]
    assert len(part.gallery) == (shop.column("domain") == "shop").sum()
    assert [entry["value"] for entry in found["published"]] == [0.688]


def test_ranks_are_those_of_the_distances_of_all_items(result: EvaluationResult) -> None:
    """With ties, images that are not searched, and queries without an answer."""
    part, count = result.protocol, len(result.protocol.gallery)
    arrays = {"embedding": np.zeros((count, 3), np.float32), "norm": np.ones(count, np.float32)}
    block = Block(0, np.ones(count, bool), arrays)
    ranker = Ranker(ToyEncoder(), part, vectors.GalleryVectors([block], count, 3))
    rng = np.random.default_rng(0)
    far = rng.integers(0, 12, (200, count)).astype(np.float32)
    far[rng.random(far.shape) < 0.3] = np.inf
    items = len(ranker.numbers)
    right = [frozenset(rng.choice(items, rng.integers(0, 4), replace=False).tolist()) for _ in far]
    wanted = item_ranks(item_distances(far, ranker.items, items), right)
    assert ranker._item_ranks(far, right).tolist() == wanted.tolist()
    assert {1, MISS} < set(wanted.tolist())


@pytest.mark.parametrize("name", ["recall", "recall@0", "recal@5", "map@1001", "mrr@2", "ndcg@x"])
def test_a_measure_that_is_none_is_refused(result: EvaluationResult, name: str) -> None:
    with pytest.raises(UsageError, match=r"there are recall@K|kept up to 1,000"):
        Rankings.of([result]).measure(name)


def test_damaged_ranks_are_one_sentence(result: EvaluationResult) -> None:
    found = Rankings.of([result]).to_json()
    for damaged in (found["arrays"][:-40], found["arrays"][40:], "!!", ""):
        with pytest.raises(DataError, match="the ranks of the result are damaged"):
            Rankings.from_json({**found, "arrays": damaged})


def test_the_digest_tells_other_questions_apart(shop: Manifest, result: EvaluationResult) -> None:
    (part,) = build("default", shop)
    digests = {
        Rankings.of([evaluate(ToyEncoder(), one)]).digest
        for one in (
            part,
            replace(part, gallery=part.gallery[:-1]),
            replace(part, queries=part.queries[::-1]),
            result.protocol,
        )
    }
    assert len(digests) == 4
    again = Rankings.of([evaluate(ToyEncoder(True, "other"), part)])
    assert again.digest in digests


@pytest.mark.parametrize("reranks", [False, True])
def test_a_mapped_gallery_gives_the_same_ranks(
    shop: Manifest, reranks: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (shop.root / "p03_0.png").rename(shop.root / "gone.png")
    try:
        (part,) = build("default", shop)
        wanted = evaluate(ToyEncoder(reranks), part)
        monkeypatch.setattr(vectors, "IN_MEMORY", 0)
        monkeypatch.setattr(vectors, "CHUNK", 7)
        mapped = evaluate(ToyEncoder(reranks), part, cache=tmp_path / "new")
    finally:
        (shop.root / "gone.png").rename(shop.root / "p03_0.png")
    assert mapped.skipped == wanted.skipped
    assert mapped.ranks.tolist() == wanted.ranks.tolist()
    assert mapped.top.tolist() == wanted.top.tolist()
    assert not [f for f in (tmp_path / "new").iterdir() if f.suffix != ".npz"]


def test_a_disk_without_room_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vectors, "IN_MEMORY", 0)
    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        vectors.GalleryVectors([], 5, 3)


def test_a_protocols_own_measures_are_reported(shop: Manifest) -> None:
    (part,) = build("universal", shop)
    found = report([evaluate(ToyEncoder(True), part)], ks=(1,))
    kept = Rankings.from_json(found["rankings"])
    assert found["mp@5"] == pytest.approx(kept.measure("mp@5").mean())
    low, high = found["intervals"]["mp@5"]
    assert low <= found["mp@5"] <= high
    assert {entry["metric"] for entry in found["published"]} == {"mp@5"}
    assert "mp@5" not in report([evaluate(ToyEncoder(True), build("default", shop)[0])])
