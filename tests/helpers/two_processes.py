"""What each process of ``torchrun`` runs in `tests/learn/training/test_processes.py`.

``python two_processes.py gather``; or ``train RECIPE.json MANIFEST RUN [SECONDS]``, which waits so
long after each epoch.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from torch import distributed

from hemline.learn.api import train
from hemline.learn.gathering import all_rows
from hemline.learn.losses.info_nce import info_nce_loss
from hemline.learn.recipe import parse
from hemline.learn.training import stage_module

ROWS = 7


def gather() -> None:
    """Loss and gradient over the rows of all processes, against one process's."""
    distributed.init_process_group("gloo")
    rank, world = distributed.get_rank(), distributed.get_world_size()
    generator = torch.Generator().manual_seed(0)
    street, shop = torch.randn(2, ROWS, 4, generator=generator)
    items = torch.arange(ROWS)
    alone = street.clone().requires_grad_()
    one = info_nce_loss(torch.cdist(alone, shop), items, items)
    one.backward()
    part = slice(ROWS * rank // world, ROWS * (rank + 1) // world)  # 3 and 4 rows
    own = street[part].clone().requires_grad_()
    distances = torch.cdist(all_rows(own), all_rows(shop[part]))
    numbers = all_rows(items[part])
    loss = info_nce_loss(distances, numbers, numbers)
    loss.backward()
    assert torch.equal(numbers, items)
    torch.testing.assert_close(loss, one)
    assert own.grad is not None
    assert alone.grad is not None
    torch.testing.assert_close(own.grad / world, alone.grad[part])  # DDP takes the mean


def main() -> None:
    if sys.argv[1] == "gather":
        gather()
        return
    recipe, manifest, run = (Path(word) for word in sys.argv[2:5])
    if len(sys.argv) > 5:
        end = stage_module.Recorder.on_train_epoch_end

        def slowly(self: stage_module.Recorder, *given: object) -> None:
            end(self, *given)  # type: ignore[arg-type]
            time.sleep(float(sys.argv[5]))

        stage_module.Recorder.on_train_epoch_end = slowly  # type: ignore[method-assign,assignment]
    train(parse(json.loads(recipe.read_text())), manifest, run)


if __name__ == "__main__":
    main()
