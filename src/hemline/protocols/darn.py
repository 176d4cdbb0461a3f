"""The DARN data: 1,717 pairs asked of 200,000 online pictures (J. Huang, ICCV 2015, §5.1).

The paper's draw isn't published; ours is seeded: 1,717 products, one photo of each. Their online
pictures stand first in the gallery, others drawn by lot follow, so that each smaller gallery of
the ladder (§5.5, Figure 6) is the beginning of a larger one and holds every query's product.
The figure's sizes aren't in the text; 10,000 is that of Table 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, roles
from hemline.data.relevance import compared, mask_of, match_items, text_column
from hemline.protocols._published import DARN

QUERIES, GALLERY = 1_717, 200_000
LADDER = (10_000, 50_000, 100_000, 150_000)


def darn(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """One photo of each drawn product, among its online pictures and others drawn by lot."""
    role, items = roles(manifest), text_column(manifest, "item_id")
    ids = text_column(manifest, "image_id")
    order = np.argsort(ids, kind="stable")  # the manifest's own order doesn't matter
    street, shop = order[role[order] == "query"], order[role[order] == "gallery"]
    both = sorted(set(items[street].tolist()) & set(items[shop].tolist()))
    rng = np.random.default_rng(choices.seed)
    drawn = frozenset(both[at] for at in rng.permutation(len(both))[:QUERIES].tolist())
    chosen: dict[str, int] = {}
    photos = street[mask_of(items[street], drawn)]
    for row in photos[rng.permutation(len(photos))].tolist():
        chosen.setdefault(str(items[row]), row)
    queries = np.sort(np.fromiter(chosen.values(), np.int64, len(chosen)))
    own = mask_of(items[shop], drawn)
    others = shop[~own]
    others = others[rng.permutation(len(others))]
    gallery = np.concatenate([shop[own], others])[:GALLERY]
    counts = (
        compared(QUERIES, len(queries), "queries"),
        compared(GALLERY, len(gallery), "gallery pictures"),
    )
    sizes = tuple(size for size in LADDER if size > int(own.sum()))
    said = {
        "queries": f"one photo of each of {len(queries):,} products, seed {choices.seed}",
        "gallery": f"their {int(own.sum()):,} online pictures, and others drawn by lot",
        "items": "the queries' products are kept out of training; the other online pictures aren't",
        "published_counts": "; ".join(counts),
    }
    return (match_items("darn", manifest, queries, gallery, choices, said, drawn, ladder=sizes),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "darn": ProtocolSpec(
        darn,
        queries="one photo of each of 1,717 products drawn by lot",
        gallery="200,000 online pictures, and recall@20 at 10,000 to 150,000 of them",
        products="the queries' products are kept out of training",
        crop="box",
        published=DARN,
    )
}
