"""Near duplicates: what the thresholds let through on real photos, and the time for 500,000 hashes.

    python benchmarks/near_duplicates.py MANIFEST… [--sheets FOLDER] [--count 500000]

For each manifest, pairs of pictures whose perceptual hashes are close are compared in detail; the
table gives how many pairs have so many agreeing details, and ``--sheets`` draws a sample of each
row, for a person to judge. The judgement of the real sets stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hemline.data.checking.inspection import colours, inspect_image, prints
from hemline.data.checking.keypoints import Matcher
from hemline.data.checking.near_duplicates import POINTS, candidates, close_pairs
from hemline.data.images import in_order, open_image
from hemline.data.manifest import Manifest
from hemline.evaluation.machine import machine
from hemline.limits import MAX_PIXELS

EDGES = (0, 8, 12, 20, 40, 80, 1000)


def pairs_of(path: Path, sheets: Path | None, workers: int) -> dict[str, Any]:
    """Counts of look-alike pairs by agreeing details, and sheets of each."""
    manifest = Manifest.read(path)
    files = list(dict.fromkeys(manifest.files()))
    seen = [
        one for _, one in in_order(lambda file: inspect_image(file, MAX_PIXELS), files, workers)
    ]
    kept = [n for n, one in enumerate(seen) if one.pixels]
    files, seen = [files[n] for n in kept], [seen[n] for n in kept]
    found, left_out = candidates(prints(seen), colours(seen), flips=2)
    matcher = Matcher()
    clock = time.perf_counter()
    points = [
        count
        for _, count in in_order(
            lambda pair: matcher.points(files[pair[0]], files[pair[1]]), found.tolist(), workers
        )
    ]
    seconds = time.perf_counter() - clock
    rows = []
    for low, high in pairwise(EDGES):
        some = [n for n, count in enumerate(points) if low <= count < high]
        rows.append({"points": [low, high], "pairs": len(some)})
        if sheets is not None and some:
            chosen = np.random.default_rng(0).permutation(some)[:25]
            _sheet([found[n] for n in chosen], files, sheets / f"{path.stem}-{low:04d}.jpg")
    return {
        "manifest": path.name,
        "fingerprint": manifest.fingerprint(),
        "pictures": len(files),
        "look_alikes": len(found),
        "left_out": left_out,
        "seconds_comparing": round(seconds, 1),
        "by_points": rows,
    }


def _sheet(pairs: list[Any], files: list[Path], path: Path) -> None:
    tiles = []
    for a, b in pairs:
        both = [cv2.resize(open_image(files[n]), (150, 190)) for n in (a, b)]
        tiles.append(cv2.copyMakeBorder(np.hstack(both), 3, 3, 3, 6, cv2.BORDER_CONSTANT))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 5)
    lines = [np.hstack(tiles[n : n + 5]) for n in range(0, len(tiles), 5)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))


def many(count: int) -> dict[str, Any]:
    """Time to bucket random hashes of which a tenth is nearly another one; all must be found."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    twins = count // 10
    turned = np.zeros(twins, np.uint64)
    for _ in range(7):
        turned |= np.uint64(1) << rng.integers(0, 64, twins).astype(np.uint64)
    hashes[:twins] = hashes[twins : 2 * twins] ^ turned
    clock = time.perf_counter()
    pairs, _, left_out = close_pairs(hashes)
    seconds = time.perf_counter() - clock
    planted = int(((pairs[:, 1] - pairs[:, 0]) == twins).sum())
    return {
        "hashes": count,
        "seconds": round(seconds, 1),
        "planted": twins,
        "planted_found": planted,
        "pairs": len(pairs),
        "left_out": left_out,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifests", nargs="*", type=Path)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--count", type=int, default=500_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(args.workers)
    result = {
        "threshold": POINTS,
        "sets": [pairs_of(path, args.sheets, args.workers) for path in args.manifests],
        "many": many(args.count) if args.count else None,
        "machine": machine(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
