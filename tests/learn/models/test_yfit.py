from __future__ import annotations

import onnxruntime
import pytest
import torch

from helpers.learning import SEED, learned
from hemline.errors import DataError, UsageError
from hemline.learn.export.graphs import trace
from hemline.learn.export.weights import serialized
from hemline.learn.model import MODELS, Batch, Fitting
from hemline.learn.models.yfit import FLOOR, covered, zoomed


def test_zooms_show_the_middle_or_set_it_on_a_border() -> None:
    picture = torch.zeros(1, 3, 16, 16)
    picture[:, :, 4:12, 4:12] = 1.0
    torch.testing.assert_close(zoomed(picture, 1.0, 9.0), picture)
    torch.testing.assert_close(zoomed(picture, 2.0, 9.0), torch.ones(1, 3, 16, 16))
    small = zoomed(picture, 0.5, 9.0)
    assert (small[:, :, :4] == 9.0).all()
    assert (small[:, :, :, 12:] == 9.0).all()
    torch.testing.assert_close(small[:, :, 6:10, 6:10], torch.ones(1, 3, 4, 4))


def test_weights_lie_on_what_is_not_white() -> None:
    picture = torch.ones(1, 3, 8, 8)
    picture[:, 2, :4, :4] = 0.5  # one dark channel is enough
    weights = covered(picture, (2, 2))
    total = 1 + 4 * FLOOR
    expected = torch.tensor([[1 + FLOOR, FLOOR], [FLOOR, FLOOR]]) / total
    torch.testing.assert_close(weights[0, 0], expected)
    even = covered(torch.ones(2, 3, 8, 8), (2, 2))
    torch.testing.assert_close(even, torch.full((2, 1, 2, 2), 0.25))


def test_fitting_brings_photos_to_their_products() -> None:
    torch.manual_seed(SEED)
    spec = MODELS["yfit"]
    model = spec.build(spec.configure(spec.tiny), ()).eval()
    items = torch.arange(8)
    products = torch.rand(8, 3, 1, 1) + 0.2 * torch.rand(8, 3, 64, 64)
    photos = torch.cat([0.6 * products + 0.1 * torch.rand(8, 3, 64, 64) for _ in range(3)])
    none = torch.zeros(24, 0)

    def hits() -> float:
        street = model.encode_street(photos).embedding
        shop = model.encode_shop(products, none[:8]).embedding
        return float(((street @ shop.T).argmax(dim=1) == items.repeat(3)).float().mean())

    with torch.no_grad():
        before = hits()
        model.fit(
            [
                Fitting(photos[:12], items.repeat(3)[:12], none[:12]),
                Fitting(photos[12:], items.repeat(3)[12:], none[12:]),
            ],
            [Fitting(products, items, none[:8])],
        )
        # Ten seeds: recall@1 1.0, gain 0.38 to 0.88.
        learned("recall@1", hits(), least=0.9)
        learned("gain", hits() - before, least=0.1)


@pytest.mark.parametrize("views", [(), (0.1,), (9.0,)])
def test_views_that_make_no_sense(views: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="zooms from"):
        MODELS["yfit"].configure({"street_views": views})


def test_kinds_are_a_second_task() -> None:
    torch.manual_seed(SEED)
    spec = MODELS["yfit"]
    config = spec.configure({**spec.tiny, "tune": True, "kind_loss": 0.5})
    model = spec.build(config, ("category=dress", "category=hat", "color=red"))
    tune = model.stages()[0]
    learned_names = {name for name, p in model.named_parameters() if tune.learns(name)}
    assert {"classifier.weight", "classifier.bias"} < learned_names
    images = torch.rand(6, 3, 64, 64)
    items = torch.arange(6)

    def losses(tags: torch.Tensor) -> dict[str, torch.Tensor]:
        return model.loss(Batch(images, images, tags, items, items, tags), tune)

    no_kind = torch.tensor([[0.0, 0.0, 1.0]]).repeat(6, 1)
    assert float(losses(no_kind)["kinds"]) == 0.0  # a colour is no kind
    tags = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).repeat(3, 1)
    found = losses(tags)
    torch.testing.assert_close(found["total"], found["infonce"] + 0.5 * found["kinds"])
    some = tags.clone()
    some[2:] = no_kind[2:]
    model.classifier.weight.data.zero_()
    model.classifier.bias.data.copy_(torch.tensor([3.0, 0.0]))
    scores = torch.tensor([3.0, 0.0]).log_softmax(dim=0)
    expected = -(0.95 * scores + 0.05 * scores.flip(0))  # one image of each kind, smoothed by 0.1
    torch.testing.assert_close(losses(some)["kinds"], expected.mean())


