"""The ledger of a canvas: where every garment of the image lies, and how much of it is seen.

Each pixel belongs to the garment that was drawn there last, or to none. A garment's own pixels,
hidden or not, are kept beside that, so the share that is seen is counted and not estimated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np

from hemline.data.garments import Garment
from hemline.synthetic.curves import Array
from hemline.types import Box

_SHIFT = 4
_ONE = float(1 << _SHIFT)


@dataclass(eq=False)
class Worn:
    """A garment while it is drawn: its category, its role, and the shapes it is made of."""

    category: str
    role: str
    extent: list[Array] = field(default_factory=list)
    number: int = 0


class Ledger:
    """The garments of an image of `height` x `width` pixels, in the order they are drawn."""

    def __init__(self, height: int, width: int) -> None:
        self._owner = np.zeros((height, width), np.uint8)
        self._own: list[Array] = []
        self._garments: list[Worn] = []
        self._now: Worn | None = None

    @property
    def began(self) -> bool:
        """Whether any garment was drawn yet: until then nothing can be in front of one."""
        return self._now is not None or bool(self._garments)

    @contextmanager
    def drawing(self, worn: Worn | None) -> Iterator[None]:
        """What is drawn within belongs to `worn`, or to no garment."""
        before, self._now = self._now, worn
        yield
        self._now = before

    def _mask(self, worn: Worn) -> Array:
        if not worn.number:
            self._garments.append(worn)
            self._own.append(np.zeros_like(self._owner))
            worn.number = len(self._garments)
        return self._own[worn.number - 1]

    def reach(self, shapes: Sequence[Array]) -> None:
        """Outlines (N,2) in sixteenths of a pixel that belong to the garment, seen or not."""
        if self._now is not None:
            self._now.extent += shapes

    def fill(self, outline: Array, fixed: Array) -> None:
        """A closed shape, as floats and as OpenCV's whole sixteenths."""
        if self._now is not None:
            self._now.extent.append(outline)
            cv2.fillPoly(self._mask(self._now), [fixed], (1,), cv2.LINE_8, _SHIFT)
            cv2.fillPoly(self._owner, [fixed], (self._now.number,), cv2.LINE_8, _SHIFT)
        elif self._garments:
            cv2.fillPoly(self._owner, [fixed], (0,), cv2.LINE_8, _SHIFT)

    def line(self, stroke: Array, closed: bool, thick: int) -> None:
        """A stroke in front of what lies there; strokes don't widen a garment."""
        if not self.began:
            return
        if self._now is not None:
            self._mask(self._now)
        number = 0 if self._now is None else self._now.number
        cv2.polylines(self._owner, [stroke], closed, (number,), thick, cv2.LINE_8, _SHIFT)

    def paste(self, inside: Array, x0: int, y0: int) -> None:
        """A mask (h,w) of 0 and 1 at pixel (x0, y0)."""
        h, w = inside.shape
        owner = self._owner[y0 : y0 + h, x0 : x0 + w]
        if self._now is not None:
            own = self._mask(self._now)[y0 : y0 + h, x0 : x0 + w]
            cv2.bitwise_or(own, inside, own)
            cv2.copyTo(inside * np.uint8(self._now.number), inside, owner)
        elif self._garments:
            cv2.copyTo(np.zeros_like(inside), inside, owner)

    def garments(self, flip: bool = False) -> tuple[Garment, ...]:
        """Every garment of which a pixel is seen, the product first; mirrored with `flip`."""
        h, w = self._owner.shape
        found = []
        for worn, own in zip(self._garments, self._own, strict=True):
            seen = int(np.count_nonzero((self._owner == worn.number) & (own > 0)))
            if not seen or not worn.extent:
                continue
            xs, ys = (np.concatenate(worn.extent) / _ONE).T
            x1, x2, y1, y2 = (float(v) for v in (xs.min(), xs.max(), ys.min(), ys.max()))
            box = Box(max(x1, 0.0), max(y1, 0.0), min(x2, float(w)), min(y2, float(h)))
            if min(box.width, box.height) < 1.0:
                continue
            whole = max((x2 - x1) * (y2 - y1), 1e-6)
            inside = min(box.width * box.height / whole, 1.0)
            if flip:
                box = Box(w - box.x2, box.y1, w - box.x1, box.y2)
            visible = min(seen / max(int(np.count_nonzero(own)), 1), 1.0)
            found.append(Garment(worn.category, box, visible, inside, worn.role))
        return tuple(sorted(found, key=lambda garment: garment.role != "product"))
