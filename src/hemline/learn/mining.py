"""Triplet mining: negatives are drawn from the batch, among shop images of other items.

Each function returns (N, 3) integer rows of anchor row, positive column and negative column of the
(B, M) distances, from (B,) and (M,) item numbers. Shop row i < B shows the item of street row i.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Negatives = Literal["cyclic", "random", "semi_hard", "hard"]


def cyclic(street_items: Tensor, shop_items: Tensor, shifts: int = 4) -> Tensor:
    """The shop rows of the pairs shifted by 1 … ``shifts`` (the YNet authors' code); M ≥ B."""
    rows = torch.arange(len(street_items), device=street_items.device)
    parts = [
        torch.stack([rows, rows, (rows + shift) % len(rows)], dim=1)
        for shift in range(1, min(shifts, len(rows) - 1) + 1)
    ]
    if not parts:
        return rows.new_empty((0, 3))
    triplets = torch.cat(parts)
    return triplets[street_items[triplets[:, 0]] != shop_items[triplets[:, 2]]]


def random(
    street_items: Tensor,
    shop_items: Tensor,
    count: int = 4,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``count`` negatives drawn with replacement for each pair (street row, shop row of its item).

    ``generator`` is on the CPU; torch's default where None.
    """
    pairs, other = _pairs(street_items, shop_items)
    if len(pairs) == 0:
        return pairs.new_empty((0, 3))
    chance = other.float().cpu()
    drawn = torch.multinomial(chance, count, replacement=True, generator=generator)
    return torch.cat(
        [pairs.repeat_interleave(count, dim=0), drawn.to(pairs.device).reshape(-1, 1)], dim=1
    )


def semi_hard(distances: Tensor, street_items: Tensor, shop_items: Tensor) -> Tensor:
    """For each pair the nearest negative farther than the positive; the farthest where none is."""
    pairs, other = _pairs(street_items, shop_items)
    distances = distances.detach()
    row = distances[pairs[:, 0]]  # (N, M)
    farther = other & (row > distances[pairs[:, 0], pairs[:, 1]].unsqueeze(1))
    nearest = row.masked_fill(~farther, float("inf")).argmin(dim=1)
    farthest = row.masked_fill(~other, float("-inf")).argmax(dim=1)
    negative = torch.where(farther.any(dim=1), nearest, farthest)
    return torch.cat([pairs, negative.unsqueeze(1)], dim=1)


def hard(distances: Tensor, street_items: Tensor, shop_items: Tensor) -> Tensor:
    """For each pair the nearest of all negatives."""
    pairs, other = _pairs(street_items, shop_items)
    row = distances.detach()[pairs[:, 0]].masked_fill(~other, float("inf"))
    return torch.cat([pairs, row.argmin(dim=1, keepdim=True)], dim=1)


def mine(
    negatives: Negatives,
    distances: Tensor,
    street_items: Tensor,
    shop_items: Tensor,
    count: int = 4,
) -> Tensor:
    """The triplets of a batch, mined by one of the four strategies.

    Args:
        negatives: the strategy, named as its function here.
        distances: (B, M).
        street_items: (B,) integer item numbers.
        shop_items: (M,) integer item numbers.
        count: shifts of ``cyclic``, draws of ``random``; the others ignore it.

    Returns:
        (N, 3) integer rows; none where no row has a negative.
    """
    if negatives == "cyclic":
        return cyclic(street_items, shop_items, count)
    if negatives == "random":
        return random(street_items, shop_items, count)
    strategy = semi_hard if negatives == "semi_hard" else hard
    return strategy(distances, street_items, shop_items)


def _pairs(street_items: Tensor, shop_items: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 2) positive pairs whose anchor has a negative, and (N, M) which columns are negatives."""
    other = street_items.unsqueeze(1) != shop_items.unsqueeze(0)
    pairs = (~other).nonzero()
    pairs = pairs[other.any(dim=1)[pairs[:, 0]]]
    return pairs, other[pairs[:, 0]]
