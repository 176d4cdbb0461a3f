from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector, street
from hemline.cli import main
from hemline.data.images import encode_jpeg


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a filled catalogue ``shop`` and its pictures."""
    root = tmp_path_factory.mktemp("search")
    make_tiny_bundle(root / "bundle")
    lines = ["path,item_id,domain,category,tags,price"]
    for n in range(12):
        colours = np.random.default_rng(n).integers(0, 256, (2, 2, 3), dtype=np.uint8)
        image = np.kron(colours, np.ones((20, 20, 1), np.uint8)).astype(np.uint8)
        (root / f"{n}.jpg").write_bytes(encode_jpeg(image))
        lines.append(
            f"{n}.jpg,item{n // 2},shop,{'dress' if n % 4 else 'shirt'},a={'x' * 99},{n}.5"
        )
    (root / "products.csv").write_text("\n".join(lines) + "\n")
    assert main(["catalog", "create", str(root / "shop"), "--bundle", str(root / "bundle")]) == 0
    assert main(["catalog", "add", str(root / "shop"), str(root / "products.csv")]) == 0
    return root


def run(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*args, "--json"]) == 0
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    return json.loads(text)


@pytest.fixture(autouse=True)
def inside(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)


def test_the_json_of_one_photo(capsys: pytest.CaptureFixture[str]) -> None:
    answer = run(capsys, "search", "shop", "3.jpg", "-k", "4", "--no-rerank", "--threads", "1")
    first = answer["hits"][0]
    assert (first["item_id"], first["image_id"], first["rank"]) == ("item1", "3.jpg", 1)
    assert (first["category"], first["price"], first["tags"]) == ("dress", 3.5, ["a=" + "x" * 99])
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3, 4]
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["box"] is None
    assert answer["timings_ms"].keys() == {
        "decode", "encode", "search", "rerank", "rows", "total",
    }  # fmt: skip
    assert (answer["offset"], answer["more"], answer["facets"]) == (0, True, {})


def test_box_where_and_several_photos(capsys: pytest.CaptureFixture[str]) -> None:
    boxed = run(capsys, "search", "shop", "3.jpg", "--box", "0,0,20,90")
    assert boxed["box"] == [0, 0, 20, 40]
    chosen = run(capsys, "search", "shop", "3.jpg", "--where", "category = 'shirt' and price < 5")
    assert {hit["item_id"] for hit in chosen["hits"]} == {"item0", "item2"}
    many = run(capsys, "search", "shop", "3.jpg", "8.jpg", "--whole")
    assert [one["photo"] for one in many["results"]] == ["3.jpg", "8.jpg"]


def test_facets_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "shop", "3.jpg", "--facets", "category,price"]) == 0
    told = capsys.readouterr().out
    assert "category: " in told
    assert " to " in told.partition("price: ")[2]


def test_a_table_and_a_drawing_for_people(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "shop", "3.jpg", "--show", "hits.png"]) == 0
    told = capsys.readouterr()
    assert "item1" in told.out
    assert "price 3.5" in told.out
    assert "drawn in hits.png" in told.err
    assert cv2.imread(str(shop / "hits.png")).std() > 10
    assert main(["search", "shop", "3.jpg", "--show", "hits.html"]) == 0
    assert "data-heat" in (shop / "hits.html").read_text(encoding="utf-8")
    assert main(["search", "shop", "3.jpg", "--where", "price < 0"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "no product is found: no price is < 0; it holds numbers from 0.5 to 11.5" in told
    args = ("search", "shop", "3.jpg", "--where", "category = 'DRESS' and price < 9")
    assert [hit["category"] for hit in run(capsys, *args)["hits"]] == ["dress"] * 4


def test_facets_of_numbers_and_of_tags(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["search", "shop", "3.jpg", "--facets", "price,tags.a,category", "--threads", "1"]
    found = run(capsys, *args)["facets"]
    assert (found["price"]["low"], found["price"]["high"]) == (0.5, 11.5)
    assert found["tags.a"]["values"] == [["x" * 99, 6]]
    assert main(args) == 0
    told = capsys.readouterr().out
    assert "price: 0.5 to 1.5 1, " in told
    assert "category: dress 6, shirt 3" in told


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nowhere", "3.jpg"], 1, "isn't there"),
        (["shop", "no.jpg"], 1, "no.jpg does not exist"),
        (["shop", "products.csv"], 1, "products.csv"),
        (["shop", "3.jpg", "--box", "1,2,3"], 2, "a box is x1,y1,x2,y2"),
        (["shop", "3.jpg", "--box", "50,50,60,60"], 2, "leaves no pixel"),
        (["shop", "3.jpg", "4.jpg", "--box", "1,1,9,9"], 2, "one photo at a time"),
        (["shop", "3.jpg", "--box", "1,1,9,9", "--whole"], 2, "contradict"),
        (["shop", "3.jpg", "--where", "prise < 3"], 2, "Did you mean 'price'?"),
        (["shop", "3.jpg", "--facets", "tags.b"], 2, "no tag 'b' to count"),
        (["shop", "3.jpg", "--facets", "prise"], 2, "Did you mean 'price'?"),
        (["shop", "3.jpg", "--where", "price <"], 2, "can't be read"),
        (["shop", "3.jpg", "-k", "0"], 2, "k: Input should be greater than or equal to 1"),
        (["shop", "3.jpg", "-k", "1000000000"], 2, "less than or equal to 10000"),
        (["shop", "3.jpg", "--box", ""], 2, "a box is x1,y1,x2,y2"),
        (["shop", "3.jpg", "--box", "nan,0,9,9"], 2, "has no area"),
        (["shop", "3.jpg", "--threads", "1000000"], 2, "from 1 to 256"),
        (["shop", "."], 1, ". is a folder"),
        (["shop", "3.jpg", "--show", "products.csv/x.png"], 1, "products.csv is a file"),
        (["products.csv", "3.jpg"], 1, "a catalogue is a folder"),
        (["shop", "3.jpg", "--threads", "0"], 2, "from 1 to 256"),
        (["shop", "3.jpg", "--show", "hits.txt"], 2, ".html, .png or .jpg"),
    ],
)
def test_mistakes_get_one_line(
    capsys: pytest.CaptureFixture[str], args: list[str], code: int, words: str
) -> None:
    capsys.readouterr()
    assert main(["search", *args]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_a_photo_is_searched_by_every_garment_unless_told_otherwise(
    tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_tiny_detector(make_tiny_bundle(tmp_path / "bundle"))
    catalog, photo = str(tmp_path / "shop"), str(tmp_path / "street.jpg")
    assert main(["catalog", "create", catalog, "--bundle", str(tmp_path / "bundle")]) == 0
    assert main(["catalog", "add", catalog, str(shop / "products.csv")]) == 0
    Path(photo).write_bytes(encode_jpeg(street((1, 0, "red"), (2, 2, "blue")), 95))
    words = ("search", catalog, photo, "--threads", "1", "--no-rerank")
    every = run(capsys, *words)
    assert len(every["detections"]) == 2
    assert every["box"] is None
    assert "detect" in every["timings_ms"]
    many = run(capsys, *words, photo)["results"]
    assert [one["hits"] for one in many] == [every["hits"]] * 2, "each photo has its own garments"
    for more in (["--whole"], ["--box", "0,0,64,64"], ["--together"]):
        alone = run(capsys, *words, *more)
        assert alone["detections"] == []
        assert "detect" not in alone["timings_ms"]
    whole = {hit["item_id"]: hit["score"] for hit in run(capsys, *words, "--whole")["hits"]}
    found = {hit["item_id"]: hit["score"] for hit in every["hits"]}
    assert all(found[name] >= score - 1e-6 for name, score in whole.items())
    assert found != pytest.approx(whole, abs=1e-6)
    assert main([*words]) == 0
    told = capsys.readouterr().out
    assert "searched with: the photo, " in told
    assert "t-shirt" in told
    assert main([*words, "--whole"]) == 0
    assert "searched with" not in capsys.readouterr().out
