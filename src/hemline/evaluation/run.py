"""One measurement: a model, a protocol, and the place at which each query's product stood.

The first search is by Euclidean distance; where the model re-ranks, the first 256 pictures are
ordered anew by its distance and all others stay behind them (YNet paper, §4.1).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.protocol import Protocol
from hemline.encoding import Detector, Encoder
from hemline.errors import UsageError
from hemline.evaluation.detected import detector_for
from hemline.evaluation.detected import found as found_boxes
from hemline.evaluation.embed import Advance, embed
from hemline.ranking.metrics import (
    NEVER,
    average_precision,
    euclidean,
    ndcg_at_k,
    picture_rank,
    product_distances,
    product_ranks,
)
from hemline.types import FloatArray

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

#: Products kept for each query (for sheets of failures), and NDCG's k.
SHOWN, NDCG_K = 10, 20


@dataclass(slots=True)
class Outcome:
    """What one protocol gave; every array has one entry for each query, in the protocol's order.

    Attributes:
        protocol, model, fingerprint: what was measured.
        ranks: (Q,) product's place from 1 as served, `NEVER` for a miss.
        first_ranks: (Q,) the same before re-ranking, or None where the model doesn't re-rank.
        precision: (Q,) average precision over pictures.
        ndcg: (Q,) NDCG@20 of matched tags, or None where the manifest has no tags.
        top: (Q, 10) manifest rows of the first products' best pictures, -1 where there are fewer.
        picture_ranks: (Q,) place of the first right picture among pictures, as papers count.
        ladder: size of a smaller gallery → (Q,) product's place in it; of the protocol's ladder.
        skipped: (path, reason) of pictures that couldn't be read.
        seconds: of each step.
        detected: side → share of its pictures with a garment found, of the crops that look for it.
    """

    protocol: Protocol
    model: str
    fingerprint: str
    ranks: Ints
    first_ranks: Ints | None
    precision: Doubles
    ndcg: Doubles | None
    top: Ints
    picture_ranks: Ints
    ladder: dict[int, Ints] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    detected: dict[str, float] = field(default_factory=dict)

    @property
    def items(self) -> list[str]:
        """(Q,) product of each query."""
        column = self.protocol.manifest.column("item_id")
        return [str(column[row]) for row in self.protocol.queries]


@dataclass(slots=True)
class _Gallery:
    """The searched side: ``rows`` (G,), ``vectors`` (G, D), ``contexts`` (G, D), item numbers.

    ``places`` (G,) are those of the protocol's gallery, which unreadable pictures leave out.
    """

    rows: Ints
    places: Ints
    vectors: FloatArray
    contexts: FloatArray
    items: Ints
    names: list[str]
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
) -> Outcome:
    """Embeds both sides and ranks every query; never holds a queries × gallery matrix.

    ``rerank_top`` is how many pictures are ordered anew: by default as the bundle is served, 256
    for a checkpoint. A picture that can't be read is left out of the gallery, or counted as a
    miss; ``skipped`` names it. ``detector`` finds the boxes of the crops ``detected`` and
    ``detected-query``: by default the one of the model's bundle, or of the bundle that ships.

    Raises:
        DataError: a whole side can't be read.
        UsageError: the embeddings aren't finite.
    """
    depth = _served_top(encoder) if rerank_top is None else rerank_top
    manifest = protocol.manifest
    total = len(protocol.gallery) + len(protocol.queries)
    seconds = {"gallery": 0.0, "queries": 0.0, "ranking": 0.0}
    cut, detected = protocol, {}
    if protocol.crop.startswith("detected"):
        clock = time.perf_counter()
        seen = found_boxes(protocol, detector or detector_for(encoder), workers)
        cut, detected = seen.protocol, {"queries": seen.queries, "gallery": seen.gallery}
        seconds["detecting"] = time.perf_counter() - clock
    skipped: list[tuple[str, str]] = []
    vocabulary = {tag: i for i, tag in enumerate(manifest.tag_vocabulary())}

    def told(before: int) -> Advance | None:
        return None if advance is None else (lambda done, _: advance(before + done, total))

    clock = time.perf_counter()
    gallery = _gallery(encoder, cut, vocabulary, cache, workers, told(0), skipped)
    seconds["gallery"] = time.perf_counter() - clock

    count = len(protocol.queries)
    again = rerank and encoder.reranks
    ranks = np.full(count, NEVER, np.int64)
    first = np.full(count, NEVER, np.int64) if again else None
    precision = np.zeros(count)
    ndcg = np.zeros(count) if gallery.tags is not None else None
    top = np.full((count, SHOWN), -1, np.int64)
    pictures = np.full(count, NEVER, np.int64)
    ladder = {size: np.full(count, NEVER, np.int64) for size in protocol.gallery_sizes}
    categories = np.asarray(manifest.column("category"), dtype=np.str_)
    numbers = {name: i for i, name in enumerate(gallery.names)}
    step = max(1, min(512, 2**24 // max(1, len(gallery.rows))))

    clock = time.perf_counter()
    blocks = embed(
        encoder,
        cut.manifest,
        protocol.queries,
        "street",
        boxes=cut.crop in ("query", "box"),
        cache=cache,
        workers=workers,
        advance=told(len(protocol.gallery)),
    )
    for block in blocks:
        seconds["queries"] += time.perf_counter() - clock
        clock = time.perf_counter()
        skipped.extend(block.skipped)
        local = block.arrays.get("local")
        good = np.flatnonzero(block.good)
        for start in range(0, len(good), step):
            inside = good[start : start + step]
            places = inside + block.start
            rows = protocol.queries[places]
            far = euclidean(block.arrays["embedding"][inside], gallery.vectors).astype(np.float64)
            if protocol.within_category:
                far[categories[rows][:, None] != gallery.categories[None, :]] = np.inf
            right = [
                frozenset(numbers[i] for i in protocol.relevant[p] if i in numbers) for p in places
            ]
            again_of = local[inside] if first is not None and local is not None else None
            for size, found in ladder.items():
                fewer = np.where(gallery.places < size, far, np.inf)
                fewer = _served(encoder, again_of, fewer, gallery, depth)
                found[places] = _ranks(fewer, gallery, right)
            if first is not None:
                first[places] = _ranks(far, gallery, right)
            far = _served(encoder, again_of, far, gallery, depth)
            ranks[places] = _ranks(far, gallery, right)
            for row, place in enumerate(places):
                relevant = np.isin(gallery.items, sorted(right[row]))
                pictures[place] = picture_rank(far[row], relevant)
                precision[place] = average_precision(far[row], relevant)
                order = _nearest(far[row], max(256, 4 * SHOWN))
                top[place] = _distinct(order, gallery)
                if ndcg is not None and gallery.tags is not None:
                    wanted = _multi_hot([manifest[int(rows[row])].tags], vocabulary)[0]
                    gains = gallery.tags @ wanted / max(1.0, float(wanted.sum()))
                    ndcg[place] = ndcg_at_k(gains[order[:NDCG_K]], gains, NDCG_K)
        seconds["ranking"] += time.perf_counter() - clock
        clock = time.perf_counter()
    return Outcome(
        protocol, encoder.name, encoder.fingerprint, ranks, first, precision, ndcg, top, pictures,
        ladder, skipped, seconds, detected,
    )  # fmt: skip


def _ranks(far: Doubles, gallery: _Gallery, right: Sequence[frozenset[int]]) -> Ints:
    """(Q, G) distances → (Q,) places of the right products."""
    return product_ranks(product_distances(far, gallery.items, len(gallery.names)), right)


def _served(
    encoder: Encoder, local: FloatArray | None, far: Doubles, gallery: _Gallery, depth: int
) -> Doubles:
    """(Q, G) distances of the first search → as served: re-ranked where there is ``local``."""
    if local is None:
        return far
    return np.stack(
        [_reranked(encoder, local[row], far[row], gallery, depth) for row in range(len(far))]
    )


def _served_top(encoder: Encoder) -> int:
    bundle = getattr(encoder, "bundle", None)
    return 256 if bundle is None else int(bundle.info.rerank_top)


def _gallery(
    encoder: Encoder,
    protocol: Protocol,
    vocabulary: dict[str, int],
    cache: Path | None,
    workers: int,
    advance: Advance | None,
    skipped: list[tuple[str, str]],
) -> _Gallery:
    manifest = protocol.manifest
    blocks = list(
        embed(
            encoder,
            manifest,
            protocol.gallery,
            "shop",
            boxes=protocol.crop == "box",
            cache=cache,
            workers=workers,
            advance=advance,
        )
    )
    for block in blocks:
        skipped.extend(block.skipped)
    good = np.concatenate([block.good for block in blocks])
    rows = protocol.gallery[good]
    vectors = np.concatenate([b.arrays["embedding"][b.good] for b in blocks if b.good.any()])
    norms = np.concatenate([b.arrays["norm"][b.good] for b in blocks if b.good.any()])
    names, items = np.unique(
        np.asarray(manifest.column("item_id"), dtype=np.str_)[rows], return_inverse=True
    )
    worn = manifest.column("tags") if vocabulary else []
    tags = [worn[row] for row in rows] if vocabulary else []
    asked = vocabulary and any(worn[row] for row in protocol.queries)
    return _Gallery(
        rows,
        np.flatnonzero(good),
        vectors,
        vectors * norms[:, None],
        items.astype(np.int64),
        names.tolist(),
        np.asarray(manifest.column("category"), dtype=np.str_)[rows],
        _multi_hot(tags, vocabulary) if asked and any(tags) else None,
    )


def _multi_hot(tags: Sequence[Sequence[str]], vocabulary: dict[str, int]) -> FloatArray:
    """(N,) lists of tags → (N, T) of 0 and 1."""
    hot = np.zeros((len(tags), len(vocabulary)), np.float32)
    for row, own in enumerate(tags):
        hot[row, [vocabulary[tag] for tag in own]] = 1.0
    return hot


def _nearest(far: Doubles, count: int) -> npt.NDArray[Any]:
    """Places of the ``count`` nearest pictures, nearest first; none that isn't searched."""
    count = min(count, len(far))
    some = np.argpartition(far, count - 1)[:count] if count < len(far) else np.arange(len(far))
    some = some[np.isfinite(far[some])]
    order: npt.NDArray[Any] = some[np.lexsort((some, far[some]))]
    return order


def _distinct(order: npt.NDArray[Any], gallery: _Gallery) -> Ints:
    """(10,) manifest rows of the first products' best pictures."""
    found = np.full(SHOWN, -1, np.int64)
    _, at = np.unique(gallery.items[order], return_index=True)
    best = order[np.sort(at)[:SHOWN]]
    found[: len(best)] = gallery.rows[best]
    return found


def _reranked(
    encoder: Encoder, local: FloatArray, far: Doubles, gallery: _Gallery, top: int
) -> Doubles:
    """(G,) distances whose first ``top`` are the re-ranker's, all others behind them."""
    order = _nearest(far, top)
    if len(order) == 0:
        return far
    again = encoder.rerank(local, gallery.contexts[order]).distance.astype(np.float64)
    if not np.isfinite(again).all():
        raise UsageError("a re-ranked distance is NaN or infinity; the model is broken")
    behind: Doubles = far + again.max() + 1.0
    behind[order] = again
    return behind
