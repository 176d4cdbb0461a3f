"""DeepFashion In-Shop: shop images of an item, searched by another shop image of it.

Source: Z. Liu and others, "DeepFashion", CVPR 2016, section 2; the benchmark's README.

Layout (each list in ``Anno``, ``Eval`` or the root itself; ``img`` there or below ``Img``):

- ``list_eval_partition.txt``: picture, item, train/query/gallery.
- ``list_bbox_inshop.txt``: picture, clothes type, pose type, box.
- ``list_landmarks_inshop.txt``, ``list_description_inshop.json``: taken where they are there.

A row for each picture in the order of the partition; all are shop pictures. ``split`` is train, or
test for queries and gallery; ``role`` says which of the two. Further columns: ``group`` (upper,
lower, full), ``pose`` (front, side, back, zoom-out, zoom-in, stand-alone), ``variation``,
``description``.

Protocol ``inshop``: role ``query`` among role ``gallery``, with figures by pose and by category, as
in AHBN's Figure 8 (section IV-E).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.manifest.image_ids import image_ids
from hemline.data.protocol import TABLE_LOST, Choices, Protocol, ProtocolSpec, figures
from hemline.data.relevance import compared, match_items, text_column
from hemline.datasets._arrow import Mask, index_of, pa, pc, true, words
from hemline.datasets._base import Options, ReaderSpec, ReadReport, beside, checked
from hemline.datasets._deepfashion import (
    GET,
    GROUPS,
    LICENCE,
    OPTIONS,
    add_landmarks,
    box_columns,
    boxes_of,
    find_list,
    needed_list,
    picture_folder,
    read_list,
    to_large,
    words_of,
)
from hemline.datasets._json import read_json

PUBLISHED = {
    "images": 52_712,
    "items": 7_982,
    "train": 25_882,
    "query": 14_218,
    "gallery": 12_612,
    "train items": 3_997,
}
#: The side of the square pictures that the boxes are made for.
SIDE = 256
POSES = {1: "front", 2: "side", 3: "back", 4: "zoom-out", 5: "zoom-in", 6: "stand-alone"}
_STATUS = ("train", "query", "gallery")
_PLACE = r"^(?:img/)?(?P<category>.+)/id_[0-9]+/[^/]+$"


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    lines, notes = read_list(needed_list(root, "list_eval_partition.txt"))
    lines.expect(3, "picture, item, train, query or gallery")
    names, item, status = (lines.column(k) for k in range(3))
    wrong = ~true(pc.is_in(status, value_set=pa.array(_STATUS)))
    if wrong.any():
        lines.fail(int(np.flatnonzero(wrong)[0]), f"has none of {', '.join(_STATUS)} at its end")
    category = pc.struct_field(pc.extract_regex(names, _PLACE), [0])
    strange = np.flatnonzero(true(category.is_null()))
    if len(strange):
        lines.fail(int(strange[0]), "names no picture as img/WOMEN/Dresses/id_00000001/01_1.jpg")
    state = status.to_numpy(zero_copy_only=False).astype(str)
    train = state == "train"
    counted = {"images": len(lines), "items": len(pc.unique(item))}
    counted |= {word: int((state == word).sum()) for word in _STATUS}
    counted["train items"] = len(pc.unique(item.filter(pa.array(train))))
    folder, paths = picture_folder(root, options, names)
    columns: dict[str, Any] = {
        "image_id": image_ids(pa.array([""] * len(names)), names),
        "path": paths,
        "item_id": item,
        "domain": pa.array(["shop"] * len(names)),
        "role": words(np.where(train, "", state)),
        "split": words(np.where(train, "train", "test")),
        "category": category,
    }
    behind, more = _boxes(needed_list(root, "list_bbox_inshop.txt"), names, columns)
    notes += more + add_landmarks(root, "list_landmarks_inshop.txt", names, behind, columns)
    notes += _descriptions(root, item, columns)
    manifest, report = checked(columns, root, folder, options, notes, beside(PUBLISHED, counted))
    return to_large(manifest, report, options, SIDE, padded=True)


def _boxes(file: Path, names: Any, columns: dict[str, Any]) -> tuple[Mask, list[str]]:
    """Adds box, group and pose; (N,) which pictures are taken from behind, and notes."""
    lines, notes = read_list(file)
    lines.expect(7, "picture, clothes type, pose type, box")
    boxes, more = boxes_of(lines, 3)
    kinds = lines.choices(1, tuple(GROUPS), "clothes type")
    poses = lines.choices(2, tuple(POSES), "pose type")
    at = index_of(lines.column(0), names)
    lost = at < 0
    columns |= box_columns(np.where(lost[:, None], np.nan, boxes[at]))
    columns["group"] = words_of(np.where(lost, 0, kinds[at]), GROUPS)
    pose = np.where(lost, 0, poses[at])
    columns["pose"] = words_of(pose, POSES)
    if lost.any():
        more.append(f"{int(lost.sum()):,} pictures have no box, group and pose in {file.name}")
    return pose == 3, notes + more


def _descriptions(root: Path, item: Any, columns: dict[str, Any]) -> list[str]:
    """Adds the shop's own words on each item, the first where an item has several."""
    file = find_list(root, "list_description_inshop.json")
    if file is None:
        return []
    entries = read_json(file)
    texts: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("item"), str):
            text = entry.get("description")
            parts = text if isinstance(text, list) else [text]
            words = " ".join(" ".join(part.split()) for part in parts if isinstance(part, str))
            if words:
                texts.setdefault(entry["item"], words)
    columns["description"] = pa.array([texts.get(one, "") for one in item.to_pylist()])
    return [] if texts else [f"{file.name} describes no item"]


