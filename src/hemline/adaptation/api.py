"""Adapting from Python: `adapt`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hemline.adaptation.encode import encode
from hemline.adaptation.run import adapted
from hemline.adaptation.sources import Sources, collect
from hemline.adaptation.taps import with_features
from hemline.adaptation.write import check_target, write
from hemline.catalog.catalog import Catalog
from hemline.data.manifest import Manifest
from hemline.data.seen import Seen, read_seen
from hemline.progress import ProgressOf, no_progress
from hemline.runtime.bundle import Bundle, detector_bundle
from hemline.runtime.encoder import BundleEncoder


def adapt(
    bundle: str | os.PathLike[str] | Bundle,
    images: str | os.PathLike[str] | Manifest | Catalog,
    folder: str | os.PathLike[str],
    *,
    feedback: str | os.PathLike[str] | Iterable[Mapping[str, Any]] | None = None,
    crop: str = "none",
    split: str = "",
    photos: int = 2000,
    gallery: int = 5000,
    name: str | None = None,
    detector: str | os.PathLike[str] | None = None,
    force: bool = False,
    seed: int = 0,
    threads: int | None = None,
    workers: int | None = None,
    progress: ProgressOf = no_progress,
) -> dict[str, Any]:
    """Fits a linear map for each domain on a shop's own images, and writes an adapted bundle.

    The method and its shrinkage are chosen by cross-validation over items, and measured on items
    that took no part in fitting or choosing. The given bundle stays as it is; PyTorch isn't needed.

    Args:
        bundle: an open bundle, its folder, or the name of one that ships.
        images: a manifest or its file, with shop and street rows of the same items (without photos,
            several shop images of an item find each other); or a catalogue, with ``feedback``.
        folder: the new bundle.
        feedback: triplets of ``GET /v1/feedback/export``, or their file; only with kept photos.
        crop: ``none``, ``query`` (a manifest's photos are cropped to their box) or ``box`` (both).
        split: the rows that count besides those without one; by default all but ``test``; ``all``.
        photos, gallery: most photos and shop images that are encoded; a seeded choice.
        name: of the new bundle.
        detector: a bundle whose detector the new one gets; by default the given bundle's.
        force: also write one that isn't measurably better.
        seed: of the folds, the choice of images and the bootstrap.
        threads, workers: of one run of a graph, and threads that decode images.
        progress: a title → a context manager that yields ``advance(done, total)``.

    Returns:
        ``before``, ``after`` and ``difference`` (``recall@1``, ``recall@5``, ``mrr``, each with
        value, low and high: 95 %, bootstrap over items), ``better``, ``written``, ``method``,
        ``counts``, the new bundle's ``fingerprint`` and ``embedding_dim``.

    Raises:
        UsageError: ``folder`` exists, or no such crop.
        DataError: too few items to measure on, or images that can't be read.
        BundleError: no such bundle, or ``detector`` has none.
    """
    check_target(target := Path(folder))
    given = None if detector is None else detector_bundle(detector)
    base = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    sources = collect(images, feedback, crop, split)
    sources.limited(photos, gallery, seed)
    with with_features(base) as (towers, blocks):
        encoded = encode(BundleEncoder(towers, threads), blocks, sources, workers, progress)
        fit = adapted(base, encoded, sources, seed, force, threads, progress)
        if fit.report["better"] or force:
            fit.report |= write(base, towers, target, fit, name, _seen(base, sources), given)
    return fit.report


def _seen(base: Bundle, sources: Sources) -> Seen:
    """What the adapted bundle was fitted to, and what the given one was trained on."""
    samples = [*sources.street, *sources.shop]
    fitted = Seen.of_sources([s.item for s in samples], [s.source for s in samples])
    known = read_seen(base.folder, base.info.training.get("seen"))
    return fitted.without_record(base.info.name) if known is None else fitted.joined(known)
