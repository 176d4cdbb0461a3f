"""The YNet paper's partitions: DARN's data, and the upper clothes of Consumer-to-Shop.

Source: X. Ji, W. Wang, M. Zhang, Y. Yang, "Cross-Domain Image Retrieval with Attention Modeling",
ACM MM 2017, section 5.1, Table 2; Figures 3 and 4. Both split train, validation and test by
product. The paper's draws aren't published; ours are seeded, in its proportions.

- ``darn-ynet``: all photos of the test products, among all shop images of those products. Table 2
  counts 10,979 products to train on, but 9,635 and 9,636 for validation and test, more than the
  text's 13,598 in all; its street photos do add up to the text's 62,812. Validation and test
  therefore share the other 2,619 products, which is 9.6 % of the products each, as of the photos.
- ``consumer2shop-upper``: upper clothes; one photo of each test product, among the test products'
  shop images. One photo of each validation product validates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, Rows, figures, roles
from hemline.data.relevance import compared, mask_of, match_items, one_row_per_item, text_column
from hemline.datasets.darn import YNET_FIGURE_3, is_darn
from hemline.errors import DataError
from hemline.types import SPLITS

Mask = npt.NDArray[np.bool_]

FIGURE_4 = figures(
    "YNet, ACM MM 2017, Figure 4",
    "recall@20",
    {
        "VGG-CNN-S": 0.123,
        "DARN": 0.239,
        "TripletVGG": 0.333,
        "YVGG": 0.396,
        "FashionNet": 0.430,
        "TagYVGG": 0.450,
        "CtxYVGG": 0.479,
    },
    "best epoch on the test set; whole pictures",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Table 2 of the paper: products of all splits, a word for them, and of each split the
    products, photos and shop images."""

    products: int
    kind: str
    train: tuple[int, int, int]
    val: tuple[int, int, int]
    test: tuple[int, int, int]


#: Validation's and test's products of DARN are ours (see the module), all else the paper's.
DARN = Sizes(
    13_598, "products", (10_979, 50_528, 32_194), (1_310, 6_318, 23_828), (1_309, 5_966, 23_773)
)
UPPER = Sizes(
    19_387, "upper products", (15_494, 84_161, 21_377), (1_948, 1_948, 2_694), (1_945, 1_945, 2_637)
)


