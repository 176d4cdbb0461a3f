"""Backbones: NIN and VGG-CNN-S as published, and timm's, each cut in two as a `Backbone`."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hemline.errors import UsageError
from hemline.learn.backbones.averaged import average_with_bundle
from hemline.learn.backbones.base import Backbone, Units, cut_units
from hemline.learn.backbones.config import BackboneConfig
from hemline.learn.backbones.nin import CUT as NIN_CUT
from hemline.learn.backbones.nin import nin_units
from hemline.learn.backbones.timm_backbone import load_weights, timm_units
from hemline.learn.backbones.vgg_cnn_s import CUT as VGG_CUT
from hemline.learn.backbones.vgg_cnn_s import vgg_cnn_s_units

__all__ = ["Backbone", "BackboneConfig", "build_backbone"]

_OWN = {"nin": (nin_units, NIN_CUT), "vgg_cnn_s": (vgg_cnn_s_units, VGG_CUT)}


def build_backbone(config: BackboneConfig, size: int) -> Backbone:
    """The backbone that a configuration names, cut in two, for images of ``size`` pixels.

    Raises:
        UsageError: an unknown backbone or stage, weights that don't fit, or a size too small.
    """
    weights = None if config.weights is None else Path(config.weights).expanduser()
    units: Units
    if config.name in _OWN:
        own = (config.pretrained, config.pad_type, config.output_stride, config.bundle)
        if any(own):
            raise UsageError(
                "pretrained, pad_type, output_stride and bundle are timm's; "
                f"{config.name} knows only weights"
            )
        make, cut = _OWN[config.name]
        units = make()
        if weights is not None:
            load_weights(nn.ModuleDict(dict(units)), weights)
    else:
        extra = {"pad_type": config.pad_type, "output_stride": config.output_stride}
        extra = {name: value for name, value in extra.items() if value is not None}
        units, cut = timm_units(config.name, size, weights, config.pretrained, extra)
        if config.bundle is not None:
            average_with_bundle(dict(units), config.bundle, config.bundle_share)
    return cut_units(config.name, units, config.cut or cut, config.end, size, config.taps)
