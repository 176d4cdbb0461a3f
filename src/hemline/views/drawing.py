"""What every drawing shares: colours, scaling, shapes, text in Pillow's own font, the file."""

from __future__ import annotations

import io
import unicodedata
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
from PIL.ImageDraw import Draw
from PIL.ImageFont import FreeTypeFont, ImageFont, load_default

from hemline.data.resize import resize
from hemline.errors import ImageError
from hemline.files import write_durable
from hemline.types import Box, FloatArray, Image

Colour = tuple[int, int, int]
PAPER: Colour = (250, 249, 247)
INK: Colour = (24, 24, 26)
GREY: Colour = (100, 100, 100)
WHITE: Colour = (255, 255, 255)


def canvas(height: int, width: int) -> Image:
    """Empty paper (height, width, 3)."""
    return np.full((height, width, 3), PAPER, np.uint8)


def scaled(image: Image, scale: float) -> Image:
    """An image (H, W, 3) at ``scale`` times its size, at least one pixel each way."""
    return resize(image, *(max(1, round(side * scale)) for side in image.shape[:2]))


def fit(image: Image, side: int) -> Image:
    """The whole image, centred on paper (side, side, 3)."""
    small = scaled(image, side / max(image.shape[:2]))
    square = canvas(side, side)
    top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square


def boxed(image: Image, box: Box | None, colour: Colour = (220, 60, 30)) -> Image:
    """A copy of the image with a box drawn on it; the image itself without a box."""
    if box is None:
        return image
    drawn = image.copy()
    x1, y1, x2, y2 = (round(v) for v in box)
    frame(drawn, (x1, y1), (x2, y2), colour, max(1, round(max(image.shape[:2]) / 100)))
    return drawn


def fill(image: Image, corner: tuple[int, int], opposite: tuple[int, int], colour: Colour) -> None:
    """Fills a rectangle; both corners (x, y) belong to it."""
    (x1, y1), (x2, y2) = corner, opposite
    image[max(0, y1) : max(0, y2 + 1), max(0, x1) : max(0, x2 + 1)] = colour


def frame(
    image: Image, corner: tuple[int, int], opposite: tuple[int, int], colour: Colour, thick: int
) -> None:
    """Draws a rectangle's outline through both corners; an even ``thick`` is one pixel more."""
    (x1, y1), (x2, y2), half = corner, opposite, thick // 2
    for x in (x1, x2):
        fill(image, (x - half, y1 - half), (x + half, y2 + half), colour)
    for y in (y1, y2):
        fill(image, (x1 - half, y - half), (x2 + half, y + half), colour)


def disc(image: Image, at: tuple[int, int], radius: int, colour: Colour, thick: int = 0) -> None:
    """Draws a disc around (x, y), or a ring of ``thick`` pixels; smooth at its edges."""
    reach = radius + thick + 1
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    far = np.hypot(axis[:, None], axis)
    share = thick / 2 + 0.5 - np.abs(far - radius) if thick else radius + 0.5 - far
    _blend(image, np.asarray(share.clip(0, 1), np.float32), (at[0] - reach, at[1] - reach), colour)


def _blend(image: Image, share: FloatArray, at: tuple[int, int], colour: Colour) -> None:
    """Lays a colour over the image, by a mask (h, w) from 0 to 1 whose corner lies at (x, y)."""
    x, y = at
    inside = image[max(0, y) : max(0, y + len(share)), max(0, x) : max(0, x + share.shape[1])]
    share = share[max(0, -y) :, max(0, -x) :][: inside.shape[0], : inside.shape[1], None]
    inside[:] = np.rint(inside + share * (np.asarray(colour, np.float32) - inside))


def heated(image: Image, weights: FloatArray) -> Image:
    """A copy with weights ≥ 0 (rows, columns) over the whole image, the largest in orange; equal
    weights colour it evenly."""
    share = weights / max(float(weights.max()), 1e-12)
    small = PIL.Image.fromarray((share * 255).round().astype(np.uint8))
    large = small.resize(image.shape[1::-1], PIL.Image.Resampling.BILINEAR)
    drawn = image.copy()
    _blend(drawn, np.asarray(large, np.float32) / np.float32(340), (0, 0), (255, 90, 40))
    return drawn


