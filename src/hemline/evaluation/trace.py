"""Where accuracy goes between a checkpoint and an answer: the same queries after each step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hemline.bundle import INFO_FILE
from hemline.catalog.catalog import Catalog
from hemline.data.protocol import Protocol
from hemline.encoding import Encoder
from hemline.errors import UsageError
from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.machine import machine
from hemline.evaluation.model import open_encoder
from hemline.evaluation.report import per_query
from hemline.evaluation.run import EvaluationResult, evaluate
from hemline.evaluation.served import evaluate_catalog, evaluate_stored
from hemline.progress import Advance, ProgressOf, no_progress
from hemline.ranking.metrics import KS

#: Each step and what it changes against the one before.
STEPS: Mapping[str, str] = {
    "checkpoint": "the trained run in float32, exact search of its own embeddings",
    "graph": "the catalogue's bundle under ONNX Runtime, exact search of its own embeddings",
    "stored": "the vectors that the catalogue stores (float16), exact search",
    "index": "the catalogue's search by index codes, best ones scored exactly",
    "rerank": "the first images re-ranked",
    "detector": "photos cropped to the garment that the detector finds",
}


def trace(
    catalog: Catalog,
    protocol: Protocol,
    *,
    checkpoint: str | Path | Encoder | None = None,
    skip: Collection[str] = (),
    ks: Sequence[int] = KS,
    cache: Path | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: ProgressOf = no_progress,
    allow_leak: bool = False,
) -> dict[str, Any]:
    """Measures the same queries after each of `STEPS`.

    A step that doesn't apply is left out and says why.

    Args:
        catalog: filled with the protocol's gallery.
        protocol: what to ask.
        checkpoint: the run that the catalogue's bundle was exported from.
        skip: steps to leave out.
        ks, seed: of the recalls and the bootstrap.
        cache, threads: as of `hemline.evaluation.api.evaluate`.
        progress: a title → a context manager that yields ``advance(done, total)``.
        allow_leak: also measure a model that was trained on queries; the result says so.

    Returns:
        ``protocol``, ``model``, ``training_overlap``, ``queries``, ``steps`` (each with ``name``,
        ``what``, ``figures`` and, from the second on, ``difference`` from the step before:
        ``value``, ``low``, ``high``) and ``skipped`` (``name``, ``reason``).

    Raises:
        UsageError: an unknown step, or the protocol doesn't suit a catalogue
            (`hemline.evaluation.served`).
    """
    unknown = sorted(set(skip) - set(STEPS))
    if unknown:
        raise UsageError(f"no step {unknown[0]!r}; the steps are {', '.join(STEPS)}")
    asked = replace(protocol, gallery_sizes=())
    skipped = _reasons(catalog, protocol, checkpoint) | dict.fromkeys(skip, "skipped as asked")
    results: dict[str, EvaluationResult] = {}
    for name in STEPS:
        if name not in skipped:
            with progress(name) as advance:
                step = _Step(catalog, asked, threads, advance, allow_leak)
                again = name != "index" and "rerank" not in skip
                results[name] = step.measure(name, checkpoint, cache, again)
    return {
        "protocol": dict(protocol.choices),
        "model": catalog.bundle.info.name,
        "fingerprint": catalog.bundle.fingerprint,
        "training_overlap": next(iter(results.values())).overlap.as_json() if results else {},
        "queries": len(protocol.queries),
        "gallery": len(protocol.gallery),
        "steps": _figures(results, ks, seed),
        "skipped": [{"name": n, "reason": skipped[n]} for n in STEPS if n in skipped],
        "interval": {"level": 0.95, "method": "bootstrap over products, percentiles", "seed": seed},
        "machine": machine(),
    }


@dataclass(frozen=True)
class _Step:
    """What every step needs."""

    catalog: Catalog
    protocol: Protocol
    threads: int | None
    advance: Advance
    allow_leak: bool

    def measure(
        self, name: str, checkpoint: str | Path | Encoder | None, cache: Path | None, rerank: bool
    ) -> EvaluationResult:
        if name in ("checkpoint", "graph"):
            run = checkpoint if name == "checkpoint" else None
            encoder = _encoder(self.catalog, run, self.threads)
            return evaluate(
                encoder, self.protocol, rerank=False, cache=cache, advance=self.advance,
                allow_leak=self.allow_leak,
            )  # fmt: skip
        if name == "stored":
            return evaluate_stored(
                self.catalog,
                self.protocol,
                threads=self.threads,
                advance=self.advance,
                allow_leak=self.allow_leak,
            )
        return evaluate_catalog(
            self.catalog, self.protocol, rerank=rerank, detect=name == "detector",
            threads=self.threads, advance=self.advance, allow_leak=self.allow_leak,
        )  # fmt: skip


def _reasons(
    catalog: Catalog, protocol: Protocol, checkpoint: str | Path | Encoder | None
) -> dict[str, str]:
    info, found = catalog.bundle.info, {}
    if checkpoint is None:
        found["checkpoint"] = "no checkpoint was named"
    if not catalog.encoder().reranks:
        found["rerank"] = "the bundle doesn't re-rank"
    if info.detector is None:
        found["detector"] = "the bundle has no detector"
    elif protocol.crop in ("query", "box"):
        found["detector"] = "the protocol crops photos to their annotated box"
    return found


def _encoder(
    catalog: Catalog, checkpoint: str | Path | Encoder | None, threads: int | None
) -> Encoder:
    if checkpoint is None:
        return catalog.encoder(threads)
    if not isinstance(checkpoint, str | Path):
        return checkpoint
    if (Path(checkpoint) / INFO_FILE).is_file():
        raise UsageError(f"{checkpoint} is a bundle; --checkpoint is the run it was exported from")
    return open_encoder(str(checkpoint), threads)


def _figures(
    results: Mapping[str, EvaluationResult], ks: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    before: EvaluationResult | None = None
    for name, result in results.items():
        values, items = per_query([result], ks), result.items
        kept = [measure for measure in values if measure.startswith("recall") or measure == "mrr"]
        step: dict[str, Any] = {
            "name": name,
            "what": STEPS[name],
            "figures": {m: cluster_interval(values[m], items, seed=seed)._asdict() for m in kept},
            "seconds": round(sum(result.seconds.values()), 1),
            "skipped": len(result.skipped),
        }
        if result.detected:
            step["detected"] = result.detected["queries"]
        if before is not None:
            earlier = per_query([before], ks)
            step["difference"] = {
                m: paired_difference(values[m], earlier[m], items, seed=seed)._asdict()
                for m in kept
            }
        steps.append(step)
        before = result
    return steps