READERS: Mapping[str, ReaderSpec] = {
    "inshop": ReaderSpec(
        name="inshop",
        summary="DeepFashion In-Shop: shop pictures of an item, found by another of them.",
        get=GET,
        licence=LICENCE,
        reader=_read,
        folder=True,
        options=OPTIONS,
    )
}


INSHOP = (
    *figures(
        "as published, by model",
        "recall@1",
        {
            "FashionNet": 0.53,
            "HDC": 0.621,
            "ABE-8": 0.873,
            "clothingRetri": 0.918,
            "OML ViT-S/16": 0.921,
            "Hyp-ViT": 0.927,
            "Unicom ViT-B/32": 0.948,
            "Unicom ViT-L/14@336": 0.967,
        },
        "most don't crop",
    ),
    *figures(
        "Unicom, zero-shot",
        "recall@1",
        {"the smallest model": 0.728, "the largest model": 0.867},
        "not trained on this set",
    ),
    *figures("AHBN, TCSVT 2021", "recall@20", {"AHBN": None}, TABLE_LOST),
)


def inshop(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Rows of role ``query`` among those of role ``gallery``; both are named by the lists."""
    role, items = text_column(manifest, "role"), text_column(manifest, "item_id")
    queries, gallery = np.flatnonzero(role == "query"), np.flatnonzero(role == "gallery")
    stated = {
        "queries": "pictures of role query, as published",
        "gallery": "pictures of role gallery, as published",
        "items": "the products of test are kept out of training",
        "published_counts": "; ".join(
            (
                compared(PUBLISHED["query"], len(queries), "query pictures"),
                compared(PUBLISHED["gallery"], len(gallery), "gallery pictures"),
            )
        ),
    }
    held_out = set(items[queries].tolist()) | set(items[gallery].tolist())
    return (match_items("inshop", manifest, queries, gallery, choices, stated, held_out),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "inshop": ProtocolSpec(
        inshop,
        queries="pictures of role query",
        gallery="pictures of role gallery",
        products="as published; kept out of training",
        slices=("pose",),
        published=INSHOP,
    )
}
