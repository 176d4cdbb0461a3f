"""Quantizing from Python: `quantize`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hemline.adaptation.sources import collect
from hemline.adaptation.write import check_target
from hemline.data.manifest import Manifest
from hemline.errors import UsageError
from hemline.evaluation.machine import machine
from hemline.progress import ProgressOf, no_progress
from hemline.quantization.run import Run, reasons
from hemline.quantization.write import check_onnx, describe
from hemline.runtime.bundle import Bundle, check_threads


def quantize(
    bundle: str | os.PathLike[str] | Bundle,
    images: str | os.PathLike[str] | Manifest,
    folder: str | os.PathLike[str],
    *,
    crop: str = "none",
    split: str = "",
    calibration: int = 100,
    photos: int = 2000,
    gallery: int = 5000,
    portable: bool = False,
    name: str | None = None,
    force: bool = False,
    seed: int = 0,
    threads: int = 1,
    workers: int | None = None,
    progress: ProgressOf = no_progress,
) -> dict[str, Any]:
    """Writes a bundle whose towers compute in int8, and measures what that costs and gains.

    Ranges come from images of some items, recall from photos of the others. Detector, re-ranker,
    maps and thresholds stay, as does the given bundle. Needs the extra ``quantize``; no PyTorch.

    Args:
        bundle: an open bundle, its folder, or the name of one that ships.
        images: a manifest or its file, as for `hemline.adapt`.
        folder: the new bundle.
        crop, split, photos, gallery, seed, threads, workers, progress: as for `hemline.adapt`.
        calibration: images of each domain that ranges are taken from.
        portable: weights of 7 bits, which give the same numbers on processors without VNNI.
        name: of the new bundle.
        force: also write one that loses more than 0.01 of recall@1, or isn't faster.

    Returns:
        ``before``, ``after`` and ``difference`` as of `hemline.adapt`, ``cpu_ms`` of one photo in
        the street tower, ``cosine`` between both bundles' embeddings, ``bytes``, ``refused``
        (reasons), ``written``, and the new bundle's ``fingerprint``.

    Raises:
        UsageError: ``folder`` exists, no such crop, or ``onnx`` is missing.
        DataError: too few items to measure on, or images that can't be read.
        BundleError: no such bundle.
    """
    check_target(target := Path(folder))
    check_threads(threads)
    check_onnx()
    base = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    if "quantized" in base.info.training:
        raise UsageError(f"{base.info.name} computes in int8 already; name the bundle it came from")
    (sources := collect(images, None, crop, split)).limited(photos, gallery, seed)
    run = Run(base, sources, threads, workers, seed, progress)
    with tempfile.TemporaryDirectory(prefix="hemline-quantize-") as place:
        made, report = run.made(Path(place) / "bundle", calibration, portable)
        report |= {"machine": machine(), "refused": reasons(report), "written": False}
        if force or not report["refused"]:
            info = describe(made, base, name, report)
            made.copy_to(target)
            report |= {"written": True, "bundle": str(target)}
            report |= {"name": info.name, "fingerprint": info.fingerprint}
    return report
