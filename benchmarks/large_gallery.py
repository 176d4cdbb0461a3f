"""Time and memory of ranking many queries in a large gallery, with random vectors.

The images, their decoding and the encoder are left out: vectors are drawn. All else is what
``hemline evaluate`` does: protocol, mapped embeddings, exact search, measures, intervals, report.

    python benchmarks/large_gallery.py                      # 50,000 queries, 500,000 images
    python benchmarks/large_gallery.py --queries 2000 --gallery 50000 --limit 1000

``--limit`` is a hard bound on the process's own memory in MB (RLIMIT_DATA): what needs more fails.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

# Arrow's other allocators reserve a gigabyte of addresses, which would count as used.
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"

import numpy as np
import pyarrow as pa
from _system import memory

from hemline.data.manifest import Manifest
from hemline.datasets import build
from hemline.evaluation import vectors
from hemline.evaluation.embed import BLOCK, Block
from hemline.evaluation.machine import machine
from hemline.evaluation.ranker import Ranker
from hemline.evaluation.report import report
from hemline.evaluation.vectors import GalleryVectors
from hemline.types import Record


class Drawn:
    """An encoder in name only: its vectors are drawn."""

    name, fingerprint, reranks = "drawn", "drawn", False

    def __init__(self, dim: int) -> None:
        self.embedding_dim = dim


def made_manifest(queries: int, gallery: int) -> Manifest:
    """Query q shows item q; every item of the gallery has one image."""
    record = Record("p", "p", "i", "shop", "", split="test")
    schema = Manifest.from_records([record], Path()).table.schema
    count = gallery + queries
    item = [f"item{n:07d}" for n in [*range(gallery), *range(queries)]]
    columns: dict[str, object] = {
        "image_id": [f"{n}.jpg" for n in range(count)],
        "path": [f"{n}.jpg" for n in range(count)],
        "item_id": item,
        "domain": ["shop"] * gallery + ["street"] * queries,
        "split": ["test"] * count,
        "category": [f"kind{n % 20}" for n in range(gallery)] + ["kind0"] * queries,
    }
    table = pa.table(
        {
            field.name: pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.array([_blank(field.type)] * count, field.type)
            for field in schema
        },
        schema=schema,
    )
    return Manifest(table, Path())


def _blank(kind: pa.DataType) -> object:
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return None if pa.types.is_fixed_size_list(kind) else []
    return "" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None


def drawn(count: int, dim: int, noise: float) -> Iterator[Block]:
    """Unit vectors of items 0 … count-1, each block by its own seed, with noise."""
    other = np.random.default_rng(99)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        rows = np.random.default_rng(start).normal(size=(BLOCK, dim))[:size].astype(np.float32)
        if noise:
            rows += other.normal(scale=noise, size=rows.shape).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        arrays = {"embedding": rows, "norm": np.ones(size, np.float32)}
        yield Block(start, np.ones(size, bool), arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=50_000)
    parser.add_argument("--gallery", type=int, default=500_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--limit", type=int, default=4000, help="MB")
    parser.add_argument("--mapped", action="store_true", help="map also a small gallery")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    bound = options.limit * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    if options.mapped:
        vectors.IN_MEMORY = 0
    wall, cpu = time.perf_counter(), time.process_time()
    (part,) = build("default", made_manifest(options.queries, options.gallery))
    dim, encoder = options.dim, Drawn(options.dim)
    gallery = GalleryVectors(drawn(options.gallery, dim, 0.0), options.gallery, dim)
    ranker = Ranker(encoder, part, gallery, np.zeros(options.gallery, bool))  # type: ignore[arg-type]
    for block in drawn(options.queries, dim, 1.5):
        ranker.add(block)
    result = report([ranker.result])
    peak = memory()["peak"]  # not ru_maxrss, which begins at the parent's
    found = {
        "queries": options.queries,
        "gallery": options.gallery,
        "dimensions": dim,
        "limit_mb": options.limit,
        "peak_resident_mb": round(peak / 1e6),
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "recall@1": result["recall@1"],
        "recall@50": result["recall@50"],
        "result_mb": round(len(json.dumps(result)) / 1e6, 1),
        "machine": machine(),
    }
    text = json.dumps(found, indent=2)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
