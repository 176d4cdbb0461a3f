"""A bundle as an `hemline.encoding.Encoder`: images in, embeddings out, no PyTorch."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from hemline.data.images import open_image
from hemline.data.preprocess import ImageInput, prepare
from hemline.data.seen import Seen, read_seen
from hemline.encoding import RerankResult, ShopEncoding, StreetEncoding
from hemline.errors import UsageError
from hemline.ranking.tags import multi_hot
from hemline.runtime.bundle import Bundle, check_threads
from hemline.runtime.detector import BundleDetector
from hemline.types import Detection, Domain, FloatArray, Image, Photo

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class BundleEncoder:
    """Runs the towers, the re-ranker and the detector of a bundle; `load` opens one.

    ``embed_street``, ``embed_shop`` and ``detect`` take image files or arrays; ``encode_street``,
    ``encode_shop`` and ``rerank`` are the protocol that the catalogue and the engine use.

    Attributes:
        bundle: the bundle it runs.
        unknown_tags: counts of the tags that the bundle's vocabulary lacks; they are ignored.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, batch: int = 32) -> None:
        """
        Args:
            bundle: an open bundle.
            threads: for one run of a graph; None leaves it to ONNX Runtime.
            batch: images per run.
        """
        if batch < 1:
            raise UsageError(f"batch is at least 1, not {batch}")
        check_threads(threads)
        self.bundle = bundle
        self.unknown_tags: Counter[str] = Counter()
        self._threads = threads
        self._batch = batch
        self._tag_index = {tag: i for i, tag in enumerate(bundle.info.vocabulary)}
        self._detector: BundleDetector | None = None
        self._maps = bundle.maps

    @property
    def name(self) -> str:
        return self.bundle.info.name

    @property
    def fingerprint(self) -> str:
        return self.bundle.info.fingerprint

    @property
    def seen(self) -> Seen | None:
        """What it was trained on, where the bundle has a record of it.

        Raises:
            DataError: the record is missing or damaged.
        """
        return read_seen(self.bundle.folder, self.bundle.info.training.get("seen"))

    @property
    def started_from(self) -> str:
        """What the training started from; empty where the bundle doesn't say."""
        return str(self.bundle.info.training.get("started_from", ""))

    @property
    def embedding_dim(self) -> int:
        return self.bundle.info.embedding_dim

    @property
    def reranks(self) -> bool:
        return self.bundle.info.reranks

    def embed_street(self, images: Photo | Sequence[Photo]) -> FloatArray:
        """Embeddings of users' photos.

        Args:
            images: one or more upright (H, W, 3) uint8 RGB arrays, paths or bytes of image files.

        Returns:
            (B, D) float32, L2-normalised.

        Raises:
            ImageError: a file can't be opened as an image.
            UsageError: an array of another shape or type.
        """
        parts = [self.encode_street(some).embedding for some in self._opened(images)]
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *parts])

    def embed_shop(
        self, images: Photo | Sequence[Photo], tags: Sequence[Sequence[str]] | None = None
    ) -> FloatArray:
        """Embeddings of a shop's images.

        Args:
            images: as for `embed_street`.
            tags: for each image its tags as ``name=value``; None is none. Only models that attend
                by tags use them.

        Returns:
            (B, D) float32, L2-normalised.

        Raises:
            ImageError: a file can't be opened as an image.
            UsageError: an array of another shape or type, or not one list of tags for each image.
        """
        photos = _listed(images)
        given = [()] * len(photos) if tags is None else list(tags)
        if len(given) != len(photos) or any(isinstance(own, str) for own in given):
            raise UsageError(f"{len(photos)} images need as many lists of tags, not {len(given)}")
        parts, start = [np.zeros((0, self.embedding_dim), np.float32)], 0
        for some in self._opened(photos):
            parts.append(self.encode_shop(some, given[start : start + len(some)]).embedding)
            start += len(some)
        return np.concatenate(parts)

    def detect(self, images: Photo | Sequence[Photo]) -> list[tuple[Detection, ...]]:
        """The garments of each image, best score first; images as for `embed_street`.

        Raises:
            ImageError: a file can't be opened as an image.
            NoDetectorError: the bundle has no detector.
        """
        if self._detector is None:
            self._detector = BundleDetector(self.bundle, self._threads)
        least = self._detector.threshold
        found = [one for some in self._opened(images) for one in self._detector.detect(some)]
        return [tuple(garment for garment in one if garment.score >= least) for one in found]

    def _opened(self, images: Photo | Sequence[Photo]) -> Iterator[list[Image]]:
        """The images in batches, so that few are in memory at a time."""
        photos = _listed(images)
        for start in range(0, len(photos), self._batch):
            yield [_open(photo) for photo in photos[start : start + self._batch]]

    def _batches(self, images: Sequence[ImageInput], domain: Domain) -> Iterator[FloatArray]:
        """Preprocessed batches (b, 3, S, S)."""
        spec = self.bundle.info.preprocessing
        for start in range(0, len(images), self._batch):
            yield np.stack([prepare(i, spec, domain) for i in images[start : start + self._batch]])

    def _runner(self, role: str) -> Callable[[dict[str, FloatArray]], dict[str, FloatArray]]:
        session: Any = self.bundle.session(role, self._threads)
        types = {i.name: _DTYPES.get(i.type, np.float32) for i in session.get_inputs()}
        names = [o.name for o in session.get_outputs()]

        def run(feed: dict[str, FloatArray]) -> dict[str, FloatArray]:
            typed = {name: feed[name].astype(dtype, copy=False) for name, dtype in types.items()}
            values = session.run(None, typed)
            return {
                name: np.asarray(value, np.float32)
                for name, value in zip(names, values, strict=True)
            }

        return run

    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding:
        """B upright (H, W, 3) images, cropped → embedding (B, D), local (B, C, L) or None."""
        parts = self._parts(images, "street")
        local = _joined(parts, "local") if self.reranks else None
        embedding = self._embeddings(parts)
        if self._maps is not None and parts:
            embedding, _ = self._mapped(parts, "street")
        return StreetEncoding(embedding, local)

    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding:
        """B upright (H, W, 3) images and their tags → embedding (B, D), norm (B,), attention.

        Raises:
            UsageError: not one list of tags for each image.
        """
        if len(images) != len(tags):
            raise UsageError(f"{len(images)} images need as many lists of tags, not {len(tags)}")
        parts = self._parts(images, "shop", tags)
        norm, embedding = _joined(parts, "norm"), self._embeddings(parts)
        if self._maps is not None and parts:
            embedding, norm = self._mapped(parts, "shop")
        return ShopEncoding(
            embedding,
            np.zeros(0, np.float32) if norm is None else norm.reshape(-1),
            _joined(parts, "weights"),
        )

    def outputs(
        self, images: Sequence[ImageInput], domain: Domain, tags: Sequence[Sequence[str]] = ()
    ) -> dict[str, FloatArray]:
        """Every output of a tower by its name (`hemline.bundle`), before any maps.

        Args:
            images: B upright (H, W, 3) images, cropped; at least one.
            domain: which tower.
            tags: for ``shop``, one list for each image.
        """
        parts = self._parts(images, domain, tags)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _parts(
        self, images: Sequence[ImageInput], domain: Domain, tags: Sequence[Sequence[str]] = ()
    ) -> list[dict[str, FloatArray]]:
        """The outputs of a tower for each batch."""
        run = self._runner(domain)
        if domain == "street":
            return [run({"images": batch}) for batch in self._batches(images, domain)]
        hot = multi_hot(tags, self._tag_index, self.unknown_tags).astype(np.float32)
        parts, start = [], 0
        for batch in self._batches(images, domain):
            parts.append(run({"images": batch, "tags": hot[start : start + len(batch)]}))
            start += len(batch)
        return parts

    def _mapped(
        self, parts: Sequence[dict[str, FloatArray]], domain: Domain
    ) -> tuple[FloatArray, FloatArray]:
        """The mapped features, or embeddings where the graph has no features."""
        assert self._maps is not None
        name = "features" if "features" in parts[0] else "embedding"
        return self._maps.apply(np.concatenate([part[name] for part in parts]), domain)

    def _embeddings(self, parts: Sequence[dict[str, FloatArray]]) -> FloatArray:
        joined = _joined(parts, "embedding")
        return np.zeros((0, self.embedding_dim), np.float32) if joined is None else joined

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        """local (C, L), contexts (K, C) → distance (K,), attention (K, L).

        Raises:
            UsageError: the bundle doesn't re-rank.
        """
        if not self.reranks:
            raise UsageError(f"{self.name} doesn't re-rank: its bundle has no rerank graph")
        if len(contexts) == 0:
            return RerankResult(np.zeros(0, np.float32), np.zeros((0, local.shape[-1]), np.float32))
        given = self._runner("rerank")({"local": local, "contexts": contexts})
        return RerankResult(given["distance"].reshape(-1), given["weights"])


