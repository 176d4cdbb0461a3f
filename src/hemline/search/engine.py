"""From a photo to products: encode, search, look again, one hit for each product."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.catalog.pointer import Live
from hemline.catalog.store import Row
from hemline.catalog.where.expression import Where
from hemline.data.images import crop, open_image
from hemline.encoding import Encoder
from hemline.errors import CatalogError, UsageError
from hemline.ranking.fusion import FUSIONS
from hemline.runtime.detector import BundleDetector, best_garment, clothes, margined
from hemline.search.clock import Clock
from hemline.search.ranking import Query, RankedItem, Ranking
from hemline.types import Box, Detection, FloatArray, Hit, Image, SearchResult

Photo = Image | bytes | str | os.PathLike[str]
#: Products that a question may reach: its offset and its hits together.
MAX_K = 10_000
#: Photos of one product that are searched with together.
MAX_PHOTOS = 32
#: How several photos are one query, unless it is said (`benchmarks/several_photos.py`).
FUSION = "mean"
_TRIES = 3


class Engine:
    """Answers questions from a catalogue; safe to call from several threads.

    Each answer is of one state of the catalogue. What another process has committed is seen by the
    next answer, a rebuild by another bundle too.

    Attributes:
        catalog: where it searches.
    """

    def __init__(
        self,
        catalog: Catalog,
        encoder: Encoder | None = None,
        *,
        threads: int | None = None,
        rerank: bool = True,
        rerank_top: int | None = None,
        fusion: str = FUSION,
    ) -> None:
        """
        Args:
            catalog: open.
            encoder: instead of the catalogue's own; of the same fingerprint.
            threads: of the catalogue's own encoder.
            rerank: False answers by the first search alone.
            rerank_top: how many first pictures are looked at again; as the bundle says by default.
            fusion: of several photos: ``mean`` of their embeddings, or ``max`` of their
                similarities.

        Raises:
            CatalogError: the encoder isn't the one that made the catalogue's vectors.
            UsageError: no such fusion.
        """
        if fusion not in FUSIONS:
            raise UsageError(f"several photos are fused by {' or '.join(FUSIONS)}, not {fusion!r}")
        self.catalog = catalog
        self._given, self._threads = encoder, threads
        self._rerank, self._top, self._fusion = rerank, rerank_top, fusion
        self._seeing: BundleDetector | None = None
        self._coder(catalog.live())

    @property
    def encoder(self) -> Encoder:
        """What encodes the photos."""
        return self._coder(self.catalog.live())

    def _coder(self, live: Live) -> Encoder:
        encoder: Encoder = self._given or live.encoder(self._threads)
        if encoder.fingerprint != live.store.fingerprint:
            raise CatalogError(
                f"the encoder {encoder.name} isn't the one that made the catalogue's vectors; "
                "use the catalogue's own bundle"
            )
        return encoder

    def search(
        self,
        photo: Photo,
        k: int = 20,
        box: Box | None = None,
        where: str | Where | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
        detect: bool = False,
    ) -> SearchResult:
        """The ``k`` products that look most like the one in a photo.

        Args:
            photo: upright (H, W, 3) uint8 RGB, or a file's path or bytes.
            k: how many products; fewer come only if the catalogue (or ``where``) has no more.
            box: where the product is, pixels of the upright photo; None takes the whole of it.
            where: a condition over the stored columns (`hemline.catalog.where.expression`).
            offset: how many of the first products are passed over.
            facets: columns whose values are counted, in products that meet ``where``.
            detect: without a box, search with the photo's best garment
                (`hemline.runtime.detector.best_garment`); with the whole photo where none is found.

        Returns:
            Hits with falling scores, each product once with its best picture, and
            ``timings_ms`` of decode, detect, encode, search, rerank, rows, facets and total.

        Raises:
            UsageError: a box outside the photo, an unreadable condition, or a wrong ``k``.
            ImageError: the photo can't be opened.
            BundleError: ``detect``, and the catalogue's bundle has no detector.
        """
        return self.search_together(
            [photo], k, [box], where, offset=offset, facets=facets, detect=detect
        )

    def search_each(
        self,
        photo: Photo,
        k: int = 20,
        where: str | Where | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
    ) -> list[SearchResult]:
        """One answer for each garment of a photo, the surest first; shoes and bags are left out.

        Where no garment is found there is one answer, for the whole photo. Each has the box it was
        searched with and all of the photo's ``detections``; decoding and detecting are done, and
        timed, in the first.

        Raises:
            As `search` with ``detect``.
        """
        clock, live = Clock(), self.catalog.live()
        with clock.step("decode"):
            image = photo if isinstance(photo, np.ndarray) else open_image(photo)
        with clock.step("detect"):
            found = self._found(live, image)
        boxes: list[Box | None] = [margined(one, image) for one in clothes(found)]
        answers = []
        for box in boxes or [None]:
            query, used = self._query(live, clock, [image], [box])
            answer = self._answer(live, clock, query, k, where, offset, facets, box=used)
            answers.append(dataclasses.replace(answer, detections=found))
            clock = Clock()
        return answers

    def search_together(
        self,
        photos: Sequence[Photo],
        k: int = 20,
        boxes: Sequence[Box | None] | None = None,
        where: str | Where | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
        detect: bool = False,
    ) -> SearchResult:
        """`search` with several photos of one product at once: one answer for all of them.

        Args:
            photos: 1 to `MAX_PHOTOS`.
            k, where, offset, facets, detect: as for `search`.
            boxes: one for each photo.

        Raises:
            UsageError: as `search`, or no photo, too many, or not one box for each.
            ImageError: a photo can't be opened.
        """
        boxes = [None] * len(photos) if boxes is None else list(boxes)
        if not 1 <= len(photos) <= MAX_PHOTOS:
            raise UsageError(f"from 1 to {MAX_PHOTOS} photos are one query, not {len(photos)}")
        if len(boxes) != len(photos):
            raise UsageError(f"{len(photos)} photos need as many boxes, not {len(boxes)}")
        clock, live = Clock(), self.catalog.live()
        found: tuple[Detection, ...] = ()
        with clock.step("decode"):
            images = [p if isinstance(p, np.ndarray) else open_image(p) for p in photos]
        if detect:
            with clock.step("detect"):
                for place, image in enumerate(images):
                    if boxes[place] is None:
                        found = self._found(live, image)
                        best = best_garment(found, image.shape[1], image.shape[0])
                        boxes[place] = None if best is None else margined(best, image)
        query, used = self._query(live, clock, images, boxes)
        answer = self._answer(live, clock, query, k, where, offset, facets, box=used)
        return dataclasses.replace(answer, detections=found if len(photos) == 1 else ())

    def detector(self) -> BundleDetector:
        """What finds the garments of photos.

        Raises:
            BundleError: the catalogue's bundle has no detector.
        """
        return self._finder(self.catalog.live())

    def _finder(self, live: Live) -> BundleDetector:
        if self._seeing is None or self._seeing.bundle is not live.bundle:
            self._seeing = BundleDetector(live.bundle, self._threads)
        return self._seeing

    def _found(self, live: Live, image: Image) -> tuple[Detection, ...]:
        """The garments of a photo that are worth showing."""
        detector = self._finder(live)
        (found,) = detector.detect([image])
        return tuple(one for one in found if one.score >= detector.threshold)

    def _query(
        self, live: Live, clock: Clock, images: Sequence[Image], boxes: Sequence[Box | None]
    ) -> tuple[Query, Box | None]:
        """What is searched with, and its box within the photo, where there is one photo."""
        encoder = self._coder(live)
        with clock.step("decode"):
            parts = [_part(image, box) for image, box in zip(images, boxes, strict=True)]
        with clock.step("encode"):
            coded = encoder.encode_street([part for part, _ in parts])
        query = Query(coded.embedding, coded.local if self._rerank else None)
        return query, parts[0][1] if len(parts) == 1 else None

    def like(
        self,
        item_id: str,
        k: int = 20,
        where: str | Where | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
    ) -> SearchResult:
        """The products that look most like one of the catalogue, by its stored vectors.

        Itself it leaves out. Nothing is encoded, and nothing is looked at again.

        Raises:
            CatalogError: the catalogue has no such product.
            UsageError: as `search`.
        """
        clock, live = Clock(), self.catalog.live()
        with clock.step("rows"):
            rows = live.store.items([item_id])
        if not rows:
            raise CatalogError(f"the catalogue has no product {item_id!r}")
        query = Query(np.stack([row.embedding for row in rows[:MAX_PHOTOS]]))
        return self._answer(live, clock, query, k, where, offset, facets, leave_out=item_id)

    def search_embedding(
        self,
        embedding: FloatArray,
        k: int = 20,
        where: str | Where | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
    ) -> SearchResult:
        """`search` by an embedding (D,) of the catalogue's bundle, or by several (Q, D) together.

        They are normalised here. Nothing is looked at again.

        Raises:
            UsageError: as `search`, or an embedding of another length, of no length or not finite.
        """
        live = self.catalog.live()
        rows = np.atleast_2d(np.asarray(embedding, np.float32))
        length = np.linalg.norm(rows, axis=-1, keepdims=True)
        dim = live.store.dim
        if rows.ndim != 2 or rows.shape[1] != dim or not 1 <= len(rows) <= MAX_PHOTOS:
            raise UsageError(f"embeddings are ({dim},) or (1 to {MAX_PHOTOS}, {dim})")
        if not (np.isfinite(length).all() and (length > 0).all()):
            raise UsageError("an embedding is finite and isn't zero")
        return self._answer(live, Clock(), Query(rows / length), k, where, offset, facets)

    def warm(self) -> None:
        """Loads the graphs and the index, so that the first answer is as fast as the others."""
        side = self.catalog.live().bundle.info.preprocessing.size
        self.search(np.zeros((side, side, 3), np.uint8), k=1)

    def _answer(
        self,
        live: Live,
        clock: Clock,
        query: Query,
        k: int,
        where: str | Where | None,
        offset: int,
        facets: Sequence[str],
        box: Box | None = None,
        leave_out: str = "",
    ) -> SearchResult:
        if not 1 <= k <= MAX_K:
            raise UsageError(f"k is from 1 to {MAX_K}, not {k}")
        if not 0 <= offset <= MAX_K - k:
            raise UsageError(
                f"offset is from 0, and reaches {MAX_K} products with k; {offset} + {k} doesn't fit"
            )
        store = live.store
        if isinstance(where, str):
            where = Where.parse(where, store.columns())
        top = self._top or live.bundle.info.rerank_top
        for _ in range(_TRIES):
            revision = store.revision
            ranking = Ranking(store, self._coder(live), query, where, top, self._fusion)
            ranking.reach(offset + k + 1 + bool(leave_out), clock)
            products = ranking.items
            with clock.step("rows"):
                first = 0 if leave_out else offset
                read = products[first : offset + k + bool(leave_out)]
                ids = np.array([product.id for product in read], np.int64)
                rows = store.take(ids, vectors=False)
            if all(row is not None for row in rows):
                break  # else some left meanwhile
        found = [pair for pair in zip(read, rows, strict=True) if pair[1] is not None]
        if leave_out:
            kept = [pair for pair in found if pair[1] and pair[1].item_id != leave_out]
            more = len(products) - (len(found) - len(kept)) > offset + k
            found = kept[offset : offset + k]
        else:
            more = len(products) > offset + k
        counted: Mapping[str, Mapping[str, Any]] = {}
        if facets:
            with clock.step("facets"):
                counts = store.facets(list(facets), where)
                counted = {name: dataclasses.asdict(facet) for name, facet in counts.items()}
        hits = tuple(_hits(found, offset))
        return SearchResult(hits, clock.timings(), box, offset, more, revision, counted)


def _part(image: Image, box: Box | None) -> tuple[Image, Box | None]:
    """The part of a photo that is searched with, and its box within the photo."""
    used = None if box is None else Box(*box).clip(image.shape[1], image.shape[0])
    return crop(image, used), used


def _hits(found: Iterable[tuple[RankedItem, Row | None]], offset: int) -> Iterable[Hit]:
    for rank, (product, row) in enumerate(found, start=offset + 1):
        if row is not None:
            yield Hit(
                image_id=row.image_id,
                item_id=row.item_id,
                score=product.score,
                rank=rank,
                columns=row.shown(),
                weights=product.attention,
                picture=row.picture,
            )
