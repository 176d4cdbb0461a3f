"""Average precision against pycocotools, against COCO's rules in plain loops, and by hand."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hemline.data.boxes import overlaps
from hemline.data.garments import Garment, group_of, kind_of
from hemline.errors import UsageError
from hemline.evaluation.average_precision import (
    THRESHOLDS,
    GroundTruth,
    by_category,
    coco_average_precision,
    covers,
    ground_truth,
)
from hemline.types import Box, Detection

Found = list[list[Detection]]
Marked = list[list[GroundTruth]]


def shared(a: Box, b: Box) -> float:
    wide = min(a.x2, b.x2) - max(a.x1, b.x1)
    high = min(a.y2, b.y2) - max(a.y1, b.y1)
    return max(wide, 0.0) * max(high, 0.0)


def slow_iou(a: Box, b: Box) -> float:
    both = shared(a, b)
    return both / (a.width * a.height + b.width * b.height - both)


def slow_ap(found: Found, marked: Marked, level: float, word: str | None = None) -> float:
    """COCO's rules with loops: match by falling score, then precision at 101 recalls."""
    entries: list[tuple[float, int, int]] = []
    total = 0
    for place in range(len(found)):
        truths = [t for t in marked[place] if word in (None, group_of(t.category))]
        own = [d for d in found[place] if word in (None, group_of(d.category))]
        real = [t for t in truths if not t.ignore]
        total += len(real)
        taken: set[int] = set()
        for d in sorted(own, key=lambda d: -d.score)[:100]:
            best, at = level, -1
            for k, t in enumerate(real):
                if k in taken:
                    continue
                iou = slow_iou(d.box, t.box)
                if iou > best or (iou == best and at < 0):
                    best, at = iou, k
            if at >= 0:
                taken.add(at)
                entries.append((d.score, 1, place))
                continue
            area = d.box.width * d.box.height
            if any(t.ignore and shared(d.box, t.box) / area >= level for t in truths):
                continue
            entries.append((d.score, 0, place))
    entries.sort(key=lambda e: -e[0])
    points, right = [], 0
    for n, (_, hit, _) in enumerate(entries, 1):
        right += hit
        points.append((right / total, right / n))
    return (
        sum(max((p for r, p in points if r >= k / 100 - 1e-12), default=0.0) for k in range(101))
        / 101
    )


def random_scene(rng: np.random.Generator) -> tuple[list[Detection], list[GroundTruth]]:
    def box() -> Box:
        x, y = rng.uniform(0, 60, 2)
        w, h = rng.uniform(10, 40, 2)
        return Box(x, y, x + w, y + h)

    kinds = ("shirt", "coat", "jeans", "dress")
    truths = [
        GroundTruth(box(), kinds[int(rng.integers(4))], bool(rng.random() < 0.3))
        for _ in range(int(rng.integers(0, 5)))
    ]
    found = [
        Detection(Box(*(np.array(t.box) + rng.normal(0, 2.5, 4))), t.category, float(rng.random()))
        for t in truths
        for _ in range(int(rng.integers(0, 3)))
    ]
    found += [
        Detection(box(), kinds[int(rng.integers(4))], float(rng.random()))
        for _ in range(int(rng.integers(0, 3)))
    ]
    return found, truths


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_the_slow_rules_give(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng) for _ in range(30)]
    found, marked = [s[0] for s in scenes], [s[1] for s in scenes]
    for word, only in ((None, None), (group_of, "upper"), (group_of, "lower")):
        got = coco_average_precision(found, marked, category_of=word, only=only)
        for level in THRESHOLDS:
            assert got.ap[level] == pytest.approx(slow_ap(found, marked, level, only), abs=1e-9)
        assert got.mean == pytest.approx(np.mean(list(got.ap.values())))
    assert 0.05 < coco_average_precision(found, marked, thresholds=(0.5,)).ap[0.5] < 0.95


