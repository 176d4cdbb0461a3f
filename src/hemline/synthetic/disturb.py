"""What a phone and bad light do to an image: light, colour cast, blur, noise, JPEG.

Each function takes (H,W,3) uint8 RGB and returns the same with a number that says how strong the
disturbance was, in the unit its docstring names.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from hemline.synthetic.curves import Array
from hemline.synthetic.seeds import generator

_RAMP = np.arange(256, dtype=np.float32) / 255


def lit(image: Array, rng: np.random.Generator, strength: float) -> tuple[Array, float]:
    """Uneven and dim or harsh light; the mean change of brightness (0 none, 1 black)."""
    if strength <= 0:
        return image, 0.0
    exposure = float(rng.normal(-0.22, 0.45)) * strength
    gamma = 2.0 ** (-exposure)
    contrast = 1.0 + float(rng.normal(0, 0.22)) * strength
    curve = np.clip((_RAMP**gamma - 0.5) * contrast + 0.5 + rng.normal(0, 0.03) * strength, 0, 1)
    out = cv2.LUT(image, (curve * 255).astype(np.uint8))
    h, w = image.shape[:2]
    y, x = np.mgrid[0:8, 0:8] / 7.0 - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 0.75) * strength
    field = 1 + slope * (np.cos(angle) * x + np.sin(angle) * y)
    field -= rng.uniform(0, 0.8) * strength * (x * x + y * y)
    gain = cv2.resize(
        np.clip(128 * field, 0, 255).astype(np.uint8), (w, h), interpolation=cv2.INTER_LINEAR
    )
    cv2.multiply(out, cv2.merge([gain, gain, gain]), out, 1 / 128)
    if rng.random() < 0.22 * strength:
        out = _shadow_bars(out, rng)
    change = abs(float(curve.mean()) - 0.5) + 0.25 * slope
    return out, change


def _shadow_bars(image: Array, rng: np.random.Generator) -> Array:
    """The hard shadow of a window's frame or of leaves."""
    h, w = image.shape[:2]
    mask: Array = np.full((h, w), 128, np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        x, wide, lean = (
            rng.uniform(-0.3, 1) * w,
            rng.uniform(0.06, 0.2) * w,
            rng.uniform(-0.5, 0.5) * w,
        )
        bar = np.array([(x, 0), (x + wide, 0), (x + wide + lean, h), (x + lean, h)], np.int32)
        cv2.fillConvexPoly(mask, bar, (int(rng.integers(78, 105)),))
    mask = cv2.blur(mask, (5, 5))
    return cv2.multiply(image, cv2.merge([mask, mask, mask]), scale=1 / 128)


def cast(image: Array, rng: np.random.Generator, strength: float) -> tuple[Array, float]:
    """A colour cast, warm, cold or green; the largest relative change of a channel."""
    if strength <= 0:
        return image, 0.0
    warm = float(rng.normal(0.03, 0.15)) * strength
    tint = float(rng.normal(0, 0.055)) * strength
    gains = np.array((1 + warm, 1 + tint, 1 - warm))
    table = np.clip(_RAMP[:, None] * gains * 255, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None]), float(np.abs(gains - 1).max())


def blurred(image: Array, rng: np.random.Generator, strength: float) -> tuple[Array, float]:
    """Focus or motion blur; its radius as a share of the image's side."""
    side = image.shape[0]
    radius = float(rng.exponential(0.0075)) * strength
    radius = min(radius, 0.03) * side
    if strength <= 0 or radius < 0.35:
        return image, 0.0
    if rng.random() < 0.45 and radius > 0.8:
        k = max(3, int(2 * radius) | 1)
        kernel = np.zeros((k, k), np.float32)
        angle = rng.uniform(0, np.pi)
        reach = np.array((np.cos(angle), np.sin(angle))) * (k // 2)
        a, b = np.round(k // 2 - reach).astype(int), np.round(k // 2 + reach).astype(int)
        cv2.line(kernel, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), (1.0,), 1)
        return cv2.filter2D(image, -1, kernel / kernel.sum()), radius / side
    return cv2.GaussianBlur(image, (0, 0), radius * 0.7), radius / side


@lru_cache(maxsize=4)
def _noise(side: int) -> Array:
    rng = generator("noise")
    base = rng.normal(0, 16, (side + 64, side + 64, 3)).astype(np.float32)
    base += 0.8 * cv2.blur(base, (3, 3))
    return np.clip(base, -120, 120).astype(np.int8)


def noisy(image: Array, rng: np.random.Generator, strength: float) -> tuple[Array, float]:
    """Sensor noise; its standard deviation as a share of white."""
    sigma = float(rng.exponential(0.022)) * strength
    if strength <= 0 or sigma < 0.003:
        return image, 0.0
    sigma = min(sigma, 0.12)
    side = image.shape[0]
    bank = _noise(side)
    y, x = (int(v) for v in rng.integers(0, 64, 2))
    part = bank[y : y + side, x : x + image.shape[1]]
    speckle = cv2.addWeighted(part, sigma * 255 / 19, part, 0.0, 0.0, dtype=cv2.CV_16S)
    return cv2.add(image, speckle, dtype=cv2.CV_8U), sigma


def compressed(image: Array, rng: np.random.Generator, strength: float) -> tuple[Array, float]:
    """JPEG at a low quality; 1 - quality/100."""
    quality = int(min(max(92 - rng.exponential(34) * strength, 18), 92))
    if strength <= 0 or quality > 88:
        return image, 0.0
    swapped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])
    back = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert back is not None
    return cv2.cvtColor(back, cv2.COLOR_BGR2RGB), 1 - quality / 100
