"""The Grocery Store Dataset as a cross-domain search: phone photos against 81 shop pictures.

M. Klasson, C. Zhang, H. Kjellström, "A Hierarchical Grocery Store Image Dataset with Visual and
Semantic Labels", WACV 2019. The paper classifies; the search is this project's use.

- ``grocery``: the photos of ``val.txt``; products stand in train and test alike, as published.
- ``grocery-coarse``: the same, and every product of the photo's coarse class is right.
- ``grocery-folds``: five folds of products (``grocery_folds.json``) kept out of training
  altogether; all their photos of train and val ask, every shop picture is searched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Parts, Protocol, ProtocolSpec, roles
from hemline.data.relevance import match_items, text_column
from hemline.errors import DataError, UsageError


@lru_cache(maxsize=1)
def folds() -> tuple[frozenset[str], ...]:
    """The committed folds: each a set of item ids; together the 81 products."""
    text = resources.files("hemline.protocols").joinpath("grocery_folds.json").read_text("utf-8")
    return tuple(frozenset(names) for names in json.loads(text)["folds"])


def grocery(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Photos of ``val`` against every shop picture."""
    role = roles(manifest)
    split = np.asarray(manifest.column("split"), dtype=np.str_)
    said = {
        "queries": "phone photos of val",
        "gallery": "every shop picture",
        "items": "seen in training too, as published",
    }
    queries = np.flatnonzero((role == "query") & (split == "val"))
    gallery = np.flatnonzero(role == "gallery")
    return (match_items("grocery", manifest, queries, gallery, choices, said),)


def grocery_coarse(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Photos of ``val``; any product of the photo's coarse class (its category) is right.

    Raises:
        DataError: a row has no category.
    """
    role, split = roles(manifest), text_column(manifest, "split")
    kind, items = text_column(manifest, "category"), text_column(manifest, "item_id")
    if (kind == "").any():
        raise DataError(
            f"{int((kind == '').sum())} rows have no category; protocol 'grocery-coarse' takes the "
            "coarse class from it"
        )
    members: dict[str, set[str]] = {}
    for name, item in zip(kind.tolist(), items.tolist(), strict=True):
        members.setdefault(name, set()).add(item)
    right = {name: frozenset(products) for name, products in members.items()}
    said = {
        "queries": "phone photos of val",
        "gallery": "every shop picture",
        "items": "seen in training too, as published",
        "relevance": f"any product of the photo's coarse class, {len(right)} classes",
    }
    queries = np.flatnonzero((role == "query") & (split == "val"))
    gallery = np.flatnonzero(role == "gallery")
    return (
        match_items(
            "grocery-coarse",
            manifest,
            queries,
            gallery,
            choices,
            said,
            right=lambda row: right[str(kind[row])],
        ),
    )


def grocery_folds(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """One protocol for each fold of products, or the one of ``choices.fold``.

    Raises:
        UsageError: there is no such fold.
        DataError: the manifest isn't of these products.
    """
    known = folds()
    numbers = range(len(known))
    if choices.fold is not None:
        if choices.fold not in numbers:
            raise UsageError(f"fold is 0 to {len(known) - 1}, not {choices.fold}")
        numbers = range(choices.fold, choices.fold + 1)
    items = np.asarray(manifest.column("item_id"), dtype=np.str_)
    strange = set(items.tolist()) - frozenset().union(*known)
    if strange:
        raise DataError(
            f"{len(strange)} products are not in the committed folds of the grocery data (the "
            f"first: {min(strange)!r}); make the manifest by 'hemline data read grocery ROOT -o M'"
        )
    role = roles(manifest)
    gallery = np.flatnonzero(role == "gallery")
    whole = Parts(
        "grocery-folds",
        "folds",
        {
            "queries": "all phone photos of each fold's products",
            "items": f"{len(numbers)} folds of products, pooled over all queries",
        },
    )
    built = []
    for number in numbers:
        kept_out = known[number]
        inside = np.fromiter((item in kept_out for item in items.tolist()), bool, len(items))
        said = {
            "queries": f"all phone photos of the {len(kept_out)} products of fold {number}",
            "gallery": "every shop picture",
            "items": f"fold {number} of {len(known)} kept out of training altogether",
        }
        queries = np.flatnonzero((role == "query") & inside)
        built.append(
            match_items(
                f"grocery-folds/{number}",
                manifest,
                queries,
                gallery,
                choices,
                said,
                kept_out,
                parts=whole,
            )
        )
    return tuple(built)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "grocery": ProtocolSpec(
        grocery,
        queries="phone photos of val",
        gallery="all 81 shop pictures",
        products="seen in training too, as published",
    ),
    "grocery-coarse": ProtocolSpec(
        grocery_coarse,
        queries="phone photos of val; any product of the photo's coarse class is right",
        gallery="all 81 shop pictures",
        products="seen in training too, as published",
    ),
    "grocery-folds": ProtocolSpec(
        grocery_folds,
        queries="all photos of train and val of a fold's products",
        gallery="all 81 shop pictures",
        products="five committed folds, kept out of training altogether",
    ),
}
