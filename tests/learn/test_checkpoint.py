from __future__ import annotations

from pathlib import Path

import pytest

from hemline.errors import UsageError
from hemline.learn.checkpoint import build
from hemline.learn.recipe import Recipe, load


def test_weights_are_read_only_where_the_recipe_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load("ynet_grocery")
    assert isinstance(recipe, Recipe)
    named = Path(recipe.model.config["backbone"]["weights"])
    for folder in (tmp_path / "shared" / named, tmp_path / "elsewhere" / named):
        folder.parent.mkdir(parents=True)
        folder.write_bytes(b"not to be read")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HEMLINE_SHARED", str(tmp_path / "elsewhere"))
    with pytest.raises(UsageError, match=r"no file of weights .*backbone\.weights=FILE"):
        build(recipe, ())
