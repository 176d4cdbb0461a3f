"""Every recipe at ``bench``, with every option of its model: built, and its stages planned."""

from __future__ import annotations

import pytest
import torch

from helpers.model_forms import FORMS, merged
from helpers.shipped_recipes import recipes
from hemline.learn.model import MODELS
from hemline.learn.recipe import Recipe, load
from hemline.learn.training.stages import begin_stage, build_optimizer, resolve_stages

TAGS = ("category=dress", "category=skirt", "colour=red", "collar=polo")
BENCH = [
    (recipe, form)
    for recipe, found in recipes("bench").items()
    for form in ("the defaults", *FORMS[found.model.name])
]


@pytest.mark.parametrize(("name", "form"), BENCH, ids=[f"{n}: {f}" for n, f in BENCH])
def test_bench_plans_its_stages_with_every_option(name: str, form: str) -> None:
    """Built without memory or weights: each stage that is left has something to learn."""
    recipe = load(name, "bench")
    assert isinstance(recipe, Recipe)
    config = dict(recipe.model.config)
    if form != "the defaults":
        config = merged(config, FORMS[recipe.model.name][form].changes)
    if isinstance(config.get("backbone"), dict):  # weights lie outside the package
        config["backbone"] = {**config["backbone"], "weights": None, "pretrained": False}
        if not config["backbone"]["name"].startswith("mobilenetv2"):  # its own layers' names
            config["backbone"] = {"name": config["backbone"]["name"]}
    spec = MODELS[recipe.model.name]
    with torch.device("meta"):
        model = spec.build(spec.configure(config), TAGS)
    plan = resolve_stages(model.stages(), recipe.stages)
    assert [stage.name for stage in plan] == [stage.name for stage in model.stages()]
    for stage in plan:
        begin_stage(model, stage)
        used = build_optimizer(model, stage)
        assert sum(len(group["params"]) for group in used.param_groups) > 0
        assert stage.epochs > 0 or stage.fits
