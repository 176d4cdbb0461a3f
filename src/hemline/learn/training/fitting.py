"""Closed-form parts of a stage, computed from every training image once, without augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from hemline.learn.model import Fitting, RetrievalModel
from hemline.learn.training.batches import normalise
from hemline.learn.training.rows import Rows, TrainingRows
from hemline.progress import Advance, no_advance
from hemline.types import Domain, Image


class Squares(Protocol):
    """(S, S, 3) uint8 squares by manifest row; None where an image can't be read."""

    def __getitem__(self, row: int) -> Image | None: ...


def fit(
    model: RetrievalModel,
    images: Squares,
    rows: TrainingRows,
    items: Rows,
    tags: npt.NDArray[np.uint8],
    device: torch.device,
    advance: Advance = no_advance,
    groups: Rows | None = None,
    batch_size: int = 32,
    channels_last: bool = False,
) -> None:
    """Calls the model's ``fit``, with the model in evaluation mode on ``device``.

    Args:
        images: at the model's own size.
        items: (N,) item number of every manifest row.
        tags: (N, T) multi-hot of every row.
        groups: (N,) number of every row's source, or None.
        channels_last: memory order of the images.
    """
    total = len(rows.street) + len(rows.shop)
    done = 0

    def batches(of_domain: Rows, domain: Domain) -> Iterator[Fitting]:
        nonlocal done
        for start in range(0, len(of_domain), batch_size):
            chosen = of_domain[start : start + batch_size]
            squares = [(row, images[row]) for row in chosen.tolist()]
            good = [(row, square) for row, square in squares if square is not None]
            done += len(chosen)
            if good:
                kept = np.array([row for row, _ in good])
                yield Fitting(
                    normalise(
                        torch.from_numpy(np.stack([square for _, square in good])).to(device),
                        model.preprocessing,
                        domain,
                        channels_last,
                    ),
                    torch.from_numpy(items[kept]).to(device),
                    torch.from_numpy(tags[kept]).to(device).float(),
                    None if groups is None else torch.from_numpy(groups[kept]).to(device),
                )
            advance(done, total)

    model.to(device).eval()
    with torch.inference_mode():
        model.fit(batches(rows.street, "street"), batches(rows.shop, "shop"))
