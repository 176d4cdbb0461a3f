"""Decoding within the memory of the caller's request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hemline.data.images import Reduced, Source, open_reduced
from hemline.limits import MAX_PIXELS
from hemline.types import Image
from hemline.work import present

#: Bytes of memory for each pixel while an image is decoded and reduced: at most 16.4 of WebP, 19
#: of a strip (`tests/data/test_bounded.py` measures each format and shape).
PIXEL_BYTES = 20


@contextmanager
def opened(source: Source, max_pixels: int = MAX_PIXELS, name: str = "") -> Iterator[Image]:
    """The image that `open_image` opens, within the memory of the present `Work`; see `reduced`."""
    with reduced(source, max_pixels, name) as photo:
        yield photo.image


@contextmanager
def reduced(
    source: Source,
    max_pixels: int = MAX_PIXELS,
    name: str = "",
    reduction: Callable[[int, int], float] = lambda width, height: 1.0,
) -> Iterator[Reduced]:
    """The image that `open_reduced` opens, within the memory of the present `Work`.

    The memory is asked for before a pixel is decoded, and given back at the end of the block: keep
    only smaller copies of the image.

    Raises:
        ImageError: as `open_image`.
        MemoryLimitError: it needs more memory than all requests together may use.
        StoppedError: the request has ended.
    """
    work = present()
    with ExitStack() as held:

        def admit(width: int, height: int) -> None:
            held.enter_context(work.decoding(width * height * PIXEL_BYTES))

        yield open_reduced(source, max_pixels, name=name, admit=admit, reduction=reduction)
