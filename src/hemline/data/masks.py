"""Masks: a label for every pixel of a photo, and the table of the labels' names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

from hemline.errors import DataError


def read_labels(file: Path) -> dict[int, str]:
    """Number → name, from a file with ``number name`` on each line.

    Raises:
        DataError: it is missing, or a line is none.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the labels of masks, {file}, can't be read: {error}") from None
    labels = {}
    for number, line in enumerate(text.splitlines(), 1):
        code, _, name = line.strip().partition(" ")
        if not line.strip():
            continue
        if not code.isdecimal() or not name:
            raise DataError(f"{file}, line {number}: {line[:80]!r}; expected 'number name'")
        labels[int(code)] = name.strip()
    return labels


def open_mask(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W) label of each pixel.

    Raises:
        DataError: it can't be read.
    """
    try:
        with PIL.Image.open(path) as image:
            mask = np.asarray(image, np.uint8)
    except (OSError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"the mask {path} can't be read: {error}") from None
    if mask.ndim != 2:
        raise DataError(f"the mask {path} has {mask.ndim} axes; expected one label for each pixel")
    return mask
