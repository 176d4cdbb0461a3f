"""Writes a model as a bundle's folder: graphs, shared weights, description and model card.

The graphs are compared with torch before the folder appears, and it appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hemline.bundle import INFO_FILE, BundleInfo, onnx_runtime, write_info
from hemline.data.preprocess import prepare
from hemline.errors import TrainingError, UsageError, nearest
from hemline.files import durable_folder
from hemline.learn.export import graphs
from hemline.learn.export.weights import shrink, write
from hemline.learn.model import RetrievalModel
from hemline.types import FloatArray, Image

PRECISIONS = ("float32", "float16", "int8")
#: Largest difference of any output between a float32 graph and torch.
TOLERANCE = 1e-4

#: (folder, graphs' files, loss of the precision) → the description and the model card.
Describe = Callable[[Path, dict[str, str], dict[str, float]], tuple[BundleInfo, str]]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a bundle, or the detector of one, is written.

    Attributes:
        precision: of the stored weights: ``float32``, ``float16`` or ``int8``.
        images: real images (H, W, 3) to compare with torch on, beside random ones.
        name: of the bundle; the model's by default.
        force: replace an existing bundle.
        quality: measured figures for the description, beside those of the training.
        say: takes progress messages.
    """

    precision: str = "float32"
    images: Sequence[Image] = ()
    name: str | None = None
    force: bool = False
    quality: Sequence[dict[str, Any]] = ()
    say: Callable[[str], None] = lambda text: None


def write_bundle(
    model: RetrievalModel, bundle: Path, describe: Describe, options: ExportOptions
) -> BundleInfo:
    """Writes a model as a bundle.

    Args:
        model: in evaluation mode.
        bundle: the new folder.
        describe: makes the content of ``bundle.json`` and of the model card.
        options: how it is written.

    Raises:
        UsageError: an unknown precision, or the folder exists.
        TrainingError: a graph that doesn't give torch's numbers.
    """
    check_target(bundle, options)
    with durable_folder(bundle, replace=options.force) as folder:
        options.say("tracing the graphs")
        traced = graphs.trace(model)
        for graph in traced.values():
            shrink(graph, options.precision)
        files = write(traced, folder)
        options.say("comparing them with torch")
        loss = compare(model, folder, files, options.images)
        check_equal(loss, options.precision)
        info, card = describe(folder, files, loss)
        (folder / "README.md").write_text(card, encoding="utf-8")
        return write_info(folder, info)


def check_target(bundle: Path, options: ExportOptions) -> None:
    """Raises UsageError for an unknown precision, or a folder that must not be replaced."""
    if options.precision not in PRECISIONS:
        known = nearest(options.precision, PRECISIONS)
        raise UsageError(f"no precision {options.precision!r}. {known}")
    if bundle.exists() and not options.force:
        raise UsageError(f"{bundle} exists already; name another folder, or --force to replace it")
    if bundle.exists() and not (bundle / INFO_FILE).is_file() and any(bundle.iterdir()):
        raise UsageError(f"{bundle} holds other things than a bundle; name another folder")


def check_equal(loss: Mapping[str, float], precision: str) -> None:
    """Raises TrainingError if float32 graphs differ from torch by more than `TOLERANCE`."""
    if precision == "float32" and loss["max_abs_error"] > TOLERANCE:
        raise TrainingError(
            f"the exported graphs differ from torch by {loss['max_abs_error']:.2g}, more than "
            f"{TOLERANCE:g}; the bundle was not written"
        )


def compare(
    model: RetrievalModel, folder: Path, files: dict[str, str], images: Sequence[Image] = ()
) -> dict[str, float]:
    """ONNX Runtime against torch on random and real images.

    Returns:
        ``max_abs_error`` over all outputs, relative to the largest value for ``norm`` and
        ``local``, and ``min_cosine`` between the embeddings.
    """
    worst, cosine = 0.0, 1.0
    for role, (feed, expected) in _cases(model, images).items():
        session = open_session(folder / files[role])
        outputs = session.run(None, feed)
        for output, found, tensor in zip(session.get_outputs(), outputs, expected, strict=True):
            right = tensor.numpy()
            error = np.abs(found - right)
            if output.name in ("norm", "local"):
                error = error / max(1.0, float(np.abs(right).max()))
            worst = max(worst, float(error.max()))
            if output.name == "embedding":
                cosine = min(cosine, float((found * right).sum(axis=1).min()))
    return {"max_abs_error": worst, "min_cosine": cosine}


def _cases(
    model: RetrievalModel, images: Sequence[Image]
) -> dict[str, tuple[dict[str, FloatArray], list[torch.Tensor]]]:
    """Of each graph: its inputs, and the outputs of torch."""
    rng, spec = np.random.default_rng(0), model.preprocessing
    noise = [rng.integers(0, 256, (spec.size, spec.size, 3), dtype=np.uint8) for _ in range(3)]
    images = [*noise, *images[:32]]
    tags = (rng.random((len(images), model.tag_count)) < 0.2).astype(np.float32)
    photos = np.stack([prepare(image, spec, "street") for image in images])
    goods = np.stack([prepare(image, spec, "shop") for image in images])
    with torch.inference_mode():
        street = model.encode_street(torch.from_numpy(photos))
        shop = model.encode_shop(torch.from_numpy(goods), torch.from_numpy(tags))
        read = {"tags": tags} if model.uses_tags else {}
        cases = {
            "street": ({"images": photos}, [t for t in street if t is not None]),
            "shop": ({"images": goods, **read}, [t for t in shop if t is not None]),
        }
        if model.reranks:
            assert street.local is not None
            local, contexts = street.local[0], shop.embedding * shop.norm[:, None]
            feed = {"local": local.numpy(), "contexts": contexts.numpy()}
            cases["rerank"] = (feed, list(model.rerank(local, contexts)))
    return cases


def open_session(graph: Path | bytes) -> Any:
    """A graph under ONNX Runtime on the CPU."""
    model = graph if isinstance(graph, bytes) else str(graph)
    return onnx_runtime().InferenceSession(model, providers=["CPUExecutionProvider"])
