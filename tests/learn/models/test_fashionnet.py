"""FashionNet as the YNet paper compares it, as TripletVGG, and gated by landmarks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hemline.learn.losses.multilabel import known_values, multilabel_loss, name_numbers
from hemline.learn.model import MODELS, Batch, RetrievalModel

SPEC = MODELS["fashionnet"]
VOCABULARY = ("category=dress", "category=skirt", "collar=polo", "collar=round", "colour=red")

FORMS: dict[str, dict[str, Any]] = {
    "as compared": {"gate": False},
    "TripletVGG": {"gate": False, "attributes": False},
    "gated": {},
    "gated, no tags": {"attributes": False},
}


def build(options: dict[str, Any], vocabulary: tuple[str, ...] = VOCABULARY) -> RetrievalModel:
    torch.manual_seed(0)
    return SPEC.build(SPEC.configure({**SPEC.tiny, **options}), vocabulary)


def make_batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    street, shop = (torch.randn(3, 3, 64, 64, generator=draw) for _ in range(2))
    tags = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 0, 1], [0, 1, 0, 1, 0]])
    points = torch.rand(6, 8, 2, generator=draw) * 64
    landmarks = torch.cat([points, torch.full((6, 8, 1), 2.0)], dim=2)
    items = torch.arange(3)
    return Batch(street, shop, tags, items, items, None, landmarks)


@pytest.mark.parametrize("options", FORMS.values(), ids=list(FORMS))
def test_each_form_learns_all_it_has(options: dict[str, Any]) -> None:
    model, batch = build(options), make_batch()
    for stage in model.stages():
        model.zero_grad(set_to_none=True)
        learned = model.begin_stage(stage)
        model.train().loss(batch, stage)["total"].backward()
        assert all(p.grad is not None for p in learned), stage.name
    gated, tagged = options.get("gate", True), options.get("attributes", True)
    assert [s.name for s in model.stages()] == (["landmarks"] if gated else []) + ["joint"]
    losses = set(model.loss(batch, model.stages()[-1]))
    assert losses == {"triplet", "total"} | (
        ({"landmarks", "visibility"} if gated else set())
        | ({"category", "attributes"} if tagged else set())
    )


def test_attributes_and_category_are_learned_apart() -> None:
    """A softmax over the categories, yes or no for what else is known of a row."""
    model, batch = build({"gate": False}).eval(), make_batch()
    losses = model.loss(batch, model.stages()[-1])
    with torch.no_grad():
        hidden = model.encode_shop(batch.shop, batch.tags)
        hidden = torch.relu(hidden.embedding * hidden.norm[:, None])
        chance = model.category(hidden).softmax(1)
        # Photos have no tags here: three of six rows know their category.
        wanted = -(chance[0, 0].log() + chance[1, 1].log() + chance[2, 1].log()) / 6
        own = batch.tags[:, 2:]
        known = known_values(own, name_numbers(VOCABULARY[2:]))
        attributes = multilabel_loss(model.tagger(hidden), own, known)
    torch.testing.assert_close(losses["category"], wanted, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(losses["attributes"], attributes, atol=1e-5, rtol=1e-4)


def test_predictions_stand_in_the_order_of_the_vocabulary() -> None:
    vocabulary = ("collar=polo", "category=dress", "colour=red", "category=skirt")
    model = build({}, vocabulary).eval()
    with torch.no_grad():
        said = model.predict(make_batch().shop, street=False)
    assert said.attributes is not None
    assert said.landmarks is not None
    torch.testing.assert_close(said.attributes[:, [1, 3]].sum(1), torch.ones(3))
    assert said.landmarks.shape == (3, 8, 2)


def test_without_tags_it_still_learns() -> None:
    model = build({"gate": False}, ())
    batch = make_batch()
    batch.tags = torch.zeros(3, 0)
    assert set(model.loss(batch, model.stages()[-1])) == {"triplet", "total"}


def test_the_compared_networks_convolutions_are_vgg_cnn_s() -> None:
    with torch.no_grad():
        model = SPEC.build(SPEC.configure({"whole": 8, "dim": 8}), VOCABULARY)
    parts = (model.lower, model.upper)
    assert sum(p.numel() for part in parts for p in part.parameters()) == 6_528_640
    assert model.whole[0].in_features == 512 * 6 * 6
