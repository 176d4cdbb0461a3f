"""`hemline data tags` and `hemline evaluate --probe tags` as a person and a machine see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.colour_shop import make_colour_shop
from helpers.tiny_bundle import make_tiny_bundle
from hemline.cli import main
from hemline.data.manifest import Manifest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "m.csv").write_text(
        "path,item_id,domain,title,url\n"
        "1.jpg,1,shop,Red dress with long sleeves,https://a.example/1\n"
        "2.jpg,2,shop,Navy skirt | no pockets,https://a.example/2\n"
        "3.jpg,3,shop,Black tank tops blouses shirts,https://a.example/3\n"
    )
    return tmp_path


def test_a_person_sees_what_was_done(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "tags", str(place / "m.csv"), "-o", str(place / "out.parquet")]) == 0
    text = capsys.readouterr().out
    assert "reads title as title (its name)" in text
    assert "doesn't read url: addresses" in text
    assert "3 of 3 rows (100%) have tags" in text
    assert "67% of rows: dress 1, skirt 1" in text
    assert "conflict too many in one title: category, 1 rows; the first, 3.jpg: none taken" in text
    assert "category=dress color=red sleeve_length=long" in text
    assert f"written: {place / 'out.parquet'}" in text
    made = Manifest.read(place / "out.parquet")
    assert made.column("tags")[1] == ["category=skirt", "color=navy"]


def test_json_is_one_object_and_the_report_is_the_same(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = place / "report.json"
    line = ["data", "tags", str(place / "m.csv"), "--json", "--report", str(report)]
    assert main([*line, "--from", "title", "--min-count", "2", "--sample", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["manifest"] is None
    assert result["names"]["color"]["values"] == {}
    assert {r["tag"] for r in result["rare"]} >= {"color=red", "category=dress"}
    assert json.loads(report.read_text()) == {**result}
    assert len(result["sample"]) == 1


def test_the_vocabulary_is_written_out_and_used(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = place / "mine.toml"
    assert main(["data", "tags", "--write-vocabulary", str(mine)]) == 0
    assert main(["data", "tags", "--write-vocabulary", str(mine)]) == 2
    mine.write_text(mine.read_text().replace('red = ["red", ', 'red = ["navy skirt", '))
    capsys.readouterr()
    assert main(["data", "tags", str(place / "m.csv"), "--json", "--vocabulary", str(mine)]) == 0
    assert json.loads(capsys.readouterr().out)["names"]["color"]["values"]["red"] == 1


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ([], 2, "needs a MANIFEST"),
        (["m.csv", "--from", "titel"], 2, "Did you mean 'title'"),
        (["m.csv", "--vocabulary", "none.toml"], 1, "there is no vocabulary none.toml"),
        (["m.csv", "--drop", "none.txt"], 1, "can't be read"),
        (["m.csv", "--write-vocabulary", "x.toml"], 2, "takes no manifest"),
    ],
)
def test_bad_use_is_one_line(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(place)
    assert main(["data", "tags", *options]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert len(captured.err.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("probe")
    make_colour_shop(root / "shop")
    make_tiny_bundle(root / "bundle")
    return root


def test_probe_tells_and_lists(probed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = Manifest.read(probed / "shop/manifest.parquet")
    tags = [[f"half={int(item[-1:], 16) % 2}"] for item in manifest.column("item_id")]
    tagged = str(manifest.with_column("tags", tags).write(probed / "shop/tagged.parquet"))
    line = ["evaluate", str(probed / "bundle"), tagged, "--probe", "tags"]
    noise = probed / "noise.txt"
    assert main([*line, "--json", "--noise", str(noise)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {one["tag"] for one in result["tags"]} == {"half=0", "half=1"}
    assert result["seen"] + result["noise"] + result["too_rare"] == 2
    assert noise.read_text().startswith("# Tags that ")
    assert main([*line, "--probe-on", "street"]) == 0
    assert "street pictures of" in capsys.readouterr().out
    for wrong in (
        ["--probe", "colours"],
        ["--probe", "tags", "--probe-on", "x"],
        ["--noise", "x"],
        ["--probe", "tags", "--against", "x"],
    ):
        assert main([*line[:3], *wrong]) == 2
    capsys.readouterr()
