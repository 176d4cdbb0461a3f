"""From a photo to products: encode, search, look again, one hit for each product."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hemline.data.images import crop, open_image
from hemline.encoding import Encoder
from hemline.errors import CatalogError, UsageError
from hemline.search.catalog import Catalog, Row
from hemline.search.catalog._protocol import Neighbours
from hemline.search.rerank import rescore
from hemline.search.where import Where
from hemline.types import Box, FloatArray, Hit, Image, SearchResult

Photo = Image | bytes | str | os.PathLike[str]
MAX_K = 10_000


class Engine:
    """Answers photos from a catalogue; safe to call from several threads.

    Attributes:
        catalog: where it searches.
        encoder: what encodes the photos.
    """

    def __init__(
        self,
        catalog: Catalog,
        encoder: Encoder | None = None,
        *,
        threads: int | None = None,
        rerank: bool = True,
    ) -> None:
        """
        Args:
            catalog: open.
            encoder: instead of the catalogue's own; of the same fingerprint.
            threads: of the catalogue's own encoder.
            rerank: False answers by the first search alone.

        Raises:
            CatalogError: the encoder isn't the one that made the catalogue's vectors.
        """
        self.catalog = catalog
        self.encoder: Encoder = encoder or catalog.encoder(threads)
        if self.encoder.fingerprint != catalog.store.fingerprint:
            raise CatalogError(
                f"the encoder {self.encoder.name} isn't the one that made the catalogue's vectors; "
                "use the catalogue's own bundle"
            )
        self._top = catalog.bundle.info.rerank_top if rerank and self.encoder.reranks else 0

    def search(
        self,
        photo: Photo,
        k: int = 20,
        box: Box | None = None,
        where: str | Where | None = None,
    ) -> SearchResult:
        """The ``k`` products that look most like the one in a photo.

        Args:
            photo: upright (H, W, 3) uint8 RGB, or a file's path or bytes.
            k: how many products; fewer come only if the catalogue (or ``where``) has no more.
            box: where the product is, pixels of the upright photo; None takes the whole of it.
            where: a condition over the stored columns (`hemline.search.where`).

        Returns:
            Hits with falling scores, each product once with its best picture, and
            ``timings_ms`` of decode, encode, search, rerank and total.

        Raises:
            UsageError: a box outside the photo, an unreadable condition, or a wrong ``k``.
            ImageError: the photo can't be opened.
        """
        if not 1 <= k <= MAX_K:
            raise UsageError(f"k is from 1 to {MAX_K}, not {k}")
        clock = _Clock()
        if isinstance(where, str):
            where = Where.parse(where, self.catalog.store.columns())
        with clock.step("decode"):
            image = photo if isinstance(photo, np.ndarray) else open_image(photo)
            used = None if box is None else Box(*box).clip(image.shape[1], image.shape[0])
            part = crop(image, used)
        with clock.step("encode"):
            query = self.encoder.encode_street([part])
        local = query.local[0] if self._top and query.local is not None else None
        with clock.step("search"):
            near, rows = self._nearest(query.embedding[0], k, where)
        with clock.step("rerank"):
            scores, weights = _score(self.encoder, local, near, rows, self._top)
        hits = _products(rows, scores, weights, k)
        return SearchResult(hits, clock.timings(), used)

    def warm(self) -> None:
        """Loads the graphs and the index, so that the first answer is as fast as the others."""
        side = self.catalog.bundle.info.preprocessing.size
        self.search(np.zeros((side, side, 3), np.uint8), k=1)

    def _nearest(
        self, embedding: FloatArray, k: int, where: Where | None
    ) -> tuple[FloatArray, list[Row]]:
        """Pictures enough for ``k`` products: similarities (N,), falling, and their rows."""
        depth = max(self._top, 2 * k)
        while True:
            found: Neighbours = self.catalog.store.search(embedding, depth, where)
            taken = self.catalog.store.take(found.ids)
            kept = [i for i, row in enumerate(taken) if row is not None]
            rows = [row for row in taken if row is not None]
            if len(found.ids) < depth or len({row.item_id for row in rows}) >= k:
                return found.similarity[kept], rows
            depth *= 4


def _score(
    encoder: Encoder, local: FloatArray | None, first: FloatArray, rows: list[Row], top: int
) -> tuple[FloatArray, FloatArray | None]:
    """Scores (N,), and weights (K, L) of the first K rows where they were re-ranked."""
    if local is None or not rows:
        return first, None
    contexts = np.stack([row.embedding * np.float32(row.norm) for row in rows[:top]])
    return rescore(encoder, local, contexts, first)


def _products(
    rows: list[Row], scores: FloatArray, weights: FloatArray | None, k: int
) -> tuple[Hit, ...]:
    """The best picture of each product, best first."""
    hits: dict[str, Hit] = {}
    for i in np.argsort(-scores, kind="stable"):
        row = rows[i]
        if row.item_id in hits:
            continue
        seen = weights is not None and i < len(weights)
        hits[row.item_id] = Hit(
            image_id=row.image_id,
            item_id=row.item_id,
            score=float(scores[i]),
            rank=len(hits) + 1,
            columns=row.shown(),
            weights=weights[i] if seen and weights is not None else None,
        )
        if len(hits) == k:
            break
    return tuple(hits.values())


class _Clock:
    """Milliseconds of each step."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._steps: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._steps[name] = (time.perf_counter() - start) * 1000

    def timings(self) -> dict[str, float]:
        total = (time.perf_counter() - self._start) * 1000
        return {name: round(ms, 3) for name, ms in {**self._steps, "total": total}.items()}
