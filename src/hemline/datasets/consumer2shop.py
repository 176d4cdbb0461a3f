"""DeepFashion Consumer-to-Shop: consumers' photos searched among the shop images of their items.

Source: Z. Liu and others, "DeepFashion", CVPR 2016, section 2; the benchmark's README.

Layout (each list in ``Anno``, ``Eval`` or the root itself; ``img`` there or below ``Img``):

- ``list_bbox_consumer2shop.txt``: picture, clothes type, source (1 shop, 2 consumer), box.
- ``list_eval_partition.txt``: consumer picture, shop picture, item, train/val/test; one consumer
  picture may stand on several lines.
- ``list_landmarks_consumer2shop.txt``, ``list_attr_*.txt``, ``list_item_consumer2shop.txt``: taken
  where they are there.

A row for each picture in the order of the boxes. ``split`` is that of the item's pairs, empty
where it has none. Further columns: ``group`` (upper, lower, full), ``variation``, ``pairs`` (how
many lines of the partition name the picture), ``known_types`` (the attribute types of which every
value is known of the item: a tag of one of these that is missing is a *no*, of another *unknown*).

Protocols (the YNet paper's is in `hemline.datasets.ynet`):

- ``consumer2shop``: the official gallery, all shop images of val and test.
- ``consumer2shop-test-shops``: the shop images of test only; easier, and often published.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.manifest.image_ids import image_ids
from hemline.data.manifest.validate import SCHEMA
from hemline.data.protocol import (
    TABLE_LOST,
    Choices,
    Protocol,
    ProtocolSpec,
    Published,
    figures,
    roles,
)
from hemline.data.relevance import mask_of, match_items, text_column
from hemline.datasets._arrow import index_of, pa, pc, true, words
from hemline.datasets._attributes import read_attributes
from hemline.datasets._base import Options, ReaderSpec, ReadReport, beside, checked
from hemline.datasets._deepfashion import (
    GET,
    GROUPS,
    LICENCE,
    OPTIONS,
    add_landmarks,
    box_columns,
    boxes_of,
    needed_list,
    picture_folder,
    read_list,
    respelt,
    to_large,
    words_of,
)
from hemline.datasets._lists import Lines
from hemline.types import SPLITS

PUBLISHED = {"images": 239_557, "items": 33_881, "pairs": 195_540, "attributes": 303}
#: The long side of the pictures that the boxes are made for.
SIDE = 300
_PLACE = r"^(?:img/)?(?P<category>.+)/(?P<item>id_[0-9]+)/[^/]+$"
_SPELLINGS = (("CLOTHING/Summer_Wear/", "CLOTHING/Summer_Suit/"), ("/comsumer_", "/consumer_"))


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    lines, notes = read_list(needed_list(root, "list_bbox_consumer2shop.txt"))
    lines.expect(7, "picture, clothes type, source type, box")
    names = lines.column(0)
    place = pc.extract_regex(names, _PLACE)
    strange = np.flatnonzero(true(place.is_null()))
    if len(strange):
        lines.fail(int(strange[0]), "names no picture as img/CATEGORY/KIND/id_00000001/shop_01.jpg")
    item, category = pc.struct_field(place, [1]), pc.struct_field(place, [0])
    boxes, more = boxes_of(lines, 3)
    notes += more
    split, pairs, count, more = _partition(
        needed_list(root, "list_eval_partition.txt"), names, item
    )
    notes += more
    shop = lines.choices(2, (1, 2), "source type") == 1
    folder, paths = picture_folder(root, options, names)
    paths, more = respelt(folder, paths, _SPELLINGS)
    notes += more
    counted = {"images": len(lines), "items": len(pc.unique(item)), "pairs": count}
    columns: dict[str, Any] = {
        "image_id": image_ids(pa.array([""] * len(names)), names),
        "path": paths,
        "item_id": item,
        "domain": words(np.where(shop, "shop", "street")),
        "split": split,
        "category": category,
        **box_columns(boxes),
        "group": words_of(lines.choices(1, (1, 2, 3), "clothes type"), GROUPS),
        "pairs": pa.array(pairs),
    }
    notes += add_landmarks(
        root, "list_landmarks_consumer2shop.txt", names, np.zeros(len(names), bool), columns
    )
    notes += _tags(root, item, columns, counted)
    manifest, report = checked(columns, root, folder, options, notes, beside(PUBLISHED, counted))
    return to_large(manifest, report, options, SIDE, padded=False)


def _partition(file: Path, names: Any, item: Any) -> tuple[Any, Any, int, list[str]]:
    """The split of each picture's item, the pairs of each picture, the number of pairs, notes."""
    lines, notes = read_list(file)
    lines.expect(4, "consumer picture, shop picture, item, train, val or test")
    status = lines.column(3)
    _known(lines, status)
    used, codes = np.unique(status.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    order = pc.unique(item)
    of_pair = index_of(order, lines.column(2))
    split = np.full(len(order), "", object)
    here = of_pair >= 0
    split[of_pair[here][::-1]] = used[codes[here][::-1]]  # the first line of an item decides
    mixed = here & (split[np.where(here, of_pair, 0)] != used[codes])
    pairs = np.zeros(len(names), np.int64)
    for k in (0, 1):
        at = index_of(names, lines.column(k))
        np.add.at(pairs, at[at >= 0], 1)
        if (at < 0).any():
            notes.append(
                f"{int((at < 0).sum()):,} {('consumer', 'shop')[k]} pictures of pairs have no box "
                f"in the lists, as {lines.word(int(np.flatnonzero(at < 0)[0]), k)}; left out"
            )
    if mixed.any():
        notes.append(f"{int(mixed.sum()):,} pairs are in another split than their item's first")
    alone = int((split == "").sum())
    if alone:
        notes.append(f"{alone:,} items are in no pair; their split is empty")
    each = index_of(order, item)
    return words(split[each]), pairs, len(lines), notes


def _known(lines: Lines, status: Any) -> None:
    wrong = pc.invert(pc.is_in(status, value_set=pa.array(SPLITS)))
    rows = np.flatnonzero(true(wrong))
    if len(rows):
        lines.fail(int(rows[0]), f"is {lines.word(int(rows[0]), 3)!r}, not {', '.join(SPLITS)}")


def _tags(root: Path, item: Any, columns: dict[str, Any], counted: dict[str, int]) -> list[str]:
    attributes = read_attributes(root)
    if attributes is None:
        return ["there is no list_attr_items.txt; the rows have no tags"]
    at = index_of(attributes.items, item)
    rows = pa.array(at, mask=at < 0)
    for name, lists in (("tags", attributes.tags), ("known_types", attributes.known)):
        taken = lists.take(rows)
        columns[name] = pc.if_else(taken.is_null(), pa.scalar([], SCHEMA["tags"]), taken)
    counted["attributes"] = attributes.count
    notes = list(attributes.notes)
    if (at < 0).any():
        notes.append(f"{int((at < 0).sum()):,} rows are of items without attributes")
    return notes


READERS: Mapping[str, ReaderSpec] = {
    "consumer2shop": ReaderSpec(
        name="consumer2shop",
        summary="DeepFashion Consumer-to-Shop: customers' photos against shop pictures.",
        get=GET,
        licence=LICENCE,
        reader=_read,
        folder=True,
        options=OPTIONS,
    )
}

# Published figures; the galleries, crops and splits behind them differ, as each note says.
CONSUMER2SHOP = (
    *figures("DeepFashion, CVPR 2016", "recall@20", {"FashionNet": 0.188}, "crop not known to us"),
    *figures("GRNet, ICCV 2019", "recall@1", {"GRNet": 0.257}),
    *figures("GRNet, ICCV 2019", "recall@20", {"GRNet": 0.64}),
    *figures("GRNet, ICCV 2019", "recall@50", {"GRNet": 0.75}),
    *figures("AHBN, TCSVT 2021", "recall@20", {"AHBN": None}, TABLE_LOST),
)
_EASIER = "an easier gallery than the official one"
CONSUMER2SHOP_TEST_SHOPS = tuple(
    Published("a public baseline", model, metric, value, _EASIER)
    for model, values in {
        "ResNet": (0.276, 0.645, 0.749),
        "ResNet, test-time augmentation": (0.282, 0.653, 0.755),
    }.items()
    for metric, value in zip(("recall@1", "recall@20", "recall@50"), values, strict=True)
)


def _by_split(
    name: str, splits: tuple[str, ...], manifest: Manifest, choices: Choices
) -> tuple[Protocol, ...]:
    """Queries of test among the shop images of ``splits``."""
    split, role = text_column(manifest, "split"), roles(manifest)
    items = text_column(manifest, "item_id")
    queries = np.flatnonzero((role == "query") & (split == "test"))
    gallery = np.flatnonzero((role == "gallery") & mask_of(split, splits))
    stated = {
        "queries": "consumer photos of test",
        "gallery": f"all shop pictures of {' and '.join(splits)}",
        "items": "the products of the gallery and of the queries are kept out of training",
    }
    used = np.concatenate([queries, gallery])
    held_out = set(items[used].tolist())
    return (match_items(name, manifest, queries, gallery, choices, stated, held_out),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "consumer2shop": ProtocolSpec(
        partial(_by_split, "consumer2shop", ("val", "test")),
        queries="consumer photos of test",
        gallery="all shop pictures of val and test: the official gallery",
        products="as published; kept out of training",
        crop="box",
        several="photo",
        published=CONSUMER2SHOP,
    ),
    "consumer2shop-test-shops": ProtocolSpec(
        partial(_by_split, "consumer2shop-test-shops", ("test",)),
        queries="consumer photos of test",
        gallery="shop pictures of test only: easier than the official one",
        products="as published; kept out of training",
        crop="box",
        several="photo",
        published=CONSUMER2SHOP_TEST_SHOPS,
    ),
}
