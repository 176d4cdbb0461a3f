"""VGG-CNN-S, the slow of the three networks of "Return of the Devil".

K. Chatfield, K. Simonyan, A. Vedaldi, A. Zisserman, "Return of the Devil in the Details: Delving
Deep into Convolutional Nets", BMVC 2014, https://arxiv.org/abs/1405.3531

A Caffe network: its pooling rounds **up** (6×6 maps of 512 channels at 224 px). The fully connected
layers are left out: 6,528,640 parameters remain. The Y shares conv1 to conv4 and copies conv5 with
its pooling, like NIN's last block; the paper only says that the vector has the 512 dimensions of
the last convolution. ``end="conv5"`` attends over 17×17 locations instead.
"""

from __future__ import annotations

from torch import nn

from hemline.learn.backbones.base import Units, kaiming

CUT = "conv4"


def vgg_cnn_s_units() -> Units:
    """conv1 to pool5: (B, 3, S, S) → (B, 512, H, W), H = W = 6 at 224 px; He's initialisation."""
    units = (
        (
            "conv1",
            nn.Sequential(
                nn.Conv2d(3, 96, 7, 2),
                nn.ReLU(),
                nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
                nn.MaxPool2d(3, 3, ceil_mode=True),
            ),
        ),
        (
            "conv2",
            nn.Sequential(nn.Conv2d(96, 256, 5), nn.ReLU(), nn.MaxPool2d(2, 2, ceil_mode=True)),
        ),
        ("conv3", nn.Sequential(nn.Conv2d(256, 512, 3, 1, 1), nn.ReLU())),
        ("conv4", nn.Sequential(nn.Conv2d(512, 512, 3, 1, 1), nn.ReLU())),
        ("conv5", nn.Sequential(nn.Conv2d(512, 512, 3, 1, 1), nn.ReLU())),
        ("pool5", nn.MaxPool2d(3, 3, ceil_mode=True)),
    )
    for _, unit in units:
        kaiming(unit)
    return units
