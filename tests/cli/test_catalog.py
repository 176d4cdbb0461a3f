from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hemline.runtime.bundle as bundle_module
from helpers.tiny_bundle import make_tiny_bundle
from hemline.cli import main
from hemline.data.images import encode_jpeg


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a shipped bundle, six pictures and their manifest; the working folder."""
    monkeypatch.setattr(bundle_module, "shipped_root", lambda: tmp_path / "bundles")
    make_tiny_bundle(tmp_path / "bundles" / "small")
    lines = ["path,item_id,domain,category,tags,price"]
    for n in range(6):
        colours = np.random.default_rng(n).integers(0, 256, (2, 2, 3), dtype=np.uint8)
        image = np.kron(colours, np.ones((20, 20, 1), np.uint8)).astype(np.uint8)
        (tmp_path / f"{n}.jpg").write_bytes(encode_jpeg(image))
        lines.append(f"{n}.jpg,item{n // 2},shop,dress,colour=red;fit=loose,{n}.5")
    (tmp_path / "products.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> dict[str, Any]:
    """One command with --json: its one object."""
    capsys.readouterr()
    assert main([*args, "--json"]) == code
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    return json.loads(text)


def test_a_catalogue_s_life(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "catalog", "create", "shop")
    assert (made["model"], made["pictures"]) == ("tiny", 0)
    (shop / "5.jpg").write_bytes(b"nothing")
    added = run(
        capsys, "catalog", "add", "shop", "products.csv", "--threads", "1", "--skipped", "s.csv"
    )
    assert (added["added"], added["items"], added["pictures"]) == (5, 3, 5)
    assert added["unknown_tags"] == {"fit=loose": 5}
    assert [one["image_id"] for one in added["skipped"]] == ["5.jpg"]
    assert (shop / "s.csv").read_text().splitlines()[1].startswith("5.jpg,5.jpg,")
    again = run(capsys, "catalog", "add", "shop", "products.csv")
    assert (again["added"], again["unchanged"], len(again["skipped"])) == (0, 5, 1)
    stats = run(capsys, "catalog", "stats", "shop")
    assert (stats["items"], stats["columns"]) == (3, ["category", "tags", "price"])
    shown = run(capsys, "catalog", "show", "shop", "item1")
    assert [row["image_id"] for row in shown["rows"]] == ["2.jpg", "3.jpg"]
    assert all(Path(row["picture"]).is_file() for row in shown["rows"])
    removed = run(capsys, "catalog", "remove", "shop", "item1", "none")
    assert (removed["removed_pictures"], removed["unknown"], removed["items"]) == (2, ["none"], 2)


def test_words_for_people(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "0.jpg").write_bytes(b"nothing")
    for args in (
        ["create", "shop", "--bundle", "small"],
        ["add", "shop", "products.csv"],
        ["stats", "shop"],
        ["show", "shop", "item1"],
        ["remove", "shop", "item1"],
    ):
        assert main(["catalog", *args]) == 0
    told = capsys.readouterr()
    assert "shop is ready, with the model tiny" in told.out
    assert "5 images added" in told.out
    assert "items                    3" in told.out
    assert "removed 1 items with 2 images" in told.out
    assert "skipped 0.jpg: " in told.err
    assert "fit=loose" in told.err


def test_a_manifest_without_any_picture_fails(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "lost.csv").write_text("path,item_id,domain\nx.jpg,a,shop\ny.jpg,b,shop\n")
    assert main(["catalog", "create", "shop"]) == 0
    answer = run(capsys, "catalog", "add", "shop", "lost.csv", code=1)
    assert "none of the 2 images can be added; the first, x.jpg" in answer["error"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["stats", "nowhere"], 1, "isn't there; 'hemline catalog create nowhere' makes one"),
        (["create", "new", "--bundle", "no-bundle"], 1, "no bundle 'no-bundle'"),
        (["create", "shop"], 1, "a catalogue already"),
        (["add", "shop", "nothing.csv"], 1, "nothing.csv"),
        (["add", "shop", "products.csv", "--crop", "face"], 2, "crop is none, box, detect"),
        (["add", "shop", "products.csv", "--batch", "0"], 2, "at least 1"),
        (["add", "shop", "products.csv", "--threads", "0"], 2, "from 1 to 256"),
        (["remove", "shop", "no-such"], 1, "has none of these items: no-such"),
        (["add", "shop", "products.csv", "--threads", "999999"], 2, "from 1 to 256"),
        (["add", "shop", "other.csv"], 1, "lacks the columns path, item_id, domain (found: sku)"),
        (["add", "shop", "bad.csv"], 1, "2 problems"),
        (["add", "shop", "latin.csv"], 1, "not UTF-8"),
        (["add", "shop", "empty.csv"], 1, "is empty"),
        (["add", "shop", "header.csv"], 1, "there are no rows"),
        (["add", "shop", "street.csv"], 2, "none of the 1 rows is for a catalogue"),
        (["add", "shop", "products.csv", "--skipped", "0.jpg/s.csv"], 1, "0.jpg is a file"),
        (["stats", "products.csv"], 1, "products.csv is a file; a catalogue is a folder"),
        (["create", "new", "--bundle", "products.csv"], 1, "no bundle 'products.csv'"),
        (["create", "products.csv/new"], 1, "products.csv is a file, where a folder is needed"),
        (["show", "shop", "no-such"], 1, "has none of these items: no-such"),
        (["remove", "shop"], 2, "ITEM"),
    ],
)
def test_mistakes_get_one_line(
    shop: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, words: str
) -> None:
    (shop / "other.csv").write_text("sku\na\n")
    (shop / "bad.csv").write_text("path,item_id,domain\na.jpg,,shop\nb.jpg,b,home\n")
    (shop / "latin.csv").write_bytes("path,item_id,domain\né.jpg,a,shop\n".encode("latin-1"))
    (shop / "empty.csv").write_text("")
    (shop / "header.csv").write_text("path,item_id,domain\n")
    (shop / "street.csv").write_text("path,item_id,domain\n0.jpg,a,street\n")
    assert main(["catalog", "create", "shop"]) == 0
    capsys.readouterr()
    assert main(["catalog", *args]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_a_price_that_is_no_number_is_null_in_the_json(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "nan.csv").write_text("path,item_id,domain,price\n0.jpg,a,shop,nan\n1.jpg,b,shop,2\n")
    assert main(["catalog", "create", "shop"]) == 0
    run(capsys, "catalog", "add", "shop", "nan.csv")
    assert run(capsys, "catalog", "show", "shop", "a")["rows"][0].get("price") is None
    for where, items in (("price < 9", {"b"}), ("price <> 9", {"b"}), ("price is null", {"a"})):
        hits = run(capsys, "search", "shop", "0.jpg", "--where", where)["hits"]
        assert {hit["item_id"] for hit in hits} == items


@pytest.mark.parametrize("broken", ["bundle", "meta"])
def test_a_catalogue_that_is_not_whole(
    shop: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    assert main(["catalog", "create", "shop"]) == 0
    if broken == "bundle":
        shutil.rmtree(shop / "shop/bundle")
    else:
        with sqlite3.connect(shop / "shop/catalog.sqlite") as db:
            db.execute("DELETE FROM meta WHERE name = 'dim'")
    capsys.readouterr()
    assert main(["catalog", "stats", "shop"]) == 1
    words = {"bundle": "has lost its folder 'bundle'", "meta": "its description is incomplete"}
    told = capsys.readouterr().err
    assert words[broken] in told
    assert told.count("\n") == 1