def test_what_the_frozen_network_knows_is_a_third_task() -> None:
    torch.manual_seed(SEED)
    spec = MODELS["yfit"]
    one_view = {"street_views": (1.0,), "shop_views": (1.0,), "foreground": False}
    settings = {**spec.tiny, **one_view, "tune": True, "distillation": 2.0}
    model = spec.build(spec.configure(settings), ())
    tune = model.stages()[0]
    learned_names = {name for name, p in model.named_parameters() if tune.learns(name)}
    assert {"distillation.predict.weight", "distillation.predict.bias"} < learned_names
    images, items = torch.rand(6, 3, 64, 64), torch.arange(6)

    def losses() -> dict[str, torch.Tensor]:
        none = torch.zeros(6, 0)
        return model.eval().loss(Batch(images, images.flip(3), none, items, items, none), tune)

    losses()  # random weights stand for ImageNet's: the frozen network is made once
    frozen = model._frozen[0]
    frozen.load_state_dict(model.trunk.state_dict())
    same = losses()
    assert float(same["distillation"]) < 0.01
    for parameter in model.trunk.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter) * parameter.std(correction=0))
    moved = losses()
    assert float(moved["distillation"]) > float(same["distillation"]) + 0.1
    torch.testing.assert_close(moved["total"], moved["infonce"] + 2 * moved["distillation"])
    moved["total"].backward()
    assert all(parameter.grad is None for parameter in frozen.parameters())
    assert model._frozen[0] is frozen
    assert not any("_frozen" in name for name in model.state_dict())


def test_balance_needs_the_sources_of_images() -> None:
    spec = MODELS["yfit"]
    settings = {**spec.tiny, "fitted": {"rank": 2, "balance": 1.0}}
    model = spec.build(spec.configure(settings), ()).eval()
    images, items, none = torch.rand(8, 3, 64, 64), torch.arange(8) % 4, torch.zeros(8, 0)
    with pytest.raises(DataError, match="batch_by"):
        model.fit([Fitting(images, items, none)], [Fitting(images, items, none)])
    part = Fitting(images, items, none, torch.arange(8) % 2)
    model.fit([part], [part])
    assert float(model.street.weight.detach().abs().sum()) > 0


def test_experts_need_the_sources_of_images_and_are_exported_as_they_are() -> None:
    spec = MODELS["yfit"]
    fitted = {"rank": 2, "experts": 2}
    model = spec.build(spec.configure({**spec.tiny, "fitted": fitted}), ()).eval()
    images, items, none = torch.rand(12, 3, 64, 64), torch.arange(12) % 6, torch.zeros(12, 0)
    with pytest.raises(DataError, match=r"fitted\.experts needs .* data\.batch_by"):
        model.fit(*[[Fitting(images, items, none)]] * 2)
    part = Fitting(images, items, none, items % 2)
    model.fit([part], [part])
    assert not torch.equal(model.street.weight[0], model.street.weight[1])
    session = onnxruntime.InferenceSession(serialized(trace(model)["shop"]))
    got, _ = session.run(None, {"images": images[:5].numpy()})
    with torch.no_grad():
        want = model.encode_shop(images[:5], none[:5]).embedding
    torch.testing.assert_close(torch.from_numpy(got), want, rtol=1e-4, atol=1e-4)


def test_kinds_need_two() -> None:
    spec = MODELS["yfit"]
    model = spec.build(spec.configure({**spec.tiny, "kind_loss": 0.5}), ("category=dress",))
    with pytest.raises(DataError, match="kind_loss=0"):
        model.fit([], [])


def test_what_tune_trains_is_joined_to_what_is_fitted_after_it() -> None:
    torch.manual_seed(SEED)
    spec = MODELS["yfit"]
    settings = {**spec.tiny, "tune": True, "joined": {"share": 0.4, "few": 4}}
    model = spec.build(spec.configure(settings), ()).eval()
    tune, fit = model.stages()
    learns = {name for name, _ in model.named_parameters() if tune.learns(name)}
    assert {"joined.street.weight", "joined.shop.bias"} < learns
    assert not {name for name in learns if name.startswith(("street.", "shop."))}
    assert not any(fit.learns(name) for name, _ in model.named_parameters() if "joined" in name)
    items, none = torch.arange(8), torch.zeros(8, 0)
    photos, goods = torch.rand(8, 3, 64, 64), torch.rand(8, 3, 64, 64)
    parts = [Fitting(photos, items, none)], [Fitting(goods, items, none)]
    with pytest.raises(DataError, match="joined=null"):
        model.fit(*parts)
    model.begin_stage(tune)
    with torch.inference_mode():
        model.fit(*parts)
    losses = model.loss(Batch(photos, goods, none, items, items, none), tune)
    losses["total"].backward()
    assert float(model.joined.street.weight.grad.abs().max()) > 0
    with torch.no_grad():
        tuned = model.encode_street(photos).embedding
        model.joined.street.weight.add_(0.05 * torch.randn_like(model.joined.street.weight))
        assert not torch.allclose(model.encode_street(photos).embedding, tuned)
        model.begin_stage(fit)
        model.fit(*parts)
        joined = model.encode_street(photos).embedding
        assert joined.shape == tuned.shape == (8, model.embedding_dim)
        shares = model.joined.shares.clone()
        assert shares.tolist() == pytest.approx([0.4 * 8 / 12])
        model.joined.shares.zero_()
        assert not torch.allclose(model.encode_street(photos).embedding, joined)
        model.joined.shares.copy_(shares)
    session = onnxruntime.InferenceSession(serialized(trace(model)["street"]))
    (found,) = session.run(["embedding"], {"images": photos.numpy()})
    assert float(abs(found - joined.numpy()).max()) < 1e-4
