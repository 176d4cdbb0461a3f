"""Decoding and resizing of photos: our way beside Pillow's and OpenCV's, in CPU time of one thread.

    python benchmarks/decoding.py FOLDER [--count 60] [--bundle hemline-small] [-o FILE]
                                  [--products 1000]

Takes JPEGs of FOLDER at random, as they are, and three of them enlarged to 12 megapixels. With
--bundle it also embeds them after our resizing and after OpenCV's, and gives the cosines. With
--products it compares photos that are decoded smaller, as a search does, with whole ones: the
cosines for photos of FOLDER enlarged 2.3 times, and for so many drawn products, photographed at
800 × 600 and 1,365 × 1,024, also recall@1 among their shop images, and the time until the image is
ready for the tower.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image

import hemline
from hemline.data.images import Reduced, encode_jpeg, open_image, open_reduced
from hemline.data.preprocess import PreparedImage, Preprocessing
from hemline.data.resize import resize
from hemline.evaluation.bootstrap import paired_difference
from hemline.evaluation.machine import machine
from hemline.search.photo import prepare, reduction
from hemline.synthetic import SyntheticSettings, draw_product, draw_shop, draw_street
from hemline.types import FloatArray, Image

SIDE, ROUNDS = 128, 5
#: Sides of drawn photos, and the side at which they are drawn; the seed of their products.
PHOTOS = {"800x600": (800, 600, 600), "1365x1024": (1365, 1024, 1024)}
SEED, ENLARGED = 991, 2.3


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


def photo_of(product: int, width: int, height: int, side: int) -> bytes:
    """A drawn street photo as JPEG."""
    drawn = draw_street(draw_product(SEED, product), SyntheticSettings(size=side), SEED).image
    wide = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    return encode_jpeg(np.asarray(wide, np.uint8), 88)


def whole_and_smaller(
    photos: Iterator[bytes], encoder: Any
) -> tuple[FloatArray, FloatArray, dict[str, float]]:
    """Embeddings (N, D) of photos decoded whole and smaller, and the CPU time of both."""
    spec: Preprocessing = encoder.bundle.info.preprocessing
    found: dict[str, list[FloatArray]] = {"whole": [], "smaller": []}
    times: dict[str, list[float]] = {"whole": [], "smaller": []}
    for data in photos:
        for name, way in (
            ("whole", lambda data: Reduced.whole(open_image(data))),
            ("smaller", partial(open_reduced, reduction=partial(reduction, spec, None, False))),
        ):
            begun = time.thread_time()
            prepared, _ = prepare(way(data), None, (), spec)
            times[name].append((time.thread_time() - begun) * 1000)
            found[name].append(encoder.encode_street([prepared]).embedding[0])
    whole, smaller = (np.asarray(found[name]) for name in found)
    for one in (whole, smaller):
        one /= np.linalg.norm(one, axis=1, keepdims=True)
    took = {name: round(float(np.median(values)), 2) for name, values in times.items()}
    return whole, smaller, took


def decoded_smaller(files: Sequence[Path], products: int, bundle: str) -> dict[str, Any]:
    """What a search's smaller decoding changes."""
    encoder = hemline.load(bundle)
    settings = SyntheticSettings(size=448)
    drawn = (draw_shop(draw_product(SEED, n), settings, SEED).image for n in range(products))
    shop = np.stack([encoder.encode_shop([image], [()]).embedding[0] for image in drawn])
    shop /= np.linalg.norm(shop, axis=1, keepdims=True)
    result: dict[str, Any] = {"products": products}
    for name, sides in PHOTOS.items():
        photos = (photo_of(number, *sides) for number in range(products))
        whole, smaller, took = whole_and_smaller(photos, encoder)
        first = [_first(one @ shop.T) for one in (whole, smaller)]
        apart = paired_difference(first[1], first[0], [str(n) for n in range(products)])
        result[name] = {
            "recall@1": [round(float(one.mean()), 4) for one in first],
            "difference": [round(value, 4) for value in apart],
            "cosine": _cosines(whole, smaller),
            "cpu_ms": took,
        }
    large = (_enlarged(file) for file in files)
    whole, smaller, took = whole_and_smaller(large, encoder)
    result["real, enlarged"] = {"photos": len(whole), "cosine": _cosines(whole, smaller)}
    return result


def _first(similarity: FloatArray) -> FloatArray:
    """Whether each query's own image is the nearest (N, N) → (N,)."""
    return np.asarray(similarity.argmax(axis=1) == np.arange(len(similarity)), np.float64)


def _enlarged(file: Path) -> bytes:
    image = open_image(file)
    height, width = (round(ENLARGED * side) for side in image.shape[:2])
    large = cv2.resize(image, (width, height), interpolation=cv2.INTER_LANCZOS4)
    return encode_jpeg(np.asarray(large, np.uint8), 88)


def _cosines(a: FloatArray, b: FloatArray) -> dict[str, float]:
    cosine = (a * b).sum(axis=1)
    return {"least": round(float(cosine.min()), 4), "mean": round(float(cosine.mean()), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--bundle", default="")
    parser.add_argument("--products", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(options.folder.rglob("*.jpg"))
    photos = [file.read_bytes() for file in random.Random(0).sample(files, options.count)]
    large = [encode_jpeg(resize(open_image(data), 3000, 4000)) for data in photos[:3]]
    result: dict[str, Any] = {"as_they_are": compare(photos), "12_megapixels": compare(large)}
    if options.bundle:
        result["cosines"] = cosines(photos + large, options.bundle)
    if options.products:
        few = random.Random(1).sample(files, min(options.count, len(files)))
        given = options.bundle or "hemline-small"
        result["decoded_smaller"] = decoded_smaller(few, options.products, given)
    result["machine"] = machine()
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
