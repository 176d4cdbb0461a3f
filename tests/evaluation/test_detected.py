"""Evaluation with the boxes that a detector finds, between annotated boxes and whole pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector, street
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices
from hemline.datasets import build
from hemline.evaluation.detected import detector_for, with_detected_boxes
from hemline.evaluation.report import report
from hemline.evaluation.run import evaluate
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder
from hemline.types import Box, Record


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> BundleEncoder:
    bundle = make_tiny_bundle(tmp_path_factory.mktemp("d") / "bundle")
    put_tiny_detector(bundle)
    return BundleEncoder(Bundle.open(bundle), threads=1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    rows = []
    for n, (colour, kind) in enumerate((("red", "t-shirt"), ("blue", "jeans")) * 3):
        for domain in ("shop", "street"):
            column, row = rng.integers(0, 4, 2).tolist()
            image = street((column, row, colour), ground=n * 3)
            (root / f"{n}{domain}.jpg").write_bytes(encode_jpeg(image, 95))
            box = Box(column * 64, row * 64, column * 64 + 64, row * 64 + 64)
            rows.append(
                Record(f"{n}{domain}", f"{n}{domain}.jpg", str(n), domain, kind, box, split="test")
            )
    rows.append(Record("odd", "0shop.jpg", "odd", "shop", "dress", split="test"))
    return Manifest.from_records(rows, root)


def protocol(manifest: Manifest, crop: str):
    (one,) = build("default", manifest, Choices(crop=crop))  # type: ignore[arg-type]
    return one


def test_boxes_are_found_on_both_sides(encoder: BundleEncoder, manifest: Manifest) -> None:
    seen = with_detected_boxes(protocol(manifest, "detected"), detector_for(encoder))
    assert seen.protocol.crop == "box"
    assert seen.queries == 1.0
    assert seen.gallery == pytest.approx(6 / 7), "no dress is on the odd one"
    for old, new in zip(manifest, seen.protocol.manifest, strict=True):
        if old.image_id == "odd":
            assert new.box is None
            continue
        assert old.box is not None
        assert new.box is not None
        grown = Box(old.box.x1 - 3.2, old.box.y1 - 3.2, old.box.x2 + 3.2, old.box.y2 + 3.2)
        np.testing.assert_allclose(new.box, grown.clip(256, 256), atol=0.1)


def test_only_the_photos(encoder: BundleEncoder, manifest: Manifest) -> None:
    seen = with_detected_boxes(protocol(manifest, "detected-query"), detector_for(encoder))
    assert (seen.protocol.crop, seen.gallery) == ("query", 0.0)
    boxes = seen.protocol.manifest.boxes()
    street_rows = manifest.column("domain") == "street"
    assert np.isfinite(boxes[street_rows]).all()
    assert np.isnan(boxes[~street_rows]).all()


def test_a_report_of_each_crop(encoder: BundleEncoder, manifest: Manifest) -> None:
    told = {
        crop: report([evaluate(encoder, protocol(manifest, crop), rerank=False)])
        for crop in ("none", "box", "query", "detected", "detected-query")
    }
    assert told["detected"]["detected"] == {"queries": 1.0, "gallery": pytest.approx(6 / 7)}
    crops = {crop: one["protocol"]["crop"] for crop, one in told.items()}
    assert crops["detected"].endswith("(6 of 6 photos, 6 of 7 gallery pictures)")
    assert crops["detected-query"].endswith("(6 of 6 photos)")
    assert crops["query"].endswith("(6 of 6 queries)")


def test_crops_are_counted_where_no_row_has_a_box(
    encoder: BundleEncoder, manifest: Manifest
) -> None:
    """Failed before: "0 of 6 queries", the annotated boxes, though all six were cut."""
    bare = Manifest.from_records([replace(row, box=None) for row in manifest], manifest.root)
    one = report([evaluate(encoder, protocol(bare, "detected-query"), rerank=False)])
    assert one["protocol"]["crop"].endswith("(6 of 6 photos)")


def test_a_report_of_each_crop_in_figures(encoder: BundleEncoder, manifest: Manifest) -> None:
    told = {
        crop: report([evaluate(encoder, protocol(manifest, crop), rerank=False)])
        for crop in ("none", "box", "query", "detected", "detected-query")
    }
    assert "detected" not in told["box"]
    assert len({one["data_fingerprint"] for one in told.values()}) == 1
    assert told["detected"]["protocol"]["crop"].startswith("detected")
    cut = with_detected_boxes(protocol(manifest, "detected"), detector_for(encoder)).protocol
    same = report([evaluate(encoder, cut, rerank=False)])
    assert told["detected"]["mrr"] == same["mrr"] != told["none"]["mrr"]
    assert "detecting" in told["detected"]["seconds"]
