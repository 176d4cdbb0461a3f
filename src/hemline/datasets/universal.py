"""The measure of the Google Universal Image Embedding Challenge (2022), over any manifest.

Source: N.-A. Ypsilantis and others, "Towards Universal Image Embeddings", ICCV 2023, arXiv
2309.01858, and the challenge's page: mean precision among the first five images, where a query with
n < 5 right images counts its first n only:

    mP@5 = 1/Q Σ_q 1/min(n_q, 5) Σ_{j ≤ min(n_q, 5)} rel_q(j)

The challenge's own images were never released. Protocol ``universal`` measures a manifest of any
kinds of objects this way: queries and gallery by ``role`` (or by domain), of ``test`` where there
is such a split, all kinds in one gallery, and each kind (``category``) on its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, figures, roles
from hemline.data.relevance import match_items, text_column

UNIVERSAL = figures(
    "arXiv 2210.09495",
    "mp@5",
    {"5th place of the challenge": 0.688},
    "the challenge's hidden images, private part; vectors of 64 numbers",
)


def universal(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """All queries among one gallery of all kinds."""
    role, split = roles(manifest), text_column(manifest, "split")
    part = np.isin(split, ["test", ""]) if (split == "test").any() else np.ones(len(split), bool)
    queries = np.flatnonzero((role == "query") & part)
    gallery = np.flatnonzero((role == "gallery") & part)
    stated = {
        "queries": "all queries of test",
        "gallery": "one gallery of all kinds",
        "items": "the queries' items are kept out of training",
    }
    held_out = set(text_column(manifest, "item_id")[queries].tolist())
    return (match_items("universal", manifest, queries, gallery, choices, stated, held_out),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "universal": ProtocolSpec(
        universal,
        queries="all queries of test, or of every split where none is test",
        gallery="one gallery of all kinds; mP@5",
        products="kept out of training",
        measures=("mp@5",),
        published=UNIVERSAL,
    )
}
