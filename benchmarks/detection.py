"""The detector: average precision on unseen pictures, its time, and what it does to a search.

    python benchmarks/detection_data.py DATA               the pictures (about 4 minutes)
    python benchmarks/detection.py DATA threshold          choose the threshold, on validation
    python benchmarks/detection.py DATA ap                 average precision, on test
    python benchmarks/detection.py DATA time               milliseconds and memory
    python benchmarks/detection.py DATA search             annotated box, detected box, whole
    python benchmarks/detection.py DATA sheets -o FOLDER   contact sheets of real photos, to look at
    python benchmarks/detection.py DATA card               the written figures into the model card

`--bundle` names another bundle than the one that ships. With ``--write`` the figures go into
``benchmarks/results/detection.json``, each part beside the others.

- **ap** reads the rows of the split ``test`` (``--split val`` to choose by): drawn scenes, scenes
  with real garments pasted in, street photos of people (also the share of garments found and
  covered at the threshold), real photos with their weak boxes (GrabCut's, which are wrong here and
  there), of senders whose photos were never seen; and how often something is found on pictures of
  nothing. Intervals are at 95 %, over pictures.
- **search** draws products (``--products``) of a seed of their own, 1 shop and 1 street picture
  each, and answers the street photos from the shop pictures, cut in each way. The shipped embedding
  was trained on whole pictures.
- **sheets** draws a sample of real photos of unseen senders, whether they can be cut out or not,
  with the box that a search would take, its margin included; people count those that cover the
  garment.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import detection_data
import numpy as np
from _coverage import coverage

from hemline.bundle import DETECTOR
from hemline.data.detector_outputs import decode
from hemline.data.garments import garments_of, group_of, kind_of
from hemline.data.images import encode_jpeg, open_image, open_many
from hemline.data.manifest import Manifest
from hemline.data.preprocess import prepare
from hemline.data.protocol import Choices
from hemline.datasets import build
from hemline.evaluation.average_precision import (
    AveragePrecision,
    GroundTruth,
    by_category,
    coco_average_precision,
    ground_truth,
)
from hemline.evaluation.machine import processor
from hemline.evaluation.report import report
from hemline.evaluation.run import evaluate
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, best_garment, margined
from hemline.runtime.encoder import BundleEncoder
from hemline.synthetic import SyntheticSettings, make_dataset
from hemline.types import Detection
from hemline.views.detections import draw_garments

RESULTS = Path(__file__).with_name("results") / "detection.json"
CROPS = ("none", "query", "detected-query", "box", "detected")
SEARCH_SEED = 91
PARTS = ("threshold", "ap", "time", "search", "sheets", "card")
STEPS = ("decode the file", "resize", "graph", "boxes")
SAMPLE, CELL, COLUMNS = 120, 330, 5


class Looked(NamedTuple):
    """Of each picture: what was found, what there is, and its width and height."""

    found: list[tuple[Detection, ...]]
    truths: list[tuple[GroundTruth, ...]]
    sizes: list[tuple[int, int]]


def look(manifest: Manifest, rows: Sequence[int], detector: BundleDetector) -> Looked:
    """Detections and truths of some rows."""
    looked = Looked([], [], [])
    for place, image in open_many([manifest.file(row) for row in rows], workers=1):
        assert not isinstance(image, Exception), image
        looked.found.extend(detector.detect([image]))
        garments = garments_of(manifest[rows[place]])
        assert garments is not None
        size = image.shape[1], image.shape[0]
        looked.truths.append(ground_truth(garments, *size))
        looked.sizes.append(size)
    return looked


def parts(manifest: Manifest, split: str) -> dict[str, list[int]]:
    """Part and domain → rows of a split."""
    columns = [np.asarray(manifest.column(n), dtype=np.str_) for n in ("split", "part", "domain")]
    named: dict[str, list[int]] = {}
    for row, (own, part, domain) in enumerate(zip(*columns, strict=True)):
        if own == split:
            name = part if part in ("photos", "street", "nothing") else f"{part}, {domain}"
            named.setdefault(name, []).append(row)
    return dict(sorted(named.items()))


def told(precision: AveragePrecision) -> dict[str, Any]:
    """A precision as JSON."""
    return {
        "ap@0.5": round(precision.ap[0.5], 4),
        "ap@0.7": round(precision.ap[0.7], 4),
        "ap@0.5:0.95": round(precision.mean, 4),
        "recall@0.5": round(precision.recall[0.5], 4),
        "garments": precision.truths,
        **{
            f"interval@{name}": [round(i.low, 4), round(i.high, 4)]
            for name, i in precision.interval.items()
            if name in ("0.5", "0.7", "0.5:0.95")
        },
    }


def measure_ap(
    manifest: Manifest, detector: BundleDetector, least: float, chosen: argparse.Namespace
) -> dict[str, Any]:
    """Average precision of each part of a split, and what is found from the score ``least`` on."""
    result: dict[str, Any] = {}
    for name, every in parts(manifest, chosen.split).items():
        if chosen.only and name not in chosen.only:
            continue
        spaced = np.linspace(0, len(every) - 1, min(chosen.limit or len(every), len(every)))
        rows = [every[int(k)] for k in spaced.round()]
        found, truths, sizes = look(manifest, rows, detector)
        sure = [[d for d in own if d.score >= least] for own in found]
        if name == "nothing":
            alarms = sum(bool(own) for own in sure)
            result[name] = {"pictures": len(rows), "something found": round(alarms / len(rows), 4)}
            continue
        result[name] = {
            "pictures": len(rows),
            "any kind": told(coco_average_precision(found, truths, resamples=500)),
            "by group": {w: told(p) for w, p in by_category(found, truths, group_of).items()},
            "by kind": {w: told(p) for w, p in by_category(found, truths, kind_of).items()},
            "at the threshold": coverage(sure, truths, sizes),
        }
        if name == "street":
            for group, values in result[name]["by group"].items():
                told_group = coco_average_precision(
                    *(found, truths),
                    thresholds=(0.5,),
                    category_of=group_of,
                    only=group,
                    resamples=500,
                )
                own = told_group.interval["0.5"]
                values["interval@0.5"] = [round(own.low, 4), round(own.high, 4)]
        for of in ("group", "kind"):
            each = [v["ap@0.5:0.95"] for v in result[name][f"by {of}"].values()]
            half = [v["ap@0.5"] for v in result[name][f"by {of}"].values()]
            wide = [v["ap@0.7"] for v in result[name][f"by {of}"].values()]
            result[name][f"mean over {of}s"] = {
                "ap@0.5": round(float(np.mean(half)), 4),
                "ap@0.7": round(float(np.mean(wide)), 4),
                "ap@0.5:0.95": round(float(np.mean(each)), 4),
            }
    return result


def choose_threshold(manifest: Manifest, detector: BundleDetector) -> dict[str, Any]:
    """The score at which precision and recall are best together (F1 at overlap 0.5)."""
    rows = [row for own in parts(manifest, "val").values() for row in own]
    found, truths, _ = look(manifest, rows, detector)
    best = (0.0, 0.0, 0.0, 0.0)
    for least in np.arange(0.1, 0.71, 0.02).tolist():
        sure = [[d for d in own if d.score >= least] for own in found]
        one = coco_average_precision(sure, truths, thresholds=(0.5,))
        hits = one.recall[0.5] * one.truths
        precision = hits / max(one.detections, 1)
        f1 = 2 * precision * one.recall[0.5] / max(precision + one.recall[0.5], 1e-9)
        best = max(best, (f1, round(least, 2), precision, one.recall[0.5]))
    names = ("f1", "threshold", "precision", "recall")
    return {**dict(zip(names, (round(v, 4) for v in best), strict=True)), "pictures": len(rows)}


def measure_time(manifest: Manifest, detector: BundleDetector, threads: int) -> dict[str, Any]:
    """Milliseconds of each step for one picture at a time, p50 and p95.

    Beside the clock on the wall stands this process's own CPU time, so that other work on the
    machine can be told from the detector's.
    """
    heads = detector.info.heads
    graph = detector.bundle.folder / detector.bundle.info.graphs[DETECTOR]
    session: Any = detector.bundle.session(DETECTOR, threads)
    names = [port.name for port in session.get_outputs()]
    rows = [row for own in parts(manifest, "test").values() for row in own[:60]]
    data = [manifest.file(row).read_bytes() for row in rows]
    large = encode_jpeg(np.asarray(cv2.resize(open_image(data[0]), (3000, 4000)), np.uint8), 90)
    steps: dict[str, list[Any]] = {}

    for turn in range(2):
        if turn:
            steps.clear()
        for raw in data:
            marks = [now()]
            image = open_image(raw)
            marks.append(now())
            batch = prepare(image, heads.preprocessing, "street")[None]
            marks.append(now())
            values = session.run(None, {"images": batch})
            marks.append(now())
            outputs = dict(zip(names, values, strict=True))
            decode(outputs, 0, heads, image.shape[1], image.shape[0])
            marks.append(now())
            for name, ms in zip(STEPS, np.diff(marks, axis=0) * 1000, strict=True):
                steps.setdefault(name, []).append(ms)
            steps.setdefault("all", []).append((marks[-1] - marks[0]) * 1000)
    start = time.perf_counter()
    image = open_image(large)
    opened = time.perf_counter()
    detector.detect([image])
    return {
        "threads": threads,
        "pictures": len(rows),
        **{
            name: {
                "p50 ms": round(float(np.percentile(values, 50, axis=0)[0]), 2),
                "p95 ms": round(float(np.percentile(values, 95, axis=0)[0]), 2),
                "p50 CPU ms": round(float(np.percentile(values, 50, axis=0)[1]), 2),
                "p95 CPU ms": round(float(np.percentile(values, 95, axis=0)[1]), 2),
            }
            for name, values in steps.items()
        },
        "a photo of 12 million pixels": {
            "decode ms": round((opened - start) * 1000, 1),
            "detect ms": round((time.perf_counter() - opened) * 1000, 1),
        },
        "peak memory MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "graph MB": round(graph.stat().st_size / 1e6, 2),
    }


def now() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Seconds (2,): on the wall, and of this process's CPU time."""
    return np.array([time.perf_counter(), time.process_time()])


