"""Made-up folders in the formats of DARN and Consumer-to-Shop, large enough to train on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from helpers.drawn_pairs import FORMS, draw
from helpers.published import write_list
from hemline.data.manifest import Manifest
from hemline.datasets import READERS

SIZE = 40


def made_up_darn(root: Path, items: int = 24) -> Path:
    """Two customers' pictures and a shop's of each item, as the release has them → its manifest."""
    rng, rows = np.random.default_rng(0), []
    for number in range(items):
        colour = tuple(int(c) for c in rng.integers(30, 226, 3))
        item = f"5204{number:04d}/0000_47"
        shop = f"{item}_P.jpg"
        _write(root / "images" / shop, FORMS[number % 3], colour, None)
        for photo in range(2):
            name = f"{item}_{photo}_U.jpg"
            _write(root / "images" / name, FORMS[number % 3], colour, rng)
            rows.append(f"{name} {shop} {item} {number % 3} {number % 4} 0 -1 0 1 0 2 4")
    (root / "pairs.txt").write_text("\n".join(rows) + "\n")
    return _read("darn", root)


def made_up_consumer2shop(root: Path, items: int = 40) -> Path:
    """A shop's picture and two consumers' of each upper garment, three quarters of them to train
    on → its manifest."""
    rng = np.random.default_rng(1)
    boxes, pairs, ids, values = [], [], [], []
    for number in range(items):
        colour = tuple(int(c) for c in rng.integers(30, 226, 3))
        item = f"id_{number:08d}"
        folder = f"img/TOPS/Tee/{item}"
        split = ("train", "train", "train", "val" if number % 8 == 3 else "test")[number % 4]
        ids.append(item)
        values.append(f"{item} {1 if number % 2 else -1} {-1 if number % 2 else 1}")
        for k, name in enumerate(("shop_01", "comsumer_01", "comsumer_02")):
            path = f"{folder}/{name}.jpg"
            _write(root / path, FORMS[number % 3], colour, rng if k else None)
            boxes.append(f"{path} 1 {2 if k else 1} 002 002 038 038")
            if k:
                pairs.append(f"{path} {folder}/shop_01.jpg {item} {split}")
    anno = root / "Anno"
    write_list(anno / "list_bbox_consumer2shop.txt", "image_name clothes_type source_type", boxes)
    write_list(root / "Eval/list_eval_partition.txt", "a b item_id evaluation_status", pairs)
    write_list(anno / "list_attr_cloth.txt", "a b attribute_type", ["长 Long 1", "短 Short 1"])
    write_list(anno / "list_attr_type.txt", "a b", ["衣长 length"])
    write_list(anno / "list_attr_items.txt", "item_id attribute_labels", values)
    (anno / "list_item_consumer2shop.txt").write_text("\n".join([str(len(ids)), *ids]) + "\n")
    return _read("consumer2shop", root)


def _write(path: Path, form: str, colour: tuple[int, ...], rng: np.random.Generator | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = draw(form, colour, SIZE, rng)  # type: ignore[arg-type]
    cv2.imwrite(str(path), picture[..., ::-1])


def _read(reader: str, root: Path) -> Path:
    manifest, _ = READERS[reader].read(root)
    assert isinstance(manifest, Manifest)
    return manifest.write(root / "manifest.parquet")
