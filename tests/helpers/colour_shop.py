"""A manifest of plain coloured squares on disk: each product is a colour."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hemline.data.manifest import Manifest
from hemline.types import Box, Record


def make_colour_shop(folder: Path, products: int = 12, photos: int = 2, seed: int = 0) -> Manifest:
    """``products`` shop pictures and ``photos`` noisy street photos of each, as test rows."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(products):
        colour = rng.integers(20, 236, 3)
        item = f"p{number:02d}"
        for shot in range(photos + 1):
            noise = rng.normal(0, 0 if shot == 0 else 90, (2, 2, 3))  # each quarter its own
            pixels = np.clip(colour + noise, 0, 255).repeat(12, 0).repeat(10, 1)
            path = folder / f"{item}_{shot}.png"
            cv2.imwrite(str(path), pixels.astype(np.uint8)[..., ::-1])
            records.append(
                Record(
                    image_id=path.name,
                    path=path.name,
                    item_id=item,
                    domain="shop" if shot == 0 else "street",
                    category="even" if number % 2 == 0 else "odd",
                    split="test",
                    tags=(f"colour={number % 3}", f"size={number % 2}"),
                    box=Box(2, 2, 18, 20),
                    extra={"clutter": float(number) / products},
                )
            )
    manifest = Manifest.from_records(records, folder)
    manifest.write(folder / "manifest.parquet")
    return manifest
