from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.cli import main
from hemline.evaluation.speed import run

FEW = ["--images", "60", "--repeats", "1"]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(run, "LARGE", (400, 300))
    return str(make_tiny_bundle(tmp_path / "bundle"))


def test_a_table_and_json(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", bundle, *FEW]) == 0
    words = capsys.readouterr().out
    for word in ("decode", "re-rank", "whole query", "images a second", "has no detector"):
        assert word in words
    assert main(["bench", bundle, *FEW, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 60
    assert told["steps"]["whole"]["ratio"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-bundle"], "no bundle 'no-such-bundle'"),
        (["--images", "0"], "--images"),
        (["--threads", "0"], "threads are from 1"),
        (["--photo", "none.jpg"], "none.jpg does not exist"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) in (1, 2)
    assert message in " ".join(capsys.readouterr().err.split())
