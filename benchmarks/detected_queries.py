"""Recall on real photos of the whole photo, the detector's best garment, every garment that it
finds together with the whole photo, and the framed garment.

    python benchmarks/detected_queries.py --split test -o FILE [--bundle BUNDLE] [--work FOLDER]

The rows `worn` and `dressed` of ``real_photos.py`` (whose pictures it makes in ``--work``), their
queries cut in these ways. The detector chooses without knowing which garment is asked for. *Every
garment* is what `hemline search` does: an image's similarity is the highest of those to the photo
and to each garment. The difference to the whole photo is paired, with a 95 % interval over items.
Writes JSON, of the test split to ``benchmarks/results/detected_queries.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from real_photos import Sets

from hemline.data.images import crop, open_image
from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.run import evaluate
from hemline.limits import MOST_GARMENTS
from hemline.ranking.metrics import hits_at_k
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, garment_boxes
from hemline.runtime.encoder import BundleEncoder

CROPS = {"whole photo": "none", "detected": "detected-query", "framed": "query"}


def ranks_of_every(sets: Sets, name: str, encoder: BundleEncoder) -> npt.NDArray[np.int64]:
    """(Q,) rank of each photo's item, from 1, by the photo and every garment found in it."""
    protocol, detector = sets.protocol(name, "none"), BundleDetector(encoder.bundle, 1)
    manifest = protocol.manifest
    items = np.asarray(manifest.column("item_id"), dtype=np.str_)
    gallery = np.concatenate(
        [
            encoder.encode_shop([open_image(manifest.file(int(row)))], [[]]).embedding
            for row in protocol.gallery
        ]
    )
    ranks = []
    for row in protocol.queries:
        image = open_image(manifest.file(int(row)))
        boxes = garment_boxes(detector.sure(image), image, MOST_GARMENTS)
        parts = [crop(image, box) for box in boxes]
        similarity = (encoder.encode_street([image, *parts]).embedding @ gallery.T).max(0)
        own = similarity[items[protocol.gallery] == items[int(row)]].max()
        ranks.append(1 + int((similarity > own).sum()))
    return np.asarray(ranks, np.int64)


def measure(sets: Sets, bundle: Bundle, ranks: tuple[int, ...] = (1, 5, 20)) -> dict[str, Any]:
    """Recall at each rank of each row and cut, and the gain over the whole photo."""
    encoder = BundleEncoder(bundle, threads=1)
    found: dict[str, Any] = {}
    for name in ("worn", "dressed"):
        whole: dict[int, Any] = {}
        for words, cut in {**CROPS, "every garment": None}.items():
            if cut is None:
                found_at = ranks_of_every(sets, name, encoder)
            else:
                result = evaluate(encoder, sets.protocol(name, cut), workers=1)
                found_at, items = result.ranks, result.items
            row: dict[str, Any] = {"queries": len(found_at)}
            for k in ranks:
                hits = hits_at_k(found_at, k).astype(float)
                whole.setdefault(k, hits)
                at = cluster_interval(hits, items)
                gain = paired_difference(hits, whole[k], items)
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
    parser.add_argument("-o", "--output", type=Path, help="a file for the JSON; else it is printed")
    chosen = parser.parse_args()
    bundle = Bundle.open(chosen.bundle)
    with tempfile.TemporaryDirectory() as temporary:
        sets = Sets(chosen.work or Path(temporary), chosen.split)
        found = {"split": chosen.split, "bundle": bundle.fingerprint, **measure(sets, bundle)}
        text = json.dumps(found, indent=1) + "\n"
        if chosen.output is None:
            print(text)
        else:
            chosen.output.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
