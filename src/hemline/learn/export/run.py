"""From a run to a bundle: what its description and its model card say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hemline.bundle import BundleInfo
from hemline.learn.checkpoint import Run, load_run
from hemline.learn.export.detector import detector_card, put_detector
from hemline.learn.export.writer import check_goal, write_bundle
from hemline.learn.model import MODELS
from hemline.types import Image


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
    check_goal(bundle, precision, force)
    if isinstance(run, Path):
        run = load_run(run)
    whole = run

    def describe(
        folder: Path, files: dict[str, str], loss: dict[str, float]
    ) -> tuple[BundleInfo, str]:
        info = _info(whole, name or whole.recipe.model.name, precision, files, loss, quality)
        if detector is not None:
            info = put_detector(detector, folder, info, images=images, say=say)
        return info, card(whole, info)

    return write_bundle(
        run.model.eval(),
        bundle,
        describe,
        precision=precision,
        images=images,
        force=force,
        say=say,
    )


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
