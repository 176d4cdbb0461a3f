"""One measurement: a model, a protocol, and the rank of each query's item.

The first search is by Euclidean distance; where the model re-ranks, the first images are ordered
anew (`hemline.ranking.merge`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hemline.data.protocol import Protocol
from hemline.encoding import Detector, Encoder
from hemline.evaluation.detected import detector_for, with_detected_boxes
from hemline.evaluation.embed import Block, embed
from hemline.evaluation.leaks import check
from hemline.evaluation.ranker import Ranker
from hemline.evaluation.result import EvaluationResult, Ints
from hemline.evaluation.vectors import GalleryVectors
from hemline.progress import Advance, no_advance
from hemline.search.clock import Clock
from hemline.types import Domain

__all__ = ["EvaluationResult", "evaluate"]


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
    allow_leak: bool = False,
) -> EvaluationResult:
    """Embeds both sides and ranks every query; never holds a queries × gallery matrix.

    The embeddings of a large gallery lie in a mapped file (`hemline.evaluation.vectors`). An image
    that can't be read is left out of the gallery, or counted as a miss.

    Args:
        encoder: a checkpoint or a bundle.
        protocol: queries, gallery and which items are right.
        rerank, rerank_top: whether to re-rank, and how many images; by default the bundle's number.
        cache: folder that keeps the embeddings (`hemline.evaluation.embed`), or None.
        workers: threads that decode images.
        advance: called with (images done, images).
        detector: finds the boxes of the crops ``detected`` and ``detected-query``; the one of the
            model's bundle by default, or of the bundle that ships.
        allow_leak: also measure a model that was trained on queries; the result says so.

    Raises:
        DataError: a whole side can't be read, or the model's record of its training.
        UsageError: the embeddings aren't finite, or the model was trained on queries.
    """
    clock = Clock()
    with clock.step("comparing with training"):
        overlap, trained_on = check(encoder, protocol, allow_leak)
    cut, detected = _cut(encoder, protocol, detector, workers, clock)
    crops = {"street": cut.crop in ("query", "box"), "shop": cut.crop == "box"}

    def embedded(rows: Ints, domain: Domain, before: int) -> Iterator[Block]:
        every = len(cut.gallery) + len(cut.queries)
        return embed(
            encoder, cut.manifest, rows, domain, boxes=crops[domain], cache=cache, workers=workers,
            advance=lambda done, _: advance(before + done, every),
        )  # fmt: skip

    with clock.step("gallery"):
        blocks = embedded(cut.gallery, "shop", 0)
        gallery = GalleryVectors(blocks, len(cut.gallery), encoder.embedding_dim, cache)
        ranker = Ranker(encoder, cut, gallery, trained_on, rerank=rerank, rerank_top=rerank_top)
    queries = embedded(cut.queries, "street", len(cut.gallery))
    while True:
        with clock.step("queries"):
            block = next(queries, None)
        if block is None:
            break
        with clock.step("ranking"):
            ranker.add(block)
    ranker.result.overlap, ranker.result.seconds = overlap, _seconds(clock)
    return replace(_told(ranker.result, protocol, cut), detected=detected)


def _told(result: EvaluationResult, asked: Protocol, cut: Protocol) -> EvaluationResult:
    """The result of the protocol that was asked for, which says how many images were cropped."""
    return replace(result, protocol=replace(asked, choices=cut.choices))


def _cut(
    encoder: Encoder, protocol: Protocol, detector: Detector | None, workers: int, clock: Clock
) -> tuple[Protocol, dict[str, float]]:
    """The protocol with a detector's boxes, where its crop asks for them, and their shares."""
    if not protocol.crop.startswith("detected"):
        return protocol, {}
    with clock.step("detecting"):
        found = with_detected_boxes(protocol, detector or detector_for(encoder), workers)
    told = {**protocol.choices, "crop": found.told(protocol)}
    return replace(found.protocol, choices=told), {
        "queries": found.queries,
        "gallery": found.gallery,
    }


def _seconds(clock: Clock) -> dict[str, float]:
    steps = {"gallery": 0.0, "queries": 0.0, "ranking": 0.0, **clock.timings()}
    return {name: ms / 1000 for name, ms in steps.items() if name != "total"}
