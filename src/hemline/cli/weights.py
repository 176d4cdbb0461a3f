"""``hemline weights``: weights of other programs, in this package's layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out

app = typer.Typer(
    help="Convert weights of other programs.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="A .caffemodel, or an .npz of arrays LAYER/0 and LAYER/1.")
    ],
    network: Annotated[
        str, typer.Option(help="nin, vgg_cnn_s, vgg19 or alexnet, with Caffe's names of layers.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.")],
    json: JsonOption = False,
) -> None:
    """Convert ImageNet weights from Caffe, to start a training from (train --weights FILE).

    Example: hemline weights convert nin_imagenet.caffemodel --network nin -o nin.safetensors
    """
    from hemline.learn.backbones.converted import convert_file

    emit(convert_file(source, network, output), json, _print)


def _print(result: Mapping[str, Any]) -> None:
    out(
        f"{result['file']}: {result['tensors']} tensors of {result['network']}, for RGB images "
        f"normalised by {result['mean']} and {result['std']}"
    )
    if result["unused"]:
        out(f"not used: {', '.join(result['unused'])}")
    out(f"Next: hemline train RECIPE MANIFEST -o RUN --weights {result['file']}")


COMMANDS = {"weights": app}
