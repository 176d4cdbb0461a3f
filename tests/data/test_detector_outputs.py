"""From a detector's outputs to garments, against a slow telling of the same."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from hemline.data.boxes import overlaps, suppress
from hemline.data.detector_outputs import LAYERS, Heads, decode, layer_of
from hemline.data.garments import KINDS
from hemline.types import Box


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = wide * high
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / whole


def slow_suppress(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, at: float) -> list:
    left, kept = sorted(range(len(boxes)), key=lambda k: -scores[k]), []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [
            k for k in left if classes[k] != classes[best] or slow_iou(boxes[k], boxes[best]) <= at
        ]
    return kept


@pytest.mark.parametrize("seed", range(5))
def test_suppression(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 40, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(4, 40, (60, 2))], axis=1)
    scores, classes = rng.random(60), rng.integers(0, 3, 60)
    for at in (0.1, 0.5, 0.9):
        kept = suppress(boxes, scores, classes, at).tolist()
        assert kept == slow_suppress(boxes, scores, classes, at)
        assert 3 <= len(kept) < (60 if at < 0.9 else 61)
    assert suppress(np.zeros((0, 4)), [], [], 0.5).tolist() == []


def test_boxes_without_area_overlap_nothing() -> None:
    line = Box(3, 3, 3, 9)
    assert overlaps([line], [line]).tolist() == [[0.0]]


def outputs(spec: Heads, side: int) -> dict[str, np.ndarray]:
    return {
        "scores": np.full((2, len(spec.layers), side * side), -9.0, np.float32),
        "boxes": np.zeros((2, len(spec.layers), 4, side * side), np.float32),
        "kinds": np.zeros((2, len(spec.kinds), side * side), np.float32),
    }


def test_a_place_tells_its_box_and_its_kind() -> None:
    spec = Heads()
    given = outputs(spec, 5)
    layer, place = list(spec.layers).index("outer"), 2 * 5 + 3  # row 2, column 3
    given["scores"][1, layer, place] = 2.0
    given["boxes"][1, layer, :, place] = np.log(np.array([0.2, 0.1, 0.3, 0.5]) / spec.reach)
    given["kinds"][1, list(spec.kinds).index("shirt"), place] = 9.0  # not of this layer
    given["kinds"][1, list(spec.kinds).index("blazer"), place] = 1.0
    assert decode(given, 0, spec, 200, 100) == ()
    (found,) = decode(given, 1, spec, 200, 100)
    assert found.category == "blazer"
    assert found.score == pytest.approx(1 / (1 + np.exp(-2)))
    np.testing.assert_allclose(found.box, (100, 40, 200, 100), rtol=1e-5)


def test_layers_dont_suppress_each_other_and_alike_boxes_do() -> None:
    spec = Heads()
    given = outputs(spec, 8)
    for name, score in (("upper", 1.0), ("outer", 2.0)):
        layer = list(spec.layers).index(name)
        given["scores"][0, layer, 27:29] = [score, score - 0.5]
        given["boxes"][0, layer] = 1.0
    found = decode(given, 0, spec, 64, 64)
    assert [KINDS[d.category] for d in found] == ["upper", "upper"]
    assert [layer_of(d.category) for d in found] == ["outer", "upper"]


def test_wild_numbers_still_give_boxes_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    spec = Heads()
    given = {
        n: (rng.normal(0, 30, v.shape)).astype(np.float32) for n, v in outputs(spec, 6).items()
    }
    found = decode(given, 0, spec, 37, 1)
    assert 0 < len(found) <= 100
    for one in found:
        assert 0 <= one.box.x1 < one.box.x2 <= 37
        assert (one.box.y1, one.box.y2) == (0, 1)
        assert spec.min_score <= one.score <= 1


def test_layers_of_words() -> None:
    assert {layer_of(kind) for kind in KINDS} == set(LAYERS)
    assert layer_of("Outwear") == "outer"
    assert layer_of("upper") == "upper"
    assert layer_of("nothing at all") == ""
    with pytest.raises(ValidationError, match="layers .* differ"):
        Heads(layers=("upper",))
