"""Hits, items and attention maps as the JSON of the API."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from starlette.responses import Response

from hemline.catalog.store import Row
from hemline.types import FloatArray, Hit

_DRIVE = re.compile(r"[A-Za-z]:/|[A-Za-z][A-Za-z0-9+.-]*:///")


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; NaN and infinity become null."""
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


def shown_id(image_id: str) -> str:
    """An image_id without the server's folders: a path that is absolute, or leads upwards, becomes
    its file name behind a digest, which is always the same for the same path."""
    path = image_id.replace("\\", "/")
    if not (path.startswith("/") or _DRIVE.match(path) or ".." in path.split("/")):
        return image_id
    digest = hashlib.sha256(image_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{digest}-{path.rpartition('/')[2]}"


def shown_facets(facets: Mapping[str, Any]) -> dict[str, Any]:
    """Facets as JSON, with the image_ids of `shown_id`."""
    shown = dict(facets)
    if found := shown.get("image_id"):
        values = [[shown_id(value), count] for value, count in found["values"]]
        shown["image_id"] = {**found, "values": values}
    return shown


def hit_json(hit: Hit, pictures: str, attention: bool = False) -> dict[str, Any]:
    """A hit of an answer, with its attention map if ``attention`` is set; ``pictures`` is the
    address of the images."""
    shown: dict[str, Any] = {
        "item_id": hit.item_id,
        "image_id": shown_id(hit.image_id),
        "score": hit.score,
        "rank": hit.rank,
        "alike": hit.alike,
        "columns": dict(hit.columns),
        "picture": _address(hit.image_digest, pictures),
    }
    return shown | {"attention": attention_json(hit.attention)} if attention else shown


def attention_json(attention: FloatArray | None) -> dict[str, Any] | None:
    """An attention map (rows, columns) as its shape and its values row by row."""
    if attention is None:
        return None
    weights = [round(float(weight), 6) for weight in attention.ravel()]
    return {"grid": list(attention.shape), "weights": weights}


def _address(digest: str, pictures: str) -> str | None:
    """The path of the stored image with this digest, or None without one."""
    return f"{pictures}{digest}" if digest else None


def item_of(rows: Sequence[Row], pictures: str) -> dict[str, Any]:
    """A product with its images; its columns are those of the first image."""
    first = rows[0]
    return {
        "item_id": first.item_id,
        "category": first.category,
        "tags": list(first.tags),
        "columns": dict(first.columns),
        "pictures": [
            {"image_id": shown_id(row.image_id), "picture": _address(row.image_digest, pictures)}
            for row in rows
        ],
    }


def items_of(item_ids: Sequence[str], rows: Sequence[Row], pictures: str) -> list[dict[str, Any]]:
    """The products of ``rows`` in the order of ``item_ids``."""
    by_item: dict[str, list[Row]] = {}
    for row in rows:
        by_item.setdefault(row.item_id, []).append(row)
    return [item_of(by_item[item_id], pictures) for item_id in item_ids if item_id in by_item]
