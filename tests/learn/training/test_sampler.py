from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from hemline.learn.training.sampler import PairSampler

#: 12 items with 1 to 12 photos and 1 to 3 shop pictures each.
PHOTOS = np.concatenate([np.full(n + 1, n) for n in range(12)])
SHOPS = np.concatenate([np.full(n % 3 + 1, n) for n in range(12)])
ITEMS = np.concatenate([PHOTOS, SHOPS]).astype(np.int64)
STREET = np.arange(len(PHOTOS))
SHOP = np.arange(len(PHOTOS), len(ITEMS))


def sampler(batch: int = 5, **options: object) -> PairSampler:
    return PairSampler(ITEMS, STREET, SHOP, batch, **options)  # type: ignore[arg-type]


def test_a_batch_has_distinct_items_each_with_its_own_shop_picture() -> None:
    for batch in sampler().epoch(0, 3):
        items = [ITEMS[pair.street] for pair in batch]
        assert len(set(items)) == len(items)
        assert 2 <= len(batch) <= 5
        for pair in batch:
            assert pair.street in STREET
            assert pair.shop in SHOP
            assert ITEMS[pair.street] == ITEMS[pair.shop]


def test_no_photo_twice_and_most_of_them_seen() -> None:
    seen = Counter(pair.street for batch in sampler().epoch(0, 0) for pair in batch)
    assert max(seen.values()) == 1
    assert len(seen) > 0.8 * len(STREET)


def test_items_epoch_visits_each_item_once() -> None:
    batches = sampler(4, by="items").epoch(0, 0)
    assert sorted(ITEMS[p.street] for b in batches for p in b) == list(range(12))
    assert len([p for b in sampler(4, by="items", repeats=3).epoch(0, 0) for p in b]) == 36


def test_rows_that_count_more_often_are_visited_so_often() -> None:
    times = np.where(ITEMS % 3 == 0, 3, 1)
    seen = Counter(pair.street for batch in sampler(4, times=times).epoch(0, 0) for pair in batch)
    assert all(count <= times[row] for row, count in seen.items())
    assert sum(seen.values()) > 0.8 * times[STREET].sum()
    groups = ITEMS % 2
    for batch in sampler(4, times=times, groups=groups).epoch(0, 0):
        assert len({int(groups[pair.street]) for pair in batch}) == 1


def test_the_same_seed_gives_the_same_and_another_gives_another() -> None:
    assert sampler(seed=1).epoch(1, 2) == sampler(seed=1).epoch(1, 2)
    first = sampler(seed=1).epoch(1, 2)
    assert first != sampler(seed=2).epoch(1, 2)
    assert first != sampler(seed=1).epoch(1, 3)
    assert first != sampler(seed=1).epoch(0, 2)


def test_every_shop_picture_of_an_item_comes_up() -> None:
    used = {p.shop for e in range(30) for b in sampler().epoch(0, e) for p in b}
    assert used == set(SHOP.tolist())


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_each_batch_without_overlap(world: int) -> None:
    whole = [batch for batch in sampler(9).epoch(0, 0) if len(batch) >= 2 * world]
    parts = [sampler(9, rank=rank, world=world).epoch(0, 0) for rank in range(world)]
    assert [list(chain(*batch)) for batch in zip(*parts, strict=True)] == whole
    for batch in zip(*parts, strict=True):
        sizes = [len(part) for part in batch]
        assert min(sizes) >= 2
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("batch", [2, 12, 100])
def test_any_batch_size_works(batch: int) -> None:
    batches = sampler(batch).epoch(0, 0)
    assert batches
    assert all(2 <= len(b) <= min(batch, 12) for b in batches)


def test_a_batch_is_of_one_group() -> None:
    groups = ITEMS % 3
    batches = sampler(3, groups=groups).epoch(0, 0)
    found = [{int(groups[pair.street]) for pair in batch} for batch in batches]
    assert all(len(group) == 1 for group in found)
    assert {group for one in found for group in one} == {0, 1, 2}
    order = [next(iter(group)) for group in found]
    assert order != sorted(order)
    assert batches == sampler(3, groups=groups).epoch(0, 0)
