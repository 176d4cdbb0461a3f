"""Which pictures ask, which are searched, and what counts as a match: said aloud, never assumed.

One `Protocol` is one measurement. Relevance is explicit, so one metric serves every data set, and
every choice that changes a figure stands by name in ``choices`` and ends in the report's JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError
from hemline.registry import Registry

Rows = npt.NDArray[np.int64]
Crop = Literal["none", "query", "box"]
Unmatched = Literal["miss", "drop"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person who measures may choose; a protocol keeps to it and says so.

    Attributes:
        crop: ``none`` (whole pictures, as they are searched and stored), ``query`` (query photos
            are cut to their box where a row has one) or ``box`` (both sides are).
        within_category: search among the products of the query's category only.
        unmatched: a query whose product isn't in the gallery is counted as a ``miss``, or
            ``drop``-ped; their number is reported either way.
        fold: of a protocol of several folds, only this one (from 0); None means all.
        share: of the products that ``holdout`` keeps out, 0-1.
        seed: of ``holdout``'s choice of products.
    """

    crop: Crop = "none"
    within_category: bool = False
    unmatched: Unmatched = "miss"
    fold: int | None = None
    share: float = 0.2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Protocol:
    """Queries, gallery and relevance over one manifest.

    Attributes:
        name: of the protocol; a fold is ``grocery-folds/0``.
        manifest: whose rows the two index arrays number.
        queries: (Q,) rows that search. Every row counts as one query, so a photo of two garments
            (``path`` and ``path#2``) asks twice, each with its own box and product.
        gallery: (G,) rows that are searched.
        relevant: for each query the item ids that are right; an empty set can't be found.
        choices: every choice by name.
        held_out: items that training must not see at all; empty where seen items are allowed.
        crop, within_category: as in `Choices`.
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

    def training(self) -> Manifest:
        """The rows a model may learn from: no query, and nothing of a held-out item."""
        allowed = np.ones(len(self.manifest), dtype=bool)
        allowed[self.queries] = False
        if self.held_out:
            items = self.manifest.column("item_id")
            allowed &= np.fromiter((i not in self.held_out for i in items), bool, len(items))
        return self.manifest.select(allowed)


Builder = Callable[[Manifest, Choices], tuple[Protocol, ...]]

#: name → (manifest, choices) → one protocol, or one for each fold.
PROTOCOLS: Registry[Builder] = Registry("hemline.data.protocols", "PROTOCOLS", "protocol")


def build(name: str, manifest: Manifest, choices: Choices | None = None) -> tuple[Protocol, ...]:
    """The named protocol over ``manifest``: one, or one for each fold.

    Raises:
        UsageError: no protocol of that name, no such fold, or a negative seed.
        DataError: the manifest hasn't the rows it needs.
    """
    chosen = choices or Choices()
    if chosen.seed < 0:
        raise UsageError(f"a seed is 0 or more, not {chosen.seed}")
    built = PROTOCOLS[name](manifest, chosen)
    if chosen.fold is not None and all(part.name == name for part in built):
        raise UsageError(f"protocol {name!r} has no folds; leave the fold out")
    return built


_CROPS: dict[Crop, str] = {
    "box": "box: both sides, where a row has one",
    "query": "query: the photos only, where a row has a box",
    "none": "none: whole pictures",
}


def roles(manifest: Manifest) -> npt.NDArray[np.str_]:
    """(N,) ``query`` or ``gallery`` of each row: its role, or what follows from its domain."""
    role = np.asarray(manifest.column("role"), dtype=np.str_)
    domain = np.asarray(manifest.column("domain"), dtype=np.str_)
    return np.where(role != "", role, np.where(domain == "street", "query", "gallery"))


def match_items(
    name: str,
    manifest: Manifest,
    queries: Rows,
    gallery: Rows,
    chosen: Choices,
    said: dict[str, str],
    held_out: Iterable[str] = (),
) -> Protocol:
    """The common ending of every protocol: the right answer is the query's own item.

    ``said`` names the protocol's own choices (which queries, which gallery, which items).

    Raises:
        DataError: no query or nothing to search in.
    """
    if len(queries) == 0 or len(gallery) == 0:
        counts = Counter(
            f"{len_} of split {split or 'none'}, {role}"
            for (split, role), len_ in Counter(
                zip(
                    (str(s) for s in manifest.column("split")),
                    (str(r) for r in roles(manifest)),
                    strict=True,
                )
            ).items()
        )
        what = "query" if len(queries) == 0 else "gallery row"
        raise DataError(
            f"protocol {name!r} finds no {what} in the manifest ({said['queries']}; "
            f"{said['gallery']}). Its rows are: {'; '.join(sorted(counts)) or 'none'}"
        )
    items = [str(item) for item in manifest.column("item_id")]
    there = {items[row] for row in gallery}
    found = np.fromiter((items[row] in there for row in queries), bool, len(queries))
    unmatched = int((~found).sum())
    if chosen.unmatched == "drop":
        queries = queries[found]
        if len(queries) == 0:
            raise DataError(f"protocol {name!r}: no query's product is in the gallery")
    return Protocol(
        name=name,
        manifest=manifest,
        queries=np.asarray(queries, np.int64),
        gallery=np.asarray(gallery, np.int64),
        relevant=tuple(frozenset((items[row],)) for row in queries),
        choices={
            "name": name,
            **said,
            "relevance": "the query's own item, at product level",
            "query": "each row is one query",
            "crop": _CROPS[chosen.crop],
            "within_category": "yes" if chosen.within_category else "no",
            "unmatched": (
                "counted as a miss"
                if chosen.unmatched == "miss"
                else "dropped, and their number given"
            ),
        },
        held_out=frozenset(held_out),
        crop=chosen.crop,
        within_category=chosen.within_category,
        unmatched=unmatched,
    )
