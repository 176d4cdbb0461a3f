"""What a score means: from which on a hit is the same product, or at least a similar one.

Street photos are searched for in a gallery that lacks the products of every fifth photo, as a shop
lacks things too. Every hit of every photo is a pair of score and right or wrong. ``same`` is the
least score from which on a given share of the hits is right, ``similar`` that of a smaller share.
Both hold for what was measured; a far larger catalogue has more wrong hits of each score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.bundle import Alike, BundleInfo, read_info, write_info
from hemline.catalog.catalog import Catalog
from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError, nearest
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine

#: Hits of a photo that count.
TOP = 20
#: Every so many-th photo shows a product that the gallery lacks.
ABSENT = 5
#: Hits that a threshold must stand on.
LEAST = 30
#: How photos and shop pictures are cut, in the words of `hemline evaluate`.
CROPS = ("none", "query", "box", "detected-query")
SHARES: Mapping[str, float] = {"same": 0.65, "similar": 0.3}


def threshold(
    scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], share: float
) -> float | None:
    """The least score (of N) from which on at least ``share`` of the hits is right.

    It stands on `LEAST` hits or more; None where no score does.
    """
    order = np.argsort(-scores, kind="stable")
    good = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last = np.append(np.diff(scores[order]) != 0, True)  # equal scores are taken together
    fits = np.flatnonzero((good >= share) & last & (np.arange(1, len(order) + 1) >= LEAST))
    return float(scores[order][fits[-1]]) if len(fits) else None


def calibrate(
    bundle: Bundle,
    manifest: Manifest,
    *,
    photos: int = 400,
    crop: str = "none",
    split: str = "val",
    shares: Mapping[str, float] = SHARES,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Alike:
    """Measures the thresholds of a bundle.

    Args:
        bundle: what searches.
        manifest: shop rows are the gallery, street rows the photos.
        photos: how many are asked, spread evenly.
        crop: as the bundle will be searched, one of `CROPS`: whole pictures; photos cut to their
            box; both sides; photos cut to the garment that the detector finds, as the page does.
        split: the rows that count; ``all`` takes every one.
        shares: of right hits, for ``same`` and ``similar``.
        advance: told (photos asked, photos).

    Raises:
        DataError: no gallery, no photos, or no score from which on so many hits are right.
        UsageError: shares that aren't falling, or no such crop.
        BundleError: the bundle has no detector to cut by.
    """
    if crop not in CROPS:
        raise UsageError(f"no crop {crop!r}. {nearest(crop, CROPS)}")
    if not 1 > shares["same"] > shares["similar"] > 0:
        raise UsageError("shares are from 0 to 1, and that of 'same' is the larger one")
    rows = manifest if split == "all" else manifest.select(manifest.column("split") == split)
    domains, items = rows.column("domain"), rows.column("item_id").astype(str)
    asked = np.flatnonzero(domains == "street")
    shown = np.flatnonzero(domains == "shop")
    if not len(asked) or not len(shown):
        raise DataError(f"street rows to ask and shop rows to find are needed, of split {split!r}")
    asked = asked[np.unique(np.linspace(0, len(asked) - 1, photos).round().astype(int))]
    absent = set(items[asked[::ABSENT]])
    gallery = rows.select(shown[[items[row] not in absent for row in shown]])
    scores: list[float] = []
    right: list[bool] = []
    with Catalog.in_memory(bundle) as catalog:
        catalog.add(gallery, crop="box" if crop == "box" else "none")
        engine = Engine(catalog)
        for done, row in enumerate(asked, 1):
            box = rows[int(row)].box if crop in ("query", "box") else None
            detect = crop == "detected-query"
            for hit in engine.search(rows.file(int(row)), TOP, box, detect=detect).hits:
                scores.append(hit.score)
                right.append(hit.item_id == items[row])
            advance(done, len(asked))
        counts = catalog.store.counts()
    return _alike(
        np.array(scores),
        np.array(right),
        shares,
        {
            "photos": len(asked),
            "absent": sum(item in absent for item in items[asked]),
            "gallery_products": counts.items,
            "hits": len(scores),
            "top": TOP,
            "crop": crop,
            "split": split,
            "manifest": manifest.fingerprint(),
        },
    )


def _alike(
    scores: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
    shares: Mapping[str, float],
    data: dict[str, Any],
) -> Alike:
    found: dict[str, float] = {}
    precision: dict[str, float] = {}
    for name, share in shares.items():
        least = threshold(scores, right, share)
        if least is None:
            raise DataError(
                f"no score has a share of {share} right hits above it, among {len(scores)} hits; "
                "ask for a smaller share, or give more photos"
            )
        found[name] = round(least, 4)
        precision[name] = round(float(right[scores >= least].mean()), 4)
        data[f"hits_{name}"] = int((scores >= least).sum())
        data[f"recall_{name}"] = round(float(right[scores >= least].sum() / right.sum()), 4)
    return Alike(**found, precision=precision, data=data)


def record(folder: Path, alike: Alike) -> BundleInfo:
    """Writes the thresholds into a bundle's ``bundle.json``; its fingerprint stays."""
    return write_info(folder, read_info(folder).model_copy(update={"alike": alike}))
