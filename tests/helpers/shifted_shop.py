"""A manifest of coloured quarters whose street photos have their colours mixed and darkened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from hemline.data.manifest import Manifest
from hemline.types import Record

#: The street's colours are these parts of red, green and blue.
MIX = np.array([[0.45, 0.5, 0.0], [0.0, 0.45, 0.5], [0.5, 0.0, 0.45]])


def make_shifted_shop(
    folder: Path, items: int = 30, photos: int = 2, shots: int = 1, *, mixed: bool = True
) -> Manifest:
    """``shots`` shop images and ``photos`` noisy street photos of each item; a shop's own colours
    where not ``mixed``."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(items):
        colours = rng.uniform(20, 235, (2, 2, 3))
        for shot in range(shots + photos):
            street = shot >= shots
            seen = colours @ MIX.T * 0.6 if street and mixed else colours
            seen = seen + (rng.normal(0, 6, seen.shape) if shot else 0)
            pixels = np.clip(seen, 0, 255).astype(np.uint8).repeat(8, 0).repeat(8, 1)
            name = f"i{number:02d}_{shot}.png"
            PIL.Image.fromarray(pixels).save(folder / name)
            domain = "street" if street else "shop"
            records.append(
                Record(image_id=name, path=name, item_id=f"i{number:02d}", domain=domain)
            )
    manifest = Manifest.from_records(records, folder)
    manifest.write(folder / "manifest.csv")
    return manifest
