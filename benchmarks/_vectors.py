"""Vectors for the catalogue's benchmarks: made ones, and real embeddings blown up to any size.

Every chunk of 50,000 rows is made from the seed and its own number, so that ten million rows
stream through little memory and come out the same each time. A set lies in a folder:
``vectors.f16`` (n, D), ``price.npy`` (n,) uniform 0-999, ``category.npy`` (n,), ``product.npy``
(n,), ``queries.npy`` (Q, D) and ``truth.npz``, the exact answers (`_truth.py`).

- **made**: 40 categories, 600 styles of unlike size, products of a style, one to five pictures of
  a product, every tenth product a near-twin of the one before; 96 directions of falling variance
  and a little of all others. A query is a product seen otherwise: shifted by what all street
  photos share, and with four times the variance of a shop picture's view.
- **atelier**: shop pictures of drawn products through the shipped bundle. Each copy of the whole
  assortment is turned in the planes of neighbouring principal axes (these have like variance, so
  the spectrum stays) and each picture moved by noise with half the spread that pictures of a
  category have. A query is a street picture's embedding, turned as its copy is, with half of that
  noise.
- **noise**: Gaussian vectors without any structure, products of one picture. No shop has such
  vectors; they are the worst case for codes and graphs alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CHUNK = 50_000
PRICES = 1000
QUERIES = 1200  # the first 200 are for choosing settings, the others are measured


class Part(NamedTuple):
    """Rows of one chunk: vectors (n, D) unit, category (n,), product (n,) within the chunk."""

    vectors: Floats
    category: Ints
    product: Ints


class Source(Protocol):
    """What makes chunks and queries."""

    dim: int

    def chunk(self, number: int) -> Part: ...

    def queries(self, chunks: int, count: int) -> Floats: ...


def unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


class Made:
    """A mixture with few directions of much variance; see the module."""

    STYLES, CATEGORIES, RANK = 600, 40, 96

    def __init__(self, dim: int, seed: int = 11) -> None:
        self.dim, self._seed = dim, seed
        rng = np.random.default_rng([seed, 1])
        basis = np.linalg.qr(rng.normal(size=(dim, self.RANK)))[0].T
        self._basis = np.asarray(basis, np.float32)
        self._spread = np.asarray((1 + np.arange(self.RANK)) ** -0.4, np.float32)
        centres = rng.normal(size=(self.CATEGORIES, self.RANK)) * 0.8
        self._category = rng.integers(0, self.CATEGORIES, self.STYLES)
        own = rng.normal(size=(self.STYLES, self.RANK)) * 0.6
        self._style = np.asarray(centres[self._category] + own, np.float32)
        share = (1 + np.arange(self.STYLES)) ** -0.6
        self._share = share / share.sum()
        self._shift = np.asarray(0.4 * rng.normal(size=self.RANK), np.float32)

    def _latent(self, number: int) -> tuple[Floats, Ints, Ints]:
        """Products' places (P, RANK), their style (P,), and the product of each row (CHUNK,)."""
        rng = np.random.default_rng([self._seed, 2, number])
        sizes = rng.integers(1, 6, CHUNK)
        product = np.repeat(np.arange(CHUNK), sizes)[:CHUNK]
        count = int(product[-1]) + 1
        style = rng.choice(self.STYLES, count, p=self._share)
        own = rng.standard_normal((count, self.RANK), np.float32) * np.float32(0.5)
        twins = np.arange(10, count, 10)
        style[twins] = style[twins - 1]
        own[twins] = own[twins - 1] + 0.05 * rng.standard_normal(
            (len(twins), self.RANK), np.float32
        )
        return self._style[style] + own, style, product

    def _vectors(self, latent: Floats, rng: np.random.Generator) -> Floats:
        everywhere = rng.standard_normal((len(latent), self.dim), np.float32)
        scale = np.float32(1.0 / math.sqrt(self.dim))
        return unit((latent * self._spread) @ self._basis + scale * everywhere)

    def chunk(self, number: int) -> Part:
        places, style, product = self._latent(number)
        rng = np.random.default_rng([self._seed, 3, number])
        seen = rng.standard_normal((CHUNK, self.RANK), np.float32) * np.float32(0.2)
        return Part(
            self._vectors(places[product] + seen, rng), self._category[style[product]], product
        )

    def queries(self, chunks: int, count: int) -> Floats:
        rng = np.random.default_rng([self._seed, 4])
        asked = []
        for number in rng.integers(0, chunks, 24):
            places, _, _ = self._latent(int(number))
            asked.append(places[rng.integers(0, len(places), math.ceil(count / 24))])
        latent = np.concatenate(asked)[:count]
        seen = rng.standard_normal(latent.shape, np.float32) * np.float32(0.4)
        return self._vectors(rng.permutation(latent) + self._shift + seen, rng)


