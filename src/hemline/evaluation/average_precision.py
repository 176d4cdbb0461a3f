"""COCO average precision of a garment detector, with intervals over images.

Source: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its
``cocoeval``; the tests compare with pycocotools. All detections are ordered by score; each takes
the free ground truth of its image that it overlaps most, if by the threshold or more; precision is
made falling and averaged at 101 recalls. `MEAN` averages over the thresholds 0.5, 0.55 ... 0.95.

Regions to ignore are COCO's crowds: a detection that took no ground truth and lies within one by
the threshold's share of *its own* area doesn't count, neither as right nor as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.data.boxes import overlaps
from hemline.data.garments import Garment
from hemline.errors import UsageError
from hemline.evaluation.bootstrap import Interval
from hemline.types import Box, Detection

__all__ = [
    "MEAN",
    "THRESHOLDS",
    "AveragePrecision",
    "GroundTruth",
    "by_category",
    "coco_average_precision",
    "covers",
    "ground_truth",
]

#: Overlaps (intersection over union) that the mean averages over.
THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
#: The name of that mean.
MEAN = "0.5:0.95"
#: Detections of an image that count, the best first.
MAX_DETECTIONS = 100
_RECALLS = np.linspace(0.0, 1.0, 101)
#: A garment of which less is visible, or less lies within the frame, is a region to ignore ...
VISIBLE, INSIDE = 0.3, 0.25
#: ... and so is one whose shorter side is less than this share of the image's longer one.
SMALL = 0.04

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class GroundTruth(NamedTuple):
    """An annotated garment, or a region to ignore."""

    box: Box
    category: str
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """What `coco_average_precision` measures.

    Attributes:
        ap: threshold → average precision, 0-1; NaN without ground truth.
        mean: of ``ap`` over the thresholds.
        recall: threshold → share (0-1) of the ground truth that any detection found.
        truths: number of garments that don't count as ignored.
        detections: number of detections not ignored at the first threshold.
        interval: of each threshold and of ``mean``, by name ("0.5", ..., "0.5:0.95"), at 95 %, over
            images; empty without resamples.
    """

    ap: dict[float, float]
    mean: float
    recall: dict[float, float]
    truths: int
    detections: int
    interval: dict[str, Interval]


class _Matched(NamedTuple):
    """All N detections, best score first.

    Attributes:
        images: (N,) image of each.
        right, counted: (T, N) whether it took a ground truth; whether it isn't ignored.
        truths: (P,) number of garments on each image.
    """

    images: npt.NDArray[np.int64]
    right: Mask
    counted: Mask
    truths: npt.NDArray[np.int64]


def ground_truth(garments: Iterable[Garment], width: int, height: int) -> tuple[GroundTruth, ...]:
    """The garments of an image of so many pixels; those that are hardly visible are ignored."""
    small = SMALL * max(width, height)
    return tuple(
        GroundTruth(
            garment.box,
            garment.category,
            garment.visible < VISIBLE
            or garment.inside < INSIDE
            or min(garment.box.width, garment.box.height) < small,
        )
        for garment in garments
    )


def covers(found: Box, garment: Box, *, share: float = 0.9, waste: float = 0.5) -> bool:
    """Whether a box covers a garment: at least ``share`` of it, and at most ``waste`` of the box
    is anything else."""
    inside = float(overlaps([garment], [found], own=True)[0, 0])
    filled = float(overlaps([found], [garment], own=True)[0, 0])
    return inside >= share and filled >= 1.0 - waste


def coco_average_precision(
    detections: Sequence[Sequence[Detection]],
    truths: Sequence[Sequence[GroundTruth]],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    category_of: Callable[[str], str] | None = None,
    only: str | None = None,
    resamples: int = 0,
    seed: int = 0,
) -> AveragePrecision:
    """COCO's average precision over P images.

    Args:
        detections: of each image, in any order; its `MAX_DETECTIONS` best count.
        truths: of each image.
        thresholds: the T overlaps (intersection over union) from which a detection is right.
        category_of: maps a category to the one that is compared (`group_of`, `kind_of`); None
            ignores categories (class-agnostic).
        only: count only this mapped category.
        resamples: of the images, for the intervals; 0 for none.
        seed: of the resampling.

    Raises:
        UsageError: not one list of truths for each image, or a threshold out of (0, 1].
    """
    if len(detections) != len(truths):
        raise UsageError(f"{len(detections)} pictures of detections, {len(truths)} of truths")
    levels = tuple(thresholds)
    if not levels or not all(0 < level <= 1 for level in levels):
        raise UsageError(f"overlaps are above 0 and at most 1, not {levels}")
    matched = _match(detections, truths, levels, category_of, only)
    ap, recall = _precision(matched, np.ones(len(truths), np.int64))
    return AveragePrecision(
        ap=dict(zip(levels, ap.tolist(), strict=True)),
        mean=float(ap.mean()),
        recall=dict(zip(levels, recall.tolist(), strict=True)),
        truths=int(matched.truths.sum()),
        detections=int(matched.counted[0].sum()),
        interval=_intervals(matched, levels, ap, resamples, seed) if resamples else {},
    )


def by_category(
    detections: Sequence[Sequence[Detection]],
    truths: Sequence[Sequence[GroundTruth]],
    category_of: Callable[[str], str],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, AveragePrecision]:
    """`coco_average_precision` of each mapped category of the ground truth."""
    names = sorted({category_of(t.category) for own in truths for t in own if not t.ignore})
    return {
        name: coco_average_precision(
            detections, truths, thresholds=thresholds, category_of=category_of, only=name
        )
        for name in names
    }


def _match(
    detections: Sequence[Sequence[Detection]],
    truths: Sequence[Sequence[GroundTruth]],
    levels: tuple[float, ...],
    category_of: Callable[[str], str] | None,
    only: str | None,
) -> _Matched:
    mapped = category_of or (lambda category: "")
    scores: list[float] = []
    images: list[int] = []
    right: list[Mask] = [np.zeros((len(levels), 0), bool)]
    counted: list[Mask] = [np.zeros((len(levels), 0), bool)]
    totals = np.zeros(len(truths), np.int64)
    for place, (found, marked) in enumerate(zip(detections, truths, strict=True)):
        named = [(d, mapped(d.category)) for d in found]
        goal = [(t, mapped(t.category)) for t in marked]
        if only is not None:
            named = [pair for pair in named if pair[1] == only]
            goal = [pair for pair in goal if pair[1] == only]
        named = sorted(named, key=lambda pair: -pair[0].score)[:MAX_DETECTIONS]
        totals[place] = sum(not t.ignore for t, _ in goal)
        good, ignored = _match_image(named, goal, levels)
        scores += [d.score for d, _ in named]
        images += [place] * len(named)
        right.append(good)
        counted.append(~ignored)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    return _Matched(
        np.asarray(images, np.int64)[order],
        np.concatenate(right, axis=1)[:, order],
        np.concatenate(counted, axis=1)[:, order],
        totals,
    )


def _match_image(
    found: Sequence[tuple[Detection, str]],
    marked: Sequence[tuple[GroundTruth, str]],
    levels: tuple[float, ...],
) -> tuple[Mask, Mask]:
    """For one image, (T, N) each: whether a detection took a truth; whether it is ignored."""
    real = [pair for pair in marked if not pair[0].ignore]
    void = [pair for pair in marked if pair[0].ignore]
    boxes = [d.box for d, _ in found]
    names = np.array([name for _, name in found], dtype=np.str_)

    def shared(others: Sequence[tuple[GroundTruth, str]], own: bool) -> Floats:
        """(N, M) overlaps, -1 between different categories."""
        same = names[:, None] == np.array([name for _, name in others], dtype=np.str_)
        return np.where(same, overlaps(boxes, [t.box for t, _ in others], own=own), -1.0)

    near, within = shared(real, own=False), shared(void, own=True)
    good = np.zeros((len(levels), len(found)), bool)
    ignored = np.zeros_like(good)
    for row, level in enumerate(levels):
        free = np.ones(len(real), bool)
        for k in range(len(found)):
            gaps = np.where(free, near[k], -1.0)
            best = int(gaps.argmax()) if len(real) else -1
            if best >= 0 and gaps[best] >= min(level, 1 - 1e-10):
                free[best] = False
                good[row, k] = True
            elif len(void) and float(within[k].max()) >= level:
                ignored[row, k] = True
    return good, ignored


def _precision(table: _Matched, weight: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Average precision and recall (T,) where each image counts ``weight`` (P,) times."""
    total = int((table.truths * weight).sum())
    levels = len(table.right)
    if total == 0:
        return np.full(levels, np.nan), np.full(levels, np.nan)
    times = weight[table.images]
    ap, recall = np.zeros(levels), np.zeros(levels)
    for row in range(levels):
        hit = np.cumsum(times * table.right[row])
        miss = np.cumsum(times * (table.counted[row] & ~table.right[row]))
        if not len(hit):
            continue
        reached = hit / total
        precision = hit / np.maximum(hit + miss, 1)
        falling = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(reached, _RECALLS, side="left")
        ap[row] = np.append(falling, 0.0)[at].mean()
        recall[row] = reached[-1]
    return ap, recall


def _intervals(
    table: _Matched, levels: tuple[float, ...], ap: Floats, resamples: int, seed: int
) -> dict[str, Interval]:
    rng = np.random.default_rng(seed)
    count = len(table.truths)
    drawn = []
    for _ in range(resamples):
        weight = np.bincount(rng.integers(0, count, count), minlength=count)
        drawn.append(_precision(table, weight)[0])
    values = np.array(drawn)
    columns = {f"{level:g}": (ap[k], values[:, k]) for k, level in enumerate(levels)}
    columns[MEAN if levels == THRESHOLDS else "mean"] = ap.mean(), values.mean(axis=1)
    return {
        name: Interval(float(value), *(float(v) for v in np.nanquantile(column, (0.025, 0.975))))
        for name, (value, column) in columns.items()
    }
