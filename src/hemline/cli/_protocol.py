"""``hemline data protocol``: what a protocol would ask, and the manifest that training may see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out
from hemline.errors import UsageError


def protocol(
    manifest: Annotated[Path, typer.Argument(help="The whole manifest.")],
    protocol: Annotated[
        str, typer.Option(help="default, atelier, grocery, grocery-folds or holdout.")
    ] = "default",
    fold: Annotated[int | None, typer.Option(help="Only this fold, from 0.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of holdout's choice of products.")] = 0,
    share: Annotated[float, typer.Option(help="Of the products that holdout keeps out.")] = 0.2,
    train_out: Annotated[
        Path | None,
        typer.Option(help="Write what training may see: no query and no held-out product."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show a protocol's queries, gallery and choices, or write its training manifest.

    Example: hemline data protocol grocery.csv --protocol grocery-folds --fold 0 --train-out f0.csv
    """
    from hemline.data.manifest import Manifest
    from hemline.data.protocol import Choices, build

    rows = Manifest.read(manifest)
    parts = build(protocol, rows, Choices(fold=fold, seed=seed, share=share))
    if train_out is not None and len(parts) > 1:
        raise UsageError(f"{protocol} has {len(parts)} folds; say which one with --fold")
    result: dict[str, Any] = {
        "protocols": [
            {
                "protocol": part.choices,
                "queries": len(part.queries),
                "gallery": len(part.gallery),
                "unmatched": part.unmatched,
                "held_out": sorted(part.held_out),
                "training_rows": len(part.training()),
            }
            for part in parts
        ]
    }
    if train_out is not None:
        result["train_out"] = str(parts[0].training().write(train_out))
    emit(result, json, _words)


def _words(result: Mapping[str, Any]) -> None:
    for part in result["protocols"]:
        out(
            f"{part['protocol']['name']}: {part['queries']} queries, {part['gallery']} gallery "
            f"rows, {part['training_rows']} rows to train on, "
            f"{len(part['held_out'])} products held out"
        )
        out("  " + "; ".join(f"{name}: {said}" for name, said in part["protocol"].items()))
    if "train_out" in result:
        out(f"written: {result['train_out']}")
