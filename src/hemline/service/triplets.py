"""Pairs and triplets for training, from the feedback on one search."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from hemline.service.answers import shown_id


def pairs_of(
    search_id: str,
    feedback: Mapping[str, int],
    request: Mapping[str, Any],
    found: list[tuple[str, str, float]],
    photo: bytes | None,
    when: float,
) -> Iterator[dict[str, Any]]:
    """One for each right hit."""
    images = {item: shown_id(image) for item, image, _ in found}
    kept = None if photo is None else base64.b64encode(photo).decode("ascii")
    for positive in (item for item, right in feedback.items() if right):
        yield {
            "search_id": search_id,
            "time": when,
            "anchor": {"item_id": request.get("like"), "box": request.get("box"), "photo": kept},
            "positive": {"item_id": positive, "image_id": images.get(positive)},
        }


def triplets_of(
    search_id: str,
    feedback: Mapping[str, int],
    request: Mapping[str, Any],
    found: list[tuple[str, str, float]],
    photo: bytes | None,
    when: float,
) -> Iterator[dict[str, Any]]:
    images = {item: shown_id(image) for item, image, _ in found}
    order = [item for item, _, _ in found]
    wrong = [item for item, right in feedback.items() if not right]
    for pair in pairs_of(search_id, feedback, request, found, photo, when):
        positive = pair["positive"]["item_id"]
        before = order[: order.index(positive)] if positive in order else []
        passed = [item for item in before if item not in feedback]
        for negative in wrong or passed:
            yield {
                **pair,
                "negative": {"item_id": negative, "image_id": images.get(negative)},
                "negative_is": "wrong" if wrong else "passed over",
            }
