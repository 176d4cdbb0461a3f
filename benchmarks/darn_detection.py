"""DARN's Table 2 on drawn scenes: which detector finds garments, and what it does to a search.

    hemline data make -o DATA --products 3000 --seed 7
    hemline train darn DATA/manifest.parquet -o NIN --scale bench \\
        model.config.ladder=an 'model.config.attributes=[category]' stages.Network.epochs=8
    hemline train darn DATA/manifest.parquet -o AN --scale bench model.config.ladder=an \\
        model.config.weights=NIN/checkpoints/1-Network-best.safetensors stages.Network.epochs=14
    python benchmarks/darn_detection.py DATA/manifest.parquet --nin NIN --an AN -o WORK

Detectors: an ImageNet MobileNetV2 (for the paper's AlexNet) with SVM and with SVR, NIN (trained
here on the category alone, for ImageNet's) with SVR, AN with SVR, on the same proposals and the
same patches; and the detector that ships, where there is one (``--bundle``). The cost of the
support vectors, whether the windows of the last convolution are read beside the whole, and the
overlap of non-maximum suppression are chosen on pictures of validation products, for each detector;
test pictures are read once.

AP counts every visible garment of the upper body, the lower or both. Retrieval: the test photos
search the test shop pictures with the encoder ``--encoder`` (a run), both sides cut to the box that
the detector finds best, or to the found box that lies nearest to the product, as a shopper taps the
garment that is meant and a catalogue picks the one of the item's category; bounds are the annotated
boxes and the whole pictures. Goes on after a kill; ``--only-retrieval`` measures that part anew.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from _darn_table import precision_table, retrieval_table
from _regions import (
    KeptFeatures,
    KeptProposals,
    SomeColumns,
    faster,
    readers,
)
from _shared import IMAGENET

from hemline.data.boxes import overlaps
from hemline.data.images import crop
from hemline.data.manifest import Manifest
from hemline.encoding import Detector, Encoder
from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.machine import machine
from hemline.learn.backbones import BackboneConfig
from hemline.learn.checkpoint import CheckpointEncoder
from hemline.learn.detection.darn.boxes import as_boxes
from hemline.learn.detection.darn.detector import (
    RegionDetector,
    RegionSettings,
    read_patches,
    train_regions,
)
from hemline.learn.detection.darn.heads import Kind
from hemline.learn.detection.darn.proposals import ProposalSettings
from hemline.learn.detection.darn.regions import NetworkRegions, backbone_regions, darn_regions
from hemline.learn.models.darn import SubNetwork
from hemline.reproduce.coco_ap import coco_average_precision
from hemline.reproduce.detectors import Picture, pictures_of
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, clothes
from hemline.types import Box, Detection, Domain, Image

RESULTS = Path(__file__).with_name("results") / "darn_detection.json"
DOMAINS: tuple[Domain, ...] = ("street", "shop")
#: The paper's threshold.
OVERLAP = 0.7
#: Row of the table → network, kind of support vectors.
ROWS: dict[str, tuple[str, Kind]] = {
    "CNN + SVM": ("cnn", "svm"),
    "CNN + SVR": ("cnn", "svr"),
    "NIN + SVR": ("nin", "svr"),
    "AN + SVR": ("an", "svr"),
}
COSTS: dict[Kind, tuple[float, float]] = {"svr": (1e-4, 1e-5), "svm": (1e-5, 1e-6)}
SUPPRESSION = (0.3, 0.5)
#: What published Table 2 says: online and offline AP, top-20.
PUBLISHED = {
    "CNN + SVM": (0.520, 0.412, 0.560),
    "CNN + SVR": (0.545, 0.452, 0.567),
    "NIN + SVR": (0.601, 0.477, 0.588),
    "AN + SVR": (0.744, 0.683, 0.635),
}


def networks(arguments: argparse.Namespace) -> dict[str, Callable[[], NetworkRegions]]:
    """Name of a network → how to get it."""
    backbone = BackboneConfig(
        name="mobilenetv2_100",
        weights=str(arguments.weights),
        pad_type="same",
        taps=("blocks.6", "conv_head"),
    )
    return {
        "cnn": lambda: backbone_regions(backbone, 96, "ImageNet MobileNetV2"),
        "nin": lambda: darn_regions(arguments.nin, "NIN"),
        "an": lambda: darn_regions(arguments.an, "AN"),
    }


def parts_of(features: NetworkRegions) -> dict[str, int | None]:
    """Which of its features a detector may read → how many columns those are."""
    network = features.forward.network
    whole = 1280
    if isinstance(network, SubNetwork):
        whole = cast(torch.nn.Linear, network.fc1[0]).out_features
    return {"whole": whole, "whole and windows": None}


def precision(detector: Detector, pictures: Sequence[Picture], resamples: int = 0) -> Any:
    detections = [detector.detect([picture.read()])[0] for picture in pictures]
    truths = [picture.truths for picture in pictures]
    return coco_average_precision(detections, truths, resamples=resamples)


def trained(
    row: str, arguments: argparse.Namespace, parts: dict[str, dict[Domain, list[Picture]]]
) -> tuple[RegionDetector, dict[str, Any]]:
    """The detector of a row. First what it reads is chosen, at the first cost, then the cost; the
    suppression each time: by the sum of both domains' AP on validation."""
    network, kind = ROWS[row]
    folder = arguments.output / row.replace(" ", "")
    features = networks(arguments)[network]()
    columns = parts_of(features)
    kept = faster(features)
    keep = KeptProposals(ProposalSettings(), arguments.output / "proposals")
    learning = [p for domain in DOMAINS for p in parts["train"][domain]]
    tried: list[tuple[float, dict[str, Any], RegionDetector]] = []

    def attempt(part: str, cost: float) -> None:
        began = time.monotonic()
        place = folder / f"{part} {cost:g}".replace(" ", "-")
        regions = KeptFeatures(kept, arguments.output / "features" / network, columns[part], part)
        if not (place / "heads.safetensors").exists():
            train_regions(
                regions,
                readers(learning),
                [picture.scene() for picture in learning],
                RegionSettings(kind=kind, cost=cost, per_level=5, hard_pictures=arguments.hard),
                ProposalSettings(),
                propose_with=keep,
            ).save(place)
        detector = RegionDetector.load(place, regions)
        for overlap in SUPPRESSION:
            settings = detector.settings.model_copy(update={"overlap": overlap})
            other = RegionDetector(regions, detector.heads, settings, detector.proposals, keep)
            noted = place / f"{overlap:g}.json"
            if not noted.exists():
                ap = {f"ap_{d}": precision(other, parts["val"][d]).ap[OVERLAP] for d in DOMAINS}
                told = {"reads": part, "cost": cost, "suppression": overlap, **ap}
                noted.write_text(json.dumps(told), encoding="utf-8")
                tell(f"{row}: {told}, {time.monotonic() - began:.0f} s")
            told = json.loads(noted.read_text(encoding="utf-8"))
            tried.append((sum(told[f"ap_{d}"] for d in DOMAINS), told, other))

    def best() -> tuple[float, dict[str, Any], RegionDetector]:
        return max(tried, key=lambda one: one[0])

    first, second = COSTS[kind]
    for part in columns:
        attempt(part, first)
    attempt(best()[1]["reads"], second)
    _, chosen, detector = best()
    detector.save(folder)
    (folder / "chosen.json").write_text(json.dumps(chosen), encoding="utf-8")
    return detector, {"chosen": chosen, "tried": [told for _, told, _ in tried]}


