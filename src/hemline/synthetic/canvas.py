"""The canvas: draws shapes of cloth and of plain colour in a figure's coordinates.

A canvas keeps, beside the image, where the product lies (`target`) and what was drawn over it
(`cover`), so that boxes, visibility and occlusion are facts of the drawing and not estimates. Of
every other garment its `ledger` keeps the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from hemline.synthetic.cloth import Cloth, fold_map
from hemline.synthetic.curves import Array
from hemline.synthetic.ledger import Ledger

_SHIFT = 4
_ONE = 1 << _SHIFT
#: No point is drawn farther out than this, in sixteenths of a pixel.
_FAR = 4000.0 * _ONE
#: A pixel of which more than this of 255 is covered counts as covered.
_INSIDE = 96
_WRAPPED = cv2.BORDER_REFLECT_101


class Canvas:
    """An image (size, size, 3) uint8 RGB under a homography from figure units to pixels.

    Shapes are kept as OpenCV draws them, in sixteenths of a pixel.
    """

    def __init__(self, image: Array, transform: Array | None = None) -> None:
        self.image = image
        self.transform = np.eye(3) if transform is None else transform
        h, w = image.shape[:2]
        self.target = np.zeros((h, w), np.uint8)
        self.cover = np.zeros((h, w), np.uint8)
        self.extent: list[Array] = []
        self.ledger = Ledger(h, w)
        self._marked = False

    @property
    def transform(self) -> Array:
        """The homography (3x3) from figure units to pixels."""
        return self._transform

    @transform.setter
    def transform(self, m: Array) -> None:
        self._transform = m
        self._fine = np.diag((_ONE, _ONE, 1.0)) @ m
        area = m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]
        self._scale = math.sqrt(abs(float(area))) / abs(float(m[2, 2]))

    def project(self, points: Array) -> Array:
        """Figure units -> sixteenths of a pixel, (N,2)."""
        return _through(self._fine, points)

    def scale(self) -> float:
        """Pixels per unit, near the image's middle."""
        return self._scale

    def sees(self, points: Array, margin: float) -> bool:
        """False where nothing within `margin` units of the points can lie in the image."""
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        (x0, y0), (x1, y1) = low.tolist(), high.tolist()
        m = self._transform
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        if min(m[2, 0] * x + m[2, 1] * y for x, y in corners) + m[2, 2] < 0.05:
            return True
        h, w = self.target.shape
        xs, ys = self.project(np.array(corners)).T.tolist()
        edge = 3 * _ONE
        beside = max(xs) < -edge or min(xs) > w * _ONE + edge
        return not (beside or max(ys) < -edge or min(ys) > h * _ONE + edge)

    # -- plain colour -------------------------------------------------------------------------

    def fill(self, points: Array, color: Sequence[int], *, target: bool = False) -> None:
        """A closed shape of one colour, with smooth edges."""
        p = self.project(points)
        fixed = _fixed(p)
        cv2.fillPoly(self.image, [fixed], color, cv2.LINE_AA, _SHIFT)
        if target:
            self.extent.append(p)
            self._marked = True
            cv2.fillPoly(self.target, [fixed], (1,), cv2.LINE_8, _SHIFT)
            cv2.fillPoly(self.cover, [fixed], (1,), cv2.LINE_8, _SHIFT)
        elif self._marked:
            cv2.fillPoly(self.cover, [fixed], (2,), cv2.LINE_8, _SHIFT)
        self.ledger.fill(p, fixed)

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
        self.lines(np.asarray(points)[None], color, width, closed=closed, target=target)

    def lines(
        self,
        paths: Array,
        color: Sequence[int],
        width: float,
        *,
        closed: bool = False,
        target: bool = False,
    ) -> None:
        """Strokes (K,N,2) of one colour and width, one after the other."""
        px = width * self._scale
        if px < 0.2:
            return
        thick, share = max(1, round(px)), max(px / 0.75, 0.15)
        p = self.project(paths.reshape(-1, 2))
        fixed = _fixed(p).reshape(paths.shape)
        around = p.reshape(paths.shape).transpose(0, 2, 1).tolist() if px < 0.75 else []
        for k, stroke in enumerate(fixed):
            if px >= 0.75:
                cv2.polylines(self.image, [stroke], closed, color, thick, cv2.LINE_AA, _SHIFT)
            else:
                xs, ys = around[k]
                self._faint(stroke, self._window(xs, ys, 2), closed, color, share)
            if self._marked and not target:
                cv2.polylines(self.cover, [stroke], closed, (2,), thick, cv2.LINE_8, _SHIFT)
            self.ledger.line(stroke, closed, thick)

    def _faint(
        self,
        stroke: Array,
        window: tuple[int, int, int, int],
        closed: bool,
        color: Sequence[int],
        share: float,
    ) -> None:
        x0, y0, x1, y1 = window
        if x1 <= x0 or y1 <= y0:
            return
        roi = self.image[y0:y1, x0:x1]
        over = roi.copy()
        moved = stroke - np.array((x0 << _SHIFT, y0 << _SHIFT), np.int32)
        cv2.polylines(over, [moved], closed, color, 1, cv2.LINE_AA, _SHIFT)
        cv2.addWeighted(over, share, roi, 1 - share, 0, roi)

    def tint(self, outlines: Iterable[Array], factor: float, soft: float = 0.0) -> None:
        """Darkens (factor < 1) or lightens what lies under the shapes; `soft` blurs, in units."""
        ps = [self.project(o) for o in outlines]
        blur = int(soft * self._scale) * 2 + 1 if soft else 1
        x0, y0, x1, y1 = self._around(ps, 2 + blur)
        if x1 <= x0 or y1 <= y0:
            return
        mask: Array = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for p in ps:
            cv2.fillPoly(mask, [_fixed(p)], (255,), cv2.LINE_AA, _SHIFT, (-x0 * _ONE, -y0 * _ONE))
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
        if target:
            self.extent += ps
        self.ledger.reach(ps)
        x0, y0, x1, y1 = self._around(ps, 2)
        if x1 <= x0 or y1 <= y0:
            return
        w, h = x1 - x0, y1 - y0
        mask = np.zeros((h, w), np.uint8)
        for p in ps:
            cv2.fillPoly(mask, [_fixed(p)], (255,), cv2.LINE_AA, _SHIFT, (-x0 * _ONE, -y0 * _ONE))
        map_ = self._transform @ frame
        map_[0] -= x0 * map_[2]
        map_[1] -= y0 * map_[2]
        tile, to_units = cloth.level(self._scale * _stretch(frame))
        if cloth.flat is None:
            cut = cv2.warpPerspective(
                tile, map_ @ to_units, (w, h), flags=cv2.INTER_LINEAR, borderMode=_WRAPPED
            )
        else:
            cut = np.empty((h, w, 3), np.uint8)
            cut[:] = cloth.flat
        fold, fold_units = fold_map(folds, strength * cloth.softness)
        light = cv2.warpPerspective(
            fold, map_ @ fold_units, (w, h), flags=cv2.INTER_LINEAR, borderMode=_WRAPPED
        )
        if round_ > 0:
            k = max(3, int(0.16 * min(_breadth(p) for p in ps)) | 1)
            edge = cv2.blur(mask, (k, k), borderType=cv2.BORDER_REPLICATE)
            slope = 0.62 * round_
            edge = cv2.convertScaleAbs(edge, alpha=slope, beta=255 * (1 - slope))
            light = cv2.multiply(light, edge, scale=gain / 255)
        elif gain != 1.0:
            light = cv2.convertScaleAbs(light, alpha=gain)
        cv2.multiply(cut, cv2.merge([light, light, light]), cut, 1 / 128)
        self.paste(cut, mask, x0, y0)
        self.mark(mask, x0, y0, target)

    def stamp(
        self, image: Array, alpha: Array, frame: Array, outline: Array, *, target: bool = False
    ) -> None:
        """An image (h,w,3) with its alpha (h,w); `frame` takes its pixels to figure units.

        `outline` (N,2) is its edge in figure units.
        """
        p = self.project(outline)
        x0, y0, x1, y1 = self._around([p], 2)
        if x1 > x0 and y1 > y0:
            here = np.array([[1.0, 0, -x0], [0, 1, -y0], [0, 0, 1]])
            size, map_ = (x1 - x0, y1 - y0), here @ self._transform @ frame
            shrink = 1.0 / max(self._scale * _stretch(frame), 1e-6)
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
        self.ledger.reach([p])

    def paste(self, over: Array, mask: Array, x0: int, y0: int) -> None:
        """Blends `over` (h,w,3) through `mask` (h,w) uint8 at pixel (x0, y0)."""
        h, w = mask.shape
        roi = self.image[y0 : y0 + h, x0 : x0 + w]
        wide = cv2.merge([mask, mask, mask])
        # What gets brighter and what gets darker apart: bytes are faster than signed numbers.
        more, less = cv2.subtract(over, roi), cv2.subtract(roi, over)
        cv2.multiply(more, wide, more, 1 / 255)
        cv2.multiply(less, wide, less, 1 / 255)
        cv2.add(roi, more, roi)
        cv2.subtract(roi, less, roi)

    # -- where the product is -----------------------------------------------------------------

    def mark(self, mask: Array, x0: int, y0: int, target: bool) -> None:
        """Notes a pasted mask as the product, or as something in front of it."""
        if not (target or self._marked or self.ledger.began):
            return
        h, w = mask.shape
        _, inside = cv2.threshold(mask, _INSIDE, 1, cv2.THRESH_BINARY)
        self.ledger.paste(inside, x0, y0)
        if not (target or self._marked):
            return
        cover = self.cover[y0 : y0 + h, x0 : x0 + w]
        if target:
            self._marked = True
            part = self.target[y0 : y0 + h, x0 : x0 + w]
            cv2.bitwise_or(part, inside, part)
            cv2.copyTo(inside, inside, cover)
        else:
            cv2.copyTo(cv2.add(inside, inside), inside, cover)

    def box(self) -> Array:
        """The box (4,) of the product in pixels, clipped to the frame, hidden parts included."""
        h, w = self.target.shape
        low, high = self._reach()
        whole = np.minimum(np.maximum((*low, *high), 0.0), (w, h, w, h))
        return whole.astype(np.float32)

    def _reach(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The first and the last corner of the product's own box, in pixels."""
        xs, ys = np.concatenate(self.extent).T / _ONE
        return (float(xs.min()), float(ys.min())), (float(xs.max()), float(ys.max()))

    def hidden(self) -> float:
        """The share of the product, within the frame, that something was drawn over."""
        area = int(np.count_nonzero(self.target))
        over = cv2.bitwise_and(self.cover, cv2.add(self.target, self.target))
        return float(np.count_nonzero(over)) / area if area else 0.0

    def outside(self) -> float:
        """The share of the product's own box that lies outside the frame."""
        low, high = self._reach()
        whole = (high[0] - low[0]) * (high[1] - low[1])
        x1, y1, x2, y2 = self.box()
        lost = 1.0 - float(x2 - x1) * float(y2 - y1) / max(whole, 1e-6)
        return min(lost, 1.0) if lost > 1e-4 else 0.0

    def visibility(self, pixel: Array, toward: Array) -> float:
        """2 visible, 1 covered, 0 out of the frame, of a point at the product's edge."""
        h, w = self.target.shape
        if not (0 <= pixel[0] < w and 0 <= pixel[1] < h):
            return 0.0
        way = (toward - pixel).tolist()
        step = max(2.0, 0.012 * w) / max(math.hypot(*way), 1e-6)
        x, y = int(pixel[0] + way[0] * step), int(pixel[1] + way[1] * step)
        near = self.cover[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        return 2.0 if near.size and bool((near == 1).any()) else 1.0

    def _around(self, shapes: Sequence[Array], margin: int) -> tuple[int, int, int, int]:
        xs, ys = (shapes[0] if len(shapes) == 1 else np.concatenate(shapes)).T.tolist()
        return self._window(xs, ys, margin)

    def _window(
        self, xs: Sequence[float], ys: Sequence[float], margin: int
    ) -> tuple[int, int, int, int]:
        """The pixels (x0, y0, x1, y1) that hold the points and `margin` more, in the image."""
        h, w = self.target.shape
        return (
            max(0, math.floor(min(xs) / _ONE) - margin),
            max(0, math.floor(min(ys) / _ONE) - margin),
            min(w, math.ceil(max(xs) / _ONE) + margin),
            min(h, math.ceil(max(ys) / _ONE) + margin),
        )


def _through(matrix: Array, points: Array) -> Array:
    flat = matrix[2, 0] == 0.0 and matrix[2, 1] == 0.0
    moved: Array = (
        cv2.transform(points[None], matrix[:2])
        if flat
        else cv2.perspectiveTransform(points[None], matrix)
    )[0]
    return moved


def _fixed(p: Array) -> Array:
    """Points in sixteenths of a pixel as whole numbers, not farther than OpenCV can count."""
    low, high, _, _ = cv2.minMaxLoc(p)
    if low < -_FAR or high > _FAR:
        p = np.minimum(np.maximum(p, -_FAR), _FAR)
    fixed: Array = np.rint(p).astype(np.int32)
    return fixed


def _breadth(p: Array) -> float:
    """The shorter side, in pixels, of the box about points in sixteenths of a pixel."""
    xs, ys = p.T.tolist()
    return float(min(max(xs) - min(xs), max(ys) - min(ys))) / _ONE


def _stretch(frame: Array) -> float:
    (a, b, _), (c, d, _), _ = frame.tolist()
    return math.sqrt(abs(a * d - b * c))
