"""Features of image regions as in R-CNN: each region is warped to a square.

R. Girshick et al., "Rich feature hierarchies for accurate object detection", CVPR 2014; DARN,
section 4.2: "the attribute-aware network … in order to embed semantic information".
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hemline.data.preprocess import Preprocessing, resize_square
from hemline.errors import UsageError
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.checkpoint import load_run
from hemline.learn.detection.darn.boxes import Floats
from hemline.learn.layers.adaptive_pooling import adaptive_max_pool
from hemline.learn.models.darn import Darn, Responses, SubNetwork
from hemline.learn.training.batches import normalise
from hemline.types import FloatArray, Image

#: Context around a box in its square, as a share of the square on each side (R-CNN: 16 of 227).
CONTEXT = 0.07


class RegionFeatures(Protocol):
    """Features of boxes on an image."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: Image, boxes: Floats, mirrored: bool = False) -> FloatArray:
        """(H, W, 3), (N, 4) → (N, C)."""
        ...


def cut(image: Image, boxes: Floats, size: int, mirrored: bool = False) -> Image:
    """The boxes of an image as squares with some context: (N, size, size, 3)."""
    height, width = image.shape[:2]
    grow = CONTEXT / (1 - 2 * CONTEXT)
    border = int(np.ceil(grow * max(height, width))) + 1
    wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
    squares = np.empty((len(boxes), size, size, 3), np.uint8)
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        dx, dy = grow * (x2 - x1), grow * (y2 - y1)
        left, top = int(x1 - dx) + border, int(y1 - dy) + border
        right, bottom = int(np.ceil(x2 + dx)) + border, int(np.ceil(y2 + dy)) + border
        squares[row] = resize_square(np.asarray(wide[top:bottom, left:right], np.uint8), size)
    return np.ascontiguousarray(squares[:, :, ::-1]) if mirrored else squares


class NetworkRegions:
    """Features by any network of images.

    Args:
        name: of the features.
        forward: a module of (B, 3, S, S) → (B, C).
        spec: preprocessing, that of street images for every region.
        batch_size: regions at a time.
        whole: how many of the C numbers, the first ones, are of the whole region.
    """

    def __init__(
        self,
        name: str,
        forward: nn.Module,
        spec: Preprocessing,
        batch_size: int = 64,
        whole: int = 0,
    ) -> None:
        self._name, self.forward, self.spec, self.batch_size = name, forward, spec, batch_size
        self.whole = whole

    @property
    def name(self) -> str:
        return self._name

    @torch.inference_mode()
    def __call__(self, image: Image, boxes: Floats, mirrored: bool = False) -> FloatArray:
        found = []
        for start in range(0, len(boxes), self.batch_size):
            part = cut(image, boxes[start : start + self.batch_size], self.spec.size, mirrored)
            images = normalise(torch.from_numpy(part), self.spec, "street", channels_last=True)
            found.append(self.forward(images).float().cpu().numpy())
        return np.concatenate(found)


def faster(features: NetworkRegions) -> NetworkRegions:
    """The same numbers by a frozen trace, in half the time."""
    size = features.spec.size
    example = torch.zeros(8, 3, size, size).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = torch.jit.optimize_for_inference(
            torch.jit.trace(features.forward, example)  # type: ignore[no-untyped-call]
        )
    return NetworkRegions(features.name, trace, features.spec, features.batch_size, features.whole)


class _BackboneParts(nn.Module):
    def __init__(self, network: nn.Module, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.blocks = network, blocks

    def forward(self, images: Tensor) -> Tensor:
        stages = self.network(images).split(self.blocks, dim=1)
        return _joined([stages[-1].mean(dim=(2, 3)), adaptive_max_pool(stages[0], 3)])


class _DarnParts(nn.Module):
    def __init__(self, network: SubNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        responses: Responses = self.network(images)
        return _joined([responses.fc1, responses.conv5])


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat([functional.normalize(part.flatten(1), dim=1) for part in parts], dim=1)


def _ready(network: nn.Module) -> nn.Module:
    network = network.eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


def backbone_regions(config: BackboneConfig, size: int = 96, name: str = "") -> NetworkRegions:
    """Features of a pre-trained backbone (R-CNN's "pre-trained CNN"): its last stage evenly
    averaged, and the 3×3 windows of that stage or of the first one tapped, each of unit length."""
    backbone = build_backbone(config, size)
    network = _BackboneParts(nn.Sequential(backbone.shared, backbone.upper), backbone.blocks)
    spec = Preprocessing(size=size)
    return NetworkRegions(name or config.name, _ready(network), spec, whole=backbone.blocks[-1])


def darn_regions(run: Path, name: str = "") -> NetworkRegions:
    """FC1 of an attribute-aware network and the 3×3 windows of its Conv5, each of unit length.

    Raises:
        UsageError: a run of another model.
    """
    model = load_run(run).model
    if not isinstance(model, Darn):
        raise UsageError(f"{run} is a run of another model; the paper's detector needs darn's")
    part = model.network("street")
    whole = cast(nn.Linear, part.fc1[0]).out_features
    return NetworkRegions(
        name or f"darn {model.config.ladder}", _ready(_DarnParts(part)), model.preprocessing,
        whole=whole,
    )  # fmt: skip
