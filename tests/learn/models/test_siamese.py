"""The Siamese network: its published size, its weights, its authors' way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.model import MODELS, Batch, RetrievalModel

SPEC = MODELS["siamese"]
SMALL = {"backbone": "test_efficientnet", "size": 64, "first": 8}


def build(**config: object) -> RetrievalModel:
    torch.manual_seed(0)
    return SPEC.build(SPEC.configure({**SMALL, **config}), ())


def test_the_published_size() -> None:
    """VGG-19's convolutions have 20,024,384 parameters, its first layer 25,088 × 4,096 + 4,096."""
    backbone = build_backbone(BackboneConfig(name="vgg19"), 224)
    convolutions = sum(p.numel() for m in (backbone.shared, backbone.upper) for p in m.parameters())
    assert convolutions == 20_024_384
    assert backbone.channels * backbone.grid[0] * backbone.grid[1] == 25_088
    assert SPEC.configure({}).first == 4096


def test_both_domains_go_through_one_network() -> None:
    model = build().eval()
    images = torch.randn(2, 3, 64, 64)
    street = model.encode_street(images).embedding
    shop = model.encode_shop(images, torch.zeros(2, 0)).embedding
    assert torch.equal(street, shop)


@pytest.mark.parametrize("name", ["pre_logits.fc1", "classifier.0"])
def test_the_first_layer_comes_with_the_weights(name: str, tmp_path: Path) -> None:
    import timm

    spec = {"backbone": "vgg11" if name.startswith("pre") else "test_efficientnet"}
    model = build(**spec)
    channels = build_backbone(BackboneConfig(name=spec["backbone"]), 64).channels
    side = round((model.first.in_features / channels) ** 0.5)
    weight, bias = torch.randn_like(model.first.weight), torch.randn(8)
    shaped = weight.view(8, channels, side, side) if name.startswith("pre") else weight
    state = timm.create_model(spec["backbone"]).state_dict()
    state = {k: v.contiguous() for k, v in state.items() if not k.startswith("pre_logits")}
    file = tmp_path / "weights.safetensors"
    save_file(state | {f"{name}.weight": shaped.contiguous(), f"{name}.bias": bias}, file)
    started = build(backbone={"name": spec["backbone"], "weights": str(file)})
    assert torch.equal(started.first.weight, weight)
    assert torch.equal(started.first.bias, bias)


def test_the_authors_compare_squares_and_normalise_batches() -> None:
    config = SPEC.configure({"authors_code": True})
    assert config.backbone.name == "vgg19_bn"
    assert config.distance == "squared"


def test_the_loss_is_the_triplets() -> None:
    model = build(negatives="hard", margin=0.4).eval()
    draw = torch.Generator().manual_seed(1)
    street, shop = (torch.randn(3, 3, 64, 64, generator=draw) for _ in range(2))
    items = torch.arange(3)
    batch = Batch(street, shop, torch.zeros(3, 0), items, items)
    stage = model.stages()[0]
    found = model.loss(batch, stage)["total"]
    a = model.encode_street(street).embedding
    b = model.encode_shop(shop, batch.tags).embedding
    wanted = []
    for row in range(3):
        gaps = [float((a[row] - b[j]).norm().detach()) for j in range(3)]
        wanted.append(max(0.0, gaps[row] - min(g for j, g in enumerate(gaps) if j != row) + 0.4))
    assert float(found.detach()) == pytest.approx(sum(wanted) / 3, rel=1e-4)
