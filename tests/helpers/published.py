"""Small trees in the published formats of the field's data sets, headers, padding and traps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def jpeg(width: int = 8, height: int = 8) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((height, width, 3), 128, np.uint8))[1])


JPEG = jpeg()


def plant(root: Path, *paths: str, data: bytes = JPEG) -> None:
    """Small pictures at these paths."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def write_list(file: Path, header: str, rows: Sequence[str], start: bytes = b"") -> None:
    """A count, a header, rows padded to the same width, as DeepFashion has them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [str(len(rows)), header, *(f"{row:<90} " for row in rows)]
    file.write_bytes(start + ("\n".join(lines) + "\n").encode())


# --- DeepFashion Consumer-to-Shop ---------------------------------------------------------------

PANTS = "img/TROUSERS/Pants/id_00000012"
SUMMER = "img/CLOTHING/Summer_Wear/id_00000020"
DRESS = "img/DRESSES/Lace_Dress/id_00000031"

C2S_BOXES = [
    f"{PANTS}/shop_01.jpg              2 1 009 001 200 300",
    f"{PANTS}/comsumer_01.jpg          2 2 010 020 110 220",
    f"{SUMMER}/shop_01.jpg             1 1 001 002 003 004",
    f"{SUMMER}/comsumer_01.jpg         1 2 050 060 150 260",
    f"{SUMMER}/comsumer_02.jpg         1 2 050 060 150 260",
    f"{DRESS}/shop_01.jpg              3 1 030 040 130 240",
    f"{DRESS}/comsumer_01.jpg          3 2 031 041 131 241",
]
C2S_MARKS = [
    f"{PANTS}/shop_01.jpg     2 1 0 020 030 1 060 031 2 000 000 0 061 231",
    f"{PANTS}/comsumer_01.jpg 2 3 0 021 031 0 061 032 0 022 232 0 062 233",
    f"{SUMMER}/shop_01.jpg    1 1 0 010 011 0 020 021 1 030 031 2 000 000 0 050 051 0 060 061",
    f"{SUMMER}/comsumer_01.jpg 1 4 0 110 111 0 120 121 0 130 131 0 140 141 0 150 151 0 160 161",
    f"{DRESS}/shop_01.jpg     3 5 0 001 002 0 003 004 0 005 006 0 007 008 0 009 010 0 011 012 "
    "0 013 014 1 015 016",
]
C2S_PAIRS = [
    f"{PANTS}/comsumer_01.jpg   {PANTS}/shop_01.jpg     id_00000012   train",
    f"{SUMMER}/comsumer_01.jpg  {SUMMER}/shop_01.jpg    id_00000020   val",
    f"{SUMMER}/comsumer_01.jpg  {SUMMER}/shop_01.jpg    id_00000020   val",
    f"{SUMMER}/comsumer_02.jpg  {SUMMER}/shop_01.jpg    id_00000020   val",
    f"{DRESS}/comsumer_01.jpg   {DRESS}/shop_01.jpg     id_00000031   test",
]
#: Two attributes of type 1, one of type 2, two of the same name in type 3.
C2S_CLOTH = [
    "常规款（51-65cm）                Regular length (51-65cm)                     1",
    "长款                            Long                                         1",
    "圆领                            Round collar                                 2",
    "蕾丝                            Lace                                         3",
    "花边                            Lace                                         3",
]
C2S_TYPES = [
    "衣长                            length of upper-body clothes",
    "领型                            type of collars",
    "元素                            texture of clothes",
]
C2S_ITEMS = [
    "id_00000012    1 -1  0  0  0",
    "id_00000020   -1 -1  1  1 -1",
    "id_00000031    1  0 -1 -1 -1",
]


def consumer2shop(root: Path, large: bool = False) -> Path:
    """Seven pictures of three items; ``large`` is the large release's pictures and spelling."""
    write_list(
        root / "Anno/list_bbox_consumer2shop.txt",
        "image_name clothes_type source_type x_1 y_1 x_2 y_2",
        C2S_BOXES,
    )
    write_list(
        root / "Anno/list_landmarks_consumer2shop.txt",
        "image_name clothes_type variation_type landmark_visibility_1 landmark_location_x_1",
        C2S_MARKS,
    )
    write_list(
        root / "Eval/list_eval_partition.txt",
        "image_pair_name_1 image_pair_name_2 item_id evaluation_status",
        C2S_PAIRS,
    )
    bom = b"\xef\xbb\xbf"
    header = "attribute_name (Chinese)   attribute_name (English)   attribute_type"
    write_list(root / "Anno/list_attr_cloth.txt", header, C2S_CLOTH, bom)
    cloth = root / "Anno/list_attr_cloth.txt"
    cloth.write_bytes(cloth.read_bytes().replace(b"\n", b"\r\n"))
    header = "attribute_type (Chinese)   attribute_type (English)"
    write_list(root / "Anno/list_attr_type.txt", header, C2S_TYPES)
    write_list(root / "Anno/list_attr_items.txt", "item_id attribute_labels", C2S_ITEMS)
    items = "".join(f"{row.split()[0]}\n" for row in C2S_ITEMS)
    (root / "Anno/list_item_consumer2shop.txt").write_text(f"{len(C2S_ITEMS)}\n{items}")
    for row in C2S_BOXES:
        name = row.split()[0]
        if large:
            plant(root, name.replace("Summer_Wear", "Summer_Suit"), data=jpeg(400, 600))
        else:
            plant(root, name, data=jpeg(200, 300))
    return root