def measure_search(bundle: Bundle, work: Path, products: int) -> dict[str, Any]:
    """Recall of the shipped embedding, with pictures cut in each way."""
    drawn = make_dataset(
        *(work, products, SEARCH_SEED, SyntheticSettings(size=224)),
        street_views=1,
        workers=1,
    )
    manifest = Manifest.read(drawn)
    manifest = manifest.with_column("split", ["test"] * len(manifest))
    encoder = BundleEncoder(bundle, threads=1)
    result: dict[str, Any] = {}
    for crop in CROPS:
        (protocol,) = build("default", manifest, Choices(crop=crop))  # type: ignore[arg-type]
        one = report([evaluate(encoder, protocol, workers=1)])
        wanted = ("recall@1", "recall@5", "recall@20", "mrr")
        result[crop] = {
            **{name: round(one[name], 4) for name in wanted},
            **{f"interval {n}": [round(v, 4) for v in one["intervals"][n]] for n in wanted},
            "queries": one["queries"],
            "gallery": one["gallery"],
            **({"detected": one["detected"]} if "detected" in one else {}),
        }
        print(crop, result[crop])
    return result


def draw_sheets(detector: BundleDetector, out: Path) -> dict[str, Any]:
    """A sample of real photos of test senders with their best box, on numbered sheets."""
    clothing = detection_data.shared() / "data" / "clothing"
    known = detection_data.senders(clothing)
    stems = sorted(
        stem
        for stem, (sender, label) in known.items()
        if detection_data.split_of_sender(sender) == "test"
        and group_of(label) in ("upper", "lower", "full")
    )
    rng = np.random.default_rng(0)
    sample = [stems[k] for k in rng.permutation(len(stems))[:SAMPLE]]
    out.mkdir(parents=True, exist_ok=True)
    cells, none = [], 0
    for number, stem in enumerate(sample, 1):
        image = open_image(clothing / "images" / f"{stem}.jpg")
        (found,) = detector.detect([image])
        best = best_garment(found, image.shape[1], image.shape[0], detector.threshold)
        none += best is None
        used = [] if best is None else [best._replace(box=margined(best, image))]
        drawn = draw_garments(image, used)
        scale = CELL / max(drawn.shape[:2])
        size = (round(drawn.shape[1] * scale), round(drawn.shape[0] * scale))
        cell = np.full((CELL + 24, CELL + 6, 3), 255, np.uint8)
        cell[: size[1], : size[0]] = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
        words = f"{number} {known[stem][1]}: " + (best.category if best else "none")
        cv2.putText(cell, words, (2, CELL + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1)
        cells.append(cell)
    each = COLUMNS * 4
    for sheet, start in enumerate(range(0, len(cells), each), 1):
        some = cells[start : start + each]
        some += [np.full_like(cells[0], 255)] * (-len(some) % COLUMNS)
        rows = [np.hstack(some[k : k + COLUMNS]) for k in range(0, len(some), COLUMNS)]
        cv2.imwrite(str(out / f"sheet-{sheet}.png"), np.vstack(rows)[..., ::-1])
    return {"photos": len(sample), "of": len(stems), "nothing found": none}


def write_card(bundle: Bundle) -> dict[str, Any]:
    """Puts the average precisions that were written into the bundle's description and card."""
    from hemline.learn.export.detector import describe_detector

    written = json.loads(RESULTS.read_text("utf-8"))["ap"]
    assert bundle.info.detector is not None
    assert written["detector"] == bundle.info.detector.fingerprint, "measured on another detector"
    quality: list[dict[str, Any]] = []
    for name, part in written["measured"].items():
        if name == "nothing":
            values = {"something found": part["something found"]}
        else:
            values = {n: part["any kind"][n] for n in ("ap@0.5", "ap@0.7", "ap@0.5:0.95")}
        told = {"protocol": f"test, {name}, boxes alone", "pictures": part["pictures"], **values}
        quality.append({"label": "measured here", **told})
    describe_detector(bundle.folder, quality)
    return {"described": len(quality)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="what detection_data.py made")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--bundle", default="hemline-small")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--products", type=int, default=400, help="of the part search")
    parser.add_argument("-o", "--out", type=Path, default=None, help="of the sheets")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="of ap")
    parser.add_argument("--threshold", type=float, help="of ap; the bundle's by default")
    parser.add_argument("--limit", type=int, help="pictures of each part of ap's, evenly spaced")
    parser.add_argument("--only", action="append", default=[], help="a part of ap's, like street")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    bundle = Bundle.open(chosen.bundle)
    detector = BundleDetector(bundle, threads=chosen.threads)
    manifest = Manifest.read(chosen.data)
    if chosen.part == "ap":
        least = detector.threshold if chosen.threshold is None else chosen.threshold
        result = measure_ap(manifest, detector, least, chosen)
    elif chosen.part == "threshold":
        result = choose_threshold(manifest, detector)
    elif chosen.part == "time":
        result = measure_time(manifest, detector, chosen.threads)
    elif chosen.part == "card":
        result = write_card(bundle)
    elif chosen.part == "sheets":
        result = draw_sheets(detector, chosen.out or Path("sheets"))
    else:
        with tempfile.TemporaryDirectory() as folder:
            result = measure_search(bundle, Path(folder) / "drawn", chosen.products)
    told_all = {
        "detector": detector.fingerprint,
        "data": manifest.fingerprint(),
        "machine": {
            "cpu": processor(),
            "python": platform.python_version(),
        },
        "measured": result,
    }
    print(json.dumps(told_all, indent=1))
    if chosen.write:
        name = f"time, {chosen.threads} threads" if chosen.part == "time" else chosen.part
        kept = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        kept[name] = told_all
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
