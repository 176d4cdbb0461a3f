"""Every row of AHBN's Table I, and the parts of the published network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from helpers.sketch_by_fft import sketch_by_fft
from hemline.errors import UsageError
from hemline.learn.model import MODELS, Batch, RetrievalModel

VOCABULARY = ("collar=polo", "collar=round", "colour=red")

#: Table I: its rows' names and their options.
ROWS: dict[str, dict[str, Any]] = {
    "single": {"branches": "appearance", "attributes": False},
    "single + res50": {
        "branches": "appearance",
        "attributes": False,
        "backbone": {"name": "test_resnet"},
    },
    "single + spatial": {"branches": "appearance", "attributes": False, "spatial": True},
    "single + ATTR": {"branches": "appearance"},
    "single + LM": {"branches": "location"},
    "two, heat maps": {"maps": "heatmaps", "attention": "none"},
    "two, features": {"attention": "none"},
    "two + BP": {"attention": "none", "fusion": "bilinear"},
    "two + Cat": {"attention": "none", "fusion": "concat"},
    "two + Mul": {"attention": "none", "fusion": "product"},
    "two + Sum": {"attention": "none", "fusion": "sum"},
    "two + separate": {"attention": "separate"},
    "smaller maps": {"map_size": 1},
    "larger maps": {"map_size": 4},
    "res50": {"backbone": {"name": "test_resnet"}},
    "softmax": {"gate": "softmax"},
    "no landmarks": {"landmarks": False},
    "full": {},
}

every_row = pytest.mark.parametrize("options", ROWS.values(), ids=list(ROWS))


def build(options: dict[str, Any]) -> RetrievalModel:
    torch.manual_seed(0)
    spec = MODELS["ahbn"]
    model = spec.build(spec.configure({**spec.tiny, **options}), VOCABULARY)
    model.expect_items(torch.arange(4))
    return model


def make_batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    street, shop = (torch.randn(n, 3, 64, 64, generator=draw) for n in (3, 4))
    tags = torch.tensor([[1.0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    points = torch.rand(7, 8, 2, generator=draw) * 64
    landmarks = torch.cat([points, torch.full((7, 8, 1), 2.0)], dim=2)
    return Batch(street, shop, tags, torch.arange(3), torch.arange(4), tags[:3], landmarks)


@every_row
def test_every_row_of_table_one_learns_all_it_has(options: dict[str, Any]) -> None:
    model, batch = build(options), make_batch()
    for stage in model.stages():
        model.zero_grad(set_to_none=True)
        learned = model.begin_stage(stage)
        losses = model.train().loss(batch, stage)
        losses["total"].backward()
        assert all(p.grad is not None for p in learned), stage.name
        assert all(bool(p.grad.isfinite().all()) for p in learned if p.grad is not None)
    model.eval()
    street = model.encode_street(batch.street).embedding
    shop = model.encode_shop(batch.shop, batch.tags)
    assert street.shape == (3, 32)
    torch.testing.assert_close(shop.embedding.norm(dim=1), torch.ones(4))
    # One network for both domains.
    torch.testing.assert_close(model.encode_street(batch.shop).embedding, shop.embedding)


@every_row
def test_each_row_has_the_losses_it_is_named_for(options: dict[str, Any]) -> None:
    model, batch = build(options), make_batch()
    names = [stage.name for stage in model.stages()]
    attributes = options.get("branches") != "location" and options.get("attributes", True)
    landmarks = options.get("branches") != "appearance" and options.get("landmarks", True)
    assert ("attributes" in names) == attributes
    assert ("landmarks" in names) == landmarks
    last = model.stages()[-1]
    model.begin_stage(last)
    losses = set(model.loss(batch, last))
    assert losses == {"identity", "total"} | {
        name for name, there in (("attributes", attributes), ("landmarks", landmarks)) if there
    }


def test_an_unknown_type_is_masked_and_an_absent_value_of_a_known_one_counts() -> None:
    model, batch = build({"branches": "appearance"}), make_batch()
    stage = model.stages()[0]
    model.begin_stage(stage)
    model.eval()
    tags = batch.labels()
    with torch.no_grad():
        scores = model.tagger(model.appearance(batch.images()).mean(dim=(2, 3)))
    each = torch.nn.functional.binary_cross_entropy_with_logits(scores, tags, reduction="none")
    known = torch.zeros_like(tags)
    known[0] = 1  # every value of both names is known, though it has none of some
    known[1, 0] = 1
    batch.known = known
    wanted = (each[0].sum() + each[1, 0]) / (known.shape[1] + 1)
    torch.testing.assert_close(model.loss(batch, stage)["attributes"], wanted)
    batch.known = None
    assert model.loss(batch, stage)["attributes"] != wanted


def test_the_joined_vector_is_the_papers_chain() -> None:
    """Weigh, resample, sketch, average, signed root, L2, linear: section III-D step by step."""
    model = build({}).double().eval()
    images = make_batch().shop.double()
    with torch.no_grad():
        first = model.appearance(images)
        second = model.location(images).features
        both = torch.cat([first.mean((2, 3)), second.mean((2, 3))], dim=1)
        attention = model.meeting.attention
        one, two = attention.first(both).sigmoid(), attention.second(both).sigmoid()
        height, width = first.shape[2:]
        first = first * one[:, :, None, None]
        second = second * two[:, :, None, None]
        step = second.shape[2] // height
        second = functional.avg_pool2d(second, step)
        assert second.shape[2:] == (height, width)
        sketch = sketch_by_fft(model.meeting.pooling, first.flatten(2), second.flatten(2))
        rooted = sketch.sign() * sketch.abs().sqrt()
        wanted = model.project(rooted / rooted.norm(dim=1, keepdim=True))
        found = model.encode_shop(images, torch.zeros(4, 3, dtype=torch.float64))
    torch.testing.assert_close(found.norm, wanted.norm(dim=1).float())
    torch.testing.assert_close(found.embedding, functional.normalize(wanted, dim=1).float())


def test_predictions_are_tags_and_landmarks() -> None:
    model, batch = build({}).eval(), make_batch()
    with torch.no_grad():
        said = model.predict(batch.shop, street=False)
    assert said.attributes is not None
    assert said.landmarks is not None
    assert said.attributes.shape == (4, 3)
    assert said.landmarks.shape == (4, 8, 2)
    assert 0 <= float(said.landmarks.min()) <= float(said.landmarks.max()) <= 64
    single = build(ROWS["single"]).eval().predict(batch.shop, street=False)
    assert single.attributes is None
    assert single.landmarks is None


def test_the_published_network() -> None:
    """Inception-ResNet-v2 gives 8×8 maps of 1,536 channels at 299 px, the hourglasses 64×64."""
    with torch.device("meta"):
        import timm

        network = timm.create_model("inception_resnet_v2", num_classes=0, global_pool="")
        assert network(torch.empty(1, 3, 299, 299)).shape == (1, 1536, 8, 8)
    defaults = MODELS["ahbn"].configure({})
    assert (defaults.size, defaults.location.size, defaults.location.stacks) == (299, 256, 4)
    assert defaults.backbone.name == "inception_resnet_v2"
    assert defaults.fusion == "compact"
    assert defaults.attention == "co"


def test_without_tags_the_attributes_are_left_out() -> None:
    spec = MODELS["ahbn"]
    model = spec.build(spec.configure(spec.tiny), ())
    assert [stage.name for stage in model.stages()] == ["landmarks", "joint"]


def test_spatial_attention_is_of_one_branch() -> None:
    with pytest.raises(UsageError, match="single branch"):
        MODELS["ahbn"].configure({"spatial": True})


@pytest.mark.parametrize("fusion", ["compact", "bilinear"])
def test_a_pooled_vector_of_length_one_is_projected_as_numbers_of_size_one(fusion: str) -> None:
    model: Any = build({"fusion": fusion})
    own = model._representation(torch.rand(4, 256, 2, 2), torch.rand(4, 8, 16, 16))
    across = own.detach().std(dim=0).mean() + own.detach().abs().mean()
    assert 0.1 < float(across) < 10  # a layer's usual first weights would give a hundredth
