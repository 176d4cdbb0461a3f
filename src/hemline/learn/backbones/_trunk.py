"""A backbone as the Y needs it: a shared lower part and an upper part that each domain copies."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hemline.errors import UsageError, nearest

#: The layers of a backbone in the order they run, by the names that ``cut`` and ``end`` know.
Units = Sequence[tuple[str, nn.Module]]


@dataclass(frozen=True, slots=True)
class Trunk:
    """A backbone cut in two.

    Attributes:
        shared: (B, 3, S, S) → features; subnetwork I.
        upper: features → (B, C, H, W); the pattern of subnetworks II and III.
        channels: C.
        grid: (H, W) of the last features at the size it was built for.
    """

    shared: nn.Module
    upper: nn.Module
    channels: int
    grid: tuple[int, int]

    def branch(self) -> nn.Module:
        """A copy of the upper part with weights of its own, which start the same."""
        return copy.deepcopy(self.upper)


def cut_units(name: str, units: Units, cut: str, end: str | None, size: int) -> Trunk:
    """Cuts after the unit ``cut`` and drops what follows the unit ``end``.

    Args:
        name: of the backbone, for messages.
        units: what runs, in order.
        cut: the last shared unit.
        end: the last unit of the branch; None for the last of all.
        size: side of the input in pixels.

    Raises:
        UsageError: no such unit, nothing left for the branch, or ``size`` is too small.
    """
    names = [unit for unit, _ in units]
    for wanted in (cut, end):
        if wanted is not None and wanted not in names:
            raise UsageError(f"{name} has no stage {wanted!r}. {nearest(wanted, names)}")
    first = names.index(cut) + 1
    last = len(names) if end is None else names.index(end) + 1
    if last <= first:
        raise UsageError(
            f"{name} cut after {cut!r} leaves nothing for the branches up to {names[last - 1]!r}; "
            f"its stages are {', '.join(names)}"
        )
    shared, upper = _chain(units[:first]), _chain(units[first:last])
    try:
        features = run_once(nn.Sequential(shared, upper), size)
    except RuntimeError as error:
        raise UsageError(f"{name} can't read pictures of {size} px: {error}") from None
    if features.ndim != 4:
        raise UsageError(
            f"{name} ends in a tensor of shape {tuple(features.shape)}; (B, C, H, W) is needed"
        )
    _, channels, height, width = features.shape
    return Trunk(shared, upper, channels, (height, width))


def run_once(module: nn.Module, size: int) -> Tensor:
    """The output for one even picture (1, 3, size, size) in evaluation mode; no state changes."""
    training = module.training
    module.eval()
    with torch.no_grad():
        output: Tensor = module(torch.linspace(-1, 1, 3 * size * size).view(1, 3, size, size))
    module.train(training)
    return output


def kaiming(module: nn.Module) -> None:
    """He's initialisation of every convolution for ReLU, zero biases: for training from scratch."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _chain(units: Units) -> nn.Sequential:
    return nn.Sequential(OrderedDict((name.replace(".", "_"), unit) for name, unit in units))
