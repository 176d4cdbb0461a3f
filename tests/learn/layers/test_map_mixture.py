"""The mixture of maps: each source's own map, gates without labels, and one space for all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hemline.errors import DataError
from hemline.learn.layers.domain_maps import DomainImages, DomainMapConfig, fit_maps
from hemline.learn.layers.map_mixture import MapMixture, Mixture, fit_mixture

C = 12
BLOCKS = (5, 7)


def source(number: int, items: int, seed: int) -> tuple[DomainImages, DomainImages]:
    """Photos that vary loudly where the other source's items differ, and a channel that tells."""
    draw = torch.Generator().manual_seed(seed)
    loud, quiet = (slice(0, 5), slice(5, 10)) if number == 0 else (slice(5, 10), slice(0, 5))
    item = torch.zeros(items, C)
    item[:, quiet] = torch.randn(items, 5, generator=draw)

    def shown(count: int) -> Tensor:
        x = item.repeat_interleave(count, dim=0).clone()
        x[:, loud] = 3 * torch.randn(len(x), 5, generator=draw)
        x[:, 10] = 4.0 * number + 0.3 * torch.randn(len(x), generator=draw)
        return x + 0.1 * torch.randn(len(x), C, generator=draw)

    names = torch.arange(items) + 1000 * number + 10_000 * seed
    of = torch.full((items,), number)
    return (
        DomainImages(shown(4), names.repeat_interleave(4), of.repeat_interleave(4)),
        DomainImages(2 * shown(1) - 1, names, of.clone()),
    )


def together(*parts: tuple[DomainImages, DomainImages]) -> tuple[DomainImages, DomainImages]:
    street, shop = (
        DomainImages(*(torch.cat(column) for column in zip(*sides, strict=True)))
        for sides in zip(*parts, strict=True)
    )
    return street, shop


def layer(fitted: Mixture) -> MapMixture:
    experts, rank, channels = fitted.weight.shape
    made = MapMixture(channels, rank, experts)
    made.put(fitted)
    return made


def recall(street: Tensor, items: Tensor, shop: Tensor, names: Tensor) -> float:
    return float((names[(street @ shop.T).argmax(dim=1)] == items).float().mean())


def test_each_source_is_found_by_its_own_map_where_one_map_serves_neither() -> None:
    seen = together(source(0, 60, 1), source(1, 60, 2))
    config = DomainMapConfig(rank=5, shrinkage=0.1, experts=2)
    street, shop = (layer(side) for side in fit_mixture(*seen, BLOCKS, config))
    one = fit_maps(seen[0].features, seen[0].items, seen[1].features, seen[1].items, BLOCKS, config)
    photos, goods = together(source(0, 40, 3), source(1, 40, 4))  # items never seen, no labels
    mixed = recall(
        functional.normalize(street(photos.features), dim=1), photos.items,
        functional.normalize(shop(goods.features), dim=1), goods.items,
    )  # fmt: skip
    x = photos.features @ one.street_weight.T + one.street_bias
    y = goods.features @ one.shop_weight.T + one.shop_bias
    normal = torch.nn.functional.normalize
    alone = recall(normal(x, dim=1), photos.items, normal(y, dim=1), goods.items)
    assert mixed > alone + 0.2, (mixed, alone)


def test_the_gate_tells_sources_apart_and_both_domains_share_the_weights() -> None:
    seen = together(source(0, 60, 1), source(1, 60, 2))
    street, shop = fit_mixture(*seen, BLOCKS, DomainMapConfig(rank=5, experts=3))
    assert torch.equal(street.weight, shop.weight)  # so that an exported file holds them once
    photos, _ = together(source(0, 40, 3), source(1, 40, 4))
    share = torch.softmax(photos.features @ street.gate_weight.T + street.gate_bias, dim=1)
    assert (share.argmax(dim=1) == photos.sources).float().mean() > 0.95
    assert share[:, 2].max() == 0  # an expert without images is never asked


def test_it_is_the_sum_that_its_text_says() -> None:
    seen = together(source(0, 20, 1), source(1, 20, 2))
    fitted, _ = fit_mixture(*seen, BLOCKS, DomainMapConfig(rank=4, experts=2))
    x = seen[0].features[::9]
    share = torch.softmax(x @ fitted.gate_weight.T + fitted.gate_bias, dim=1)
    want = torch.stack(
        [
            sum(
                g * (fitted.weight[k] @ (fitted.factor * row) + fitted.bias[k])
                for k, g in enumerate(gates)
            )
            for row, gates in zip(x, share, strict=True)
        ]
    )
    torch.testing.assert_close(layer(fitted)(x), want, rtol=1e-4, atol=1e-4)


def test_sources_that_share_items_share_a_map() -> None:
    first, second = source(0, 30, 1), source(1, 30, 2)
    again = first[0]._replace(sources=torch.full_like(first[0].sources, 7))
    street = DomainImages(*(torch.cat(c) for c in zip(first[0], again, second[0], strict=True)))
    shop = together(first, second)[1]
    config = DomainMapConfig(rank=4, experts=2)
    fitted, _ = fit_mixture(street, shop, BLOCKS, config)
    share = torch.softmax(street.features @ fitted.gate_weight.T + fitted.gate_bias, dim=1)
    assert (share.argmax(dim=1) == (street.sources == 1)).float().mean() > 0.95


def test_kinds_are_the_same_directions_for_all() -> None:
    seen = together(source(0, 30, 1), source(1, 30, 2))
    kinds = tuple(side.items % 3 for side in seen)
    config = DomainMapConfig(rank=4, experts=2, kinds=2)
    fitted, _ = fit_mixture(*seen, BLOCKS, config, (kinds[0], kinds[1]))
    assert fitted.weight.shape == (2, 6, C)
    assert torch.equal(fitted.weight[0, 4:], fitted.weight[1, 4:])
    assert not torch.equal(fitted.weight[0, :4], fitted.weight[1, :4])


def test_more_sources_than_experts_are_refused() -> None:
    seen = together(source(0, 5, 1), source(1, 5, 2))
    seen = seen[0]._replace(sources=seen[0].items % 3), seen[1]._replace(sources=seen[1].items % 3)
    with pytest.raises(DataError, match=r"3 sources .* set model\.config\.fitted\.experts=3"):
        fit_mixture(*seen, BLOCKS, DomainMapConfig(rank=2, experts=2))


def test_a_source_needs_two_items() -> None:
    seen = together(source(0, 20, 1), source(1, 1, 2))
    with pytest.raises(DataError, match="1 items have both"):
        fit_mixture(*seen, BLOCKS, DomainMapConfig(rank=2, experts=2))


def test_kinds_are_of_no_weight_where_no_image_has_one() -> None:
    seen = together(source(0, 30, 1), source(1, 30, 2))
    kinds = tuple(torch.where(side.sources == 0, side.items % 3, -1) for side in seen)
    config = DomainMapConfig(rank=4, experts=2, kinds=2)
    fitted, _ = fit_mixture(*seen, BLOCKS, config, (kinds[0], kinds[1]))
    assert fitted.weight[0, 4:].abs().max() > 0
    assert not fitted.weight[1, 4:].any()
    assert fitted.weight[1, :4].abs().max() > 0


def test_an_expert_has_fewer_directions_than_items() -> None:
    seen = together(source(0, 30, 1), source(1, 4, 2))
    fitted, _ = fit_mixture(*seen, BLOCKS, DomainMapConfig(rank=8, experts=2))
    ranks = [int(torch.linalg.matrix_rank(weight, rtol=1e-4)) for weight in fitted.weight]
    assert ranks == [8, 3]
