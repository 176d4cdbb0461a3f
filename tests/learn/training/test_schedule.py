from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hemline.errors import TrainingError, UsageError
from hemline.learn.model import MODELS, Stage
from hemline.learn.recipe import StageRecipe
from hemline.learn.training.ema import WeightMean
from hemline.learn.training.schedule import begin, optimiser, planned, rate

STAGES = (Stage("First", ("a",), epochs=10, lr=0.1, lr_step=4), Stage("Second", ("b",)))


def test_changes_come_for_all_then_by_name_and_the_rest_stays() -> None:
    plan = planned(
        STAGES,
        {"all": StageRecipe(epochs=3, clip=1.0), "second": StageRecipe(epochs=7, lr=0.5)},
    )
    (first, change), (second, other) = plan
    assert (first.epochs, first.lr, second.epochs, second.lr) == (3, 0.1, 7, 0.5)
    assert change.clip == other.clip == 1.0
    assert [s.name for s, _ in planned(STAGES, {"First": StageRecipe(skip=True)})] == ["Second"]


def test_unknown_stages_and_empty_plans_are_told() -> None:
    with pytest.raises(UsageError, match="Did you mean 'Second'"):
        planned(STAGES, {"Secnd": StageRecipe()})
    with pytest.raises(UsageError, match="every stage"):
        planned(STAGES, {"all": StageRecipe(epochs=0)})


def test_rates_follow_their_schedule() -> None:
    step = StageRecipe()
    stage = STAGES[0]
    assert [round(rate(stage, step, e), 6) for e in (0, 3.9, 4, 8)] == [0.1, 0.1, 0.01, 0.001]
    cosine = StageRecipe(schedule="cosine", warmup=2.0)
    assert rate(stage, cosine, 1.0) == pytest.approx(0.05, rel=0.01)
    assert rate(stage, cosine, 2.0) == pytest.approx(0.1)
    assert rate(stage, cosine, 6.0) == pytest.approx(0.1 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert rate(stage, cosine, 10.0) == pytest.approx(0.0, abs=1e-9)
    assert rate(stage, StageRecipe(schedule="constant"), 9.0) == 0.1


def test_groups_have_their_own_rates_and_adamw_decays_no_bias() -> None:
    model = nn.ModuleDict({"trunk": nn.Linear(3, 3), "head": nn.Linear(3, 2)})
    stage = Stage("s", ("",), lr=0.1, weight_decay=0.5, optimizer="adamw")
    used = optimiser(model, stage, StageRecipe(lr_scale={"trunk": 0.1, "trunk.bias": 0.0}))
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in used.param_groups
        for parameter in group["params"]
        for name, own in model.named_parameters()
        if own is parameter
    }
    assert found["trunk.weight"] == (pytest.approx(0.01), 0.5)
    assert found["trunk.bias"] == (0.0, 0.0)
    assert found["head.weight"] == (0.1, 0.5)
    assert found["head.bias"] == (0.1, 0.0)


def test_a_rate_of_zero_freezes_and_leaves_the_rest_to_learn() -> None:
    spec = MODELS["ynet"]
    model = spec.build(spec.configure(spec.tiny), ())
    (stage,) = model.stages()
    begin(model, stage, StageRecipe(lr_scale={"shared.conv_stem": 0.0, "shared": 0.5}))
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert frozen == {"shared.conv_stem.weight"}
    used = optimiser(model, stage, StageRecipe(lr_scale={"shared.conv_stem": 0.0, "shared": 0.5}))
    count = sum(len(group["params"]) for group in used.param_groups)
    assert count == len(list(model.parameters())) - 1
    with pytest.raises(TrainingError, match="names no parameter"):
        begin(model, stage, StageRecipe(lr_scale={"": 0.0}))
    begin(model, stage, StageRecipe())
    assert all(value.requires_grad for value in model.parameters())


def test_the_running_mean_is_a_running_mean() -> None:
    model = nn.Linear(1, 1, bias=False)
    mean = WeightMean(model, 0.5)
    expected = float(model.weight.detach())
    for step, value in enumerate((1.0, 2.0, -3.0, 5.0), 1):
        with torch.no_grad():
            model.weight.fill_(value)
        mean.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with mean.applied(model):
        assert float(model.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(model.weight.detach()) == 5.0