def pycocotools_ap(found: Found, marked: Marked, word: str | None) -> np.ndarray:
    """(T,) average precision of one group of garments, or of all without their categories."""
    names = ["", "upper", "lower", "full"]

    def number(category: str) -> int:
        return 0 if word is None else names.index(group_of(category))

    def row(n: int, image: int, box: Box, category: str) -> dict[str, object]:
        xywh = [box.x1, box.y1, box.width, box.height]
        return {
            "id": n, "image_id": image, "category_id": number(category), "bbox": xywh,
            "area": box.width * box.height,
        }  # fmt: skip

    truths = [(place, t) for place, own in enumerate(marked) for t in own]
    detections = [(place, d) for place, own in enumerate(found) for d in own]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": place} for place in range(len(marked))],
            "categories": [{"id": n} for n in range(len(names))],
            "annotations": [
                {**row(n, place, t.box, t.category), "iscrowd": int(t.ignore)}
                for n, (place, t) in enumerate(truths, 1)
            ],
        }
        coco.createIndex()
        results = coco.loadRes(
            [
                {**row(n, place, d.box, d.category), "score": d.score}
                for n, (place, d) in enumerate(detections, 1)
            ]
        )
        judge = COCOeval(coco, results, "bbox")
        judge.params.catIds = [0 if word is None else names.index(word)]
        judge.evaluate()
        judge.accumulate()
    return np.asarray(judge.eval["precision"])[:, :, 0, 0, -1].mean(axis=1)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_pycocotools_gives(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    scenes = [random_scene(rng) for _ in range(60)]
    found, marked = [s[0] for s in scenes], [s[1] for s in scenes]
    for only in (None, "upper", "lower", "full"):
        got = coco_average_precision(
            found, marked, category_of=None if only is None else group_of, only=only
        )
        wanted = pycocotools_ap(found, marked, only)
        np.testing.assert_allclose(list(got.ap.values()), wanted, atol=1e-9)
        assert got.mean == pytest.approx(wanted.mean())


def test_against_public_counts_by_hand() -> None:
    """Two of three truths are found, a wrong one stands between: 1 up to 1/3, 2/3 up to 2/3."""
    a, b, c = Box(0, 0, 10, 10), Box(20, 0, 30, 10), Box(40, 0, 50, 10)
    marked = [[GroundTruth(a, "shirt"), GroundTruth(b, "shirt"), GroundTruth(c, "shirt")]]
    found = [
        [
            Detection(a, "shirt", 0.9),
            Detection(Box(70, 70, 80, 80), "shirt", 0.8),
            Detection(b, "shirt", 0.7),
        ]
    ]
    got = coco_average_precision(found, marked, thresholds=(0.5,))
    assert got.ap[0.5] == pytest.approx((34 * 1.0 + 33 * 2 / 3) / 101)
    assert got.recall[0.5] == pytest.approx(2 / 3)
    assert (got.truths, got.detections) == (3, 3)


def test_a_truth_is_found_once_and_ignored_regions_swallow() -> None:
    a, region = Box(0, 0, 10, 10), Box(50, 0, 90, 40)
    marked = [[GroundTruth(a, "shirt"), GroundTruth(region, "coat", ignore=True)]]
    twice = [[Detection(a, "shirt", 0.5), Detection(a, "shirt", 0.4)]]
    assert coco_average_precision(twice, marked).ap[0.5] == 1.0
    first = [[Detection(Box(20, 20, 30, 30), "shirt", 0.9), Detection(a, "shirt", 0.4)]]
    assert coco_average_precision(first, marked).ap[0.5] == 0.5
    inside = [[Detection(Box(60, 5, 70, 15), "hat", 0.9), *twice[0][:1]]]
    assert coco_average_precision(inside, marked).mean == 1.0
    named = coco_average_precision(inside, marked, category_of=group_of)
    assert named.ap[0.5] == 0.5, "a region to ignore excuses only its own kind where kinds count"


def test_nothing_to_find_and_nothing_found() -> None:
    assert math.isnan(coco_average_precision([[]], [[]]).mean)
    box = Box(0, 0, 9, 9)
    none = coco_average_precision([[]], [[GroundTruth(box, "shirt")]])
    assert (none.mean, none.recall[0.5], none.detections) == (0.0, 0.0, 0)
    with pytest.raises(UsageError, match="1 pictures of detections, 2 of truths"):
        coco_average_precision([[]], [[], []])
    with pytest.raises(UsageError, match="overlaps are above 0"):
        coco_average_precision([[]], [[]], thresholds=(0.0,))


def test_by_class_and_by_group() -> None:
    box, far = Box(0, 0, 10, 10), Box(50, 50, 60, 60)
    marked = [[GroundTruth(box, "shirt"), GroundTruth(far, "jeans")]]
    found = [[Detection(box, "blouse", 0.9), Detection(far, "jeans", 0.8)]]
    kinds = by_category(found, marked, kind_of)
    assert {name: p.mean for name, p in kinds.items()} == {"jeans": 1.0, "shirt": 0.0}
    groups = by_category(found, marked, group_of)
    assert {name: p.mean for name, p in groups.items()} == {"lower": 1.0, "upper": 1.0}


def test_intervals_hold_the_figure_and_shrink_with_pictures() -> None:
    rng = np.random.default_rng(3)
    wide = []
    for count in (20, 320):
        scenes = [random_scene(rng) for _ in range(count)]
        found, marked = [s[0] for s in scenes], [s[1] for s in scenes]
        got = coco_average_precision(found, marked, resamples=200, seed=1)
        again = coco_average_precision(found, marked, resamples=200, seed=1)
        assert got.interval == again.interval
        interval = got.interval["0.5:0.95"]
        assert interval.low < got.mean == interval.value < interval.high
        wide.append(interval.high - interval.low)
    assert wide[1] < 0.5 * wide[0]


def test_what_is_hardly_seen_is_ignored() -> None:
    box = Box(0, 0, 50, 50)
    given = [
        Garment("shirt", box),
        Garment("shirt", box, visible=0.1),
        Garment("shirt", box, inside=0.1),
        Garment("bag", Box(0, 0, 50, 2)),
    ]
    assert [t.ignore for t in ground_truth(given, 100, 100)] == [False, True, True, True]


def test_covering_and_overlap() -> None:
    shirt = Box(10, 10, 30, 30)
    assert covers(Box(9, 9, 31, 31), shirt)
    assert not covers(Box(0, 0, 100, 100), shirt), "the whole picture is no answer"
    assert not covers(Box(10, 10, 30, 25), shirt), "a quarter is cut off"
    assert overlaps([shirt], [Box(20, 10, 40, 30)])[0, 0] == pytest.approx(1 / 3)
    assert overlaps([shirt], [Box(20, 10, 400, 300)], own=True)[0, 0] == pytest.approx(1 / 2)
    assert overlaps([], [shirt]).shape == (0, 1)
