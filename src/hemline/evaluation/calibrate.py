"""Score thresholds of a bundle: from which score a hit is the same item, or a similar one.

Street photos search a gallery that lacks the items of every fifth photo, as a shop lacks things
too. Every hit is a pair of a score and right or wrong. ``same`` is the least score above which a
given share of the hits is right, ``similar`` that of a smaller share. They are set by every other
photo and must hold for the rest. Both hold for the measured gallery; a far larger catalogue has
more wrong hits at each score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.bundle import BundleInfo, ScoreThresholds, read_info, write_info
from hemline.catalog.catalog import Catalog
from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError, nearest
from hemline.progress import Advance, no_advance
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine
from hemline.types import Hit

#: Hits of a photo that count.
TOP = 20
#: The item of every so many-th photo is left out of the gallery.
ABSENT = 5
#: The least number of hits above a threshold.
LEAST = 30
#: How photos and shop images are cropped, named as in `hemline evaluate`; ``every`` is a search
#: with the whole photo and every garment in it.
CROPS = ("none", "query", "box", "detected-query", "every")
SHARES: Mapping[str, float] = {"same": 0.65, "similar": 0.3}
#: The share of right hits may be so much smaller on photos that didn't set the threshold.
SLACK = 0.1
#: Of photos whose product is there, at most this share may have no hit above ``similar``.
MISTAKEN = 0.2
#: Products that are noted, so that a catalogue knows whether the thresholds are of its own.
NOTED = 200


def threshold(
    scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], share: float
) -> float | None:
    """The least of N scores at or above which at least ``share`` of the hits is right.

    None where no score with `LEAST` hits at or above it fits.
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
    advance: Advance = no_advance,
) -> ScoreThresholds:
    """Measures the score thresholds of a bundle.

    Args:
        bundle: what searches.
        manifest: shop rows are the gallery, street rows the photos.
        photos: how many photos search, spread evenly over the street rows.
        crop: as the bundle will be used, one of `CROPS`: whole images; photos cropped to their box;
            both sides; photos cropped to the garment that the detector finds, as the page does;
            photos and every garment in them, as `hemline search` does.
        split: the rows that count; ``all`` takes every one.
        shares: of right hits, for ``same`` and ``similar``.
        advance: called with (photos done, photos).

    Raises:
        DataError: no gallery, no photos, or no score above which so many hits are right.
        UsageError: shares that don't fall, or no such crop.
        BundleError: the bundle has no detector to crop by.
    """
    if crop not in CROPS:
        raise UsageError(f"no crop {crop!r}. {nearest(crop, CROPS)}")
    if not 1 > shares["same"] > shares["similar"] > 0:
        raise UsageError("shares are from 0 to 1, and that of 'same' is the larger one")
    rows, items, street, shop = _rows(manifest, split, photos)
    absent, hits = set(items[street[::ABSENT]]), list[_Found]()
    with Catalog.in_memory(bundle) as catalog:
        gallery = rows.select(shop[[items[row] not in absent for row in shop]])
        catalog.add(gallery, crop="box" if crop == "box" else "none")
        engine = Engine(catalog)
        for done, row in enumerate(street.tolist(), 1):
            found = _searched(engine, rows, row, crop, TOP)
            hits.append(_Found.of(found, items[row], items[row] in absent))
            advance(done, len(street))
        counts = catalog.store.counts()
    data = _data(hits, manifest, crop, split) | {
        "gallery_products": counts.items,
        "items": sorted({str(items[row]) for row in shop} - absent)[:NOTED],
    }
    return _thresholds(hits, shares, data)


def calibrate_live(
    engine: Engine,
    manifest: Manifest,
    *,
    photos: int = 256,
    crop: str = "none",
    advance: Advance = no_advance,
) -> ScoreThresholds:
    """Measures the score thresholds of a catalogue that has all shop images of a manifest.

    As `calibrate` on all rows; the products of every fifth photo are left out of its hits, so
    nothing is embedded anew.

    Args:
        engine: of the catalogue.
        manifest, photos, advance: as in `calibrate`.
        crop: of the photos, one of `CROPS`.

    Raises:
        DataError, BundleError: as `calibrate`.
    """
    rows, items, street, _ = _rows(manifest, "all", photos)
    absent, hits = set(items[street[::ABSENT]]), list[_Found]()
    for done, row in enumerate(street.tolist(), 1):
        found = _searched(engine, rows, row, crop, 2 * TOP)
        there = [hit for hit in found if hit.item_id not in absent]
        hits.append(_Found.of(there[:TOP], items[row], items[row] in absent))
        advance(done, len(street))
    counts = engine.catalog.store.counts()
    data = _data(hits, manifest, crop, "all") | {
        "gallery_products": counts.items - len(absent),
        "items": sorted(set(items) - absent)[:NOTED],
    }
    return _thresholds(hits, SHARES, data)


