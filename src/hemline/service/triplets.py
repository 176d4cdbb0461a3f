"""Triplets for training, from the feedback on one search."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from hemline.service.answers import shown_id


def triplets_of(
    search_id: str,
    feedback: Mapping[str, int],
    request: Mapping[str, Any],
    found: list[tuple[str, str, float]],
    photo: bytes | None,
    when: float,
) -> Iterator[dict[str, Any]]:
    """See `hemline.service.journal.Journal.triplets`."""
    images = {item: shown_id(image) for item, image, _ in found}
    order = [item for item, _, _ in found]
    kept = None if photo is None else base64.b64encode(photo).decode("ascii")
    anchor = {"item_id": request.get("like"), "box": request.get("box"), "photo": kept}
    wrong = [item for item, is_right in feedback.items() if not is_right]
    right = [item for item, is_right in feedback.items() if is_right]
    for positive in right or (None,):
        before = order[: order.index(positive)] if positive in order else []
        passed = [item for item in before if item not in feedback]
        for negative in wrong or passed or (None,):
            named = {"positive": positive, "negative": negative}
            yield {
                "search_id": search_id,
                "time": when,
                "anchor": anchor,
                **{
                    side: item and {"item_id": item, "image_id": images.get(item)}
                    for side, item in named.items()
                },
                "negative_is": "wrong" if wrong else "passed over" if passed else "none",
            }
