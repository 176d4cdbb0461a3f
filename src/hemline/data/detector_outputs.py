"""Decodes the outputs of a detector's graph into garments, for training and for serving.

The graph predicts each *layer* of clothing at each of ``G × G`` grid cells, so that a jacket and
the shirt under it, which share their centre, don't compete for one prediction:

============ ============ =========================================================================
output       shape        meaning
============ ============ =========================================================================
``scores``   (B, L, N)    logit: the centre of a garment of layer l is here; its sigmoid is also
                          the expected overlap of the box
``boxes``    (B, L, 4, N) logarithm of how far left, up, right and down of the cell's centre the
                          garment extends, in units of ``reach`` × the image's side
``kinds``    (B, K, N)    logit of each kind; only kinds of the garment's layer are compared
============ ============ =========================================================================

N = G·G, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hemline.data.boxes import suppress
from hemline.data.garments import GROUPS, KINDS, kind_of
from hemline.data.preprocess import Preprocessing
from hemline.types import Box, Detection, FloatArray

__all__ = ["LAYERS", "OUTER", "Heads", "decode", "layer_of"]

#: Kinds worn over another upper garment.
OUTER = ("cardigan", "jacket", "blazer", "coat")
#: Layer → its group.
LAYERS: Mapping[str, str] = MappingProxyType(
    {"upper": "upper", "outer": "upper", **{g: g for g in GROUPS if g != "upper"}}
)
#: Most cells of an image that are decoded, best first; and most garments returned.
_PLACES, MOST = 300, 100
#: Boxes extend at most e to this power times ``reach``.
_FARTHEST = 3.0


def layer_of(category: str) -> str:
    """The layer of a shop's word for a category, or of a group's name; empty where it has none."""
    kind = kind_of(category)
    if kind in OUTER:
        return "outer"
    return KINDS.get(kind, category if category in LAYERS else "")


class Heads(BaseModel):
    """How the outputs are decoded.

    Attributes:
        preprocessing: of the image, as a street photo.
        layers: (L,) names.
        kinds: (K,) kind → its layer, in the order of the output.
        reach: see the module.
        overlap: of two boxes of one layer with a larger overlap, the better one is kept.
        min_score: least score of a garment that is returned.
        threshold: least score of a garment that is shown; chosen on validation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preprocessing: Preprocessing = Preprocessing(size=320)
    layers: tuple[str, ...] = tuple(LAYERS)
    kinds: dict[str, str] = Field(default_factory=lambda: {k: layer_of(k) for k in KINDS})
    reach: float = Field(default=0.15, gt=0)
    overlap: float = Field(default=0.6, gt=0, le=1)
    min_score: float = Field(default=0.05, ge=0, lt=1)
    threshold: float = Field(default=0.3, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Heads:
        unknown = sorted({*self.kinds.values()} - {*self.layers})
        if unknown or {*self.layers} - {*self.kinds.values()}:
            raise ValueError(f"layers {self.layers} and those of the kinds differ: {unknown}")
        return self


def decode(
    outputs: Mapping[str, FloatArray], row: int, spec: Heads, width: int, height: int
) -> tuple[Detection, ...]:
    """The garments of image ``row`` of a batch, best first, in pixels of ``width × height``.

    A side shorter than a pixel is extended to one, so every box can be cropped.
    """
    logits = outputs["scores"][row]  # (L, N)
    with np.errstate(over="ignore"):
        scores = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    layer, place = np.nonzero(scores >= spec.min_score)
    found = scores[layer, place]
    best = np.argsort(-found, kind="stable")[:_PLACES]
    layer, place, found = layer[best], place[best], found[best]
    if not len(found):
        return ()
    side = round(logits.shape[1] ** 0.5)
    raw = outputs["boxes"][row][layer, :, place].astype(np.float64)  # (M, 4)
    far = spec.reach * np.exp(np.minimum(raw, _FARTHEST))
    middle = np.stack([place % side + 0.5, place // side + 0.5], axis=1) / side
    shares = np.clip(np.concatenate([middle - far[:, :2], middle + far[:, 2:]], axis=1), 0.0, 1.0)
    boxes = _pixels(shares, width, height)
    kept = suppress(boxes, found, layer, spec.overlap)[:MOST]
    of_layer = _of_layer(spec)
    kinds = np.where(of_layer[layer[kept]], outputs["kinds"][row][:, place[kept]].T, -np.inf)
    names = list(spec.kinds)
    return tuple(
        Detection(Box(*(float(v) for v in boxes[k])), names[int(kind)], float(found[k]))
        for k, kind in zip(kept, kinds.argmax(axis=1), strict=True)
    )


def _pixels(shares: FloatArray, width: int, height: int) -> FloatArray:
    """Boxes (M, 4) in shares of the image → in pixels, within it, no side under a pixel."""
    size = np.array((width, height), np.float64)
    low, high = shares[:, :2] * size, shares[:, 2:] * size
    thin = np.maximum(1.0 - (high - low), 0.0) / 2
    low = np.clip(low - thin, 0.0, size - 1.0)
    high = np.clip(np.maximum(high + thin, low + 1.0), 1.0, size)
    return np.concatenate([low, high], axis=1)


def _of_layer(spec: Heads) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """(L, K): whether a kind is of a layer."""
    return np.array([[own == layer for own in spec.kinds.values()] for layer in spec.layers])
