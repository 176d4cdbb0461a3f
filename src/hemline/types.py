"""The words every room speaks: box, record, hit, result (docs/architecture.md has them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.errors import UsageError

Domain = Literal["street", "shop"]
DOMAINS: tuple[Domain, ...] = ("street", "shop")
SPLITS: tuple[str, ...] = ("train", "val", "test")

FloatArray = npt.NDArray[np.float32]
#: An upright picture, (H, W, 3) uint8, RGB.
Image = npt.NDArray[np.uint8]

#: DeepFashion's eight landmarks; left and right are the wearer's.
LANDMARKS: tuple[str, ...] = (
    "left_collar",
    "right_collar",
    "left_sleeve",
    "right_sleeve",
    "left_waistline",
    "right_waistline",
    "left_hem",
    "right_hem",
)
#: Visibility of a landmark.
VISIBLE, OCCLUDED, ABSENT = 2, 1, 0


class Box(NamedTuple):
    """A rectangle, xyxy in pixels of the upright picture (after EXIF)."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    def clip(self, width: int, height: int) -> Box:
        """The part inside a picture of ``width`` × ``height`` pixels.

        Raises:
            UsageError: nothing of the box lies inside the picture.
        """
        inside = Box(
            max(0.0, self.x1),
            max(0.0, self.y1),
            min(float(width), self.x2),
            min(float(height), self.y2),
        )
        if inside.width < 1 or inside.height < 1:
            raise UsageError(
                f"the box {self.text()} leaves no pixel of a picture of {width}x{height}; "
                "boxes are x1,y1,x2,y2 in pixels"
            )
        return inside

    def text(self) -> str:
        return ",".join(f"{v:g}" for v in self)

    @classmethod
    def parse(cls, text: str) -> Box:
        """From ``x1,y1,x2,y2``.

        Raises:
            UsageError: not four numbers, or no area.
        """
        try:
            x1, y1, x2, y2 = (float(part) for part in text.split(","))
        except ValueError:
            raise UsageError(f"a box is x1,y1,x2,y2 in pixels, not {text!r}") from None
        if not (np.isfinite([x1, y1, x2, y2]).all() and x2 > x1 and y2 > y1):
            raise UsageError(f"the box {text!r} has no area: x2 > x1 and y2 > y1 are needed")
        return cls(x1, y1, x2, y2)


@dataclass(frozen=True, slots=True)
class Record:
    """One garment on one picture: a row of a manifest.

    Attributes:
        image_id: unique in its manifest; the path, or ``path#2`` for a second garment of a photo.
        path: of the picture, relative to the manifest's folder or absolute.
        item_id: the product.
        domain: ``street`` (a user's photo) or ``shop``.
        category: garment category, or empty.
        box: where the garment is, or None for the whole picture.
        tags: ``name=value`` strings.
        landmarks: (8, 3) x, y in pixels and visibility, or None.
        split: ``train``, ``val``, ``test``, or empty for any.
        role: ``query`` or ``gallery`` where it doesn't follow from the domain, else empty.
        extra: every further column (price, title, url …).
    """

    image_id: str
    path: str
    item_id: str
    domain: Domain
    category: str = ""
    box: Box | None = None
    tags: tuple[str, ...] = ()
    landmarks: FloatArray | None = None
    split: str = ""
    role: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class Detection(NamedTuple):
    """One garment that was found on a picture: where, what kind, and how sure (0-1)."""

    box: Box
    category: str
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One product that was found.

    Attributes:
        image_id: the product's best picture.
        item_id: the product.
        score: higher is better, falling from the first hit to the last.
        rank: 1 for the first.
        columns: what the catalogue stores of it (category, tags, title, price …).
        weights: (L,) where the query looked for this very product, or None.
        picture: digest of the catalogue's copy of the picture, or empty where it keeps none.
    """

    image_id: str
    item_id: str
    score: float
    rank: int
    columns: Mapping[str, Any] = field(default_factory=dict)
    weights: FloatArray | None = None
    picture: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        hits: best first.
        timings_ms: milliseconds of each step.
        box: the part of the photo that was searched with, or None for the whole of it.
        offset: how many products come before the first hit.
        more: whether products come after the last hit.
        revision: of what was searched in; at one revision the pages of a query fit together.
        facets: column → its values, counted in products that meet the condition.
        detections: the garments of the photo, best score first, where a detector was asked.
    """

    hits: tuple[Hit, ...]
    timings_ms: Mapping[str, float]
    box: Box | None = None
    offset: int = 0
    more: bool = False
    revision: int = 0
    facets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    detections: tuple[Detection, ...] = ()