class Atelier:
    """Real embeddings, copied with turns and noise; see the module."""

    TURN, NOISE = 0.35, 0.5

    def __init__(self, pool: Path, seed: int = 12) -> None:
        held = np.load(pool)
        self._seed = seed
        self._shop, self._street = held["shop"], held["street"]
        self._category, self._product = held["category"], held["product"]
        self.dim = self._shop.shape[1]
        self._mean = self._shop.mean(0)
        _, _, axes = np.linalg.svd(self._shop - self._mean, full_matrices=False)
        self._axes = axes.astype(np.float32)
        placed = (self._shop - self._mean) @ self._axes.T
        self._placed = placed
        self._asked = (self._street - self._mean) @ self._axes.T
        within = np.zeros_like(placed)
        for kind in np.unique(self._category):
            rows = self._category == kind
            within[rows] = placed[rows] - placed[rows].mean(0)
        self._noise = self.NOISE * within.std(0)

    def _turned(self, placed: Floats, copy: int) -> Floats:
        """Principal places (n, D) turned in the planes of axes (1, 2), (3, 4) … or (2, 3) …"""
        rng = np.random.default_rng([self._seed, 1, copy])
        start = copy % 2
        pairs = (self.dim - start) // 2
        angle = rng.normal(0, self.TURN, pairs).astype(np.float32)
        left = placed[:, start : start + 2 * pairs : 2]
        right = placed[:, start + 1 : start + 2 * pairs : 2]
        turned = placed.copy()
        turned[:, start : start + 2 * pairs : 2] = left * np.cos(angle) - right * np.sin(angle)
        turned[:, start + 1 : start + 2 * pairs : 2] = left * np.sin(angle) + right * np.cos(angle)
        return turned

    def _finished(self, placed: Floats, noise: float, rng: np.random.Generator) -> Floats:
        moved = placed + noise * self._noise * rng.standard_normal(placed.shape, np.float32)
        return unit(np.asarray(moved @ self._axes + self._mean, np.float32))

    def chunk(self, number: int) -> Part:
        size = len(self._shop)
        first = number * CHUNK
        rng = np.random.default_rng([self._seed, 2, number])
        vectors, category, product = [], [], []
        at = first
        while at < first + CHUNK:
            copy, inside = divmod(at, size)
            take = slice(inside, min(size, inside + first + CHUNK - at))
            vectors.append(self._turned(self._placed[take], copy))
            category.append(self._category[take])
            product.append(self._product[take] + copy * (int(self._product.max()) + 1))
            at += take.stop - take.start
        return Part(
            self._finished(np.concatenate(vectors), 1.0, rng),
            np.concatenate(category),
            np.concatenate(product),
        )

    def queries(self, chunks: int, count: int) -> Floats:
        rng = np.random.default_rng([self._seed, 3])
        copies = rng.integers(0, max(1, chunks * CHUNK // len(self._shop)), 60)
        each = math.ceil(count / 60)
        asked = []
        for copy in copies:
            chosen = rng.integers(0, len(self._street), each)
            asked.append(self._turned(self._asked[chosen], int(copy)))
        return self._finished(rng.permutation(np.concatenate(asked))[:count], 0.5, rng)


class Noise:
    """Nothing is near anything; see the module."""

    def __init__(self, dim: int, seed: int = 13) -> None:
        self.dim, self._seed = dim, seed

    def chunk(self, number: int) -> Part:
        rng = np.random.default_rng([self._seed, 2, number])
        vectors = unit(rng.standard_normal((CHUNK, self.dim), np.float32))
        return Part(vectors, rng.integers(0, 40, CHUNK), np.arange(CHUNK))

    def queries(self, chunks: int, count: int) -> Floats:
        del chunks
        rng = np.random.default_rng([self._seed, 3])
        return unit(rng.standard_normal((count, self.dim), np.float32))


def embed_atelier(target: Path, products: int, views: int, seed: int = 7) -> None:
    """Draws products and keeps their embeddings: shop (P·views, D), street (P, D), and labels."""
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.encoder import BundleEncoder
    from hemline.synthetic import SyntheticSettings, draw_product, draw_shop, draw_street

    encoder = BundleEncoder(Bundle.default(), threads=1)
    settings = SyntheticSettings(size=224)
    shop, street, category, number = [], [], [], []
    names: dict[str, int] = {}
    for index in range(products):
        product = draw_product(seed, index)
        drawings = [draw_shop(product, settings, seed, view) for view in range(views)]
        kept = [drawing.image for drawing in drawings]
        shop.append(encoder.encode_shop(kept, [product.tags] * views).embedding)
        street.append(encoder.encode_street([draw_street(product, settings, seed).image]).embedding)
        category += [names.setdefault(product.category, len(names))] * views
        number += [index] * views
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        target,
        shop=np.concatenate(shop),
        street=np.concatenate(street),
        category=np.array(category, np.int64),
        product=np.array(number, np.int64),
    )


@dataclass(frozen=True)
class Data:
    """A set of vectors in a folder."""

    folder: Path

    @property
    def vectors(self) -> npt.NDArray[np.float16]:
        """(n, D), memory-mapped; `unit` in float32 gives what is stored and searched."""
        dim = int(np.load(self.folder / "queries.npy", mmap_mode="r").shape[1])
        return np.memmap(self.folder / "vectors.f16", np.float16, "r").reshape(-1, dim)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, D)."""
        rows, dim = self.vectors.shape
        return rows, dim

    def halves(self, rows: Ints) -> npt.NDArray[np.float16]:
        """The vectors (n, D) of ``rows`` (n,)."""
        return np.asarray(self.vectors[rows])

    def block(self, start: int, stop: int) -> Floats:
        return unit(self.vectors[start:stop].astype(np.float32))

    def prefetch(self, rows: Ints) -> None:
        """Asks for the vectors of ``rows`` (n,) at a time, where that is possible."""

    def forget(self) -> None:
        """Lets go of what was read."""

    def array(self, name: str) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return found

    @property
    def queries(self) -> Floats:
        found: Floats = np.load(self.folder / "queries.npy")
        return found


def write(folder: Path, source: Source, rows: int) -> Data:
    """Makes a set of ``rows`` (a multiple of CHUNK) if it isn't there."""
    data = Data(folder)
    if (folder / "queries.npy").is_file():
        return data
    folder.mkdir(parents=True, exist_ok=True)
    chunks = rows // CHUNK
    category, product, last = [], [], 0
    with open(folder / "vectors.f16", "wb") as file:
        for number in range(chunks):
            part = source.chunk(number)
            file.write(part.vectors.astype(np.float16).tobytes())
            category.append(part.category.astype(np.int16))
            product.append((part.product + last).astype(np.int32))
            last += int(part.product.max()) + 1
    price = np.random.default_rng([rows, 5]).integers(0, PRICES, rows).astype(np.int16)
    np.save(folder / "price.npy", price)
    np.save(folder / "category.npy", np.concatenate(category))
    np.save(folder / "product.npy", np.concatenate(product))
    np.save(folder / "queries.npy", source.queries(chunks, QUERIES))
    return data
