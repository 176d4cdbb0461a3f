"""The Siamese project's search among 1,000 and 10,000 shop images of Consumer-to-Shop (2018).

The report measures on validation (section 3: 100,000 pairs train, 50,000 validate) and gives the
two gallery sizes and recall@50, not how gallery and queries were drawn. Here items of a split are
drawn at random and their shop images taken until the gallery is full; every photo of the split that
shows an item of the gallery is a query, so each query can be answered. The larger gallery contains
the smaller one.

- ``siamese-val-1k``, ``siamese-val-10k``: on validation, as the report. An epoch that the same
  photos chose makes the figures optimistic; `hemline evaluate` counts such queries.
- ``siamese-1k``, ``siamese-10k``: the same on test, which no choice has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, Published, figures, roles
from hemline.data.relevance import compared, mask_of, match_items, text_column

_PROJECT, _NOTE = "Siamese project, 2018", "measured on validation; its draw isn't known"
SIAMESE_1K = figures(_PROJECT, "recall@50", {"VGG-19": 0.40, "Siamese": 0.553}, _NOTE)
SIAMESE_10K = figures(_PROJECT, "recall@50", {"VGG-19": 0.111, "Siamese": 0.222}, _NOTE)


def siamese(
    name: str, size: int, manifest: Manifest, choices: Choices, part: str = "test"
) -> tuple[Protocol, ...]:
    """Photos of products of the split ``part``, drawn at random, among ``size`` shop images of
    those products."""
    split, role = text_column(manifest, "split"), roles(manifest)
    items, ids = text_column(manifest, "item_id"), text_column(manifest, "image_id")
    asks = (role == "query") & (split == part)
    answers = np.flatnonzero((role == "gallery") & (split == part))
    both = sorted(set(items[asks].tolist()) & set(items[answers].tolist()))
    order = np.random.default_rng(choices.seed).permutation(len(both))
    place = {both[at]: number for number, at in enumerate(order.tolist())}
    ranked = sorted(
        (place[str(items[row])], str(ids[row]), int(row))
        for row in answers
        if str(items[row]) in place
    )[:size]
    gallery = np.sort(np.asarray([row for _, _, row in ranked], np.int64))
    drawn = frozenset(items[gallery].tolist())
    queries = np.flatnonzero(asks & mask_of(items, drawn))
    stated = {
        "queries": f"all consumer photos of {part} whose product is in the gallery",
        "gallery": f"shop pictures of {len(drawn):,} products of {part}, drawn by seed "
        f"{choices.seed}",
        "items": "kept out of training; the project's report doesn't say how it drew",
        "published_counts": compared(size, len(gallery), "gallery pictures"),
    }
    return (match_items(name, manifest, queries, gallery, choices, stated, drawn),)


def _spec(name: str, size: int, part: str, published: tuple[Published, ...]) -> ProtocolSpec:
    return ProtocolSpec(
        partial(siamese, name, size, part=part),
        queries=f"all consumer photos of {part} whose product is in the gallery",
        gallery=f"{size:,} shop pictures of {part}, by items drawn at random",
        products="as published; kept out of training",
        crop="box",
        several="photo",
        published=published,
    )


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "siamese-1k": _spec("siamese-1k", 1_000, "test", SIAMESE_1K),
    "siamese-10k": _spec("siamese-10k", 10_000, "test", SIAMESE_10K),
    "siamese-val-1k": _spec("siamese-val-1k", 1_000, "val", SIAMESE_1K),
    "siamese-val-10k": _spec("siamese-val-10k", 10_000, "val", SIAMESE_10K),
}
