"""Images that workers have embedded, on their way into a catalogue."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hemline.bundle import BundleInfo
from hemline.catalog.cluster.run import ROWS, ClusterRun
from hemline.catalog.cluster.shards import Encoded, Job
from hemline.catalog.intake.embedding import batches
from hemline.catalog.intake.update import Attributes, ImageUpdate, ItemUpdate
from hemline.catalog.store import Row
from hemline.data.preprocess import ImageInput
from hemline.data.remote.addresses import Address
from hemline.data.remote.fetcher import RemoteImage
from hemline.encoding import Encoder, RerankResult, ShopEncoding, StreetEncoding
from hemline.ranking.tags import multi_hot
from hemline.types import FloatArray


class EncodedAhead:
    """An encoder that has the vectors of images that workers have embedded, and embeds the others.

    Attributes:
        unknown_tags: counts of the tags that the vocabulary lacks.
        whole: number of images in which the workers found no garment to crop.
    """

    def __init__(self, encoder: Encoder, vocabulary: Sequence[str]) -> None:
        self._encoder, self._vocabulary = encoder, vocabulary
        self.unknown_tags: Counter[str] = Counter()
        self.whole = 0
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self.embedding_dim, self.reranks = encoder.embedding_dim, encoder.reranks

    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding:
        """Embeddings (B, D) and norms (B,), without attention."""
        multi_hot(tags, self._vocabulary, self.unknown_tags)
        embedding = np.zeros((len(images), self.embedding_dim), np.float32)
        norm = np.zeros(len(images), np.float32)
        others = []
        for i, image in enumerate(images):
            if isinstance(image, Encoded):
                embedding[i], norm[i] = image.embedding, image.norm
                self.whole += image.whole
            else:
                others.append(i)
        if others:
            own = self._encoder.encode_shop([images[i] for i in others], [tags[i] for i in others])
            embedding[others], norm[others] = own.embedding, own.norm
        return ShopEncoding(embedding, norm, None)

    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding:
        return self._encoder.encode_street(images)

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        return self._encoder.rerank(local, contexts)


def updates_ahead(
    run: ClusterRun,
    updates: Iterable[ItemUpdate],
    stored: Callable[[Sequence[str]], Mapping[str, Row]],
    info: BundleInfo,
) -> Iterator[ItemUpdate]:
    """Updates of one image each, with what workers have made of it.

    Args:
        run: over the workers.
        updates: in their order.
        stored: gives the stored rows of image_ids.
        info: of the bundle.
    """
    given: deque[list[ItemUpdate]] = deque()

    def shards() -> Iterator[list[Job]]:
        for some in batches(updates, ROWS):
            given.append(some)
            rows = stored([image.image_id for update in some for image in update.images or ()])
            yield [_job(update, rows, info) for update in some]

    for encoded in run.encoded(shards()):
        for update, one in zip(given.popleft(), encoded, strict=True):
            (image,) = update.images or ()
            yield replace(update, images=(replace(image, encoded=one),))


def _job(update: ItemUpdate, rows: Mapping[str, Row], info: BundleInfo) -> Job:
    (image,) = update.images or ()
    attributes = update.attributes
    assert isinstance(attributes, Attributes)
    old = rows.get(image.image_id)
    same = old is not None and (not info.uses_tags or old.tags == attributes.tags)
    return Job(
        _place(image),
        attributes.tags,
        attributes.category,
        image.box,
        old.source if old is not None and same else "",
    )


def _place(image: ImageUpdate) -> Path | Address | None:
    source = image.source
    if isinstance(source, RemoteImage):
        return source.address
    assert not isinstance(source, bytes), "a manifest names files and addresses"
    # A worker has another working folder.
    return None if source is None else Path(os.path.abspath(source))


def copies_ahead(
    run: ClusterRun,
    rows: Iterable[Row],
    compared: Callable[[Sequence[Row]], tuple[list[Row], object, object]],
    copy_of: Callable[[Row], Path | None],
) -> Iterator[tuple[list[Row], dict[str, Encoded]]]:
    """Rows in their order, some at a time, with what workers have made of their stored copies.

    Args:
        run: over the workers.
        rows: of a catalogue.
        compared: gives first those of some rows that have to be embedded.
        copy_of: gives the file of a row's copy.

    Yields:
        rows, and image_id → result of those that were embedded.
    """
    given: deque[tuple[list[Row], Sequence[Row]]] = deque()

    def shards() -> Iterator[list[Job]]:
        for some in batches(rows, ROWS):
            embed, *_ = compared(some)
            given.append((some, embed))
            yield [
                Job(None if path is None else Path(os.path.abspath(path)), row.tags)
                for row in embed
                for path in [copy_of(row)]
            ]

    for encoded in run.encoded(shards()):
        some, embed = given.popleft()
        named = zip(embed, encoded, strict=True)
        # A copy is named by the digest of its content.
        yield some, {row.image_id: one for row, one in named if one.source == row.image_digest}
