"""A search result as JSON: one form for the command line and the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hemline.data.garments import group_of
from hemline.types import Box, Detection, Hit, SearchResult


def result_json(result: SearchResult, hit_json: Callable[[Hit], dict[str, Any]]) -> dict[str, Any]:
    """The result as plain values; ``hit_json`` gives the form of each hit."""
    return {
        "hits": [hit_json(hit) for hit in result.hits],
        "timings_ms": dict(result.timings_ms),
        "box": box_json(result.box),
        "offset": result.offset,
        "more": result.more,
        "revision": result.revision,
        "facets": {name: dict(facet) for name, facet in result.facets.items()},
        "detections": detections_json(result.detections),
        "note": result.note,
    }


def detections_json(found: Sequence[Detection]) -> list[dict[str, Any]]:
    return [
        {
            "box": box_json(one.box),
            "category": one.category,
            "group": group_of(one.category),
            "score": round(float(one.score), 6),
        }
        for one in found
    ]


def box_json(box: Box | None) -> list[float] | None:
    """x1, y1, x2, y2 to a hundredth of a pixel."""
    return None if box is None else [round(float(value), 2) for value in box]
