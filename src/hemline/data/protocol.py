"""Evaluation protocols: queries, gallery and relevance of one measurement.

Relevance is explicit, so one metric serves every data set. Every choice that changes a figure is
recorded in ``choices`` and in the report's JSON. A `ProtocolSpec` has a protocol's own choices, as
published; the report names each one that was overridden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest
from hemline.errors import UsageError

Rows = npt.NDArray[np.int64]
Crop = Literal["none", "query", "box", "detected-query", "detected"]
Unmatched = Literal["miss", "drop"]
Several = Literal["row", "photo", "pair"]

#: Description of each way to crop.
CROPS: Mapping[Crop, str] = {
    "none": "whole images",
    "query": "photos are cropped to their box, where a row has one",
    "box": "both sides are cropped to their box, where a row has one",
    "detected-query": "photos are cropped to the best garment that a detector finds",
    "detected": "photos are cropped to the best garment that a detector finds, shop images to "
    "the one that fits their category",
}
#: Description of each way to count a photo of several rows.
SEVERAL: Mapping[Several, str] = {
    "row": "each row is one query",
    "photo": "rows of one photo and box are one query, any of their products is right",
    "pair": "a row is a query for each pair that names its photo (column pairs)",
}
UNMATCHED: Mapping[Unmatched, str] = {
    "miss": "counted as a miss",
    "drop": "dropped and counted",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices that a caller can override; None is the protocol's own, as published.

    Attributes:
        crop: ``none`` (whole images, as they are searched and stored), ``query`` (query photos are
            cropped to their box, if any) or ``box`` (both sides are); ``detected-query`` and
            ``detected`` are the same with boxes of a detector.
        within_category: search among the items of the query's category only.
        unmatched: a query whose item isn't in the gallery counts as a ``miss`` or is ``drop``-ped;
            their number is reported either way.
        fold: a single fold of a protocol of several (from 0); None means all.
        share: share of the items that ``holdout`` keeps out, 0-1.
        seed: seed of every random choice (items, pairs, galleries).
        several: how a query photo with several rows counts, see `SEVERAL`.
    """

    crop: Crop | None = None
    within_category: bool | None = None
    unmatched: Unmatched | None = None
    fold: int | None = None
    share: float = 0.2
    seed: int = 0
    several: Several | None = None


class Published(NamedTuple):
    """A published figure; nothing here was measured by hemline.

    Attributes:
        source: the paper, abbreviated.
        model: the paper's name of it.
        metric: hemline's name (``recall@20``); papers count images among the first k, hemline
            counts items.
        value: a share 0-1, or None if the figure isn't available.
        note: known differences of gallery, crop, split or counting.
    """

    source: str
    model: str
    metric: str
    value: float | None
    note: str = ""


#: The note of a figure whose table is lost in the text we have.
TABLE_LOST = "not available: the tables are lost in the text we have"


def figures(
    source: str, metric: str, values: Mapping[str, float | None], note: str = ""
) -> tuple[Published, ...]:
    """One `Published` figure for each model of ``values``."""
    return tuple(Published(source, model, metric, value, note) for model, value in values.items())


