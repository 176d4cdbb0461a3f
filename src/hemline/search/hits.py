"""The hits of an answer, from ranked items and their rows."""

from __future__ import annotations

from collections.abc import Sequence

from hemline.bundle import BundleInfo, ScoreThresholds
from hemline.catalog.pointer import Live
from hemline.catalog.store import Row
from hemline.search.attention import attention_map
from hemline.search.ranking import RankedItem
from hemline.types import Hit

_LOOKED_UP = 50  # of the products on which thresholds were measured


def hits_of(
    found: Sequence[tuple[RankedItem, Row]],
    offset: int,
    info: BundleInfo,
    searched: tuple[int, int] | None,
    alike: ScoreThresholds | None,
) -> tuple[Hit, ...]:
    """The hits of ranked items, ranks counted from ``offset`` + 1.

    Args:
        found: each item with the row of its best image.
        searched: (width, height) of the part of the photo that was encoded; None leaves the
            attention out.
        alike: thresholds that hold for this catalogue, as of `thresholds_of`.
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
            alike=_alike(alike, product.score),
        )
        for rank, (product, row) in enumerate(found, start=offset + 1)
    )


def thresholds_of(live: Live) -> ScoreThresholds | None:
    """The bundle's score thresholds, if they were measured on products of this catalogue.

    Those of other pictures say nothing here: a score has no meaning of its own.
    """
    alike = live.bundle.info.alike
    if alike is None or not (measured := alike.data.get("items")):
        return None
    rows = live.store.items(measured[:_LOOKED_UP], vectors=False)
    there = len({row.item_id for row in rows})
    return alike if 2 * there >= len(measured[:_LOOKED_UP]) else None


def _alike(alike: ScoreThresholds | None, score: float) -> str | None:
    """``same``, ``similar`` or ``different``; None where the thresholds don't say."""
    if alike is None:
        return None
    if score >= alike.same:
        return "same"
    if score >= alike.similar:
        return "similar"
    return "different" if alike.data.get("tells_absent") else None
