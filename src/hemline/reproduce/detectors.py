"""Table 2 of DARN: detectors by region features and support vectors, and the search behind them.

Every detector has the same proposals and training patches. Beside them stand the detector of the
bundle that ships, and the search with annotated boxes and with whole pictures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hemline.data.boxes import overlaps
from hemline.data.images import open_image
from hemline.data.protocol import Crop, Protocol
from hemline.data.relevance import mask_of, text_column
from hemline.encoding import Detector
from hemline.errors import BundleError
from hemline.evaluation.detected import boxed
from hemline.evaluation.model import open_encoder
from hemline.evaluation.rankings import Rankings
from hemline.evaluation.run import evaluate
from hemline.files import write_durable
from hemline.reproduce.darn import AN, DARN_45, GIVEN_BOXES, SHIPPED, WHOLE
from hemline.reproduce.experiment import Experiment, Row
from hemline.reproduce.measure import Workshop, hashed, slug
from hemline.reproduce.outcome import told
from hemline.reproduce.pictures import OVERLAP, Picture, pictures_of
from hemline.reproduce.scales import TRUNK
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, clothes, margined
from hemline.types import Detection, Domain, Image

if TYPE_CHECKING:
    from hemline.learn.detection.darn.heads import Kind
    from hemline.reproduce.region_training import RegionWorkshop, Trained

_DOMAINS: Mapping[str, Domain] = {"online": "shop", "offline": "street"}
#: Row → its network and kind of support vectors.
_ROWS: Mapping[str, tuple[str, Kind]] = {
    "CNN + SVM": ("cnn", "svm"), "CNN + SVR": ("cnn", "svr"), "NIN + SVR": ("nin", "svr"),
    "AN + SVR": ("an", "svr"),
}  # fmt: skip
#: Rows of the search alone, and how they crop.
_BOUNDS: Mapping[str, Crop] = {GIVEN_BOXES: "box", WHOLE: "none"}
#: Pictures of each domain at each scale: to learn from, to choose by, to measure.
_PICTURES = {"smoke": (6, 2, 4), "bench": (200, 30, 75), "paper": (2000, 200, 383)}
#: Pictures whose detection is timed.
_TIMED = 8


class Shipped:
    """The detector of the bundle that ships, its shoes and bags left out.

    Raises:
        BundleError: no bundle ships, or it has none.
    """

    def __init__(self) -> None:
        self.detector = BundleDetector(Bundle.default(), threads=1)
        self.name, self.threshold = self.detector.name, self.detector.threshold

    def detect(self, images: Sequence[Image]) -> list[tuple[Detection, ...]]:
        return [tuple(clothes(found)) for found in self.detector.detect(images)]


def rows(
    shop: Workshop, experiment: Experiment, wanted: Sequence[Row]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The rows of the JSON, AP of shop and street pictures, and recall@20 with the boxes found; and
    how many queries and gallery pictures that search has."""
    table = _Table(shop)
    found = [table.row(row) for row in wanted]
    if "regions" in table.__dict__:
        table.regions.clear()
    if "asked" not in table.__dict__ and not any(one["protocols"] for one in found):
        return found, {}
    return found, {"queries": len(table.asked.queries), "gallery": len(table.asked.gallery)}