# --- DeepFashion In-Shop ------------------------------------------------------------------------

BLOUSE = "img/WOMEN/Blouses_Shirts/id_00000001"
DENIM = "img/MEN/Denim/id_00000080"
INSHOP_PARTS = [
    f"{BLOUSE}/02_1_front.jpg      id_00000001   train",
    f"{BLOUSE}/02_3_back.jpg       id_00000001   train",
    f"{DENIM}/01_1_front.jpg       id_00000080   query",
    f"{DENIM}/01_2_side.jpg        id_00000080   gallery",
    f"{DENIM}/01_7_additional.jpg  id_00000080   gallery",
]
INSHOP_BOXES = [
    f"{DENIM}/01_7_additional.jpg  2 6 050 049 208 205",
    f"{BLOUSE}/02_1_front.jpg      1 1 050 049 208 205",
    f"{BLOUSE}/02_3_back.jpg       1 3 119 048 136 205",
    f"{DENIM}/01_1_front.jpg       2 1 065 055 206 210",
    f"{DENIM}/01_2_side.jpg        2 2 065 055 206 210",
]
INSHOP_MARKS = [
    f"{BLOUSE}/02_1_front.jpg 1 1 0 115 057 0 144 052 0 085 121 1 177 091 0 103 142 2 000 000",
    f"{BLOUSE}/02_3_back.jpg  1 1 0 115 057 0 144 052 0 085 121 1 177 091 0 103 142 2 000 000",
    f"{DENIM}/01_1_front.jpg  2 1 0 100 060 0 150 061 0 101 200 0 151 201",
]


def inshop(root: Path, size: tuple[int, int] = (256, 256), folder: str = "Img") -> Path:
    """Five pictures of two items."""
    write_list(
        root / "Eval/list_eval_partition.txt", "image_name item_id evaluation_status", INSHOP_PARTS
    )
    write_list(
        root / "Anno/list_bbox_inshop.txt",
        "image_name clothes_type pose_type x_1 y_1 x_2 y_2",
        INSHOP_BOXES,
    )
    write_list(
        root / "Anno/list_landmarks_inshop.txt", "image_name clothes_type variation", INSHOP_MARKS
    )
    about = [
        {"item": "id_00000001", "color": "Cream", "description": ["A  blouse.", "Lightweight"]},
        {"item": "id_00000001", "color": "Black", "description": "Another"},
    ]
    (root / "Anno/list_description_inshop.json").write_text(json.dumps(about))
    for row in INSHOP_PARTS:
        plant(root / folder, row.split()[0], data=jpeg(*size))
    return root


# --- DeepFashion2 -------------------------------------------------------------------------------


