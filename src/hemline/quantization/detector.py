"""A bundle whose detector computes in int8: its ranges, its average precision, its time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hemline import __version__
from hemline.bundle import DETECTOR, BundleInfo, write_info
from hemline.data.garments import AnnotatedImage, annotated_images, group_of
from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.data.preprocess import prepare
from hemline.errors import BundleError, DataError
from hemline.evaluation.average_precision import (
    AveragePrecision,
    GroundTruth,
    by_category,
    coco_average_precision,
    ground_truth,
)
from hemline.files import write_durable
from hemline.quantization.options import Options
from hemline.quantization.speed import compare_speed
from hemline.quantization.write import size
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector
from hemline.types import Detection

#: Most that average precision may fall, at an overlap of 0.5.
MOST_LOST = 0.01
#: Outputs whose last convolutions stay in float: a tenth of a logarithm moves a side by a tenth.
HEADS = ("scores", "boxes", "kinds")
#: Images to measure on, at least; calibration takes a third of all at most.
LEAST, _SHARE = 10, 3
_RESAMPLES = 500


def make(
    base: Bundle, images: str | os.PathLike[str] | Manifest, place: Path, options: Options
) -> tuple[Bundle, dict[str, Any]]:
    """A bundle in the folder ``place`` whose detector computes in int8, and its report.

    Raises:
        BundleError: the bundle has no detector.
        DataError: too few images whose garments are known.
    """
    from hemline.learn.export.int8 import quantized
    from hemline.learn.export.weights import serialized, shrink

    if base.info.detector is None:
        raise BundleError(f"{base.info.name} has no detector")
    manifest = images if isinstance(images, Manifest) else Manifest.read(images)
    ranges, measured = _parts(manifest, options)
    spec = base.info.detector.heads.preprocessing
    feeds = [
        {"images": prepare(image, spec, "street")[None]}
        for _, image in open_many([one.path for one in ranges], options.workers)
        if not isinstance(image, Exception)
    ]
    if not feeds:
        raise DataError(f"none of {len(ranges)} images to calibrate with can be read")
    graph = base.folder / base.info.graphs[DETECTOR]
    with options.progress("calibrating the detector") as advance:
        model = quantized(graph, feeds, HEADS, portable=options.portable, advance=advance)
    if base.info.detector.precision != "float32":
        shrink(model, "float16")  # what stays in float
    made = _written(base, place, serialized(model))
    report: dict[str, Any] = {
        "base": {"name": base.info.name, "fingerprint": base.fingerprint},
        "portable": options.portable,
        "calibration": {"images": len(feeds)},
        **_compared(base, made, measured, options),
        "cpu_ms": compare_speed(base, made, DETECTOR, feeds[0], options.threads),
        "bytes": {"before": size(base.folder), "after": size(made.folder)},
    }
    return made, report


def reasons(report: dict[str, Any]) -> list[str]:
    """Why a detector isn't good enough; none if it is."""
    fall, ratio = -report["difference"]["ap@0.5"], report["cpu_ms"]["ratio"]
    found = []
    if fall > MOST_LOST:
        found.append(f"average precision falls by {fall:.3f}, more than {MOST_LOST}")
    if ratio >= 1:
        found.append(f"it isn't faster on this processor ({ratio:.2f} of the time)")
    return found


def describe(made: Bundle, base: Bundle, name: str | None, report: dict[str, Any]) -> BundleInfo:
    """Writes what was measured into the new bundle's description and model card."""
    assert made.info.detector is not None
    own = made.info.detector
    kept = ("calibration", "portable", "cpu_ms", "machine")
    told = {
        "label": "measured by hemline quantize",
        "protocol": "images kept out of calibration, boxes alone; before it was "
        f"{report['before']['ap@0.5']:.3f}",
        "pictures": report["images"],
        "ap@0.5": report["after"]["ap@0.5"],
        "ap@0.5:0.95": report["after"]["ap@0.5:0.95"],
    }
    training = {
        **own.training,
        "quantized": {**{key: report[key] for key in kept}, "hemline": __version__},
    }
    changed = own.model_copy(update={"training": training, "quality": [*own.quality, told]})
    changes = {"detector": changed, "name": name or base.info.name}
    info = write_info(made.folder, made.info.model_copy(update=changes))
    card = made.folder / "README.md"
    old = card.read_text(encoding="utf-8") if card.is_file() else f"# {info.name}\n"
    spent = report["cpu_ms"]
    note = (
        f"## Detector in int8\n\nThe detector of `{base.info.name}`, computed in int8"
        f"{' with weights of 7 bits' if report['portable'] else ''}, by `hemline quantize`: "
        f"{spent['ratio']} of the time of a photo ({report['machine']['processor']}), average "
        f"precision {report['after']['ap@0.5']:.3f} at overlap 0.5, before "
        f"{report['before']['ap@0.5']:.3f}, on {report['images']} images that took no part in "
        "calibration.\n"
    )
    write_durable(card, f"{old.rstrip()}\n\n{note}")
    return info


