from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.drawn_pairs import make
from hemline.cli import main

pytestmark = pytest.mark.learn
SMALL = ["--scale", "smoke", "model.config.size=32", "stages.all.epochs=1", "threads=1"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("pairs"), items=8, val=2)


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The one JSON object of standard output."""
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)  # type: ignore[no-any-return]


def test_train_then_export(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, bundle = str(tmp_path / "run"), str(tmp_path / "bundle")
    command = ["train", "ynet", str(manifest), "-o", run, *SMALL, "--json"]
    assert main(command) == 0
    first = told(capsys)
    assert first["finished"] is True
    assert first["stage"] == "YNet"
    assert 0 <= first["validation"]["recall@1"] <= 1  # type: ignore[index]
    assert main(command) == 0
    assert told(capsys)["resumed"] is True
    assert main([*command, "seed=1"]) == 1
    assert "seed was 0, now 1" in str(told(capsys)["error"])
    assert main(["export", run, "-o", bundle, "--pictures", str(manifest), "--json"]) == 0
    result = told(capsys)
    assert set(result["files"]) == {  # type: ignore[call-overload]
        "README.md",
        "bundle.json",
        "seen.npz",
        "shop.onnx",
        "street.onnx",
        "weights.bin",
    }
    assert main(["export", run, "-o", bundle]) == 2
    assert "--force" in capsys.readouterr().err


def test_bad_use_is_one_line_and_2(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in (
        (["ynett", str(manifest), "-o", "r"], "Did you mean 'ynet'"),
        (["ynet", str(manifest), "-o", "r", "batchsize=3"], "Did you mean 'batch_size'"),
        (["ynet"], "train needs"),
    ):
        assert main(["train", *words]) == 2
        err = capsys.readouterr().err
        assert expected in err
        assert err.count("\n") == 1
    assert not Path("r").exists()


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list", "--json"]) == 0
    names = [row["name"] for row in told(capsys)["recipes"]]  # type: ignore[attr-defined, index]
    assert {"ynet", "tagynet", "ctxynet"} <= set(names)
    assert main(["models", "--json"]) == 0
    result = told(capsys)
    row = next(r for r in result["models"] if r["name"] == "ctxynet")  # type: ignore[attr-defined, union-attr]
    assert row["year"] == 2017
    assert row["parameters"] > 1e6
    assert row["stages"] == ["YNet", "TagYNet", "CtxYNet"]
    assert main(["models"]) == 0
    assert "ynet" in capsys.readouterr().out
