"""AlexNet as Caffe has it: two groups in conv2, conv4 and conv5, and local response normalisation.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural
Networks", NIPS 2012; Caffe's ``bvlc_alexnet``. torchvision's AlexNet is a later, smaller network.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def caffe_alexnet() -> nn.Sequential:
    """(B, 3, 224, 224) → fc7 (B, 4096)."""

    def lrn() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(3, 96, 11, 4)), ("relu1", nn.ReLU()), ("norm1", lrn()),
        ("pool1", pool()),
        ("conv2", nn.Conv2d(96, 256, 5, 1, 2, groups=2)), ("relu2", nn.ReLU()), ("norm2", lrn()),
        ("pool2", pool()),
        ("conv3", nn.Conv2d(256, 384, 3, 1, 1)), ("relu3", nn.ReLU()),
        ("conv4", nn.Conv2d(384, 384, 3, 1, 1, groups=2)), ("relu4", nn.ReLU()),
        ("conv5", nn.Conv2d(384, 256, 3, 1, 1, groups=2)), ("relu5", nn.ReLU()), ("pool5", pool()),
        ("flat", nn.Flatten()),
        ("fc6", nn.Linear(9216, 4096)), ("relu6", nn.ReLU()),
        ("fc7", nn.Linear(4096, 4096)), ("relu7", nn.ReLU()),
    ]  # fmt: skip
    return nn.Sequential(OrderedDict(layers))
