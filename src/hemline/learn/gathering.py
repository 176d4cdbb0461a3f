"""The rows of all processes that train together, so that each ranks against all negatives.

A loss over gathered rows is the same number in every process, and that of one process with the
whole batch. Its gradient is that, too: going back, the gradients of all processes for a row are
summed, and Lightning's DDP averages those of the weights over the processes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, distributed

from hemline.learn.model import Batch, ShopOutput, StreetOutput


def gathered(
    street: StreetOutput, shop: ShopOutput, batch: Batch
) -> tuple[StreetOutput, ShopOutput, Batch]:
    """Outputs and item numbers of all processes, in their order; of one process as they are.

    All else of the batch stays this process's own.
    """
    if not _together():
        return street, shop, batch
    whole = replace(
        batch,
        street_items=all_rows(batch.street_items),
        shop_items=all_rows(batch.shop_items),
    )
    return _all_parts(street), _all_parts(shop), whole


def all_rows(rows: Tensor) -> Tensor:
    """(B, …) rows of this process → (ΣB, …) rows of all processes, with gradients.

    Every process must call it, with any number of rows.
    """
    if not _together():
        return rows
    gathered: Tensor = _AllRows.apply(rows)
    return gathered


def _together() -> bool:
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def _all_parts(output: Any) -> Any:
    parts = (all_rows(part) if isinstance(part, Tensor) else part for part in output)
    return type(output)(*parts)


class _AllRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        world, rank = distributed.get_world_size(), distributed.get_rank()
        own = torch.tensor([len(rows)], device=rows.device)
        found = [torch.zeros_like(own) for _ in range(world)]
        distributed.all_gather(found, own)
        counts = [int(count) for count in found]
        # Processes may have different numbers of rows, and send the same.
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(world)]
        distributed.all_gather(parts, padded)
        ctx.place = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = gradient.contiguous().clone()
        distributed.all_reduce(whole)
        return whole[ctx.place]
