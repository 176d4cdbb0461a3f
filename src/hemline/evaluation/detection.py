"""Average precision of a detector: how well boxes and scores find what is marked on the pictures.

The measure is COCO's (Lin et al., 2014, and its `cocoeval`): detections of all pictures in one
order by score; each takes the free truth of its picture that it overlaps most, from the overlap on
that is asked for; precision made falling; its mean at 101 recalls. `MEAN` averages over the
overlaps 0.5, 0.55 ... 0.95. Regions to ignore hold any number of detections, none of which counts:
one belongs to a region when the share asked for of *its own* area lies within, unless a truth took
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.data.boxes import overlaps
from hemline.data.garments import Garment, group_of, kind_of
from hemline.errors import UsageError
from hemline.evaluation.bootstrap import Interval
from hemline.types import Box, Detection

__all__ = [
    "MEAN",
    "THRESHOLDS",
    "Precision",
    "Truth",
    "average_precision",
    "by_class",
    "covers",
    "overlaps",
    "truths_of",
]

#: Overlaps (intersection over union) that `ap` averages over.
THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
#: The name of that average.
MEAN = "0.5:0.95"
#: Detections of a picture that count, the best first.
MOST = 100
_RECALLS = np.linspace(0.0, 1.0, 101)
#: A garment of which less is seen, or less lies within the frame, is a region to ignore ...
SEEN, INSIDE = 0.3, 0.25
#: ... and so is one whose shorter side is less than this share of the picture's longer one.
SMALL = 0.04

Floats = npt.NDArray[np.float64]


class Truth(NamedTuple):
    """A garment that is marked on a picture, or a region to ignore."""

    box: Box
    category: str
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class Precision:
    """What `average_precision` found.

    Attributes:
        ap: overlap → average precision, 0-1; NaN where nothing is to be found.
        mean: over `THRESHOLDS` (or those asked for).
        recall: overlap → the share of truths that any detection found.
        truths: how many are to be found.
        detections: how many were made and not ignored at the first overlap.
        interval: of ``mean`` and of each overlap, by name ("0.5", ..., "0.5:0.95"), at 95 %, over
            pictures; empty unless asked for.
    """

    ap: dict[float, float]
    mean: float
    recall: dict[float, float]
    truths: int
    detections: int
    interval: dict[str, Interval]


class _Scored(NamedTuple):
    """All detections, best first: scores (N,), their picture (N,), what became of them (T, N)."""

    scores: Floats
    pictures: npt.NDArray[np.int64]
    right: npt.NDArray[np.bool_]
    counted: npt.NDArray[np.bool_]
    truths: npt.NDArray[np.int64]


def truths_of(garments: Iterable[Garment], width: int, height: int) -> tuple[Truth, ...]:
    """The garments of a picture of so many pixels; what can hardly be seen is to be ignored."""
    small = SMALL * max(width, height)
    return tuple(
        Truth(
            garment.box,
            garment.category,
            garment.visible < SEEN
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


def average_precision(
    detections: Sequence[Sequence[Detection]],
    truths: Sequence[Sequence[Truth]],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    word: Callable[[str], str] | None = None,
    only: str | None = None,
    resamples: int = 0,
    seed: int = 0,
) -> Precision:
    """Average precision over pictures.

    Args:
        detections: of each picture (P,), in any order; the `MOST` best of each count.
        truths: of each picture (P,).
        thresholds: the overlaps (intersection over union) from which a detection is right.
        word: a category to what it is compared by: `group_of`, `kind_of`; None compares boxes alone
            and no category (class-agnostic).
        only: count only detections and truths with this word.
        resamples: of the pictures, for intervals; 0 for none.
        seed: of the resampling.

    Raises:
        UsageError: not one list of truths for each picture, or an overlap out of (0, 1].
    """
    if len(detections) != len(truths):
        raise UsageError(f"{len(detections)} pictures of detections, {len(truths)} of truths")
    levels = tuple(thresholds)
    if not levels or not all(0 < level <= 1 for level in levels):
        raise UsageError(f"overlaps are above 0 and at most 1, not {levels}")
    table = _scored(detections, truths, levels, word, only)
    here = np.ones(len(truths), np.int64)
    ap, recall = _precision(table, here)
    mean = float(ap.mean()) if len(ap) else float("nan")
    return Precision(
        ap=dict(zip(levels, ap.tolist(), strict=True)),
        mean=mean,
        recall=dict(zip(levels, recall.tolist(), strict=True)),
        truths=int(table.truths.sum()),
        detections=int(table.counted[0].sum()),
        interval=_intervals(table, levels, ap, resamples, seed) if resamples else {},
    )


def by_class(
    detections: Sequence[Sequence[Detection]],
    truths: Sequence[Sequence[Truth]],
    word: Callable[[str], str],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, Precision]:
    """`average_precision` of each word that any truth has, by word."""
    words = sorted({word(t.category) for own in truths for t in own if not t.ignore})
    return {
        name: average_precision(detections, truths, thresholds=thresholds, word=word, only=name)
        for name in words
    }


def _scored(
    detections: Sequence[Sequence[Detection]],
    truths: Sequence[Sequence[Truth]],
    levels: tuple[float, ...],
    word: Callable[[str], str] | None,
    only: str | None,
) -> _Scored:
    say = word or (lambda category: "")
    scores: list[float] = []
    pictures: list[int] = []
    right: list[npt.NDArray[np.bool_]] = []
    counted: list[npt.NDArray[np.bool_]] = []
    wanted = np.zeros(len(truths), np.int64)
    for place, (found, marked) in enumerate(zip(detections, truths, strict=True)):
        named = [(d, say(d.category)) for d in found]
        goal = [(t, say(t.category)) for t in marked]
        if only is not None:
            named = [pair for pair in named if pair[1] == only]
            goal = [pair for pair in goal if pair[1] == only]
        named = sorted(named, key=lambda pair: -pair[0].score)[:MOST]
        wanted[place] = sum(not t.ignore for t, _ in goal)
        good, ignored = _matched(named, goal, levels)
        scores += [d.score for d, _ in named]
        pictures += [place] * len(named)
        right.append(good)
        counted.append(~ignored)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    empty = np.zeros((len(levels), 0), bool)
    return _Scored(
        np.asarray(scores, np.float64)[order],
        np.asarray(pictures, np.int64)[order],
        np.concatenate([empty, *right], axis=1)[:, order],
        np.concatenate([empty, *counted], axis=1)[:, order],
        wanted,
    )


def _matched(
    found: Sequence[tuple[Detection, str]],
    marked: Sequence[tuple[Truth, str]],
    levels: tuple[float, ...],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For one picture, (T, N) each: whether a detection found a truth; whether it is ignored."""
    real = [(t, name) for t, name in marked if not t.ignore]
    void = [(t, name) for t, name in marked if t.ignore]
    boxes = [d.box for d, _ in found]
    names = np.array([name for _, name in found], dtype=object)

    def alike(others: Sequence[tuple[Truth, str]]) -> npt.NDArray[np.bool_]:
        same: npt.NDArray[np.bool_] = names[:, None] == np.array(
            [name for _, name in others], dtype=object
        )
        return same.reshape(len(found), len(others)).astype(bool)

    near = np.where(alike(real), overlaps(boxes, [t.box for t, _ in real]), -1.0)
    within = np.where(alike(void), overlaps(boxes, [t.box for t, _ in void], own=True), -1.0)
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


def _precision(table: _Scored, weight: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Average precision and recall (T,) where each picture counts ``weight`` (P,) times."""
    total = int((table.truths * weight).sum())
    levels = len(table.right)
    if total == 0:
        return np.full(levels, np.nan), np.full(levels, np.nan)
    times = weight[table.pictures]
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
    table: _Scored, levels: tuple[float, ...], ap: Floats, resamples: int, seed: int
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


#: Words to compare by, for `average_precision`.
WORDS: dict[str, Callable[[str], str]] = {"group": group_of, "class": kind_of}
