"""Table 2 of DARN: detectors by region features and support vectors, and the search behind them.

A garment counts when it is worn on the upper body, the lower or both and can be seen; hardly seen
ones are regions to ignore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hemline.data.garments import garments_of, group_of
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.encoding import Detector
from hemline.errors import DataError
from hemline.evaluation.model import open_encoder
from hemline.evaluation.rankings import Rankings
from hemline.evaluation.run import evaluate
from hemline.files import write_durable
from hemline.reproduce.coco_ap import GroundTruth, coco_average_precision, ground_truth
from hemline.reproduce.darn import AN, DARN_45, NIN_ON_CATEGORIES
from hemline.reproduce.experiment import Experiment, Row
from hemline.reproduce.measure import Workshop, hashed, slug
from hemline.reproduce.outcome import told
from hemline.reproduce.scales import TRUNK
from hemline.types import Domain, Image, Record

if TYPE_CHECKING:
    from hemline.learn.detection.darn.detector import RegionDetector
    from hemline.learn.detection.darn.patches import Scene
    from hemline.learn.detection.darn.regions import NetworkRegions

#: The paper's overlap, and its names of the domains.
OVERLAP = 0.7
_DOMAINS: Mapping[str, Domain] = {"AP online": "shop", "AP offline": "street"}
_CLOTHES = ("upper", "lower", "full")
#: Row → its network and kind of support vectors.
_ROWS = {
    "CNN + SVM": ("cnn", "svm"), "CNN + SVR": ("cnn", "svr"), "NIN + SVR": ("nin", "svr"),
    "AN + SVR": ("an", "svr"),
}  # fmt: skip
#: Pictures of each domain at each scale: to learn from, to measure.
_PICTURES = {"smoke": (6, 4), "bench": (200, 75), "paper": (2000, 383)}


@dataclass(frozen=True)
class Picture:
    """An image's row and file, the garments that are to be found, and the regions to ignore."""

    record: Record
    path: Path
    truths: tuple[GroundTruth, ...]

    def read(self) -> Image:
        return open_image(self.path)

    def scene(self) -> Scene:
        """For training: a bag is background, a hardly seen garment unclear."""
        from hemline.learn.detection.darn.boxes import as_boxes
        from hemline.learn.detection.darn.patches import Scene

        hidden = [t.box for t in self.truths if t.ignore and group_of(t.category) in _CLOTHES]
        return Scene(
            as_boxes([t.box for t in self.truths if not t.ignore]),
            as_boxes(hidden),
        )


def pictures_of(manifest: Manifest, split: str, domain: Domain, count: int) -> list[Picture]:
    """The first picture of each of the first products of a split.

    Raises:
        DataError: the manifest tells no garments.
    """
    found: dict[str, Picture] = {}
    for number, record in enumerate(manifest):
        if record.split != split or record.domain != domain or record.item_id in found:
            continue
        garments = garments_of(record)
        if garments is None:
            raise DataError("the manifest has no column 'garments', which DARN's Table 2 needs")
        path = manifest.file(number)
        height, width = open_image(path).shape[:2]
        truths = tuple(
            truth._replace(ignore=truth.ignore or group_of(truth.category) not in _CLOTHES)
            for truth in ground_truth(garments, width, height)
        )
        found[record.item_id] = Picture(record, path, truths)
        if len(found) == count:
            break
    return list(found.values())


