"""`hemline.learn.api.train`: whatever form recipe, manifest and changes come in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.drawn_pairs import make
from hemline.data.manifest import Manifest
from hemline.errors import UsageError
from hemline.learn.api import train
from hemline.learn.checkpoint import load_run
from hemline.learn.recipe import load

RECIPE = {
    "model": {
        "name": "ynet",
        "config": {"backbone": {"name": "test_efficientnet"}, "size": 32, "projection": 8},
    },
    "batch_size": 6,
    "threads": 1,
    "scales": {"smoke": {"stages": {"all": {"epochs": 1}}}},
}


def test_a_mapping_a_file_and_changes(tmp_path: Path) -> None:
    table = make(tmp_path / "pairs", items=8, photos=2)
    changes = {"seed": 1, "stages.YNet.lr": 1e-3}
    result = train(RECIPE, table, tmp_path / "run", scale="smoke", overrides=changes)
    assert result["finished"]
    assert (result["recipe"], result["model"], result["epochs"]) == ("recipe", "ynet", 1)
    recipe = load_run(tmp_path / "run").recipe
    assert (recipe.seed, recipe.stages["YNet"].lr) == (1, 0.001)
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(RECIPE))  # JSON is YAML
    words = ["seed=1", "stages.YNet.lr=1e-3"]
    again = train(file, Manifest.read(table), str(tmp_path / "run"), scale="smoke", overrides=words)
    assert again["resumed"]
    assert again["best"] == result["best"]


def test_a_parsed_recipe_has_no_scale(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a parsed one"):
        train(load("ynet"), tmp_path / "none.csv", tmp_path / "run", scale="smoke")
    with pytest.raises(UsageError, match="Did you mean 'ynet'"):
        train("ynett", tmp_path / "none.csv", tmp_path / "run")
