"""Every registered model keeps the contract of `hemline.learn.model`, in its tiny size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import example_model
from helpers.learning import THREADS
from helpers.model_contract import (
    SPECS,
    B,
    M,
    T,
    assert_exports,
    assert_gradients,
    assert_overfits,
    build,
    make_batch,
    unknown_batch,
)
from hemline.errors import UsageError
from hemline.learn.model import Stage

every_model = pytest.mark.parametrize("name", list(SPECS))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(threads)


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
        if shop.attention is not None:
            torch.testing.assert_close(shop.attention.sum(dim=1), torch.ones(M))
            assert (shop.attention >= 0).all()
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
    assert rows[0].attention.shape == (M, street.local.shape[2])
    torch.testing.assert_close(rows[0].attention.sum(dim=1), torch.ones(M))


@every_model
def test_gradients_reach_exactly_what_each_stage_trains(name: str) -> None:
    model = build(name)
    batch = make_batch(model)
    model.begin_stage(model.stages()[0])
    for _ in range(20):  # running statistics that fit the batch, as any trained model has
        model.train().loss(batch, model.stages()[0])
    assert_gradients(model, batch)


@every_model
def test_overfits_one_batch(name: str) -> None:
    alike = name != "yfit"  # its frozen backbone knows much of pairs that are
    assert_overfits(lambda: build(name), unknown_batch(lambda: build(name), alike))


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


@every_model
def test_export_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    assert_exports(build(name).eval(), tmp_path)


@every_model
def test_a_wrong_setting_names_the_nearest(name: str) -> None:
    spec = SPECS[name]
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
    spec = SPECS[name]
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


def test_the_documented_example_is_short() -> None:
    assert len(example_model.code().splitlines()) <= 60
