"""Every training item as a class of its own: the head of an ID classification."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class ItemClassifier(nn.Module):
    """A linear layer with one output for each item that training knows.

    How many there are isn't known when a model is built; `expect` makes room for them, and a state
    that is loaded brings its own number along.

    Args:
        inputs: D.
    """

    numbers: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.weight = nn.Parameter(torch.zeros(0, inputs))
        self.register_buffer("numbers", torch.zeros(0, dtype=torch.int64))

    def expect(self, items: Tensor) -> None:
        """Makes a class of each item number; drawn anew where they aren't those it has.

        Args:
            items: (N,) item numbers, in any order.
        """
        numbers = torch.unique(items).to(self.numbers.device)
        if torch.equal(numbers, self.numbers):
            return
        weight = torch.empty(len(numbers), self.inputs, device=self.weight.device)
        nn.init.normal_(weight, std=0.01)
        self.numbers, self.weight = numbers, nn.Parameter(weight)

    def loss(self, vectors: Tensor, items: Tensor) -> Tensor:
        """Mean cross-entropy of (B, D) vectors of (B,) items; AHBN's Eq. 12.

        Items that aren't expected (drawn ones) count for nothing.
        """
        if not len(self.numbers):
            raise ValueError("no items are expected yet: call expect first")
        place = torch.searchsorted(self.numbers, items).clamp(max=len(self.numbers) - 1)
        known = self.numbers[place] == items
        target = torch.where(known, place, -100)
        logits = functional.linear(vectors, self.weight)
        total = functional.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
        return total / known.sum().clamp(min=1)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        numbers = state.get(f"{prefix}numbers")
        if isinstance(numbers, Tensor) and len(numbers) != len(self.numbers):
            shape = (len(numbers), self.inputs)
            self.weight = nn.Parameter(self.weight.new_zeros(shape))
            self.numbers = self.numbers.new_zeros(len(numbers))
        super()._load_from_state_dict(state, prefix, *rest)
