"""DeepFashion Consumer-to-Shop (Z. Liu and others, CVPR 2016), three ways that papers measure it.

- ``consumer2shop``: the official gallery, all shop pictures of val and test.
- ``consumer2shop-test-shops``: the shop pictures of test only; easier, and often published.
- ``consumer2shop-upper``: the YNet paper's (ACM MM 2017, section 5.1, Table 2): upper clothes,
  split by product; one photo of each test product asks. The paper's draw isn't known; ours is
  seeded, in the paper's proportions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, roles
from hemline.data.relevance import compared, mask_of, match_items, text_column
from hemline.errors import DataError
from hemline.protocols._published import (
    CONSUMER2SHOP,
    CONSUMER2SHOP_TEST_SHOPS,
    CONSUMER2SHOP_UPPER,
)

#: The YNet paper's Table 2, DeepFashion.
UPPER_PRODUCTS, UPPER_TEST, UPPER_TEST_SHOPS = 19_387, 1_945, 2_637


def _partition(
    name: str, splits: tuple[str, ...], manifest: Manifest, choices: Choices
) -> tuple[Protocol, ...]:
    split, role = text_column(manifest, "split"), roles(manifest)
    items = text_column(manifest, "item_id")
    queries = np.flatnonzero((role == "query") & (split == "test"))
    gallery = np.flatnonzero((role == "gallery") & mask_of(split, splits))
    said = {
        "queries": "consumer photos of test",
        "gallery": f"all shop pictures of {' and '.join(splits)}",
        "items": "the products of the gallery and of the queries are kept out of training",
    }
    used = np.concatenate([queries, gallery])
    held_out = set(items[used].tolist())
    return (match_items(name, manifest, queries, gallery, choices, said, held_out),)


def official(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Queries of test among all shop pictures of val and test."""
    return _partition("consumer2shop", ("val", "test"), manifest, choices)


def test_shops(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Queries of test among the shop pictures of test."""
    return _partition("consumer2shop-test-shops", ("test",), manifest, choices)


def upper(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """One photo of each test product of the upper clothes, among the test products' pictures.

    Raises:
        DataError: the manifest has no column ``group``, or nothing of ``upper`` in both domains.
    """
    if "group" not in manifest.names:
        raise DataError(
            "protocol 'consumer2shop-upper' needs the column 'group' (upper, lower, full); make "
            "the manifest by 'hemline data read consumer2shop ROOT -o M'"
        )
    items, role = text_column(manifest, "item_id"), roles(manifest)
    ids = text_column(manifest, "image_id")
    upper = text_column(manifest, "group") == "upper"
    asks, answers = upper & (role == "query"), upper & (role == "gallery")
    both = np.asarray(sorted(set(items[asks].tolist()) & set(items[answers].tolist())), np.str_)
    if len(both) == 0:
        raise DataError("protocol 'consumer2shop-upper' finds no upper garment in both domains")
    rng = np.random.default_rng(choices.seed)
    count = max(1, round(len(both) * UPPER_TEST / UPPER_PRODUCTS))
    test = frozenset(both[rng.permutation(len(both))[:count]].tolist())
    inside = mask_of(items, test)
    chosen: dict[str, int] = {}
    photos = np.flatnonzero(asks & inside)
    photos = photos[np.argsort(ids[photos], kind="stable")]
    for row in photos[rng.permutation(len(photos))].tolist():
        chosen.setdefault(str(items[row]), row)
    queries = np.sort(np.fromiter(chosen.values(), np.int64, len(chosen)))
    gallery = np.flatnonzero(answers & inside)
    said = {
        "queries": f"one consumer photo of each test product, seed {choices.seed}",
        "gallery": "shop pictures of the test products",
        "items": (
            "upper clothes, split by product in the YNet paper's proportions; its own draw isn't "
            "known; the test products are kept out of training"
        ),
        "published_counts": "; ".join(
            (
                compared(UPPER_PRODUCTS, len(both), "upper products in both domains"),
                compared(UPPER_TEST, len(test), "test products and photos"),
                compared(UPPER_TEST_SHOPS, len(gallery), "test shop pictures"),
            )
        ),
    }
    name = "consumer2shop-upper"
    return (match_items(name, manifest, queries, gallery, choices, said, test),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "consumer2shop": ProtocolSpec(
        official,
        queries="consumer photos of test",
        gallery="all shop pictures of val and test: the official gallery",
        products="as published; kept out of training",
        crop="box",
        several="photo",
        published=CONSUMER2SHOP,
    ),
    "consumer2shop-test-shops": ProtocolSpec(
        test_shops,
        queries="consumer photos of test",
        gallery="shop pictures of test only: easier than the official one",
        products="as published; kept out of training",
        crop="box",
        several="photo",
        published=CONSUMER2SHOP_TEST_SHOPS,
    ),
    "consumer2shop-upper": ProtocolSpec(
        upper,
        queries="one consumer photo of each test product, upper clothes only",
        gallery="shop pictures of the test products",
        products="the YNet paper's proportions, seeded; kept out of training",
        several="photo",
        published=CONSUMER2SHOP_UPPER,
    ),
}
