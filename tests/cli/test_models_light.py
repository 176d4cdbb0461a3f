"""`hemline models` without PyTorch: what the source and the recipes declare."""

from __future__ import annotations

import json
import sys

import pytest

from hemline.cli import main


def forget_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("hemline.learn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)


def test_models_are_listed_without_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_torch(monkeypatch)
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert {"ahbn", "ctxynet", "darn", "fashionnet", "seam", "siamese", "yfit", "ynet"} <= set(rows)
    assert rows["ctxynet"]["paper"].startswith("Cross-Domain Image Retrieval with Attention")
    assert rows["ctxynet"]["needs"] == ["items", "tags"]
    recipes = ["ctxynet", "ctxynet_grocery", "ctxynet_infonce", "ctxynet_synthetic"]
    assert rows["ctxynet"]["recipes"] == recipes
    assert rows["ctxynet"]["parameters"] is None
    assert all(row["summary"] and row["link"].startswith("https://") for row in rows.values())

    assert main(["models"]) == 0
    words = capsys.readouterr().out
    assert "ynet         2017  needs items: A shared backbone" in words
    assert "M parameters" not in words
    assert "Training needs PyTorch: pip install 'hemline[learn]'" in words


@pytest.mark.learn
def test_the_listing_is_the_same_with_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--json"]) == 0
    built = json.loads(capsys.readouterr().out)["models"]
    unknown = {"size": None, "embedding_dim": None, "parameters": None, "stages": None}
    forget_torch(monkeypatch)
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"] == [row | unknown for row in built]