def garment(kind: int, style: int, landmarks: int, **more: Any) -> dict[str, Any]:
    """An annotated garment whose landmark k (from 1) is at (k, 100 + k), visible."""
    marks = [value for k in range(1, landmarks + 1) for value in (k, 100 + k, 2)]
    fields = {
        "segmentation": [[1.5, 2.5, 10.0, 2.5, 10.0, 20.0]],
        "scale": 3,
        "viewpoint": 2,
        "zoom_in": 1,
        "landmarks": marks,
        "style": style,
        "bounding_box": [10, 20, 110, 220],
        "category_id": kind,
        "occlusion": 1,
        "category_name": "as published",
    }
    return fields | more


def deepfashion2(root: Path) -> Path:
    """Three pictures and five garments in train, one picture in validation."""
    top = garment(1, 1, 25)
    top["landmarks"][3 * 8 : 3 * 9] = [9, 109, 1]  # landmark 9: occluded
    top["landmarks"][3 * 22 : 3 * 23] = [0, 0, 0]  # landmark 23: not labelled
    pictures = {
        "train/000001": {"source": "user", "pair_id": 1, "item1": top, "item2": garment(8, 0, 14)},
        "train/000002": {"source": "shop", "pair_id": 1, "item1": garment(1, 1, 25)},
        "train/000003": {
            "source": "shop",
            "pair_id": 1,
            "item1": garment(11, 2, 37),
            "item2": garment(9, 0, 8),
        },
        "validation/000001": {"source": "user", "pair_id": 7, "item1": garment(13, 1, 19)},
    }
    for name, found in pictures.items():
        split, number = name.split("/")
        file = root / split / "annos" / f"{number}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
        plant(root, f"{split}/image/{number}.jpg")
    return root


# --- Street2Shop --------------------------------------------------------------------------------

S2S_PHOTOS = {
    1: "http://shop.example/1.jpg?a=1,b=2",
    2: "http://shop.example/2.jpg",
    3: "http://street.example/3.jpg",
    4: "http://street.example/4.jpg",
    8288: "http://street.example/8288.jpg",
    9: "http://shop.example/9.jpg",
}


def street2shop(root: Path) -> Path:
    """Dresses and bags; photo 4 shows two products, photo 9 was never downloaded."""
    folder = root / "meta/json"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{photo:09d},{url}\n" for photo, url in S2S_PHOTOS.items()]
    (root / "photos.txt").write_text("".join(lines))

    def pair(photo: int, product: int, **box: float) -> dict[str, Any]:
        return {"photo": photo, "product": product, "bbox": box}

    files: dict[str, list[dict[str, Any]]] = {
        "train_pairs_dresses": [
            pair(3, 10, width=100, top=20, left=10, height=200),
            pair(8288, 11, left=10, top=20),
        ],
        "test_pairs_dresses": [
            pair(4, 11, width=50, top=2, left=1, height=60),
            pair(4, 12, width=50, top=2, left=1, height=60),
        ],
        "retrieval_dresses": [
            {"photo": 1, "product": 10},
            {"photo": 2, "product": 11},
            {"photo": 9, "product": 12},
        ],
        "train_pairs_bags": [],
        "test_pairs_bags": [pair(3, 10, width=5, top=6, left=7, height=8)],
        "retrieval_bags": [{"photo": 2, "product": 10}],
    }
    for name, entries in files.items():
        (folder / f"{name}.json").write_text(json.dumps(entries))
    plant(root / "images", "000000001.jpg", "dresses/2.JPEG", "000000003.png", "4.webp")
    plant(root / "images", "000008288.jpg", "notes/readme_7.jpg")
    return root


# --- DARN ---------------------------------------------------------------------------------------

DARN_ROWS = [
    "52040006/0000_47_012_002_U.jpg 52040006/0000_47_012_002_P.jpg 52040006/0000_47 "
    "7 4 0 7 0 1 0 2 4",
    "52040006/0000_47_013_003_U.jpg 52040006/0000_47_012_002_P.jpg 52040006/0000_47 "
    "7 4 0 7 0 1 0 2 4",
    "52040007/0001_01_001_001_U.jpg 52040007/0001_01_001_001_P.jpg 52040007/0001_01 "
    "-1 55 -1 -1 -1 -1 -1 -1 5",
]


def darn(root: Path) -> Path:
    """Three customers' pictures of two items."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pairs.txt").write_text("\n".join(DARN_ROWS) + "\n")
    (root / "readme.txt").write_text("about this data\n")
    for row in DARN_ROWS:
        plant(root / "images", *row.split()[:2])
    return root