def compute(arguments: argparse.Namespace, parts: dict[str, dict[Domain, list[Picture]]]) -> None:
    """Computes and keeps the features that the rows will read; nothing else."""
    keep = KeptProposals(ProposalSettings(), arguments.output / "proposals")
    for name in dict.fromkeys(ROWS[row][0] for row in arguments.rows):
        regions = KeptFeatures(
            faster(networks(arguments)[name]()), arguments.output / "features" / name
        )
        learning = [p for domain in DOMAINS for p in parts["train"][domain]]
        settings = RegionSettings(per_level=5, hard_pictures=arguments.hard)
        read_patches(
            regions, readers(learning), [p.scene() for p in learning], settings, keep, seed=0
        )
        for split in ("val", "test"):
            for domain in DOMAINS:
                for picture in parts[split][domain]:
                    image = picture.read()
                    regions(image, keep(image))
        tell(f"{name}: features are there")


def cost_of(row: str, arguments: argparse.Namespace, pictures: Sequence[Picture]) -> dict[str, Any]:
    """CPU seconds of a picture, and the memory, in a process of its own on one thread."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only-cost", row]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


def measure_cost(row: str, arguments: argparse.Namespace, pictures: Sequence[Picture]) -> None:
    """Prints what `cost_of` reads."""
    images = [picture.read() for picture in pictures]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if row == "modern":
        detector: Any = Modern(arguments.bundle)
    else:
        folder = arguments.output / row.replace(" ", "")
        features = networks(arguments)[ROWS[row][0]]()
        part = json.loads((folder / "chosen.json").read_text(encoding="utf-8"))["reads"]
        columns = parts_of(features)[part]
        detector = RegionDetector.load(folder, SomeColumns(features, columns, part))
    detector.detect(images[:1])
    spent: dict[str, float] = {}
    began = time.process_time()
    for image in images:
        detector.detect([image])
    spent["seconds"] = (time.process_time() - began) / len(images)
    if row != "modern":
        began = time.process_time()
        count = sum(len(detector.propose(image)) for image in images)
        spent["proposal_seconds"] = (time.process_time() - began) / len(images)
        spent["proposals"] = count / len(images)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps({**spent, "memory_mb": after / 1024, "more_memory_mb": (after - before) / 1024})
    )


class Modern:
    """The detector of a bundle, its shoes and bags left out."""

    def __init__(self, bundle: Path) -> None:
        self.detector = BundleDetector(Bundle.open(bundle), threads=1)
        self.name = self.detector.name

    def detect(self, images: Sequence[Image]) -> list[tuple[Detection, ...]]:
        return [tuple(clothes(found)) for found in self.detector.detect(images)]


def nearest(found: Sequence[Detection], box: Box | None, whole: Box) -> Box:
    """Of the boxes found, the one that shows the product best; the whole picture for none."""
    if not found or box is None:
        return found[0].box if found else whole
    near = overlaps(as_boxes([d.box for d in found]), as_boxes([box]))[:, 0]
    return found[int(near.argmax())].box


def hits(
    encoder: Encoder,
    parts: dict[Domain, list[Picture]],
    street: Sequence[Box | None],
    shop: Sequence[Box | None],
) -> np.ndarray:
    """(Q,) whether the right product is among the first 20, for each test photo."""
    photos = [crop(p.read(), b) for p, b in zip(parts["street"], street, strict=True)]
    pictures = [crop(p.read(), b) for p, b in zip(parts["shop"], shop, strict=True)]
    query = encoder.encode_street(photos).embedding
    gallery = encoder.encode_shop(pictures, [p.record.tags for p in parts["shop"]]).embedding
    order = np.argsort(-(query @ gallery.T), axis=1, kind="stable")[:, :20]
    items = np.array([p.record.item_id for p in parts["shop"]])
    wanted = np.array([p.record.item_id for p in parts["street"]])
    return np.asarray((items[order] == wanted[:, None]).any(axis=1), np.float64)


def whole_of(picture: Picture) -> Box:
    height, width = picture.read().shape[:2]
    return Box(0, 0, width, height)


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def interval(value: Any) -> list[float]:
    return [round(float(v), 4) for v in value]


def retrieval(
    encoder: Encoder, parts: dict[Domain, list[Picture]], detectors: dict[str, Detector]
) -> dict[str, Any]:
    """Recall@20 with each detector's boxes, and of the bounds."""
    items = [p.record.item_id for p in parts["street"]]
    marked = [[p.record.box for p in parts[d]] for d in DOMAINS]
    whole = [[whole_of(p) for p in parts[d]] for d in DOMAINS]
    cases = {"annotated boxes": hits(encoder, parts, *marked)}
    cases["whole pictures"] = hits(encoder, parts, *whole)
    for name, detector in detectors.items():
        found = [[detector.detect([p.read()])[0] for p in parts[d]] for d in DOMAINS]
        best = [
            [own[0].box if own else w for own, w in zip(f, ws, strict=True)]
            for f, ws in zip(found, whole, strict=True)
        ]
        cases[f"{name}, best box"] = hits(encoder, parts, *best)
        near = [
            [nearest(own, box, w) for own, box, w in zip(f, boxes, ws, strict=True)]
            for f, boxes, ws in zip(found, marked, whole, strict=True)
        ]
        cases[f"{name}, nearest box"] = hits(encoder, parts, *near)
    reference = cases["AN + SVR, nearest box"]
    return {
        name: {
            "recall@20": interval(cluster_interval(values, items)),
            "over_an": interval(paired_difference(values, reference, items)),
        }
        for name, values in cases.items()
    }


