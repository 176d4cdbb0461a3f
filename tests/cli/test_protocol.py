from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.colour_shop import make_colour_shop
from hemline.cli import main
from hemline.data.manifest import Manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    make_colour_shop(tmp_path)
    return tmp_path / "manifest.parquet"


def test_it_tells_and_writes_what_training_may_see(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = manifest.parent / "sub/train.parquet"
    options = ["--protocol", "holdout", "--share", "0.25", "--train-out", str(out), "--json"]
    assert main(["data", "protocol", str(manifest), *options]) == 0
    (part,) = json.loads(capsys.readouterr().out)["protocols"]
    assert (part["queries"], part["gallery"], part["training_rows"]) == (6, 12, 27)
    left = Manifest.read(out)
    assert len(left) == 27
    assert not set(left.column("item_id").tolist()) & set(part["held_out"])
    assert left.file(0).is_file()


def test_words_for_a_person(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "protocol", str(manifest)]) == 0
    assert "default: 24 queries, 12 gallery rows" in capsys.readouterr().out


def test_folds_need_a_number_to_be_written(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--protocol", "grocery-folds", "--train-out", "x.parquet"]
    assert main(["data", "protocol", str(manifest), *options]) == 1
    assert "committed folds" in capsys.readouterr().err
