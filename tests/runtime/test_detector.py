"""A bundle's detector: boxes in the picture's own pixels, no matter what picture it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import HEADS, put_tiny_detector, street
from hemline.errors import BundleError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, best_garment, fitting_garment, grown
from hemline.types import Box, Detection


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = make_tiny_bundle(tmp_path_factory.mktemp("detector") / "bundle")
    put_tiny_detector(bundle)
    return bundle


@pytest.fixture(scope="module")
def detector(folder: Path) -> BundleDetector:
    return BundleDetector(Bundle.open(folder), threads=1)


def test_what_is_where(detector: BundleDetector) -> None:
    (found,) = detector.detect([street((1, 0, "red"), (2, 3, "blue"), (0, 3, "green"))])
    told = {(d.category, *(round(v) for v in d.box)) for d in found}
    assert told == {
        ("t-shirt", 64, 0, 128, 64),
        ("jeans", 128, 192, 192, 256),
        ("bag", 0, 192, 64, 256),
    }
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)


def test_boxes_are_in_each_pictures_own_pixels(detector: BundleDetector) -> None:
    small = street((3, 1, "red"), side=64)
    wide = np.repeat(small, 3, axis=1)
    (one,), (two,) = detector.detect([small, wide])
    assert tuple(round(v) for v in one.box) == (48, 16, 64, 32)
    assert tuple(round(v) for v in two.box) == (144, 16, 192, 32)


def test_many_pictures_are_as_each_alone(detector: BundleDetector) -> None:
    rng = np.random.default_rng(0)
    pictures = [
        rng.integers(0, 256, (rng.integers(9, 90), 50, 3), dtype=np.uint8) for _ in range(9)
    ]
    together = detector.detect(pictures)
    assert together == [detector.detect([picture])[0] for picture in pictures]
    assert detector.detect([]) == []


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 400), (400, 1), (2, 3), (16, 4000), (3000, 2500)], ids=str
)
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_odd_pictures_get_boxes_that_can_be_cropped(
    detector: BundleDetector, shape: tuple[int, int], grey: int
) -> None:
    height, width = shape
    dull = np.full((height, width, 3), grey, np.uint8)
    assert detector.detect([dull]) == [()], "there is no garment"
    red = np.zeros((height, width, 3), np.uint8)
    red[..., 0] = 255
    (found,) = detector.detect([red])
    assert found
    for one in found:
        box = one.box
        assert 0 <= box.x1 < box.x2 <= width
        assert 0 <= box.y1 < box.y2 <= height
        assert box.width >= 1 - 1e-9
        assert box.height >= 1 - 1e-9


def test_ten_garments(detector: BundleDetector) -> None:
    places = [(k % 4, k // 4, "red" if k % 2 else "blue") for k in range(10)]
    (found,) = detector.detect([street(*places)])
    assert len(found) == 10


def test_a_bundle_without_detector_says_what_to_do(tmp_path: Path) -> None:
    plain = Bundle.open(make_tiny_bundle(tmp_path / "plain"))
    with pytest.raises(BundleError, match="has no detector; 'hemline export DETECTOR_RUN"):
        BundleDetector(plain)
    with pytest.raises(UsageError, match="threads are from 1"):
        BundleDetector(plain, threads=0)


def test_the_embedding_is_the_same_bundle_with_and_without(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "bundle")
    before = Bundle.open(bundle).fingerprint
    put_tiny_detector(bundle)
    opened = Bundle.open(bundle)
    assert opened.fingerprint == before
    assert opened.info.detector is not None
    first = opened.info.detector.fingerprint
    put_tiny_detector(bundle, HEADS.model_copy(update={"threshold": 0.5}))
    again = Bundle.open(bundle).info
    assert again.fingerprint == before
    assert again.detector is not None
    assert again.detector.fingerprint not in ("", first)


def test_a_damaged_detector_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    data = bytearray((copy / "detector.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "detector.onnx").write_bytes(bytes(data))
    with pytest.raises(BundleError, match="not those it was written with"):
        Bundle.open(copy)
    (copy / "detector.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks detector\.onnx"):
        Bundle.open(copy)
    told = json.loads((copy / "bundle.json").read_text())
    told["detector"] = None
    (copy / "bundle.json").write_text(json.dumps(told))
    with pytest.raises(BundleError, match="a detector has a graph and a description"):
        Bundle.open(copy)


def test_it_needs_no_torch(folder: Path) -> None:
    script = (
        "import sys, numpy as np; from hemline.runtime.bundle import Bundle; "
        "from hemline.runtime.detector import BundleDetector; "
        f"BundleDetector(Bundle.open({str(folder)!r})).detect([np.zeros((9, 9, 3), np.uint8)]); "
        "print(*{'torch', 'torchvision', 'onnx'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def found(category: str, score: float, *box: float) -> Detection:
    return Detection(Box(*box), category, score)


def test_the_best_is_the_one_in_front() -> None:
    near = found("dress", 0.6, 30, 10, 70, 90)
    far = found("shirt", 0.8, 0, 40, 10, 60)
    shoes = found("footwear", 0.9, 30, 80, 90, 99)
    assert best_garment([far, near, shoes], 100, 100) == near
    assert best_garment([shoes], 100, 100) is None
    assert best_garment([near], 100, 100, min_score=0.7) is None
    assert best_garment([], 100, 100) is None


def test_the_fitting_one_is_of_the_items_category() -> None:
    shirt, coat = found("shirt", 0.5, 0, 0, 9, 9), found("coat", 0.9, 0, 0, 9, 9)
    blouse, jeans = found("blouse", 0.6, 0, 0, 9, 9), found("jeans", 0.4, 0, 0, 9, 9)
    every = [coat, blouse, shirt, jeans]
    assert fitting_garment(every, "Shirts") == shirt, "its kind before all else"
    assert fitting_garment(every, "T-Shirt") == blouse, "then its layer"
    assert fitting_garment([coat, jeans], "T-Shirt") == coat, "then its group"
    assert fitting_garment(every, "Skirt") == jeans
    assert fitting_garment(every, "dress") is None
    assert fitting_garment(every, "gift card") is None
    assert fitting_garment(every, "jeans", min_score=0.5) is None


def test_a_margin_stays_in_the_picture() -> None:
    assert tuple(grown(Box(10, 20, 30, 60), 100, 100, 0.1)) == (8, 16, 32, 64)
    assert tuple(grown(Box(0, 0, 100, 50), 100, 60, 0.5)) == (0, 0, 100, 60)
