"""What DARN's ladder promises beyond the contract of every model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from helpers.learning import SEED, THREADS, learned
from hemline.errors import UsageError
from hemline.learn.loss import RankingInputs
from hemline.learn.losses.triplet import mined_triplet_loss
from hemline.learn.model import MODELS, Batch, Fitting, ShopOutput, StreetOutput
from hemline.learn.models.darn import Darn, SubNetwork

TAGS = ("a=1", "a=2", "a=3", "b=1", "b=2")
#: The published ladder: Table 3.
LADDER: dict[str, dict[str, Any]] = {
    "AN": {"ladder": "an"},
    "ARN": {"ladder": "arn"},
    "DARN": {"local": ()},
    "DARN with Conv5": {"local": ("conv5",)},
    "DARN with Conv4-5": {},
}
each_step = pytest.mark.parametrize("step", list(LADDER))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(threads)


def build(step: str = "DARN with Conv4-5", seed: int = 0, **values: Any) -> Darn:
    torch.manual_seed(seed + 100 * SEED)
    spec = MODELS["darn"]
    model = spec.build(spec.configure({**spec.tiny, **LADDER[step], **values}), TAGS)
    assert isinstance(model, Darn)
    return model


def make_batch(pairs: int = 5) -> Batch:
    draw = torch.Generator().manual_seed(1 + SEED)
    shop = torch.randn(pairs, 3, 64, 64, generator=draw)
    street = shop + 0.3 * torch.randn(pairs, 3, 64, 64, generator=draw)
    tags = torch.zeros(pairs, 5)
    for row in range(pairs):
        tags[row, row % 3] = tags[row, 3 + row % 2] = 1
    items = torch.arange(pairs)
    return Batch(street, shop, tags, items, items, tags.clone())


def fit(model: Darn, batch: Batch) -> None:
    model.fit(
        [Fitting(batch.street, batch.street_items, batch.tags)],
        [Fitting(batch.shop, batch.shop_items, batch.tags)],
    )


@each_step
def test_every_step_learns_one_batch_and_all_of_it_learns(step: str) -> None:
    model, batch = build(step), make_batch()
    stage = model.stages()[0]
    optimizer = torch.optim.Adam(model.begin_stage(stage), lr=2e-3)
    model.train()
    losses = []
    for number in range(30):
        torch.manual_seed(number + 1000 * SEED)
        optimizer.zero_grad()
        found = model.loss(batch, stage)
        found["total"].backward()
        losses.append(float(found["total"].detach()))
        optimizer.step()
    # Ten seeds: 0.00 to 0.22.
    learned("loss", losses[-1] / losses[0], most=0.35)
    assert ("triplet" in found) == (step != "AN")
    for name, parameter in model.networks.named_parameters():
        assert parameter.grad is not None, name


@each_step
def test_one_network_or_two_that_share_nothing(step: str) -> None:
    model, batch = build(step).eval(), make_batch()
    one = step in ("AN", "ARN")
    assert set(model.networks) == ({"both"} if one else {"street", "shop"})
    if not one:
        first, second = (list(n.parameters()) for n in model.networks.values())
        assert not {p.data_ptr() for p in first} & {p.data_ptr() for p in second}
        with torch.no_grad():
            first[0].add_(1.0)
    street = model.encode_street(batch.shop).embedding
    shop = model.encode_shop(batch.shop, batch.tags).embedding
    assert torch.equal(street, shop) == one


def test_the_vector_is_fc1_and_the_windows_each_of_unit_length() -> None:
    model, batch = build().eval(), make_batch()
    model.set_stage("Network")
    responses = model.responses(batch.street, "street")
    parts = []
    for part in (responses.fc1, responses.conv4, responses.conv5):
        flat = part.flatten(1)
        parts.append(flat / flat.norm(dim=1, keepdim=True))
    wanted = torch.cat(parts, dim=1) / 3**0.5
    assert model.embedding_dim == 32 + 9 * (16 + 24)
    torch.testing.assert_close(model.encode_street(batch.street).embedding, wanted)


def test_eq_1_compares_the_concatenated_parts_undivided() -> None:
    batch = make_batch()
    losses = []
    for unit_length in (False, True):
        model = build(unit_length=unit_length).eval()
        stage = model.stages()[0]
        model.set_stage(stage.name)
        parts = []
        for domain, images in (("street", batch.street), ("shop", batch.shop)):
            found = model.responses(images, domain)
            flat = [part.flatten(1) for part in (found.fc1, found.conv4, found.conv5)]
            parts.append(torch.cat([f / f.norm(dim=1, keepdim=True) for f in flat], dim=1))
        far = torch.cdist(*parts) / (3**0.5 if unit_length else 1)
        outputs = StreetOutput.of(parts[0]), ShopOutput.of(parts[1])
        inputs = RankingInputs.of(far, *outputs, batch, stage)
        torch.manual_seed(0)
        wanted = mined_triplet_loss(inputs, "random", model.config.negatives_count)
        torch.manual_seed(0)
        losses.append(model.loss(batch, stage)["triplet"])
        torch.testing.assert_close(losses[-1], wanted.detach(), atol=1e-4, rtol=1e-3)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("unit_length", [False, True])
def test_the_pca_is_fitted_to_both_domains_and_applied(unit_length: bool) -> None:
    model, batch = build(unit_length=unit_length).eval(), make_batch()
    model.set_stage("Network")
    length = 1 if unit_length else 3**0.5  # of three parts, each of length 1
    street = model.encode_street(batch.street).embedding * length
    shop = model.encode_shop(batch.shop, batch.tags).embedding * length
    model.set_stage("PCA")
    fit(model, batch)
    both = torch.cat([street, shop])
    torch.testing.assert_close(model.reduction.mean, both.mean(dim=0))
    reduced = (street - both.mean(dim=0)) @ model.reduction.weight.T
    wanted = reduced / reduced.norm(dim=1, keepdim=True)
    torch.testing.assert_close(model.encode_street(batch.street).embedding, wanted)
    assert model.embedding_dim == 16


def test_a_missing_attribute_teaches_its_branch_nothing() -> None:
    model, batch = build("AN"), make_batch()
    batch.tags[:, 3:] = 0
    assert batch.street_tags is not None
    batch.street_tags[:, 3:] = 0
    stage = model.stages()[0]
    model.begin_stage(stage)
    model.loss(batch, stage)["total"].backward()
    tree = model.networks["both"].tree.branches
    known, missing = (
        sum(float(p.grad.abs().sum()) for p in branch.parameters() if p.grad is not None)
        for branch in tree
    )
    assert known > 0
    assert missing == 0


def test_a_photo_without_tags_takes_its_items() -> None:
    model, batch = build("AN").eval(), make_batch()
    stage = model.stages()[0]
    model.set_stage(stage.name)
    whole = model.loss(batch, stage)["attributes"]
    assert batch.street_tags is not None
    batch.street_tags[:2] = 0
    assert torch.equal(model.loss(batch, stage)["attributes"], whole)
    batch.street_tags = None
    assert torch.equal(model.loss(batch, stage)["attributes"], whole)
    batch.street_tags = batch.tags.roll(1, dims=0)
    assert not torch.equal(model.loss(batch, stage)["attributes"], whole)


def test_the_losses_weigh_alike_unless_told_otherwise() -> None:
    batch = make_batch()
    for weights in ({}, {"attribute_weight": 0.5, "ranking_weight": 3.0}):
        model = build(**weights).eval()
        model.set_stage("Network")
        torch.manual_seed(0)
        losses = model.loss(batch, model.stages()[0])
        wanted = weights.get("attribute_weight", 1.0) * losses["attributes"]
        wanted = wanted + weights.get("ranking_weight", 1.0) * losses["triplet"]
        torch.testing.assert_close(losses["total"].detach(), wanted)


def test_only_wanted_attributes_get_a_branch() -> None:
    model, batch = build("AN", attributes=["b"]).eval(), make_batch()
    assert len(model.networks["both"].tree.branches) == 1
    chances = model.predict(batch.street, True).attributes
    assert chances is not None
    torch.testing.assert_close(chances.sum(dim=1), torch.ones(5))
    assert (chances[:, :3] == 0).all()


def test_a_step_starts_from_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "an.safetensors"
    before = build("AN", seed=7, attributes=["a"])
    save_file({f"model.{n}": v for n, v in before.state_dict().items()}, path)
    after = build("DARN with Conv4-5", weights=str(path))
    known = before.networks["both"].state_dict()
    for network in after.networks.values():
        for name, value in network.state_dict().items():
            assert "tree." in name or torch.equal(value, known[name]), name
    with pytest.raises(UsageError, match="of another network: fc1.0.weight has shape"):
        build("AN", weights=str(path), fc1=48)
    with pytest.raises(UsageError, match="no weights at"):
        build("AN", weights=str(tmp_path / "none.safetensors"))


def test_data_without_tags_and_small_pictures_are_refused() -> None:
    spec = MODELS["darn"]
    with pytest.raises(UsageError, match="no tags; train ynet"):
        spec.build(spec.configure(spec.tiny), ())
    with pytest.raises(UsageError, match="can't read images of 32 px|no attribute"):
        build(size=32, stem_kernel=11, stem_stride=4, attributes=["c"])


def test_the_published_sizes() -> None:
    """17,920 = 4,096 + 9 × 1,536 (section 4.3); the margin; one third image for each pair."""
    spec = MODELS["darn"]
    config = spec.configure({})
    with torch.device("meta"):
        model = SubNetwork(config, {"a": (0, 1)})
    assert model.width == 17_920
    assert config.dimensions == 4096
    assert (config.margin, config.negatives_count) == (0.3, 1)
    assert [stage.margin for stage in build().stages()] == [0.3, 0.3]
