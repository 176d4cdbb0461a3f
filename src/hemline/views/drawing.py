"""What every drawing shares: colours, scaling, text in OpenCV's own font, and writing the file."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import cv2
import numpy as np

from hemline.errors import ImageError
from hemline.files import write_durable
from hemline.types import Box, Image

Colour = tuple[int, int, int]
PAPER: Colour = (250, 249, 247)
INK: Colour = (24, 24, 26)
GREY: Colour = (100, 100, 100)
WHITE: Colour = (255, 255, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def canvas(height: int, width: int) -> Image:
    """Empty paper (height, width, 3)."""
    return np.full((height, width, 3), PAPER, np.uint8)


def scaled(image: Image, scale: float) -> Image:
    """An image (H, W, 3) at ``scale`` times its size, at least one pixel each way."""
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


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
    cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, max(1, round(max(image.shape[:2]) / 100)))
    return drawn


def plain(text: str) -> str:
    """The text in ASCII, all that OpenCV's font has."""
    text = text.replace("–", "-").replace("…", "...").replace("×", "x")
    return unicodedata.normalize("NFKD", text).encode("ascii", "replace").decode()


def width_of(text: str, scale: float) -> int:
    """Pixels of one line."""
    return int(cv2.getTextSize(text, FONT, scale, 1)[0][0])


def write(
    image: Image, text: str, at: tuple[int, int], scale: float, ink: Colour, halo: bool = False
) -> None:
    """Writes one line of ASCII whose baseline begins at (x, y); with a white halo over an image."""
    if halo:
        cv2.putText(image, text, at, FONT, scale, WHITE, 3, cv2.LINE_AA)
    cv2.putText(image, text, at, FONT, scale, ink, 1, cv2.LINE_AA)


def clipped(text: str, width: int, scale: float) -> str:
    """The text in ASCII, cut to ``width`` pixels."""
    text = plain(text)
    while text and width_of(text, scale) > width:
        text = text.rstrip(".")[:-1] + ".." if len(text) > 4 else ""
    return text


def wrapped(text: str, width: int, scale: float) -> list[str]:
    """The text in ASCII, in lines of at most ``width`` pixels; long words are broken."""
    lines, line = [], ""
    for word in plain(text).split():
        longer = f"{line} {word}".strip()
        if line and width_of(longer, scale) > width:
            lines.append(line)
            line = word
        else:
            line = longer
        while width_of(line, scale) > width and len(line) > 1:
            cut = len(line)
            while cut > 1 and width_of(line[:cut], scale) > width:
                cut -= 1
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line] if line else lines


def label(image: Image, text: str, at: tuple[int, int], colour: Colour, scale: float) -> None:
    """White text on a filled rectangle at (x, y), moved to lie within the image."""
    text = plain(text)
    (wide, high), low = cv2.getTextSize(text, FONT, scale, 1)
    x = max(0, min(at[0], image.shape[1] - wide - 4))
    y = max(high + low + 2, min(at[1] + high + low + 2, image.shape[0] - 1))
    cv2.rectangle(image, (x, y - high - low - 2), (x + wide + 4, y), colour, -1)
    write(image, text, (x + 2, y - low), scale, WHITE)


def write_image(path: Path, image: Image) -> None:
    """Writes an image (H, W, 3) RGB as .png or .jpg.

    Raises:
        ImageError: another suffix.
        OSError: it can't be written.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ImageError(f"{path} can't be drawn; name a .png or .jpg file")
    _, data = cv2.imencode(path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_durable(path, data.tobytes())
