"""The kinds of findings: title, harm and remedy of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: Most examples of a finding.
SHOWN = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding; `KINDS` has them, most harmful first.

    Attributes:
        harm: ``high`` (wrong figures or answers), ``medium`` (worse training), ``low``.
        title: the plural noun that is counted.
        why, advice: the harm and the remedy.
    """

    harm: str
    title: str
    why: str
    advice: str


KINDS: dict[str, Kind] = {
    "broken": Kind(
        "high",
        "files that can't be opened",
        "Training and the catalogue leave them out; an item may lose its only picture.",
        "Fetch or export them again, or take their rows out.",
    ),
    "leak_same": Kind(
        "high",
        "pictures in training and in val or test at once",
        "The model has seen the answer: the measured quality is too good.",
        "Keep the picture in one split; split by product, not by picture.",
    ),
    "leak_near": Kind(
        "high",
        "pairs of nearly the same picture, one in training, one in val or test",
        "The model has all but seen the answer: the measured quality is too good.",
        "Split by product or by photo session; measure with --protocol holdout as well.",
    ),
    "two_items": Kind(
        "high",
        "pictures under several items (with the same box)",
        "Training treats one picture as two products, and a right answer counts as wrong.",
        "Merge the items if they are one product; else give each its own picture or box.",
    ),
    "near_items": Kind(
        "high",
        "pairs of nearly the same picture under two items",
        "They are one product listed twice, or variants that a picture can hardly tell apart.",
        "Look at the pairs: merge what is one product, keep real variants.",
    ),
    "across_domains": Kind(
        "high",
        "the same or nearly the same picture as street and as shop",
        "A user's photo that is the shop's own picture is found without any understanding.",
        "Take the copied photo out of the queries and out of training.",
    ),
    "boxes_outside": Kind(
        "medium",
        "boxes that leave their picture",
        "They were made for another size or for the picture before it was turned upright.",
        "Check the size that the boxes refer to; boxes are xyxy in pixels of the upright picture.",
    ),
    "boxes_tiny": Kind(
        "medium",
        "boxes with a side below 16 pixels",
        "Nothing of the garment can be seen in so few pixels.",
        "Take the rows out, or use larger pictures.",
    ),
    "landmarks_outside": Kind(
        "medium",
        "rows with visible landmarks well outside their box",
        "Box and landmarks contradict each other.",
        "Check that both refer to the same garment and the same size of picture.",
    ),
    "street_only": Kind(
        "medium",
        "items with street pictures only",
        "Their photos can never find their product, and training can't pair them.",
        "Add the shop's picture, or take the items out.",
    ),
    "missing_category": Kind(
        "medium",
        "rows without a category while others have one",
        "A search or evaluation within a category leaves them out.",
        "Fill the category in, or leave it empty everywhere.",
    ),
    "tiny": Kind(
        "medium",
        "pictures with a side below 32 pixels",
        "They are thumbnails or placeholders.",
        "Export the full pictures.",
    ),
    "odd_shape": Kind(
        "low",
        "pictures over four times as long as wide, or as wide as long",
        "They are banners or strips; squeezed into a square little is left of the garment.",
        "Look at them; give boxes, or take them out.",
    ),
    "copies": Kind(
        "low",
        "groups of files with exactly the same picture",
        "The copies cost time and count several times; some are the same bytes, some re-encoded.",
        "Keep one of each group, unless they belong to different items on purpose.",
    ),
    "near_copies": Kind(
        "low",
        "pairs of nearly the same picture within one item, domain and split",
        "They teach little; a burst of photos counts several times.",
        "Nothing need be done; keep a burst together when you split.",
    ),
    "constant_tags": Kind(
        "low",
        "tags that every tagged row has",
        "They carry no information.",
        "Leave them out.",
    ),
    "rare_tags": Kind(
        "low",
        "tags of fewer than five rows",
        "A model can't learn them, and they make the vocabulary longer.",
        "Merge them with what they mean, or drop them.",
    ),
    "shop_only": Kind(
        "low",
        "items with shop pictures only",
        "No query shows them: fine in a catalogue, unused in training.",
        "Nothing has to be done.",
    ),
}


@dataclass(slots=True)
class Finding:
    """One kind of finding with its count and at most `SHOWN` examples, the worst first.

    An example has some of ``paths``, ``items``, ``rows`` (from 1), ``splits``, ``reason``,
    ``tag``, ``points`` (keypoints that agree).
    """

    name: str
    count: int
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """Its description."""
        return KINDS[self.name]

    def to_json(self) -> dict[str, Any]:
        """With its description."""
        return {"name": self.name, "count": self.count, **asdict(self.kind)} | {
            "examples": self.examples
        }


def finding(name: str, examples: list[dict[str, Any]]) -> Finding | None:
    """A `Finding`, or None without examples."""
    return Finding(name, len(examples), examples[:SHOWN]) if examples else None
