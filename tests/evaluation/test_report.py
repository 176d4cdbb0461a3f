from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.toy_encoder import ToyEncoder
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, build
from hemline.errors import UsageError
from hemline.evaluation.report import by_column, compare, report, table
from hemline.evaluation.run import Outcome, evaluate


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_colour_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def outcome(shop: Manifest) -> Outcome:
    return evaluate(ToyEncoder(True), build("default", shop)[0])


def test_the_json_has_what_the_interfaces_promise(outcome: Outcome) -> None:
    result = report([outcome])
    assert json.loads(json.dumps(result)) == result
    for k in (1, 5, 20, 50):
        share = float((outcome.ranks <= k).mean())
        assert result[f"recall@{k}"] == pytest.approx(share)
        low, high = result["intervals"][f"recall@{k}"]
        assert low <= share <= high
    assert (result["queries"], result["gallery"], result["gallery_products"]) == (24, 12, 12)
    assert result["protocol"]["crop"].startswith("none")
    assert (result["model"], result["fingerprint"]) == ("toy", "toy-True")
    assert set(result["first_search"]) == {"recall@1", "recall@5", "recall@20", "recall@50"}
    assert result["ndcg@20"] > 0
    assert result["seconds"]["queries"] > 0


def test_categories_add_up_to_the_whole(outcome: Outcome) -> None:
    result = report([outcome])
    groups = result["categories"]
    assert set(groups) == {"even", "odd"}
    hits = sum(g["queries"] * g["recall@1"] for g in groups.values())
    assert hits == pytest.approx(result["queries"] * result["recall@1"])


def test_slices_by_quarters_of_a_number_and_by_word(outcome: Outcome) -> None:
    slices = by_column([outcome], "clutter")
    assert len(slices) == 4
    assert sum(g["queries"] for g in slices.values()) == 24
    assert set(by_column([outcome], "category")) == {"even", "odd"}
    with pytest.raises(UsageError, match="no column"):
        by_column([outcome], "cluter")
    with pytest.raises(UsageError, match="lists"):
        by_column([outcome], "tags")


def test_compare_is_the_difference_on_the_same_queries(shop: Manifest, outcome: Outcome) -> None:
    other = evaluate(ToyEncoder(False), build("default", shop)[0])
    found = compare([outcome], [other])
    wanted = (outcome.ranks <= 1).mean() - (other.ranks <= 1).mean()
    assert found["difference"]["recall@1"]["value"] == pytest.approx(wanted)
    assert found["recall@1"] == pytest.approx((other.ranks <= 1).mean())
    fewer = evaluate(ToyEncoder(), build("default", shop.select(np.arange(30)))[0])
    with pytest.raises(UsageError, match="nothing to compare"):
        compare([outcome], [fewer])


def test_folds_are_pooled_over_their_queries(shop: Manifest) -> None:
    parts = [evaluate(ToyEncoder(), build("holdout", shop, Choices(seed=s))[0]) for s in (0, 1)]
    result = report(parts)
    sizes = [len(p.ranks) for p in parts]
    wanted = sum((p.ranks <= 1).sum() for p in parts) / sum(sizes)
    assert result["recall@1"] == pytest.approx(wanted)
    assert [fold["queries"] for fold in result["folds"]] == sizes


def test_the_table_says_it_in_words(outcome: Outcome) -> None:
    lines: list[str] = []
    result = report([outcome])
    result["against"] = [compare([outcome], [outcome])]
    result["slices"] = {"clutter": by_column([outcome], "clutter")}
    table(result, lines.append)
    text = "\n".join(lines)
    for word in ("recall@1", "95 %", "24 queries of 12 products", "before re-ranking", "clutter"):
        assert word in text
    assert "+0.000" in text


def test_no_outcome_is_refused() -> None:
    with pytest.raises(UsageError, match="no outcome"):
        report([])


def test_a_skipped_picture_is_told(tmp_path: Path) -> None:
    data = make_colour_shop(tmp_path)
    (tmp_path / "p03_1.png").write_bytes(b"nothing")
    result = report([evaluate(ToyEncoder(), build("default", data)[0])])
    assert [entry["path"] for entry in result["skipped"]] == ["p03_1.png"]
    lines: list[str] = []
    table(result, lines.append)
    assert any(line.startswith("skipped p03_1.png") for line in lines)
