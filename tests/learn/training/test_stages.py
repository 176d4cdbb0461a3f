from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hemline.errors import TrainingError, UsageError
from hemline.learn.model import MODELS, Stage
from hemline.learn.recipe import EarlyStop, StageRecipe
from hemline.learn.training.stage_module import WeightAverage
from hemline.learn.training.stages import (
    ResolvedStage,
    begin_stage,
    build_optimizer,
    resolve_stages,
)

STAGES = (Stage("First", ("a",), epochs=10, lr=0.1, lr_step=4), Stage("Second", ("b",)))


def resolved(stage: Stage, **changes: object) -> ResolvedStage:
    return resolve_stages([stage], {"all": StageRecipe.model_validate(changes)})[0]


def test_changes_come_for_all_then_by_name_and_the_rest_stays() -> None:
    first, second = resolve_stages(
        STAGES,
        {"all": StageRecipe(epochs=3, clip=1.0), "second": StageRecipe(epochs=7, lr=0.5)},
        EarlyStop(patience=4, every=2),
    )
    assert (first.epochs, first.lr, second.epochs, second.lr) == (3, 0.1, 7, 0.5)
    assert first.clip == second.clip == 1.0
    assert (first.patience, first.validate_every) == (4, 2)
    left = resolve_stages(STAGES, {"First": StageRecipe(skip=True)})
    assert [stage.name for stage in left] == ["Second"]


def test_options_are_added_to_the_published_ones() -> None:
    stage = Stage("s", ("",), options={"a": 1, "b": 2})
    assert resolved(stage, options={"b": 3}).options == {"a": 1, "b": 3}
    undone = {"all": StageRecipe(epochs=3), "s": StageRecipe(epochs=None)}
    assert resolve_stages([stage], undone)[0].epochs == stage.epochs


def test_unknown_stages_and_empty_plans_are_told() -> None:
    with pytest.raises(UsageError, match="Did you mean 'Second'"):
        resolve_stages(STAGES, {"Secnd": StageRecipe()})
    with pytest.raises(UsageError, match="every stage"):
        resolve_stages(STAGES, {"all": StageRecipe(epochs=0)})


def test_rates_follow_their_schedule() -> None:
    step = resolved(STAGES[0])
    assert [round(step.lr_factor(e), 6) for e in (0, 3.9, 4, 8)] == [1, 1, 0.1, 0.01]
    cosine = resolved(STAGES[0], schedule="cosine", warmup=2.0)
    assert cosine.lr_factor(1.0) == pytest.approx(0.5, rel=0.01)
    assert cosine.lr_factor(2.0) == pytest.approx(1.0)
    assert cosine.lr_factor(6.0) == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))
    assert cosine.lr_factor(10.0) == pytest.approx(0.0, abs=1e-9)
    assert resolved(STAGES[0], schedule="constant").lr_factor(9.0) == 1


def test_groups_have_their_own_rates_and_adamw_decays_no_bias() -> None:
    model = nn.ModuleDict({"body": nn.Linear(3, 3), "head": nn.Linear(3, 2)})
    stage = Stage("s", ("",), lr=0.1, weight_decay=0.5, optimizer="adamw")
    scales = {"body": 0.1, "body.bias": 0.0}
    used = build_optimizer(model, resolved(stage, lr_scale=scales))
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in used.param_groups
        for parameter in group["params"]
        for name, own in model.named_parameters()
        if own is parameter
    }
    assert found["body.weight"] == (pytest.approx(0.01), 0.5)
    assert found["body.bias"] == (0.0, 0.0)
    assert found["head.weight"] == (0.1, 0.5)
    assert found["head.bias"] == (0.1, 0.0)


def test_a_rate_of_zero_freezes_and_leaves_the_rest_to_learn() -> None:
    spec = MODELS["ynet"]
    model = spec.build(spec.configure(spec.tiny), ())
    (stage,) = model.stages()
    scaled = resolved(stage, lr_scale={"shared.conv_stem": 0.0, "shared": 0.5})
    begin_stage(model, scaled)
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert frozen == {"shared.conv_stem.weight"}
    used = build_optimizer(model, scaled)
    count = sum(len(group["params"]) for group in used.param_groups)
    assert count == len(list(model.parameters())) - 1
    with pytest.raises(TrainingError, match="names no parameter"):
        begin_stage(model, resolved(stage, lr_scale={"": 0.0}))
    begin_stage(model, resolved(stage))
    assert all(value.requires_grad for value in model.parameters())


def test_a_star_in_a_name_stands_for_anything() -> None:
    spec = MODELS["ynet"]
    model = spec.build(spec.configure(spec.tiny), ())
    (stage,) = model.stages()
    begin_stage(model, resolved(stage, lr_scale={"*.conv_dw": 0.0}))
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if ".conv_dw." in name} != set()
    begin_stage(model, resolved(stage, lr_scale={"*.conv_dw": 0.0, "shared.*.conv_dw.weight": 1}))
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert not any(name.startswith("shared.") for name in frozen)


def test_the_moving_average_is_one() -> None:
    model = nn.Linear(1, 1, bias=False)
    mean = WeightAverage(model, 0.5)
    expected = float(model.weight.detach())
    for step, value in enumerate((1.0, 2.0, -3.0, 5.0), 1):
        with torch.no_grad():
            model.weight.fill_(value)
        mean.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(mean.module.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(model.weight.detach()) == 5.0
