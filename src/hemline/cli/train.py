"""``hemline train``: a recipe and a manifest to a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, err, out, progress, say
from hemline.errors import UsageError

#: Validation figures that are printed, besides every recall@k.
_FIGURES = ("mrr", "loss", "score_loss", "box_loss", "kind_loss")


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe's file, or the name of a shipped one.")
    ] = None,
    manifest: Annotated[Path | None, typer.Argument(help="The table of images.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changes of the recipe's settings."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the run; the same command continues it."),
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="paper (default), bench or smoke, as the recipe has them.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="File that the backbone starts from, or `random`; default the recipe's."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the recipes that ship.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model by a recipe.

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
    from hemline.learn.api import train as train_run
    from hemline.learn.training.engine import is_first

    result = train_run(
        recipe,
        manifest,
        run,
        scale=scale,
        overrides=settings or [],
        weights=weights,
        say=say,
        progress=progress,
        bar=err.is_terminal,
    )
    if is_first():
        best = result["best"]
        figures = {k: v for k, v in best["figures"].items() if "@" in k or k in _FIGURES}
        place = {name: best[name] for name in ("stage", "epoch", "step") if name in best}
        names = ("recipe", "model", "resumed", "finished", "started_from")
        common = {name: result[name] for name in names if name in result}
        detector = result["model"] == "detector"
        answer = {"run": str(run), **common, **place, "validation": figures}
        emit(answer, as_json, _detector_words if detector else _words)


def _detector_words(result: Mapping[str, Any]) -> None:
    loss = result["validation"]["loss"]
    out(f"{result['run']}: best is step {result['step']}, validation loss {loss:.3f}")
    out(f"Next: hemline export {result['run']} -o BUNDLE, into an existing bundle")


def _words(result: Mapping[str, Any]) -> None:
    figures = result["validation"]
    out(
        f"{result['run']}: best is epoch {result['epoch']} of stage {result['stage']}, validation "
        f"recall@1 {figures['recall@1']:.3f}, recall@5 {figures['recall@5']:.3f}, "
        f"recall@20 {figures['recall@20']:.3f}"
        + (f"; started from {result['started_from']}" if "started_from" in result else "")
    )
    out(f"Next: hemline export {result['run']} -o BUNDLE")


def _list(as_json: bool) -> None:
    from hemline.learn import recipe as recipes
    from hemline.learn.recipe import Recipe

    rows = []
    for name in recipes.shipped():
        loaded = recipes.load(name)
        model = loaded.model.name if isinstance(loaded, Recipe) else "detector"
        rows.append({"name": name, "model": model, "summary": loaded.summary})

    def words(result: Mapping[str, Any]) -> None:
        for row in result["recipes"]:
            out(f"{row['name']:<18} {row['model']:<10} {row['summary']}")

    emit({"recipes": rows}, as_json, words)


COMMANDS = {"train": train}