def _joined(parts: Sequence[dict[str, FloatArray]], name: str) -> FloatArray | None:
    have = [part[name] for part in parts if name in part]
    return np.concatenate(have) if have else None


def load(
    bundle: str | os.PathLike[str] | Bundle | None = None, threads: int | None = None
) -> BundleEncoder:
    """Loads an encoder.

        encoder = hemline.load()
        similarity = encoder.embed_street("photo.jpg") @ encoder.embed_shop(["a.jpg", "b.jpg"]).T

    Args:
        bundle: an open bundle, its folder, or the name of one that ships with the package; by
            default the one that ships.
        threads: of one run of a graph; None leaves it to ONNX Runtime (all cores).

    Raises:
        BundleError: no bundle, or one that is incomplete, damaged or of another format version.
    """
    if bundle is None:
        bundle = Bundle.default()
    return BundleEncoder(bundle if isinstance(bundle, Bundle) else Bundle.open(bundle), threads)


def _listed(images: Photo | Sequence[Photo]) -> list[Photo]:
    single = isinstance(images, bytes | str | os.PathLike)
    if single or (isinstance(images, np.ndarray) and images.ndim < 4):
        return [images]  # type: ignore[list-item]
    return list(images)  # type: ignore[arg-type]


def _open(photo: Photo) -> Image:
    if not isinstance(photo, np.ndarray):
        return open_image(photo)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise UsageError(
            f"an image is an (H, W, 3) uint8 RGB array, not {photo.shape} {photo.dtype}"
        )
    return photo
