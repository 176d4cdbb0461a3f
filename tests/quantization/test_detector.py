"""A detector in int8: what is written, what stays, and when it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

import hemline
from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector, street
from hemline.bundle import onnx_runtime
from hemline.cli import main
from hemline.data.garments import COLUMN, Garment, to_text
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.quantization import detector
from hemline.types import Box, Record

KINDS = {"red": "t-shirt", "blue": "jeans", "green": "bag"}


def fast(ratio: float) -> Any:
    return lambda *_: {"before": 2.0, "after": 2 * ratio, "ratio": ratio, "threads": 1}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with a detector, and 24 photos with a garment or two, the last of split test."""
    monkeypatch.setattr(detector, "compare_speed", fast(0.5))
    put_tiny_detector(make_tiny_bundle(tmp_path / "tiny"))
    rng, rows = np.random.default_rng(3), []
    for number in range(24):
        cells = rng.permutation(16)[: 1 + number % 2].tolist()
        shown = [(c % 4, c // 4, str(rng.choice(list(KINDS)))) for c in cells]
        (tmp_path / f"{number}.jpg").write_bytes(encode_jpeg(street(*shown), 95))
        marked = [
            Garment(KINDS[colour], Box(x * 64, y * 64, x * 64 + 64, y * 64 + 64))
            for x, y, colour in shown
        ]
        rows.append(
            Record(
                image_id=f"{number}", path=f"{number}.jpg", item_id=f"p{number}", domain="street",
                split="test" if number == 23 else "", extra={COLUMN: to_text(marked)},
            )
        )  # fmt: skip
    Manifest.from_records(rows, tmp_path).write(tmp_path / "photos.parquet")
    return tmp_path


def words(place: Path, *more: str) -> list[str]:
    made = [str(place / name) for name in ("tiny", "photos.parquet", "new")]
    return ["quantize", *made[:2], "-o", made[2], "--part", "detector", *more]


def test_the_detector_alone_changes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = hemline.Bundle.open(place / "tiny")
    assert main(words(place, "--portable", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    new = hemline.Bundle.open(place / "new")
    assert new.info.detector is not None
    assert old.info.detector is not None
    assert new.fingerprint == old.fingerprint == report["fingerprint"]
    assert new.info.detector.fingerprint != old.info.detector.fingerprint
    assert (new.info.name, new.info.precision) == (old.info.name, old.info.precision)
    assert new.info.detector.precision == "int8"
    assert new.info.detector.heads == old.info.detector.heads
    assert new.info.detector.training["quantized"]["portable"] is True
    # Of 23 photos outside of `test` a third at most gives ranges.
    assert report["calibration"] == {"images": 7}
    assert (report["images"], report["unreadable"]) == (16, 0)
    assert report["before"]["ap@0.5"] > 0.99
    assert report["difference"]["ap@0.5"] == pytest.approx(0, abs=0.01)
    assert set(report["after"]["groups"]) == {"upper", "lower", "bag"}
    card = (place / "new/README.md").read_text(encoding="utf-8")
    assert "computed in int8 with weights of 7 bits" in card
    for name in ("street.onnx", "shop.onnx"):
        assert (place / "new" / name).read_bytes() == (place / "tiny" / name).read_bytes()
    again = ["quantize", str(place / "new"), *words(place)[2:3], "-o", str(place / "third")]
    assert main([*again, "--part", "detector"]) == 2
    assert "computes in int8 already" in capsys.readouterr().err


def test_a_worse_or_slower_one_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hemline.learn.export import int8

    def blind(graph: Path, *_: Any, **__: Any) -> Any:
        (place / "scrap").mkdir(exist_ok=True)
        model = int8.folded(graph, place / "scrap")
        for tensor in model.graph.initializer:
            if tensor.name == "look":
                nothing = np.zeros(numpy_helper.to_array(tensor).shape, np.float32)
                tensor.CopyFrom(numpy_helper.from_array(nothing, "look"))
        return model

    onnx_runtime()
    monkeypatch.setattr(int8, "quantized", blind)
    monkeypatch.setattr(detector, "compare_speed", fast(1.25))
    assert main(words(place)) == 1
    told = capsys.readouterr().err
    assert "average precision falls by" in told
    assert "it isn't faster on this processor (1.25 of the time)" in told
    assert not (place / "new").exists()
    assert main(words(place, "--force")) == 0
    assert hemline.Bundle.open(place / "new").info.detector is not None


def test_what_can_not_be_done_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*words(place)[:-1], "head"]) == 2
    assert "no part 'head' of a bundle" in capsys.readouterr().err
    make_tiny_bundle(tmp_path / "bare")
    bare = ["quantize", str(tmp_path / "bare"), *words(place)[2:]]
    assert main(bare) == 1
    assert "has no detector" in capsys.readouterr().err
    few = Manifest.read(place / "photos.parquet").select(np.arange(12))
    few.write(place / "few.parquet")
    assert main([*words(place)[:2], str(place / "few.parquet"), *words(place)[3:]]) == 1
    assert "8 images with marked garments are left to measure on" in capsys.readouterr().err
