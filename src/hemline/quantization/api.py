"""Quantizing from Python: `quantize`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hemline.adaptation.sources import collect
from hemline.adaptation.write import check_target
from hemline.data.manifest import Manifest
from hemline.errors import UsageError, nearest
from hemline.evaluation.machine import machine
from hemline.progress import ProgressOf, no_progress
from hemline.quantization.detector import describe_detector, quantize_detector, refusals
from hemline.quantization.run import Run, reasons
from hemline.quantization.write import check_onnx, describe
from hemline.runtime.bundle import Bundle, check_threads

#: What of a bundle can compute in int8.
PARTS = ("towers", "detector")


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
    part: str = "towers",
    name: str | None = None,
    force: bool = False,
    seed: int = 0,
    threads: int = 1,
    workers: int | None = None,
    progress: ProgressOf = no_progress,
) -> dict[str, Any]:
    """Writes a bundle whose towers, or detector, compute in int8, and measures what that costs and
    gains.

    Of towers, ranges come from images of some items, recall from photos of the others; of a
    detector, ranges come from some images, average precision from others with marked garments. All
    else stays, as does the given bundle. Needs the extra ``quantize``; no PyTorch.

    Args:
        bundle: an open bundle, its folder, or the name of one that ships.
        images: a manifest or its file, as for `hemline.adapt`; for a detector with the column
            ``garments``, or boxes.
        folder: the new bundle.
        crop, split, photos, gallery, seed, threads, workers, progress: as for `hemline.adapt`.
        calibration: images of each domain that ranges are taken from; of a detector, of both.
        portable: weights of 7 bits, which give the same numbers on processors without VNNI.
        part: ``towers`` or ``detector``.
        name: of the new bundle.
        force: also write one that loses more than 0.01 of recall@1 (or of average precision), or
            isn't faster.

    Returns:
        ``before``, ``after`` and ``difference`` as of `hemline.adapt`, ``cpu_ms`` of one photo in
        the street tower, ``cosine`` between both bundles' embeddings, ``bytes``, ``refused``
        (reasons), ``written``, and the new bundle's ``fingerprint``. Of a detector ``before``,
        ``after`` and ``difference`` are average precisions, boxes alone, on ``images`` images.

    Raises:
        UsageError: ``folder`` exists, no such crop or part, or ``onnx`` is missing.
        DataError: too few items to measure on, or images that can't be read.
        BundleError: no such bundle, or one without the part.
    """
    check_target(target := Path(folder))
    check_threads(threads)
    check_onnx()
    if part not in PARTS:
        raise UsageError(f"no part {part!r} of a bundle. {nearest(part, PARTS)}")
    base = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    if _computes_in_int8(base, part):
        raise UsageError(
            f"{base.info.name} computes in int8 already ({part}); name the bundle it came from"
        )
    with tempfile.TemporaryDirectory(prefix="hemline-quantize-") as place:
        new = Path(place) / "bundle"
        if part == "detector":
            made, report = quantize_detector(
                base, images if isinstance(images, Manifest) else Manifest.read(images), new,
                split=split, calibration=calibration, most=photos, portable=portable, name=name,
                seed=seed, threads=threads, workers=workers, progress=progress,
            )  # fmt: skip
            refused = refusals(report)
        else:
            (sources := collect(images, None, crop, split)).limited(photos, gallery, seed)
            run = Run(base, sources, threads, workers, seed, progress)
            made, report = run.made(new, calibration, portable)
            refused = reasons(report)
        report |= {"part": part, "machine": machine(), "refused": refused, "written": False}
        if force or not refused:
            if part == "detector":
                info = describe_detector(made, base, report)
            else:
                info = describe(made, base, name, report)
            made.copy_to(target)
            report |= {"written": True, "bundle": str(target)}
            report |= {"name": info.name, "fingerprint": info.fingerprint}
    return report


def _computes_in_int8(base: Bundle, part: str) -> bool:
    if part == "towers":
        return "quantized" in base.info.training
    return base.info.detector is not None and "quantized" in base.info.detector.training
