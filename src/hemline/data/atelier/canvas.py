"""The canvas: draws shapes of cloth and of plain colour in a figure's coordinates.

A canvas keeps, beside the picture, where the product lies (`target`) and what was drawn over it
(`cover`), so that boxes, visibility and occlusion are facts of the drawing and not estimates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from hemline.data.atelier.cloth import Cloth, fold_map
from hemline.data.atelier.curves import Array, apply

__all__ = ["Canvas"]

_SHIFT = 4
_ONE = 1 << _SHIFT


class Canvas:
    """A picture (size, size, 3) uint8 RGB under a homography from figure units to pixels."""

    def __init__(self, image: Array, transform: Array | None = None) -> None:
        self.image = image
        self.transform = np.eye(3) if transform is None else transform
        h, w = image.shape[:2]
        self.target = np.zeros((h, w), np.uint8)
        self.cover = np.zeros((h, w), np.uint8)
        self.extent: list[Array] = []
        self._marked = False

    def project(self, points: Array) -> Array:
        """Figure units -> pixels, (N,2)."""
        return apply(self.transform, points)

    def scale(self) -> float:
        """Pixels per unit, near the picture's middle."""
        m = self.transform
        area = m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]
        return math.sqrt(abs(float(area))) / abs(float(m[2, 2]))

    # -- plain colour -------------------------------------------------------------------------

    def fill(self, points: Array, color: Sequence[int], *, target: bool = False) -> None:
        """A closed shape of one colour, with smooth edges."""
        p = self.project(points)
        fixed = self._fixed(p)
        cv2.fillPoly(self.image, [fixed], _rgb(color), cv2.LINE_AA, _SHIFT)
        self._note([fixed], [p], target)

    def line(
        self,
        points: Array,
        color: Sequence[int],
        width: float,
        *,
        closed: bool = False,
        target: bool = False,
    ) -> None:
        """A stroke `width` figure units wide (never thinner than a faint pixel)."""
        px = width * self.scale()
        p = self.project(points)
        thick = max(1, round(px))
        if px < 0.2:
            return
        fixed = self._fixed(p)
        if px >= 0.75:
            cv2.polylines(self.image, [fixed], closed, _rgb(color), thick, cv2.LINE_AA, _SHIFT)
        else:
            self._faint(fixed, p, closed, color, max(px / 0.75, 0.15))
        if self._marked and not target:
            cv2.polylines(self.cover, [fixed], closed, (2,), thick, cv2.LINE_8, _SHIFT)
            self.cover[self.target == 0] = 0

    def _faint(
        self, fixed: Array, p: Array, closed: bool, color: Sequence[int], share: float
    ) -> None:
        x0, y0, x1, y1 = self._window(p, 2)
        if x1 <= x0 or y1 <= y0:
            return
        roi = self.image[y0:y1, x0:x1]
        over = roi.copy()
        moved = fixed - np.array((x0, y0), np.int32) * _ONE
        cv2.polylines(over, [moved], closed, _rgb(color), 1, cv2.LINE_AA, _SHIFT)
        cv2.addWeighted(over, share, roi, 1 - share, 0, roi)

    def tint(self, outlines: Iterable[Array], factor: float, soft: float = 0.0) -> None:
        """Darkens (factor < 1) or lightens what lies under the shapes; `soft` blurs, in units."""
        ps = [self.project(o) for o in outlines]
        blur = int(soft * self.scale()) * 2 + 1 if soft else 1
        x0, y0, x1, y1 = self._window(np.concatenate(ps), 2 + blur)
        if x1 <= x0 or y1 <= y0:
            return
        mask: Array = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for p in ps:
            cv2.fillPoly(mask, [self._fixed(p - (x0, y0))], (255,), cv2.LINE_AA, _SHIFT)
        if blur > 1:
            mask = cv2.blur(mask, (blur, blur))
        gain = cv2.convertScaleAbs(mask, alpha=(factor - 1) * 128 / 255, beta=128)
        roi = self.image[y0:y1, x0:x1]
        cv2.multiply(roi, cv2.merge([gain, gain, gain]), roi, scale=1 / 128)

    # -- cloth --------------------------------------------------------------------------------

    def drape(
        self,
        outlines: Sequence[Array],
        cloth: Cloth,
        frame: Array,
        *,
        folds: int = 0,
        strength: float = 1.0,
        gain: float = 1.0,
        round_: float = 1.0,
        target: bool = False,
    ) -> None:
        """Shapes cut from `cloth`, whose own units `frame` (3x3) takes to figure units.

        `folds` picks one of the fold maps and `strength` how deep they are; `gain` lightens or
        darkens the whole; `round_` is how much the edges darken, as on a body.
        """
        ps = [self.project(o) for o in outlines]
        x0, y0, x1, y1 = self._window(np.concatenate(ps), 2)
        if x1 <= x0 or y1 <= y0:
            self._note([], ps, target)
            return
        w, h = x1 - x0, y1 - y0
        mask = np.zeros((h, w), np.uint8)
        fixed = [self._fixed(p - (x0, y0)) for p in ps]
        for f in fixed:
            cv2.fillPoly(mask, [f], (255,), cv2.LINE_AA, _SHIFT)
        here = np.array([[1.0, 0, -x0], [0, 1, -y0], [0, 0, 1]])
        map_ = here @ self.transform @ frame
        tile, to_units = cloth.level(self.scale() * _stretch(frame))
        wrapped = cv2.BORDER_REFLECT_101
        if cloth.flat is None:
            cut = cv2.warpPerspective(
                tile, map_ @ to_units, (w, h), flags=cv2.INTER_LINEAR, borderMode=wrapped
            )
        else:
            cut = np.empty((h, w, 3), np.uint8)
            cut[:] = cloth.flat
        fold, fold_units = fold_map(folds, strength * cloth.softness)
        light = cv2.warpPerspective(
            fold, map_ @ fold_units, (w, h), flags=cv2.INTER_LINEAR, borderMode=wrapped
        )
        if round_ > 0:
            narrow = min(float(np.ptp(p, axis=0).min()) for p in ps)
            k = max(3, int(0.16 * narrow) | 1)
            edge = cv2.blur(mask, (k, k), borderType=cv2.BORDER_REPLICATE)
            slope = 0.62 * round_
            edge = cv2.convertScaleAbs(edge, alpha=slope, beta=255 * (1 - slope))
            light = cv2.multiply(light, edge, scale=gain / 255)
        elif gain != 1.0:
            light = cv2.convertScaleAbs(light, alpha=gain)
        cut = cv2.multiply(cut, cv2.merge([light, light, light]), scale=1 / 128)
        self.paste(cut, mask, x0, y0)
        self._note(fixed, ps, target, (x0, y0), mask)

    def stamp(
        self, image: Array, alpha: Array, frame: Array, outline: Array, *, target: bool = False
    ) -> None:
        """A picture (h,w,3) with its alpha (h,w); `frame` takes its pixels to figure units.

        `outline` (N,2) is its edge in figure units.
        """
        p = self.project(outline)
        x0, y0, x1, y1 = self._window(p, 2)
        if x1 > x0 and y1 > y0:
            here = np.array([[1.0, 0, -x0], [0, 1, -y0], [0, 0, 1]])
            size, map_ = (x1 - x0, y1 - y0), here @ self.transform @ frame
            shrink = 1.0 / max(self.scale() * _stretch(frame), 1e-6)
            if shrink > 1.5:
                k = int(shrink) | 1
                image, alpha = cv2.blur(image, (k, k)), cv2.blur(alpha, (k, k))
            over = cv2.warpPerspective(
                image, map_, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            mask = cv2.warpPerspective(alpha, map_, size, flags=cv2.INTER_LINEAR)
            self.paste(over, mask, x0, y0)
            self.mark(mask, x0, y0, target)
        if target:
            self.extent.append(p)

    def paste(self, over: Array, mask: Array, x0: int, y0: int) -> None:
        """Blends `over` (h,w,3) through `mask` (h,w) uint8 at pixel (x0, y0)."""
        h, w = mask.shape
        roi = self.image[y0 : y0 + h, x0 : x0 + w]
        wide = cv2.merge([mask, mask, mask])
        difference = cv2.subtract(over, roi, dtype=cv2.CV_16S)
        difference = cv2.multiply(difference, wide, scale=1 / 255, dtype=cv2.CV_16S)
        cv2.add(roi, difference, roi, dtype=cv2.CV_8U)

    # -- where the product is -----------------------------------------------------------------

    def mark(self, mask: Array, x0: int, y0: int, target: bool) -> None:
        """Notes a pasted mask as the product, or as something in front of it."""
        h, w = mask.shape
        inside = mask > 96
        if target:
            self.target[y0 : y0 + h, x0 : x0 + w][inside] = 1
            self.cover[y0 : y0 + h, x0 : x0 + w][inside] = 1
            self._marked = True
        elif self._marked:
            both = inside & (self.target[y0 : y0 + h, x0 : x0 + w] > 0)
            self.cover[y0 : y0 + h, x0 : x0 + w][both] = 2

    def box(self) -> Array:
        """The box (4,) of the product in pixels, clipped to the frame, hidden parts included."""
        points = np.concatenate(self.extent)
        h, w = self.target.shape
        low = np.clip(points.min(axis=0), 0, (w, h))
        high = np.clip(points.max(axis=0), 0, (w, h))
        return np.concatenate([low, high]).astype(np.float32)

    def hidden(self) -> float:
        """The share of the product, within the frame, that something was drawn over."""
        area = int(np.count_nonzero(self.target))
        return float(np.count_nonzero(self.cover == 2)) / area if area else 0.0

    def outside(self) -> float:
        """The share of the product's own box that lies outside the frame."""
        points = np.concatenate(self.extent)
        whole = float(np.prod(np.ptp(points, axis=0)))
        x1, y1, x2, y2 = self.box()
        lost = 1.0 - float(x2 - x1) * float(y2 - y1) / max(whole, 1e-6)
        return min(lost, 1.0) if lost > 1e-4 else 0.0

    def visibility(self, pixel: Array, toward: Array) -> float:
        """2 visible, 1 covered, 0 out of the frame, of a point at the product's edge."""
        h, w = self.target.shape
        if not (0 <= pixel[0] < w and 0 <= pixel[1] < h):
            return 0.0
        way = toward - pixel
        way = way / max(float(np.hypot(*way)), 1e-6) * max(2.0, 0.012 * w)
        x, y = int(pixel[0] + way[0]), int(pixel[1] + way[1])
        near = self.cover[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        return 2.0 if near.size and bool((near == 1).any()) else 1.0

    def _note(
        self,
        fixed: list[Array],
        ps: list[Array],
        target: bool,
        at: tuple[int, int] = (0, 0),
        mask: Array | None = None,
    ) -> None:
        if target:
            self.extent += ps
        if mask is not None and (target or self._marked):
            self.mark(mask, at[0], at[1], target)
            return
        if not target and not self._marked:
            return
        for p, f in zip(ps, fixed, strict=False):
            x0, y0, x1, y1 = self._window(p, 1)
            if x1 > x0 and y1 > y0:
                part = np.zeros((y1 - y0, x1 - x0), np.uint8)
                moved = f - np.array((x0 - at[0], y0 - at[1]), np.int32) * _ONE
                cv2.fillPoly(part, [moved], (255,), cv2.LINE_8, _SHIFT)
                self.mark(part, x0, y0, target)

    def _window(self, p: Array, margin: int) -> tuple[int, int, int, int]:
        h, w = self.image.shape[:2]
        (ax, ay), (bx, by) = p.min(axis=0), p.max(axis=0)
        return (
            int(max(0, np.floor(ax) - margin)),
            int(max(0, np.floor(ay) - margin)),
            int(min(w, np.ceil(bx) + margin)),
            int(min(h, np.ceil(by) + margin)),
        )

    @staticmethod
    def _fixed(p: Array) -> Array:
        near: Array = np.minimum(np.maximum(p, -4000.0), 4000.0)
        fixed: Array = np.rint(near * _ONE).astype(np.int32)
        return fixed


def _stretch(frame: Array) -> float:
    return math.sqrt(abs(float(frame[0, 0] * frame[1, 1] - frame[0, 1] * frame[1, 0])))


def _rgb(color: Sequence[int]) -> tuple[int, int, int]:
    return (int(color[0]), int(color[1]), int(color[2]))