def lit(image: Image, share: FloatArray) -> Image:
    """The image (H, W, 3) where ``share`` (H, W) is large, pale where it is small."""
    most = max(float(np.quantile(share, 0.99)), 1e-6)
    clear = np.clip(share / most, 0, 1)[..., None] ** 0.5
    return np.asarray(np.rint(image * clear + 245 * (1 - clear)), np.uint8)


def plain(text: str) -> str:
    """The text in ASCII, all that Pillow's own font is sure to have."""
    text = text.replace("–", "-").replace("…", "...").replace("×", "x")
    return unicodedata.normalize("NFKD", text).encode("ascii", "replace").decode()


@lru_cache(16)
def _font(size: int) -> ImageFont | FreeTypeFont:
    return load_default(size)


def width_of(text: str, size: int) -> int:
    """Pixels of one line."""
    return round(_font(size).getlength(text))


def _height(size: int) -> tuple[int, int]:
    """Pixels above and below a line's baseline."""
    return round(0.72 * size), round(0.22 * size)


def write(
    image: Image, text: str, at: tuple[int, int], size: int, ink: Colour, halo: bool = False
) -> None:
    """Writes one line of ASCII whose baseline begins at (x, y); with a white halo over an image."""
    for around, colour in ((1, WHITE), (0, ink)) if halo else ((0, ink),):
        mask = PIL.Image.new("L", (width_of(text, size) + 4, 2 * size))
        Draw(mask).text((2, size), text, 255, _font(size), "ls", stroke_width=around)
        _blend(
            image, np.asarray(mask, np.float32) / np.float32(255), (at[0] - 2, at[1] - size), colour
        )


def clipped(text: str, width: int, size: int) -> str:
    """The text in ASCII, cut to ``width`` pixels."""
    text = plain(text)
    while text and width_of(text, size) > width:
        text = text.rstrip(".")[:-1] + ".." if len(text) > 4 else ""
    return text


def wrapped(text: str, width: int, size: int) -> list[str]:
    """The text in ASCII, in lines of at most ``width`` pixels; long words are broken."""
    lines, line = [], ""
    for word in plain(text).split():
        longer = f"{line} {word}".strip()
        if line and width_of(longer, size) > width:
            lines.append(line)
            line = word
        else:
            line = longer
        while width_of(line, size) > width and len(line) > 1:
            cut = len(line)
            while cut > 1 and width_of(line[:cut], size) > width:
                cut -= 1
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line] if line else lines


def label(image: Image, text: str, at: tuple[int, int], colour: Colour, size: int) -> None:
    """White text on a filled rectangle at (x, y), moved to lie within the image."""
    text = plain(text)
    wide, (high, low) = width_of(text, size), _height(size)
    x = max(0, min(at[0], image.shape[1] - wide - 4))
    y = max(high + low + 2, min(at[1] + high + low + 2, image.shape[0] - 1))
    fill(image, (x, y - high - low - 2), (x + wide + 4, y), colour)
    write(image, text, (x + 2, y - low), size, WHITE)


def write_image(path: Path, image: Image) -> None:
    """Writes an image (H, W, 3) RGB as .png or .jpg.

    Raises:
        ImageError: another suffix.
        OSError: it can't be written.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ImageError(f"{path} can't be drawn; name a .png or .jpg file")
    write_durable(path, encode(image, "PNG" if path.suffix.lower() == ".png" else "JPEG"))


def encode(image: Image, format: str) -> bytes:
    """The bytes of a PNG or JPEG of an image (H, W, 3) RGB or (H, W, 4) RGBA."""
    stream = io.BytesIO()
    PIL.Image.fromarray(image).save(stream, format, quality=95)
    return stream.getvalue()
