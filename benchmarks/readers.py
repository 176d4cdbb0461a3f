"""How fast, and in how much memory, half a million listed pictures become a manifest.

Each data set is generated in its published format, every list whole, with pictures that are files
of one byte; each read runs in a process of its own, whose time and peak memory are taken. The
files are in the system's cache, as after unpacking.

    python benchmarks/readers.py --rows 500000 -o benchmarks/results/readers.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hemline.evaluation.machine import processor

ATTRIBUTES, TYPES = 303, 18


def write_list(file: Path, header: str | None, rows: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    head = [str(len(rows))] + ([header] if header else [])
    file.write_text("\n".join([*head, *rows]) + "\n", "utf-8")


def plant(root: Path, paths: Iterator[str] | list[str]) -> None:
    """Files of one byte; thirty thousand are links to one, so that half a million come soon."""
    made: set[str] = set()
    one = ""
    for number, path in enumerate(paths):
        folder, _, _ = path.rpartition("/")
        if folder not in made:
            os.makedirs(root / folder, exist_ok=True)
            made.add(folder)
        if number % 30_000:
            os.link(one, f"{root}/{path}")
        else:
            one = f"{root}/{path}"
            Path(one).write_bytes(b"x")


def marks(rng: np.random.Generator, count: int) -> str:
    x, y = rng.integers(0, 300, (2, count))
    return " ".join(
        f"{v} {a:03d} {b:03d}" for v, a, b in zip(rng.integers(0, 3, count), x, y, strict=True)
    )


def consumer2shop(root: Path, rows: int, rng: np.random.Generator) -> None:
    """Items of three shop and four consumer pictures; about as many pairs as published."""
    boxes, landmarks, pairs, items, paths = [], [], [], [], []
    kinds = ["TROUSERS/Pants", "CLOTHING/Blouse", "DRESSES/Lace_Dress", "CLOTHING/Hoodie"]
    for number in range(rows // 7):
        item = f"id_{number:08d}"
        items.append(item)
        place = f"img/{kinds[number % 4]}/{item}"
        clothes = (2, 1, 3, 1)[number % 4]
        count = {1: 6, 2: 4, 3: 8}[clothes]
        split = ("train", "train", "val", "test")[number // 4 % 4]
        for k in range(7):
            shop = k < 3
            name = f"{place}/{'shop' if shop else 'comsumer'}_{k + 1 if shop else k - 2:02d}.jpg"
            boxes.append(f"{name:<70} {clothes} {1 if shop else 2} 009 001 200 299")
            landmarks.append(f"{name:<70} {clothes} 1 {marks(rng, count)}")
            paths.append(name)
            if not shop:
                pairs.append(f"{name:<70} {place}/shop_01.jpg {item} {split}")
    write_list(root / "Anno/list_bbox_consumer2shop.txt", "image_name clothes_type", boxes)
    write_list(root / "Anno/list_landmarks_consumer2shop.txt", "image_name", landmarks)
    write_list(root / "Eval/list_eval_partition.txt", "image_pair_name_1", pairs)
    values = np.array(["-1", "0", "1"])[
        rng.choice(3, (len(items), ATTRIBUTES), p=[0.6, 0.385, 0.015])
    ]
    attributes = [f"{item}    {' '.join(row)}" for item, row in zip(items, values, strict=True)]
    write_list(root / "Anno/list_attr_items.txt", "item_id attribute_labels", attributes)
    names = [f"名{k}      Attribute {k}      {k % TYPES + 1}" for k in range(ATTRIBUTES)]
    write_list(root / "Anno/list_attr_cloth.txt", "attribute_name", names)
    types = [f"型{k}      type {k} of clothes" for k in range(TYPES)]
    write_list(root / "Anno/list_attr_type.txt", "attribute_type", types)
    plant(root, paths)


def inshop(root: Path, rows: int, rng: np.random.Generator) -> None:
    parts, boxes, landmarks, paths = [], [], [], []
    for number in range(rows // 5):
        item, train = f"id_{number:08d}", number % 2 == 0
        for k in range(5):
            name = f"img/WOMEN/Dresses/{item}/{k + 1:02d}_{k + 1}_front.jpg"
            state = "train" if train else ("query" if k < 3 else "gallery")
            parts.append(f"{name:<70} {item} {state}")
            boxes.append(f"{name:<70} 3 {k + 1} 009 001 200 250")
            landmarks.append(f"{name:<70} 3 1 {marks(rng, 8)}")
            paths.append(name)
    write_list(root / "Eval/list_eval_partition.txt", "image_name item_id", parts)
    write_list(root / "Anno/list_bbox_inshop.txt", "image_name clothes_type", boxes)
    write_list(root / "Anno/list_landmarks_inshop.txt", "image_name clothes_type", landmarks)
    plant(root, paths)


def street2shop(root: Path, rows: int, rng: np.random.Generator) -> None:
    """Eleven categories; one pair for ten shop photos."""
    folder = root / "meta/json"
    folder.mkdir(parents=True)
    photo, lines = 0, []
    for category in range(11):
        count = rows // 11
        shop = [{"photo": photo + k, "product": k // 2} for k in range(count * 10 // 11)]
        photo += len(shop)
        pairs = []
        for k in range(count // 11):
            box = {"width": 9, "top": 2, "left": 1, "height": 60}
            pairs.append({"photo": photo, "product": k, "bbox": box})
            photo += 1
        half = len(pairs) // 2
        for name, entries in (
            ("retrieval", shop),
            ("train_pairs", pairs[:half]),
            ("test_pairs", pairs[half:]),
        ):
            (folder / f"{name}_category{category}.json").write_text(json.dumps(entries))
    lines = [f"{k:09d},http://shop.example/picture/{k}.jpg?a=1,b" for k in range(photo)]
    (root / "photos.txt").write_text("\n".join(lines) + "\n")
    plant(root, [f"images/{k:09d}.jpg" for k in range(photo)])


def darn(root: Path, rows: int, rng: np.random.Generator) -> None:
    values = rng.integers(-1, 6, (rows // 2, 9))
    lines, paths = [], []
    for k, row in enumerate(values.tolist()):
        item = f"{k // 4:08d}/0000_{k % 4:02d}"
        names = [f"{item}_012_002_{letter}.jpg" for letter in "UP"]
        paths += [f"images/{name}" for name in names]
        lines.append(f"{names[0]} {names[1]} {item} {' '.join(map(str, row))}")
    root.mkdir(parents=True, exist_ok=True)
    (root / "pairs.txt").write_text("\n".join(lines) + "\n")
    plant(root, paths)


def deepfashion2(root: Path, rows: int, rng: np.random.Generator) -> None:
    """A file for each picture; five garments on three pictures, with a polygon of forty corners."""
    marks_of = {1: 25, 8: 14, 9: 8, 11: 37, 13: 19}
    garments = {}
    for kind, count in marks_of.items():
        seen = [v for x, y in rng.integers(0, 900, (count, 2)).tolist() for v in (x, y, 2)]
        garments[kind] = {
            "segmentation": [rng.uniform(0, 900, 80).round(2).tolist()],
            "scale": 3,
            "viewpoint": 2,
            "zoom_in": 1,
            "landmarks": seen,
            "style": 1,
            "bounding_box": [10, 20, 110, 220],
            "category_id": kind,
            "occlusion": 1,
            "category_name": "as published",
        }
    kinds, pictures = list(marks_of), rows * 3 // 5
    for split, start, stop in (
        ("train", 0, pictures * 6 // 7),
        ("validation", pictures * 6 // 7, pictures),
    ):
        os.makedirs(root / split / "annos")
        for k in range(start, stop):
            found: dict[str, Any] = {"source": ("user", "shop")[k % 2], "pair_id": k // 4}
            for j in range(2 if k % 3 else 1):
                found[f"item{j + 1}"] = garments[kinds[(k + j) % 5]]
            with open(f"{root}/{split}/annos/{k:06d}.json", "w") as stream:
                json.dump(found, stream)
        plant(root, [f"{split}/image/{k:06d}.jpg" for k in range(start, stop)])


SETS: dict[str, Callable[[Path, int, np.random.Generator], None]] = {
    "consumer2shop": consumer2shop,
    "inshop": inshop,
    "street2shop": street2shop,
    "darn": darn,
    "deepfashion2": deepfashion2,
}

MEASURE = """
import json, os, resource, sys, time
from hemline.datasets import READERS
begun = time.perf_counter(); cpu = time.process_time()
manifest, report = READERS[sys.argv[1]].read(sys.argv[2])
read, read_cpu = time.perf_counter() - begun, time.process_time() - cpu
manifest.write(sys.argv[2] + ".parquet")
print(json.dumps({"rows": report.found, "missing": report.missing, "read_s": round(read, 2),
    "read_cpu_s": round(read_cpu, 2), "with_parquet_s": round(time.perf_counter() - begun, 2),
    "items": len(set(manifest.column("item_id"))), "tags": len(manifest.tag_vocabulary()),
    "load": round(os.getloadavg()[0], 1),
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", type=Path, help="where to generate; default the system's")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    if args.output and args.output.exists():  # sets that aren't read again stay
        results = json.loads(args.output.read_text())["sets"]
    for name in args.sets:
        with tempfile.TemporaryDirectory(prefix="hemline-readers-", dir=args.place) as place:
            root = Path(place) / name
            begun = time.perf_counter()
            SETS[name](root, args.rows, np.random.default_rng(args.seed))
            made = time.perf_counter() - begun
            command = [sys.executable, "-c", MEASURE, name, str(root)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, results[name], f"(generated in {made:.0f} s)", file=sys.stderr, flush=True)
    found = {
        "what": "read of generated lists in the published formats, pictures of one byte each",
        "rows_asked": args.rows,
        "seed": args.seed,
        "machine": f"{processor()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; one core used; load is the machine's",
        "sets": results,
    }
    text = json.dumps(found, indent=1)
    if args.output:
        args.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
