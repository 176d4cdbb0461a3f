"""Where a trained model looks: attended locations back at the image, and channel weights.

Attended locations as in section 5.7 of the YNet paper (https://arxiv.org/abs/1709.01784): the
gradient of the features at one location is set to 1, at all others to 0, and taken back to the
image. Channel weights as in Figure 7 of the AHBN paper (https://arxiv.org/abs/2010.13357).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hemline.data.preprocess import prepare, square
from hemline.errors import UsageError
from hemline.learn.checkpoint import CheckpointEncoder
from hemline.learn.models.ahbn import AHBN
from hemline.learn.models.ynet import YNet
from hemline.ranking.tags import multi_hot
from hemline.types import FloatArray, Image


class Attended(NamedTuple):
    """Tag attention on one shop image.

    Attributes:
        image: (S, S, 3) as the model reads it.
        weights: (L,) over locations, which sum to 1.
        most, least: (S, S) size of the gradient at each pixel, its largest value 1, from the
            location with the largest and the smallest weight.
    """

    image: Image
    weights: FloatArray
    most: FloatArray
    least: FloatArray


def attended(
    run: Path | CheckpointEncoder, images: Sequence[Image], tags: Sequence[Sequence[str]]
) -> list[Attended]:
    """Tag attention of a TagYNet or CtxYNet on shop images.

    Args:
        run: its folder, or the run already opened.
        images: (H, W, 3) upright RGB.
        tags: of each image.

    Raises:
        UsageError: a run of a model without tag attention.
    """
    encoder = _opened(run)
    model = encoder.model
    if not isinstance(model, YNet) or not model.uses_tags:
        raise UsageError(f"{run} has no tag attention; tagynet and ctxynet have")
    spec, found = model.preprocessing, []
    for image, words in zip(images, tags, strict=True):
        pixels = torch.from_numpy(prepare(image, spec, "shop")).unsqueeze(0)
        pixels = pixels.to(encoder.device).requires_grad_()
        hot = torch.from_numpy(multi_hot([list(words)], encoder.run.vocabulary)).float()
        hot = hot.to(encoder.device)
        local = model.shop(model.shared(pixels)).flatten(2)  # (1, C, L)
        weights = model.tag_attention(local.float(), hot)[1][0].detach()
        maps = [_back(local, pixels, int(at)) for at in (weights.argmax(), weights.argmin())]
        shown = square(image, spec)
        found.append(Attended(shown, weights.cpu().numpy(), *maps))
    return found


def _back(local: Tensor, pixels: Tensor, place: int) -> FloatArray:
    """The gradient of all channels at a location, at the image: (S, S), its largest value 1."""
    (gradient,) = torch.autograd.grad(local[0, :, place].sum(), pixels, retain_graph=True)
    size = gradient[0].abs().sum(dim=0)
    return np.asarray((size / size.max().clamp(min=1e-12)).cpu(), np.float32)


def _opened(run: Path | CheckpointEncoder) -> CheckpointEncoder:
    return run if isinstance(run, CheckpointEncoder) else CheckpointEncoder(run, "cpu")


def channel_gate(encoder: CheckpointEncoder) -> str:
    """``sigmoid`` or ``softmax`` of a model with channel attention; empty of any other."""
    model = encoder.model
    attention = model.meeting.attention if isinstance(model, AHBN) else None
    return "" if attention is None else str(attention.gate)


def channel_weights(
    run: Path | CheckpointEncoder, images: Sequence[Image]
) -> npt.NDArray[np.float64]:
    """(B, C₁ + C₂) weights of an AHBN's channels on images, the appearance branch's first.

    Raises:
        UsageError: a run of a model without channel attention.
    """
    encoder = _opened(run)
    model = encoder.model
    attention = model.meeting.attention if isinstance(model, AHBN) else None
    if attention is None:
        raise UsageError(f"{run} has no channel attention; ahbn has")
    kept: list[Tensor] = []

    def keep(module: nn.Module, given: Any, weights: tuple[Tensor, Tensor]) -> None:
        kept.append(torch.cat(weights, dim=1))

    with attention.register_forward_hook(keep):
        encoder.encode_street(images)
    return np.asarray(torch.cat(kept).double().cpu())
