"""How much of an inverted-file layout has to be looked into, on the catalogue's own codes.

    python benchmarks/lists.py
    python benchmarks/lists.py --count 200000 --dim 128

The same 4-bit codes (`hemline.catalog.index`) of made vectors (`_vectors.py`) lie in one
list, or in 128, the cells of a k-means, of which a share is scanned: the k-means that the Siamese
paper proposes to shrink the search. Writes ``benchmarks/results/lists.json``, an entry for each
size: for each share how many of the exact 20 and 256 nearest are among the candidates, and the
processor's milliseconds for a query's candidates (other work on the machine doesn't count);
``exact_ms`` is a scan of the vectors themselves.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from _system import machine
from _vectors import CHUNK, Made

from hemline.catalog.index.codes import Codes
from hemline.catalog.index.scan import threads
from hemline.catalog.settings import StoreSettings

LISTS, QUERIES = 128, 100
RESULTS = Path(__file__).with_name("results") / "lists.json"
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)


def measure(count: int, dim: int) -> dict[str, Any]:
    """Recall and time of one list, and of each share of many."""
    source = Made(dim)
    chunks = count // CHUNK
    queries = source.queries(chunks, QUERIES)
    vectors = np.concatenate([source.chunk(number).vectors for number in range(chunks)])
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :256]
    one = StoreSettings(parts_rows=count + 1, lists_rows=count + 1)
    layouts: list[tuple[float, StoreSettings]] = [(1.0, one)]
    layouts += [
        (
            share,
            StoreSettings(
                parts_rows=count + 1, lists_rows=0, lists=LISTS, probes=int(share * LISTS)
            ),
        )
        for share in SHARES
    ]
    began = time.process_time()
    with threads(1):
        for query in queries:
            np.argpartition(-(vectors @ query), 20)
    whole = round(1000 * (time.process_time() - began) / QUERIES, 3)
    rows: list[dict[str, Any]] = []
    codes = None
    for share, settings in layouts:
        if codes is None or len(rows) == 1:  # once for each layout
            sample = vectors[np.random.default_rng(0).permutation(count)[: settings.sample(count)]]
            codes = Codes.train(sample, count, settings)
            for start in range(0, count, CHUNK):
                codes.add(np.arange(start, start + CHUNK), vectors[start : start + CHUNK])
        codes.settings = settings
        row: dict[str, Any] = {"lists": 1 if share == 1 else LISTS, "share": share}
        for k in (20, 256):
            want, found = settings.candidates(k, count), 0.0
            codes.candidates(queries[:1], want, None, count)
            began = time.process_time()
            slots = [codes.candidates(query[None], want, None, count)[0] for query in queries]
            row[f"ms@{k}"] = round(1000 * (time.process_time() - began) / QUERIES, 3)
            for own, right in zip(slots, exact, strict=True):
                found += len(set(own.tolist()) & set(right[:k].tolist())) / k
            row[f"recall@{k}"] = round(found / QUERIES, 4)
        rows.append(row)
        print(row, flush=True)
    return {
        "count": count,
        "dim": dim,
        "queries": QUERIES,
        "exact_ms": whole,
        "rows": rows,
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=400_000, help=f"vectors, in {CHUNK}s")
    parser.add_argument("--dim", type=int, default=256)
    given = parser.parse_args()
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    known[f"{given.count} x {given.dim}"] = measure(given.count, given.dim)
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
