"""``hemline bundle``: makes a bundle of a pre-trained embedding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out, say

DetectorOption = Annotated[
    str | None,
    typer.Option(
        metavar="BUNDLE",
        help="Take the detector of this bundle: a folder, or a shipped one's name.",
    ),
]

PaddingOption = Annotated[
    str | None,
    typer.Option(help="Of --weights: same (as TensorFlow pads) or symmetric (PyTorch)."),
]


def bundle(
    source: Annotated[
        str,
        typer.Argument(
            help="timm:NAME, hf-hub:ORG/NAME, local-dir:FOLDER, open_clip:NAME/WEIGHTS, nin, "
            "vgg_cnn_s, alexnet or vgg19 (fc6)."
        ),
    ],
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new bundle.")],
    weights: Annotated[
        Path | None, typer.Option(help="A .safetensors or .pth file instead of the hub's weights.")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Of --weights: the mean of R, G, B in 0-1 that they were trained with."),
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="Of --weights: the standard deviation, likewise.")
    ] = None,
    padding: PaddingOption = None,
    precision: Annotated[
        str, typer.Option(help="Precision of the stored weights: float32, float16 or int8.")
    ] = "float32",
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle; the source's by default.")
    ] = None,
    detector: DetectorOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a bundle of a pre-trained embedding, with its own preprocessing.

    Nothing is trained: street and shop images go through the same network. The weights come from
    the model's hub, or from --weights. How the images of --weights were prepared is read from the
    file's metadata, a config.json beside it, or timm's configuration of a named tag
    (timm:NAME.TAG); otherwise it has to be given.

    Example: hemline bundle timm:convnext_tiny.fb_in22k -o bundles/convnext --precision float16
    """
    from hemline.learn.export.input_config import parse
    from hemline.learn.export.pretrained import bundle_pretrained
    from hemline.learn.export.writer import ExportOptions
    from hemline.runtime.bundle import detector_bundle

    inputs = parse(mean, std, padding)
    given = None if detector is None else detector_bundle(detector)
    options = ExportOptions(precision, name=name, force=force, say=say)
    info = bundle_pretrained(
        source, folder, options, weights=weights, inputs=inputs, detector=given
    )
    own = ("name", "fingerprint", "embedding_dim", "precision", "precision_loss")
    result = {
        "bundle": str(folder),
        **{name: getattr(info, name) for name in own},
        "preprocessing": info.preprocessing.described(),
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
    }
    emit(result, as_json, _words)


def _words(result: Mapping[str, Any]) -> None:
    out(
        f"{result['bundle']}: {result['name']}, {result['embedding_dim']} numbers, "
        f"{result['bytes'] / 1e6:.1f} MB as {result['precision']}"
    )
    out(f"Next: hemline catalog create CATALOG --bundle {result['bundle']}")


COMMANDS = {"bundle": bundle}
