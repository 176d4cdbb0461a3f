"""Which pictures ask, which are searched, and what counts as a match: said aloud, never assumed.

One `Protocol` is one measurement. Relevance is explicit, so one metric serves every data set, and
every choice that changes a figure stands by name in ``choices`` and ends in the report's JSON.
A `ProtocolSpec` names a protocol's own choices (as published); a person may choose otherwise, and
then the report says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest

Rows = npt.NDArray[np.int64]
Crop = Literal["none", "query", "box", "detected-query", "detected"]
Unmatched = Literal["miss", "drop"]
Several = Literal["row", "photo", "pair"]

#: What each way to crop means, by name.
CROPS: Mapping[Crop, str] = {
    "none": "whole pictures",
    "query": "the photos are cut to their box where a row has one",
    "box": "both sides are cut to their box where a row has one",
    "detected-query": "the photos are cut to the best garment that a detector finds",
    "detected": "the photos are cut to the best garment that a detector finds, shop pictures to "
    "the one that fits their category",
}
#: What each way to count a photo of several rows means.
SEVERAL: Mapping[Several, str] = {
    "row": "each row is one query",
    "photo": "rows of one photo and box are one query, any of their products is right",
    "pair": "a row asks once for each pair that names its photo (column pairs)",
}
UNMATCHED: Mapping[Unmatched, str] = {
    "miss": "counted as a miss",
    "drop": "dropped, and their number given",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person who measures may choose; None is the protocol's own, as published.

    Attributes:
        crop: ``none`` (whole pictures, as they are searched and stored), ``query`` (query photos
            are cut to their box where a row has one) or ``box`` (both sides are);
            ``detected-query`` and ``detected`` are the same with boxes that a detector finds.
        within_category: search among the products of the query's category only.
        unmatched: a query whose product isn't in the gallery is counted as a ``miss``, or
            ``drop``-ped; their number is reported either way.
        fold: of a protocol of several folds, only this one (from 0); None means all.
        share: of the products that ``holdout`` keeps out, 0-1.
        seed: of every choice by lot (products, pairs, galleries).
        several: how a query photo with several rows counts: as `SEVERAL` says.
    """

    crop: Crop | None = None
    within_category: bool | None = None
    unmatched: Unmatched | None = None
    fold: int | None = None
    share: float = 0.2
    seed: int = 0
    several: Several | None = None


class Published(NamedTuple):
    """A figure that others published; nothing here was measured by hemline.

    Attributes:
        source: the paper, short.
        model: in the paper's words.
        metric: in ours (``recall@20``); papers count pictures, not products.
        value: a share 0-1, or None where the figure isn't available.
        note: what differs: gallery, crop, counting.
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
        name: of the protocol; a fold is ``grocery-folds/0``.
        manifest: whose rows the two index arrays number.
        queries: (Q,) rows that search, each one query; a row may come several times where each
            pair counts.
        gallery: (G,) rows that are searched.
        relevant: for each query the item ids that are right; an empty set can't be found.
        choices: every choice by name.
        held_out: items that training must not see at all; empty where seen items are allowed.
        crop, within_category: as in `Choices`, decided.
        unmatched: how many queries have no right product in the gallery.
        gallery_sizes: sizes of smaller galleries to measure too; each consists of the first rows
            of ``gallery``.
        group: the group that this protocol belongs to, if any.
        slices: columns by which figures are always broken down.
        published: published figures to print beside the measured ones.
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

    def training(self) -> Manifest:
        """The rows a model may learn from: no query, and nothing of a held-out item."""
        allowed = np.ones(len(self.manifest), dtype=bool)
        allowed[self.queries] = False
        if self.held_out:
            items = self.manifest.column("item_id")
            allowed &= np.fromiter((i not in self.held_out for i in items), bool, len(items))
        return self.manifest.select(allowed)


Builder = Callable[[Manifest, Choices], tuple[Protocol, ...]]


@dataclass(frozen=True, slots=True)
class ProtocolSpec:
    """One protocol of the registry: what it asks, and its own choices.

    Attributes:
        build: makes it from a manifest and decided choices (none is None).
        queries, gallery, products: one line each, for the list.
        crop, within_category, several, unmatched: the protocol's own, as published.
        slices, published: as in `Protocol`.
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

    def decide(self, chosen: Choices) -> tuple[Choices, str]:
        """``chosen`` with the protocol's own in place of every None, and what differs from it."""
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
    """(N,) ``query`` or ``gallery`` of each row: its role, or what follows from its domain."""
    role = np.asarray(manifest.column("role"), dtype=np.str_)
    domain = np.asarray(manifest.column("domain"), dtype=np.str_)
    return np.where(role != "", role, np.where(domain == "street", "query", "gallery"))
