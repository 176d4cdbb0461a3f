"""``hemline export``: a run to a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out, say


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    bundle: Annotated[Path, typer.Option("--out", "-o", help="The new bundle's folder.")],
    precision: Annotated[
        str, typer.Option(help="Of the stored weights: float32, float16 or int8.")
    ] = "float32",
    pictures: Annotated[
        Path | None, typer.Option(help="A manifest: compare with torch on 32 of its pictures too.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The bundle's name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the best model of a run as a bundle, which runs without PyTorch.

    Example: hemline export runs/ctxynet -o bundles/ctxynet --precision float16
    """
    from hemline.learn.export import export as write_bundle

    info = write_bundle(
        run,
        bundle,
        precision=precision,
        images=_some(pictures),
        name=name,
        force=force,
        say=say,
    )
    files = {path.name: path.stat().st_size for path in sorted(bundle.iterdir())}
    emit(
        {
            "bundle": str(bundle),
            "name": info.name,
            "fingerprint": info.fingerprint,
            "precision": info.precision,
            "precision_loss": info.precision_loss,
            "bytes": sum(files.values()),
            "files": files,
        },
        as_json,
        _words,
    )


def _some(manifest: Path | None, count: int = 32) -> list[Any]:
    """Pictures spread evenly over a manifest."""
    if manifest is None:
        return []
    from hemline.data.images import open_many
    from hemline.data.manifest import Manifest
    from hemline.errors import ImageError

    table = Manifest.read(manifest)
    rows = range(0, len(table), max(1, len(table) // count))
    found = open_many([table.file(row) for row in rows][:count], workers=2)
    return [image for _, image in found if not isinstance(image, ImageError)]


def _words(result: Mapping[str, Any]) -> None:
    loss = result["precision_loss"]
    out(
        f"{result['bundle']}: {result['name']}, {result['bytes'] / 1e6:.1f} MB as "
        f"{result['precision']}, at most {loss['max_abs_error']:.2g} from torch"
    )
    out(f"Next: hemline catalog create CATALOG --bundle {result['bundle']}")


COMMANDS = {"export": export}
