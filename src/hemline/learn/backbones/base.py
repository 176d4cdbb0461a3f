"""A backbone cut in two: a shared lower part, and an upper part that each domain copies."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hemline.errors import UsageError, nearest

#: The layers of a backbone in order, by the names that ``cut`` and ``end`` accept.
Units = Sequence[tuple[str, nn.Module]]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A backbone cut in two.

    Attributes:
        shared: (B, 3, S, S) → features; subnetwork I.
        upper: features → (B, C, H, W); copied as subnetworks II and III.
        channels: C.
        grid: (H, W) of the last features at the size it was built for.
        blocks: channels of each tapped stage, adding up to C.
    """

    shared: nn.Module
    upper: nn.Module
    channels: int
    grid: tuple[int, int]
    blocks: tuple[int, ...]

    def branch(self) -> nn.Module:
        """A copy of the upper part with its own weights, equal at first."""
        return copy.deepcopy(self.upper)


class Tapped(nn.Module):
    """A chain whose features at several stages are concatenated on the last stage's grid.

    Args:
        units: in the order they run.
        cut: the stage whose features are the input.
        taps: the stages that are concatenated; may include ``cut``.
    """

    def __init__(self, units: Units, cut: str, taps: Sequence[str]) -> None:
        super().__init__()
        self.units = _chain(units)
        self.names = tuple(name for name, _ in units)
        self.cut, self.taps = cut, tuple(taps)

    def layers(self, features: Tensor) -> list[Tensor]:
        """(B, C, H, W) of the cut → (B, C_i, H', W') of each tapped stage, averaged to one grid."""
        found = [features] if self.cut in self.taps else []
        for name, unit in zip(self.names, self.units, strict=True):
            features = unit(features)
            if name in self.taps:
                found.append(features)
        height, width = found[-1].shape[-2:]
        return [functional.adaptive_avg_pool2d(layer, (height, width)) for layer in found]

    @torch.no_grad()
    def channels(self, features: Tensor) -> tuple[int, ...]:
        """C_i of each tapped stage."""
        training = self.training
        found = tuple(layer.shape[1] for layer in self.eval().layers(features))
        self.train(training)
        return found

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat(self.layers(features), dim=1)


def cut_units(
    name: str, units: Units, cut: str, end: str | None, size: int, taps: Sequence[str] = ()
) -> Backbone:
    """Cuts after the unit ``cut`` and drops what follows the unit ``end``.

    Args:
        name: of the backbone, for messages.
        units: in the order they run.
        cut: the last shared unit.
        end: the last unit of the branch; None for the last of all.
        size: side of the input in pixels.
        taps: stages whose features are concatenated, from ``cut`` on; none for the last stage only.

    Raises:
        UsageError: no such unit, nothing left for the branch, or ``size`` is too small.
    """
    names = [unit for unit, _ in units]
    for stage in (cut, end):
        if stage is not None and stage not in names:
            raise UsageError(f"{name} has no stage {stage!r}. {nearest(stage, names)}")
    first = names.index(cut) + 1
    last = len(names) if end is None else names.index(end) + 1
    if last <= first:
        raise UsageError(
            f"{name} cut after {cut!r} leaves nothing for the branches up to {names[last - 1]!r}; "
            f"its stages are {', '.join(names)}"
        )
    within = names[first - 1 : last]
    for tap in taps:
        if tap not in within:
            raise UsageError(f"{name} has no stage {tap!r} to tap. {nearest(tap, within)}")
    shared: nn.Module = _chain(units[:first])
    upper: nn.Module = _chain(units[first:last])
    blocks: tuple[int, ...] = ()
    if taps:
        last = first - 1 + max(within.index(tap) for tap in taps) + 1
        upper = Tapped(units[first:last], cut, taps)
    try:
        features = run_once(nn.Sequential(shared, upper), size)
        if isinstance(upper, Tapped):
            blocks = tuple(layer.shape[1] for layer in upper.eval().layers(run_once(shared, size)))
    except RuntimeError as error:
        raise UsageError(f"{name} can't read images of {size} px: {error}") from None
    if features.ndim != 4:
        raise UsageError(
            f"{name} ends in a tensor of shape {tuple(features.shape)}; (B, C, H, W) is needed"
        )
    _, channels, height, width = features.shape
    return Backbone(shared, upper, channels, (height, width), blocks or (channels,))


def run_once(module: nn.Module, size: int) -> Tensor:
    """The output for one image (1, 3, size, size) in evaluation mode; no state changes."""
    training = module.training
    module.eval()
    with torch.no_grad():
        output: Tensor = module(torch.linspace(-1, 1, 3 * size * size).view(1, 3, size, size))
    module.train(training)
    return output


def kaiming(module: nn.Module) -> None:
    """He's initialisation of every convolution for ReLU, with zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _chain(units: Units) -> nn.Sequential:
    return nn.Sequential(OrderedDict((name.replace(".", "_"), unit) for name, unit in units))
