"""One measurement: a model, a protocol, and the rank of each query's item.

The first search is by Euclidean distance; where the model re-ranks, the first images are ordered
anew (`hemline.ranking.merge`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.protocol import Protocol
from hemline.encoding import Detector, Encoder
from hemline.evaluation.detected import detector_for, with_detected_boxes
from hemline.evaluation.embed import Block, embed
from hemline.progress import Advance, no_advance
from hemline.ranking.distances import block_rows, euclidean_distances
from hemline.ranking.merge import RERANK_TOP, first_of_each, nearest_images, rerank_distances
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
from hemline.types import Domain, FloatArray

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


def evaluate(
    encoder: Encoder,
    protocol: Protocol,
    *,
    rerank: bool = True,
    rerank_top: int | None = None,
    cache: Path | None = None,
    workers: int = 2,
    advance: Advance = no_advance,
    detector: Detector | None = None,
) -> EvaluationResult:
    """Embeds both sides and ranks every query; never holds a queries × gallery matrix.

    An image that can't be read is left out of the gallery, or counted as a miss.

    Args:
        encoder: a checkpoint or a bundle.
        protocol: queries, gallery and which items are right.
        rerank: False measures the first search alone.
        rerank_top: images to re-rank; by default the bundle's number, `RERANK_TOP` for a run.
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
    crops = {"street": cut.crop in ("query", "box"), "shop": cut.crop == "box"}

    def embedded(rows: Ints, domain: Domain, before: int) -> Iterator[Block]:
        every = len(cut.gallery) + len(cut.queries)
        return embed(
            encoder, cut.manifest, rows, domain, boxes=crops[domain], cache=cache, workers=workers,
            advance=lambda done, _: advance(before + done, every),
        )  # fmt: skip

    with clock.step("gallery"):
        blocks = list(embedded(cut.gallery, "shop", 0))
        ranking = _Ranking(encoder, cut, blocks, rerank, rerank_top)
    queries = embedded(cut.queries, "street", len(cut.gallery))
    while True:
        with clock.step("queries"):
            block = next(queries, None)
        if block is None:
            break
        with clock.step("ranking"):
            ranking.add(block)
    steps = {"gallery": 0.0, "queries": 0.0, "ranking": 0.0, **clock.timings()}
    seconds = {name: ms / 1000 for name, ms in steps.items() if name != "total"}
    return replace(ranking.result, protocol=protocol, detected=detected, seconds=seconds)


class _Ranking:
    """Ranks blocks of queries among the G readable images of a gallery.

    Attributes:
        result: so far.
        rows, places: (G,) manifest rows, and places in the protocol's gallery.
        vectors, contexts: (G, D) embeddings, and embedding × norm.
        items: (G,) item numbers; ``numbers`` has that of each item id.
        categories: (N,) of all manifest rows.
        tags: (G, T) multi-hot, or None where neither side has tags.
    """

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
        self.depth = _served_top(encoder) if rerank_top is None else rerank_top
        good = np.concatenate([block.good for block in gallery])
        self.rows, self.places = protocol.gallery[good], np.flatnonzero(good)
        some = [block for block in gallery if block.good.any()]
        self.vectors = np.concatenate([b.arrays["embedding"][b.good] for b in some])
        norms = np.concatenate([b.arrays["norm"][b.good] for b in some])
        self.contexts = self.vectors * norms[:, None]
        ids = np.asarray(manifest.column("item_id"), dtype=np.str_)[self.rows]
        names, self.items = np.unique(ids, return_inverse=True)
        self.numbers = {name: number for number, name in enumerate(names.tolist())}
        self.categories = np.asarray(manifest.column("category"), dtype=np.str_)
        self.vocabulary = {tag: i for i, tag in enumerate(manifest.tag_vocabulary())}
        every = manifest.column("tags")
        tags = [every[row] for row in self.rows]
        both = any(tags) and any(every[row] for row in protocol.queries)
        self.tags = multi_hot(tags, self.vocabulary).astype(np.float32) if both else None
        self.result = EvaluationResult(
            protocol=protocol,
            model=encoder.name,
            fingerprint=encoder.fingerprint,
            ranks=_misses(count),
            first_ranks=_misses(count) if rerank and encoder.reranks else None,
            average_precision=np.zeros(count),
            ndcg=None if self.tags is None else np.zeros(count),
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
        step = block_rows(len(self.rows))
        for start in range(0, len(good), step):
            some = good[start : start + step]
            embeddings = block.arrays["embedding"][some]
            self._rank(some + block.start, embeddings, None if local is None else local[some])

    def _rank(self, places: Ints, embeddings: FloatArray, local: FloatArray | None) -> None:
        """Ranks queries (q,) of the protocol by embeddings (q, D) and local features (q, C, L)."""
        result, queries = self.result, self.protocol.queries[places]
        far = euclidean_distances(embeddings, self.vectors).astype(np.float64)
        if self.protocol.within_category:
            own, theirs = self.categories[queries], self.categories[self.rows]
            far[own[:, None] != theirs[None, :]] = np.inf
        right = [
            frozenset(self.numbers[i] for i in self.protocol.relevant[p] if i in self.numbers)
            for p in places
        ]
        for size, ranks in result.ranks_by_size.items():
            fewer = np.where(self.places < size, far, np.inf)
            ranks[places] = self._item_ranks(self._served(fewer, local), right)
        if result.first_ranks is not None:
            result.first_ranks[places] = self._item_ranks(far, right)
        far = self._served(far, local)
        result.ranks[places] = self._item_ranks(far, right)
        relevant = np.stack([np.isin(self.items, sorted(items)) for items in right])
        result.image_ranks[places] = image_ranks(far, relevant)
        for row, place in enumerate(places):
            result.average_precision[place] = average_precision(far[row], relevant[row])
            order = nearest_images(far[row], _NEAREST)
            best = order[first_of_each(self.items[order])[:SHOWN]]
            result.top[place, : len(best)] = self.rows[best]
            if result.ndcg is not None:
                result.ndcg[place] = self._ndcg(int(queries[row]), order)

    def _item_ranks(self, far: Doubles, right: Sequence[frozenset[int]]) -> Ints:
        return item_ranks(item_distances(far, self.items, len(self.numbers)), right)

    def _served(self, far: Doubles, local: FloatArray | None) -> Doubles:
        """(q, G) distances of the first search → as served: re-ranked where there is ``local``."""
        if local is None:
            return far

        def rerank(query: int, near: Ints) -> FloatArray:
            return self.encoder.rerank(local[query], self.contexts[near]).distance

        return rerank_distances(far, rerank, self.depth)

    def _ndcg(self, query: int, order: Ints) -> float:
        """NDCG of a query's row by the tags that it shares with the images in ``order``."""
        assert self.tags is not None
        wanted = multi_hot([self.protocol.manifest[query].tags], self.vocabulary)[0]
        gains = self.tags @ wanted.astype(np.float32) / max(1.0, float(wanted.sum()))
        return ndcg_at_k(gains[order[:NDCG_K]], gains, NDCG_K)


def _misses(count: int) -> Ints:
    return np.full(count, MISS, np.int64)


def _served_top(encoder: Encoder) -> int:
    bundle: Any = getattr(encoder, "bundle", None)
    return RERANK_TOP if bundle is None else int(bundle.info.rerank_top)
