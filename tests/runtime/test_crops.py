"""A manifest with a detector's boxes: which garment, what becomes of the rest, and resuming."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector, street
from hemline.cli import main
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices
from hemline.datasets import build
from hemline.evaluation.report import report
from hemline.evaluation.run import evaluate
from hemline.runtime.bundle import Bundle
from hemline.runtime.crops import crop_manifest
from hemline.runtime.detector import BundleDetector
from hemline.runtime.encoder import BundleEncoder
from hemline.types import Box, Record

PLACE = 64


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_tiny_bundle(tmp_path_factory.mktemp("d") / "bundle")
    put_tiny_detector(folder)
    return folder


@pytest.fixture(scope="module")
def detector(bundle: Path) -> BundleDetector:
    return BundleDetector(Bundle.open(bundle), threads=1)


def place(column: int, row: int) -> Box:
    """The place of the grid with the detector's margin."""
    margin = 0.05 * PLACE
    box = Box(column * PLACE, row * PLACE, (column + 1) * PLACE, (row + 1) * PLACE)
    grown = Box(box.x1 - margin, box.y1 - margin, box.x2 + margin, box.y2 + margin)
    return grown.clip(256, 256)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """A photo, its shop image, one of two garments with a row each, and one without any."""
    images = {
        "photo": street((1, 1, "red")),
        "shop": street((0, 0, "red"), (2, 2, "blue")),
        "both": street((1, 0, "red"), (1, 2, "blue")),
        "bare": street(),
        "numbered": street((3, 1, "blue")),
    }
    for name, image in images.items():
        (tmp_path / f"{name}.jpg").write_bytes(encode_jpeg(image, 95))
    inside, aside = Box(70, 70, 120, 120), Box(70, 140, 120, 190)
    marks = np.zeros((8, 3), np.float32)
    marks[0], marks[1] = (80, 80, 2), (10, 10, 2)
    rows = [
        Record("p", "photo.jpg", "a", "street", "tee", inside, landmarks=marks, split="test"),
        Record("s", "shop.jpg", "a", "shop", "jeans", split="test"),
        Record("b1", "both.jpg", "a", "street", "tee", Box(64, 0, 128, 64), split="test"),
        Record("b2", "both.jpg", "b", "street", "jeans", Box(64, 128, 128, 192), split="test"),
        Record("b3", "both.jpg", "c", "street", "skirt", Box(192, 192, 256, 256), split="test"),
        Record("n", "bare.jpg", "b", "shop", "dress", aside, split="test"),
        Record("7", "numbered.jpg", "b", "shop", "7", split="test"),
        Record("gone", "gone.jpg", "c", "shop", "dress", aside, split="test"),
    ]
    return Manifest.from_records(rows, tmp_path)


def boxes_of(manifest: Manifest) -> dict[str, Box | None]:
    return {record.image_id: record.box for record in manifest}


def test_each_row_gets_its_garment(manifest: Manifest, detector: BundleDetector) -> None:
    made, told = crop_manifest(manifest, detector)
    boxes = boxes_of(made)
    expected = {"p": place(1, 1), "s": place(2, 2), "b1": place(1, 0), "b2": place(1, 2)}
    expected["7"] = place(3, 1)  # the detector doesn't know the category "7": the best garment
    for name, box in expected.items():
        found = boxes[name]
        assert found is not None
        np.testing.assert_allclose(found, box, atol=0.1)
    assert boxes["b3"] is None  # no garment overlaps its box
    assert boxes["n"] is None
    assert boxes["gone"] == Box(70, 140, 120, 190)
    assert told.rows == {"street": 4, "shop": 4}
    assert told.cropped == {"street": 3, "shop": 2}
    assert told.without == {"street": 1, "shop": 1}
    assert [path for path, _ in told.unreadable] == [str(manifest.root / "gone.jpg")]
    first = made[0]
    assert (first.extra["listed_x1"], first.extra["listed_y2"]) == (70, 120)
    assert (first.extra["detected"], first.extra["score"] > 0.9) == ("t-shirt", True)
    assert first.landmarks is not None
    assert first.landmarks[0].tolist() == [80, 80, 2]
    assert first.landmarks[1].tolist() == [0, 0, 0]  # it lay outside the garment
    assert told.landmarks_outside == 1
    twice, _ = crop_manifest(made, detector)
    assert twice[0].extra["listed_x1"] == 70  # the published box, not the first crop
    assert boxes_of(twice)["p"] == boxes["p"]


def test_one_side_and_what_shows_no_garment(manifest: Manifest, detector: BundleDetector) -> None:
    made, told = crop_manifest(manifest, detector, sides=["shop"], without="keep")
    boxes = boxes_of(made)
    assert boxes["p"] == Box(70, 70, 120, 120)
    assert boxes["n"] == Box(70, 140, 120, 190)
    assert set(told.rows) == {"shop"}
    made, _ = crop_manifest(manifest, detector, without="drop")
    assert set(boxes_of(made)) == {"p", "s", "b1", "b2", "7", "gone"}


def test_an_interrupted_run_resumes(
    manifest: Manifest, detector: BundleDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "cache/found.jsonl"
    whole, _ = crop_manifest(manifest, detector, journal=journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 5
    journal.write_bytes(b"".join(lines[:3]) + lines[3][:20])  # killed while it wrote
    seen: list[int] = []
    detect = BundleDetector.detect

    def counted(self: BundleDetector, images):  # type: ignore[no-untyped-def]
        seen.append(len(images))
        return detect(self, images)

    monkeypatch.setattr(BundleDetector, "detect", counted)
    again, told = crop_manifest(manifest, detector, journal=journal)
    assert (told.remembered, sum(seen)) == (2, 3)
    assert again.fingerprint() == whole.fingerprint()
    (manifest.root / "bare.jpg").write_bytes(encode_jpeg(street((0, 0, "red")), 95))
    seen.clear()
    crop_manifest(manifest, detector, journal=journal)
    assert sum(seen) == 1  # the image that changed


def test_evaluation_on_the_crops_is_that_of_the_detector(
    manifest: Manifest, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = manifest.select(np.isin(manifest.column("image_id"), ["p", "s", "n", "b2"]))
    path = rows.write(manifest.root / "m.parquet")
    options = ["--detector", str(bundle), "--cache", str(tmp_path / "c"), "-o"]
    output = manifest.root / "cropped.parquet"
    assert main(["data", "crop", str(path), *options, str(output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cropped"] == {"street": 2, "shop": 1}
    assert told["no_garment"] == {"street": 0, "shop": 1}
    encoder = BundleEncoder(Bundle.open(bundle), threads=1)
    (asked,) = build("default", rows, Choices(crop="detected"))
    (cut,) = build("default", Manifest.read(output), Choices(crop="box"))
    one, other = (report([evaluate(encoder, p, rerank=False)]) for p in (asked, cut))
    assert one["mrr"] == other["mrr"]
    assert "2 of 2 queries, 1 of 2 gallery pictures" in other["protocol"]["crop"]
    assert main(["data", "crop", str(path), *options, str(output)]) == 0
    out = capsys.readouterr().out
    assert "shop: a garment in 1 of 2 rows" in out
    assert "none in 1; they stay, without a box: the whole image" in out
    assert "4 images were looked at by an earlier run" in out
    assert main(["data", "crop", str(path), *options, str(output), "--side", "left"]) == 2
    assert "--side is both, street or shop" in capsys.readouterr().err