def measure_real(arguments: argparse.Namespace) -> None:
    """AP of the detectors as they were kept, on scenes with real garments; into the report."""
    manifest = Manifest.read(arguments.real)
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for row in arguments.rows:
        folder = arguments.output / row.replace(" ", "")
        features = networks(arguments)[ROWS[row][0]]()
        part = json.loads((folder / "chosen.json").read_text(encoding="utf-8"))["reads"]
        columns = parts_of(features)[part]
        detector = RegionDetector.load(folder, SomeColumns(faster(features), columns, part))
        for domain in DOMAINS:
            pictures = pictures_of(manifest, "test", domain, arguments.test)
            result = precision(detector, pictures, resamples=1000)
            found.setdefault(row, {})[domain] = {
                "ap@0.7": interval(result.interval["0.7"]),
                "ap@0.5": round(result.ap[0.5], 4),
                "ap@0.5:0.95": round(result.mean, 4),
                "garments": result.truths,
                "pictures": len(pictures),
            }
        tell(f"{row} on real garments: {found[row]}")
    report["real"] = {"data": manifest.fingerprint(), "rows": found}
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--nin", type=Path, required=True)
    parser.add_argument("--an", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="a run; by default that of --an")
    parser.add_argument("--bundle", type=Path, help="with a detector, for one more row")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--weights",
        type=Path,
        default=IMAGENET,
    )
    parser.add_argument("--train", type=int, default=200, help="pictures of each domain")
    parser.add_argument("--val", type=int, default=30)
    parser.add_argument("--test", type=int, default=75)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--hard", type=int, default=60, help="pictures with hard examples")
    parser.add_argument("--only-train", action="store_true")
    parser.add_argument("--only-features", action="store_true")
    parser.add_argument("--only-retrieval", action="store_true")
    parser.add_argument("--only-cost")
    parser.add_argument(
        "--real", type=Path, help="another manifest of scenes: measure the kept detectors on it"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    manifest = Manifest.read(arguments.manifest)
    counts = {"train": arguments.train, "val": arguments.val, "test": arguments.test}
    if arguments.only_cost:
        measure_cost(arguments.only_cost, arguments, pictures_of(manifest, "val", "street", 8))
        return
    if arguments.real:
        measure_real(arguments)
        return
    parts = {
        split: {domain: pictures_of(manifest, split, domain, count) for domain in DOMAINS}
        for split, count in counts.items()
    }
    if arguments.only_features:
        compute(arguments, parts)
        return
    chosen, detectors = {}, {}
    for row in arguments.rows:
        detectors[row], chosen[row] = trained(row, arguments, parts)
    if arguments.only_train:
        return
    rows: dict[str, Any] = {}
    every: dict[str, Detector] = dict(detectors)
    if arguments.bundle:
        every["modern"] = Modern(arguments.bundle)
    report = json.loads(RESULTS.read_text()) if arguments.only_retrieval else {}
    for row, detector in ({} if report else every).items():
        found = {d: precision(detector, parts["test"][d], resamples=1000) for d in DOMAINS}
        rows[row] = {
            **{
                domain: {
                    "ap@0.7": interval(result.interval["0.7"]),
                    "ap@0.5": round(result.ap[0.5], 4),
                    "ap@0.5:0.95": round(result.mean, 4),
                    "recall@iou0.7": round(result.recall[OVERLAP], 4),
                    "garments": result.truths,
                }
                for domain, result in found.items()
            },
            **cost_of(row, arguments, parts["val"]["street"]),
            **chosen.get(row, {}),
        }
        tell(f"{row}: {rows[row]}")
    encoder = CheckpointEncoder(arguments.encoder or arguments.an)
    report = {
        "rows": report.get("rows", rows),
        "retrieval": retrieval(encoder, parts["test"], every),
        "encoder": encoder.name,
        "published": PUBLISHED,
        "pictures": counts,
        "data": manifest.fingerprint(),
        "machine": machine(),
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(precision_table(report), retrieval_table(report), sep="\n\n")


if __name__ == "__main__":
    main()
