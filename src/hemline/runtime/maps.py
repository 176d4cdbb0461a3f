"""The linear maps of an adapted bundle: what `hemline.adaptation` fits, and the encoder applies.

A street vector x becomes street_weight @ x + street_bias, a shop vector likewise by its own map;
the result is L2-normalised. ``maps.npz`` holds the four arrays as float32.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hemline.errors import BundleError
from hemline.types import Domain, FloatArray


class DomainMaps(NamedTuple):
    """Of each domain a weight (D, E) and a bias (D,)."""

    street_weight: FloatArray
    street_bias: FloatArray
    shop_weight: FloatArray
    shop_bias: FloatArray

    def apply(self, vectors: FloatArray, domain: Domain) -> tuple[FloatArray, FloatArray]:
        """(B, E) → embedding (B, D), L2-normalised, and its length before that (B,)."""
        street = domain == "street"
        weight = self.street_weight if street else self.shop_weight
        mapped: FloatArray = vectors @ weight.T + (self.street_bias if street else self.shop_bias)
        length: FloatArray = np.linalg.norm(mapped, axis=1)
        embedding = mapped / np.maximum(length, 1e-12, dtype=np.float32)[:, None]
        return np.asarray(embedding, np.float32), length

    def widened(self, width: int) -> DomainMaps:
        """The same maps of longer vectors (B, width), whose first numbers they ignore."""
        more = ((0, 0), (width - self.street_weight.shape[1], 0))
        street, shop = np.pad(self.street_weight, more), np.pad(self.shop_weight, more)
        return self._replace(street_weight=street, shop_weight=shop)

    def to_bytes(self) -> bytes:
        """As `read_maps` reads them; equal maps give equal bytes."""
        stream = io.BytesIO()
        named: dict[str, Any] = {n: np.asarray(v, np.float32) for n, v in self._asdict().items()}
        np.savez(stream, **named)
        return stream.getvalue()


def read_maps(path: Path, dim: int) -> DomainMaps:
    """Reads the maps onto ``dim`` = D numbers.

    Raises:
        BundleError: the file can't be read, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            maps = DomainMaps(*(stored[name] for name in DomainMaps._fields))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"the maps {path} can't be read ({error}); copy the bundle again"
        ) from None
    wide = maps.street_weight.shape[1:]
    shapes = ((dim, *wide), (dim,)) * 2
    if len(wide) != 1 or any(
        one.dtype != np.float32 or one.shape != shape or not np.isfinite(one).all()
        for one, shape in zip(maps, shapes, strict=True)
    ):
        raise BundleError(
            f"the maps {path} aren't finite float32 maps onto {dim} numbers; copy the bundle again"
        )
    return maps
