"""The same protocols, answered by a live catalogue: what a shop's customers get.

Queries go through the engine: detector, encoder, index, re-ranking, one hit for each product. The
gallery is what the catalogue holds, with the crops that it was filled with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.data.protocol import Protocol
from hemline.errors import ImageError, UsageError
from hemline.evaluation.embed import BLOCK, Block, embed
from hemline.evaluation.leaks import check
from hemline.evaluation.ranker import Ranker
from hemline.evaluation.result import SHOWN, EvaluationResult
from hemline.evaluation.vectors import GalleryVectors
from hemline.progress import Advance, no_advance
from hemline.ranking.metrics import MISS
from hemline.search.clock import Clock
from hemline.search.engine import Engine
from hemline.types import SearchRequest, SearchResult

#: Products of an answer: the rank of an item behind them is a miss.
ANSWERED = 1000


def evaluate_catalog(
    catalog: Catalog,
    protocol: Protocol,
    *,
    rerank: bool = True,
    detect: bool | None = None,
    threads: int | None = None,
    advance: Advance = no_advance,
    allow_leak: bool = False,
) -> EvaluationResult:
    """Searches with every query of a protocol.

    The first `ANSWERED` products of an answer count. Products of the catalogue that the protocol's
    gallery lacks are wrong answers; products of the gallery that the catalogue lacks are misses,
    and their images are listed as skipped.

    Args:
        catalog: filled with the protocol's gallery.
        protocol: what to ask; its crop is that of the queries.
        rerank: False takes the order of the first search.
        detect: search with the garment that the detector finds; by default as the protocol's crop
            says.
        threads: of one run of a graph.
        advance: called with (queries done, queries).
        allow_leak: also measure a bundle that was trained on queries; the result says so.

    Raises:
        UsageError: the protocol searches within the query's category, the catalogue holds no image
            of the gallery, or its bundle was trained on queries.
        NoDetectorError: ``detect``, and the catalogue's bundle has no detector.
    """
    _check(protocol)
    engine = Engine(catalog, threads=threads, rerank=rerank)
    encoder, held = engine.encoder, catalog.store.counts().images
    overlap, _ = check(encoder, protocol, allow_leak)
    count, lacking = len(protocol.queries), _lacking(catalog, protocol)
    found = protocol.crop.startswith("detected") if detect is None else detect
    ids = protocol.manifest.column("image_id")
    rows = {str(ids[row]): int(row) for row in protocol.gallery.tolist()}
    ranks, top = np.full(count, MISS, np.int64), np.full((count, SHOWN), -1, np.int64)
    clock, skipped, garments = Clock(), list(lacking), 0
    for place, answer in enumerate(_answers(engine, protocol, found, clock)):
        advance(place + 1, count)
        if isinstance(answer, str):
            skipped.append((str(protocol.manifest[int(protocol.queries[place])].path), answer))
            continue
        garments += answer.box is not None
        right = [hit.rank for hit in answer.hits if hit.item_id in protocol.relevant[place]]
        ranks[place] = min(right, default=MISS)
        shown = [rows[hit.image_id] for hit in answer.hits[:SHOWN] if hit.image_id in rows]
        top[place, : len(shown)] = shown
    return EvaluationResult(
        protocol=protocol, model=encoder.name, fingerprint=encoder.fingerprint, ranks=ranks,
        first_ranks=None, average_precision=None, ndcg=None, top=top, image_ranks=None,
        skipped=skipped, seconds={k: v / 1000 for k, v in clock.timings().items() if k != "total"},
        detected={"queries": garments / max(1, count)} if found else {},
        catalog={"pictures": held, "lacking": len(lacking), "answered": ANSWERED},
        overlap=overlap, started_from=str(getattr(encoder, "started_from", "")),
    )  # fmt: skip


def _answers(
    engine: Engine, protocol: Protocol, detect: bool, clock: Clock
) -> Iterator[SearchResult | str]:
    """The answer to each query, or why its photo can't be read."""
    boxed = protocol.crop in ("query", "box") and not detect
    for row in protocol.queries.tolist():
        query = protocol.manifest[row]
        request = SearchRequest(
            photos=protocol.manifest.file(row),  # type: ignore[arg-type]  # one is accepted as well
            boxes=(query.box,) if boxed and query.box is not None else (),
            detect=detect,
            attention=False,
            k=ANSWERED,
        )
        try:
            with clock.step("queries"):
                answer = engine.answer(request)
        except ImageError as error:
            yield str(error)
        else:
            yield answer


def evaluate_stored(
    catalog: Catalog,
    protocol: Protocol,
    *,
    threads: int | None = None,
    advance: Advance = no_advance,
    allow_leak: bool = False,
) -> EvaluationResult:
    """Exact search over the vectors that a catalogue stores, without index and re-ranking.

    Raises:
        UsageError: as `evaluate_catalog`.
    """
    _check(protocol)
    encoder = catalog.encoder(threads)
    overlap, trained_on = check(encoder, protocol, allow_leak)
    lacking = _lacking(catalog, protocol)
    gallery = GalleryVectors(_stored(catalog, protocol), len(protocol.gallery), catalog.store.dim)
    ranker = Ranker(encoder, replace(protocol, gallery_sizes=()), gallery, trained_on, rerank=False)
    boxes = protocol.crop in ("query", "box")
    for block in embed(
        encoder, protocol.manifest, protocol.queries, "street", boxes=boxes, advance=advance
    ):
        ranker.add(block)
    ranker.result.skipped.extend(lacking)
    ranker.result.overlap = overlap
    return ranker.result


def _check(protocol: Protocol) -> None:
    if protocol.within_category:
        raise UsageError(
            f"protocol {protocol.name!r} searches within the query's category, which a catalogue "
            "isn't told; measure it with --all-categories"
        )


def _lacking(catalog: Catalog, protocol: Protocol) -> list[tuple[str, str]]:
    """(path, reason) of the gallery's images that the catalogue doesn't hold."""
    held = {key.image_id for key in catalog.store.row_keys()}
    manifest, ids = protocol.manifest, protocol.manifest.column("image_id")
    rows = [row for row in protocol.gallery.tolist() if str(ids[row]) not in held]
    if len(rows) == len(protocol.gallery):
        raise UsageError(
            "the catalogue holds none of the gallery's images, by their image_id; "
            "'hemline catalog add CATALOG MANIFEST' adds them"
        )
    return [(str(manifest[row].path), "not in the catalogue") for row in rows]


def _stored(catalog: Catalog, protocol: Protocol) -> Iterator[Block]:
    ids = protocol.manifest.column("image_id")
    for start in range(0, len(protocol.gallery), BLOCK):
        some = [str(ids[row]) for row in protocol.gallery[start : start + BLOCK].tolist()]
        held = catalog.store.get(set(some))
        good = np.array([name in held for name in some])
        vectors = np.zeros((len(some), catalog.store.dim), np.float32)
        norms = np.ones(len(some), np.float32)
        for place in np.flatnonzero(good).tolist():
            row = held[some[place]]
            vectors[place], norms[place] = row.embedding, row.norm
        yield Block(start, good, {"embedding": vectors, "norm": norms})
