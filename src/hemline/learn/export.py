"""From a run to a bundle: graphs, shared weights, description and model card, checked.

Written to a folder beside its goal and renamed at the end, so that a bundle is whole or absent.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hemline.bundle import BundleInfo, write_info
from hemline.data.preprocess import prepare
from hemline.errors import TrainingError, UsageError, nearest
from hemline.learn import graphs
from hemline.learn.checkpoint import Run, load_run
from hemline.learn.detection.exporting import detector_card, put_detector
from hemline.learn.model import MODELS, RetrievalModel
from hemline.types import FloatArray, Image

PRECISIONS = ("float32", "float16", "int8")
#: Largest difference of any output between the float32 bundle and torch.
TOLERANCE = 1e-4


def export(
    run: Path | Run,
    bundle: Path,
    *,
    precision: str = "float32",
    images: Sequence[Image] = (),
    force: bool = False,
    name: str | None = None,
    quality: Sequence[dict[str, Any]] = (),
    detector: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> BundleInfo:
    """Writes the best model of a run as a bundle.

    Args:
        run: a run's folder, or a run already read.
        bundle: the new folder.
        precision: of the stored weights.
        images: real pictures (H, W, 3) to check with, beside random ones.
        force: replace a bundle that is there.
        name: of the bundle, the model's by default.
        quality: measured figures beside the run's validation.
        detector: the run of a detector, to go into the bundle; its weights are stored as float16.
        say: takes lines for people.

    Raises:
        UsageError: an unknown precision, or the folder exists.
        TrainingError: no run, or a graph that doesn't give torch's numbers.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"no precision {precision!r}. {nearest(precision, PRECISIONS)}")
    if bundle.exists() and not force:
        raise UsageError(f"{bundle} exists already; name another folder, or --force to replace it")
    if bundle.exists() and not (bundle / "bundle.json").is_file() and any(bundle.iterdir()):
        raise UsageError(f"{bundle} holds other things than a bundle; name another folder")
    if isinstance(run, Path):
        run = load_run(run)
    model = run.model.eval()
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
        info = _info(run, name or run.recipe.model.name, precision, files, loss, quality)
        if detector is not None:
            info = put_detector(detector, temporary, info, images=images, say=say)
        (temporary / "README.md").write_text(card(run, info), encoding="utf-8")
        info = write_info(temporary, info)
        _replace(temporary, bundle)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return info


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
            expected["rerank"] = [reranked.distance, reranked.weights]
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


def _info(
    run: Run,
    name: str,
    precision: str,
    files: dict[str, str],
    loss: dict[str, float],
    quality: Sequence[dict[str, Any]],
) -> BundleInfo:
    model, figures = run.model, run.state["figures"]
    measured = {k: v for k, v in figures.items() if "recall@" in k or k == "mrr"}
    data = run.info["data"]
    return BundleInfo(
        name=name,
        summary=run.recipe.summary or MODELS[run.recipe.model.name].summary,
        embedding_dim=model.embedding_dim,
        grid=model.grid if model.reranks or model.uses_tags else None,
        preprocessing=model.preprocessing,
        vocabulary=run.vocabulary if model.uses_tags else (),
        uses_tags=model.uses_tags,
        reranks=model.reranks,
        graphs=files,
        precision=precision,
        precision_loss=loss,
        training={
            "model": run.recipe.model.name,
            "recipe": run.recipe.resolved(),
            "stage": run.state["stage"],
            "epoch": run.state["epoch"],
            "data": data,
            "versions": run.info["versions"],
            "machine": run.info["machine"],
        },
        quality=[
            {
                "label": "measured here",
                "protocol": "validation at the end of the epoch that was kept",
                "queries": data["validation_photos"],
                "gallery": data["validation_gallery"],
                **measured,
            },
            *quality,
        ],
    )


def card(run: Run, info: BundleInfo) -> str:
    """The model card, Markdown."""
    spec, data = MODELS[run.recipe.model.name], run.info["data"]
    rows = []
    for entry in info.quality:
        shown = ", ".join(f"{k} {v:.3f}" for k, v in entry.items() if isinstance(v, float))
        rows.append(
            f"| {entry.get('protocol', '')} ({entry.get('label', '')}) | "
            f"{entry.get('queries', '')} | {entry.get('gallery', '')} | {shown} |"
        )
    does = ["finds shop products in street photos"]
    if info.uses_tags:
        does.append(f"reads {len(info.vocabulary)} tags of shop pictures")
    if info.reranks:
        does.append(f"re-ranks the first {info.rerank_top} by context attention")
    return "\n".join(
        [
            f"# {info.name}",
            "",
            info.summary,
            "",
            f"It {', '.join(does)}. Embeddings of {info.embedding_dim} numbers, L2-normalised, "
            f"compared by {info.distance} distance; pictures of {info.preprocessing.size} pixels.",
            "",
            "## Model",
            "",
            f"{spec.name}: {spec.paper}, {spec.year}, <{spec.link}>.",
            "",
            "## Training",
            "",
            f"- Recipe `{run.recipe.name}`, seed {run.recipe.seed}, stage {run.state['stage']}, "
            f"epoch {run.state['epoch']}.",
            f"- {data['train_photos']} street photos and {data['train_shop']} shop pictures of "
            f"{data['train_items']} items; data fingerprint `{data['fingerprint']}`.",
            f"- Weights stored as {info.precision}; against torch the largest difference is "
            f"{info.precision_loss['max_abs_error']:.2g}, the smallest cosine "
            f"{info.precision_loss['min_cosine']:.6f}.",
            "",
            "## Quality",
            "",
            "| protocol | queries | gallery | figures |",
            "|---|---|---|---|",
            *rows,
            "",
            *detector_card(info),
            "Figures hold for data like the training's; measure on your own with "
            "`hemline evaluate`.",
            "",
        ]
    )
