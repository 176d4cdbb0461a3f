"""DARN's detector for a row of its Table 2: trained, and chosen by validation pictures.

For each detector validation chooses, by the sum of both domains' AP at the paper's overlap: whether
the windows of the last convolution are read beside the whole, the cost of the support vectors, and
the overlap of non-maximum suppression.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hemline.data.images import open_image
from hemline.encoding import Detector
from hemline.evaluation.average_precision import AveragePrecision, coco_average_precision
from hemline.reproduce.darn import AN, NIN_ON_CATEGORIES
from hemline.reproduce.measure import Workshop
from hemline.reproduce.pictures import OVERLAP, Picture
from hemline.reproduce.scales import TRUNK

if TYPE_CHECKING:
    from hemline.learn.detection.darn.detector import RegionDetector
    from hemline.learn.detection.darn.heads import Kind
    from hemline.learn.detection.darn.kept import KeptFeatures
    from hemline.learn.detection.darn.regions import NetworkRegions

#: Costs of the support vectors that are tried; the first one also chooses what is read.
COSTS: Mapping[Kind, tuple[float, float]] = {"svr": (1e-4, 1e-5), "svm": (1e-5, 1e-6)}
#: Overlaps of non-maximum suppression that are tried.
SUPPRESSION = (0.3, 0.5)


class Trained(NamedTuple):
    """A row's detector.

    Attributes:
        detector: with kept proposals and features.
        plain: the same computing both, for its time.
        chosen: what validation chose, with its AP of each domain.
    """

    detector: RegionDetector
    plain: RegionDetector
    chosen: dict[str, Any]


@dataclass
class RegionWorkshop:
    """Trains the detectors of a table; proposals and features of its pictures are computed once.

    Attributes:
        shop: where the networks come from.
        learned, tried: pictures to learn from, and to choose by.
    """

    shop: Workshop
    learned: Sequence[Picture]
    tried: Mapping[str, Sequence[Picture]]
    networks: dict[str, NetworkRegions] = field(default_factory=dict)

    @property
    def kept(self) -> Path:
        """The folder of proposals and features."""
        return self.shop.out / "data" / "regions"

    def clear(self) -> None:
        """Takes away what was kept."""
        shutil.rmtree(self.kept, ignore_errors=True)

    def trained(self, network: str, kind: Kind) -> Trained:
        """The detector of a network (``cnn``, ``nin``, ``an``) and a kind of support vectors."""
        from hemline.learn.detection.darn.detector import RegionDetector
        from hemline.learn.detection.darn.kept import KeptFeatures, SomeColumns

        features = self._network(network)
        kept = KeptFeatures(features, self.kept / f"{network}-{self._digest(network)}")
        best: tuple[float, dict[str, Any], RegionDetector] | None = None
        first, second = COSTS[kind]
        for reads in (False, True):
            best = self._better(best, kept, features, kind, reads, first)
        assert best is not None
        best = self._better(best, kept, features, kind, best[1]["reads"] != "whole", second)
        assert best is not None
        _, chosen, detector = best
        columns = features.whole if chosen["reads"] == "whole" else None
        plain = RegionDetector(
            SomeColumns(features, columns, chosen["reads"]), detector.heads, detector.settings,
            detector.proposals,
        )  # fmt: skip
        return Trained(detector, plain, chosen)

    def _better(
        self, best: tuple[float, dict[str, Any], RegionDetector] | None, kept: KeptFeatures,
        features: NetworkRegions, kind: Kind, windows: bool, cost: float,
    ) -> tuple[float, dict[str, Any], RegionDetector] | None:  # fmt: skip
        """The better one of the best so far and the two suppressions of these settings."""
        from hemline.learn.detection.darn.detector import (
            RegionDetector,
            RegionSettings,
            train_regions,
        )
        from hemline.learn.detection.darn.kept import KeptProposals, SomeColumns
        from hemline.learn.detection.darn.proposals import ProposalSettings

        reads = "whole and windows" if windows else "whole"
        columns = None if windows else features.whole
        keep = KeptProposals(ProposalSettings(), self.kept / "proposals")
        smoke = self.shop.plan.scale.name == "smoke"
        settings = RegionSettings(
            kind=kind, cost=cost, per_level=2 if smoke else 5, hard_pictures=2 if smoke else 60
        )
        with self.shop.progress(f"learning to find garments by {kept.name} {reads}") as advance:
            detector = train_regions(
                SomeColumns(kept, columns, reads),
                [partial(open_image, picture.path) for picture in self.learned],
                [picture.scene() for picture in self.learned],
                settings,
                ProposalSettings(),
                propose_with=keep,
                advance=advance,
            )
        for overlap in SUPPRESSION:
            other = RegionDetector(
                detector.features, detector.heads,
                settings.model_copy(update={"overlap": overlap}), detector.proposals, keep,
            )  # fmt: skip
            ap = {name: _at(precision(other, some)) for name, some in self.tried.items()}
            told = {"reads": reads, "cost": cost, "suppression": overlap, "validation": ap}
            self.shop.say(f"{other.name}: {told}")
            if best is None or sum(ap.values()) > best[0]:
                best = (sum(ap.values()), told, other)
        return best

    def _network(self, network: str) -> NetworkRegions:
        from hemline.learn.detection.darn.regions import faster

        if network not in self.networks:
            self.networks[network] = faster(_regions(self.shop, network))
        return self.networks[network]

    def _digest(self, network: str) -> str:
        """Of the network's weights."""
        if network == "cnn":
            return "given"
        row = AN if network == "an" else NIN_ON_CATEGORIES
        return Path(self.shop.models(row)[0]).name


def precision(
    detector: Detector, pictures: Sequence[Picture], resamples: int = 0
) -> AveragePrecision:
    """AP of the garments of some pictures."""
    detections = [detector.detect([picture.read()])[0] for picture in pictures]
    truths = [picture.truths for picture in pictures]
    return coco_average_precision(detections, truths, resamples=resamples)


def seconds(detector: Detector, pictures: Sequence[Picture]) -> float:
    """Processor's seconds of a picture, without reading it."""
    images = [picture.read() for picture in pictures]
    detector.detect(images[:1])
    began = time.process_time()
    for image in images:
        detector.detect([image])
    return (time.process_time() - began) / len(images)


def _at(found: AveragePrecision) -> float:
    """AP at the paper's overlap; 0 where there is nothing to find."""
    value = found.ap[OVERLAP]
    return value if value == value else 0.0


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
