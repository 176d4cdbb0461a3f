from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.colour_shop import make_colour_shop
from helpers.tiny_bundle import make_tiny_bundle
from hemline.cli import main
from hemline.data.manifest import Manifest


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluate")
    make_colour_shop(root / "shop")
    make_tiny_bundle(root / "bundle")
    make_tiny_bundle(root / "other", reranks=False, seed=1)
    return root


def run(place: Path, *options: str) -> int:
    return main(["evaluate", str(place / "bundle"), str(place / "shop/manifest.parquet"), *options])


def test_json_is_one_object_with_shares(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "out/result.json"
    sheet = place / "out/errors.html"
    options = ["--json", "--slices", "clutter", "--errors", str(sheet), "-o", str(out)]
    assert run(place, *options, "--against", str(place / "other")) == 0
    result = json.loads(capsys.readouterr().out)
    assert 0 <= result["recall@1"] <= result["recall@5"] <= result["recall@20"] == 1.0
    assert result["queries"] == 24
    assert result["protocol"]["name"] == "default"
    (other,) = result["against"]
    assert set(other["difference"]["recall@1"]) == {"value", "low", "high"}
    assert result["slices"]["clutter"]
    assert json.loads(out.read_text(encoding="utf-8")) == result
    assert sheet.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_person_gets_a_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, "--protocol", "holdout", "--share", "0.5", "--crop", "box") == 0
    text = capsys.readouterr().out
    assert "recall@1" in text
    assert "12 queries of 6 products" in text
    assert "crop: box" in text


def test_ks_are_any(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, "--ks", "3, 1,100", "--json", "--against", str(place / "other")) == 0
    result = json.loads(capsys.readouterr().out)
    recalls = [name for name in result if name.startswith("recall@")]
    assert recalls == ["recall@1", "recall@3", "recall@100"]
    assert list(result["pictures"]) == list(result["first_search"]) == recalls
    assert "recall@3" in result["against"][0]["difference"]
    assert result["rankings"]["depth"] == 1000
    assert run(place, "--ks", "3") == 0
    assert "recall@3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protocol", "holdut"], "Did you mean 'holdout'"),
        (["--crop", "tight"], "--crop is none, query"),
        (["--unmatched", "skip"], "--unmatched is miss or drop"),
        (["--errors", "a.pdf"], ".png or .html"),
        (["--fold", "1"], "'default' has no folds"),
        (["--seed", "-1"], "'--seed'"),
        (["--slices", "cluter"], "Did you mean 'clutter'"),
        (["--ks", "1,0"], "--ks has numbers from 1"),
        (["--ks", "all"], "--ks has numbers from 1"),
    ],
)
def test_bad_use_is_one_line_and_status_2(
    place: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, *options) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_a_model_that_is_none_fails_with_status_1(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = str(place / "shop/manifest.parquet")
    assert main(["evaluate", str(place / "nothing"), manifest]) == 1
    assert "no model" in capsys.readouterr().err
    assert main(["evaluate", str(place / "shop"), manifest]) == 1
    assert "neither a bundle" in capsys.readouterr().err


def test_inshop_is_told_by_pose_and_beside_published_figures_without_being_asked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Manifest.read(place / "shop/manifest.parquet")
    role = ["query" if d == "street" else "gallery" for d in shop.column("domain")]
    pose = ["front" if n % 2 else "side" for n in range(len(shop))]
    file = shop.with_column("role", role).with_column("pose", pose).write(place / "shop/in.parquet")
    options = ["--protocol", "inshop", "--crop", "box"]
    assert main(["evaluate", str(place / "bundle"), str(file), *options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["slices"]["pose"]) == {"front", "side"}
    assert {entry["metric"] for entry in result["published"]} == {"recall@1", "recall@20"}
    assert set(result["pictures"]) == {"recall@1", "recall@5", "recall@20", "recall@50"}
    assert result["protocol"]["differs"] == "crop is box, the protocol's own is none"
    assert main(["evaluate", str(place / "bundle"), str(file), *options]) == 0
    text = capsys.readouterr().out
    assert "published, not measured here" in text
    assert "Hyp-ViT" in text
    assert "24 query pictures here, 14,218 published" in text
