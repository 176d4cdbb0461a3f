"""The search engine: encode the query, search the catalogue, re-rank, one hit per product."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hemline.budget import limits
from hemline.bundle import ScoreThresholds
from hemline.catalog.catalog import Catalog
from hemline.catalog.pointer import Live
from hemline.catalog.where.explain import explain
from hemline.catalog.where.expression import Where
from hemline.data.preprocess import PreparedImage
from hemline.encoding import Encoder
from hemline.errors import CatalogError, OtherBundleError, UnknownItemError, UsageError
from hemline.limits import DEFAULT_K, MAX_PHOTOS, MAX_PIXELS
from hemline.ranking.fusion import FUSIONS
from hemline.runtime.detector import BundleDetector
from hemline.search.clock import Clock
from hemline.search.encoded import EncodedPhoto
from hemline.search.hits import hits_of, thresholds_of
from hemline.search.photo import SearchedPhoto
from hemline.search.ranking import Query, Ranking
from hemline.search.reading import PhotoReader
from hemline.types import Box, FloatArray, Photo, SearchRequest, SearchResult
from hemline.work import present

#: Default fusion of several photos into one query (`benchmarks/several_photos.py` compares them).
FUSION = "mean"
_TRIES = 3


class Engine:
    """Answers search requests from a catalogue; safe to call from several threads.

    Each answer is of one state of the catalogue. The next answer sees what another process has
    committed, also a rebuild with another bundle.

    Attributes:
        catalog: the catalogue that is searched.
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
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """
        Args:
            catalog: an open catalogue.
            encoder: used instead of the catalogue's own; of the same fingerprint.
            threads: of the catalogue's own encoder.
            rerank: False returns the order of the first search.
            rerank_top: number of first images to re-rank; None takes the bundle's.
            fusion: of several photos: ``mean`` of their embeddings, or ``max`` of their
                similarities.
            max_pixels: of a photo; larger ones are refused.

        Raises:
            CatalogError: the encoder isn't the one that made the catalogue's vectors.
            UsageError: an unknown fusion.
        """
        if fusion not in FUSIONS:
            raise UsageError(f"several photos are fused by {' or '.join(FUSIONS)}, not {fusion!r}")
        self.catalog = catalog
        self._given, self._threads = encoder, threads
        self._rerank, self._top, self._fusion = rerank, rerank_top, fusion
        self._reader = PhotoReader(threads, max_pixels)
        self._alike: tuple[Live, int, ScoreThresholds | None] | None = None
        self.encoder_of(catalog.live())

    @property
    def encoder(self) -> Encoder:
        """The encoder of the photos."""
        return self.encoder_of(self.catalog.live())

    def encoder_of(self, live: Live) -> Encoder:
        """The encoder for one state of the catalogue.

        Raises:
            CatalogError: the encoder isn't the one that made the catalogue's vectors.
        """
        encoder: Encoder = self._given or live.encoder(self._threads)
        if encoder.fingerprint != live.store.fingerprint:
            raise CatalogError(
                f"the encoder {encoder.name} isn't the one that made the catalogue's vectors; "
                "use the catalogue's own bundle"
            )
        return encoder

    def search(
        self,
        photos: Photo | Sequence[Photo],
        k: int = DEFAULT_K,
        box: Box | None = None,
        where: str | None = None,
        *,
        offset: int = 0,
        facets: Sequence[str] = (),
        detect: bool = False,
        every: bool = False,
    ) -> SearchResult:
        """Finds the ``k`` products most similar to the one in a photo: `answer` in short.

        Args:
            photos: one photo, or several photos of one product.
            box: of one photo, the part that shows the product; None takes the whole photo.
            k, where, offset, facets, detect, every: as in `SearchRequest`.

        Raises:
            UsageError, ImageError, BundleError: as `answer`.
        """
        boxes = () if box is None else (box,)
        return self.answer(
            SearchRequest(
                photos=photos,  # type: ignore[arg-type]  # one photo is accepted as well
                boxes=boxes,
                detect=detect,
                every=every,
                k=k,
                where=where,
                offset=offset,
                facets=tuple(facets),
            )
        )

    def answer(self, request: SearchRequest) -> SearchResult:
        """Answers a request.

        Returns:
            Hits with falling scores, each product once with its best image, and ``timings_ms`` of
            decode, detect, encode, search, rerank, rows, facets and total. Re-ranking needs photos.

        Raises:
            UsageError: a box outside its photo, an unreadable condition, or embeddings of another
                length, of no length or not finite.
            ImageError: a photo can't be opened.
            UnknownItemError: the catalogue doesn't have the item.
            NoDetectorError: ``detect`` or ``every``, and the catalogue's bundle has no detector.
        """
        clock, live = Clock(), self.catalog.live()
        if request.photos:
            prepared, photo = self._reader.read(live, clock, request)
            return self._answer_prepared(live, clock, request, prepared, photo)
        if request.item_id is not None:
            with clock.step("rows"):
                rows = live.store.items([request.item_id])
            if not rows:
                raise UnknownItemError(f"the catalogue has no product {request.item_id!r}")
            query = Query(np.stack([row.embedding for row in rows[:MAX_PHOTOS]]))
        else:
            assert request.embeddings is not None
            query = Query(_normalised(request.embeddings, live.store.dim))
        return self._answer(live, clock, request, query)

    def answer_each(self, request: SearchRequest) -> list[SearchResult]:
        """Answers a request of one photo for each of its garments, best score first.

        Shoes and bags are left out. Where no garment is found there is one answer, for the whole
        photo. Each answer has its box and all of the photo's ``detections``; decoding and detection
        are done, and timed, in the first.

        Raises:
            UsageError: not one photo, or one with a box.
            ImageError, NoDetectorError: as `answer`.
        """
        if len(request.photos) != 1 or request.boxes:
            raise UsageError("an answer for each garment needs one photo, without a box")
        clock, live = Clock(), self.catalog.live()
        searched = self._reader.read_each(live, clock, request.photos[0])
        answers = []
        for prepared, own in searched:
            answers.append(self._answer_prepared(live, clock, request, [prepared], own))
            clock = Clock()
        return answers

    def encode(self, photo: Photo, box: Box | None = None, *, every: bool = False) -> EncodedPhoto:
        """The searched part of a photo, encoded to be searched later.

        Args:
            every: with every garment found in it, as in `SearchRequest`.

        Raises:
            UsageError: nothing of the box lies inside the photo, or ``every`` with a box.
            ImageError: the photo can't be opened.
            NoDetectorError: ``every``, and the catalogue's bundle has no detector.
        """
        live = self.catalog.live()
        boxes = () if box is None else (box,)
        request = SearchRequest(photos=(photo,), boxes=boxes, every=every)
        prepared, own = self._reader.read(live, Clock(), request)
        return EncodedPhoto(
            live.store.fingerprint, self._query(live, request, prepared), own.searched
        )

    def answer_encoded(self, encoded: EncodedPhoto, request: SearchRequest) -> SearchResult:
        """Answers as `answer` does with the photo of ``encoded``; nothing is encoded.

        Args:
            request: with the ``embeddings`` of ``encoded``.

        Raises:
            OtherBundleError: the catalogue has another bundle than ``encoded``.
            UsageError: as `answer`.
        """
        clock, live = Clock(), self.catalog.live()
        if encoded.fingerprint != live.store.fingerprint:
            raise OtherBundleError("the photo was encoded by another bundle; encode it again")
        return self._answer(live, clock, request, encoded.query, encoded.photo)

    def detector(self) -> BundleDetector:
        """The detector of the catalogue's bundle.

        Raises:
            NoDetectorError: the bundle has none.
        """
        return self._reader.detector(self.catalog.live())

    def warm(self) -> None:
        """Loads the graphs and the index, so that the first answer is as fast as the others."""
        side = self.catalog.live().bundle.info.preprocessing.size
        self.search(np.zeros((side, side, 3), np.uint8), k=1)

    def _thresholds(self, live: Live, revision: int) -> ScoreThresholds | None:
        known = self._alike
        # Only a commit can bring the products on which they were measured.
        if known is None or known[0] is not live or (known[2] is None and known[1] != revision):
            self._alike = known = (live, revision, thresholds_of(live))
        return known[2]

    def _answer_prepared(
        self,
        live: Live,
        clock: Clock,
        request: SearchRequest,
        images: Sequence[PreparedImage],
        photo: SearchedPhoto,
    ) -> SearchResult:
        present().check()
        with clock.step("encode"):
            query = self._query(live, request, images)
        return self._answer(live, clock, request, query, photo)

    def _query(self, live: Live, request: SearchRequest, images: Sequence[PreparedImage]) -> Query:
        encoded = self.encoder_of(live).encode_street(images)
        fusion = "max" if request.every else None  # a garment resembles a product, or another does
        return Query(encoded.embedding, encoded.local if self._rerank else None, fusion)

    def _answer(
        self,
        live: Live,
        clock: Clock,
        request: SearchRequest,
        query: Query,
        photo: SearchedPhoto | None = None,
    ) -> SearchResult:
        store, offset = live.store, request.offset
        end, left_out = offset + request.k, int(request.item_id is not None)
        where = Where.parse(request.where, store.columns()) if request.where else None
        top = min(self._top or live.bundle.info.rerank_top, int(limits().rerank))
        encoder = self.encoder_of(live)
        for _ in range(_TRIES):
            revision = store.revision
            ranking = Ranking(store, encoder, query, where, top, query.fusion or self._fusion)
            ranking.reach(end + 1 + left_out, clock)
            with clock.step("rows"):
                read = ranking.items(0 if left_out else offset, end + left_out)
                ids = np.array([item.id for item in read], np.int64)
                rows = store.take(ids, vectors=False)
            if not ranking.overtaken and all(row is not None for row in rows):
                break  # else a writer has removed or moved some of them meanwhile
        found = [(one, row) for one, row in zip(read, rows, strict=True) if row is not None]
        more = len(ranking.ids) > end
        if left_out:
            kept = [pair for pair in found if pair[1].item_id != request.item_id]
            more = len(ranking.ids) - (len(found) - len(kept)) > end
            found = kept[offset:end]
        counted: Mapping[str, Mapping[str, Any]] = {}
        if request.facets:
            with clock.step("facets"):
                counts = store.facets(list(request.facets), where)
                counted = {name: dataclasses.asdict(facet) for name, facet in counts.items()}
        searched = photo.searched if photo is not None and request.attention else None
        # Measured on photos, they say nothing of how alike two products are.
        alike = self._thresholds(live, revision) if photo is not None else None
        return SearchResult(
            hits=hits_of(found, offset, live.bundle.info, searched, alike),
            timings_ms=clock.timings(),
            box=None if photo is None else photo.box,
            offset=offset,
            more=more,
            revision=revision,
            facets=counted,
            detections=() if photo is None else photo.detections,
            size=None if photo is None else photo.size,
            note="" if found or where is None else explain(store, where),
        )


def _normalised(embeddings: FloatArray, dim: int) -> FloatArray:
    """(D,) or (Q, D) → (Q, D), L2-normalised.

    Raises:
        UsageError: another shape, or a row that is zero or not finite.
    """
    rows = np.atleast_2d(np.asarray(embeddings, np.float32))
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    if rows.ndim != 2 or rows.shape[1] != dim or not 1 <= len(rows) <= MAX_PHOTOS:
        raise UsageError(f"embeddings are ({dim},) or (1 to {MAX_PHOTOS}, {dim})")
    if not (np.isfinite(length).all() and (length > 0).all()):
        raise UsageError("an embedding is finite and isn't zero")
    return np.asarray(rows / length, np.float32)
