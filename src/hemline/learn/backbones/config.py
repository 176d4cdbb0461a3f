"""Configuration of a backbone: its name, its weights and where it is cut."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from hemline.learn.model_config import ModelConfig


class BackboneConfig(ModelConfig):
    """A backbone; a bare name stands for its defaults.

    Attributes:
        name: ``nin``, ``vgg_cnn_s``, or timm's name of a convolutional network.
        weights: a .safetensors or .pth file to start from.
        pretrained: start from timm's own weights (downloads them).
        cut: the last shared stage (``block3``, ``conv4``, ``blocks.4`` …); None for its own.
        end: the last stage of the branch, dropping what follows; None for all.
        taps: stages whose features are concatenated on the last one's grid; the cut itself or later
            ones. None for the last stage only.
        pad_type: ``same`` for weights that come from TensorFlow (timm's EfficientNet family).
        output_stride: pixels per location of the last features, 8, 16 or 32, by dilation where timm
            supports it; None for the network's own.
        bundle: an exported bundle (its name, or folder) of the same timm network, cut at the same
            stage, whose weights are averaged with those of ``weights`` or ``pretrained``.
        bundle_share: weight of the bundle's in that average, 0-1.
        freeze_bn: batch normalisation stays in evaluation mode while training (its scale and bias
            still learn). ``bundle`` implies it, as a bundle's norms are folded.
    """

    name: str = "nin"
    weights: str | None = None
    pretrained: bool = False
    cut: str | None = None
    end: str | None = None
    taps: tuple[str, ...] = ()
    pad_type: str | None = None
    output_stride: Literal[8, 16, 32] | None = None
    bundle: str | None = None
    bundle_share: float = Field(default=0.5, ge=0, le=1)
    freeze_bn: bool = False

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _folded(cls, value: Any) -> Any:
        # A batch's statistics would undo the folding (`averaged.py`).
        bundled = isinstance(value, dict) and value.get("bundle")
        return {**value, "freeze_bn": True} if bundled else value
