"""Attention over the encoder's square input, as a map over the photo itself."""

from __future__ import annotations

import numpy as np
import PIL.Image

from hemline.bundle import BundleInfo
from hemline.types import FloatArray

#: Side of the map that a padded photo is cut out of.
_SIDE = 64


def attention_map(
    attention: FloatArray, info: BundleInfo, size: tuple[int, int]
) -> FloatArray | None:
    """Attention (L,) of an image → (rows, columns) over the image, or None without a grid.

    Args:
        attention: weights over the locations of the local features.
        info: of the bundle that gave them; its ``grid`` has L = rows × columns.
        size: (width, height) of the image that was encoded.
    """
    if info.grid is None:
        return None
    grid = np.asarray(attention, np.float32).reshape(info.grid)
    width, height = size
    if info.preprocessing.resize != "pad" or height == width:
        return grid
    # A padded image lies centred in a square: cut the part of the square that is the image.
    way = PIL.Image.Resampling.BILINEAR
    square = np.array(PIL.Image.fromarray(grid).resize((_SIDE, _SIDE), way))
    rows = max(1, round(_SIDE * height / max(height, width)))
    columns = max(1, round(_SIDE * width / max(height, width)))
    top, left = (_SIDE - rows) // 2, (_SIDE - columns) // 2
    return square[top : top + rows, left : left + columns]
