"""The ImageNet MobileNetV2 of the shared folder, where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from helpers import needs
from hemline.learn.backbones import BackboneConfig, build_backbone

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("HEMLINE_SHARED", ROOT.parent / "shared"))
WEIGHTS = SHARED / "weights" / "mobilenetv2_100_same.tf2_in1k.safetensors"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=needs.reason("weights"))
def test_folded_weights_tell_pictures_apart() -> None:
    config = BackboneConfig(
        name="mobilenetv2_100", weights=str(WEIGHTS), cut="blocks.4", pad_type="same"
    )
    backbone = build_backbone(config, 96)
    assert (backbone.channels, backbone.grid) == (1280, (3, 3))
    up = torch.linspace(-1, 1, 96).expand(1, 3, 96, 96)
    with torch.no_grad():
        features = [
            backbone.upper.eval()(backbone.shared.eval()(x)).mean((2, 3))
            for x in (up, up.mT, up.flip(3))
        ]
    similar = torch.cosine_similarity(features[0], features[2])
    other = torch.cosine_similarity(features[0], features[1])
    assert float(similar) > float(other)  # a ramp and its mirror image are nearer than its turn
