"""Starts the training of a detector from the one of a bundle.

The graph of a bundle names its weights. Batch normalisation is folded into its convolutions; here
it is unfolded again. In the backbone, whose normalisation stays in evaluation mode, a norm gets
mean 0 and variance 1. In the heads, which train by the statistics of each batch, a norm gets those
of some images, so that on these images the network gives the graph's numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hemline.bundle import DETECTOR, INFO_FILE, read_info
from hemline.errors import TrainingError
from hemline.learn.backbones.averaged import bundle_folder
from hemline.learn.detection.network import DetectorNetwork
from hemline.types import FloatArray

#: The end of the name that ONNX Runtime gives to rounded weights.
_QUANTIZED = "_quantized"


def is_bundle(name: str) -> bool:
    """Whether this is the folder of a bundle, or the name of one that ships."""
    return (bundle_folder(name) / INFO_FILE).is_file()


@torch.no_grad()
def start_from_bundle(network: DetectorNetwork, bundle: str, images: Tensor) -> str:
    """Puts the weights of a bundle's detector into a network.

    Args:
        network: of the same shape.
        bundle: its folder, or the name of the one that ships.
        images: (B, 3, S, S), normalised; they give the statistics of the heads' norms.

    Returns:
        What it started from, in words.

    Raises:
        TrainingError: the bundle has no detector, or one of another network, layers or kinds.
    """
    folder = bundle_folder(bundle)
    info = read_info(folder)
    if info.detector is None:
        raise TrainingError(f"the bundle {bundle} has no detector to start from")
    heads, own = info.detector.heads, network.config.heads
    if heads.layers != own.layers or list(heads.kinds.items()) != list(own.kinds.items()):
        raise TrainingError(
            f"the detector of {bundle} has other layers or kinds than detector.heads; it can only "
            "go on with its own"
        )
    made = info.detector.training.get("recipe", {}).get("detector", {})
    for key in ("backbone", "pad_type", "width", "depth"):
        if key in made and made[key] != getattr(network.config, key):
            raise TrainingError(
                f"the detector of {bundle} was made with detector.{key}={made[key]}, not "
                f"{getattr(network.config, key)}: name the same"
            )
    known = _weights(folder / info.graphs[DETECTOR])
    for name, convolution, norm in _convolutions(network):
        _copy(convolution.weight, known, f"{name}.weight", bundle)
        if norm is None:
            _copy(convolution.bias, known, f"{name}.bias", bundle)
            continue
        _copy(norm.bias, known, f"{name}.weight_bias", bundle)
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
        norm.weight.fill_((1.0 + norm.eps) ** 0.5)
    _calibrate(network, images)
    return f"the detector of the bundle {Path(bundle).name}"


def _weights(graph: Path) -> dict[str, FloatArray]:
    """Name → values of the graph's weights; those of a graph in int8 as they were rounded."""
    import onnx
    from onnx import numpy_helper

    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(graph)).graph.initializer}
    known: dict[str, FloatArray] = {}
    for name, values in stored.items():
        if not name.endswith(_QUANTIZED):
            known[name.removesuffix(".half")] = values.astype(np.float32)
            continue
        plain = name.removesuffix(_QUANTIZED)
        of = name if f"{name}_scale" in stored else plain  # a bias keeps the suffix
        scale, zero = (stored[f"{of}_{part}"] for part in ("scale", "zero_point"))
        along = (-1, *[1] * (values.ndim - 1))  # one scale for each output channel
        steps = values.astype(np.float64) - zero.reshape(along)
        known[plain] = (steps * scale.reshape(along)).astype(np.float32)
    return known


def _convolutions(network: DetectorNetwork) -> Iterator[tuple[str, nn.Conv2d, Any]]:
    """The name of each convolution, itself, and the norm that follows it, if any."""
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.modules.batchnorm._BatchNorm)
    ]
    for place, (name, module) in enumerate(layers):
        if isinstance(module, nn.Conv2d):
            after = layers[place + 1][1] if place + 1 < len(layers) else None
            yield name, module, None if isinstance(after, nn.Conv2d) else after


def _copy(target: Tensor | None, known: dict[str, FloatArray], name: str, bundle: str) -> None:
    values = known.get(name)
    assert target is not None
    if values is None or values.shape != tuple(target.shape):
        found = "nothing" if values is None else f"the shape {values.shape}"
        raise TrainingError(
            f"the detector of {bundle} is another network: {name} has {found} there and the shape "
            f"{tuple(target.shape)} here"
        )
    target.copy_(torch.from_numpy(values))


def _calibrate(network: DetectorNetwork, images: Tensor) -> None:
    """Gives the heads' norms the statistics of their inputs, without changing their outputs."""
    hooks = [
        module.register_forward_pre_hook(_take_statistics)
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and not name.startswith("backbone.")
    ]
    was = network.training
    network.eval()(images)
    network.train(was)
    for hook in hooks:
        hook.remove()


def _take_statistics(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    assert isinstance(norm, nn.BatchNorm2d)
    (values,) = inputs
    variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.add_(mean)
