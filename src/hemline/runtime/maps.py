"""The linear maps of an adapted bundle: what `hemline.adaptation` fits, and the encoder applies.

A street vector x becomes street_weight @ x + street_bias, a shop vector likewise by its own map;
the result is L2-normalised, and gets the two numbers of a querybank where there is one.
``maps.npz`` holds the four arrays as float32, and the bank: its photos, and its four settings.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hemline.errors import BundleError
from hemline.runtime.querybank import FURTHER, Querybank
from hemline.types import Domain, FloatArray

_LINEAR = ("street_weight", "street_bias", "shop_weight", "shop_bias")
_BANK, _SETTINGS = "querybank", "querybank_settings"


class DomainMaps(NamedTuple):
    """Of each domain a weight (D, E) and a bias (D,); and a querybank of photos (K, D), or None."""

    street_weight: FloatArray
    street_bias: FloatArray
    shop_weight: FloatArray
    shop_bias: FloatArray
    querybank: Querybank | None = None

    @property
    def dim(self) -> int:
        """Numbers of an embedding: D, two more with a querybank."""
        return len(self.street_weight) + (0 if self.querybank is None else FURTHER)

    def apply(self, vectors: FloatArray, domain: Domain) -> tuple[FloatArray, FloatArray]:
        """(B, E) → embedding (B, `dim`), of length 1, and the length of what was mapped (B,)."""
        street = domain == "street"
        weight = self.street_weight if street else self.shop_weight
        mapped: FloatArray = vectors @ weight.T + (self.street_bias if street else self.shop_bias)
        length: FloatArray = np.linalg.norm(mapped, axis=1)
        unit = mapped / np.maximum(length, 1e-12, dtype=np.float32)[:, None]
        embedding: FloatArray = np.asarray(unit, np.float32)
        if self.querybank is not None:
            further = self.querybank.street if street else self.querybank.shop
            embedding = further(embedding)
        return embedding, length

    @classmethod
    def same(cls, dim: int) -> DomainMaps:
        """Maps that change nothing but the length."""
        one, zero = np.eye(dim, dtype=np.float32), np.zeros(dim, np.float32)
        return cls(one, zero, one, zero)

    def widened(self, width: int) -> DomainMaps:
        """The same maps of longer vectors (B, width), whose first numbers they ignore."""
        more = ((0, 0), (width - self.street_weight.shape[1], 0))
        street, shop = np.pad(self.street_weight, more), np.pad(self.shop_weight, more)
        return self._replace(street_weight=street, shop_weight=shop)

    def to_bytes(self) -> bytes:
        """As `read_maps` reads them; equal maps give equal bytes."""
        stream = io.BytesIO()
        named: dict[str, Any] = {n: np.asarray(getattr(self, n), np.float32) for n in _LINEAR}
        if self.querybank is not None:
            photos, *settings = self.querybank
            named |= {_BANK: photos, _SETTINGS: np.array(settings, np.float32)}
        np.savez(stream, **named)
        return stream.getvalue()


def read_maps(path: Path, dim: int) -> DomainMaps:
    """Reads the maps onto ``dim`` numbers, those of a querybank among them.

    Raises:
        BundleError: the file can't be read, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            linear = [stored[name] for name in _LINEAR]
            bank = [stored[name] for name in (_BANK, _SETTINGS) if name in stored]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"the maps {path} can't be read ({error}); copy the bundle again"
        ) from None
    wide, own = linear[0].shape[1:], dim - (FURTHER if bank else 0)
    shapes = (
        [(own, *wide), (own,)] * 2
        + [(*one.shape[:1], own) for one in bank[:1]]
        + [(4,)] * (len(bank) > 0)
    )
    if (
        len(wide) != 1
        or len(bank) == 1
        or any(one.size == 0 for one in bank)
        or any(
            one.dtype != np.float32 or one.shape != shape or not np.isfinite(one).all()
            for one, shape in zip([*linear, *bank], shapes, strict=True)
        )
    ):
        raise BundleError(
            f"the maps {path} aren't finite float32 maps onto {dim} numbers; copy the bundle again"
        )
    return DomainMaps(*linear)._replace(querybank=_querybank(path, bank))


def _querybank(path: Path, stored: list[FloatArray]) -> Querybank | None:
    if not stored:
        return None
    share, sharpness, centre, bound = stored[1].tolist()
    if min(share, sharpness, bound) <= 0:
        raise BundleError(f"the querybank of {path} has no such settings; copy the bundle again")
    return Querybank(stored[0], share, sharpness, centre, bound)
