"""What speed is measured with: made photos, and a catalogue of made vectors."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image

from hemline.catalog.catalog import Catalog
from hemline.catalog.store import Advance, Row, silent
from hemline.runtime.bundle import Bundle
from hemline.types import FloatArray

#: Sides of the noise's grains in pixels: of a photo of 800 x 600, and of the finest of any photo.
_GRAINS, _FINEST = (200, 80, 30, 12), 4
_BLOCK, _CENTRES, _SPREAD = 5_000, 2_000, 0.7


def made_photo(width: int, height: int, seed: int = 0, quality: int = 88) -> bytes:
    """A JPEG of coloured noise at several scales, with about as many bytes a pixel as a photo.

    The light install can't draw photos, and the package brings none.
    """
    rng = np.random.default_rng(seed)
    scale = max(width, height) / 800
    image = PIL.Image.new("RGB", (width, height), (128, 128, 128))
    for grain in (*(scale * grain for grain in _GRAINS), _FINEST):
        cells = (max(2, round(height / grain)), max(2, round(width / grain)), 3)
        noise = PIL.Image.fromarray(rng.integers(0, 256, cells, dtype=np.uint8))
        grown = noise.resize((width, height), PIL.Image.Resampling.BICUBIC)
        image = PIL.Image.blend(image, grown, 0.25)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def made_vectors(dim: int, count: int) -> Iterator[FloatArray]:
    """Blocks (n, ``dim``) of ``count`` unit vectors, each near one of 2,000 centres; the same ones
    each time."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((_CENTRES, dim), np.float32)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        near = centres[rng.integers(0, _CENTRES, size)]
        vectors = near + np.float32(_SPREAD) * rng.standard_normal(near.shape, np.float32)
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill(folder: Path, bundle: Bundle, images: int, advance: Advance = silent) -> None:
    """Creates a catalogue of `made_vectors`, four images to a product, with a few columns."""
    with Catalog.create(folder, bundle) as catalog:
        start = 0
        for vectors in made_vectors(bundle.info.embedding_dim, images):
            catalog.store.add(
                [
                    Row(
                        f"i{n}", f"p{n // 4}", vector, 10.0, category="dress",
                        columns={"price": float(n % 90), "title": f"No. {n}"},
                    )
                    for n, vector in enumerate(vectors, start)
                ]
            )  # fmt: skip
            start += len(vectors)
            advance(start, images)
        catalog.store.search(catalog.store.vectors(np.array([1])).embedding[0], 1)
