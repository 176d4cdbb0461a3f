"""The Network-in-Network of DARN: five convolutions, each followed by MLPConv layers.

J. Huang et al., ICCV 2015, section 4.1 and Figure 4, after M. Lin et al., "Network In Network",
ICLR 2014. An MLPConv layer is a 1×1 convolution with ReLU; one follows each convolution, two follow
the fourth. A Caffe network: its pooling rounds up (6×6 maps of Conv4 and Conv5 at 224 px). The
widths are the public NIN's; of the last two the paper says only that they add up to 1,536 (its
17,920 features less FC1's 4,096 are nine windows of both).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from hemline.learn.backbones.base import Units, kaiming

WIDTHS = (96, 256, 384, 512, 1024)
MLPCONVS = (1, 1, 1, 2, 1)
_KERNELS = (11, 5, 3, 3, 3)
_POOLED = (True, True, True, False, False)


def nin_five_units(
    widths: Sequence[int] = WIDTHS,
    mlpconvs: Sequence[int] = MLPCONVS,
    kernel: int = 11,
    stride: int = 4,
    batch_norm: bool = False,
) -> Units:
    """conv1 … conv5: (B, 3, S, S) → (B, C, H, W), H = W = 6 at 224 px; He's initialisation.

    Args:
        widths: channels of each convolution and of its MLPConv layers.
        mlpconvs: 1×1 convolutions after each.
        kernel, stride: of the first convolution.
        batch_norm: normalise after each convolution, which neither paper does.
    """
    units = []
    inputs = 3
    for number, (width, count) in enumerate(zip(widths, mlpconvs, strict=True)):
        first = number == 0
        side = kernel if first else _KERNELS[number]
        padding = 0 if first else side // 2
        layers = _convolution(inputs, width, side, stride if first else 1, padding, batch_norm)
        for _ in range(count):
            layers += _convolution(width, width, 1, 1, 0, batch_norm)
        if _POOLED[number]:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        block = nn.Sequential(*layers)
        kaiming(block)
        units.append((f"conv{number + 1}", block))
        inputs = width
    return units


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, padding: int, batch_norm: bool
) -> list[nn.Module]:
    norm: list[nn.Module] = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), *norm, nn.ReLU()]
