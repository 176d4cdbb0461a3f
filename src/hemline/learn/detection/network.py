"""The detector's network: MobileNetV2 features, one fine grid, every layer of clothing per cell.

Sources: FCOS (Tian, Shen, Chen, He: "FCOS: Fully Convolutional One-Stage Object Detection", ICCV
2019, §3: a cell predicts its distances to the four sides) and YOLOF (Chen et al., "You Only Look
One-level Feature", CVPR 2021: one level is enough if its receptive field is wide). The features are
timm's; losses and overlaps are torchvision's (`hemline.learn.detection.losses`).

Differs from both: a cell has its own score and box for every *layer* of clothing
(`hemline.data.detector_outputs`). torchvision's own FCOS and SSDLite assign a cell, or an anchor,
to one garment only, and a shirt under an open jacket has the jacket's centre and nearly its box.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import timm
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from hemline.data.detector_outputs import Heads
from hemline.learn.backbones.timm_backbone import load_weights

#: Pixels from cell to cell.
STRIDE = 16


class DetectorConfig(BaseModel):
    """The network.

    Attributes:
        backbone: a timm model with features at strides 16 and 32.
        weights: file of the backbone's weights; where it is missing, training starts from random
            weights and reports it.
        pad_type: timm's padding that the weights were trained with.
        width: channels of the grid.
        depth: blocks over the grid.
        frozen: number of the backbone's first blocks that aren't trained, nor is the stem.
        heads: how the outputs are decoded, and the input's ``preprocessing``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = "mobilenetv2_100"
    weights: str | None = None
    pad_type: str | None = None
    width: int = Field(default=128, ge=8)
    depth: int = Field(default=2, ge=1)
    frozen: int = Field(default=3, ge=0)
    heads: Heads = Heads()


class Outputs(NamedTuple):
    """scores (B, L, N), boxes (B, L, 4, N), kinds (B, K, N): `hemline.data.detector_outputs`."""

    scores: Tensor
    boxes: Tensor
    kinds: Tensor


class _Block(nn.Module):
    """A 5×5 depthwise and a 1×1 convolution, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False)
        self.look_norm = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 1, bias=False)
        self.mix_norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        y = functional.relu6(self.look_norm(self.look(x)))
        return functional.relu6(x + self.mix_norm(self.mix(y)))


class DetectorNetwork(nn.Module):
    """Images (B, 3, S, S), S a multiple of 32 → `Outputs` on a grid of S/16 × S/16 cells."""

    def __init__(self, config: DetectorConfig, weights: Path | None = None) -> None:
        """``weights`` is the file of ``config.weights``; None starts from random weights."""
        super().__init__()
        self.config = config
        extra: dict[str, Any] = {} if config.pad_type is None else {"pad_type": config.pad_type}
        if weights is not None:
            whole = timm.create_model(config.backbone, num_classes=1001, **extra)
            load_weights(whole, weights, ("classifier.",))
        self.backbone = timm.create_model(
            config.backbone, features_only=True, out_indices=(-2, -1), **extra
        )
        if weights is not None:
            state = whole.state_dict()
            self.backbone.load_state_dict(
                {name: state[name] for name in self.backbone.state_dict()}
            )
        feature_info: Any = self.backbone.feature_info
        fine, coarse = feature_info.channels()
        width, layers, kinds = config.width, len(config.heads.layers), len(config.heads.kinds)
        self.coarse = nn.Sequential(
            nn.Conv2d(coarse, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()
        )
        self.wide = nn.Sequential(_Block(width), _Block(width))
        self.fine = nn.Sequential(nn.Conv2d(fine, width, 1, bias=False), nn.BatchNorm2d(width))
        self.tower = nn.Sequential(*(_Block(width) for _ in range(config.depth)))
        self.scores = nn.Conv2d(width, layers, 1)
        self.boxes = nn.Conv2d(width, 4 * layers, 1)
        self.kinds = nn.Conv2d(width, kinds, 1)
        nn.init.constant_(self.scores.bias, -math.log(99.0))  # type: ignore[arg-type]
        for conv in (self.scores, self.boxes, self.kinds):
            nn.init.normal_(conv.weight, std=0.01)
        nn.init.zeros_(self.boxes.bias)  # type: ignore[arg-type]
        self.started_from = None if weights is None else weights.name
        for part in self._frozen():
            part.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        """The modules of the backbone that aren't trained: its first blocks and the stem."""
        if not self.config.frozen:
            return []
        named = dict(self.backbone.named_children())
        stem = [m for name, m in named.items() if name not in ("blocks",)]
        blocks = list(named["blocks"].children()) if "blocks" in named else []
        return [*stem, *blocks[: self.config.frozen]]

    def train(self, mode: bool = True) -> DetectorNetwork:
        """As torch's, but pre-trained batch normalisation stays in evaluation mode."""
        super().train(mode)
        if self.started_from is not None:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> Outputs:
        """(B, 3, S, S) → `Outputs`."""
        fine, coarse = self.backbone(images)
        wide = self.wide(self.coarse(coarse))
        grid = functional.relu6(
            self.fine(fine) + functional.interpolate(wide, scale_factor=2.0, mode="nearest")
        )
        grid = self.tower(grid)
        layers = len(self.config.heads.layers)
        return Outputs(
            self.scores(grid).flatten(2),
            self.boxes(grid).unflatten(1, (layers, 4)).flatten(3),
            self.kinds(grid).flatten(2),
        )
