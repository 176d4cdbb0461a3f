"""Stored images made smaller for a page, in a cache of bounded size."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path

import PIL.Image
from PIL import features

from hemline.data.bounded import opened
from hemline.data.images import shrink

#: Longest sides in pixels; stored images have at most 640.
SIZES = (160, 320, 480, 640)
#: Bytes of the images that one process keeps.
CACHE = 32 << 20
#: `benchmarks/page_weight.py` measures what a page weighs.
_QUALITY = {"WEBP": 70, "JPEG": 78}


def media_type(accept: str) -> str:
    """WebP for whoever names it, as browsers do; JPEG for all others."""
    named = any(
        part.partition(";")[0].strip().lower() == "image/webp" for part in accept.split(",")
    )
    return "image/webp" if named and features.check("webp") else "image/jpeg"


class Thumbnails:
    """Makes them and keeps the last ones that were asked for."""

    def __init__(self, limit: int = CACHE) -> None:
        self._limit, self._bytes = limit, 0
        self._kept: OrderedDict[tuple[str, int, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str, size: int, media: str) -> bytes | None:
        """A kept one."""
        name = digest, size, media
        with self._lock:
            data = self._kept.get(name)
            if data is not None:
                self._kept.move_to_end(name)
        return data

    def make(self, path: Path, size: int, media: str) -> bytes:
        """Makes one of the image at ``path``, whose longest side is at most ``size``.

        Raises:
            ImageError: there is no image.
            MemoryLimitError, StoppedError: as `opened`.
        """
        form = media.partition("/")[2].upper()
        with opened(path, name="the image") as image:
            small = shrink(image, size)
        stream = io.BytesIO()
        PIL.Image.fromarray(small).save(stream, form, quality=_QUALITY[form])
        data = stream.getvalue()
        self._keep((path.stem, size, media), data)
        return data

    def _keep(self, name: tuple[str, int, str], data: bytes) -> None:
        with self._lock:
            self._bytes += len(data) - len(self._kept.pop(name, b""))
            self._kept[name] = data
            while self._bytes > self._limit:
                self._bytes -= len(self._kept.popitem(last=False)[1])
