"""``hemline data``: one JSON object, one line for each mistake, and the exit status."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hemline.cli import main
from hemline.cli.data import make
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.synthetic.settings import STRENGTHS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("1/shop/a", "1/street/b", "2/shop/c"):
        path = tmp_path / "tree" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (50, 40, 3), np.uint8))
    return tmp_path / "tree"


@pytest.fixture
def manifest(tree: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tree.parent / "m.parquet"
    assert main(["data", "read", "folder", str(tree), "-o", str(path)]) == 0
    capsys.readouterr()
    return path


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, Any, str]:
    """Exit status, the JSON object, and what was said."""
    status = main(["data", *map(str, args), "--json"])
    captured = capsys.readouterr()
    return status, json.loads(captured.out), captured.err


def test_read(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "2/shop/empty.png").touch()
    status, result, _ = run(capsys, "read", "folder", tree, "split=test", "-o", tmp_path / "m.csv")
    assert status == 0
    assert (result["rows"], result["items"], result["street"], result["shop"]) == (3, 2, 1, 2)
    assert (result["listed"], result["found"], result["broken"]) == (4, 3, 1)
    made = Manifest.read(tmp_path / "m.csv")
    assert made.fingerprint() == result["fingerprint"]
    assert made.column("path")[0] == "tree/1/shop/a.jpg"
    assert set(made.column("split")) == {"test"}


def test_read_in_words(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "read", "folder", str(tree), "-o", str(tmp_path / "m.csv")]) == 0
    words = capsys.readouterr().out
    assert "3 pictures laid out as ITEM/DOMAIN/picture" in words
    assert "3 rows of 2 items (1 street, 2 shop), 0 tags" in words


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    status, result, _ = run(capsys, "read", "--list")
    assert status == 0
    formats = {one["name"]: one for one in result["formats"]}
    assert {"grocery", "folder", "csv", "oml"} <= set(formats)
    assert formats["oml"]["writes"]
    assert "MIT" in formats["grocery"]["licence"]
    assert main(["data", "read", "--list"]) == 0
    assert "split=  train, val or test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["read"], "needs FORMAT and ROOT"),
        (["read", "foldr", ".", "-o", "m.csv"], "Did you mean 'folder'"),
        (["read", "folder", "."], "-o MANIFEST"),
        (["read", "folder", ".", "split", "-o", "m.csv"], "name=value, not 'split'"),
        (["read", "folder", ".", "splitt=a", "-o", "m.csv"], "Did you mean 'split'"),
        (["write", "grocery", "m.csv", "-o", "x.csv"], "these can be written: oml"),
        (["make", "-o", "x", "--pose", "2"], "Invalid value for '--pose'"),
    ],
)
def test_bad_use(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, result, said = run(capsys, *args)
    assert status == 2
    assert message in result["error"]
    assert len(said.strip().splitlines()) == 1


def test_a_wrong_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.csv").write_text("path,item_id,domain\na.jpg,1,shopp\n")
    for args in (["check"], ["show", "-o", tmp_path / "s.png"], ["write", "oml", "-o", "x.csv"]):
        status, result, _ = run(capsys, *args, tmp_path / "m.csv")
        assert status == 1
        assert "domain is 'shopp', not street or shop" in result["error"]
        assert result["kind"] == "DataError"


def test_write(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, result, _ = run(capsys, "write", "oml", manifest, "-o", tmp_path / "df.csv")
    assert (status, result["rows"]) == (0, 3)
    assert (tmp_path / "df.csv").read_text().startswith('"label","path","split"')


def test_make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["make", "-o", tmp_path / "drawn", "--products", 2, "--size", 64, "--workers", 1]
    status, result, _ = run(capsys, *args, "--seed", 5, "--clutter", 0.25)
    assert status == 0
    assert (result["items"], result["shop"], result["street"]) == (2, 2, 4)
    assert (result["settings"]["size"], result["settings"]["clutter"]) == (64, 0.25)
    table = Manifest.read(tmp_path / "drawn")
    assert table.fingerprint() == result["fingerprint"]
    assert open_image(table.file(0)).shape == (64, 64, 3)
    status, again, _ = run(capsys, *args, "--seed", 5, "--clutter", 0.25)
    assert (status, again["fingerprint"]) == (0, result["fingerprint"])


def test_every_strength_is_an_option() -> None:
    assert set(STRENGTHS) <= set(inspect.signature(make).parameters)
