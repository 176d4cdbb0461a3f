from __future__ import annotations

import numpy as np

from hemline.adaptation.choose import OUTER, Images, choose, folds, mapped, measure, search
from hemline.adaptation.fit import NONE, Fitter, Method, Side


def images(items: int = 20, photos: int = 2, size: int = 8) -> Images:
    rng = np.random.default_rng(1)
    asked = np.repeat(np.arange(items), photos)
    street = rng.normal(size=(len(asked), size)).astype(np.float32)
    shop_items = np.concatenate([np.arange(items), np.arange(5)])  # five items have two images
    shop = rng.normal(size=(len(shop_items), size)).astype(np.float32)
    return Images(Side(street, asked), Side(shop, shop_items), np.full(len(asked), -1), (size,))


def test_ranks_count_items_by_their_best_image_and_ties_against_the_right_one() -> None:
    street = Side(np.array([[1, 0], [1, 0]], np.float32), np.array([0, 1]))
    shop = Side(np.array([[0, 1], [1, 0], [1, 0], [-1, 0]], np.float32), np.array([0, 0, 1, 2]))
    both = Images(street, shop, np.array([-1, -1]), (2,))
    assert search(both, mapped(both, None), both.queries).ranks.tolist() == [2, 2]


def test_an_image_does_not_find_itself_and_a_lonely_one_is_no_query() -> None:
    shop = Side(np.array([[1, 0], [0, 1], [1, 0.1]], np.float32), np.array([0, 0, 1]))
    both = Images(shop, shop, np.arange(3), (2,))
    assert both.queries.tolist() == [0, 1]
    assert search(both, mapped(both, None), both.queries).ranks.tolist() == [2, 2]


def test_folds_hold_every_item_once() -> None:
    parts = folds(np.repeat(np.arange(23), 2), OUTER, 0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(23))
    assert {len(part) for part in parts} == {4, 5}


def test_nothing_is_gained_from_noise() -> None:
    """Photos have nothing to do with the shop images, so what is measured must be chance; maps that
    had seen the photos' items would find them."""
    noise = images(items=60)
    strong = (NONE, Method("pairs", 0.01, 1.0, 1.0, 0.01))
    _, outcome, chosen = measure(noise, 0, strong)
    assert len(chosen) == OUTER
    assert (outcome.ranks == 1).mean() < 0.1
    assert outcome.ranks.min() >= 1


def with_hubs() -> Images:
    """Photos lie near their item's image and all towards one direction, where two of the shop's
    images lie as well."""
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(30, 12))
    hub = rng.normal(size=12) * 3
    asked = np.repeat(np.arange(28), 4)
    street = centres[asked] + hub + rng.normal(size=(len(asked), 12)) * 0.3
    centres[28:] += hub
    items = np.arange(30)
    return Images(
        Side(street.astype(np.float32), asked), Side(centres.astype(np.float32), items),
        np.full(len(asked), -1), (12,),
    )  # fmt: skip


def test_a_querybank_is_chosen_where_it_helps_and_not_where_it_does_not() -> None:
    hubs = with_hubs()
    method = choose(hubs, 0, (NONE,))
    assert method.hubness > 0
    assert choose(hubs, 0, (NONE,), querybanks=False) == NONE
    plain, banked = (
        search(hubs, mapped(hubs, Fitter(hubs.street, hubs.shop, hubs.blocks).fit(one)),
               hubs.queries).ranks
        for one in (NONE, method)
    )  # fmt: skip
    assert (banked == 1).mean() > (plain == 1).mean()
    easy = images(items=20)
    easy.street.vectors[:] = easy.shop.vectors[easy.street.items]
    assert choose(easy, 0, (NONE,)) == NONE  # nothing is left to gain
