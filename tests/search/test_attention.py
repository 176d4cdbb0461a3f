"""Attention maps over photos of every shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.tiny_bundle import make_tiny_bundle
from hemline.bundle import read_info
from hemline.search.attention import attention_map


def test_the_map_of_a_padded_photo_covers_the_photo_only(tmp_path: Path) -> None:
    info = read_info(make_tiny_bundle(tmp_path))
    padded = info.model_copy(
        update={"preprocessing": info.preprocessing.model_copy(update={"resize": "pad"})}
    )
    attention = np.array([1, 0, 0, 0], np.float32)
    wide = attention_map(attention, padded, (100, 50))
    square = attention_map(attention, padded, (50, 50))
    assert wide is not None
    assert square is not None
    assert wide.shape == (32, 64)
    assert square.shape == (2, 2)
    assert attention_map(attention, info.model_copy(update={"grid": None}), (5, 5)) is None
