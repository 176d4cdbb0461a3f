"""Closed-form parts of a stage: the model is shown every training picture once, as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from hemline.data.preprocess import Preprocessing
from hemline.learn.model import Fitting, RetrievalModel
from hemline.learn.training.batches import normalise
from hemline.learn.training.images import Pictures
from hemline.learn.training.rows import Parts, Rows
from hemline.types import Domain

Advance = Callable[[int, int], None]


def fit(
    model: RetrievalModel,
    pictures: Pictures,
    parts: Parts,
    items: Rows,
    tags: npt.NDArray[np.uint8],
    device: torch.device,
    advance: Advance = lambda done, total: None,
    batch_size: int = 32,
) -> None:
    """Calls the model's ``fit``, with the model in evaluation mode on ``device``.

    Args:
        pictures: at the model's own size.
        parts: whose training rows are shown.
        items: (N,) item number of every manifest row.
        tags: (N, T) multi-hot of every row.
        advance: told how many pictures were shown.
    """
    total = len(parts.street) + len(parts.shop)
    done = 0

    def shown(rows: Rows, domain: Domain) -> Iterator[Fitting]:
        nonlocal done
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            squares = [(row, pictures[row]) for row in chosen.tolist()]
            good = [(row, square) for row, square in squares if square is not None]
            done += len(chosen)
            if good:
                kept = np.array([row for row, _ in good])
                yield Fitting(
                    _images([square for _, square in good], model.preprocessing, domain, device),
                    torch.from_numpy(items[kept]).to(device),
                    torch.from_numpy(tags[kept]).to(device).float(),
                )
            advance(done, total)

    model.to(device).eval()
    with torch.inference_mode():
        model.fit(shown(parts.street, "street"), shown(parts.shop, "shop"))


def _images(
    squares: list[npt.NDArray[np.uint8]], spec: Preprocessing, domain: Domain, device: torch.device
) -> torch.Tensor:
    return normalise(torch.from_numpy(np.stack(squares)).to(device), spec, domain)
