"""Atelier: how many pictures a second one core draws, encodes and writes.

    python benchmarks/synthetic.py                    224 px, default strengths
    python benchmarks/synthetic.py --products 400 --size 128 --json

Draws a data set as `hemline data make --workers 1` does (one shop and two street pictures of each
product, JPEG, journal and manifest), and apart from it the shop and the street pictures in memory.
Time is this process's own CPU time, so that other work on the machine counts little; the wall time
stands beside it. A first, smaller data set that isn't counted fills the caches. Writes
``benchmarks/results/synthetic.json`` with ``--write``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from hemline.evaluation.machine import processor
from hemline.synthetic import SyntheticSettings, draw_product, draw_shop, draw_street, make_dataset

RESULTS = Path(__file__).with_name("results") / "synthetic.json"
VIEWS = 3


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of `work`."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(products: int, size: int, seed: int) -> dict[str, object]:
    """Milliseconds a picture and pictures a second, on one core."""
    settings = SyntheticSettings(size=size)

    def draw(count: int, first: int, street: bool) -> None:
        for index in range(first, first + count):
            maker = draw_street if street else draw_shop
            maker(draw_product(seed, index), settings, seed)

    with tempfile.TemporaryDirectory() as folder:
        make_dataset(Path(folder) / "warm", min(products, 32), seed + 1, settings, workers=1)
        cpu, wall = seconds(
            lambda: make_dataset(Path(folder) / "drawn", products, seed, settings, workers=1)
        )
    shop, _ = seconds(lambda: draw(products, 10_000, False))
    street, _ = seconds(lambda: draw(products, 20_000, True))
    pictures = VIEWS * products
    return {
        "size": size,
        "products": products,
        "pictures": pictures,
        "seed": seed,
        "pictures_per_second": round(pictures / cpu, 1),
        "pictures_per_second_wall": round(pictures / wall, 1),
        "shop_ms": round(1e3 * shop / products, 2),
        "street_ms": round(1e3 * street / products, 2),
        "made_ms": round(1e3 * cpu / pictures, 2),
        "cores": 1,
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast one core draws.")
    parser.add_argument("--products", type=int, default=160, help="products to draw")
    parser.add_argument("--size", type=int, default=224, help="side of the pictures in pixels")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--write", action="store_true", help="write benchmarks/results/synthetic.json"
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    found = measure(options.products, options.size, options.seed)
    if options.write:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{found['pictures_per_second']} pictures a second on one core at {options.size} px, "
        f"JPEG and files included ({found['made_ms']} ms each); drawing alone: "
        f"shop {found['shop_ms']} ms, street {found['street_ms']} ms"
    )


if __name__ == "__main__":
    main()
