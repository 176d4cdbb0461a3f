"""How many garments of photos a detector finds and covers, with intervals over photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hemline.data.boxes import overlaps
from hemline.data.garments import group_of
from hemline.evaluation.average_precision import GroundTruth, coco_average_precision, covers
from hemline.evaluation.bootstrap import cluster_interval
from hemline.runtime.detector import grown
from hemline.types import Detection

#: What is told apart: clothes, shoes, bags.
SORTS = ("clothes", "footwear", "bag")


def sort_of(category: str) -> str:
    """Clothes, footwear or bag."""
    group = group_of(category)
    return group if group in SORTS else "clothes"


def coverage(
    found: Sequence[Sequence[Detection]],
    truths: Sequence[Sequence[GroundTruth]],
    sizes: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """For clothes, shoes and bags: the share of garments that some detection finds (overlap 0.5 or
    more) and covers as a search would crop it (its box with the margin holds at least 0.9 of the
    garment, and at least half of it is the garment).

    Args:
        found: of each image, those that reach the threshold.
        truths: of each image; those to ignore don't count.
        sizes: width and height of each image.
    """
    result: dict[str, Any] = {}
    for sort in SORTS:
        hits: dict[str, list[float]] = {"found": [], "covered": []}
        photos: list[str] = []
        for place, (own, marked, size) in enumerate(zip(found, truths, sizes, strict=True)):
            boxes = [d.box for d in own if sort_of(d.category) == sort]
            for truth in marked:
                if truth.ignore or sort_of(truth.category) != sort:
                    continue
                best = overlaps(boxes, [truth.box]).max(initial=0.0)
                hits["found"].append(float(best >= 0.5))
                cropped = any(covers(grown(box, *size), truth.box) for box in boxes)
                hits["covered"].append(float(cropped))
                photos.append(str(place))
        if photos:
            result[sort] = {"garments": len(photos)}
            for name, values in hits.items():
                at = cluster_interval(values, photos)
                result[sort][name] = round(at.value, 4)
                result[sort][f"interval {name}"] = [round(at.low, 4), round(at.high, 4)]
    one = coco_average_precision(found, truths, thresholds=(0.5,))
    right = one.recall[0.5] * one.truths
    result["precision"] = round(right / max(one.detections, 1), 4)
    return result