@dataclass
class _Table:
    """What the rows share."""

    shop: Workshop

    @cached_property
    def regions(self) -> RegionWorkshop:
        """Trains DARN's detectors."""
        from hemline.reproduce.region_training import RegionWorkshop

        learn, choose, _ = _PICTURES[self.shop.plan.scale.name]
        learned = [one for part in _DOMAINS.values() for one in self._of("train", part, learn)]
        tried = {name: self._of("val", part, choose) for name, part in _DOMAINS.items()}
        return RegionWorkshop(self.shop, learned, tried)

    @cached_property
    def pictures(self) -> dict[str, list[Picture]]:
        """Test pictures by the paper's name of their domain."""
        count = _PICTURES[self.shop.plan.scale.name][2]
        return {name: self._of("test", part, count) for name, part in _DOMAINS.items()}

    @cached_property
    def asked(self) -> Protocol:
        """The test photos, and the test shop pictures of their products and of the others that
        are measured."""
        part = next(iter(self.shop.source.parts.values()))[0]
        street, shown = ([one.row for one in self.pictures[d]] for d in ("offline", "online"))
        asked = np.isin(part.queries, street)
        items = text_column(part.manifest, "item_id")
        own = mask_of(items[part.gallery], frozenset(items[street].tolist()))
        relevant = tuple(r for r, kept in zip(part.relevant, asked, strict=True) if kept)
        return replace(
            part, queries=part.queries[asked], relevant=relevant,
            gallery=part.gallery[own | np.isin(part.gallery, shown)],
        )  # fmt: skip

    def _of(self, split: str, domain: Domain, count: int) -> list[Picture]:
        return pictures_of(self.shop.source.manifest, split, domain, count)

    def row(self, row: Row) -> dict[str, Any]:
        published = {n: {"value": v, "label": "published"} for n, v in row.published.items()}
        found = {"name": row.name, "recipe": None, "protocols": {}, "published": published}
        why = _lacks(self.shop, row)
        if why:
            return {**found, "not_measured": why}
        (name,) = self.shop.source.parts
        model = self.shop.models(DARN_45)[0]
        key = [
            row.name, self.shop.source.manifest.fingerprint(), open_encoder(model).fingerprint,
            _PICTURES[self.shop.plan.scale.name], self._network(row),
        ]  # fmt: skip
        named = f"detector-{slug(row.name)}-{hashed(json.dumps(key))}.json"
        file = self.shop.out / "results" / named
        if not file.is_file():
            figures = self._figures(row, model)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_durable(file, json.dumps(figures) + "\n")
        figures = json.loads(file.read_text("utf-8"))
        return {**found, "protocols": {name: {**figures, "results": [file.name]}}}

    def _network(self, row: Row) -> str:
        """What the row's network was trained from."""
        network = _ROWS.get(row.name, ("",))[0]
        given = self.shop.plan.weights.get(TRUNK)
        return str(given) if network == "cnn" else network and self.shop.models(AN)[0]

    def _figures(self, row: Row, model: str) -> dict[str, Any]:
        label = self.shop.plan.scale.label
        none = {"value": None, "low": None, "high": None, "label": label}
        if row.name in _BOUNDS:
            search = self._search(model, replace(self.asked, crop=_BOUNDS[row.name]))
            return {"measured": {"AP online": none, "AP offline": none, "recall@20": search}}
        detector: Detector
        timed: Detector
        chosen: dict[str, Any] = {}
        if row.name == SHIPPED:
            timed = detector = Shipped()
        else:
            trained: Trained = self.regions.trained(*_ROWS[row.name])
            detector, timed, chosen = trained
        measured, further = self._precisions(detector)
        detected = replace(self.asked, crop="detected")
        measured["recall@20"] = self._search(model, detected, detector)
        near = self._search(model, self._nearest(detector))
        from hemline.reproduce.region_training import seconds

        further["recall@20, nearest boxes"] = near
        spent = seconds(timed, self.pictures["offline"][:_TIMED])
        further["processor's seconds of a picture"] = {**none, "value": spent}
        return {"measured": measured, "further": further, "chosen": chosen}

    def _precisions(self, detector: Detector) -> tuple[dict[str, Any], dict[str, Any]]:
        """AP at the paper's overlap, and at half."""
        from hemline.reproduce.region_training import precision

        label = self.shop.plan.scale.label
        measured: dict[str, Any] = {}
        further: dict[str, Any] = {}
        for name, pictures in self.pictures.items():
            result = precision(detector, pictures, resamples=1000)
            for overlap, figures, called in (
                (OVERLAP, measured, f"AP {name}"), (0.5, further, f"AP {name} at IoU 0.5")
            ):  # fmt: skip
                value, low, high = result.interval[f"{overlap}"]
                figures[called] = {"value": value, "low": low, "high": high, "label": label}
        return measured, further

    def _nearest(self, detector: Detector) -> Protocol:
        """Each image cropped to the found box that lies nearest to its product, as a shopper taps
        the garment that is meant; the whole picture where none is found."""
        manifest = self.asked.manifest
        boxes = np.full((len(manifest), 4), np.nan)
        for at in np.unique(np.concatenate([self.asked.queries, self.asked.gallery])).tolist():
            image, box = open_image(manifest.file(at)), manifest[at].box
            found = detector.detect([image])[0]
            if found and box is not None:
                near = int(overlaps([box], [one.box for one in found])[0].argmax())
                boxes[at] = margined(found[near], image)
        return replace(self.asked, manifest=boxed(manifest, boxes), crop="box")

    def _search(
        self, model: str, asked: Protocol, detector: Detector | None = None
    ) -> dict[str, Any]:
        with self.shop.progress("searching") as advance:
            result = evaluate(
                open_encoder(model), asked, detector=detector, advance=advance,
                allow_leak=self.shop.allow_leak,
            )  # fmt: skip
        ranks = Rankings.of([result])
        values = np.stack([ranks.measure("recall@20")])
        return told(values, ranks.products, self.shop.plan.scale.label)


def _lacks(shop: Workshop, row: Row) -> str:
    """Why a row isn't measured; empty where it is."""
    if row.name == SHIPPED:
        try:
            Shipped()
        except BundleError as error:
            return str(error)
    elif row.name not in _ROWS and row.name not in _BOUNDS:
        return row.instead
    if "garments" not in shop.source.manifest.names:
        return "the data marks no garments"
    if row.name in _ROWS and _ROWS[row.name][0] == "cnn" and shop.plan.scale.name != "smoke":
        return "" if TRUNK in shop.plan.weights else f"give --weights {TRUNK}=FILE"
    return shop.lacks(AN)
