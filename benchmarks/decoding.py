"""Decoding and resizing of photos: our way beside Pillow's and OpenCV's, in CPU time of one thread.

    python benchmarks/decoding.py FOLDER [--count 60] [--bundle hemline-small] [-o FILE]

Takes JPEGs of FOLDER at random, as they are, and three of them enlarged to 12 megapixels. With
--bundle it also embeds them after our resizing and after OpenCV's, and gives the cosines.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image

import hemline
from hemline.data.images import encode_jpeg, open_image
from hemline.data.preprocess import PreparedImage
from hemline.data.resize import resize
from hemline.evaluation.machine import machine
from hemline.types import Image

SIDE, ROUNDS = 128, 5


def by_pillow(data: bytes) -> Image:
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))


def by_opencv(data: bytes) -> Image:
    whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(whole, cv2.COLOR_BGR2RGB), np.uint8)


def opencv_resize(image: Image, side: int) -> Image:
    shrinking = image.shape[0] * image.shape[1] > side * side
    way = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=way), np.uint8)


def cpu_ms(ways: dict[str, Callable[[Any], Any]], given: Sequence[Any]) -> dict[str, float]:
    """Milliseconds of CPU time each, the best of several rounds, the ways in turn."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begin = time.process_time()
            for one in given:
                way(one)
            best[name] = min(best[name], (time.process_time() - begin) / len(given) * 1000)
    return {name: round(value, 2) for name, value in best.items()}


def compare(photos: Sequence[bytes]) -> dict[str, Any]:
    images = [open_image(data) for data in photos]
    apart = [
        np.abs(resize(image, SIDE, SIDE).astype(int) - opencv_resize(image, SIDE))
        for image in images
    ]
    return {
        "photos": len(photos),
        "same_pixels": all(
            np.array_equal(by_opencv(data), image)
            for data, image in zip(photos, images, strict=True)
        ),
        "decoding_ms": cpu_ms(
            {"hemline": open_image, "pillow": by_pillow, "opencv": by_opencv}, photos
        ),
        f"resizing_to_{SIDE}_ms": cpu_ms(
            {
                "hemline": lambda image: resize(image, SIDE, SIDE),
                "opencv": lambda image: opencv_resize(image, SIDE),
            },
            images,
        ),
        "resized_differ": {
            "most": int(max(one.max() for one in apart)),
            "mean": round(float(np.mean([one.mean() for one in apart])), 5),
        },
    }


def cosines(photos: Sequence[bytes], bundle: str) -> dict[str, float]:
    """Of the embeddings after our resizing with those after OpenCV's."""
    encoder = hemline.load(bundle)
    images = [open_image(data) for data in photos]
    side = encoder.bundle.info.preprocessing.size
    ours, theirs = (
        encoder.encode_street([PreparedImage(way(image)) for image in images]).embedding
        for way in (lambda one: resize(one, side, side), lambda one: opencv_resize(one, side))
    )
    cosine = (ours * theirs).sum(axis=1)
    cosine /= np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return {"least": round(float(cosine.min()), 6), "mean": round(float(cosine.mean()), 6)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--bundle", default="")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(options.folder.rglob("*.jpg"))
    photos = [file.read_bytes() for file in random.Random(0).sample(files, options.count)]
    large = [encode_jpeg(resize(open_image(data), 3000, 4000)) for data in photos[:3]]
    result: dict[str, Any] = {"as_they_are": compare(photos), "12_megapixels": compare(large)}
    if options.bundle:
        result["cosines"] = cosines(photos + large, options.bundle)
    result["machine"] = machine()
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
