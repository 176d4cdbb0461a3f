"""`hemline data read` of a published format: what it says of counts, in words and in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.published import inshop
from hemline.cli import main
from hemline.data.manifest import Manifest


def test_words_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = inshop(tmp_path / "data")
    missing = root / "Img/img/MEN/Denim/id_00000080/01_2_side.jpg"
    missing.unlink()
    target = tmp_path / "m.parquet"
    assert main(["data", "read", "inshop", str(root), "-o", str(target)]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].startswith("5 rows listed, 4 found, 1 missing and 0 broken")
    assert "not as published: images: 5 here, 52,712 published" in lines
    assert str(missing) in told.err.replace("\n", "")
    assert main(["data", "read", "inshop", str(root), "-o", str(target), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["published"]["images"] == {"published": 52_712, "here": 5}
    assert (found["listed"], found["found"], found["missing"], found["broken"]) == (5, 4, 1, 0)
    assert found["differences"][0] == "images: 5 here, 52,712 published"
    assert len(Manifest.read(target)) == 4


def test_mistakes_get_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = inshop(tmp_path / "data")
    (root / "Anno/list_bbox_inshop.txt").write_text("one\n")
    target = str(tmp_path / "m.parquet")
    assert main(["data", "read", "inshop", str(root), "-o", target]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["data", "read", "inshop", str(root), "image=x", "-o", target]) == 2
    assert "Did you mean 'images'?" in capsys.readouterr().err
