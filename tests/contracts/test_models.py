"""Every registered model keeps the contract of `hemline.learn.model`, in its tiny size."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hemline.errors import UsageError
from hemline.learn.model import MODELS, Batch, Fitting, RetrievalModel, Stage

VOCABULARY = ("category=shirt", "category=skirt", "colour=red", "collar=polo")
B, M, T = 4, 6, len(VOCABULARY)

every_model = pytest.mark.parametrize("name", list(MODELS))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(name: str, seed: int = 0) -> RetrievalModel:
    torch.manual_seed(seed)
    spec = MODELS[name]
    model = spec.build(spec.configure(spec.tiny), VOCABULARY)
    model.expect_items(torch.arange(M))
    return model


def make_batch(model: RetrievalModel, seed: int = 1) -> Batch:
    """Each item a picture of its own; the street row is its shop row with some noise."""
    draw = torch.Generator().manual_seed(seed)
    size = model.preprocessing.size
    shop = torch.randn(M, 3, size, size, generator=draw)
    street = shop[:B] + 0.3 * torch.randn(B, 3, size, size, generator=draw)
    tags = (torch.rand(M, T, generator=draw) > 0.5).float()
    points = torch.rand(B + M, 8, 2, generator=draw) * size
    landmarks = torch.cat([points, torch.full((B + M, 8, 1), 2.0)], dim=2)
    items = torch.arange(M)
    return Batch(street, shop, tags, items[:B], items, tags[:B].clone(), landmarks)


def learn(model: RetrievalModel, stage: Stage, batch: Batch, steps: int) -> tuple[float, float]:
    """The loss of the first and of the last step; what is fitted is fitted after the first."""
    optimizer = torch.optim.Adam(model.begin_stage(stage), lr=2e-3)
    model.train()
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
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


@every_model
def test_shapes_and_values(name: str) -> None:
    model = build(name).eval()
    batch = make_batch(model)
    for stage in model.stages():
        model.set_stage(stage.name)
        street, shop = model.encode_street(batch.street), model.encode_shop(batch.shop, batch.tags)
        assert street.embedding.shape == (B, model.embedding_dim)
        assert shop.embedding.shape == (M, model.embedding_dim)
        assert shop.norm.shape == (M,)
        assert (shop.norm > 0).all()
        for embedding in (street.embedding, shop.embedding):
            assert embedding.isfinite().all()
            torch.testing.assert_close(embedding.norm(dim=1), torch.ones(len(embedding)))
        if shop.weights is not None:
            torch.testing.assert_close(shop.weights.sum(dim=1), torch.ones(M))
            assert (shop.weights >= 0).all()
        assert model.distances(street, shop).shape == (B, M)
        assert (street.local is not None) == model.reranks


@every_model
def test_a_row_does_not_depend_on_its_neighbours(name: str) -> None:
    model = build(name).eval()
    batch = make_batch(model)
    together = model.encode_shop(batch.shop, batch.tags).embedding[2]
    alone = model.encode_shop(batch.shop[2:3], batch.tags[2:3]).embedding[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@every_model
def test_tags_matter_exactly_where_the_model_says_so(name: str) -> None:
    model = build(name).eval()
    batch = make_batch(model)
    one = model.encode_shop(batch.shop, batch.tags).embedding
    other = model.encode_shop(batch.shop, 1 - batch.tags).embedding
    assert torch.equal(one, other) != model.uses_tags


@every_model
def test_reranking_gives_the_distances_of_training(name: str) -> None:
    model = build(name).eval()
    batch = make_batch(model)
    street, shop = model.encode_street(batch.street), model.encode_shop(batch.shop, batch.tags)
    contexts = shop.embedding * shop.norm.unsqueeze(1)
    if not model.reranks:
        with pytest.raises(TypeError, match="does not re-rank"):
            model.rerank(street.embedding, contexts)
        return
    assert street.local is not None
    rows = [model.rerank(local, contexts) for local in street.local]
    distances = torch.stack([row.distance for row in rows])
    torch.testing.assert_close(distances, model.distances(street, shop), atol=1e-5, rtol=1e-4)
    assert rows[0].weights.shape == (M, street.local.shape[2])
    torch.testing.assert_close(rows[0].weights.sum(dim=1), torch.ones(M))


@every_model
def test_gradients_reach_exactly_what_each_stage_trains(name: str) -> None:
    model = build(name)
    batch = make_batch(model)
    model.begin_stage(model.stages()[0])
    for _ in range(20):  # running statistics that fit the batch, as any trained model has
        model.train().loss(batch, model.stages()[0])
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
        for prefix in stage.trains:
            parts = [p.grad for n, p in named.items() if n.startswith(prefix)]
            assert any(g is not None and g.abs().max() > 0 for g in parts), prefix
        for key, value in model.state_dict().items():  # nor do frozen running statistics move
            assert stage.learns(key) or torch.equal(value, before[key]), key


@every_model
def test_overfits_one_batch(name: str) -> None:
    model = build(name)
    batch = make_batch(model)
    stages = model.stages()
    first, last = learn(model, stages[0], batch, 25)
    assert last < 0.35 * first
    for stage in stages[1:]:  # a later stage may have other losses, or start at none
        untrained, _ = learn(build(name), stage, batch, 1)
        _, last = learn(model, stage, batch, 25)
        assert last < 0.35 * max(first, untrained), stage.name


@every_model
def test_state_travels_through_safetensors(name: str, tmp_path: Path) -> None:
    model, other = build(name).eval(), build(name, seed=9).eval()
    batch = make_batch(model)
    for stage in model.stages():
        model.set_stage(stage.name)
        save_file(model.state_dict(), tmp_path / "state.safetensors")
        other.load_state_dict(load_file(tmp_path / "state.safetensors"), strict=True)
        for key, value in model.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
        assert other.stage == model.stage
        assert (other.uses_tags, other.reranks) == (model.uses_tags, model.reranks)
        assert torch.equal(
            model.encode_shop(batch.shop, batch.tags).embedding,
            other.encode_shop(batch.shop, batch.tags).embedding,
        )


@every_model
def test_the_same_seed_builds_the_same_model(name: str) -> None:
    one, two = build(name).state_dict(), build(name).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


class Graph(nn.Module):
    def __init__(self, model: RetrievalModel, method: str) -> None:
        super().__init__()
        self.model = model
        self.method = method

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(x for x in getattr(self.model, self.method)(*inputs) if x is not None)


@every_model
def test_export_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    model = build(name).eval()
    size, locations, contexts = model.preprocessing.size, 0, torch.empty(0)
    rows = {0: torch.export.Dim("rows")}
    images, tags = torch.randn(2, 3, size, size), torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    street = model.encode_street(images)
    cases: list[tuple[str, tuple[Tensor, ...], tuple[dict[int, object], ...]]] = [
        ("encode_street", (images,), (rows,)),
        ("encode_shop", (images, tags), (rows, rows)),
    ]
    if model.reranks:
        assert street.local is not None
        locations = street.local.shape[2]
        contexts = torch.randn(3, street.local.shape[1])
        cases.append(("rerank", (street.local[0], contexts), ({}, rows)))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    for method, inputs, shapes in cases:
        path = tmp_path / f"{method}.onnx"
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


@every_model
def test_a_wrong_setting_names_the_nearest(name: str) -> None:
    spec = MODELS[name]
    known = next(iter(spec.config.model_fields))
    with pytest.raises(UsageError, match=known):
        spec.configure({**spec.tiny, f"{known}x": 1})
    with pytest.raises(UsageError, match=name):
        spec.configure({**spec.tiny, known: object()})


@every_model
def test_an_unknown_stage_names_the_nearest(name: str) -> None:
    model = build(name)
    stage = model.stages()[0].name
    with pytest.raises(UsageError, match=stage):
        model.set_stage(f"{stage}x")


@every_model
def test_the_registry_tells_what_it_holds(name: str) -> None:
    spec = MODELS[name]
    assert spec.name == name
    assert spec.paper
    assert spec.link.startswith("https://")
    assert spec.summary
    assert set(spec.needs) <= {"items", "tags", "landmarks"}
    model = build(name)
    assert model.tag_count in (0, T)
    for stage in model.stages():
        names = [parameter for parameter, _ in model.named_parameters()]
        for prefix in stage.trains:
            assert any(Stage("one", (prefix,)).learns(n) for n in names), prefix
