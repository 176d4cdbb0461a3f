"""A running mean of the weights, often better than the last ones (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightMean:
    """mean ← decay · mean + (1 − decay) · weights, after every step; of all floating tensors.

    The first steps use a smaller decay, (1 + n) / (10 + n), so that the start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.mean = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in model.state_dict().items():
            mean = self.mean[name]
            if mean.device != value.device:
                mean = self.mean[name] = mean.to(value.device)
            if value.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def load(self, mean: dict[str, Tensor], steps: int) -> None:
        self.mean, self.steps = {name: value.clone() for name, value in mean.items()}, steps

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model with the mean as its weights, and its own again afterwards."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.mean)
        try:
            yield
        finally:
            model.load_state_dict(own)
