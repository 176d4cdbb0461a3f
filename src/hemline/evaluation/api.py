"""Evaluation from Python: `evaluate`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hemline.catalog import folders
from hemline.catalog.catalog import Catalog
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.datasets import build
from hemline.encoding import Encoder
from hemline.evaluation.model import open_encoder
from hemline.evaluation.predicted import predictions as predictions
from hemline.evaluation.report import by_column, compare, report
from hemline.evaluation.run import EvaluationResult
from hemline.evaluation.run import evaluate as evaluate_protocol
from hemline.evaluation.served import evaluate_catalog
from hemline.progress import ProgressOf, no_progress
from hemline.ranking.metrics import KS

#: A model: the folder of a run, a bundle or a catalogue, a shipped bundle's name, or an encoder.
Model = str | os.PathLike[str] | Encoder


def evaluate(
    model: Model,
    manifest: str | os.PathLike[str] | Manifest,
    protocol: str = "default",
    *,
    choices: Choices | None = None,
    against: Sequence[Model] = (),
    slices: Sequence[str] = (),
    ks: Sequence[int] = KS,
    rerank: bool = True,
    cache: Path | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: ProgressOf = no_progress,
    allow_leak: bool = False,
    labels: bool = False,
) -> dict[str, Any]:
    """Measures how often a model ranks the right item first.

    Args:
        model: a run's folder, a bundle's folder, the name of a shipped bundle, an encoder such as
            `hemline.load` returns, or a catalogue's folder, whose answers are measured.
        manifest: the queries and the gallery, or their file.
        protocol: which rows are queries and gallery, and what counts as a match.
        choices: what differs from the protocol: crop, fold, and so on.
        against: other models on the same queries, for paired differences.
        slices: columns of the manifest; recall is also reported for each of their values.
        ks: the k of the recalls, each from 1.
        rerank: False measures the first search alone.
        cache: a folder that keeps the embeddings; a second run reads them.
        seed: of the bootstrap.
        threads: of one run of a bundle's graphs.
        progress: a title → a context manager that yields ``advance(done, total)``.
        allow_leak: also measure a model that was trained on queries; the report says so.
        labels: also measure the tags and landmarks that a run predicts, as ``labels``.

    Returns:
        The report that ``hemline evaluate --json`` prints: ``recall@1`` … as shares 0-1,
        ``intervals`` (95 %, bootstrap over products), ``protocol``, ``model``, ``against`` ….

    Raises:
        UsageError: no such protocol or column, embeddings that are not finite, or a model that was
            trained on queries.
        DataError: the manifest lacks what the protocol needs, or no image can be read.
        BundleError: no such model.
    """
    parts, columns = prepare(manifest, protocol, choices, slices)

    def run(which: Model) -> list[EvaluationResult]:
        return measure(
            which, parts, rerank=rerank, cache=cache, threads=threads, progress=progress,
            allow_leak=allow_leak,
        )  # fmt: skip

    others = (run(other) for other in against)
    found = full_report(run(model), others, columns, seed, ks)
    if labels:
        found["labels"] = predictions(model, parts, progress)
    return found


def prepare(
    manifest: str | os.PathLike[str] | Manifest,
    protocol: str,
    choices: Choices | None = None,
    slices: Sequence[str] = (),
) -> tuple[tuple[Protocol, ...], tuple[str, ...]]:
    """The parts of a protocol (folds, categories) over a manifest, and the columns to slice by."""
    rows = manifest if isinstance(manifest, Manifest) else Manifest.read(manifest)
    parts = build(protocol, rows, choices)
    columns = tuple(dict.fromkeys([*slices, *parts[0].slices]))
    for column in columns:
        rows.column(column)  # an unknown column fails before the work, not after
    return parts, columns


def measure(
    model: Model,
    parts: Sequence[Protocol],
    *,
    rerank: bool = True,
    cache: Path | None = None,
    threads: int | None = None,
    progress: ProgressOf = no_progress,
    allow_leak: bool = False,
) -> list[EvaluationResult]:
    """The ranks of every query, for each part of a protocol."""
    if isinstance(model, str | os.PathLike) and folders.find(Path(model)) is not None:
        with Catalog.open(model) as catalog:
            return [
                _answered(catalog, part, rerank, threads, progress, allow_leak) for part in parts
            ]
    if isinstance(model, str | os.PathLike):
        encoder: Encoder = open_encoder(os.fspath(model), threads)
    else:
        encoder = model
    results = []
    for part in parts:
        with progress(f"{encoder.name}, {part.name}") as advance:
            results.append(
                evaluate_protocol(
                    encoder,
                    part,
                    rerank=rerank,
                    cache=cache,
                    advance=advance,
                    allow_leak=allow_leak,
                )
            )
    return results


def _answered(
    catalog: Catalog,
    part: Protocol,
    rerank: bool,
    threads: int | None,
    progress: ProgressOf,
    allow_leak: bool,
) -> EvaluationResult:
    with progress(f"{catalog.bundle.info.name}, {part.name}") as advance:
        return evaluate_catalog(
            catalog, part, rerank=rerank, threads=threads, advance=advance, allow_leak=allow_leak
        )


def full_report(
    results: Sequence[EvaluationResult],
    against: Iterable[Sequence[EvaluationResult]],
    columns: Sequence[str],
    seed: int,
    ks: Sequence[int] = KS,
) -> dict[str, Any]:
    """The report with the paired differences to other models and the figures by column."""
    found = report(results, ks=ks, seed=seed)
    differences = [compare(results, other, ks=ks, seed=seed) for other in against]
    if differences:
        found["against"] = differences
    if columns:
        found["slices"] = {column: by_column(results, column) for column in columns}
    return found
