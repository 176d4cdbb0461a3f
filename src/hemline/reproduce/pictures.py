"""Pictures with marked garments, for DARN's Table 2.

A garment counts when it is worn on the upper body, the lower or both and can be seen; hardly seen
ones are regions to ignore.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.data.garments import garments_of, group_of
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.errors import DataError
from hemline.evaluation.average_precision import GroundTruth, ground_truth
from hemline.types import Domain, Image, Record

if TYPE_CHECKING:
    from hemline.learn.detection.darn.patches import Scene

#: The paper's overlap.
OVERLAP = 0.7
_CLOTHES = ("upper", "lower", "full")


@dataclass(frozen=True)
class Picture:
    """A row of a manifest and its file, the garments that are to be found, and the regions to
    ignore."""

    row: int
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
        found[record.item_id] = Picture(number, record, path, truths)
        if len(found) == count:
            break
    return list(found.values())
