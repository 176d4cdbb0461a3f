from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.toy_encoder import ToyEncoder
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, ProtocolGroup, Published
from hemline.datasets import build
from hemline.errors import UsageError
from hemline.evaluation.report import by_column, compare, report
from hemline.evaluation.run import EvaluationResult, evaluate
from hemline.views.report_table import table


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_colour_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def outcome(shop: Manifest) -> EvaluationResult:
    return evaluate(ToyEncoder(True), build("default", shop)[0])


def test_the_json_has_what_the_interfaces_promise(outcome: EvaluationResult) -> None:
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


def test_categories_add_up_to_the_whole(outcome: EvaluationResult) -> None:
    result = report([outcome])
    groups = result["categories"]
    assert set(groups) == {"even", "odd"}
    hits = sum(g["queries"] * g["recall@1"] for g in groups.values())
    assert hits == pytest.approx(result["queries"] * result["recall@1"])


def test_slices_by_quarters_of_a_number_and_by_word(outcome: EvaluationResult) -> None:
    slices = by_column([outcome], "clutter")
    assert len(slices) == 4
    assert sum(g["queries"] for g in slices.values()) == 24
    assert set(by_column([outcome], "category")) == {"even", "odd"}
    with pytest.raises(UsageError, match="no column"):
        by_column([outcome], "cluter")
    with pytest.raises(UsageError, match="lists"):
        by_column([outcome], "tags")


def test_slices_of_whole_numbers_share_no_end(
    shop: Manifest, outcome: EvaluationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: eight numbers gave "0 to 2", "2 to 4", with 2 in the second alone."""
    numbers = np.arange(len(shop)) % 8
    monkeypatch.setattr(Manifest, "column", lambda *_: numbers)
    slices = by_column([outcome], "others")
    asked = numbers[outcome.protocol.queries]
    ends = [tuple(map(int, name.split(" to "))) for name in slices]
    assert sorted(end for pair in ends for end in pair) == sorted({e for p in ends for e in p})
    for (low, *high), group in zip(ends, slices.values(), strict=True):
        inside = (asked >= low) & (asked <= (high or [low])[0])
        assert group["queries"] == int(inside.sum())


def test_compare_is_the_difference_on_the_same_queries(
    shop: Manifest, outcome: EvaluationResult
) -> None:
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


def test_the_table_says_it_in_words(outcome: EvaluationResult) -> None:
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


def test_pictures_are_counted_as_papers_do(shop: Manifest, outcome: EvaluationResult) -> None:
    """Slowly: the place of the first right picture when every wrong one as near stands ahead."""
    encoder = ToyEncoder(False)
    (part,) = build("default", shop)
    found = evaluate(encoder, part)
    images = [open_image(shop.file(int(row))) for row in part.gallery]
    gallery = encoder.encode_shop(images, [()] * len(images)).embedding
    items = shop.column("item_id")
    for place, row in enumerate(part.queries):
        asked = encoder.encode_street([open_image(shop.file(int(row)))]).embedding[0]
        far = np.linalg.norm(gallery - asked, axis=1)
        right = np.array([items[g] in part.relevant[place] for g in part.gallery])
        ahead = sum(1 for d, r in zip(far, right, strict=True) if not r and d < far[right].min())
        assert abs(int(found.image_ranks[place]) - ahead - 1) <= 1  # rounding of equal distances
    assert set(report([outcome])["pictures"]) == {f"recall@{k}" for k in (1, 5, 20, 50)}


@pytest.mark.parametrize("reranks", [False, True])
def test_a_ladder_measures_what_its_smaller_gallery_would(shop: Manifest, reranks: bool) -> None:
    (part,) = build("default", shop)
    laddered = replace(part, gallery_sizes=(5, 9))
    whole = evaluate(ToyEncoder(reranks), laddered)
    for size in (5, 9):
        alone = evaluate(ToyEncoder(reranks), replace(part, gallery=part.gallery[:size]))
        assert whole.ranks_by_size[size].tolist() == alone.ranks.tolist()
    steps = report([whole])["ladder"]
    assert [step["gallery"] for step in steps] == [5, 9, len(part.gallery)]
    lines: list[str] = []
    table(report([whole]), lines.append)
    assert any("pictures in the gallery" in line for line in lines)


def test_categories_have_a_figure_each_and_a_mean(shop: Manifest) -> None:
    (part,) = build("default", shop)
    whole = ProtocolGroup("set/all", "categories", {"queries": "of each"})
    parts = [
        replace(
            part,
            name=f"set/{n}",
            queries=part.queries[s],
            relevant=part.relevant[s],
            group=whole,
            published=(Published("a paper", "a model", "recall@20", None, "lost"),),
        )
        for n, s in enumerate((slice(0, 4), slice(4, None)))
    ]
    result = report([evaluate(ToyEncoder(), one) for one in parts])
    each = [one["recall@1"] for one in result["parts"]]
    assert result["mean_of_parts"]["recall@1"] == pytest.approx(sum(each) / 2)
    assert result["protocol"]["name"] == "set/all"
    assert result["protocol"]["queries"] == "of each"
    lines: list[str] = []
    table(result, lines.append)
    text = "\n".join(lines)
    assert "mean of these" in text
    assert "published, not measured here" in text
    assert "not available" in text
