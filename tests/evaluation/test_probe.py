"""What can be seen is told from what can't: areas, ridge and verdicts against slow references."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SlowRidge
from sklearn.metrics import average_precision_score, roc_auc_score

from hemline.errors import UsageError
from hemline.evaluation._auc import FoldedArea, folded_average_precision
from hemline.evaluation._ridge import RIDGES, Ridge
from hemline.evaluation.probe import ProbeSettings, noise_list, probe
from hemline.tagging.clean import read_drop

RNG = np.random.default_rng(3)


@pytest.mark.parametrize(("rows", "columns"), [(60, 8), (20, 40), (30, 20)])
def test_ridge_is_the_one_with_the_least_leave_one_out_error(rows: int, columns: int) -> None:
    x = RNG.normal(size=(rows, columns))
    y = (x[:, :1] + RNG.normal(size=(rows, 3)) > 0).astype(float)
    scale = np.mean(np.linalg.svd(x - x.mean(0), compute_uv=False)[: min(rows - 1, columns)] ** 2)
    fresh = RNG.normal(size=(7, columns))
    ours = Ridge(x).score(y, fresh)
    for k in range(3):
        errors = []
        for ridge in RIDGES:
            error = 0.0
            for out in range(rows):  # the slow way: fit without each row in turn
                kept = np.arange(rows) != out
                # The closed form centres by the mean of all rows, so this does too, by weights.
                slow = SlowRidge(alpha=ridge * scale).fit(x[kept], y[kept, k])
                error += float((slow.predict(x[out : out + 1])[0] - y[out, k]) ** 2)
            errors.append(error)
        best = RIDGES[int(np.argmin(errors))]
        slow = SlowRidge(alpha=best * scale).fit(x, y[:, k])
        wanted = slow.predict(fresh) - y[:, k].mean()
        assert ours[:, k] == pytest.approx(wanted, abs=1e-8)


def test_area_within_folds_is_that_of_each_fold_by_its_pairs() -> None:
    scores = np.round(RNG.normal(size=90), 1)  # with ties
    labels = RNG.random(90) < 0.3
    folds = RNG.integers(0, 4, 90)
    pairs, right = 0, 0.0
    for fold in range(4):
        mine = folds == fold
        count = int(labels[mine].sum() * (~labels[mine]).sum())
        pairs += count
        right += count * roc_auc_score(labels[mine], scores[mine])
    area = FoldedArea(scores, labels, folds)
    assert area.value() == pytest.approx(right / pairs)
    weights = RNG.integers(0, 3, (1, 90)).astype(float)
    one = FoldedArea(scores, labels, np.zeros(90, int))
    wanted = roc_auc_score(labels, scores, sample_weight=weights[0])
    assert one.weighted(weights)[0] == pytest.approx(wanted)


def test_area_of_one_kind_only_is_none_and_equal_scores_are_chance() -> None:
    folds = np.zeros(6, int)
    assert math.isnan(FoldedArea(np.arange(6.0), np.ones(6, bool), folds).value())
    half = np.array([True, False] * 3)
    assert FoldedArea(np.zeros(6), half, folds).value() == 0.5


def test_average_precision_is_the_public_one() -> None:
    scores, labels = RNG.normal(size=50), RNG.random(50) < 0.3
    found = folded_average_precision(scores, labels, np.zeros(50, int))
    assert found == pytest.approx(average_precision_score(labels, scores))


def made(count: int, seed: int, coins: int = 2) -> tuple[np.ndarray, list[str], list[list[str]]]:
    """Two pictures of each product; ``visible`` shows in one direction, ``coin`` in none."""
    rng = np.random.default_rng(seed)
    visible = rng.random(count) < 0.3
    vectors = rng.normal(size=(count, 16))
    vectors[:, 2] += 1.5 * visible
    vectors = np.repeat(vectors, 2, 0) + 0.3 * rng.normal(size=(2 * count, 16))
    items = [f"p{k}" for k in range(count) for _ in range(2)]
    tags = []
    for k in range(count):
        of_item = [f"visible={'yes' if visible[k] else 'no'}"]
        of_item += [f"coin-{c}={'heads' if rng.random() < 0.5 else 'tails'}" for c in range(coins)]
        of_item += ["rare=thing"] if k < 3 else ["rare=other"]
        tags += [of_item, of_item]
    return vectors, items, tags


def test_a_visible_tag_is_seen_and_coins_are_not() -> None:
    vectors, items, tags = made(300, 0, coins=40)
    found = {v.tag: v for v in probe(vectors, items, tags, ProbeSettings(draws=200, shuffles=20))}
    seen = found["visible=yes"]
    assert seen.verdict == "seen"
    assert seen.low < seen.auc < seen.high
    assert 0.75 < seen.auc < 0.95
    assert seen.items + seen.others == 300
    assert found["rare=thing"].verdict == "too rare"
    assert math.isnan(found["rare=thing"].auc)
    coins = [v for tag, v in found.items() if tag.startswith("coin")]
    assert len(coins) == 80
    assert sum(v.verdict == "seen" for v in coins) <= 2
    assert abs(np.mean([v.auc for v in coins]) - 0.5) < 0.02
    assert sum(v.low <= 0.5 <= v.high for v in coins) >= 68  # 95 % of 80 would be 76


def test_where_nothing_is_visible_almost_nothing_is_seen() -> None:
    wrong = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        tags = [[f"coin-{c}={rng.integers(2)}" for c in range(40)] for _ in range(150)]
        vectors = rng.normal(size=(150, 30))
        verdicts = probe(
            vectors, [str(k) for k in range(150)], tags, ProbeSettings(draws=100, shuffles=10)
        )
        wrong += any(v.verdict == "seen" for v in verdicts)
    assert wrong <= 2  # each run is wrong at all with a chance of 0.05 at most


def test_a_product_s_pictures_never_stand_on_both_sides() -> None:
    """Copies of one picture under one product teach nothing about other products."""
    rng = np.random.default_rng(1)
    vectors = np.repeat(rng.normal(size=(60, 10)), 5, 0)
    items = [f"p{k}" for k in range(60) for _ in range(5)]
    tags = [[f"x={'a' if int(item[1:]) % 2 else 'b'}"] for item in items]
    (first, _) = probe(vectors, items, tags, ProbeSettings(draws=100))
    assert first.verdict != "seen"
    assert first.items == 30


def test_what_is_not_said_is_no_counter_example() -> None:
    vectors, items, tags = made(100, 2)
    for row in range(100):  # half of the products say nothing of the visible
        tags[row] = [t for t in tags[row] if not t.startswith("visible")]
    found = {v.tag: v for v in probe(vectors, items, tags, ProbeSettings(draws=50))}
    assert found["visible=yes"].items + found["visible=no"].items == 50


def test_the_same_seed_gives_the_same_verdicts() -> None:
    data = made(60, 4)
    assert str(probe(*data, ProbeSettings(draws=50))) == str(probe(*data, ProbeSettings(draws=50)))


def test_too_few_products_are_told() -> None:
    with pytest.raises(UsageError, match="9 products are too few for 5 folds"):
        probe(*made(9, 0))


def test_the_list_of_noise_is_what_data_tags_drops(tmp_path: Path) -> None:
    verdicts = probe(*made(200, 5), ProbeSettings(draws=50))
    report = {
        "model": "m", "fingerprint": "0" * 64, "domain": "shop", "items": 200,
        "tags": [v._asdict() for v in verdicts],
    }  # fmt: skip
    text = noise_list(report)
    file = tmp_path / "noise.txt"
    file.write_text(text)
    listed = read_drop(file)
    assert set(listed) == {v.tag for v in verdicts if v.verdict == "noise"}
    assert "# rare=thing # 3 products" in text
