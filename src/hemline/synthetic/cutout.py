"""Cuts a garment out of a photo: what differs from the border's colours, refined by GrabCut."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hemline.synthetic.curves import Array
from hemline.types import Box

#: The longer side of the image GrabCut works on, and of the cut-out that is kept.
_WORK, _KEEP = 112, 288
#: A cut-out covers between these shares of its photo ...
_AREA = (0.07, 0.82)
#: ... has at most this share of its outline at the photo's edge ...
_EDGE = 0.2
#: ... and is mostly one piece, and compact.
_PIECE, _SOLID = 0.82, 0.42


@dataclass(frozen=True)
class Cutout:
    """A garment without its background.

    `image` (h,w,3) uint8 RGB and `alpha` (h,w) uint8, cropped to the garment; `outline` (N,2) float
    in its pixels; `box` of the garment in the photo's own pixels.
    """

    image: Array
    alpha: Array
    outline: Array
    box: Box


def cut_out(photo: Array) -> Cutout | None:
    """The garment of a photo (H,W,3) uint8 RGB, or None where it can't be told from the rest."""
    h, w = photo.shape[:2]
    if min(h, w) < 48:
        return None
    small = _resized(photo, _WORK)
    mask = _refined(small, _different(small))
    piece = _largest(mask)
    if piece is None or not _good(piece):
        return None
    keep = _resized(photo, _KEEP)
    size = (keep.shape[1], keep.shape[0])
    big = cv2.resize(piece, size, interpolation=cv2.INTER_CUBIC)
    big = cv2.GaussianBlur(big, (0, 0), 1.6)
    alpha = np.clip((big.astype(np.float32) - 118) * 4.2, 0, 255).astype(np.uint8)
    outline = outline_of(alpha)
    if outline is None or len(outline) < 8:
        return None
    per = photo.shape[1] / keep.shape[1], photo.shape[0] / keep.shape[0]
    corners = (outline.min(axis=0) * per, (outline.max(axis=0) + 1) * per)
    box = Box(*(float(v) for v in np.concatenate(corners))).clip(w, h)
    x0, y0 = np.maximum(outline.min(axis=0).astype(int) - 2, 0)
    x1, y1 = outline.max(axis=0).astype(int) + 3
    return Cutout(
        np.ascontiguousarray(keep[y0:y1, x0:x1]),
        np.ascontiguousarray(alpha[y0:y1, x0:x1]),
        outline - (x0, y0),
        box,
    )


def outline_of(alpha: Array) -> Array | None:
    """The outline (N,2) of the largest piece of an alpha (h,w), or None where it is empty."""
    contours, _ = cv2.findContours(
        (alpha > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1
    )
    if not contours:
        return None
    outline: Array = max(contours, key=cv2.contourArea)[:, 0].astype(np.float64)
    return outline


def _resized(photo: Array, side: int) -> Array:
    h, w = photo.shape[:2]
    scale = side / max(h, w)
    if scale >= 1 and side == _KEEP:
        return photo
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def _different(small: Array) -> Array:
    """A first GrabCut mask: how far each pixel is from the colours along the border."""
    lab = cv2.cvtColor(cv2.blur(small, (3, 3)), cv2.COLOR_RGB2LAB).astype(np.float32)
    h, w = lab.shape[:2]
    rim = max(2, round(0.04 * min(h, w)))
    sides = (lab[:rim], lab[-rim:], lab[:, :rim], lab[:, -rim:])
    border = np.concatenate([side.reshape(-1, 3) for side in sides])
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 8, 1.0)
    start = (np.arange(len(border)) * 4 // len(border)).astype(np.int32)[:, None]
    _, _, centers = cv2.kmeans(border, 4, start, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    gap = np.min(
        [np.sqrt((((lab - c) * (0.7, 1.3, 1.3)) ** 2).sum(axis=2)) for c in centers], axis=0
    )
    level, _ = cv2.threshold(np.clip(gap, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    level = float(np.clip(level, 9, 40))
    mask = np.where(gap > level, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[gap > 2.2 * level] = cv2.GC_PR_FGD
    mask[gap < 0.35 * level] = cv2.GC_PR_BGD
    mask[:rim] = mask[-rim:] = cv2.GC_BGD
    mask[:, :rim] = mask[:, -rim:] = cv2.GC_BGD
    return mask


def _refined(small: Array, mask: Array) -> Array:
    foreground = int((mask == cv2.GC_PR_FGD).sum())
    if foreground < 60:
        return np.zeros(mask.shape, np.uint8)
    cv2.setRNGSeed(1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, mask, (0, 0, 1, 1), models[0], models[1], 3, cv2.GC_INIT_WITH_MASK)
    found = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    return cv2.morphologyEx(cv2.morphologyEx(found, cv2.MORPH_OPEN, disk), cv2.MORPH_CLOSE, disk)


def _largest(mask: Array) -> Array | None:
    """The largest piece, its holes filled; None where no piece is clearly the largest."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    areas = sorted((cv2.contourArea(c) for c in contours), reverse=True)
    if areas[0] < _PIECE * sum(areas):
        return None
    filled = np.zeros_like(mask)
    best = max(contours, key=cv2.contourArea)
    cv2.drawContours(filled, [best], -1, (255,), -1)
    return filled


def _good(piece: Array) -> bool:
    h, w = piece.shape
    area = float((piece > 0).mean())
    if not _AREA[0] <= area <= _AREA[1]:
        return False
    rim = max(2, round(0.04 * min(h, w))) + 1
    inner = piece[rim:-rim, rim:-rim]
    lines = (inner[0], inner[-1], inner[:, 0], inner[:, -1])
    at_edge = sum(int((line > 0).sum()) for line in lines)
    contours, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    best = max(contours, key=cv2.contourArea)
    if at_edge > _EDGE * len(best):
        return False
    hull = cv2.convexHull(best)
    return cv2.contourArea(best) > _SOLID * max(cv2.contourArea(hull), 1.0)
