"""Recall on real photos of the whole photo, the detector's best garment and the framed garment.

    python benchmarks/detected_queries.py --bundle hemline-small [--split val] [--work FOLDER]

The rows `worn` and `dressed` of ``real_photos.py`` (whose pictures it makes in ``--work``), their
queries cut in three ways. The detector chooses without knowing which garment is asked for. The
difference to the whole photo is paired, with a 95 % interval over items. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from real_photos import Sets

from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.run import evaluate
from hemline.ranking.metrics import hits_at_k
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder

CROPS = {"whole photo": "none", "detected": "detected-query", "framed": "query"}


def measure(sets: Sets, bundle: Bundle, ranks: tuple[int, ...] = (1, 5, 20)) -> dict[str, Any]:
    """Recall at each rank of each row and cut, and the gain over the whole photo."""
    encoder = BundleEncoder(bundle, threads=1)
    found: dict[str, Any] = {}
    for name in ("worn", "dressed"):
        whole: dict[int, Any] = {}
        for words, crop in CROPS.items():
            result = evaluate(encoder, sets.protocol(name, crop), workers=1)
            row: dict[str, Any] = {"queries": len(result.ranks)}
            for k in ranks:
                hits = hits_at_k(result.ranks, k).astype(float)
                whole.setdefault(k, hits)
                at = cluster_interval(hits, result.items)
                gain = paired_difference(hits, whole[k], result.items)
                row[f"recall@{k}"] = [round(v, 4) for v in at]
                row[f"over the whole photo@{k}"] = [round(v, 4) for v in gain]
            found[f"{name}, {words}"] = row
            print(name, words, row, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", default="hemline-small")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--work", type=Path, help="folder of the pictures; kept for the next run")
    chosen = parser.parse_args()
    bundle = Bundle.open(chosen.bundle)
    with tempfile.TemporaryDirectory() as temporary:
        sets = Sets(chosen.work or Path(temporary), chosen.split)
        print(json.dumps(measure(sets, bundle), indent=1))


if __name__ == "__main__":
    main()
