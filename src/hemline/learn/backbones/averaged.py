"""Averages a network's weights with those that a bundle was exported with.

Weights that were trained from the same start can be averaged: half-way, a network often keeps what
it knew and has what it learned (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR
2022, https://arxiv.org/abs/2109.01903). A bundle is what remains of a training; its graphs name
their weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hemline.errors import UsageError
from hemline.types import FloatArray

#: Parts of a model, in a graph's names of weights; the branches of a Y are averaged.
_PARTS = (
    *("model.shared.", "model.street.features.", "model.shop.features."),
    *("model.trunk.0.", "model.trunk.1.units.", "model.trunk.1."),  # YFit, with taps and without
)
#: How levels are named, and their scale: of a graph that computes in int8, and of one that stores
#: its weights so.
_SCALES = (
    (".weight_quantized", ".weight_scale"),
    ("_bias_quantized", "_bias_quantized_scale"),
    (".int8", ".scale"),
)


@torch.no_grad()
def average_with_bundle(units: Mapping[str, nn.Module], bundle: str, share: float) -> int:
    """Moves the weights of a timm network towards a bundle's; how many convolutions were moved.

    Batch normalisation is folded into the convolutions of a graph, so it is folded here, too: what
    remains of a norm is its bias. That changes nothing that the network computes with the norms'
    stored statistics; with those of a batch it does, so ``bundle`` implies ``freeze_bn``.

    Args:
        units: name → module, in order (``blocks.3``).
        bundle: its folder, or the name of the one that ships; in any stored precision, or computed
            in int8.
        share: of the bundle's weights, 0-1; at 1 the network starts from the bundle.

    Raises:
        UsageError: the bundle has no weights of this network.
    """
    known = _weights(bundle_folder(bundle))
    if any(p.is_meta for unit in units.values() for p in unit.parameters()):
        return 0  # to count parameters there are shapes only
    moved = 0
    for name, unit in units.items():
        for convolution, norm in _convolutions(name, unit, units):
            found = [
                (known[part + convolution + ".weight"], known.get(part + convolution + ".bias"))
                for part in _PARTS
                if part + convolution + ".weight" in known
            ]
            if not found:
                continue
            module = _at(units, convolution)
            assert isinstance(module, nn.Conv2d)
            weight = torch.from_numpy(np.mean([w for w, _ in found], axis=0))
            if weight.shape != module.weight.shape:
                raise UsageError(
                    f"{bundle} is of another network: {convolution} has the shape "
                    f"{tuple(weight.shape)} there and {tuple(module.weight.shape)} here"
                )
            if norm is not None:
                _fold(module, norm)
            module.weight.lerp_(weight, share)
            biases = [bias for _, bias in found if bias is not None]
            own = module.bias if norm is None else norm.bias
            if biases and isinstance(own, Tensor):
                own.lerp_(torch.from_numpy(np.mean(biases, axis=0)), share)
            moved += 1
    if not moved:
        raise UsageError(f"{bundle} has no weights of this network; name one of the same kind")
    return moved


def bundle_folder(bundle: str) -> Path:
    """The folder of a bundle by its name, where it ships, or by its path."""
    shipped = Path(str(resources.files("hemline"))) / "bundles" / bundle
    return shipped if shipped.is_dir() else Path(bundle).expanduser()


def _weights(bundle: Path) -> dict[str, FloatArray]:
    """``model.shared.blocks_0.0.conv_pw.weight`` → its values; ``.bias`` the folded norm's."""
    import onnx
    from onnx import numpy_helper

    values: dict[str, FloatArray] = {}
    for graph in ("street.onnx", "shop.onnx"):
        if not (bundle / graph).is_file():
            raise UsageError(f"{bundle} is no bundle: it has no {graph}")
        constants = onnx.load(str(bundle / graph)).graph.initializer
        stored = {one.name: numpy_helper.to_array(one) for one in constants}
        for name in stored:
            plain = name.removesuffix(".half").removesuffix(".int8").removesuffix("_quantized")
            if name.startswith(_PARTS) and plain.endswith((".weight", ".weight_bias", ".bias")):
                values[plain.replace(".weight_bias", ".bias")] = _floats(stored, name)
    return values


def _floats(stored: Mapping[str, npt.NDArray[Any]], name: str) -> FloatArray:
    """A constant's values, as the graph computes them from its levels where it has a scale."""
    values = stored[name].astype(np.float32)
    for ending, scale in _SCALES:
        if name.endswith(ending):
            factor = stored[name.removesuffix(ending) + scale]
            if factor.ndim == 1:  # one for each output channel
                factor = factor.reshape(-1, *[1] * (values.ndim - 1))
            return np.asarray(values * factor, np.float32)
    return values


def _convolutions(
    name: str, unit: nn.Module, units: Mapping[str, nn.Module]
) -> Iterator[tuple[str, nn.Module | None]]:
    """The name of each convolution, and the norm that directly follows it, if one does."""
    plain = name.replace(".", "_")
    if isinstance(unit, nn.Conv2d):
        names = list(units)
        yield plain, units[names[names.index(name) + 1]]
        return
    modules = [(n, m) for n, m in unit.named_modules() if _is_leaf(m)]
    for place, (inner, module) in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            after = [m for _, m in modules[place + 1 : place + 2] if _is_norm(m)]
            yield f"{plain}.{inner}", after[0] if after else None


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def _is_leaf(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) or _is_norm(module)


def _at(units: Mapping[str, nn.Module], name: str) -> nn.Module:
    first, _, rest = name.partition(".")
    unit = next(unit for key, unit in units.items() if key.replace(".", "_") == first)
    return unit.get_submodule(rest) if rest else unit


def _fold(convolution: nn.Conv2d, norm: nn.Module) -> None:
    """Moves a norm's scale and mean into the convolution before it."""
    state: dict[str, Tensor] = norm.state_dict()  # shares memory with the norm
    eps = float(getattr(norm, "eps", 0.0))
    scale = state["weight"] / (state["running_var"] + eps).sqrt()
    convolution.weight.mul_(scale.reshape(-1, 1, 1, 1))
    if convolution.bias is not None:
        state["running_mean"].sub_(convolution.bias)
        convolution.bias.zero_()
    state["bias"].sub_(state["running_mean"] * scale)
    state["weight"].fill_(1)
    state["running_mean"].zero_()
    state["running_var"].fill_(1 - eps)
