"""From a run to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hemline.bundle import DETECTOR, INFO_FILE, BundleInfo, take_detector
from hemline.learn.checkpoint import Run, load_run
from hemline.learn.export.card import fill_card, quality_rows
from hemline.learn.export.detector import DETECTOR_FILE, detector_card, export_detector
from hemline.learn.export.writer import ExportOptions, check_target, write_bundle
from hemline.learn.model import MODELS


def export(
    run: Path | Run,
    bundle: Path,
    options: ExportOptions | None = None,
    *,
    detector: Path | None = None,
) -> BundleInfo:
    """Writes the best model of a run as a bundle.

    Args:
        run: a run's folder, or a run already read.
        bundle: the new folder.
        options: how it is written.
        detector: the run of a detector, whose weights are stored as float16, or a bundle's folder,
            whose detector is copied.

    Raises:
        UsageError: an unknown precision, or the folder exists.
        BundleError: the bundle of ``detector`` has none, or is damaged.
        TrainingError: no run, or a graph that doesn't give torch's numbers.
    """
    options = options or ExportOptions()
    check_target(bundle, options)
    source = load_run(run) if isinstance(run, Path) else run

    def describe(
        folder: Path, files: dict[str, str], loss: dict[str, float]
    ) -> tuple[BundleInfo, str]:
        info = _info(source, options, files, loss)
        if source.seen is not None:
            source.seen.write(folder)
        if detector is not None and (detector / INFO_FILE).is_file():
            info = take_detector(folder, info, detector)
        elif detector is not None:
            own = ExportOptions("float16", images=options.images, say=options.say)
            graph, described = export_detector(detector, own)
            (folder / DETECTOR_FILE).write_bytes(graph)
            graphs = {**info.graphs, DETECTOR: DETECTOR_FILE}
            info = info.model_copy(update={"graphs": graphs, "detector": described})
        return info, card(source, info)

    return write_bundle(source.model.eval(), bundle, describe, options)


def _info(
    run: Run, options: ExportOptions, files: dict[str, str], loss: dict[str, float]
) -> BundleInfo:
    model, figures = run.model, run.state["figures"]
    measured = {k: v for k, v in figures.items() if "recall@" in k or k == "mrr"}
    data = run.info["data"]
    return BundleInfo(
        name=options.name or run.recipe.model.name,
        summary=run.recipe.summary or MODELS[run.recipe.model.name].summary,
        embedding_dim=model.embedding_dim,
        grid=model.grid if model.reranks or model.uses_tags else None,
        preprocessing=model.preprocessing,
        vocabulary=run.vocabulary if model.uses_tags else (),
        uses_tags=model.uses_tags,
        reranks=model.reranks,
        graphs=files,
        precision=options.precision,
        precision_loss=loss,
        training={
            "model": run.recipe.model.name,
            "recipe": without_folders(run.recipe.resolved()),
            "stage": run.state["stage"],
            "epoch": run.state["epoch"],
            "data": data,
            "started_from": run.info.get("started_from", ""),
            **({"seen": data["seen"]} if "seen" in data else {}),
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
            *options.quality,
        ],
    )


def without_folders(recipe: Any) -> Any:
    """A recipe's values; files and runs by name, since a bundle goes to other machines."""
    if isinstance(recipe, list):
        return [without_folders(value) for value in recipe]
    if not isinstance(recipe, dict):
        return recipe
    return {
        name: Path(value).name
        if name in ("weights", "start", "bundle") and isinstance(value, str)
        else without_folders(value)
        for name, value in recipe.items()
    }


def card(run: Run, info: BundleInfo) -> str:
    """The model card, Markdown."""
    spec, data = MODELS[run.recipe.model.name], run.info["data"]
    does = ["finds shop items in street photos"]
    if info.uses_tags:
        does.append(f"reads {len(info.vocabulary)} tags of shop images")
    if info.reranks:
        does.append(f"re-ranks the first {info.rerank_top} by context attention")
    return fill_card(
        "run",
        info=info,
        spec=spec,
        run=run,
        data=data,
        start=run.info.get("started_from", "weights that weren't recorded"),
        does=", ".join(does),
        quality=quality_rows(info.quality, ("queries", "gallery")),
        detector=detector_card(info),
    )
