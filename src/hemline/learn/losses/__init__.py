"""Losses: pure functions over tensors first.

`LOSSES` has those that every model with a setting ``loss`` takes besides its own (`ynet` and its
stages, `seam`), and those of plug-ins.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from hemline.errors import nearest
from hemline.registry import Registry

__all__ = ["LOSSES", "DistanceLoss", "known_loss"]

#: (B, M) distances, (B,) street items, (M,) shop items → () loss.
DistanceLoss = Callable[[Tensor, Tensor, Tensor], Tensor]

#: A module may declare ``LOSSES``: a name → a `DistanceLoss`.
LOSSES: Registry[DistanceLoss] = Registry(
    "hemline.learn.losses", "LOSSES", "loss", group="hemline.losses", required=False
)


def known_loss(name: str, own: tuple[str, ...]) -> str:
    """``name``, if it is one of a model's ``own`` losses or of `LOSSES`.

    Raises:
        ValueError: it is neither.
    """
    if name not in own and name not in LOSSES:
        raise ValueError(f"no loss {name!r}. {nearest(name, {*own, *LOSSES})}")
    return name
