"""How much of an inverted-file layout has to be looked into, on the catalogue's own codes.

    python benchmarks/lists.py

The same 4-bit codes (`hemline.search.catalog._codes`) of 400,000 made vectors (`_vectors.py`) lie
in one list, or in 128 of which a share is scanned. Writes ``benchmarks/results/lists.json``: for
each share how many of the exact 20 and 256 nearest are among the candidates.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from _system import machine
from _vectors import CHUNK, Made

from hemline.search.catalog._codes import Codes
from hemline.search.catalog._settings import Settings

COUNT, DIM, LISTS, QUERIES = 400_000, 256, 128, 100
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)


def main() -> None:
    source = Made(DIM)
    chunks = COUNT // CHUNK
    queries = source.queries(chunks, QUERIES)
    vectors = np.concatenate([source.chunk(number).vectors for number in range(chunks)])
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :256]
    one = Settings(parts_rows=0, lists_rows=COUNT + 1)
    layouts: list[tuple[float, Settings]] = [(1.0, one)]
    layouts += [
        (share, Settings(parts_rows=0, lists_rows=0, lists=LISTS, probes=int(share * LISTS)))
        for share in SHARES
    ]
    rows: list[dict[str, Any]] = []
    codes = None
    for share, settings in layouts:
        if codes is None or len(rows) == 1:  # once for each layout
            sample = vectors[np.random.default_rng(0).permutation(COUNT)[: settings.sample(COUNT)]]
            codes = Codes.train(sample, COUNT, settings)
            for start in range(0, COUNT, CHUNK):
                codes.add(np.arange(start, start + CHUNK), vectors[start : start + CHUNK])
        codes.settings = settings
        row: dict[str, Any] = {"lists": 1 if share == 1 else LISTS, "share": share}
        for k in (20, 256):
            want, found = settings.candidates(k, COUNT), 0.0
            for query, right in zip(queries, exact, strict=True):
                slots = codes.candidates(query[None], want, None, COUNT)[0]
                found += len(set(slots.tolist()) & set(right[:k].tolist())) / k
            row[f"recall@{k}"] = round(found / QUERIES, 4)
        rows.append(row)
        print(row, flush=True)
    result = {"count": COUNT, "dim": DIM, "queries": QUERIES, "rows": rows, "machine": machine()}
    target = Path(__file__).with_name("results") / "lists.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