def rows(shop: Workshop, experiment: Experiment, wanted: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of the JSON: AP of shop and street pictures, and recall@20 with the boxes found."""
    return [_row(shop, row) for row in wanted]


def _row(shop: Workshop, row: Row) -> dict[str, Any]:
    published = {n: {"value": v, "label": "published"} for n, v in row.published.items()}
    found = {"name": row.name, "recipe": None, "protocols": {}, "published": published}
    why = _lacks(shop, row)
    if why:
        return {**found, "not_measured": why}
    import json

    (name,) = shop.source.parts
    model = shop.models(DARN_45)[0]
    network, kind = _ROWS[row.name]
    key = [row.name, shop.source.manifest.fingerprint(), open_encoder(model).fingerprint, kind]
    file = shop.out / "results" / f"detector-{slug(row.name)}-{hashed(json.dumps(key))}.json"
    if not file.is_file():
        detector = _trained(shop, network, kind)
        figures = _measured(shop, detector, model)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_durable(file, json.dumps(figures) + "\n")
    figures = json.loads(file.read_text("utf-8"))
    return {**found, "protocols": {name: {"measured": figures, "results": [file.name]}}}


def _lacks(shop: Workshop, row: Row) -> str:
    if row.name not in _ROWS:
        return row.instead
    if "garments" not in shop.source.manifest.names:
        return "the data marks no garments"
    if _ROWS[row.name][0] == "cnn" and shop.plan.scale.name != "smoke":
        return "" if TRUNK in shop.plan.weights else f"give --weights {TRUNK}=FILE"
    return shop.lacks(AN)


def _trained(shop: Workshop, network: str, kind: str) -> RegionDetector:
    from hemline.learn.detection.darn.detector import RegionSettings, train_regions
    from hemline.learn.detection.darn.proposals import ProposalSettings

    smoke = shop.plan.scale.name == "smoke"
    count = _PICTURES[shop.plan.scale.name][0]
    learned = [
        picture
        for domain in _DOMAINS.values()
        for picture in pictures_of(shop.source.manifest, "train", domain, count)
    ]
    settings = RegionSettings.model_validate(
        {
            "kind": kind,
            "cost": {"svr": 1e-4, "svm": 1e-5}[kind],
            "per_level": 2 if smoke else 5,
            "hard_pictures": 2 if smoke else 200,
        }
    )
    with shop.progress(f"learning to find garments by {network}") as advance:
        return train_regions(
            _regions(shop, network),
            [partial(open_image, picture.path) for picture in learned],
            [picture.scene() for picture in learned],
            settings,
            ProposalSettings(),
            advance=advance,
        )


def _regions(shop: Workshop, network: str) -> NetworkRegions:
    from hemline.learn.backbones import BackboneConfig
    from hemline.learn.detection.darn.regions import backbone_regions, darn_regions

    if network != "cnn":
        row = AN if network == "an" else NIN_ON_CATEGORIES
        return darn_regions(Path(shop.models(row)[0]), network.upper())
    if shop.plan.scale.name == "smoke":
        return backbone_regions(BackboneConfig(name="test_efficientnet"), 64, "a random network")
    config = BackboneConfig(
        name=TRUNK, weights=str(shop.plan.weights[TRUNK]), pad_type="same",
        taps=("blocks.6", "conv_head"),
    )  # fmt: skip
    return backbone_regions(config, 96, "ImageNet MobileNetV2")


def _measured(shop: Workshop, detector: Detector, model: str) -> dict[str, Any]:
    label, count = shop.plan.scale.label, _PICTURES[shop.plan.scale.name][1]
    found: dict[str, Any] = {}
    for name, domain in _DOMAINS.items():
        pictures = pictures_of(shop.source.manifest, "test", domain, count)
        detections = [detector.detect([picture.read()])[0] for picture in pictures]
        truths = [picture.truths for picture in pictures]
        result = coco_average_precision(detections, truths, resamples=200)
        value, low, high = result.interval[f"{OVERLAP}"]
        found[name] = {"value": value, "low": low, "high": high, "label": label}
    part = next(iter(shop.source.parts.values()))[0]
    some = part.queries[: count if shop.plan.scale.name == "smoke" else len(part.queries)]
    asked = replace(part, queries=some, relevant=part.relevant[: len(some)], crop="detected")
    with shop.progress(f"searching behind {detector.name}") as advance:
        result_ = evaluate(
            open_encoder(model), asked, detector=detector, advance=advance,
            allow_leak=shop.allow_leak,
        )  # fmt: skip
    ranks = Rankings.of([result_])
    values = np.stack([ranks.measure("recall@20")])
    return {**found, "recall@20": told(values, ranks.products, label)}
