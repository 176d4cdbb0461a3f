"""Each paper's recipe has the paper's settings, and its page says which are the paper's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hemline.learn.model import MODELS
from hemline.learn.recipe import Recipe, load
from hemline.learn.training.stages import resolve_stages

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "data" / "published_settings.json"
RECIPES: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["recipes"]
TAGS = ("category=dress", "category=skirt", "colour=red", "collar=polo")


def here(recipe: Recipe) -> dict[str, Any]:
    """Every setting of a recipe as it is trained, by its key; the model is built without memory."""
    spec = MODELS[recipe.model.name]
    config = recipe.model.config
    settings = spec.configure(config)
    values = {
        "batch_size": recipe.batch_size,
        **_flat(settings.model_dump(), "model.config."),
        **_flat(recipe.data.model_dump(), "data."),
        **_flat(recipe.early_stop.model_dump(), "early_stop."),
    }
    if isinstance(config.get("backbone"), dict):
        config = {**config, "backbone": {**config["backbone"], "pretrained": False}}
    with torch.device("meta"):
        model = spec.build(spec.configure(config), TAGS)
    for stage in resolve_stages(model.stages(), recipe.stages, recipe.early_stop):
        for name in ("margin", "optimizer", "lr", "lr_step", "lr_decay", "momentum", "epochs"):
            values[f"stages.{stage.name}.{name}"] = getattr(stage, name)
        values[f"stages.{stage.name}.weight_decay"] = stage.weight_decay
        values[f"stages.{stage.name}.trains"] = ", ".join(stage.trains)
    return values


def _flat(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = "none" if value is None else value
    return flat


def rows(name: str) -> list[str]:
    """The rows of a recipe's table, as its page has them."""
    ours = here(_recipe(name))
    return [
        f"| `{key}` | {_word(said['value'])} | {_word(ours[key])} | {said['where']} |"
        for key, said in RECIPES[name]["settings"].items()
    ]


def _word(value: Any) -> str:
    words = {True: "yes", False: "no"} if isinstance(value, bool) else {None: "not known"}
    return words.get(value) or str(value)


def _recipe(name: str) -> Recipe:
    recipe = load(name)
    assert isinstance(recipe, Recipe)
    return recipe


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_has_what_its_paper_says_and_its_page_tells_both(name: str) -> None:
    ours = here(_recipe(name))
    for key, said in RECIPES[name]["settings"].items():
        assert said["where"], key
        if said["value"] is not None:
            assert ours[key] == said["value"], f"{name}: {key}"
    page = (ROOT / "docs" / "models" / RECIPES[name]["page"]).read_text(encoding="utf-8")
    missing = [row for row in rows(name) if row not in page]
    assert not missing, f"{RECIPES[name]['page']} lacks {missing[0]}"


@pytest.mark.parametrize("name", ["ynet", "tagynet", "ctxynet"])
def test_infonce_is_of_another_recipe_than_equation_7_at_every_scale(name: str) -> None:
    for scale in ("paper", "bench", "smoke"):
        assert here(load(name, scale))["model.config.loss"] == "triplet"  # type: ignore[arg-type]
        ours = here(load(f"{name}_infonce", scale))  # type: ignore[arg-type]
        assert ours["model.config.loss"] == "infonce"
        assert ours["model.config.projection"] in (16, 128)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_rate_falls_within_a_stage_of_a_paper(name: str) -> None:
    ours = here(_recipe(name))
    for key, epochs in ours.items():
        if key.endswith(".epochs") and key.startswith("stages.") and epochs:
            step = ours[key.replace("epochs", "lr_step")]
            siamese = name == "siamese"  # its text and code have no step
            assert siamese or epochs > step or "attributes" in key or "landmarks" in key, key
