"""Which rows of a manifest train, which ask and which answer in validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices
from hemline.datasets import build
from hemline.errors import DataError
from hemline.learn.recipe import DataRecipe

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """Row numbers of one manifest.

    Attributes:
        street: training photos, each of an item that has a training shop picture.
        shop: training pictures of those items.
        queries: validation photos, each of an item of ``gallery``.
        gallery: what validation searches.
        carved: a sentence if validation was cut from the training rows, else empty.
    """

    street: Rows
    shop: Rows
    queries: Rows
    gallery: Rows
    carved: str = ""


def choose(manifest: Manifest, spec: DataRecipe, seed: int) -> Parts:
    """Training and validation rows.

    A row without a split belongs to any: a shop picture stands in validation's gallery too; a
    street photo trains unless its item is asked for in another split. Queries are street rows, or
    those whose role says so; the gallery likewise.

    Raises:
        DataError: no pair to train on, or nothing to validate with.
    """
    items, split = _strings(manifest, "item_id"), _strings(manifest, "split")
    domain, role = _strings(manifest, "domain"), _strings(manifest, "role")
    asks = np.where(role == "", domain == "street", role == "query")
    usable = ~_kept_out(manifest, items, spec)
    asks, answers = asks & usable, ~asks & usable
    trains = (split == spec.train) | (split == "")
    foreign = asks & (split != spec.train) & (split != "")
    trains &= ~(asks & (split == "") & np.isin(items, items[foreign]))
    carved = ""
    if spec.val is not None and (asks & (split == spec.val)).any():
        queries = asks & (split == spec.val)
        gallery = answers & ((split == spec.val) | (split == ""))
    else:
        held = _carve(items, asks & trains, answers & trains, spec, seed)
        queries = asks & trains & held
        gallery = answers & trains
        if spec.carve.by == "item":
            trains &= ~np.isin(items, items[queries])
        else:
            trains &= ~queries
        carved = (
            (f"no photo has the split {spec.val!r}: " if spec.val else "validation is carved: ")
            + f"{int(queries.sum())} photos of {len(np.unique(items[queries]))} items were kept "
            f"out of training to validate with (by {spec.carve.by}, seed {seed})"
        )
    shop_items = items[answers & trains]
    street = asks & trains & np.isin(items, shop_items)
    shop = answers & trains & np.isin(items, items[street])
    if len(np.unique(items[street])) < 2:
        raise DataError(
            f"nothing to train on: {int((asks & trains).sum())} street photos and "
            f"{int((answers & trains).sum())} shop pictures have the split {spec.train!r} or none, "
            "and fewer than two items have both; training needs pairs of one item_id"
        )
    queries = queries & np.isin(items, items[gallery])
    if not queries.any():
        raise DataError(
            f"nothing to validate with: no street photo of the split {spec.val!r} shows an item "
            "that has a shop picture there or without a split"
        )
    return Parts(
        np.flatnonzero(street),
        np.flatnonzero(shop),
        np.flatnonzero(queries),
        np.flatnonzero(gallery),
        carved,
    )


def _kept_out(
    manifest: Manifest, items: npt.NDArray[np.str_], spec: DataRecipe
) -> npt.NDArray[np.bool_]:
    """Mask of the rows that a protocol measures with."""
    mask = np.zeros(len(items), dtype=bool)
    if spec.keep_out is not None:
        choices = Choices(fold=spec.keep_out.fold)
        for protocol in build(spec.keep_out.protocol, manifest, choices):
            mask[protocol.queries] = True
            mask |= np.isin(items, sorted(protocol.held_out))
    return mask


def _strings(manifest: Manifest, name: str) -> npt.NDArray[np.str_]:
    return np.asarray([value or "" for value in manifest.column(name)], dtype=np.str_)


def _carve(
    items: npt.NDArray[np.str_],
    street: npt.NDArray[np.bool_],
    shop: npt.NDArray[np.bool_],
    spec: DataRecipe,
    seed: int,
) -> npt.NDArray[np.bool_]:
    """Mask of the rows held out: a seeded share of the paired items, or of their photos."""
    paired = street & np.isin(items, items[shop])
    rng = np.random.default_rng([seed, 0xCA27E])
    if spec.carve.by == "item":
        names = np.unique(items[paired])
        count = min(max(1, round(len(names) * spec.carve.fraction)), max(0, len(names) - 2))
        return np.isin(items, rng.permutation(names)[:count])
    rows = np.flatnonzero(paired)
    held = np.zeros(len(items), dtype=bool)
    held[rng.permutation(rows)[: max(1, round(len(rows) * spec.carve.fraction))]] = True
    return held
