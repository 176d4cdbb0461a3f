"""Querybank normalisation: its formula, what it does to hubs, and the photos that it keeps."""

from __future__ import annotations

import torch
from torch.nn import functional

from hemline.learn.layers.querybank import Querybank, QuerybankConfig, chosen

D = 8


def unit(count: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, D, generator=draw), dim=1)


def fitted(share: float = 0.7) -> tuple[Querybank, torch.Tensor, torch.Tensor]:
    photos, shop = unit(60, 1), unit(40, 2)
    config = QuerybankConfig(photos=60, sharpness=5.0, share=share)
    bank = Querybank(config, D)
    bank.fit(photos, torch.zeros(60, dtype=torch.int64), shop)
    return bank, photos, shop


def test_inner_products_are_the_formulas_scores() -> None:
    bank, photos, shop = fitted()
    query = unit(5, 3)
    hubness = 0.7 / 5 * torch.exp(5 * (shop @ photos.T)).mean(dim=1).log()
    over = hubness - hubness.mean()
    want = (query @ shop.T - over) / (1 + over.abs().max())
    street = functional.normalize(bank.street(3 * query), dim=1)
    goods = functional.normalize(bank.shop(2 * shop), dim=1)
    torch.testing.assert_close(street @ goods.T, want)
    # All lengths are alike before they are made 1, or the order would be another one.
    for vectors in (bank.street(query), bank.shop(shop)):
        torch.testing.assert_close(
            vectors.norm(dim=1), vectors.norm(dim=1)[:1].expand(len(vectors))
        )


def test_an_image_beyond_the_bound_keeps_its_length() -> None:
    bank, photos, _ = fitted()
    hub = functional.normalize(photos.mean(dim=0, keepdim=True), dim=1)
    found = bank.shop(torch.cat([hub, -hub]))
    torch.testing.assert_close(found.norm(dim=1), (1 + bank.bound).sqrt().expand(2))


def test_a_hub_is_no_longer_found_for_all() -> None:
    """Photos are their product's image moved towards one direction, in which one image lies."""
    hub = functional.one_hot(torch.tensor([0]), D).float()
    goods = functional.normalize(torch.cat([unit(20, 4), hub]), dim=1)
    photos = functional.normalize(goods[:20] + 1.2 * hub, dim=1)
    bank = Querybank(QuerybankConfig(photos=20, share=1.0), D)
    bank.fit(photos, torch.zeros(20, dtype=torch.int64), goods)
    own = torch.arange(20)
    before = (photos @ goods.T).argmax(dim=1)
    after = (bank.street(photos) @ bank.shop(goods).T).argmax(dim=1)
    assert int((before == 20).sum()) > 10
    assert int((after == 20).sum()) == 0
    assert int((after == own).sum()) > int((before == own).sum())


def test_sources_have_as_many_photos_whatever_their_number() -> None:
    sources = torch.tensor([0] * 100 + [1] * 3 + [4] * 10)
    rows = chosen(sources, 32)
    assert torch.equal(rows, chosen(sources, 32))
    counts = torch.bincount(sources[rows])
    assert counts.tolist() == [10, 11, 0, 0, 11]
    assert len(torch.unique(rows[sources[rows] == 0])) == 10
    assert len(torch.unique(rows[sources[rows] == 1])) == 3
