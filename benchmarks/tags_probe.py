"""Which of the generator's tags the shipped bundle can see, beside tags that nobody can see.

    hemline data make -o DATA --products 600 --seed 23 --street-views 1
    python benchmarks/tags_probe.py DATA/manifest.parquet --write

Probes every tag of the drawn shop pictures as `hemline evaluate hemline-small DATA --probe tags`
does. As a control each product also gets the colour and the collar of another product
(``shuffled-color``, ``shuffled-collar``) and forty coin tosses (``coin-1=heads`` or ``tails``):
what the probe calls seen among these is wrong.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.evaluation.model import open_encoder
from hemline.evaluation.probe import embed_images, probe_images

RESULTS = Path(__file__).with_name("results") / "tags_probe.json"
COINS = 40


def with_controls(manifest: Manifest, seed: int) -> Manifest:
    """The shop rows with shuffled colours and collars, and coin tosses, as further tags."""
    shop = manifest.select(manifest.column("domain") == "shop")
    rng = np.random.default_rng(seed)
    tags = [list(of_row) for of_row in shop.column("tags")]
    for name in ("color", "collar"):
        having = [row for row, of in enumerate(tags) if any(t.startswith(f"{name}=") for t in of)]
        values = [next(t for t in tags[row] if t.startswith(f"{name}=")) for row in having]
        for row, other in zip(having, rng.permutation(len(having)), strict=True):
            tags[row].append(f"shuffled-{values[other]}")
    for coin in range(COINS):
        for row, heads in enumerate(rng.random(len(tags)) < 0.5):
            tags[row].append(f"coin-{coin}={'heads' if heads else 'tails'}")
    return shop.with_column("tags", pa.array(tags, pa.list_(pa.string())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--products", type=int, default=600, help="only the first ones")
    parser.add_argument("--model", default="hemline-small")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    manifest = Manifest.read(options.data)
    first = sorted(set(manifest.column("item_id")))[: options.products]
    mine = np.isin(manifest.column("item_id").astype(str), first)
    manifest = with_controls(manifest.select(mine), seed=0)
    begin = time.process_time()
    encoder = open_encoder(options.model, 1)
    report = probe_images(encoder, embed_images(encoder, manifest))
    seconds = time.process_time() - begin
    names: dict[str, Counter[str]] = {}
    areas: dict[str, list[float]] = {}
    for one in report["tags"]:
        name = one["tag"].partition("=")[0]
        name = "coin tosses" if name.startswith("coin-") else name
        names.setdefault(name, Counter())[one["verdict"]] += 1
        if one["auc"] == one["auc"]:
            areas.setdefault(name, []).append(one["auc"])
    summary = {
        name: {**count, "median AUC": round(float(np.median(areas.get(name, [np.nan]))), 3)}
        for name, count in sorted(names.items())
    }
    for name, one in summary.items():
        print(f"{name:18}", *(f"{key} {value}" for key, value in one.items()))
    if options.write:
        told = [
            {key: round(v, 4) if isinstance(v, float) and v == v else None if v != v else v
             for key, v in one.items()}
            for one in report["tags"]
        ]  # fmt: skip
        result = {
            "data": manifest.fingerprint(),
            "CPU seconds": round(seconds, 1),
            "names": summary,
            **report,
            "tags": told,
        }
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written: {RESULTS}")


if __name__ == "__main__":
    main()
