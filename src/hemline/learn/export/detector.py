"""From a detector's run to a bundle: one more graph, checked against torch.

The graph carries its weights inside, so that nothing of the bundle's embedding changes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hemline.bundle import DETECTOR, BundleInfo, DetectorInfo, read_info, write_info
from hemline.data.preprocess import prepare
from hemline.errors import BundleError, TrainingError, UsageError, nearest
from hemline.files import write_durable
from hemline.learn.detection.network import DetectorNetwork, Outputs
from hemline.learn.detection.runs import DetectorRun, load_detector
from hemline.learn.export import graphs
from hemline.types import Image

__all__ = ["PRECISIONS", "add_detector", "describe_detector", "detector_card", "put_detector"]

#: int8 weights cost the boxes too much: a tenth of a logarithm moves a side by a tenth.
PRECISIONS = ("float32", "float16")
#: Largest difference of any output between the float32 graph and torch.
TOLERANCE = 1e-4
FILE = f"{DETECTOR}.onnx"


def add_detector(
    run: Path | DetectorRun,
    bundle: Path,
    *,
    precision: str = "float16",
    threshold: float | None = None,
    images: Sequence[Image] = (),
    quality: Sequence[dict[str, Any]] = (),
    say: Callable[[str], None] = lambda text: None,
) -> BundleInfo:
    """Puts the best detector of a run into a bundle that is there, in place of any it has.

    Args:
        run: a run's folder, or a run already read.
        bundle: the bundle's folder; its embedding and its catalogues stay as they are.
        precision: of the stored weights, float32 or float16.
        threshold: from which score on a garment is shown; the run's own by default.
        images: real pictures (H, W, 3) to check with, beside random ones.
        quality: measured figures, for the description.
        say: takes lines for people.

    Raises:
        UsageError: an unknown precision.
        BundleError: no bundle there.
        TrainingError: no detector's run, or a graph that doesn't give torch's numbers.
    """
    info = read_info(bundle)
    with tempfile.TemporaryDirectory(prefix=f".{bundle.name}.", dir=bundle.parent) as folder:
        new = put_detector(
            run,
            Path(folder),
            info,
            precision=precision,
            threshold=threshold,
            images=images,
            quality=quality,
            say=say,
        )
        # Under a name of its own: until the description says so, the old graph is the bundle's.
        old = info.graphs.get(DETECTOR)
        fresh = FILE if old != FILE else f"{DETECTOR}-2.onnx"
        shutil.copyfile(Path(folder) / FILE, bundle / fresh)
        named = new.model_copy(update={"graphs": {**new.graphs, DETECTOR: fresh}})
        written = write_info(bundle, named)
        _rewrite_card(bundle, written)
    if old is not None:
        (bundle / old).unlink(missing_ok=True)
    return written


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
    write_durable(file, head + "\n".join(detector_card(info)) + "\n" + last)


def put_detector(
    run: Path | DetectorRun,
    folder: Path,
    info: BundleInfo,
    *,
    precision: str = "float16",
    threshold: float | None = None,
    images: Sequence[Image] = (),
    quality: Sequence[dict[str, Any]] = (),
    say: Callable[[str], None] = lambda text: None,
) -> BundleInfo:
    """Writes ``detector.onnx`` into a folder; gives the description that names it, not written."""
    if precision not in PRECISIONS:
        raise UsageError(
            f"no precision {precision!r} for a detector. {nearest(precision, PRECISIONS)}"
        )
    if isinstance(run, Path):
        run = load_detector(run)
    say("tracing the detector")
    network = run.network.eval()
    heads = run.recipe.detector.heads
    side = heads.preprocessing.size
    graph = graphs.traced(
        network, {"images": torch.randn(2, 3, side, side)}, {"images"}, list(Outputs._fields)
    )
    graphs.shrink(graph, precision)
    write_durable(folder / FILE, graphs.alone(graph))
    loss = _compare(network, folder / FILE, images)
    if precision == "float32" and loss["max_abs_error"] > TOLERANCE:
        raise TrainingError(
            f"the exported detector differs from torch by {loss['max_abs_error']:.2g}, more than "
            f"{TOLERANCE:g}; it was not written"
        )
    if threshold is not None:
        heads = heads.model_copy(update={"threshold": threshold})
    detector = DetectorInfo(
        name=run.recipe.name,
        summary=run.recipe.summary,
        heads=heads,
        precision=precision,
        precision_loss=loss,
        training={
            "recipe": run.recipe.resolved(),
            "step": run.state["step"],
            "started_from": run.info["started_from"],
            "data": run.info["data"],
            "versions": run.info["versions"],
            "machine": run.info["machine"],
        },
        quality=[
            {
                "label": "measured here",
                "protocol": "validation loss at the step that was kept",
                "pictures": run.info["data"]["validation_pictures"],
                **run.state["figures"],
            },
            *quality,
        ],
    )
    return info.model_copy(update={"graphs": {**info.graphs, DETECTOR: FILE}, "detector": detector})


def detector_card(info: BundleInfo) -> list[str]:
    """The model card's part on the detector, Markdown lines; none where there is none."""
    detector = info.detector
    if detector is None:
        return []
    rows = []
    for entry in detector.quality:
        shown = ", ".join(f"{k} {v:.3f}" for k, v in entry.items() if isinstance(v, float))
        rows.append(
            f"| {entry.get('protocol', '')} ({entry.get('label', '')}) | "
            f"{entry.get('pictures', '')} | {shown} |"
        )
    data = detector.training.get("data", {})
    started = detector.training.get("started_from") or "chance"
    return [
        "## Detector",
        "",
        f"{detector.summary} Not part of the embedding: its fingerprint is its own. Weights stored "
        f"as {detector.precision}; against torch the largest difference is "
        f"{detector.precision_loss.get('max_abs_error', 0.0):.2g}. Recipe `{detector.name}`, "
        f"{data.get('train_pictures', 0)} pictures with {data.get('garments', 0)} garments, "
        f"started from {started}.",
        "",
        "| protocol | pictures | figures |",
        "|---|---|---|",
        *rows,
        "",
    ]


def _compare(
    network: DetectorNetwork, file: Path, images: Sequence[Image] = ()
) -> dict[str, float]:
    """ONNX Runtime against torch on random and real pictures: the largest difference."""
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    spec = network.config.heads.preprocessing
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (spec.size, spec.size, 3), dtype=np.uint8) for _ in range(2)]
    batch = np.stack([prepare(image, spec, "street") for image in [*noise, *list(images)[:16]]])
    with torch.inference_mode():
        right = network(torch.from_numpy(batch))
    given = session.run(list(Outputs._fields), {"images": batch})
    worst = max(
        float(np.abs(a - b.numpy()).max() / max(1.0, float(b.abs().max())))
        for a, b in zip(given, right, strict=True)
    )
    return {"max_abs_error": worst}
