"""What an evaluation found: the rank of every query's item, and what other measures need."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hemline.data.protocol import Protocol
from hemline.evaluation.leaks import Overlap

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

#: Items kept for each query (for sheets of failures), NDCG's k, and the ranks that are kept so that
#: other measures need no second search.
SHOWN, NDCG_K, DEPTH = 10, 20, 1000


@dataclass(slots=True)
class TagMatches:
    """How many tags the first images of each query share with it.

    Attributes:
        wanted: (Q,) number of tags of the query.
        found: (Q, K) of the first K images, best first.
        best: (Q, K) the K largest numbers of the whole gallery, falling.
    """

    wanted: Ints
    found: npt.NDArray[np.uint8]
    best: npt.NDArray[np.uint8]


@dataclass(slots=True)
class EvaluationResult:
    """What one protocol gave; every array has one entry for each query, in the protocol's order.

    Attributes:
        protocol, model, fingerprint: what was measured.
        ranks: (Q,) item rank as served, from 1; `MISS` where the item isn't found.
        first_ranks: (Q,) the same before re-ranking, or None where the model doesn't re-rank.
        average_precision: (Q,) over images, or None where only items were ranked.
        ndcg: (Q,) NDCG@20 of matched tags, or None where the manifest has no tags.
        top: (Q, 10) manifest rows of the first items' best images, -1 where there are fewer.
        image_ranks: (Q,) rank of the first right image among images, as papers count, or None.
        ranks_by_size: size of a smaller gallery → (Q,) item rank in it (`Protocol.gallery_sizes`).
        skipped: (path, reason) of images that couldn't be read.
        seconds: of each step.
        catalog: of a live catalogue that answered, its ``pictures``, those of the gallery that it
            is ``lacking``, and how many products of an answer count (``answered``).
        right_ranks: Q times the ranks (R,) of the right images among images, up to `DEPTH`.
        right_total: (Q,) number of right images in the gallery.
        tag_matches: what NDCG at any k up to `DEPTH` needs, where the manifest has tags.
        detected: side → share of its images with a garment found, for the crops that detect.
        overlap: how much of the protocol the model was trained on.
        started_from: what the model's training started from; empty where it isn't known.
        unseen_ranks: (Q,) item rank without the distractors that were trained on, or None where
            there are none.
        dimensions: of an embedding; 0 where embeddings weren't compared here.
        search_seconds: the processor's, of all queries' exact search for their first `DEPTH` images
            by embeddings.
    """

    protocol: Protocol
    model: str
    fingerprint: str
    ranks: Ints
    first_ranks: Ints | None
    average_precision: Doubles | None
    ndcg: Doubles | None
    top: Ints
    image_ranks: Ints | None
    ranks_by_size: dict[int, Ints] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    detected: dict[str, float] = field(default_factory=dict)
    catalog: dict[str, int] = field(default_factory=dict)
    right_ranks: list[Ints] = field(default_factory=list)
    right_total: Ints | None = None
    tag_matches: TagMatches | None = None
    overlap: Overlap = field(default_factory=Overlap)
    started_from: str = ""
    unseen_ranks: Ints | None = None
    dimensions: int = 0
    search_seconds: float = 0.0

    @property
    def items(self) -> list[str]:
        """(Q,) item of each query."""
        column = self.protocol.manifest.column("item_id")
        return [str(column[row]) for row in self.protocol.queries]
