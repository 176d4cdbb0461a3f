"""DeepFashion In-Shop: shop pictures ask shop pictures (Z. Liu and others, CVPR 2016).

Figures by pose and by category are told too, as AHBN's Figure 8 has them (section IV-E).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec
from hemline.data.relevance import compared, match_items, text_column
from hemline.protocols._published import INSHOP

QUERIES, GALLERY = 14_218, 12_612


def inshop(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Rows of role ``query`` among those of role ``gallery``; both are named by the lists."""
    role, items = text_column(manifest, "role"), text_column(manifest, "item_id")
    queries, gallery = np.flatnonzero(role == "query"), np.flatnonzero(role == "gallery")
    said = {
        "queries": "pictures of role query, as published",
        "gallery": "pictures of role gallery, as published",
        "items": "the products of test are kept out of training",
        "published_counts": "; ".join(
            (
                compared(QUERIES, len(queries), "query pictures"),
                compared(GALLERY, len(gallery), "gallery pictures"),
            )
        ),
    }
    held_out = set(items[queries].tolist()) | set(items[gallery].tolist())
    return (match_items("inshop", manifest, queries, gallery, choices, said, held_out),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "inshop": ProtocolSpec(
        inshop,
        queries="pictures of role query",
        gallery="pictures of role gallery",
        products="as published; kept out of training",
        slices=("pose",),
        published=INSHOP,
    )
}
