"""A bundle as an `hemline.encoding.Encoder`: pictures in, embeddings out, without PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from hemline.data.preprocess import ImageInput, prepare
from hemline.encoding import RerankResult, ShopEncoding, StreetEncoding
from hemline.errors import UsageError
from hemline.ranking.tags import multi_hot
from hemline.runtime.bundle import Bundle
from hemline.types import Domain, FloatArray

#: Threads that are asked of ONNX Runtime; each costs memory even where there is no core for it.
MAX_THREADS = 256

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class BundleEncoder:
    """Runs the towers and the re-ranker of a bundle.

    Attributes:
        bundle: what it runs.
        unknown_tags: how often each tag came that isn't in the bundle's vocabulary; such tags are
            ignored.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, batch: int = 32) -> None:
        """
        Args:
            bundle: an open bundle.
            threads: for one run of a graph; None leaves it to ONNX Runtime.
            batch: pictures to a run.
        """
        if batch < 1:
            raise UsageError(f"batch is at least 1, not {batch}")
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise UsageError(f"threads are from 1 to {MAX_THREADS}, not {threads}")
        self.bundle = bundle
        self.unknown_tags: Counter[str] = Counter()
        self._threads = threads
        self._batch = batch
        self._tag_index = {tag: i for i, tag in enumerate(bundle.info.vocabulary)}

    @property
    def name(self) -> str:
        return self.bundle.info.name

    @property
    def fingerprint(self) -> str:
        return self.bundle.info.fingerprint

    @property
    def embedding_dim(self) -> int:
        return self.bundle.info.embedding_dim

    @property
    def reranks(self) -> bool:
        return self.bundle.info.reranks

    def _pictures(self, images: Sequence[ImageInput], domain: Domain) -> Iterator[FloatArray]:
        """Batches (b, 3, S, S) of prepared pictures."""
        spec = self.bundle.info.preprocessing
        for start in range(0, len(images), self._batch):
            yield np.stack([prepare(i, spec, domain) for i in images[start : start + self._batch]])

    def _runner(self, role: str) -> Callable[[dict[str, FloatArray]], dict[str, FloatArray]]:
        session: Any = self.bundle.session(role, self._threads)
        wanted = {i.name: _DTYPES.get(i.type, np.float32) for i in session.get_inputs()}
        names = [o.name for o in session.get_outputs()]

        def run(feed: dict[str, FloatArray]) -> dict[str, FloatArray]:
            typed = {name: feed[name].astype(dtype, copy=False) for name, dtype in wanted.items()}
            values = session.run(None, typed)
            return {
                name: np.asarray(value, np.float32)
                for name, value in zip(names, values, strict=True)
            }

        return run

    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding:
        """B upright (H, W, 3) pictures, cropped → embedding (B, D), local (B, C, L) or None."""
        run = self._runner("street")
        parts = [run({"images": batch}) for batch in self._pictures(images, "street")]
        local = _joined(parts, "local") if self.reranks else None
        return StreetEncoding(self._embeddings(parts), local)

    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding:
        """B upright (H, W, 3) pictures and their tags → embedding (B, D), norm (B,), attention.

        Raises:
            UsageError: not one list of tags for each picture.
        """
        if len(images) != len(tags):
            raise UsageError(f"{len(images)} pictures need as many lists of tags, not {len(tags)}")
        run = self._runner("shop")
        hot = multi_hot(tags, self._tag_index, self.unknown_tags).astype(np.float32)
        parts, start = [], 0
        for batch in self._pictures(images, "shop"):
            parts.append(run({"images": batch, "tags": hot[start : start + len(batch)]}))
            start += len(batch)
        norm = _joined(parts, "norm")
        return ShopEncoding(
            self._embeddings(parts),
            np.zeros(0, np.float32) if norm is None else norm.reshape(-1),
            _joined(parts, "weights"),
        )

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
