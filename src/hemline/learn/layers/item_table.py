"""Tables with a row for each training item: a class, a proxy, a centroid.

The number of items isn't known when a model is built: `ItemTable.expect` makes the rows, and
loading a state resizes the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class ItemTable(nn.Module, ABC):
    """A row for each item number.

    Args:
        dim: D of the embeddings.
    """

    numbers: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("numbers", torch.zeros(0, dtype=torch.int64))

    def expect(self, items: Tensor) -> None:
        """Makes a row for each of (N,) item numbers, unless it has rows for just these."""
        numbers = torch.unique(items).to(self.numbers.device)
        if not torch.equal(numbers, self.numbers):
            self.numbers = numbers
            self.make(len(numbers))

    @abstractmethod
    def make(self, count: int) -> None:
        """Makes ``count`` new rows."""

    def places(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) row of each item, and (B,) whether it has one (a distractor has none).

        Raises:
            ValueError: no items are expected yet.
        """
        if not len(self.numbers):
            raise ValueError("no items are expected yet: call expect first")
        place = torch.searchsorted(self.numbers, items).clamp(max=len(self.numbers) - 1)
        return place, self.numbers[place] == items

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        numbers = state.get(f"{prefix}numbers")
        if isinstance(numbers, Tensor) and len(numbers) != len(self.numbers):
            self.numbers = self.numbers.new_zeros(len(numbers))
            self.make(len(numbers))
        super()._load_from_state_dict(state, prefix, *rest)


class ItemClassifier(ItemTable):
    """A linear classifier of items."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.weight = nn.Parameter(torch.zeros(0, dim))

    def make(self, count: int) -> None:
        weight = torch.empty(count, self.dim, device=self.weight.device)
        nn.init.normal_(weight, std=0.01)
        self.weight = nn.Parameter(weight)

    def loss(self, vectors: Tensor, items: Tensor) -> Tensor:
        """Mean cross-entropy of (B, D) vectors of (B,) items; AHBN's Eq. 12.

        Unexpected items are left out.
        """
        place, known = self.places(items)
        target = torch.where(known, place, -100)
        logits = functional.linear(vectors, self.weight)
        total = functional.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
        return total / known.sum().clamp(min=1)
