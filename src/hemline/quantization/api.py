"""Quantizing from Python: `quantize`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hemline.adaptation.write import check_target
from hemline.bundle import BundleInfo
from hemline.data.manifest import Manifest
from hemline.errors import UsageError, nearest
from hemline.evaluation.machine import machine
from hemline.progress import ProgressOf, no_progress
from hemline.quantization import detector, towers
from hemline.quantization.options import Options
from hemline.quantization.write import check_onnx
from hemline.runtime.bundle import Bundle, check_threads


class Part(NamedTuple):
    """What of a bundle can compute in int8."""

    #: (bundle, images, new folder, options) → the new bundle in the folder, and its report.
    make: Callable[[Bundle, Any, Path, Options], tuple[Bundle, dict[str, Any]]]
    #: Why what was made isn't good enough, from its report; none if it is.
    reasons: Callable[[dict[str, Any]], list[str]]
    #: (new bundle, bundle, name, report) → writes what was measured into the new bundle.
    describe: Callable[[Bundle, Bundle, str | None, dict[str, Any]], BundleInfo]


PARTS = {
    "towers": Part(towers.make, towers.reasons, towers.describe),
    "detector": Part(detector.make, detector.reasons, detector.describe),
}


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
    options = Options(
        crop, split, calibration, photos, gallery, portable, name, seed, threads, workers, progress
    )
    return _write(bundle, images, Path(folder), part, options, force)


def _write(
    bundle: str | os.PathLike[str] | Bundle,
    images: str | os.PathLike[str] | Manifest,
    target: Path,
    part: str,
    options: Options,
    force: bool,
) -> dict[str, Any]:
    check_target(target)
    check_threads(options.threads)
    check_onnx()
    if part not in PARTS:
        raise UsageError(f"no part {part!r} of a bundle. {nearest(part, PARTS)}")
    base = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    if _computes_in_int8(base, part):
        raise UsageError(
            f"{base.info.name} computes in int8 already ({part}); name the bundle it came from"
        )
    own = PARTS[part]
    with tempfile.TemporaryDirectory(prefix="hemline-quantize-") as place:
        made, report = own.make(base, images, Path(place) / "bundle", options)
        refused = own.reasons(report)
        report |= {"part": part, "machine": machine(), "refused": refused, "written": False}
        if force or not refused:
            info = own.describe(made, base, options.name, report)
            made.copy_to(target)
            report |= {"written": True, "bundle": str(target)}
            report |= {"name": info.name, "fingerprint": info.fingerprint}
    return report


def _computes_in_int8(base: Bundle, part: str) -> bool:
    if part == "towers":
        return "quantized" in base.info.training
    return base.info.detector is not None and "quantized" in base.info.detector.training
