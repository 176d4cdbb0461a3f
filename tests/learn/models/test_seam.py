"""Seam: every loss and part as an option."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hemline.learn.model import MODELS, Batch, RetrievalModel

SPEC = MODELS["seam"]

FORMS: dict[str, dict[str, Any]] = {
    "infonce": {},
    "triplet": {"loss": "triplet"},
    "proxy_anchor": {"loss": "proxy_anchor"},
    "centroid": {"loss": "centroid"},
    "frozen": {"frozen": True},
    "convolutions": {"backbone": "test_convnext"},
    "no landmarks": {"landmarks": False},
    "no adapters": {"adapter": 0},
    "no attention": {"tags": False, "context": False},
    "inner": {"alignment": "inner"},
}


def build(options: dict[str, Any], tags: int = 3) -> RetrievalModel:
    torch.manual_seed(0)
    vocabulary = tuple(f"name={n}" for n in range(tags))
    model = SPEC.build(SPEC.configure({**SPEC.tiny, **options}), vocabulary)
    model.expect_items(torch.arange(4))
    return model


def make_batch(tags: int = 3) -> Batch:
    draw = torch.Generator().manual_seed(1)
    street, shop = (torch.randn(4, 3, 64, 64, generator=draw) for _ in range(2))
    points = torch.rand(8, 8, 2, generator=draw) * 64
    landmarks = torch.cat([points, torch.full((8, 8, 1), 2.0)], dim=2)
    hot = (torch.rand(4, tags, generator=draw) > 0.5).float()
    return Batch(street, shop, hot, torch.arange(4), torch.arange(4), None, landmarks)


@pytest.mark.parametrize("options", FORMS.values(), ids=list(FORMS))
def test_each_form_learns_all_it_has(options: dict[str, Any]) -> None:
    model, batch = build(options), make_batch()
    for stage in model.stages():
        model.zero_grad(set_to_none=True)
        learned = model.begin_stage(stage)
        model.train().loss(batch, stage)["total"].backward()
        assert learned
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in learned), stage
    frozen = options.get("frozen", False)
    assert any(n.startswith("trunk") for n in model.stages()[0].trains) != frozen
    model.eval()
    shop = model.encode_shop(batch.shop, batch.tags)
    street = model.encode_street(batch.street)
    assert model.reranks == options.get("context", True)
    assert (shop.attention is not None) == options.get("tags", True)
    assert street.embedding.shape == shop.embedding.shape == (4, 32)


def test_the_domains_part_in_their_adapters() -> None:
    model, batch = build({"tags": False, "context": False}).eval(), make_batch()
    same = model.encode_street(batch.shop).embedding
    torch.testing.assert_close(same, model.encode_shop(batch.shop, batch.tags).embedding)
    torch.nn.init.normal_(model.adapters["street"].up.weight)
    assert not torch.allclose(model.encode_street(batch.shop).embedding, same)


def test_without_tags_it_has_no_stage_for_them() -> None:
    assert [s.name for s in build({}, 0).stages()] == ["join", "context"]
    assert [s.name for s in build({}).stages()] == ["join", "tags", "context"]


def test_landmarks_come_back_in_pixels() -> None:
    with torch.no_grad():
        said = build({}).eval().predict(make_batch().shop, street=False)
    assert said.landmarks is not None
    assert said.landmarks.shape == (4, 8, 2)
    assert build({"landmarks": False}).predict(make_batch().shop, False).landmarks is None
