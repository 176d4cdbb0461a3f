"""The generator's unseen items: its test photos against its test shop images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, roles
from hemline.data.relevance import match_items
from hemline.errors import DataError


def synthetic(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Items of ``test`` only, none of which may be in ``train`` or ``val``.

    Raises:
        DataError: an item of ``test`` is in another split too.
    """
    split = np.asarray(manifest.column("split"), dtype=np.str_)
    items = np.asarray(manifest.column("item_id"), dtype=np.str_)
    role = roles(manifest)
    test = split == "test"
    unseen = set(items[test].tolist())
    shared = unseen & set(items[(split == "train") | (split == "val")].tolist())
    if shared:
        raise DataError(
            f"{len(shared)} products of test are in train or val too (the first: "
            f"{min(shared)!r}); protocol 'synthetic' is for unseen products. Use --protocol default"
        )
    stated = {
        "queries": "street photos of test",
        "gallery": "shop pictures of test",
        "items": "none was seen in training",
    }
    queries = np.flatnonzero(test & (role == "query"))
    gallery = np.flatnonzero(test & (role == "gallery"))
    return (match_items("synthetic", manifest, queries, gallery, choices, stated, unseen),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "synthetic": ProtocolSpec(
        synthetic,
        queries="street photos of test",
        gallery="shop pictures of test",
        products="none is in train or val",
    )
}
