"""From a model to a bundle's folder: graphs, shared weights, description and model card, checked.

Written to a folder beside its goal and renamed at the end, so that a bundle is whole or absent.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from hemline.bundle import BundleInfo, write_info
from hemline.data.preprocess import prepare
from hemline.errors import TrainingError, UsageError, nearest
from hemline.learn.export import graphs
from hemline.learn.model import RetrievalModel
from hemline.types import FloatArray, Image

PRECISIONS = ("float32", "float16", "int8")
#: Largest difference of any output between the float32 bundle and torch.
TOLERANCE = 1e-4

#: (folder, graphs' files, loss of the precision) → the description and the model card.
Describe = Callable[[Path, dict[str, str], dict[str, float]], tuple[BundleInfo, str]]


def write_bundle(
    model: RetrievalModel,
    bundle: Path,
    describe: Describe,
    *,
    precision: str = "float32",
    images: Sequence[Image] = (),
    force: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> BundleInfo:
    """Writes a model as a bundle.

    Args:
        model: in evaluation mode.
        bundle: the new folder.
        describe: what ``bundle.json`` and the model card say of it.
        precision: of the stored weights.
        images: real pictures (H, W, 3) to check with, beside random ones.
        force: replace a bundle that is there.
        say: takes lines for people.

    Raises:
        UsageError: an unknown precision, or the folder exists.
        TrainingError: a graph that doesn't give torch's numbers.
    """
    check_goal(bundle, precision, force)
    bundle.parent.mkdir(parents=True, exist_ok=True)
    temporary = bundle.with_name(f".{bundle.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        say("tracing the graphs")
        traced = graphs.trace(model)
        for graph in traced.values():
            graphs.shrink(graph, precision)
        files = graphs.write(traced, temporary)
        say("comparing them with torch")
        loss = compare(model, temporary, files, images)
        if precision == "float32" and loss["max_abs_error"] > TOLERANCE:
            raise TrainingError(
                f"the exported graphs differ from torch by {loss['max_abs_error']:.2g}, more than "
                f"{TOLERANCE:g}; the bundle was not written"
            )
        info, card = describe(temporary, files, loss)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        info = write_info(temporary, info)
        _replace(temporary, bundle)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return info


def check_goal(bundle: Path, precision: str, force: bool) -> None:
    """Raises UsageError for an unknown precision, or a folder that must not be replaced."""
    if precision not in PRECISIONS:
        raise UsageError(f"no precision {precision!r}. {nearest(precision, PRECISIONS)}")
    if bundle.exists() and not force:
        raise UsageError(f"{bundle} exists already; name another folder, or --force to replace it")
    if bundle.exists() and not (bundle / "bundle.json").is_file() and any(bundle.iterdir()):
        raise UsageError(f"{bundle} holds other things than a bundle; name another folder")


def _replace(temporary: Path, bundle: Path) -> None:
    for path in temporary.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if not bundle.exists():
        os.rename(temporary, bundle)
        return
    old = bundle.with_name(f".{bundle.name}.{os.getpid()}.old")
    os.rename(bundle, old)
    os.rename(temporary, bundle)
    shutil.rmtree(old, ignore_errors=True)


def compare(
    model: RetrievalModel, folder: Path, files: dict[str, str], images: Sequence[Image] = ()
) -> dict[str, float]:
    """ONNX Runtime against torch on random and real pictures.

    Returns:
        ``max_abs_error`` over all outputs but the norm, whose error is relative to it, and
        ``min_cosine`` between the embeddings.
    """
    import onnxruntime

    worst, cosine = 0.0, 1.0
    sessions = {
        role: onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])
        for role, file in files.items()
    }
    rng = np.random.default_rng(0)
    spec = model.preprocessing
    noise = [rng.integers(0, 256, (spec.size, spec.size, 3), dtype=np.uint8) for _ in range(3)]
    pictures = [*noise, *list(images)[:32]]
    tags = (rng.random((len(pictures), model.tag_count)) < 0.2).astype(np.float32)
    with torch.inference_mode():
        photos = np.stack([prepare(image, spec, "street") for image in pictures])
        goods = np.stack([prepare(image, spec, "shop") for image in pictures])
        street = model.encode_street(torch.from_numpy(photos))
        shop = model.encode_shop(torch.from_numpy(goods), torch.from_numpy(tags))
        expected: dict[str, list[torch.Tensor]] = {
            "street": [t for t in street if t is not None],
            "shop": [t for t in shop if t is not None],
        }
        feeds: dict[str, dict[str, FloatArray]] = {
            "street": {"images": photos},
            "shop": {"images": goods, **({"tags": tags} if model.uses_tags else {})},
        }
        if "rerank" in files:
            assert street.local is not None
            contexts = shop.embedding * shop.norm[:, None]
            reranked = model.rerank(street.local[0], contexts)
            expected["rerank"] = [reranked.distance, reranked.attention]
            feeds["rerank"] = {"local": street.local[0].numpy(), "contexts": contexts.numpy()}
    for role, session in sessions.items():
        outputs = session.run(None, feeds[role])
        for output, given, right in zip(
            session.get_outputs(), outputs, expected[role], strict=True
        ):
            wanted = right.numpy()
            error = np.abs(given - wanted)
            if output.name in ("norm", "local"):
                error = error / max(1.0, float(np.abs(wanted).max()))
            worst = max(worst, float(error.max()))
            if output.name == "embedding":
                cosine = min(cosine, float((given * wanted).sum(axis=1).min()))
    return {"max_abs_error": worst, "min_cosine": min(cosine, 1.0)}
