"""Settings, rows and files of `hemline.synthetic.pairs`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from hemline.errors import DataError
from hemline.synthetic.curves import Array
from hemline.types import Box, Record

_QUALITY = 92


@dataclass(frozen=True)
class PairSettings:
    """How many pictures are made.

    Attributes:
        split: rows that are used: ``train``, ``val`` or ``test``.
        seed: of every draw.
        cutouts: changed cut-outs of each worn garment.
        scenes: street scenes of each garment with a photo of its own.
        photos: changed photos of it.
        retakes: changed photos of it that count as street photos, for pairs of a photo with itself.
        others: changed cut-outs of garments with a photo of their own, for worn garments to be
            told from.
        strength: of the changes.
    """

    split: str = "train"
    seed: int = 0
    cutouts: int = 3
    scenes: int = 2
    photos: int = 2
    retakes: int = 1
    others: int = 0
    strength: float = 1.0


def row_of(
    path: str,
    item: str,
    domain: str,
    record: Record,
    settings: PairSettings,
    source: str,
    tags: Iterable[str],
    box: Box | None = None,
) -> dict[str, Any]:
    """A row of the manifest; the split is the settings' one."""
    corners = (None,) * 4 if box is None else (box.x1, box.y1, box.x2, box.y2)
    return {
        "path": path,
        "image_id": f"{item}-{domain}-{Path(path).parent.name}-{Path(path).stem}",
        "item_id": item,
        "domain": domain,
        "split": settings.split,
        "category": record.category,
        "tags": list(tags),
        **dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True)),
        "source": source,
        "photographer": str(record.extra.get("photographer") or ""),
    }


def save(out: Path, name: str, image: Array) -> str:
    """Writes a JPEG of an (H, W, 3) uint8 RGB image; returns ``name``."""
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    fine, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not fine:
        raise DataError(f"{path} could not be encoded as JPEG")
    path.write_bytes(data.data)
    return name
