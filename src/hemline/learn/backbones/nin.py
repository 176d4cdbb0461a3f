"""Network in Network, the public ImageNet network of four blocks.

M. Lin, Q. Chen, S. Yan, "Network In Network", ICLR 2014, https://arxiv.org/abs/1312.4400

A Caffe network: its pooling rounds **up** (6×6 maps at 224 px). 7,595,176 parameters. The Y shares
blocks 1 to 3 and copies block 4, as the YNet authors' code does; their paper names "the first 4
blocks" and "the 5-th", which this network doesn't have.
"""

from __future__ import annotations

from torch import nn

from hemline.learn.backbones.base import Units, kaiming

CUT = "block3"


def nin_units() -> Units:
    """Blocks 1 to 4: (B, 3, S, S) → (B, 1000, H, W), H = W = 6 at 224 px; He's initialisation."""
    units = (
        ("block1", nn.Sequential(*_mlpconv(3, 96, 96, kernel=11, stride=4), _pool())),
        ("block2", nn.Sequential(*_mlpconv(96, 256, 256, kernel=5, padding=2), _pool())),
        (
            "block3",
            nn.Sequential(*_mlpconv(256, 384, 384, kernel=3, padding=1), _pool(), nn.Dropout(0.5)),
        ),
        ("block4", nn.Sequential(*_mlpconv(384, 1024, 1000, kernel=3, padding=1))),
    )
    for _, block in units:
        kaiming(block)
    return units


def _mlpconv(
    inputs: int, width: int, outputs: int, *, kernel: int, stride: int = 1, padding: int = 0
) -> list[nn.Module]:
    """A convolution and two 1×1 convolutions, ReLU after each."""
    return [
        nn.Conv2d(inputs, width, kernel, stride, padding),
        nn.ReLU(),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
        nn.Conv2d(width, outputs, 1),
        nn.ReLU(),
    ]


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)
