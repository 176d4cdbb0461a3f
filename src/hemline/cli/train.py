"""``hemline train``: a recipe and a manifest to a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, err, out, progress, say
from hemline.errors import UsageError

if TYPE_CHECKING:
    from hemline.data.manifest import Manifest
    from hemline.learn.detection.recipe import DetectorRecipe
    from hemline.learn.recipe import Recipe


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe's file, or the name of one that ships.")
    ] = None,
    manifest: Annotated[Path | None, typer.Argument(help="The table of images.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings over the recipe's."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the run; the same command goes on in it."),
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="paper (default), bench or smoke, as the recipe has them.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the recipes that ship.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model as a recipe says.

    Example: hemline train ctxynet shop/manifest.parquet -o runs/ctxynet --scale bench seed=1
    """
    if show:
        _list(as_json)
        return
    if recipe is None or manifest is None or run is None:
        raise UsageError(
            "train needs a recipe, a manifest and a run: hemline train ynet manifest.csv -o "
            "runs/ynet (hemline train --list names the recipes)"
        )
    from hemline.data.manifest import Manifest
    from hemline.learn import recipe as recipes
    from hemline.learn.detection.recipe import DetectorRecipe
    from hemline.learn.training.loop import is_first
    from hemline.learn.training.loop import train as train_run

    resolved = recipes.load(recipe, scale, settings or [])
    table = Manifest.read(manifest)
    if isinstance(resolved, DetectorRecipe):
        _detector(resolved, table, run, as_json)
        return
    result = train_run(resolved, table, run, say=say, progress=progress, bar=err.is_terminal)
    if not is_first():
        return
    best = result.get("best", {})
    figures = {k: v for k, v in best.get("figures", {}).items() if "recall@" in k or k == "mrr"}
    emit(
        {
            "run": str(run),
            "recipe": resolved.name,
            "model": result["model"],
            "stage": best.get("stage"),
            "epoch": best.get("epoch"),
            "resumed": result["resumed"],
            "finished": result["finished"],
            "validation": figures,
        },
        as_json,
        _words,
    )


def _detector(recipe: DetectorRecipe, table: Manifest, run: Path, as_json: bool) -> None:
    from hemline.learn.detection.training import train_detector

    result = train_detector(recipe, table, run, say=say, progress=progress)
    emit(
        {
            "run": str(run),
            "recipe": recipe.name,
            "model": result["model"],
            "step": result["best"]["step"],
            "resumed": result["resumed"],
            "finished": result["finished"],
            "validation": result["best"]["figures"],
        },
        as_json,
        _detector_words,
    )


def _detector_words(result: Mapping[str, Any]) -> None:
    loss = result["validation"]["loss"]
    out(f"{result['run']}: best is step {result['step']}, validation loss {loss:.3f}")
    out(f"Next: hemline export {result['run']} -o BUNDLE, into a bundle that is there")


def _words(result: Mapping[str, Any]) -> None:
    figures = result["validation"]
    out(
        f"{result['run']}: best is epoch {result['epoch']} of stage {result['stage']}, validation "
        f"recall@1 {figures['recall@1']:.3f}, recall@5 {figures['recall@5']:.3f}, "
        f"recall@20 {figures['recall@20']:.3f}"
    )
    out(f"Next: hemline export {result['run']} -o BUNDLE")


def _model(recipe: Recipe | DetectorRecipe) -> str:
    from hemline.learn.recipe import Recipe

    return recipe.model.name if isinstance(recipe, Recipe) else "detector"


def _list(as_json: bool) -> None:
    from hemline.learn import recipe as recipes

    rows = []
    for name in recipes.shipped():
        loaded = recipes.load(name)
        rows.append({"name": name, "model": _model(loaded), "summary": loaded.summary})

    def words(result: Mapping[str, Any]) -> None:
        for row in result["recipes"]:
            out(f"{row['name']:<18} {row['model']:<10} {row['summary']}")

    emit({"recipes": rows}, as_json, words)


COMMANDS = {"train": train}