def _rows(
    manifest: Manifest, split: str, photos: int
) -> tuple[Manifest, npt.NDArray[np.str_], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows that count, their items, and which of them are photos and shop images.

    Raises:
        DataError: there are none of either.
    """
    rows = manifest if split == "all" else manifest.select(manifest.column("split") == split)
    domains, items = rows.column("domain"), rows.column("item_id").astype(str)
    street, shop = np.flatnonzero(domains == "street"), np.flatnonzero(domains == "shop")
    if not len(street) or not len(shop):
        raise DataError(_missing_rows(split, manifest))
    some = street[np.unique(np.linspace(0, len(street) - 1, photos).round().astype(int))]
    return rows, items, some, shop


def _searched(engine: Engine, rows: Manifest, row: int, crop: str, k: int) -> Sequence[Hit]:
    """The first ``k`` hits of a photo."""
    box = rows[row].box if crop in ("query", "box") else None
    detect, every = crop == "detected-query", crop == "every"
    return engine.search(rows.file(row), k, box, detect=detect, every=every).hits


def _data(found: Sequence[_Found], manifest: Manifest, crop: str, split: str) -> dict[str, Any]:
    """How thresholds are measured."""
    return {
        "photos": len(found),
        "absent": sum(one.absent for one in found),
        "hits": sum(len(one.hits) for one in found),
        "top": TOP,
        "crop": crop,
        "split": split,
        "manifest": manifest.fingerprint(),
    }


class _Found(NamedTuple):
    """What a photo found: whether its item is absent, and (score, right) of each hit."""

    absent: bool
    hits: list[tuple[float, bool]]

    @classmethod
    def of(cls, found: Sequence[Hit], item: str, absent: bool) -> _Found:
        """From the hits of a photo of ``item``."""
        return cls(absent, [(hit.score, bool(hit.item_id == item)) for hit in found])


def _arrays(found: Sequence[_Found]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    pairs = [pair for one in found for pair in one.hits]
    return np.array([score for score, _ in pairs]), np.array([right for _, right in pairs], bool)


def _thresholds(
    photos: Sequence[_Found], shares: Mapping[str, float], data: dict[str, Any]
) -> ScoreThresholds:
    scores, right = _arrays(photos)
    held_scores, held_right = _arrays(photos[1::2])
    found: dict[str, float] = {}
    precision: dict[str, float] = {}
    for name, share in shares.items():
        least = threshold(*_arrays(photos[::2]), share)
        if least is None:
            raise DataError(
                f"no score has a share of {share} right hits above it, among {len(scores)} hits; "
                "ask for a smaller share, or give more photos"
            )
        held = held_right[held_scores >= least]
        if not len(held) or held.mean() < share - SLACK:
            raise DataError(
                f"the threshold of {name!r} doesn't hold: on photos that didn't set it, "
                f"{int(held.sum())} of {len(held)} hits above it are right, not a share of "
                f"{share}; give more photos"
            )
        above = scores >= least
        found[name] = round(least, 4)
        precision[name] = round(float(held.mean()), 4)
        data[f"hits_{name}"] = int(above.sum())
        data[f"recall_{name}"] = round(float(right[above].sum() / max(1, right.sum())), 4)
    data |= _absence(photos[1::2], found["similar"])
    return ScoreThresholds(**found, precision=precision, data=data)


def _absence(photos: Sequence[_Found], similar: float) -> dict[str, Any]:
    """Whether a first hit below ``similar`` tells that a photo's product isn't there."""
    low = [not one.hits or one.hits[0][0] < similar for one in photos]
    there = [is_low for is_low, one in zip(low, photos, strict=True) if not one.absent]
    gone = [is_low for is_low, one in zip(low, photos, strict=True) if one.absent]
    mistaken = sum(there) / max(1, len(there))
    told = sum(gone) / max(1, len(gone))
    return {
        "called_absent": {"there": round(mistaken, 4), "absent": round(told, 4)},
        "tells_absent": bool(there and mistaken <= MISTAKEN and told > mistaken),
    }


def record(folder: Path, thresholds: ScoreThresholds) -> BundleInfo:
    """Writes the thresholds into a bundle's ``bundle.json``; its fingerprint stays."""
    return write_info(folder, read_info(folder).model_copy(update={"alike": thresholds}))


def _missing_rows(split: str, manifest: Manifest) -> str:
    splits = ", ".join(["all", *sorted({str(one) for one in manifest.column("split") if one})])
    return f"the split {split!r} needs street rows and shop rows; choose another of: {splits}"
