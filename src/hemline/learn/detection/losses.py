"""Targets of each grid cell, and losses.

Scores follow the generalised focal loss (Li et al., "Generalized Focal Loss", NeurIPS 2020, Eq. 3):
the target at a garment's centre is the overlap of the box predicted there, so that a better box
gets a better score and survives the suppression. Boxes: torchvision's generalised IoU (Rezatofighi
et al., CVPR 2019). Kinds: cross-entropy among those of the garment's layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss

from hemline.data.detector_outputs import Heads
from hemline.learn.detection.network import Outputs

#: The centre of a garment is this share of its box on either side, or this many cells.
_MIDDLE, _LEAST = 0.15, 1.0
_BOX_WEIGHT, _KIND_WEIGHT = 2.0, 0.5


class Annotations(NamedTuple):
    """The garments of one image: boxes (n, 4) xyxy in shares of it, layers (n,), kinds (n,), -1
    where only the layer is known, and ignore (n,)."""

    boxes: Tensor
    layers: Tensor
    kinds: Tensor
    ignore: Tensor


class GridTargets(NamedTuple):
    """Targets of a batch: boxes (B, L, N, 4) in shares, kinds (B, L, N), positive (B, L, N), and
    counted (B, L, N): False where the loss is masked."""

    boxes: Tensor
    kinds: Tensor
    positive: Tensor
    counted: Tensor


class Losses(NamedTuple):
    """Each a mean over the batch's garments, and their weighted sum."""

    total: Tensor
    score: Tensor
    box: Tensor
    kind: Tensor


def grid_targets(annotations: Sequence[Annotations], layers: int, side: int) -> GridTargets:
    """The targets of images on a grid of ``side`` × ``side`` cells.

    A cell shared by two garments of one layer belongs to the smaller one. Inside a garment to
    ignore, its layer is masked.
    """
    count = side * side
    boxes = torch.zeros(len(annotations), layers, count, 4)
    kinds = torch.full((len(annotations), layers, count), -1, dtype=torch.long)
    positive = torch.zeros(len(annotations), layers, count, dtype=torch.bool)
    counted = torch.ones_like(positive)
    at = (torch.arange(side) + 0.5) / side
    x, y = at.repeat(side), at.repeat_interleave(side)  # (N,)
    for row, own in enumerate(annotations):
        size = (own.boxes[:, 2:] - own.boxes[:, :2]).clamp(min=0)
        for k in size.prod(dim=1).argsort(descending=True).tolist():
            x1, y1, x2, y2 = own.boxes[k].tolist()
            layer = int(own.layers[k])
            inside = (x > x1) & (x < x2) & (y > y1) & (y < y2)
            if own.ignore[k]:
                counted[row, layer] &= ~inside
                continue
            wide = max(_MIDDLE * (x2 - x1), _LEAST / side)
            high = max(_MIDDLE * (y2 - y1), _LEAST / side)
            near = ((x - (x1 + x2) / 2).abs() <= wide) & ((y - (y1 + y2) / 2).abs() <= high)
            here = near & inside if bool((near & inside).any()) else near
            boxes[row, layer, here] = own.boxes[k]
            kinds[row, layer, here] = own.kinds[k]
            positive[row, layer, here] = True
    return GridTargets(boxes, kinds, positive, counted | positive)


def box_shares(raw: Tensor, reach: float) -> Tensor:
    """Raw boxes (B, L, 4, N) → xyxy in shares of the image (B, L, N, 4), not clipped."""
    side = round(raw.shape[3] ** 0.5)
    at = (torch.arange(side, device=raw.device, dtype=raw.dtype) + 0.5) / side
    middle = torch.stack([at.repeat(side), at.repeat_interleave(side)], dim=1)  # (N, 2)
    far = reach * raw.clamp(max=3.0).exp().transpose(2, 3)  # (B, L, N, 4)
    return torch.cat([middle - far[..., :2], middle + far[..., 2:]], dim=3)


def losses(outputs: Outputs, targets: GridTargets, spec: Heads) -> Losses:
    """The losses of a batch in float32, each divided by its number of positive cells."""
    outputs = Outputs(*(part.float() for part in outputs))  # autocast gives a lower precision
    positive = targets.positive
    total = positive.sum().clamp(min=1)
    predicted = box_shares(outputs.boxes, spec.reach)[positive]  # (P, 4)
    target = targets.boxes[positive]
    box = generalized_box_iou_loss(predicted, target, reduction="none")
    quality = torch.zeros_like(outputs.scores)
    quality[positive] = _overlap(predicted.detach(), target)
    score = _quality_focal(outputs.scores, quality)[targets.counted].sum()
    kind = _kind_loss(outputs.kinds, targets, spec)
    parts = (score / total, box.sum() / total, kind / total)
    return Losses(parts[0] + _BOX_WEIGHT * parts[1] + _KIND_WEIGHT * parts[2], *parts)


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (P,) of pairs of boxes."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    both = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1)
    return shared / (both - shared).clamp(min=1e-9)


def _quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    # Generalized Focal Loss, Eq. 3, β = 2
    cross = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()).abs().square() * cross


def _kind_loss(logits: Tensor, targets: GridTargets, spec: Heads) -> Tensor:
    """Summed cross-entropy of the kinds, each within its layer."""
    row, layer, place = targets.positive.nonzero(as_tuple=True)
    kind = targets.kinds[row, layer, place]
    known = kind >= 0
    if not bool(known.any()):
        return logits.sum() * 0.0
    row, layer, place, kind = row[known], layer[known], place[known], kind[known]
    of_layer = torch.tensor([[own == name for own in spec.kinds.values()] for name in spec.layers])
    own = logits[row, :, place].masked_fill(~of_layer.to(logits.device)[layer], float("-inf"))
    return functional.cross_entropy(own, kind, reduction="sum")
