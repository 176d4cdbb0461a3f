"""The hits of an answer, from ranked items and their rows."""

from __future__ import annotations

from collections.abc import Sequence

from hemline.bundle import BundleInfo
from hemline.catalog.store import Row
from hemline.search.attention import attention_map
from hemline.search.ranking import RankedItem
from hemline.types import Hit


def hits_of(
    found: Sequence[tuple[RankedItem, Row]],
    offset: int,
    info: BundleInfo,
    searched: tuple[int, int] | None,
) -> tuple[Hit, ...]:
    """The hits of ranked items, ranks counted from ``offset`` + 1.

    Args:
        found: each item with the row of its best image.
        searched: (width, height) of the part of the photo that was encoded; None leaves the
            attention out.
    """
    return tuple(
        Hit(
            image_id=row.image_id,
            item_id=row.item_id,
            score=product.score,
            rank=rank,
            columns=row.shown(),
            attention=None
            if product.attention is None or searched is None
            else attention_map(product.attention, info, searched),
            image_digest=row.image_digest,
            alike=_alike(info, product.score),
        )
        for rank, (product, row) in enumerate(found, start=offset + 1)
    )


def _alike(info: BundleInfo, score: float) -> str | None:
    """``same``, ``similar`` or ``different`` by the bundle's thresholds; None without them."""
    if info.alike is None:
        return None
    if score >= info.alike.same:
        return "same"
    return "similar" if score >= info.alike.similar else "different"
