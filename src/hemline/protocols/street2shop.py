"""Exact Street2Shop, each category by itself (M. H. Kiapour and others, ICCV 2015).

The street photo is cut to its box and searched among the shop photos of its category.
``street2shop/all`` and ``street2shop/ahbn`` (the six categories of the AHBN paper, section IV-A)
give a figure for each category and their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Parts, Protocol, ProtocolSpec, Published, roles
from hemline.data.relevance import match_items, text_column
from hemline.errors import DataError
from hemline.protocols._published import STREET2SHOP_AHBN, STREET2SHOP_TOPS

CATEGORIES = (
    "bags",
    "belts",
    "dresses",
    "eyewear",
    "footwear",
    "hats",
    "leggings",
    "outerwear",
    "pants",
    "skirts",
    "tops",
)
#: The six that overlap with Consumer-to-Shop.
AHBN = ("dresses", "leggings", "outerwear", "pants", "skirts", "tops")


def one_category(
    category: str, manifest: Manifest, choices: Choices, parts: Parts | None = None
) -> tuple[Protocol, ...]:
    """Test photos of the category among its shop photos, of every split."""
    role, split = roles(manifest), text_column(manifest, "split")
    kind, items = text_column(manifest, "category"), text_column(manifest, "item_id")
    queries = np.flatnonzero((role == "query") & (split == "test") & (kind == category))
    inside = (kind == category) if choices.within_category else np.ones(len(manifest), bool)
    gallery = np.flatnonzero((role == "gallery") & inside)
    said = {
        "queries": f"street photos of test, {category}",
        "gallery": f"all shop photos of {category}"
        if choices.within_category
        else "all shop photos of every category",
        "items": "the queries' products are kept out of training",
    }
    held_out = set(items[queries].tolist())
    name = f"street2shop/{category}"
    return (match_items(name, manifest, queries, gallery, choices, said, held_out, parts=parts),)


def several(
    name: str, categories: tuple[str, ...], manifest: Manifest, choices: Choices
) -> tuple[Protocol, ...]:
    """One protocol for each category that has photos of test and shop photos.

    Raises:
        DataError: no category has.
    """
    role, split = roles(manifest), text_column(manifest, "split")
    kind = text_column(manifest, "category")
    asking = set(kind[(role == "query") & (split == "test")].tolist())
    there = asking & set(kind[role == "gallery"].tolist())
    used = [category for category in categories if category in there]
    missing = [category for category in categories if category not in there]
    if not used:
        raise DataError(
            f"protocol {name!r} finds no category with street photos of test and shop photos; the "
            f"manifest's categories are: {', '.join(sorted(set(kind.tolist()))[:20]) or 'none'}"
        )
    words = f"{len(used)} of {len(categories)} categories: {', '.join(used)}"
    said = {
        "queries": "street photos of test of each category",
        "gallery": "all shop photos of the category"
        if choices.within_category
        else "all shop photos of every category",
        "categories": words + (f"; not here: {', '.join(missing)}" if missing else ""),
    }
    whole = Parts(name, "categories", said)
    return tuple(one_category(one, manifest, choices, whole)[0] for one in used)


def _published(category: str) -> tuple[Published, ...]:
    tops = STREET2SHOP_TOPS if category == "tops" else ()
    return (*tops, *(STREET2SHOP_AHBN if category in AHBN else ()))


def _set(name: str, categories: tuple[str, ...], words: str) -> ProtocolSpec:
    return ProtocolSpec(
        partial(several, name, categories),
        queries=f"street photos of test, {words}: a figure each, and the mean",
        gallery="all shop photos of the query's category",
        products="the queries' products are kept out of training",
        crop="query",
        within_category=True,
        several="photo",
        published=STREET2SHOP_AHBN,
    )


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "street2shop/all": _set("street2shop/all", CATEGORIES, "each of the eleven categories"),
    "street2shop/ahbn": _set("street2shop/ahbn", AHBN, "the AHBN paper's six categories"),
    **{
        f"street2shop/{category}": ProtocolSpec(
            partial(one_category, category),
            queries=f"street photos of test, {category}",
            gallery=f"all shop photos of {category}",
            products="the queries' products are kept out of training",
            crop="query",
            within_category=True,
            several="photo",
            published=_published(category),
        )
        for category in CATEGORIES
    },
}
