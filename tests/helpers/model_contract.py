"""What every model's contract is checked with: a batch, steps of learning, an export to compare."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from helpers import example_model
from helpers.learning import SEED, learned
from hemline.learn.model import MODELS, Batch, Fitting, ModelSpec, RetrievalModel, Stage

#: Every registered model, and the example of the documentation.
SPECS: Mapping[str, ModelSpec] = {**MODELS, **example_model.load().MODELS}
VOCABULARY = ("category=shirt", "category=skirt", "colour=red", "collar=polo")
B, M, T = 4, 6, len(VOCABULARY)
#: A loss from which on a batch is one that a model can learn something of.
UNKNOWN = 0.1
#: The last loss over the first: 1 where nothing is learned; of ten seeds at most 0.40 (DARN), 0.29.
LEARNED = 0.6


def build(name: str, seed: int = 0, config: Mapping[str, Any] | None = None) -> RetrievalModel:
    """A registered model, of its tiny size unless told otherwise."""
    torch.manual_seed(seed + 100 * SEED)
    spec = SPECS[name]
    model = spec.build(spec.configure(spec.tiny if config is None else config), VOCABULARY)
    model.expect_items(torch.arange(M))
    return model


def make_batch(model: RetrievalModel, seed: int = 1, alike: bool = True) -> Batch:
    """Each item a picture of its own; the street row is its shop row with some noise.

    Unless ``alike``, it is another item's, so that no network knows the pairs before it learns.
    """
    draw = torch.Generator().manual_seed(seed + 100 * SEED)
    size = model.preprocessing.size
    shop = torch.randn(M, 3, size, size, generator=draw)
    street = shop[:B] + 0.3 * torch.randn(B, 3, size, size, generator=draw)
    if not alike:
        street = street.roll(1, dims=0)
    tags = (torch.rand(M, T, generator=draw) > 0.5).float()
    tags[:, 1] = 1 - tags[:, 0]  # one category each: with two, no loss falls to 0
    points = torch.rand(B + M, 8, 2, generator=draw) * size
    landmarks = torch.cat([points, torch.full((B + M, 8, 1), 2.0)], dim=2)
    items = torch.arange(M)
    return Batch(street, shop, tags, items[:B], items, tags[:B].clone(), landmarks)


def unknown_batch(make: Callable[[], RetrievalModel], alike: bool = True) -> Batch:
    """The first batch of which the untrained model's first loss is at least `UNKNOWN`.

    A tiny network may know pairs that are alike before it learns; pairs that aren't, none does.
    """
    model = make()
    for seed in range(1, 6):
        batch = make_batch(model, seed, alike and seed < 4)
        if learn(make(), model.stages()[0], batch, 1)[0] >= UNKNOWN:
            return batch
    raise AssertionError("the untrained model knows every batch")


def learn(model: RetrievalModel, stage: Stage, batch: Batch, steps: int) -> tuple[float, float]:
    """The loss of the first and of the last step; what is fitted is fitted after the first."""
    optimizer = torch.optim.Adam(model.begin_stage(stage), lr=2e-3)
    model.train()
    losses = []
    for step in range(steps):
        torch.manual_seed(step + 1000 * SEED)
        optimizer.zero_grad()
        loss = model.loss(batch, stage)["total"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if step == 0 and stage.fits:
            model.eval().fit(
                [Fitting(batch.street, batch.street_items, batch.tags[:B])],
                [Fitting(batch.shop, batch.shop_items, batch.tags)],
            )
            model.train()
    return losses[0], losses[-1]


def assert_overfits(
    make: Callable[[], RetrievalModel], batch: Batch, steps: int = 25
) -> RetrievalModel:
    """Every stage in turn learns one batch; what it then is."""
    model = make()
    stages = model.stages()
    first, last = learn(model, stages[0], batch, steps)
    assert first >= UNKNOWN, "the untrained model knows this batch; use `unknown_batch`"
    learned(stages[0].name, last / first, most=LEARNED)
    for stage in stages[1:]:  # a later stage may have other losses, or start at none
        untrained, _ = learn(make(), stage, batch, 1)
        _, last = learn(model, stage, batch, steps)
        learned(stage.name, last / max(first, untrained), most=LEARNED)
    return model


def assert_gradients(model: RetrievalModel, batch: Batch) -> None:
    """Each stage's losses reach exactly what it trains, and nothing else of the model moves."""
    for stage in model.stages():
        model.zero_grad(set_to_none=True)
        learned = model.begin_stage(stage)
        model.train()
        before = {key: value.clone() for key, value in model.state_dict().items()}
        losses = model.loss(batch, stage)
        assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
        losses["total"].backward()
        named = dict(model.named_parameters())
        assert {id(p) for p in learned} == {id(p) for n, p in named.items() if stage.learns(n)}
        reached = {n for n, p in named.items() if p.grad is not None}
        assert reached == {n for n in named if stage.learns(n)}
        assert all(bool(named[n].grad.isfinite().all()) for n in reached)
        for prefix in stage.trains:
            parts = [p.grad for n, p in named.items() if n.startswith(prefix)]
            assert any(g is not None and g.abs().max() > 0 for g in parts), prefix
        for key, value in model.state_dict().items():  # nor do frozen running statistics move
            assert stage.learns(key) or torch.equal(value, before[key]), key


class Graph(nn.Module):
    def __init__(self, model: RetrievalModel, method: str) -> None:
        super().__init__()
        self.model = model
        self.method = method

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(x for x in getattr(self.model, self.method)(*inputs) if x is not None)


def assert_exports(
    model: RetrievalModel, folder: Path, only: Sequence[str] = ("street", "shop", "rerank")
) -> None:
    """Each graph, exported, gives the model's numbers to 1e-4, for one row and for five."""
    size, locations, contexts = model.preprocessing.size, 0, torch.empty(0)
    rows = {0: torch.export.Dim("rows")}
    images, tags = torch.randn(2, 3, size, size), torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    street = model.encode_street(images)
    cases: list[tuple[str, tuple[Tensor, ...], tuple[dict[int, object], ...]]] = []
    if "street" in only:
        cases.append(("encode_street", (images,), (rows,)))
    if "shop" in only:
        cases.append(("encode_shop", (images, tags), (rows, rows)))
    if model.reranks and "rerank" in only:
        assert street.local is not None
        locations = street.local.shape[2]
        contexts = torch.randn(3, street.local.shape[1])
        cases.append(("rerank", (street.local[0], contexts), ({}, rows)))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    for method, inputs, shapes in cases:
        path = folder / f"{method}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Graph(model, method),
                inputs,
                path,
                dynamo=True,
                dynamic_shapes=(shapes,),
                verbose=False,
            )
        session = onnxruntime.InferenceSession(str(path))
        for count in (1, 5):
            if method == "rerank":
                given = (
                    torch.randn(contexts.shape[1], locations),
                    torch.randn(count, contexts.shape[1]),
                )
            else:
                given = (torch.randn(count, 3, size, size), torch.rand(count, T).round())
            names = [node.name for node in session.get_inputs()]  # a graph may not read its tags
            feed = {n: x.numpy() for n, x in zip(names, given, strict=False)}
            with torch.no_grad():
                wanted = Graph(model, method)(*given[: len(inputs)])
            for got, want in zip(session.run(None, feed), wanted, strict=True):
                np.testing.assert_allclose(got, want.numpy(), atol=1e-4, rtol=1e-4)
