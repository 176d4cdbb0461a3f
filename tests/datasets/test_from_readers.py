"""What readers give of the published formats, each protocol takes: queries, gallery, answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.published import consumer2shop, darn, deepfashion2, inshop, street2shop
from hemline.datasets import READERS, build
from hemline.errors import DataError

TREES: dict[str, Callable[[Path], Path]] = {
    "consumer2shop": consumer2shop,
    "inshop": inshop,
    "street2shop": street2shop,
    "darn": darn,
}
SUMMER = "CLOTHING/Summer_Wear/id_00000020"
LACE = "DRESSES/Lace_Dress/id_00000031"
DENIM = "MEN/Denim/id_00000080"


@pytest.mark.parametrize(
    ("reader", "protocol", "queries", "gallery", "relevant"),
    [
        (
            "consumer2shop",
            "consumer2shop",
            [f"{LACE}/comsumer_01"],
            [f"{SUMMER}/shop_01", f"{LACE}/shop_01"],
            [{"id_00000031"}],
        ),
        (
            "consumer2shop",
            "consumer2shop-test-shops",
            [f"{LACE}/comsumer_01"],
            [f"{LACE}/shop_01"],
            [{"id_00000031"}],
        ),
        ("consumer2shop", "siamese-1k", [f"{LACE}/comsumer_01"], [f"{LACE}/shop_01"], None),
        (
            "inshop",
            "inshop",
            [f"{DENIM}/01_1_front"],
            [f"{DENIM}/01_2_side", f"{DENIM}/01_7_additional"],
            [{"id_00000080"}],
        ),
        ("street2shop", "street2shop/bags", ["000000003"], ["000000002"], [{"bags/10"}]),
        (
            "street2shop",
            "street2shop/dresses",
            ["000000004"],  # one photo and box on two lines: either product is right
            ["000000001", "000000002#2"],
            [{"dresses/11", "dresses/12"}],
        ),
        (
            "darn",
            "darn",
            None,  # one of the first product's two photos; the other product is left to train on
            ["52040006/0000_47_012_002_P", "52040007/0001_01_001_001_P"],
            [{"52040006/0000_47"}],
        ),
    ],
)
def test_it_takes_what_the_reader_gives(
    reader: str,
    protocol: str,
    queries: list[str] | None,
    gallery: list[str],
    relevant: list[set[str]] | None,
    tmp_path: Path,
) -> None:
    manifest, _ = READERS[reader].read(TREES[reader](tmp_path))

    def names(rows: list[int]) -> list[str]:
        ids = [manifest[row].image_id for row in rows]
        return [name.removeprefix("img/").removesuffix(".jpg") for name in ids]

    (part,) = build(protocol, manifest)
    if queries is not None:
        assert names(part.queries.tolist()) == queries
    assert names(part.gallery.tolist()) == gallery
    if relevant is not None:
        assert [set(items) for items in part.relevant] == relevant
    assert part.unmatched == 0


def test_the_upper_products_are_those_of_the_clothes_type(tmp_path: Path) -> None:
    manifest, _ = READERS["consumer2shop"].read(consumer2shop(tmp_path))
    (part,) = build("consumer2shop-upper", manifest)
    assert {manifest[int(row)].extra["group"] for row in part.queries} == {"upper"}
    assert part.held_out == {"id_00000020"}


def test_the_small_deepfashion2_has_no_shop_garment_of_val_and_says_so(tmp_path: Path) -> None:
    manifest, _ = READERS["deepfashion2"].read(deepfashion2(tmp_path))
    with pytest.raises(DataError, match=r"no gallery row .*3 of split train, gallery"):
        build("deepfashion2", manifest)
