"""Ranks blocks of queries among a gallery, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from time import process_time
from typing import Any

import numpy as np
import pyarrow.compute as pc

from hemline.data.manifest import Manifest
from hemline.data.protocol import Protocol
from hemline.encoding import Encoder
from hemline.evaluation.embed import Block
from hemline.evaluation.leaks import Mask
from hemline.evaluation.result import (
    DEPTH,
    NDCG_K,
    SHOWN,
    EvaluationResult,
    Ints,
    TagMatches,
)
from hemline.evaluation.vectors import GalleryVectors
from hemline.ranking.distances import block_rows
from hemline.ranking.merge import RERANK_TOP, first_of_each, nearest_images, rerank_distances
from hemline.ranking.metrics import (
    MISS,
    Floats,
    average_precision,
    image_ranks,
    ndcg_at_k,
    ranks_of_right,
)
from hemline.types import FloatArray


class Ranker:
    """Ranks blocks of queries among the G readable images of a gallery.

    Attributes:
        result: so far.
        rows, places: (G,) manifest rows, and places in the protocol's gallery.
        seen: (G,) whether an image is a distractor that was trained on.
        items: (G,) item numbers; ``numbers`` has that of each item id.
        categories: (N,) of all manifest rows.
        tags: of the gallery, or None where neither side has tags.
    """

    def __init__(
        self,
        encoder: Encoder,
        protocol: Protocol,
        gallery: GalleryVectors,
        trained_on: Mask | None = None,
        *,
        rerank: bool = True,
        rerank_top: int | None = None,
    ) -> None:
        manifest, count = protocol.manifest, len(protocol.queries)
        self.encoder, self.protocol, self.gallery = encoder, protocol, gallery
        self.depth = _served_top(encoder) if rerank_top is None else rerank_top
        self.rows, self.places = protocol.gallery[gallery.good], np.flatnonzero(gallery.good)
        self.seen = np.zeros(len(self.rows), bool)
        if trained_on is not None:
            self.seen = trained_on[gallery.good]
        ids = np.asarray(manifest.column("item_id"), dtype=np.str_)[self.rows]
        names, self.items = np.unique(ids, return_inverse=True)
        self.numbers = {name: number for number, name in enumerate(names.tolist())}
        self._by_item = _Groups(self.items, len(names))
        self.categories = np.asarray(manifest.column("category"), dtype=np.str_)
        tags = _GalleryTags(manifest, self.rows)
        asked = pc.list_value_length(manifest.table["tags"]).to_numpy()[protocol.queries]
        self.tags = tags if tags.any and np.nan_to_num(asked).any() else None
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
            skipped=list(gallery.skipped),
            right_ranks=[np.zeros(0, np.int64)] * count,
            right_total=np.zeros(count, np.int64),
            tag_matches=None if self.tags is None else _no_matches(count, len(gallery)),
            started_from=str(getattr(encoder, "started_from", "")),
            unseen_ranks=_misses(count) if self.seen.any() else None,
            dimensions=gallery.dimensions,
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
        began = process_time()
        far: Floats = self.gallery.distances(embeddings)
        result.search_seconds += process_time() - began
        if self.protocol.within_category:
            own, theirs = self.categories[queries], self.categories[self.rows]
            far[own[:, None] != theirs[None, :]] = np.inf
        right = [
            frozenset(self.numbers[i] for i in self.protocol.relevant[p] if i in self.numbers)
            for p in places
        ]
        for size, ranks in result.ranks_by_size.items():
            fewer = np.where(self.places < size, far, np.float32(np.inf))
            ranks[places] = self._item_ranks(self._served(fewer, local), right)
        if result.unseen_ranks is not None:
            fewer = np.where(self.seen, np.float32(np.inf), far)
            result.unseen_ranks[places] = self._item_ranks(self._served(fewer, local), right)
        if result.first_ranks is not None:
            result.first_ranks[places] = self._item_ranks(far, right)
        far = self._served(far, local)
        result.ranks[places] = self._item_ranks(far, right)
        for row, place in enumerate(places.tolist()):
            self._rank_images(place, far[row], right[row])

    def _rank_images(self, place: int, far: Floats, right: frozenset[int]) -> None:
        """What counts images of one query, with distances (G,) as served."""
        result = self.result
        relevant = np.zeros(len(far), bool)
        relevant[self._by_item.members(right)] = True
        assert result.image_ranks is not None
        assert result.average_precision is not None
        assert result.right_total is not None
        result.image_ranks[place] = image_ranks(far[None], relevant[None])[0]
        result.average_precision[place] = average_precision(far, relevant)
        result.right_ranks[place] = ranks_of_right(far, relevant, DEPTH)
        result.right_total[place] = np.count_nonzero(relevant)
        began = process_time()
        order = nearest_images(far, DEPTH)
        result.search_seconds += process_time() - began
        best = order[first_of_each(self.items[order])[:SHOWN]]
        result.top[place, : len(best)] = self.rows[best]
        if result.ndcg is not None:
            result.ndcg[place] = self._ndcg(place, order)

    def _item_ranks(self, far: Floats, right: Sequence[frozenset[int]]) -> Ints:
        """`item_ranks` of `item_distances`, without the distances of all items."""
        ranks = _misses(len(far))
        for row, (distances, own) in enumerate(zip(far, right, strict=True)):
            nearest = distances[self._by_item.members(own)].min(initial=np.inf)
            if np.isfinite(nearest):
                near = np.zeros(len(self.numbers), bool)
                near[self.items[distances <= nearest]] = True
                near[list(own)] = False
                ranks[row] = 1 + np.count_nonzero(near)
        return ranks

    def _served(self, far: Floats, local: FloatArray | None) -> Floats:
        """(q, G) distances of the first search → as served: re-ranked where there is ``local``."""
        if local is None:
            return far

        def rerank(query: int, near: Ints) -> FloatArray:
            return self.encoder.rerank(local[query], self.gallery.contexts(near)).distance

        return rerank_distances(far, rerank, self.depth)

    def _ndcg(self, place: int, order: Ints) -> float:
        """NDCG of a query by the tags that it shares with the images in ``order``; keeps them."""
        kept = self.result.tag_matches
        assert self.tags is not None
        assert kept is not None
        wanted = frozenset(self.protocol.manifest[int(self.protocol.queries[place])].tags)
        matches = np.minimum(self.tags.matches(wanted), 255)  # they are kept as bytes
        counts = np.bincount(matches)
        best = np.repeat(np.arange(len(counts))[::-1], counts[::-1])[:DEPTH]
        kept.wanted[place] = len(wanted)
        kept.found[place, : len(order)] = matches[order]
        kept.best[place] = best
        share = max(1.0, float(len(wanted)))
        return ndcg_at_k(matches[order[:NDCG_K]] / share, best / share, NDCG_K)


class _Groups:
    """The members of groups 0..N-1: codes (M,) → the places that have a code, rising."""

    def __init__(self, codes: Ints, count: int) -> None:
        self._order = np.argsort(codes, kind="stable")
        self._ends = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=count))])

    def members(self, groups: Sequence[int] | frozenset[int]) -> Ints:
        """(K,) places of all members of some groups."""
        parts = [self._order[self._ends[g] : self._ends[g + 1]] for g in groups]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


class _GalleryTags:
    """Which images of a gallery have which tags.

    Attributes:
        any: whether one has a tag.
    """

    def __init__(self, manifest: Manifest, rows: Ints) -> None:
        column = manifest.table["tags"].take(rows).combine_chunks()
        names = pc.list_flatten(column).dictionary_encode()
        images = pc.list_parent_indices(column).to_numpy()
        self._codes = {name: code for code, name in enumerate(names.dictionary.to_pylist())}
        self._count, self.any = len(rows), len(names) > 0
        # A tag that an image has twice counts once.
        pairs = np.unique(names.indices.to_numpy().astype(np.int64) * len(rows) + images)
        self._images = pairs % max(1, len(rows))
        self._groups = _Groups(pairs // max(1, len(rows)), len(self._codes))

    def matches(self, wanted: frozenset[str]) -> Ints:
        """(G,) how many of some tags each image has."""
        codes = [self._codes[tag] for tag in wanted if tag in self._codes]
        found: Ints = np.bincount(
            self._images[self._groups.members(codes)], minlength=self._count
        ).astype(np.int64)
        return found


def _no_matches(count: int, gallery: int) -> TagMatches:
    shape = count, min(DEPTH, gallery)
    return TagMatches(
        np.zeros(count, np.int64), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    )


def _misses(count: int) -> Ints:
    return np.full(count, MISS, np.int64)


def _served_top(encoder: Encoder) -> int:
    bundle: Any = getattr(encoder, "bundle", None)
    return RERANK_TOP if bundle is None else int(bundle.info.rerank_top)
