"""From a detector's run to a bundle: one more graph, compared with torch.

The graph carries its weights inside, so that the files of the embedding don't change.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hemline.bundle import DETECTOR, BundleInfo, DetectorInfo, read_info, write_info
from hemline.data.preprocess import prepare
from hemline.errors import BundleError, UsageError, nearest
from hemline.files import write_durable
from hemline.learn.detection.network import DetectorNetwork, Outputs
from hemline.learn.detection.runs import DetectorRun, load_detector
from hemline.learn.export import graphs
from hemline.learn.export.card import fill_card, quality_rows
from hemline.learn.export.weights import serialized, shrink
from hemline.learn.export.writer import ExportOptions, check_equal, open_session
from hemline.types import Image

#: int8 weights cost the boxes too much: a tenth of a logarithm moves a side by a tenth.
DETECTOR_PRECISIONS = ("float32", "float16")
DETECTOR_FILE = f"{DETECTOR}.onnx"


def add_detector(
    run: Path | DetectorRun,
    bundle: Path,
    options: ExportOptions | None = None,
    *,
    threshold: float | None = None,
) -> BundleInfo:
    """Puts the best detector of a run into an existing bundle, in place of any it has.

    Args:
        run: a run's folder, or a run already read.
        bundle: the bundle's folder; its embedding and its catalogues stay valid.
        options: how it is written; as float16 by default.
        threshold: least score of a detected garment; the run's own by default.

    Raises:
        UsageError: an unknown precision.
        BundleError: no bundle there.
        TrainingError: no detector's run, or a graph that doesn't give torch's numbers.
    """
    info = read_info(bundle)
    graph, described = export_detector(run, options or ExportOptions("float16"), threshold)
    # Under a name of its own: the old graph is the bundle's until the description is replaced.
    old = info.graphs.get(DETECTOR)
    file = DETECTOR_FILE if old != DETECTOR_FILE else f"{DETECTOR}-2.onnx"
    write_durable(bundle / file, graph)
    changes = {"graphs": {**info.graphs, DETECTOR: file}, "detector": described}
    info = write_info(bundle, info.model_copy(update=changes))
    _rewrite_card(bundle, info)
    if old is not None:
        (bundle / old).unlink(missing_ok=True)
    return info


def describe_detector(bundle: Path, quality: Sequence[dict[str, Any]]) -> BundleInfo:
    """Puts measured figures into a bundle's description and model card, beside the validation's.

    Neither fingerprint changes.

    Args:
        bundle: the bundle's folder; it has a detector.
        quality: figures, each with ``label``, ``protocol`` and ``pictures``.

    Raises:
        BundleError: no bundle there, or one without a detector.
    """
    info = read_info(bundle)
    if info.detector is None:
        raise BundleError(f"the bundle {bundle} has no detector to describe")
    kept = [*info.detector.quality[:1], *quality]
    detector = info.detector.model_copy(update={"quality": kept})
    info = write_info(bundle, info.model_copy(update={"detector": detector}))
    _rewrite_card(bundle, info)
    return info


def export_detector(
    run: Path | DetectorRun, options: ExportOptions, threshold: float | None = None
) -> tuple[bytes, DetectorInfo]:
    """The ONNX graph of a run's best detector, and its description, without a fingerprint.

    Raises:
        UsageError: an unknown precision.
        TrainingError: no detector's run, or a graph that doesn't give torch's numbers.
    """
    if options.precision not in DETECTOR_PRECISIONS:
        known = nearest(options.precision, DETECTOR_PRECISIONS)
        raise UsageError(f"no precision {options.precision!r} for a detector. {known}")
    if isinstance(run, Path):
        run = load_detector(run)
    options.say("tracing the detector")
    network = run.network.eval()
    heads = run.recipe.detector.heads
    side = heads.preprocessing.size
    example = {"images": torch.randn(2, 3, side, side)}
    model = graphs.traced(network, example, {"images"}, list(Outputs._fields))
    shrink(model, options.precision)
    graph = serialized(model)
    loss = _compare(network, graph, options.images)
    check_equal(loss, options.precision)
    if threshold is not None:
        heads = heads.model_copy(update={"threshold": threshold})
    info = DetectorInfo(
        name=run.recipe.name,
        summary=run.recipe.summary,
        heads=heads,
        precision=options.precision,
        precision_loss=loss,
        training={
            "recipe": run.recipe.resolved(),
            "step": run.state["step"],
            **{key: run.info[key] for key in ("started_from", "data", "versions", "machine")},
        },
        quality=[
            {
                "label": "measured here",
                "protocol": "validation loss at the step that was kept",
                "pictures": run.info["data"]["validation_pictures"],
                **run.state["figures"],
            },
            *options.quality,
        ],
    )
    return graph, info


def detector_card(info: BundleInfo) -> str:
    """The model card's part on the detector, Markdown; empty where there is none."""
    detector = info.detector
    if detector is None:
        return ""
    data = detector.training.get("data", {})
    return fill_card(
        "detector",
        detector=detector,
        stored=_stored(detector),
        pictures=data.get("train_pictures", 0),
        garments=data.get("garments", 0),
        started=detector.training.get("started_from") or "random weights",
        quality=quality_rows(detector.quality, ("pictures",)),
    )


def _stored(detector: DetectorInfo) -> str:
    error = detector.precision_loss.get("max_abs_error")
    if error is None:  # `hemline quantize` compared it with the float graph
        return "It computes in int8."
    return (
        f"Weights stored as {detector.precision}; against torch the largest difference is "
        f"{error:.2g}."
    )


def _rewrite_card(bundle: Path, info: BundleInfo) -> None:
    """Puts the detector's part into the model card, in place of any it has."""
    file = bundle / "README.md"
    if not file.is_file():
        return
    head, _, rest = file.read_text(encoding="utf-8").partition("## Detector\n")
    start = rest.find("Figures hold") if rest else head.find("Figures hold")
    last = (rest or head)[start:] if start >= 0 else ""
    if not rest and start >= 0:
        head = head[:start]
    write_durable(file, head + detector_card(info) + last)


def _compare(
    network: DetectorNetwork, graph: bytes, images: Sequence[Image] = ()
) -> dict[str, float]:
    """ONNX Runtime against torch on random and real images: the largest relative difference."""
    rng, spec = np.random.default_rng(0), network.config.heads.preprocessing
    noise = [rng.integers(0, 256, (spec.size, spec.size, 3), dtype=np.uint8) for _ in range(2)]
    batch = np.stack([prepare(image, spec, "street") for image in [*noise, *images[:16]]])
    with torch.inference_mode():
        expected = network(torch.from_numpy(batch))
    outputs = open_session(graph).run(list(Outputs._fields), {"images": batch})
    worst = max(
        float(np.abs(found - right.numpy()).max() / max(1.0, float(right.abs().max())))
        for found, right in zip(outputs, expected, strict=True)
    )
    return {"max_abs_error": worst}