def darn_ynet(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """All photos of the test products, among the shop images of those products.

    Raises:
        DataError: fewer than three products have both a photo and a shop image.
    """
    role = roles(manifest)
    drawn = _Draw.of("darn-ynet", manifest, role == "query", role == "gallery", DARN, choices.seed)
    stated = {
        "queries": f"all photos of the test products, seed {choices.seed}",
        "gallery": "all shop images of the test products",
        "items": _ITEMS.format("products of DARN"),
    }
    return (drawn.protocol(manifest, choices, stated, one_photo=False),)


def upper(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """One photo of each test product of the upper clothes, among the test products' pictures.

    Raises:
        DataError: the manifest has no column ``group``, or nothing of ``upper`` in both domains.
    """
    if "group" not in manifest.names:
        raise DataError(
            "protocol 'consumer2shop-upper' needs the column 'group' (upper, lower, full); make "
            "the manifest by 'hemline data read consumer2shop ROOT -o M'"
        )
    role, upper = roles(manifest), text_column(manifest, "group") == "upper"
    asks, answers = upper & (role == "query"), upper & (role == "gallery")
    drawn = _Draw.of("consumer2shop-upper", manifest, asks, answers, UPPER, choices.seed)
    stated = {
        "queries": f"one consumer photo of each test product, seed {choices.seed}",
        "gallery": "shop pictures of the test products",
        "items": _ITEMS.format("upper clothes"),
    }
    return (drawn.protocol(manifest, choices, stated, one_photo=True),)


_ITEMS = (
    "{}, split by product in the YNet paper's proportions; its own draw isn't known; the test "
    "products are kept out of training"
)


@dataclass(frozen=True, slots=True)
class _Draw:
    """The products of each split.

    Attributes:
        asks, answers: (N,) rows that are photos, and shop images, of the data in question.
        val, test: products of validation and test; those of ``products`` that are in neither train.
    """

    name: str
    sizes: Sizes
    items: npt.NDArray[np.str_]
    asks: Mask
    answers: Mask
    products: frozenset[str]
    val: frozenset[str]
    test: frozenset[str]
    rng: np.random.Generator

    @classmethod
    def of(
        cls, name: str, manifest: Manifest, asks: Mask, answers: Mask, sizes: Sizes, seed: int
    ) -> _Draw:
        items = text_column(manifest, "item_id")
        both = np.asarray(sorted(set(items[asks].tolist()) & set(items[answers].tolist())), np.str_)
        if len(both) == 0:
            raise DataError(f"protocol {name!r} finds no garment in both domains")
        rng = np.random.default_rng(seed)
        order = both[rng.permutation(len(both))].tolist()
        test = max(1, round(len(both) * sizes.test[0] / sizes.products))
        val = max(1, round(len(both) * sizes.val[0] / sizes.products))
        return cls(
            name, sizes, items, asks, answers, frozenset(order),
            frozenset(order[test : test + val]), frozenset(order[:test]), rng,
        )  # fmt: skip

    def protocol(
        self, manifest: Manifest, choices: Choices, stated: Mapping[str, str], *, one_photo: bool
    ) -> Protocol:
        """The measurement on test; ``one_photo`` of each product asks and validates, else all."""
        photos = (self._photos(manifest, part, one_photo) for part in (self.test, self.val))
        queries, validating = photos
        gallery = np.flatnonzero(self.answers & mask_of(self.items, self.test))
        learns = mask_of(self.items, self.products - self.val - self.test)
        partition = np.full(len(manifest), "", "U5")
        partition[(self.asks | self.answers) & learns] = "train"
        partition[self.answers & mask_of(self.items, self.val)] = "val"
        partition[validating] = "val"
        partition[queries] = partition[gallery] = "test"
        told = {**stated, "published_counts": self._counts(partition)}
        made = match_items(self.name, manifest, queries, gallery, choices, told, self.test)
        return replace(made, partition=partition)

    def _photos(self, manifest: Manifest, products: frozenset[str], one: bool) -> Rows:
        rows = np.flatnonzero(self.asks & mask_of(self.items, products))
        if not one:
            return rows
        ids = text_column(manifest, "image_id")  # the manifest's own order doesn't matter
        return one_row_per_item(rows[np.argsort(ids[rows], kind="stable")], self.items, self.rng)

    def _counts(self, partition: npt.NDArray[np.str_]) -> str:
        kind = f"{self.sizes.kind} in both domains"
        told = [compared(self.sizes.products, len(self.products), kind)]
        for split in SPLITS:
            inside = partition == split
            products = len(set(self.items[inside].tolist()))
            here = (products, int((inside & self.asks).sum()), int((inside & self.answers).sum()))
            for published, count, what in zip(
                getattr(self.sizes, split), here, ("products", "photos", "shop images"), strict=True
            ):
                told.append(compared(published, count, f"{split} {what}"))
        return "; ".join(told)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "darn-ynet": ProtocolSpec(
        darn_ynet,
        queries="all photos of the test products",
        gallery="all shop images of the test products",
        products="the YNet paper's proportions, seeded; kept out of training",
        published=YNET_FIGURE_3,
        made_for=is_darn,
    ),
    "consumer2shop-upper": ProtocolSpec(
        upper,
        queries="one consumer photo of each test product, upper clothes only",
        gallery="shop pictures of the test products",
        products="the YNet paper's proportions, seeded; kept out of training",
        several="photo",
        published=FIGURE_4,
        made_for=lambda manifest: {"group", "pairs"} <= set(manifest.names),
    ),
}