def _parts(
    manifest: Manifest, options: Options
) -> tuple[list[AnnotatedImage], list[AnnotatedImage]]:
    """Images for the ranges, and others to measure on."""
    split = options.split
    splits = np.asarray(manifest.column("split"), dtype=np.str_)
    if split == "all":
        counts = np.ones(len(splits), bool)
    else:
        counts = np.isin(splits, (split, "")) if split else splits != "test"
    images = annotated_images(manifest, np.flatnonzero(counts).tolist())
    order = np.random.default_rng([options.seed, 8]).permutation(len(images)).tolist()
    cut = min(options.calibration, len(images) // _SHARE)
    ranges = [images[k] for k in order[:cut]]
    measured = [images[k] for k in order[cut:] if images[k].garments][: options.photos]
    if len(measured) < LEAST:
        raise DataError(
            f"{len(measured)} images with marked garments are left to measure on, after "
            f"calibration; at least {LEAST} are needed"
        )
    return ranges, measured


def _written(base: Bundle, place: Path, graph: bytes) -> Bundle:
    """A copy of the bundle with another graph of the detector."""
    assert base.info.detector is not None
    copy = base.copy_to(place)
    (copy.folder / base.info.graphs[DETECTOR]).write_bytes(graph)
    changed = base.info.detector.model_copy(update={"precision": "int8", "precision_loss": {}})
    info = base.info.model_copy(update={"detector": changed})
    return Bundle(copy.folder, write_info(copy.folder, info))


def _compared(
    base: Bundle,
    made: Bundle,
    images: Sequence[AnnotatedImage],
    options: Options,
) -> dict[str, Any]:
    """Average precision of both detectors on the same images."""
    both = BundleDetector(base, options.threads), BundleDetector(made, options.threads)
    found: tuple[list[tuple[Detection, ...]], ...] = ([], [])
    truths: list[tuple[GroundTruth, ...]] = []
    unreadable = 0
    with options.progress("detecting with both") as advance:
        for place, image in open_many([one.path for one in images], options.workers):
            if isinstance(image, Exception):
                unreadable += 1
                continue
            for detector, kept in zip(both, found, strict=True):
                kept += detector.detect([image])
            truths.append(ground_truth(images[place].garments, image.shape[1], image.shape[0]))
            advance(place + 1, len(images))
    before, after = (_told(one, truths) for one in found)
    return {
        "images": len(truths),
        "unreadable": unreadable,
        "garments": before["garments"],
        "before": before,
        "after": after,
        "difference": {
            key: round(after[key] - before[key], 4) for key in ("ap@0.5", "ap@0.5:0.95")
        },
    }


def _told(
    found: Sequence[Sequence[Detection]], truths: Sequence[Sequence[GroundTruth]]
) -> dict[str, Any]:
    one: AveragePrecision = coco_average_precision(found, truths, resamples=_RESAMPLES)
    groups = by_category(found, truths, group_of, thresholds=(0.5,))
    span = one.interval["0.5"]
    return {
        "ap@0.5": round(one.ap[0.5], 4),
        "interval": [round(span.low, 4), round(span.high, 4)],
        "ap@0.5:0.95": round(one.mean, 4),
        "garments": one.truths,
        "groups": {name: round(own.ap[0.5], 4) for name, own in groups.items()},
    }
