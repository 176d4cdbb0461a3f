from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

import hemline
from helpers.shifted_shop import make_shifted_shop
from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector
from hemline.adaptation.sources import Sample, Sources
from hemline.bundle import ScoreThresholds, read_info, write_info
from hemline.cli import main
from hemline.errors import DataError, UsageError
from hemline.quantization import towers


def fast(ratio: float) -> Any:
    """Speed as if one took ``ratio`` of the other's time: a tiny graph gains nothing."""
    return lambda *_: {"before": 1.0, "after": ratio, "ratio": ratio, "threads": 1}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(towers, "compare_speed", fast(0.5))
    monkeypatch.setattr(towers, "MOST_LOST", 0.2)  # of 40 photos one is 0.025
    make_tiny_bundle(tmp_path / "tiny")
    make_shifted_shop(tmp_path / "shop", mixed=False)
    return tmp_path


def words(place: Path, *more: str) -> list[str]:
    made = [str(place / name) for name in ("tiny", "shop", "new")]
    return ["quantize", *made[:2], "-o", made[2], *more]


def test_a_bundle_is_quantized_and_what_it_had_stays(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_tiny_detector(place / "tiny")
    alike = ScoreThresholds(same=0.9, similar=0.7)
    old = write_info(place / "tiny", read_info(place / "tiny").model_copy(update={"alike": alike}))
    assert main(words(place, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    new = hemline.Bundle.open(place / "new")
    assert new.fingerprint == report["fingerprint"] != old.fingerprint
    assert new.info.detector == old.detector
    assert (new.info.alike, new.info.rerank_top) == (alike, old.rerank_top)
    assert (new.info.name, new.info.precision) == ("tiny-int8", "int8")
    assert report["written"]
    assert not report["refused"]
    assert report["difference"]["recall@1"]["value"] >= -0.1
    assert new.info.quality[0]["recall@1"] == report["after"]["recall@1"]["value"]
    assert report["cosine"]["least"] > 0.99
    # A third of the products at most calibrate; photos of the others are measured.
    assert report["calibration"] == {"street": 20, "shop": 10}
    assert (report["queries"], report["items"], report["gallery"]) == (40, 20, 30)
    assert "compute in int8" in (place / "new/README.md").read_text(encoding="utf-8")


def test_it_encodes_and_reranks(place: Path) -> None:
    hemline.quantize(place / "tiny", place / "shop", place / "new")
    own, new = (hemline.load(place / name) for name in ("tiny", "new"))
    photos = [place / "shop" / f"i0{k}_1.png" for k in range(3)]
    before, after = own.embed_street(photos), new.embed_street(photos)
    np.testing.assert_allclose((before * after).sum(1), 1, atol=0.01)
    assert np.abs(before - after).max() > 1e-6
    goods = [place / "shop" / f"i0{k}_0.png" for k in range(3)]
    tags = [["colour=red"]] * 3
    np.testing.assert_allclose(
        (own.embed_shop(goods, tags) * new.embed_shop(goods, tags)).sum(1), 1, atol=0.01
    )
    local, contexts = np.ones((8, 4), np.float32), np.eye(8, dtype=np.float32)
    ranked = [one.rerank(local, contexts).distance for one in (own, new)]
    np.testing.assert_allclose(ranked[0], ranked[1], atol=1e-5)


def test_an_adapted_bundle_keeps_its_maps(place: Path) -> None:
    make_shifted_shop(place / "odd")
    hemline.adapt(place / "tiny", place / "odd", place / "mine")
    report = hemline.quantize(place / "mine", place / "odd", place / "new", force=True)
    new, old = hemline.load(place / "new"), hemline.load(place / "mine")
    assert new.bundle.info.maps is not None
    assert new.bundle.info.format_version == 2
    assert report["cosine"]["mean"] > 0.95
    photos = [place / "odd" / f"i0{k}_1.png" for k in range(3)]
    found = (new.embed_street(photos) * old.embed_street(photos)).sum(1)
    assert found.min() > 0.9


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_what_stays_in_float_is_stored_as_before(
    place: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    from hemline.learn.export import weights

    asked: list[str] = []
    monkeypatch.setattr(weights, "shrink", lambda graph, stored: asked.append(stored))
    info = read_info(place / "tiny").model_copy(update={"precision": precision})
    write_info(place / "tiny", info)
    hemline.quantize(place / "tiny", place / "shop", place / "new")
    assert set(asked) == {precision}


def test_one_that_is_not_faster_is_refused_unless_forced(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(towers, "compare_speed", fast(1.2))
    assert main(words(place)) == 1
    assert "it isn't faster on this processor (1.20 of the time)" in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == ["shop", "tiny"]
    assert main(words(place, "--force")) == 0
    assert hemline.Bundle.open(place / "new").info.precision == "int8"


def test_one_that_loses_recall_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hemline.learn.export import int8

    def empty(graph: Path, feeds: Any, **_: Any) -> Any:
        model = int8.folded(graph, place / "scrap")
        for tensor in model.graph.initializer:
            if tensor.name == "conv":
                tensor.CopyFrom(numpy_helper.from_array(np.zeros((8, 3, 1, 1), "f4"), "conv"))
        return model

    (place / "scrap").mkdir()
    monkeypatch.setattr(int8, "quantized", empty)
    assert main(words(place)) == 1
    told = capsys.readouterr().err
    assert "recall@1 falls by" in told
    assert "more than 0.2" in told
    assert not (place / "new").exists()


def test_the_bounds() -> None:
    def report(difference: float, ratio: float = 0.5) -> dict[str, Any]:
        return {"difference": {"recall@1": {"value": difference}}, "cpu_ms": {"ratio": ratio}}

    assert towers.reasons(report(-0.01)) == []
    assert towers.reasons(report(0.2)) == []
    assert towers.reasons(report(-0.0101)) != []
    assert len(towers.reasons(report(-0.5, 1.0))) == 2


def test_no_photo_of_a_calibrating_item_is_measured() -> None:
    sources = Sources(
        [Sample(Path(f"{n}"), f"p{n % 9}", f"{n}") for n in range(27)],
        [Sample(Path(f"s{n}"), f"p{n}", f"s{n}") for n in range(12)],
    )
    taken = towers.calibration_samples(sources, 100, seed=0)
    own = {sample.item for sample in taken["street"]}
    assert len(own) == 3
    assert not own & {sample.item for sample in sources.street}
    assert {sample.item for sample in taken["shop"]} == own | {"p9", "p10", "p11"}
    assert len(sources.shop) == 12


def test_refusals(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_shifted_shop(place / "few", items=8)
    with pytest.raises(DataError, match="are left to measure on, after calibration"):
        hemline.quantize(place / "tiny", place / "few", place / "new")
    with pytest.raises(UsageError, match="already there"):
        hemline.quantize(place / "tiny", place / "shop", place / "few")
    hemline.quantize(place / "tiny", place / "shop", place / "new")
    with pytest.raises(UsageError, match="computes in int8 already"):
        hemline.quantize(place / "new", place / "shop", place / "again")
    monkeypatch.delitem(sys.modules, "hemline.learn.export.int8", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"needs onnx.*pip install 'hemline\[quantize\]'"):
        hemline.quantize(place / "tiny", place / "shop", place / "other")
