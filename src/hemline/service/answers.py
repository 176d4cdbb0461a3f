"""What the engine answers as the JSON of the API."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from starlette.responses import Response

from hemline.bundle import BundleInfo
from hemline.catalog.store import Row
from hemline.data.garments import group_of
from hemline.types import Box, Detection, Hit, SearchResult
from hemline.views.hits_page import heat_of

PICTURES = "/v1/pictures/"


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; numbers that JSON doesn't have become null."""
    return Response(to_json(value), status, headers, "application/json")


def to_json(value: Any) -> bytes:
    """UTF-8, on one line."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=_plain)
    return text.encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def alike(info: BundleInfo, score: float) -> str | None:
    """How sure a score is: ``same``, ``similar`` or ``different``; None where it is unknown."""
    if info.alike is None:
        return None
    if score >= info.alike.same:
        return "same"
    return "similar" if score >= info.alike.similar else "different"


def hits_of(
    result: SearchResult, info: BundleInfo, shape: tuple[int, int] | None = None
) -> list[dict[str, Any]]:
    """The hits of an answer.

    Args:
        result: of the engine.
        info: of the bundle that found it.
        shape: (height, width) of the part of the photo that was searched with: brings each hit's
            attention over it.
    """
    return [_hit(hit, info, shape) for hit in result.hits]


def _hit(hit: Hit, info: BundleInfo, shape: tuple[int, int] | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "item_id": hit.item_id,
        "image_id": hit.image_id,
        "score": hit.score,
        "rank": hit.rank,
        "alike": alike(info, hit.score),
        "columns": dict(hit.columns),
        "picture": address(hit.picture),
    }
    if shape is not None:
        blank = np.broadcast_to(np.uint8(0), (*shape, 3))
        shown["attention"] = grid_of(heat_of(info, hit, np.asarray(blank)))
    return shown


def grid_of(heat: Any) -> dict[str, Any] | None:
    """Weights (rows, columns) with their shape."""
    if heat is None:
        return None
    return {"grid": list(heat.shape), "weights": [round(float(w), 6) for w in np.ravel(heat)]}


def address(picture: str) -> str | None:
    """Where the picture of a digest is to be had."""
    return f"{PICTURES}{picture}" if picture else None


def detections_of(found: Sequence[Detection]) -> list[dict[str, Any]]:
    return [
        {
            "box": box_of(one.box),
            "category": one.category,
            "group": group_of(one.category),
            "score": round(float(one.score), 6),
        }
        for one in found
    ]


def box_of(box: Box | None) -> list[float] | None:
    return None if box is None else [round(float(value), 2) for value in box]


def item_of(rows: Sequence[Row]) -> dict[str, Any]:
    """A product with all its pictures; its columns are those of the first."""
    first = rows[0]
    return {
        "item_id": first.item_id,
        "category": first.category,
        "tags": list(first.tags),
        "columns": dict(first.columns),
        "pictures": [{"image_id": row.image_id, "picture": address(row.picture)} for row in rows],
    }


def items_of(item_ids: Sequence[str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Products in the order of ``item_ids``, those that have rows."""
    owned: dict[str, list[Row]] = {}
    for row in rows:
        owned.setdefault(row.item_id, []).append(row)
    return [item_of(owned[item_id]) for item_id in item_ids if item_id in owned]
