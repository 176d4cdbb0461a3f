from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.toy_encoder import ToyEncoder
from hemline.data.images import open_image
from hemline.datasets import build
from hemline.evaluation.report import report
from hemline.evaluation.run import evaluate
from hemline.learn.training.validation import ranks, summary
from hemline.ranking.merge import RERANK_TOP
from hemline.ranking.metrics import MISS


def slow_rank(street: np.ndarray, shop: np.ndarray, wanted: int, items: np.ndarray) -> int:
    distance = {}
    for vector, item in zip(shop, items, strict=True):
        d = float(((street - vector) ** 2).sum())
        distance[item] = min(d, distance.get(item, np.inf))
    return sum(d <= distance[wanted] + 1e-9 for d in distance.values())


def unit(count: int, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.standard_normal((count, 6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float64)


def test_ranks_agree_with_a_loop_over_products() -> None:
    rng = np.random.default_rng(0)
    items = rng.integers(0, 12, 40)
    items[:12] = np.arange(12)
    shop, street = unit(40, rng), unit(25, rng)
    wanted = rng.integers(0, 12, 25)
    found, served = ranks(street, shop, wanted, items)
    assert served.tolist() == found.tolist()
    expected = [slow_rank(s, shop, w, items) for s, w in zip(street, wanted, strict=True)]
    assert found.tolist() == expected


def test_a_constant_embedding_finds_nothing() -> None:
    same = np.ones((4, 3), np.float32) / np.float32(3**0.5)
    rank, _ = ranks(same, same, np.arange(4), np.arange(4))
    assert rank.tolist() == [4, 4, 4, 4]


def test_summary_counts_shares() -> None:
    figures = summary(np.array([1, 2, 6, 40]))
    assert figures["recall@1"] == 0.25
    assert figures["recall@5"] == 0.5
    assert figures["recall@20"] == 0.75
    assert figures["recall@50"] == 1.0
    assert abs(figures["mrr"] - (1 + 1 / 2 + 1 / 6 + 1 / 40) / 4) < 1e-12


def test_reranking_orders_the_first_ones_and_leaves_the_rest() -> None:
    """By how little the context looks like the query."""
    rng = np.random.default_rng(1)
    shop, street = unit(300, rng), unit(6, rng)
    items, wanted = np.arange(300) % 150, np.array([0, 1, 2, 3, 4, 0])
    first, found = ranks(street, shop, wanted, items, lambda q, near: shop[near] @ street[q])
    expected = []
    for q in range(6):
        order = sorted(range(300), key=lambda g: -float(street[q] @ shop[g]))
        near = sorted(order[:RERANK_TOP], key=lambda g: float(street[q] @ shop[g]))
        names = list(dict.fromkeys(items[near + order[RERANK_TOP:]].tolist()))
        expected.append(names.index(wanted[q]) + 1)
    assert found.tolist() == expected
    assert first.tolist() != expected


@pytest.mark.parametrize("reranks", [False, True])
def test_it_measures_what_evaluate_measures(tmp_path: Path, reranks: bool) -> None:
    """The same embeddings give the same ranks, with equal embeddings and missing items."""
    shop = make_colour_shop(tmp_path)
    for name in ("p01_0.png", "p02_0.png"):  # two items of one image: ties
        shutil.copy(shop.root / "p03_0.png", shop.root / name)
    (shop.root / "p04_0.png").unlink()  # the gallery lacks it
    encoder, (protocol,) = ToyEncoder(reranks), build("default", shop)
    result = evaluate(encoder, protocol)

    def coded(rows: np.ndarray, street: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = np.array([row for row in rows if shop.file(int(row)).is_file()])
        images = [open_image(shop.file(int(row))) for row in rows]
        items = np.asarray(shop.column("item_id"), dtype=np.str_)[rows]
        if street:
            encoding = encoder.encode_street(images)
            return encoding.embedding, np.asarray(encoding.local), items
        found = encoder.encode_shop(images, [()] * len(images))
        return found.embedding, found.embedding * found.norm[:, None], items

    street, local, wanted = coded(protocol.queries, True)
    gallery, contexts, items = coded(protocol.gallery, False)
    _, numbers = np.unique(np.concatenate([wanted, items]), return_inverse=True)
    first, served = ranks(
        street, gallery, numbers[: len(wanted)], numbers[len(wanted) :],
        (lambda q, near: encoder.rerank(local[q], contexts[near]).distance) if reranks else None,
    )  # fmt: skip
    assert served.tolist() == result.ranks.tolist()
    assert MISS in served
    assert summary(served) == {
        name: value for name, value in report([result]).items() if name in summary(served)
    }
    if result.first_ranks is not None:
        assert first.tolist() == result.first_ranks.tolist()
