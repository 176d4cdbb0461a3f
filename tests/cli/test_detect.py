from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector, street
from hemline.cli import main
from hemline.data.images import encode_jpeg


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    put_tiny_detector(make_tiny_bundle(tmp_path / "bundle"))
    return str(tmp_path / "bundle")


@pytest.fixture
def photo(tmp_path: Path) -> str:
    file = tmp_path / "street.jpg"
    file.write_bytes(encode_jpeg(street((1, 1, "red"), (1, 2, "blue"), (3, 3, "green"))))
    return str(file)


def test_the_json_of_one_photo(bundle: str, photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", photo, "--bundle", bundle, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["width"], told["height"], told["photo"]) == (256, 256, photo)
    by_kind = {garment["category"]: garment for garment in told["garments"]}
    assert set(by_kind) == {"t-shirt", "jeans", "bag"}
    assert [round(v) for v in by_kind["jeans"]["box"]] == [64, 128, 128, 192]
    assert by_kind["jeans"]["group"] == "lower"
    assert told["garments"][told["best"]]["category"] in ("t-shirt", "jeans")
    assert set(told["timings_ms"]) == {"decode", "detect"}
    scores = [garment["score"] for garment in told["garments"]]
    assert main(["detect", photo, "--bundle", bundle, "--json", "--min-score", str(scores[0])]) == 0
    assert len(json.loads(capsys.readouterr().out)["garments"]) == 1


def test_several_photos_a_drawing_and_words(
    bundle: str, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.png"
    cv2.imwrite(str(plain), np.full((40, 90, 3), 128, np.uint8))
    out = tmp_path / "found.png"
    assert main(["detect", photo, str(plain), "--bundle", bundle, "--draw", str(out)]) == 0
    words = capsys.readouterr().out
    assert "t-shirt" in words
    assert "<- best" in words
    assert "no garment is found" in words
    drawn = cv2.imread(str(out))
    assert drawn is not None
    assert drawn.shape == (480 + 8 + round(40 * 480 / 90), 480, 3)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 10
    assert main(["detect", photo, str(plain), "--bundle", bundle, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["results"]
    assert [one["best"] is None for one in told] == [False, True]


def test_mistakes_get_one_line(
    bundle: str, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = str(make_tiny_bundle(tmp_path / "bare"))
    for args, status, told in (
        (["detect", photo, "--bundle", bare], 1, "has no detector"),
        (["detect", photo, "--bundle", str(tmp_path)], 1, "is no bundle"),
        (["detect", str(tmp_path / "none.jpg"), "--bundle", bundle], 1, "none.jpg"),
        (["detect", photo, "--bundle", bundle, "--draw", "x.txt"], 2, "not x.txt"),
        (["detect", photo, "--bundle", bundle, "--min-score", "2"], 2, "min-score"),
        (["detect", photo, "--bundle", bundle, "--threads", "0"], 2, "threads are from 1"),
    ):
        assert main(args) == status
        error = capsys.readouterr().err.strip()
        assert told in error
        assert len(error.splitlines()) <= 2


def test_search_detects(bundle: str, photo: str, tmp_path: Path, capsys) -> None:
    for name, channel in (("red", 0), ("blue", 2)):
        image = np.zeros((40, 40, 3), np.uint8)
        image[..., channel] = 255
        (tmp_path / f"{name}.jpg").write_bytes(encode_jpeg(image))
    (tmp_path / "shop.csv").write_text(
        "path,item_id,domain\nred.jpg,red,shop\nblue.jpg,blue,shop\n"
    )
    shop = str(tmp_path / "shop")
    assert main(["catalog", "create", shop, "--bundle", bundle]) == 0
    assert main(["catalog", "add", shop, str(tmp_path / "shop.csv")]) == 0
    capsys.readouterr()
    assert main(["search", shop, photo, "--each", "-k", "1", "--json", "--no-rerank"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert sorted(one["hits"][0]["item_id"] for one in results) == ["blue", "red"]
    assert main(["search", shop, photo, "--detect", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["box"] in [r["box"] for r in results]
    assert {d["category"] for d in one["detections"]} == {"t-shirt", "jeans", "bag"}
    assert main(["search", shop, photo, "--each", "--show", str(tmp_path / "hits.html")]) == 0
    for args in (["--detect", "--whole"], ["--each", "--box", "0,0,9,9"], ["--each", "--detect"]):
        assert main(["search", shop, photo, *args]) == 2
        assert "--each" in capsys.readouterr().err