class ProtocolGroup(NamedTuple):
    """The group that several protocols are reported as.

    Attributes:
        name: name of the group.
        kind: ``folds`` (one measure, pooled over all queries) or ``categories`` (one figure per
            category, and their mean).
        choices: choices of the group, which replace those of its first member.
    """

    name: str
    kind: Literal["folds", "categories"]
    choices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Protocol:
    """Queries, gallery and relevance over one manifest.

    Attributes:
        name: name of the protocol; a fold is ``grocery-folds/0``.
        manifest: the rows that ``queries`` and ``gallery`` index.
        queries: (Q,) rows, one for each query; a row is repeated if each of its pairs counts.
        gallery: (G,) rows that are searched.
        relevant: the relevant item ids of each query; an empty set can't be found.
        choices: every choice by name.
        held_out: items that training must not see at all; empty if seen items are allowed.
        crop, within_category: as in `Choices`, decided.
        unmatched: number of queries without a relevant item in the gallery.
        gallery_sizes: sizes of smaller galleries to measure too; each consists of the first rows
            of ``gallery``.
        group: the group that this protocol belongs to, if any.
        slices: columns by which figures are always broken down.
        published: published figures to print beside the measured ones.
        disjoint_gallery: whether training must not see the images of the gallery either.
        measures: further measures to report, by `hemline.evaluation.rankings.MEASURES`.
        partition: (N,) ``train``, ``val``, ``test`` or empty (in none of them) for each row, where
            the protocol draws its own splits; else None.
    """

    name: str
    manifest: Manifest
    queries: Rows
    gallery: Rows
    relevant: tuple[frozenset[str], ...]
    choices: dict[str, str]
    held_out: frozenset[str] = frozenset()
    crop: Crop = "none"
    within_category: bool = False
    unmatched: int = field(default=0)
    gallery_sizes: tuple[int, ...] = ()
    group: ProtocolGroup | None = None
    slices: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    disjoint_gallery: bool = False
    measures: tuple[str, ...] = ()
    partition: npt.NDArray[np.str_] | None = None

    def kept_out(self) -> npt.NDArray[np.bool_]:
        """(N,) the rows that training must not see: those of a query's image, of a held-out item
        and, with ``disjoint_gallery``, of an image of the gallery."""
        rows = [self.queries, self.gallery] if self.disjoint_gallery else [self.queries]
        paths = self.manifest.column("path")
        images = frozenset(paths[np.concatenate(rows)].tolist())
        items = self.manifest.column("item_id")
        pairs = zip(items.tolist(), paths.tolist(), strict=True)
        return np.fromiter((i in self.held_out or p in images for i, p in pairs), bool, len(items))

    def training(self) -> Manifest:
        """The rows allowed for training, those not `kept_out`."""
        return self.manifest.select(~self.kept_out())

    def partitioned(self) -> Manifest:
        """The rows of the protocol's own splits, with the column ``split`` set to them.

        Raises:
            UsageError: the protocol draws no splits.
        """
        if self.partition is None:
            raise UsageError(f"protocol {self.name!r} draws no train and validation splits")
        marked = self.manifest.with_column("split", self.partition.tolist())
        return marked.select(self.partition != "")


Builder = Callable[[Manifest, Choices], tuple[Protocol, ...]]


@dataclass(frozen=True, slots=True)
class ProtocolSpec:
    """An entry of `hemline.datasets.PROTOCOLS`.

    Attributes:
        build: builds it from a manifest and decided choices (none is None).
        queries, gallery, products: one line each, for ``hemline data protocol --list``.
        crop, within_category, several, unmatched: the protocol's own choices, as published.
        slices, published, measures: as in `Protocol`.
        made_for: whether a manifest is of the data that the protocol is for; a recipe that names
            the protocol in ``data.protocols`` then keeps its part out of training. None: never.
    """

    build: Builder
    queries: str
    gallery: str
    products: str
    crop: Crop = "none"
    within_category: bool = False
    several: Several = "row"
    unmatched: Unmatched = "miss"
    slices: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    measures: tuple[str, ...] = ()
    made_for: Callable[[Manifest], bool] | None = None

    def decide(self, chosen: Choices) -> tuple[Choices, str]:
        """``chosen`` with every None replaced by the protocol's own, and the overrides as text."""
        own = {name: getattr(self, name) for name in _DECIDED}
        given = {name: getattr(chosen, name) for name in _DECIDED}
        differs = [
            f"{name} is {_word(given[name])}, the protocol's own is {_word(own[name])}"
            for name in _DECIDED
            if given[name] is not None and given[name] != own[name]
        ]
        values = {name: own[name] if given[name] is None else given[name] for name in _DECIDED}
        return replace(chosen, **values), "; ".join(differs)


_DECIDED = ("crop", "within_category", "several", "unmatched")


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def roles(manifest: Manifest) -> npt.NDArray[np.str_]:
    """(N,) ``query`` or ``gallery``; where a row has no role it follows from the domain."""
    role = np.asarray(manifest.column("role"), dtype=np.str_)
    domain = np.asarray(manifest.column("domain"), dtype=np.str_)
    return np.where(role != "", role, np.where(domain == "street", "query", "gallery"))
