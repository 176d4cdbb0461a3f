"""Types that every part of the package shares: box, record, request, hit, result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SkipValidation,
    ValidationError,
    field_validator,
    model_validator,
)

from hemline.budget import check_limit
from hemline.errors import UsageError, first_error
from hemline.limits import DEFAULT_K, MAX_FACETS, MAX_PHOTOS, MAX_RANK, MAX_WHERE
from hemline.text import check_text

Domain = Literal["street", "shop"]
DOMAINS: tuple[Domain, ...] = ("street", "shop")
SPLITS: tuple[str, ...] = ("train", "val", "test")

FloatArray = npt.NDArray[np.float32]
#: An upright image, (H, W, 3) uint8, RGB.
Image = npt.NDArray[np.uint8]
#: An image, or the path or the bytes of an image file.
Photo = Image | bytes | str | os.PathLike[str]

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
    """A rectangle, xyxy in pixels of the upright image (after EXIF)."""

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
        """The part inside an image of ``width`` × ``height`` pixels.

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
                f"the box {self.text()} leaves no pixel of an image of {width}x{height}; "
                "boxes are x1,y1,x2,y2 in pixels"
            )
        return inside

    def text(self) -> str:
        return ",".join(f"{v:g}" for v in self)

    @classmethod
    def parse(cls, value: str | Sequence[Any]) -> Box:
        """From ``x1,y1,x2,y2`` as text, or from four numbers.

        Raises:
            UsageError: not four numbers, or no area.
        """
        try:
            x1, y1, x2, y2 = map(float, value.split(",") if isinstance(value, str) else value)
        except (TypeError, ValueError):
            raise UsageError(f"a box is x1,y1,x2,y2 in pixels, not {value!r}") from None
        if not (np.isfinite([x1, y1, x2, y2]).all() and x2 > x1 and y2 > y1):
            raise UsageError(f"the box {value!r} has no area: x2 > x1 and y2 > y1 are needed")
        return cls(x1, y1, x2, y2)


