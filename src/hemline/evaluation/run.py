"""One measurement: a model, a protocol, and the rank of each query's item.

The first search is by Euclidean distance; where the model re-ranks, the first images are ordered
anew (`hemline.ranking.merge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.protocol import Protocol
from hemline.encoding import Detector, Encoder
from hemline.evaluation.detected import detector_for, with_detected_boxes
from hemline.evaluation.embed import Advance, Block, embed
from hemline.ranking.distances import block_rows, euclidean_distances
from hemline.ranking.merge import RERANK_TOP, first_of_each, nearest, rerank_distances
from hemline.ranking.metrics import (
    MISS,
    average_precision,
    image_ranks,
    item_distances,
    item_ranks,
    ndcg_at_k,
)
from hemline.ranking.tags import multi_hot
from hemline.search.clock import Clock
from hemline.types import FloatArray

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

#: Items kept for each query (for sheets of failures), and NDCG's k.
SHOWN, NDCG_K = 10, 20
#: Nearest images that the first `SHOWN` items are taken from.
_NEAREST = RERANK_TOP


@dataclass(slots=True)
class EvaluationResult:
    """What one protocol gave; every array has one entry for each query, in the protocol's order.

    Attributes:
        protocol, model, fingerprint: what was measured.
        ranks: (Q,) item rank as served, from 1; `MISS` where the item isn't found.
        first_ranks: (Q,) the same before re-ranking, or None where the model doesn't re-rank.
        average_precision: (Q,) over images.
        ndcg: (Q,) NDCG@20 of matched tags, or None where the manifest has no tags.
        top: (Q, 10) manifest rows of the first items' best images, -1 where there are fewer.
        image_ranks: (Q,) rank of the first right image among images, as papers count.
        ranks_by_size: size of a smaller gallery → (Q,) item rank in it (`Protocol.gallery_sizes`).
        skipped: (path, reason) of images that couldn't be read.
        seconds: of each step.
        detected: side → share of its images with a garment found, for the crops that detect.
    """

    protocol: Protocol
    model: str
    fingerprint: str
    ranks: Ints
    first_ranks: Ints | None
    average_precision: Doubles
    ndcg: Doubles | None
    top: Ints
    image_ranks: Ints
    ranks_by_size: dict[int, Ints] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    detected: dict[str, float] = field(default_factory=dict)

    @property
    def items(self) -> list[str]:
        """(Q,) item of each query."""
        column = self.protocol.manifest.column("item_id")
        return [str(column[row]) for row in self.protocol.queries]


@dataclass(slots=True)
class _Gallery:
    """The readable images of the gallery.

    Attributes:
        rows: (G,) manifest rows.
        places: (G,) places in the protocol's gallery, which unreadable images leave out.
        vectors, contexts: (G, D) embeddings, and embedding × norm.
        items: (G,) numbers of the items, whose ids are ``names``.
        categories: (G,).
        tags: (G, T) multi-hot, or None where neither side has tags.
    """

    rows: Ints
    places: Ints
    vectors: FloatArray
    contexts: FloatArray
    items: Ints
    names: dict[str, int]
    categories: npt.NDArray[np.str_]
    tags: FloatArray | None


def evaluate(
    encoder: Encoder,
    protocol: Protocol,
    *,
    rerank: bool = True,
    rerank_top: int | None = None,
    cache: Path | None = None,
    workers: int = 2,
    advance: Advance | None = None,
    detector: Detector | None = None,
) -> EvaluationResult:
    """Embeds both sides and ranks every query; never holds a queries × gallery matrix.

    An image that can't be read is left out of the gallery, or counted as a miss; ``skipped`` names
    it.

    Args:
        encoder: a checkpoint or a bundle.
        protocol: queries, gallery and which items are right.
        rerank: False measures the first search alone.
        rerank_top: how many images are re-ranked; the bundle's own number by default, `RERANK_TOP`
            for a checkpoint.
        cache: folder that keeps the embeddings (`hemline.evaluation.embed`), or None.
        workers: threads that decode images.
        advance: called with (images done, images).
        detector: finds the boxes of the crops ``detected`` and ``detected-query``; the one of the
            model's bundle by default, or of the bundle that ships.

    Raises:
        DataError: a whole side can't be read.
        UsageError: the embeddings aren't finite.
    """
    clock = Clock()
    cut, detected = protocol, {}
    if protocol.crop.startswith("detected"):
        with clock.step("detecting"):
            found = with_detected_boxes(protocol, detector or detector_for(encoder), workers)
        cut, detected = found.protocol, {"queries": found.queries, "gallery": found.gallery}
    images = len(protocol.gallery), len(protocol.gallery) + len(protocol.queries)

    def queries_done(done: int, _: int) -> None:
        if advance is not None:
            advance(images[0] + done, images[1])

    def gallery_done(done: int, _: int) -> None:
        if advance is not None:
            advance(done, images[1])

    with clock.step("gallery"):
        blocks = list(
            embed(
                encoder, cut.manifest, cut.gallery, "shop", boxes=cut.crop == "box",
                cache=cache, workers=workers, advance=gallery_done,
            )
        )  # fmt: skip
        ranking = _Ranking(encoder, cut, blocks, rerank, rerank_top)
    queries = embed(
        encoder, cut.manifest, cut.queries, "street", boxes=cut.crop in ("query", "box"),
        cache=cache, workers=workers, advance=queries_done,
    )  # fmt: skip
    while True:
        with clock.step("queries"):
            block = next(queries, None)
        if block is None:
            break
        with clock.step("ranking"):
            ranking.add(block)
    result = ranking.result
    result.protocol, result.detected = protocol, detected
    steps = {"gallery": 0.0, "queries": 0.0, "ranking": 0.0, **clock.timings()}
    result.seconds = {name: ms / 1000 for name, ms in steps.items() if name != "total"}
    return result


class _Ranking:
    """Ranks blocks of queries in a gallery."""

    def __init__(
        self,
        encoder: Encoder,
        protocol: Protocol,
        gallery: Sequence[Block],
        rerank: bool,
        rerank_top: int | None,
    ) -> None:
        manifest, count = protocol.manifest, len(protocol.queries)
        self.encoder, self.protocol = encoder, protocol
        self.vocabulary = {tag: i for i, tag in enumerate(manifest.tag_vocabulary())}
        self.categories = np.asarray(manifest.column("category"), dtype=np.str_)
        self.gallery = _gallery(protocol, gallery, self.vocabulary)
        self.depth = _served_top(encoder) if rerank_top is None else rerank_top
        self.result = EvaluationResult(
            protocol=protocol,
            model=encoder.name,
            fingerprint=encoder.fingerprint,
            ranks=_misses(count),
            first_ranks=_misses(count) if rerank and encoder.reranks else None,
            average_precision=np.zeros(count),
            ndcg=None if self.gallery.tags is None else np.zeros(count),
            top=np.full((count, SHOWN), -1, np.int64),
            image_ranks=_misses(count),
            ranks_by_size={size: _misses(count) for size in protocol.gallery_sizes},
            skipped=[pair for block in gallery for pair in block.skipped],
        )

    def add(self, block: Block) -> None:
        """Ranks the readable queries of a block."""
        self.result.skipped.extend(block.skipped)
        good = np.flatnonzero(block.good)
        local = block.arrays.get("local") if self.result.first_ranks is not None else None
        step = block_rows(len(self.gallery.rows))
        for start in range(0, len(good), step):
            some = good[start : start + step]
            embeddings = block.arrays["embedding"][some]
            self._rank(some + block.start, embeddings, None if local is None else local[some])

    def _rank(self, places: Ints, embeddings: FloatArray, local: FloatArray | None) -> None:
        """Ranks queries (q,) of the protocol by embeddings (q, D) and local features (q, C, L)."""
        gallery, result = self.gallery, self.result
        rows = self.protocol.queries[places]
        far = euclidean_distances(embeddings, gallery.vectors).astype(np.float64)
        if self.protocol.within_category:
            far[self.categories[rows][:, None] != gallery.categories[None, :]] = np.inf
        names = gallery.names
        right = [
            frozenset(names[item] for item in self.protocol.relevant[place] if item in names)
            for place in places
        ]
        for size, ranks in result.ranks_by_size.items():
            fewer = np.where(gallery.places < size, far, np.inf)
            ranks[places] = self._item_ranks(self._served(fewer, local), right)
        if result.first_ranks is not None:
            result.first_ranks[places] = self._item_ranks(far, right)
        far = self._served(far, local)
        result.ranks[places] = self._item_ranks(far, right)
        relevant = np.stack([np.isin(gallery.items, sorted(items)) for items in right])
        result.image_ranks[places] = image_ranks(far, relevant)
        for row, place in enumerate(places):
            result.average_precision[place] = average_precision(far[row], relevant[row])
            order = nearest(far[row], _NEAREST)
            best = order[first_of_each(gallery.items[order])[:SHOWN]]
            result.top[place, : len(best)] = gallery.rows[best]
            if result.ndcg is not None:
                result.ndcg[place] = self._ndcg(int(rows[row]), order)

    def _item_ranks(self, far: Doubles, right: Sequence[frozenset[int]]) -> Ints:
        return item_ranks(item_distances(far, self.gallery.items, len(self.gallery.names)), right)

    def _served(self, far: Doubles, local: FloatArray | None) -> Doubles:
        """(q, G) distances of the first search → as served: re-ranked where there is ``local``."""
        if local is None:
            return far
        contexts = self.gallery.contexts
        return rerank_distances(
            far,
            lambda query, near: self.encoder.rerank(local[query], contexts[near]).distance,
            self.depth,
        )

    def _ndcg(self, row: int, order: Ints) -> float:
        """NDCG of a query by the tags that it shares with the images in ``order``."""
        assert self.gallery.tags is not None
        wanted = multi_hot([self.protocol.manifest[row].tags], self.vocabulary)[0]
        gains = self.gallery.tags @ wanted.astype(np.float32) / max(1.0, float(wanted.sum()))
        return ndcg_at_k(gains[order[:NDCG_K]], gains, NDCG_K)


def _misses(count: int) -> Ints:
    return np.full(count, MISS, np.int64)


def _served_top(encoder: Encoder) -> int:
    bundle: Any = getattr(encoder, "bundle", None)
    return RERANK_TOP if bundle is None else int(bundle.info.rerank_top)


def _gallery(protocol: Protocol, blocks: Sequence[Block], vocabulary: dict[str, int]) -> _Gallery:
    manifest = protocol.manifest
    good = np.concatenate([block.good for block in blocks])
    rows = protocol.gallery[good]
    vectors = np.concatenate([b.arrays["embedding"][b.good] for b in blocks if b.good.any()])
    norms = np.concatenate([b.arrays["norm"][b.good] for b in blocks if b.good.any()])
    names, items = np.unique(
        np.asarray(manifest.column("item_id"), dtype=np.str_)[rows], return_inverse=True
    )
    every = manifest.column("tags") if vocabulary else []
    tags = [every[row] for row in rows] if vocabulary else []
    both = any(tags) and any(every[row] for row in protocol.queries)
    return _Gallery(
        rows=rows,
        places=np.flatnonzero(good),
        vectors=vectors,
        contexts=vectors * norms[:, None],
        items=items.astype(np.int64),
        names={name: number for number, name in enumerate(names.tolist())},
        categories=np.asarray(manifest.column("category"), dtype=np.str_)[rows],
        tags=multi_hot(tags, vocabulary).astype(np.float32) if both else None,
    )
