"""Which rows of a manifest train, and which are validation's queries and gallery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.datasets import PROTOCOLS, build
from hemline.errors import DataError, UsageError
from hemline.learn.recipe import DataRecipe

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Row numbers of one manifest.

    Attributes:
        street: training photos, each of an item that has a training shop image.
        shop: training shop images of those items.
        queries: validation photos, each of an item of ``gallery``.
        gallery: shop images that validation searches.
        validation_split: a sentence if validation was split off the training rows, else empty.
    """

    street: Rows
    shop: Rows
    queries: Rows
    gallery: Rows
    validation_split: str = ""

    @property
    def train(self) -> Rows:
        """Street rows, then shop rows."""
        return np.concatenate([self.street, self.shop])


def choose_rows(manifest: Manifest, spec: DataRecipe, seed: int) -> TrainingRows:
    """Training and validation rows.

    A row without a split belongs to all: a shop image is also in validation's gallery; a street
    photo trains unless a query of another split shows its item. Queries are street rows, or those
    with the role of a query; the gallery likewise.

    Raises:
        DataError: no pair to train on, or nothing to validate with.
    """
    items, (split, kept_out) = _strings(manifest, "item_id"), _splits(manifest, spec)
    domain, role = _strings(manifest, "domain"), _strings(manifest, "role")
    is_query = np.where(role == "", domain == "street", role == "query")
    usable = ~kept_out
    photos, shots = is_query & usable, ~is_query & usable
    trains = (split == spec.train) | (split == "")
    foreign = photos & (split != spec.train) & (split != "")
    trains &= ~(photos & (split == "") & np.isin(items, items[foreign]))
    sentence = ""
    if spec.val is not None and (photos & (split == spec.val)).any():
        queries = photos & (split == spec.val)
        gallery = shots & ((split == spec.val) | (split == ""))
    else:
        by = spec.validation_split.by
        queries = photos & trains & _split_off(items, photos & trains, shots & trains, spec, seed)
        gallery = shots & trains
        trains &= ~(np.isin(items, items[queries]) if by == "item" else queries)
        why = f"no photo has the split {spec.val!r}" if spec.val else "the recipe names no split"
        sentence = (
            f"{why}: {int(queries.sum())} photos of {len(np.unique(items[queries]))} items were "
            f"kept out of training for validation (by {by}, seed {seed})"
        )
    street = photos & trains & np.isin(items, items[shots & trains])
    shop = shots & trains & np.isin(items, items[street])
    if len(np.unique(items[street])) < 2:
        raise DataError(
            f"nothing to train on: {int((photos & trains).sum())} street photos and "
            f"{int((shots & trains).sum())} shop images have the split {spec.train!r} or none, "
            "and fewer than two items have both; training needs pairs of one item_id"
        )
    queries = queries & np.isin(items, items[gallery])
    if not queries.any():
        raise DataError(
            f"nothing to validate with: no street photo of the split {spec.val!r} shows an item "
            "that has a shop image there or without a split"
        )
    return TrainingRows(
        np.flatnonzero(street),
        np.flatnonzero(shop),
        np.flatnonzero(queries),
        np.flatnonzero(gallery),
        sentence,
    )


def _splits(
    manifest: Manifest, spec: DataRecipe
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.bool_]]:
    """The split of each row, by the recipe's names, and the mask of rows that a protocol evaluates
    on or leaves out of its own splits."""
    wanted = []
    if spec.keep_out is not None:
        chosen = Choices(fold=spec.keep_out.fold, seed=spec.keep_out.seed)
        wanted.append((spec.keep_out.protocol, chosen))
    for name in spec.protocols if spec.partition is None else (spec.partition,):
        made_for = PROTOCOLS[name].made_for
        if spec.partition is not None or (made_for is not None and made_for(manifest)):
            wanted.append((name, Choices()))
    split, mask = _strings(manifest, "split"), np.zeros(len(manifest), dtype=bool)
    for name, choices in wanted:
        for protocol in build(name, manifest, choices):
            mask |= protocol.kept_out()
            if name == spec.partition:
                split = _partition(protocol, spec)
                mask |= split == ""
    return split, mask


def _partition(protocol: Protocol, spec: DataRecipe) -> npt.NDArray[np.str_]:
    if protocol.partition is None:
        raise UsageError(
            f"data.partition: protocol {protocol.name!r} draws no train and validation splits; "
            "data.keep_out.protocol keeps its queries out of training"
        )
    names = {"train": spec.train, "val": spec.val or "val", "test": "test", "": ""}
    return np.asarray([names[part] for part in protocol.partition.tolist()], np.str_)


def _strings(manifest: Manifest, name: str) -> npt.NDArray[np.str_]:
    return np.asarray([value or "" for value in manifest.column(name)], dtype=np.str_)


def _split_off(
    items: npt.NDArray[np.str_],
    street: npt.NDArray[np.bool_],
    shop: npt.NDArray[np.bool_],
    spec: DataRecipe,
    seed: int,
) -> npt.NDArray[np.bool_]:
    """Mask of the rows held out: a seeded share of the paired items, or of their photos."""
    paired = street & np.isin(items, items[shop])
    rng = np.random.default_rng([seed, 0xCA27E])
    if spec.validation_split.by == "item":
        names = np.unique(items[paired])
        count = min(
            max(1, round(len(names) * spec.validation_split.fraction)), max(0, len(names) - 2)
        )
        return np.isin(items, rng.permutation(names)[:count])
    rows = np.flatnonzero(paired)
    held = np.zeros(len(items), dtype=bool)
    held[rng.permutation(rows)[: max(1, round(len(rows) * spec.validation_split.fraction))]] = True
    return held