@dataclass(frozen=True, slots=True)
class Record:
    """One garment in one image: a row of a manifest.

    Attributes:
        image_id: unique in its manifest; the path, or ``path#2`` for a second garment of a photo.
        path: of the image, relative to the manifest's folder or absolute.
        item_id: the product.
        domain: ``street`` (a user's photo) or ``shop``.
        category: garment category, or empty.
        box: where the garment is, or None for the whole image.
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
    """A garment that a detector found in an image: box, category and score (0 to 1)."""

    box: Box
    category: str
    score: float


class PageRequest(BaseModel):
    """The part of a request that every query has: which of its products are returned.

    Attributes:
        k: number of products, 1 to `MAX_RANK`.
        offset: number of first products to skip; offset + k is at most `MAX_RANK`.
        where: a condition over the stored columns (docs/catalog.md), or None.
        facets: columns whose values are counted, as a list or with commas between the names.

    Raises:
        UsageError: a value that is out of range or of another type.
        CostError: more than the present limits allow (`hemline.budget`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    k: int = Field(default=DEFAULT_K, ge=1, le=MAX_RANK)
    offset: int = Field(default=0, ge=0, lt=MAX_RANK)
    where: str | None = Field(default=None, max_length=MAX_WHERE)
    facets: tuple[str, ...] = Field(default=(), max_length=MAX_FACETS)

    @model_validator(mode="wrap")
    @classmethod
    def _as_usage_error(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        check_text(dict(value) if isinstance(value, Mapping) else None, "a request")
        try:
            return handler(value)
        except ValidationError as error:
            raise UsageError(first_error(error)) from None

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        for name, given in (("k", self.k), ("offset", self.offset), ("facets", len(self.facets))):
            check_limit(name, given)
        return self

    @field_validator("where", mode="before")
    @classmethod
    def _blank_is_none(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("facets", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return () if value is None else value


class SearchRequest(PageRequest):
    """One query to a catalogue: by photos, by an item of the catalogue, or by embeddings.

    Attributes:
        photos: 1 to `MAX_PHOTOS` photos of one product.
        boxes: for each photo the part that shows the product, or None for the whole photo; empty
            means None for all.
        detect: search with the best garment (`hemline.runtime.detector.best_garment`) of each photo
            without a box, and with the whole photo where none is found.
        every: search with a whole photo and with every garment found in it; a product's score is
            the highest that any of them gives it. Of one photo, without a box.
        attention: whether re-ranked hits have their `Hit.attention`.
        item_id: instead of photos, an item of the catalogue; the answer leaves it out.
        embeddings: instead of photos, (D,) or (Q, D) embeddings of the catalogue's bundle.

    Raises:
        UsageError: a value out of range, no query or several, or not one box for each photo.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    photos: tuple[SkipValidation[Photo], ...] = ()
    boxes: tuple[SkipValidation[Box | None], ...] = ()
    detect: bool = False
    every: bool = False
    attention: bool = True
    item_id: str | None = None
    embeddings: SkipValidation[FloatArray] | None = None

    @field_validator("photos", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        one = isinstance(value, bytes | str | os.PathLike | np.ndarray)
        photos = (value,) if one else tuple(value)
        if len(photos) > MAX_PHOTOS:
            raise UsageError(f"a request has from 1 to {MAX_PHOTOS} photos, not {len(photos)}")
        return photos

    @field_validator("boxes", mode="before")
    @classmethod
    def _parse_boxes(cls, value: Any) -> Any:
        return tuple(
            box if box is None or isinstance(box, Box) else Box.parse(box) for box in value
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.offset + self.k > MAX_RANK:
            raise UsageError(f"offset + k is at most {MAX_RANK}; {self.offset} + {self.k} is more")
        check_limit("photos", len(self.photos))
        queries = bool(self.photos), self.item_id is not None, self.embeddings is not None
        if sum(queries) != 1:
            raise UsageError(
                f"a request has from 1 to {MAX_PHOTOS} photos, or an item_id, or embeddings, and "
                f"not {sum(queries)} of these"
            )
        if self.boxes and len(self.boxes) != len(self.photos):
            raise UsageError(f"{len(self.photos)} photos need as many boxes, not {len(self.boxes)}")
        if self.every and (self.detect or any(self.boxes) or len(self.photos) != 1):
            raise UsageError("every is of one photo, without a box and without detect")
        return self


@dataclass(frozen=True, slots=True)
class Hit:
    """A product in an answer.

    Attributes:
        image_id: the product's best image.
        item_id: the product.
        score: higher is better, falling from the first hit to the last.
        rank: 1 for the first.
        columns: what the catalogue stores of it (category, tags, title, price …).
        attention: (rows, columns) weights over the searched part of the photo for this product,
            where the model re-ranks with one photo; else None.
        image_digest: of the catalogue's copy of the image, or empty where it keeps none.
        alike: ``same``, ``similar`` or ``different`` by the bundle's score thresholds, or None
            where they weren't measured on products of this catalogue, or don't hold.
    """

    image_id: str
    item_id: str
    score: float
    rank: int
    columns: Mapping[str, Any] = field(default_factory=dict)
    attention: FloatArray | None = None
    image_digest: str = ""
    alike: str | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one request, from an `Engine` or from a service by its `Client`.

    Attributes:
        hits: best first.
        timings_ms: milliseconds of each step.
        box: the searched part of the photo, or None for the whole photo.
        offset: number of products before the first hit.
        more: whether products come after the last hit.
        revision: of the catalogue; at one revision the pages of a query fit together.
        facets: column → its values, counted in products that meet the condition.
        detections: the garments of the photo, best score first, where ``detect`` is set.
        size: (width, height) of the first upright photo, or None without photos.
        search_id: the name of the search for feedback, or empty outside a service.
        note: why no product meets the condition, where none does; else empty.
    """

    hits: tuple[Hit, ...]
    timings_ms: Mapping[str, float]
    box: Box | None = None
    offset: int = 0
    more: bool = False
    revision: int = 0
    facets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    detections: tuple[Detection, ...] = ()
    size: tuple[int, int] | None = None
    search_id: str = ""
    note: str = ""
