"""Any timm network, convolutional or transformer, as a feature map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from hemline.errors import UsageError, nearest
from hemline.learn.backbones.base import run_once
from hemline.learn.backbones.config import BackboneConfig
from hemline.learn.backbones.timm_backbone import ENDS, classifier_prefixes, load_weights


class TimmFeatures(nn.Module):
    """(B, 3, S, S) → (B, C, H, W): the last features, or the patch tokens on their grid.

    Tokens of no patch (class token, registers) are left out.

    Args:
        config: ``name`` of timm, ``weights`` or ``pretrained``, ``pad_type``, ``output_stride``;
            ``cut``, ``end`` and ``taps`` are refused.
        size: S.

    Raises:
        UsageError: an unknown name or option, weights that don't fit, or a network without a
            square grid of locations.

    Attributes:
        channels: C.
        grid: (H, W).
    """

    def __init__(self, config: BackboneConfig, size: int) -> None:
        super().__init__()
        plain = config.name.split(".")[0]
        if plain not in timm.list_models():
            raise UsageError(f"no backbone {config.name!r}. {nearest(plain, timm.list_models())}")
        for word in ("cut", "end", "taps"):
            if getattr(config, word):
                raise UsageError(f"{word} is of a network cut in two; this one is used whole")
        options: dict[str, Any] = {"pretrained": config.pretrained, "num_classes": 0}
        for word in ("pad_type", "output_stride"):
            if getattr(config, word) is not None:
                options[word] = getattr(config, word)
        try:
            try:
                self.network: Any = timm.create_model(config.name, img_size=size, **options)
            except TypeError:  # convolutions take any size
                self.network = timm.create_model(config.name, **options)
        except Exception as error:  # timm's, or the hub's where weights can't be downloaded
            line = " ".join(str(error).split())
            raise UsageError(
                f"timm can't load {config.name!r}: {line[:300]}. Without a network name a file: "
                "model.config.backbone.pretrained=false model.config.backbone.weights=FILE"
            ) from None
        if config.weights is not None:
            load_weights(self.network, Path(config.weights), classifier_prefixes(self.network))
        for end in (*ENDS, "fc_norm"):  # not part of the features
            if isinstance(getattr(self.network, end, None), nn.Module):
                setattr(self.network, end, nn.Identity())
        self.channels = int(self.network.num_features)
        features = run_once(_Features(self.network), size)
        self.last = _kind(features, self.channels)
        if self.last == "tokens":
            self.skipped = int(getattr(self.network, "num_prefix_tokens", 0))
            count = features.shape[1] - self.skipped
            side = round(count**0.5)
            if side * side != count:
                raise UsageError(f"{config.name} has {count} patches, which make no square")
            self.grid = (side, side)
        else:
            height, width = (2, 3) if self.last == "maps" else (1, 2)
            self.grid = (int(features.shape[height]), int(features.shape[width]))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(images)
        if self.last == "maps":
            return features
        if self.last == "channels_last":
            return features.permute(0, 3, 1, 2)
        patches = features[:, self.skipped :].transpose(1, 2)
        maps: Tensor = patches.unflatten(2, self.grid)  # type: ignore[no-untyped-call]
        return maps


class _Features(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        return features


def _kind(features: Tensor, channels: int) -> str:
    if features.ndim == 3:
        return "tokens"
    if features.ndim == 4 and features.shape[1] == channels:
        return "maps"
    if features.ndim == 4 and features.shape[3] == channels:
        return "channels_last"
    raise UsageError(f"features of shape {tuple(features.shape)} are neither maps nor tokens")
